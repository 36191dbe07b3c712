//! Broken definitions and broken inputs, each a small folder as a user would write it, and what the program says of it.
//!
//! A folder of `tests/broken` has an `expected.txt`: after each line that begins with `$`, what that command prints (stderr,
//! then stdout) and how it ends. All of it is compared to the letter; `SLUICE_UPDATE_SNAPSHOTS=1` writes it anew, to be read.

mod inputs;

use std::collections::VecDeque;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use tempfile::TempDir;
use tests::kit::program;
use tests::source_server::{Reply, SourceServer};

const EXPECTED: &str = "expected.txt";

/// Where nobody listens: the port of a service that is not used any more.
const NOBODY: &str = "127.0.0.1:1";

/// As many as may wait for an answer; most of their time is not spent computing.
const AT_ONCE: usize = 4;

fn broken() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("broken")
}

/// The folders, those that wait for the network first.
fn names() -> VecDeque<String> {
    let folders = std::fs::read_dir(broken()).unwrap().flatten();
    let mut names: Vec<String> = folders.map(|folder| folder.file_name().to_string_lossy().into_owned()).collect();
    names.sort_by_key(|name| (!name.contains("nobody"), name.clone()));
    names.into()
}

#[test]
fn every_broken_folder_is_explained_to_the_person_who_wrote_it() {
    let server = SourceServer::start();
    server.always("/secret.csv", Reply::status(403));
    server.always("/circle.csv", Reply::redirect(302, &server.url("/circle.csv")));
    server.put("/orders-2024-01-15.csv", "order_id,customer,country,amount,ordered_at\n1,ada,FI,10.00,2024-01-15T09:00:00\n");
    let update = std::env::var_os("SLUICE_UPDATE_SNAPSHOTS").is_some();
    let (waiting, wrong) = (Mutex::new(names()), Mutex::new(Vec::new()));
    let count = waiting.lock().unwrap().len();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(name) = waiting.lock().unwrap().pop_front() else { return };
                    let path = broken().join(&name).join(EXPECTED);
                    let expected = std::fs::read_to_string(&path).unwrap();
                    let said = transcript(&name, &expected, &server);
                    if said == expected {
                        continue;
                    }
                    if update {
                        std::fs::write(&path, &said).unwrap();
                    } else {
                        wrong.lock().unwrap().push(format!("## {name}\n\n{said}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "these say something else now:\n\n{}", wrong.join("\n"));
    assert!(count >= 100, "{count} folders");
}

/// What the commands of `expected` print now, in a copy of the folder.
fn transcript(name: &str, expected: &str, server: &SourceServer) -> String {
    let base = TempDir::with_prefix("broken-").unwrap();
    let folder = base.path().join(name);
    copy(&broken().join(name), &folder);
    inputs::make(name, &folder);
    let commands = expected.lines().filter_map(|line| line.strip_prefix("$ "));
    let mut said = String::new();
    for command in commands {
        let sluice = program("sluice");
        let path = format!("{}:/usr/bin:/bin", sluice.parent().unwrap().display());
        let output = Command::new("sh")
            .args(["-c", command])
            .env_clear()
            .env("PATH", path)
            .env("HOME", base.path())
            .env("FOLDER", &folder)
            .env("SERVER", server.url(""))
            .env("LAKE_URI", "lake")
            .env("SLUICE_LOG", "error")
            .env("NOBODY", NOBODY)
            .current_dir(base.path())
            .output()
            .unwrap();
        if !said.is_empty() {
            said.push('\n');
        }
        let _ = writeln!(said, "$ {command}");
        for printed in [output.stderr, output.stdout] {
            said.push_str(&String::from_utf8(printed).unwrap());
        }
        let _ = writeln!(said, "[exit code {}]", output.status.code().unwrap());
    }
    // Lines of pictures end with blanks, which editors remove.
    let said: String = said.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    said.replace(base.path().to_str().unwrap(), "/home/me").replace(&server.url(""), "http://127.0.0.1:8000")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else if entry.file_name() != EXPECTED {
            std::fs::copy(path, target).unwrap();
        }
    }
}
