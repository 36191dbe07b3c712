//! A disk of its own for a lake: small, grown as wanted, read-only as wanted.
//!
//! It is a tmpfs in a mount namespace that a shell holds; both go when the shell does, also where a test is killed.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub(super) struct SmallDisk {
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    folder: PathBuf,
    /// For a user who is not root, the namespace has users of its own.
    with_users: bool,
}

impl SmallDisk {
    /// `None` where this user may not mount anything.
    pub(super) fn at(folder: &Path, kib: u64) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        [false, true].into_iter().find_map(|with_users| {
            let mut command = Command::new("unshare");
            command.arg("--mount");
            if with_users {
                command.arg("--map-root-user");
            }
            let spawned = command.arg("sh").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
            let mut shell = spawned.ok()?;
            let (input, output) = (shell.stdin.take().unwrap(), BufReader::new(shell.stdout.take().unwrap()));
            let mut disk = Self { shell, input, output, folder: folder.to_owned(), with_users };
            disk.does(&format!("mount -t tmpfs -o size={kib}k tmpfs \"$DISK\"")).then_some(disk)
        })
    }

    /// A command of the shell; whether it went well.
    fn does(&mut self, command: &str) -> bool {
        let folder = self.folder.display();
        let asked = writeln!(self.input, "DISK='{folder}'; if {command} >/dev/null; then echo yes; else echo no; fi");
        let mut answer = String::new();
        asked.is_ok() && self.output.read_line(&mut answer).is_ok() && answer.trim() == "yes"
    }

    pub(super) fn resize(&mut self, kib: u64) {
        assert!(self.does(&format!("mount -o remount,size={kib}k \"$DISK\"")));
    }

    pub(super) fn make(&mut self, access: &str) {
        assert!(self.does(&format!("mount -o remount,{access} \"$DISK\"")));
    }

    /// What is on it, where all can see it.
    pub(super) fn copy_to(&mut self, folder: &Path) {
        let _ = std::fs::remove_dir_all(folder);
        assert!(self.does(&format!("cp -a \"$DISK\" '{}'", folder.display())));
    }

    /// A program that sees the disk.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.shell.id().to_string(), "--mount"]);
        if self.with_users {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--").arg(program);
        command
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
