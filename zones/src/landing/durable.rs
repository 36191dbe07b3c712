//! Writes that survive a crash: a file is whole under its name, or not there.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use model::crash;

use super::Error;

/// Creates the folder and those above it; each new name is synced into its parent.
pub(super) fn create_folder(path: &Path) -> Result<(), Error> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(path);
    create_folder(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(Error::io("create", path)(error)),
        _ => sync_folder(if parent.as_os_str().is_empty() { Path::new(".") } else { parent }),
    }
}

/// Makes the names inside the folder durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", path))
}

/// Replaces the file in one step: beside it first, synced, then renamed.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let beside = path.with_added_extension("tmp");
    crash::point("landing/note-write:before");
    let mut file = File::create(&beside).map_err(Error::io("create", &beside))?;
    file.write_all(bytes).map_err(Error::io("write", &beside))?;
    crash::point("landing/note-write:after");
    crash::point("landing/note-sync:before");
    file.sync_all().map_err(Error::io("write", &beside))?;
    crash::point("landing/note-sync:after");
    crash::point("landing/note-rename:before");
    fs::rename(&beside, path).map_err(Error::io("rename into place", path))?;
    let synced = path.parent().map_or(Ok(()), sync_folder);
    crash::point("landing/note-rename:after");
    synced
}

/// The file's bytes; `None` where there is none.
pub(super) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// Removes the file if it is there.
pub(super) fn remove_if_there(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}
