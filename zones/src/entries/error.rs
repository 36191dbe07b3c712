//! Why a landed file could not be read to its end.

use std::io;
use std::path::{Path, PathBuf};

use model::{Classify, Failure};

use crate::landing::failure_of;

/// A defect and its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {defect}", place(file, entry.as_deref()))]
pub struct Error {
    pub file: PathBuf,
    /// The path inside the archive, where the defect is one entry's.
    pub entry: Option<String>,
    pub defect: Defect,
}

fn place(file: &Path, entry: Option<&str>) -> String {
    match entry {
        Some(entry) => format!("{}, entry `{entry}`", file.display()),
        None => file.display().to_string(),
    }
}

/// What is wrong. Offsets are bytes from the beginning of the landed file, exact to one buffer (256 KiB).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    #[error("cannot be read: {reason}")]
    FileSystem { kind: io::ErrorKind, reason: String },
    #[error("`{pattern}` is not a pattern for entries: {reason}")]
    Pattern { pattern: String, reason: String },
    #[error("is not {expected}, as the landing says, but {found}")]
    OtherCompression { expected: &'static str, found: &'static str },
    #[error("is not a whole zip archive: {reason}")]
    NotAnArchive { reason: String },
    #[error("holds {entries} entries, more than {limit}")]
    TooManyEntries { entries: u64, limit: u64 },
    #[error("holds two entries of one name")]
    DuplicateNames,
    #[error("comes twice in the archive")]
    DuplicateName,
    #[error("the name would leave the archive's folder")]
    EscapingName,
    #[error("is a symbolic link")]
    SymbolicLink,
    #[error("is {what}")]
    NotAFile { what: &'static str },
    #[error("is a sparse file, which is not read")]
    Sparse,
    #[error("is encrypted")]
    Encrypted,
    #[error("is packed by zip method {method}, which is not read")]
    Method { method: String },
    #[error("shares its bytes with entry `{other}`")]
    Overlap { other: String },
    #[error("is an archive inside the archive")]
    NestedArchive,
    #[error("no entry matches `{pattern}`; there are: {}", names.join(", "))]
    NoMatch { pattern: String, names: Vec<String> },
    #[error("unpacks to more than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("unpacked {unpacked} bytes from {packed}, more than {limit}:1")]
    Ratio { unpacked: u64, packed: u64, limit: u64 },
    #[error("ends in the middle, at byte {at}")]
    Truncated { at: u64 },
    #[error("is damaged at about byte {at}: {reason}")]
    Damaged { at: u64, reason: String },
    #[error("unpacks to {found} bytes where the archive's directory says {declared}")]
    WrongSize { declared: u64, found: u64 },
    #[error("unpacks to other bytes than were packed: CRC-32 {found:08x} instead of {declared:08x}")]
    WrongChecksum { declared: u32, found: u32 },
}

impl Defect {
    pub(super) fn of_file_system(error: &io::Error) -> Self {
        Self::FileSystem { kind: error.kind(), reason: error.to_string() }
    }

    /// As an error that passes through decoders unchanged.
    pub(super) fn into_io(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self)
    }
}

impl Error {
    pub(super) fn new(file: &Path, entry: Option<&str>, defect: Defect) -> Self {
        Self { file: file.to_owned(), entry: entry.map(str::to_owned), defect }
    }

    /// The error that a reader of an [`super::Entry`] reported.
    ///
    /// `None` where the `io::Error` comes from somewhere else.
    pub fn from_read(error: &io::Error) -> Option<Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()).cloned()
    }

    fn landed_folder(&self) -> std::path::Display<'_> {
        self.file.parent().unwrap_or(&self.file).display()
    }
}

impl Classify for Error {
    fn failure(&self) -> Failure {
        match &self.defect {
            Defect::FileSystem { kind, .. } => failure_of(*kind),
            Defect::Pattern { .. } => Failure::Definition,
            _ => Failure::Data,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match &self.defect {
            Defect::FileSystem { kind: io::ErrorKind::NotFound, .. }
            | Defect::Truncated { .. }
            | Defect::Damaged { .. }
            | Defect::NotAnArchive { .. }
            | Defect::WrongSize { .. }
            | Defect::WrongChecksum { .. } => format!(
                "it came like this from its source: once it is whole there, run again; if it is not fetched again then, delete the folder {} first",
                self.landed_folder()
            ),
            Defect::OtherCompression { .. } => {
                "set `compression = \"auto\"` in the landing, or the one that the file has".to_owned()
            }
            Defect::Pattern { .. } | Defect::NoMatch { .. } => "correct `entries` in the landing".to_owned(),
            Defect::TooLarge { .. } => "raise `max_unpacked_bytes` in the landing if the size is right".to_owned(),
            Defect::Method { .. } => "pack the source with stored, deflate, bzip2, zstd or xz entries".to_owned(),
            Defect::Encrypted => "pack the source without a password".to_owned(),
            Defect::NestedArchive => "pack the files themselves, not archives of them".to_owned(),
            Defect::Sparse => "pack the source again without tar's option `--sparse`".to_owned(),
            Defect::FileSystem { .. } => return None,
            Defect::TooManyEntries { .. }
            | Defect::DuplicateNames
            | Defect::DuplicateName
            | Defect::EscapingName
            | Defect::SymbolicLink
            | Defect::NotAFile { .. }
            | Defect::Overlap { .. }
            | Defect::Ratio { .. } => "do not trust this file: ask its sender how it was made".to_owned(),
        };
        Some(hint)
    }
}
