//! A landed file as entries: what a loader reads records from.
//!
//! A file without an archive is one entry under its own name; an archive is its entries that match the landing's glob: those of
//! a zip in order of name, those of a tar in the order of the archive. Compression is seen from the first bytes where the
//! landing says `auto`, and one level deep inside an archive as well; a tar may be packed as a whole besides. A file without
//! bytes is one entry without bytes.
//!
//! Guarantee: each entry is read to its very end (all members of a gzip, all streams of a bz2, zst or xz file), with its
//! checksums compared; a file that is cut, damaged, hostile or larger than allowed is an error and never looks like an end.
//! Memory is bounded whatever the file: some buffers, the decoder's window, and the names in an archive. A large bzip2 file is
//! decoded on several threads, some 10 MB each.
//! Never: writes an entry anywhere, follows a link, or reads an entry that the glob leaves out.
//!
//! Everything here blocks and belongs on a blocking thread. Errors while reading arrive as [`std::io::Error`] with an
//! [`Error`] inside; [`Error::from_read`] takes it out.

mod bzip2_blocks;
mod bzip2_parallel;
mod compression;
mod error;
mod guard;
mod selection;
mod tar_header;
mod tar_stream;
mod zip_directory;
mod zip_member;

pub use error::{Defect, Error};
pub use guard::Consumed;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::definition::Landing;

use compression::{Codec, Shape};
use guard::{Budget, Guard, Input, Position};
use selection::Selection;
use tar_stream::TarEntries;
use zip_directory::Member;

/// How much of a file is read at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// One entry, ready to be read from its beginning.
pub struct Entry {
    /// The path inside the archive; without one, the landed file's name.
    pub name: String,
    /// The entry's bytes, unpacked. Unbuffered: read with a large buffer.
    pub reader: Box<dyn Read + Send>,
    /// The landed file itself, where it is the entry as it lies.
    pub file: Option<PathBuf>,
}

/// The entries of a landed file, opened one after the other. A reader of one is good until the next is asked for.
#[derive(Debug)]
pub struct Entries {
    path: PathBuf,
    budget: Arc<Budget>,
    consumed: Consumed,
    rest: Rest,
}

#[derive(Debug)]
enum Rest {
    File(Codec),
    Zip(std::vec::IntoIter<Member>),
    Tar(Box<TarEntries>),
    Nothing,
}

/// Opens a landed file. Reads its first bytes, and a zip's directory; nothing else is unpacked yet.
pub fn open(path: &Path, landing: &Landing) -> Result<Entries, Error> {
    let limit = landing.max_unpacked_bytes;
    let shape = compression::shape(path, landing.compression)?;
    // What is not packed cannot unpack to more than what landed.
    let is_packed = !matches!(shape, Shape::File(Codec::None) | Shape::Tar(Codec::None));
    let budget = Arc::new(if is_packed { Budget::new(limit) } else { Budget::unlimited() });
    let consumed = Consumed::default();
    let rest = match shape {
        Shape::File(codec) => Rest::File(codec),
        Shape::Zip => {
            let selection = Selection::new(path, &landing.entries)?;
            Rest::Zip(zip_directory::members(path, selection, limit)?.into_iter())
        }
        Shape::Tar(codec) => {
            let selection = Selection::new(path, &landing.entries)?;
            let (unpacked, position) = unpacked(path, codec, &consumed)?;
            let archive = Guard::new(unpacked, position.clone(), budget.clone(), path, None);
            let entries = TarEntries::new(path, selection, archive, position, Arc::new(Budget::new(limit)));
            Rest::Tar(Box::new(entries))
        }
    };
    Ok(Entries { path: path.to_owned(), budget, consumed, rest })
}

/// The landed file's bytes, unpacked as a whole.
fn unpacked(path: &Path, codec: Codec, consumed: &Consumed) -> Result<(Box<dyn Read + Send>, Position), Error> {
    let failed = |error: std::io::Error| Error::new(path, None, Defect::of_file_system(&error));
    let file = File::open(path).map_err(failed)?;
    let workers = bzip2_parallel::workers(file.metadata().map_err(failed)?.len());
    if codec == Codec::Bzip2 && workers > 1 {
        let (reader, position) = bzip2_parallel::open(path, workers, consumed).map_err(failed)?;
        return Ok((Box::new(reader), position));
    }
    let input = Input::new(file, 0, consumed);
    let position = input.position();
    Ok((codec.decode(BufReader::with_capacity(BUFFER_BYTES, input)).map_err(failed)?, position))
}

impl Entries {
    /// Tells, from any thread, how many bytes of the landed file were read so far.
    pub fn consumed(&self) -> Consumed {
        self.consumed.clone()
    }

    fn open_file(&self, codec: Codec) -> Result<Entry, Error> {
        let (unpacked, position) = unpacked(&self.path, codec, &self.consumed)?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let reader = Guard::new(unpacked, position, self.budget.clone(), &self.path, None);
        let file = (codec == Codec::None).then(|| self.path.clone());
        Ok(Entry { name, reader: Box::new(reader), file })
    }

    fn open_member(&self, member: Member) -> Result<Entry, Error> {
        let (unpacked, position) = zip_member::open(&self.path, &member, &self.consumed)?;
        let reader = Guard::new(unpacked, position, self.budget.clone(), &self.path, Some(&member.name));
        Ok(Entry { name: member.name, reader: Box::new(reader), file: None })
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match std::mem::replace(&mut self.rest, Rest::Nothing) {
            Rest::File(codec) => Some(self.open_file(codec)),
            Rest::Zip(mut members) => {
                let member = members.next()?;
                self.rest = Rest::Zip(members);
                Some(self.open_member(member))
            }
            Rest::Tar(mut entries) => {
                let entry = entries.next_entry()?;
                self.rest = Rest::Tar(entries);
                Some(entry)
            }
            Rest::Nothing => None,
        }
    }
}

#[cfg(test)]
mod tests;
