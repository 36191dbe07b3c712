//! Files that are there whole or not at all.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Writes a file beside its place, syncs it and renames it into its place; until then, whatever was there stays. On failure
/// nothing is left behind (a killed process leaves a `.part`). The folder must exist. Everybody may read the file: another
/// user, such as the one of a container, may be the one who serves it.
pub fn put_in_place<T>(path: &Path, write: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<T>) -> io::Result<T> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().suffix(".part").permissions(Permissions::from_mode(0o644)).tempfile_in(folder)?;
    let mut out = BufWriter::with_capacity(1024 * 1024, file.as_file_mut());
    let written = write(&mut out)?;
    out.flush()?;
    drop(out);
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(written)
}
