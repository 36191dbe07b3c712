//! Programs of others, outside of the repository where all clones share them: Python with the packages of a list in `scripts/`,
//! Prometheus' promtool.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail a test as the tests themselves do")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Lists of packages.
#[derive(Debug, Clone, Copy)]
pub enum Tools {
    /// deltalake, DuckDB, the driver of Cassandra.
    Data,
    /// What the document of the API is held against.
    Contract,
}

/// A script of `tests/python/`, to be given its arguments. The first call on a machine fetches the packages from the Python index, unless
/// `make test` has done so.
pub fn script(tools: Tools, name: &str) -> Command {
    let list = match tools {
        Tools::Data => "scripts/data-tools.txt",
        Tools::Contract => "scripts/contract-tools.txt",
    };
    let tools = path_said_by(&format!("python_tools {list}"));
    let mut command = Command::new(tools.join("bin/python"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(name));
    command
}

/// Prometheus' promtool, to be given its arguments. The first call on a machine without it fetches it.
pub fn promtool() -> Command {
    Command::new(path_said_by("promtool_path"))
}

/// What a function of `scripts/lib.sh` says on stdout.
fn path_said_by(function: &str) -> PathBuf {
    let said = Command::new("bash")
        .args(["-c", &format!("source scripts/lib.sh && {function}")])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
        .stderr(Stdio::inherit())
        .output()
        .expect("there is a bash");
    assert!(said.status.success(), "{function} of scripts/lib.sh failed: what it said is above");
    String::from_utf8(said.stdout).unwrap().trim().into()
}
