//! Python with the packages of a list in `scripts/`, in an environment outside of the repository that all clones share.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail a test as the tests themselves do")]

use std::path::Path;
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
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = Command::new("bash")
        .args(["-c", "source scripts/lib.sh && python_tools \"$0\"", list])
        .current_dir(tests.parent().unwrap())
        .stderr(Stdio::inherit())
        .output()
        .expect("there is a bash");
    assert!(found.status.success(), "no Python with the packages of {list}: `scripts/install.sh tools` says what is missing");
    let mut command = Command::new(Path::new(&String::from_utf8(found.stdout).unwrap()).join("bin/python"));
    command.arg(tests.join("python").join(name));
    command
}
