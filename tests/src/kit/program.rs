//! The real program, for tests of what only a process can show.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use super::TestPipeline;
use crate::cassandra_node;

/// A program of the workspace. `cargo test` builds the test binaries, but not the programs that they start: one that is older
/// than its sources is refused.
pub fn program(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().and_then(Path::parent).unwrap().join(name);
    let built = std::fs::metadata(&program).and_then(|metadata| metadata.modified());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let newest = ["model", "zones", "cassandra", "pipelines"]
        .map(|member| newest_source(&root.join(member).join("src")))
        .into_iter()
        .max();
    let is_current = built.is_ok_and(|built| newest.flatten().is_none_or(|newest| newest <= built));
    assert!(is_current, "{} is missing or older than its sources: run `cargo build --workspace` first", program.display());
    program
}

fn newest_source(folder: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries
        .filter_map(|entry| {
            let path = entry.path();
            if path.is_dir() { newest_source(&path) } else { entry.metadata().and_then(|metadata| metadata.modified()).ok() }
        })
        .max()
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
