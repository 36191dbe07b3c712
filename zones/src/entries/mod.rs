//! A landed file as entries: what a loader reads records from.
//!
//! A file without an archive is one entry under its own name; a zip is its entries that match the landing's glob, in order of
//! name. Compression is seen from the first bytes where the landing says `auto`, and one level deep inside a zip as well. A
//! file without bytes is one entry without bytes.
//!
//! Guarantee: each entry is read to its very end (all members of a gzip, all streams of a bz2, zst or xz file), with its
//! checksums compared; a file that is cut, damaged, hostile or larger than allowed is an error and never looks like an end.
//! Memory is bounded whatever the file: some buffers, the decoder's window, and the names in a zip's directory. A large bzip2
//! file is decoded on several threads, some 10 MB each.
//! Never: writes an entry anywhere, follows a link, or reads an entry that the glob leaves out.
//!
//! Everything here blocks and belongs on a blocking thread. Errors while reading arrive as [`std::io::Error`] with an
//! [`Error`] inside; [`Error::from_read`] takes it out.

mod archive;
mod bzip2_blocks;
mod bzip2_parallel;
mod compression;
mod error;
mod guard;
mod member;

pub use error::{Defect, Error};
pub use guard::Consumed;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::definition::Landing;

use archive::Member;
use compression::{Codec, Shape};
use guard::{Budget, Guard, Input};

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

/// The entries of a landed file, opened one after the other.
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
    Nothing,
}

/// Opens a landed file. Reads its first bytes, and a zip's directory; nothing is unpacked yet.
pub fn open(path: &Path, landing: &Landing) -> Result<Entries, Error> {
    let limit = landing.max_unpacked_bytes;
    let (rest, limit) = match compression::shape(path, landing.compression)? {
        Shape::Zip => (Rest::Zip(archive::members(path, &landing.entries, limit)?.into_iter()), limit),
        // What is not packed cannot unpack to more than what landed.
        Shape::File(Codec::None) => (Rest::File(Codec::None), u64::MAX),
        Shape::File(codec) => (Rest::File(codec), limit),
    };
    Ok(Entries { path: path.to_owned(), budget: Arc::new(Budget::new(limit)), consumed: Consumed::default(), rest })
}

impl Entries {
    /// Tells, from any thread, how many bytes of the landed file were read so far.
    pub fn consumed(&self) -> Consumed {
        self.consumed.clone()
    }

    fn open_file(&self, codec: Codec) -> Result<Entry, Error> {
        let failed = |error: std::io::Error| Error::new(&self.path, None, Defect::of_file_system(&error));
        let file = File::open(&self.path).map_err(failed)?;
        let workers = bzip2_parallel::workers(file.metadata().map_err(failed)?.len());
        let (unpacked, position): (Box<dyn Read + Send>, _) = if codec == Codec::Bzip2 && workers > 1 {
            let (reader, position) = bzip2_parallel::open(&self.path, workers, &self.consumed).map_err(failed)?;
            (Box::new(reader), position)
        } else {
            let input = Input::new(file, 0, &self.consumed);
            let position = input.position();
            (codec.decode(BufReader::with_capacity(BUFFER_BYTES, input)).map_err(failed)?, position)
        };
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let reader = Guard::new(unpacked, position, self.budget.clone(), &self.path, None);
        let file = (codec == Codec::None).then(|| self.path.clone());
        Ok(Entry { name, reader: Box::new(reader), file })
    }

    fn open_member(&self, member: Member) -> Result<Entry, Error> {
        let (unpacked, position) = member::open(&self.path, &member, &self.consumed)?;
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
            Rest::Nothing => None,
        }
    }
}

#[cfg(test)]
mod tests;
