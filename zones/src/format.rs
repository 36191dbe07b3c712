//! Which format a pipeline's part of a lake has: `_sluice/<pipeline>/format.json`.
//!
//! Guarantee: a program works only on formats that it knows. An older one is brought up by the first command that writes, step by
//! step, each of which may be repeated; a newer one is refused before anything is read or written. A lake without the file has
//! format 1, so a file that was lost costs a repeated step and nothing else. docs/decisions/0007-format.md lists the formats.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use model::crash;
use serde::{Deserialize, Serialize};

use crate::error::Error;

pub(crate) const FILE: &str = "format.json";

/// What this program writes.
pub const FORMAT: u32 = 2;

/// What every lake had before it said so.
const FIRST: u32 = 1;

/// The lock of format 1.
const OLD_LOCK: &str = "run.lock";

#[derive(Debug, Serialize, Deserialize)]
struct Format {
    format: u32,
    /// The program that brought it there, for people.
    made_by: String,
}

/// Fails where the folder has a newer format than this program knows.
pub(crate) fn expect_known(state: &Path) -> Result<(), Error> {
    read(state).map(|_| ())
}

/// Brings the folder to this program's format. The caller holds the lake.
pub(crate) fn upgrade(state: &Path) -> Result<(), Error> {
    let found = read(state)?;
    if found == FORMAT {
        return Ok(());
    }
    if found == FIRST {
        from_first(state)?;
    }
    write(state)
}

fn read(state: &Path) -> Result<u32, Error> {
    let path = state.join(FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(FIRST),
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    let format: Format = serde_json::from_slice(&bytes)
        .map_err(|error| Error::Damaged { path: path.display().to_string(), problem: format!("it names no format: {error}") })?;
    if format.format > FORMAT {
        let path = state.display().to_string();
        return Err(Error::NewerFormat { path, format: format.format, made_by: format.made_by, known: FORMAT });
    }
    Ok(format.format)
}

/// Format 1 was held by a lock on one file. A program of that time may be at work still.
fn from_first(state: &Path) -> Result<(), Error> {
    let path = state.join(OLD_LOCK);
    let Ok(lock) = File::open(&path) else { return Ok(()) };
    if let Err(fs::TryLockError::WouldBlock) = lock.try_lock() {
        let holder = fs::read_to_string(&path).unwrap_or_default();
        return Err(Error::Held { path: state.display().to_string(), holder: holder.trim().to_owned() });
    }
    fs::remove_file(&path).map_err(Error::io("remove", &path))
}

fn write(state: &Path) -> Result<(), Error> {
    let path: PathBuf = state.join(FILE);
    let beside = state.join("format.json.part");
    let format = Format { format: FORMAT, made_by: concat!("sluice ", env!("CARGO_PKG_VERSION")).to_owned() };
    let json = serde_json::to_vec_pretty(&format).expect("only string keys");
    let mut file = File::create(&beside).map_err(Error::io("write", &beside))?;
    file.write_all(&json).and_then(|()| file.sync_all()).map_err(Error::io("write", &beside))?;
    crash::point("format/rename:before");
    fs::rename(&beside, &path).map_err(Error::io("write", &path))?;
    crash::point("format/rename:after");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_format_is_brought_up_and_a_newer_one_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(OLD_LOCK), "process 1").unwrap();
        upgrade(folder.path()).unwrap();
        assert_eq!(read(folder.path()).unwrap(), FORMAT);
        assert!(!folder.path().join(OLD_LOCK).exists());
        upgrade(folder.path()).unwrap();

        let newer = r#"{"format": 3, "made_by": "sluice 7.0.0", "more": true}"#;
        fs::write(folder.path().join(FILE), newer).unwrap();
        for refused in [expect_known(folder.path()), upgrade(folder.path())] {
            let error = refused.unwrap_err();
            assert!(matches!(&error, Error::NewerFormat { format: 3, made_by, .. } if made_by == "sluice 7.0.0"), "{error}");
        }
        assert_eq!(fs::read_to_string(folder.path().join(FILE)).unwrap(), newer);
    }

    /// Who upgrades while an older program is at work must not take the lake from under it.
    #[test]
    fn a_program_of_the_first_format_that_is_at_work_is_not_passed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(OLD_LOCK);
        fs::write(&path, "process 4711").unwrap();
        let lock = File::open(&path).unwrap();
        lock.try_lock().unwrap();
        let error = upgrade(folder.path()).unwrap_err();
        assert!(matches!(&error, Error::Held { holder, .. } if holder == "process 4711"), "{error}");
        drop(lock);
        upgrade(folder.path()).unwrap();
    }
}
