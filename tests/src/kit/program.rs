//! The real program, for tests of what only a process can show.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use super::TestPipeline;
use crate::cassandra_node;

/// A program of the workspace. `cargo test` builds the test binaries, but not the programs that they start: one that is older
/// than a source that cargo noted for it is refused.
pub fn program(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().and_then(Path::parent).unwrap().join(name);
    let built = std::fs::metadata(&program).and_then(|metadata| metadata.modified());
    let noted = std::fs::read_to_string(program.with_extension("d")).unwrap_or_default();
    let is_current = built.is_ok_and(|built| !noted.is_empty() && sources(&noted).all(|source| modified(&source) <= Some(built)));
    assert!(is_current, "{} is missing or older than its sources: run `cargo build --workspace` first", program.display());
    program
}

/// The sources in a file of cargo's: `PROGRAM: SOURCE SOURCE ...`, blanks in paths behind a backslash.
fn sources(noted: &str) -> impl Iterator<Item = PathBuf> {
    let (_, sources) = noted.split_once(": ").unwrap_or_default();
    let marked = sources.trim().replace("\\ ", "\0");
    let paths: Vec<PathBuf> = marked.split(' ').map(|path| PathBuf::from(path.replace('\0', " "))).collect();
    paths.into_iter()
}

/// `None` for what is gone: cargo will see that by itself.
fn modified(source: &Path) -> Option<SystemTime> {
    std::fs::metadata(source).and_then(|metadata| metadata.modified()).ok()
}

impl TestPipeline {
    /// `sluice ARGUMENTS` in the environment of this pipeline and in no other.
    pub async fn sluice(&self, arguments: &[&str]) -> Command {
        let hosts = cassandra_node::hosts().await;
        let mut command = Command::new(program("sluice"));
        command
            .args(arguments)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "HOME"))
            .env("SESSION_EVENTS_URL", self.url())
            .env("SLUICE_PIPELINES", self.definition().parent().unwrap())
            .env("LAKE_URI", self.base.path().join("lake"))
            .env("CASSANDRA_HOST", hosts.to_string())
            .env("CASSANDRA_KEYSPACE", &self.keyspace)
            .current_dir(self.base.path());
        command
    }
}
