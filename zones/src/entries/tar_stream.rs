//! The entries of a tar, in the order of the archive.
//!
//! A tar has no directory: it is read once from its first byte to its last, packed as a whole or not, and entries that the glob
//! leaves out are read over. What is refused for any entry: names that leave the folder, a name that comes twice. What is
//! refused only for entries that the glob takes: links, devices, sparse files. Folders are passed over.
//!
//! Guarantee: the archive is over at its end mark only, behind which there is nothing but zeros; a file that ends before, be it
//! between two entries, is cut. An entry's reader is good until the next entry is asked for.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use super::compression::unpack_entry;
use super::error::{Defect, Error};
use super::guard::{Budget, Guard, Position, defect_of};
use super::selection::{MAX_ENTRIES, Selection, escapes};
use super::tar_header::{Head, Kind, padding, read_head};
use super::{BUFFER_BYTES, Entry};

pub(super) struct TarEntries {
    path: PathBuf,
    selection: Selection,
    stream: Arc<Mutex<Stream>>,
    /// In the landed file.
    position: Position,
    /// Of what is unpacked from entries that are packed themselves.
    budget: Arc<Budget>,
    count: u64,
    /// Hashes, because names have no useful limit.
    names: HashSet<[u8; 32]>,
    is_over: bool,
}

/// The unpacked archive.
struct Stream {
    reader: BufReader<Guard>,
    /// Of the current entry: its bytes that nobody has read, and what fills up its last block.
    left: u64,
    padding: u64,
    /// Counts the entries: only the newest may be read.
    current: u64,
}

/// The bytes of one entry as they are in the archive.
struct EntryBytes {
    stream: Arc<Mutex<Stream>>,
    number: u64,
}

impl TarEntries {
    /// `archive` yields the unpacked tar; `position` is where its reading has got to in the landed file.
    pub(super) fn new(path: &Path, selection: Selection, archive: Guard, position: Position, budget: Arc<Budget>) -> Self {
        let reader = BufReader::with_capacity(BUFFER_BYTES, archive);
        Self {
            path: path.to_owned(),
            selection,
            stream: Arc::new(Mutex::new(Stream { reader, left: 0, padding: 0, current: 0 })),
            position,
            budget,
            count: 0,
            names: HashSet::new(),
            is_over: false,
        }
    }

    pub(super) fn next_entry(&mut self) -> Option<Result<Entry, Error>> {
        if self.is_over {
            return None;
        }
        let next = self.find_next();
        self.is_over = !matches!(next, Ok(Some(_)));
        next.transpose()
    }

    fn find_next(&mut self) -> Result<Option<Entry>, Error> {
        loop {
            let found = lock(&self.stream).next_head();
            let Some(head) = found.map_err(|error| self.failed(None, &error))? else {
                self.selection.finish().map_err(|defect| Error::new(&self.path, None, defect))?;
                return Ok(None);
            };
            if let Some(name) = self.choose(&head)? {
                return self.open(name).map(Some);
            }
        }
    }

    /// The name of an entry that is to be read.
    fn choose(&mut self, head: &Head) -> Result<Option<String>, Error> {
        self.count += 1;
        if self.count > MAX_ENTRIES {
            let defect = Defect::TooManyEntries { entries: self.count, limit: MAX_ENTRIES };
            return Err(Error::new(&self.path, None, defect));
        }
        if head.kind == Kind::Label {
            return Ok(None);
        }
        let written = String::from_utf8_lossy(&head.name);
        let refused = |defect| Error::new(&self.path, Some(&written), defect);
        if escapes(&written) {
            return Err(refused(Defect::EscapingName));
        }
        if head.kind == Kind::Directory {
            return Ok(None);
        }
        let name = plain(&written);
        if name.is_empty() {
            return Err(refused(Defect::EscapingName));
        }
        if !self.names.insert(Sha256::digest(&name).into()) {
            return Err(refused(Defect::DuplicateName));
        }
        if !self.selection.takes(&name) {
            return Ok(None);
        }
        head.kind.defect().map_or(Ok(Some(name)), |defect| Err(refused(defect)))
    }

    /// Opens the entry; where it is packed itself, one level of that is unpacked as well.
    fn open(&self, name: String) -> Result<Entry, Error> {
        let bytes = EntryBytes { stream: self.stream.clone(), number: lock(&self.stream).current };
        let (reader, is_packed) = unpack_entry(bytes).map_err(|error| self.failed(Some(&name), &error))?;
        // What is not packed itself was limited when the archive was unpacked.
        let budget = if is_packed { self.budget.clone() } else { Arc::new(Budget::unlimited()) };
        let guard = Guard::new(reader, self.position.clone(), budget, &self.path, Some(&name)).of_shared_input();
        Ok(Entry { name, reader: Box::new(guard), file: None })
    }

    fn failed(&self, entry: Option<&str>, error: &io::Error) -> Error {
        Error::new(&self.path, entry, defect_of(error, &self.position))
    }
}

impl fmt::Debug for TarEntries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TarEntries").field("path", &self.path).field("selection", &self.selection).finish_non_exhaustive()
    }
}

/// A name without the parts that mean nothing: `tar` packs a folder as `./a/b`.
fn plain(name: &str) -> String {
    name.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/")
}

fn lock(stream: &Mutex<Stream>) -> MutexGuard<'_, Stream> {
    // A thread that panicked in a decoder leaves a guard that goes on to fail or to read: nothing here is half changed.
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stream {
    fn next_head(&mut self) -> io::Result<Option<Head>> {
        let rest = self.left + self.padding;
        if io::copy(&mut self.reader.by_ref().take(rest), &mut io::sink())? < rest {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (self.left, self.padding) = (0, 0);
        self.current += 1;
        let head = read_head(&mut self.reader)?;
        if let Some(head) = &head {
            self.left = head.size;
            self.padding = padding(head.size);
        }
        Ok(head)
    }
}

impl Read for EntryBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut stream = lock(&self.stream);
        if stream.current != self.number {
            return Err(io::Error::other("the archive was read on to its next entry"));
        }
        let wanted = buffer.len().min(usize::try_from(stream.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let read = stream.reader.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        stream.left -= read as u64;
        Ok(read)
    }
}
