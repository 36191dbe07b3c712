//! Python with the packages of `scripts/data-tools.txt`, in an environment outside of the repository that all clones share.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail a test as the tests themselves do")]

use std::path::Path;
use std::process::{Command, Stdio};

/// A script of `tests/python/`, to be given its arguments. The first call on a machine fetches the packages from the Python index, unless
/// `make test` has done so.
pub fn script(name: &str) -> Command {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = Command::new("bash")
        .args(["-c", "source scripts/lib.sh && python_tools scripts/data-tools.txt"])
        .current_dir(tests.parent().unwrap())
        .stderr(Stdio::inherit())
        .output()
        .expect("there is a bash");
    assert!(found.status.success(), "no Python with deltalake and duckdb: `scripts/install.sh tools` says what is missing");
    let mut command = Command::new(Path::new(&String::from_utf8(found.stdout).unwrap()).join("bin/python"));
    command.arg(tests.join("python").join(name));
    command
}
