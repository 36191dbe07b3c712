//! The two ends of every decoder: what goes in is counted, what comes out is limited.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::{Defect, Error};

/// Deflate reaches 1,032:1 at most and event text packs 5:1 to 50:1 with any codec; only files made to do harm get here.
const MAX_RATIO: u64 = 1_000;

/// Below this size a high ratio does no harm: a small file of one repeated line is fine.
const RATIO_FREE_BYTES: u64 = 64 * 1024 * 1024;

/// Limits are looked at this often, however large the buffer that a reader brings.
const MAX_READ_BYTES: usize = 1024 * 1024;

/// How many bytes of the landed file were read, over all entries.
#[derive(Debug, Clone, Default)]
pub struct Consumed(Arc<AtomicU64>);

impl Consumed {
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where in the file the input of one entry is.
#[derive(Debug, Clone)]
pub(super) struct Position {
    start: u64,
    read: Arc<AtomicU64>,
}

impl Position {
    fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    pub(super) fn offset(&self) -> u64 {
        self.start + self.read()
    }
}

/// The bytes of one entry as they are in the file. Marks failures of the file system, so that they are not taken for damage.
#[derive(Debug)]
pub(super) struct Input<R> {
    inner: R,
    position: Position,
    consumed: Consumed,
}

impl<R: Read> Input<R> {
    pub(super) fn new(inner: R, start: u64, consumed: &Consumed) -> Self {
        Self { inner, position: Position { start, read: Arc::default() }, consumed: consumed.clone() }
    }

    /// The same input from its beginning: its bytes were counted as consumed already.
    pub(super) fn again(inner: R, position: &Position) -> Self {
        position.read.store(0, Ordering::Relaxed);
        Self { inner, position: position.clone(), consumed: Consumed::default() }
    }

    pub(super) fn position(&self) -> Position {
        self.position.clone()
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.inner.read(buffer) {
                Ok(read) => {
                    self.position.read.fetch_add(read as u64, Ordering::Relaxed);
                    self.consumed.0.fetch_add(read as u64, Ordering::Relaxed);
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Defect::of_file_system(&error).into_io()),
            }
        }
    }
}

/// What all entries of a file together may unpack to.
#[derive(Debug)]
pub(super) struct Budget {
    limit: u64,
    spent: AtomicU64,
}

impl Budget {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, spent: AtomicU64::new(0) }
    }

    /// For bytes that are not packed, or whose unpacking was limited already.
    pub(super) fn unlimited() -> Self {
        Self::new(u64::MAX)
    }
}

/// The unpacked bytes of one entry: limited in size and ratio, and with errors that name their place. A reader that has failed
/// stays failed.
pub(super) struct Guard {
    inner: Box<dyn Read + Send>,
    position: Position,
    budget: Arc<Budget>,
    file: PathBuf,
    entry: Option<String>,
    unpacked: u64,
    state: State,
}

enum State {
    Reading,
    AtEnd,
    Failed(Error),
}

impl Guard {
    pub(super) fn new(
        inner: Box<dyn Read + Send>,
        position: Position,
        budget: Arc<Budget>,
        file: &Path,
        entry: Option<&str>,
    ) -> Self {
        let entry = entry.map(str::to_owned);
        Self { inner, position, budget, file: file.to_owned(), entry, unpacked: 0, state: State::Reading }
    }

    /// For entries that share one input, as those of a tar: the ratio is that of all that was unpacked under the budget.
    pub(super) fn of_shared_input(self) -> Self {
        let unpacked = self.budget.spent.load(Ordering::Relaxed);
        Self { unpacked, ..self }
    }

    fn fail(&mut self, defect: Defect) -> io::Error {
        let error = Error::new(&self.file, self.entry.as_deref(), defect);
        self.state = State::Failed(error.clone());
        io::Error::new(io::ErrorKind::InvalidData, error)
    }

    fn account(&mut self, read: u64) -> Result<(), Defect> {
        self.unpacked += read;
        let spent = self.budget.spent.fetch_add(read, Ordering::Relaxed) + read;
        if spent > self.budget.limit {
            return Err(Defect::TooLarge { limit: self.budget.limit });
        }
        let packed = self.position.read();
        if self.unpacked > RATIO_FREE_BYTES && self.unpacked / MAX_RATIO > packed {
            return Err(Defect::Ratio { unpacked: self.unpacked, packed, limit: MAX_RATIO });
        }
        Ok(())
    }
}

impl Read for Guard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.state {
            State::Reading if !buffer.is_empty() => {}
            State::Reading | State::AtEnd => return Ok(0),
            State::Failed(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error.clone())),
        }
        let end = buffer.len().min(MAX_READ_BYTES);
        match self.inner.read(&mut buffer[..end]) {
            Ok(0) => {
                self.state = State::AtEnd;
                Ok(0)
            }
            Ok(read) => match self.account(read as u64) {
                Ok(()) => Ok(read),
                Err(defect) => Err(self.fail(defect)),
            },
            Err(error) => {
                let defect = defect_of(&error, &self.position);
                Err(self.fail(defect))
            }
        }
    }
}

/// What a decoder's error means. Only a decoder reports an unexpected end: the input below it never does.
pub(super) fn defect_of(error: &io::Error, position: &Position) -> Defect {
    if let Some(defect) = error.get_ref().and_then(|inner| inner.downcast_ref::<Defect>()) {
        return defect.clone();
    }
    // Of the guard around the archive that the entry is in.
    if let Some(error) = Error::from_read(error) {
        return error.defect;
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Defect::Truncated { at: position.offset() },
        _ => Defect::Damaged { at: position.offset(), reason: error.to_string() },
    }
}
