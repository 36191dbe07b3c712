//! The real program, for tests of what only a process can show.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::{TestPipeline, address};

static BUILT: OnceLock<()> = OnceLock::new();

/// A program of the workspace, up to date: `cargo test` builds test binaries, but not the programs that they start.
pub fn program(name: &str) -> PathBuf {
    BUILT.get_or_init(|| {
        let Some(cargo) = std::env::var_os("CARGO") else { return };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let status = Command::new(cargo).args(["build", "--workspace", "--quiet"]).current_dir(root).status().unwrap();
        assert!(status.success(), "cargo build --workspace: {status}");
    });
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().and_then(Path::parent).unwrap().join(name);
    assert!(program.exists(), "{} is missing: run `cargo build --workspace` first", program.display());
    program
}

impl TestPipeline {
    /// `sluice ARGUMENTS` in the environment of this pipeline and in no other.
    pub async fn sluice(&self, arguments: &[&str]) -> Command {
        let node = address().await;
        let mut command = Command::new(program("sluice"));
        command
            .args(arguments)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "HOME"))
            .env("SESSION_EVENTS_URL", self.url())
            .env("SLUICE_PIPELINES", self.definition().parent().unwrap())
            .env("LAKE_URI", self.base.path().join("lake"))
            .env("CASSANDRA_HOST", node.host)
            .env("CASSANDRA_PORT", node.port.to_string())
            .env("CASSANDRA_KEYSPACE", &self.keyspace)
            .current_dir(self.base.path());
        command
    }
}
