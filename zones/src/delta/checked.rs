//! Checksums of data files, in their names: `part-...-c000.crc-1a2b3c4d.zstd.parquet`.
//!
//! A Parquet file has no checksum that is looked at when it is read, and a flipped bit in it may well unpack to other rows. So
//! each file that Sluice writes is named after the CRC-32 of its bytes, and compared with it before its rows are used, once in a
//! process. Files of other writers have no such name and are read as they are.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use deltalake::kernel::Add;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::Table;
use crate::error::Error;

/// Stands before the checksum in a name.
const MARK: &str = ".crc-";
const DIGITS: usize = 8;

/// Paths of files that were compared with their checksum.
pub(super) type Checked = Arc<Mutex<HashSet<Path>>>;

/// The name with the checksum of these bytes, before its first ending.
pub(super) fn named(name: &str, bytes: &[u8]) -> String {
    marked(name, crc32fast::hash(bytes))
}

fn marked(name: &str, crc: u32) -> String {
    let (stem, endings) = name.split_at(name.find('.').unwrap_or(name.len()));
    format!("{stem}{MARK}{crc:08x}{endings}")
}

/// The checksum that a file is named after.
fn checksum_of(path: &Path) -> Option<u32> {
    let (_, behind) = path.filename()?.split_once(MARK)?;
    let digits = behind.get(..DIGITS)?;
    u32::from_str_radix(digits, 16).ok()
}

impl Table {
    /// Names files that were just written after their bytes. No commit names them yet.
    pub(super) async fn named_after_content(&self, mut adds: Vec<Add>) -> Result<Vec<Add>, Error> {
        let store = self.log_store().object_store(None);
        for add in &mut adds {
            let path = Path::parse(&add.path).unwrap_or_else(|_| Path::from(add.path.as_str()));
            let in_file = |error: object_store::Error| Error::writing(self.name(), path.as_ref())(error);
            let crc = crc_of(store.as_ref(), &path).await.map_err(in_file)?;
            let (folder, name) =
                add.path.rsplit_once('/').map_or((None, add.path.as_str()), |(folder, name)| (Some(folder), name));
            let name = marked(name, crc);
            let to = folder.map_or_else(|| name.clone(), |folder| format!("{folder}/{name}"));
            let place = Path::parse(&to).unwrap_or_else(|_| Path::from(to.as_str()));
            store.rename(&path, &place).await.map_err(in_file)?;
            add.path = to;
        }
        Ok(adds)
    }

    /// Compares a file with the checksum in its name, where it has one and was not compared before.
    pub async fn check_file(&self, path: &Path) -> Result<(), Error> {
        let Some(expected) = checksum_of(path) else { return Ok(()) };
        if self.checked().contains(path) {
            return Ok(());
        }
        let external = |error: object_store::Error| parquet::errors::ParquetError::External(Box::new(error));
        let store = self.inner.object_store();
        let found = crc_of(store.as_ref(), path).await.map_err(external).map_err(Error::file(self.name(), path.as_ref()))?;
        if found != expected {
            let problem = format!("its checksum is {found:08x}, and its name says {expected:08x}");
            return Err(Error::DamagedFile { table: self.name().to_owned(), path: path.to_string(), problem });
        }
        self.checked().insert(path.clone());
        Ok(())
    }

    fn checked(&self) -> std::sync::MutexGuard<'_, HashSet<Path>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn crc_of(store: &dyn ObjectStore, path: &Path) -> Result<u32, object_store::Error> {
    let mut hasher = crc32fast::Hasher::new();
    let mut bytes = store.get(path).await?.into_stream();
    while let Some(bytes) = bytes.try_next().await? {
        hasher.update(&bytes);
    }
    Ok(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_read_back_from_the_name() {
        for name in ["part-00000-ab-c000.zstd.parquet", "cdc-1.zstd.parquet", "plain"] {
            let path = Path::from(format!("day=2016-11-04/{}", named(name, b"rows")));
            assert_eq!(checksum_of(&path), Some(crc32fast::hash(b"rows")), "{path}");
        }
        for name in ["part-00000-ab-c000.zstd.parquet", "part.crc-12.parquet", "part.crc-nothexno.parquet"] {
            assert_eq!(checksum_of(&Path::from(name)), None, "{name}");
        }
    }
}
