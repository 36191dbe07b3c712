//! What can go wrong with landed files.

use std::io;
use std::path::{Path, PathBuf};

use model::shutdown::Interrupted;
use model::{Classify, Failure};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{step} {}", path.display())]
    Io { step: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is not a receipt", path.display())]
    BadReceipt { path: PathBuf, source: serde_json::Error },
    #[error("{} says it is receipt {sequence} of {source_name}, which is not where it lies", path.display())]
    MisplacedReceipt { path: PathBuf, source_name: String, sequence: u64 },
    #[error("another process is landing files of {source_name}")]
    Locked { source_name: String, path: PathBuf },
    #[error("the file of receipt {sequence} of {source_name} is gone: {}", path.display())]
    Lost { source_name: String, sequence: u64, path: PathBuf },
    #[error("the file of receipt {sequence} of {source_name} has {found} bytes instead of {expected}: {}", path.display())]
    WrongSize { source_name: String, sequence: u64, path: PathBuf, expected: u64, found: u64 },
    #[error("the file of receipt {sequence} of {source_name} has sha256 {found} instead of {expected}: {}", path.display())]
    WrongContent { source_name: String, sequence: u64, path: PathBuf, expected: String, found: String },
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Error {
    pub(super) fn io(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { step, path, source }
    }
}

/// The kind of a file-system failure: what a person has to put right is `Definition`, what passes by itself `Transient`.
pub(crate) fn failure_of(kind: io::ErrorKind) -> Failure {
    use io::ErrorKind as Kind;
    match kind {
        Kind::NotFound | Kind::PermissionDenied | Kind::ReadOnlyFilesystem | Kind::NotADirectory | Kind::IsADirectory => {
            Failure::Definition
        }
        Kind::StorageFull
        | Kind::QuotaExceeded
        | Kind::FileTooLarge
        | Kind::TimedOut
        | Kind::StaleNetworkFileHandle
        | Kind::ResourceBusy
        | Kind::Interrupted => Failure::Transient,
        _ => Failure::Bug,
    }
}

/// The folder of a landed file, for hints.
fn folder_of(file: &Path) -> std::path::Display<'_> {
    file.parent().unwrap_or(file).display()
}

impl Classify for Error {
    fn failure(&self) -> Failure {
        match self {
            Self::Io { source, .. } => failure_of(source.kind()),
            Self::Locked { .. } => Failure::Transient,
            Self::Interrupted(_) => Failure::Interrupted,
            Self::BadReceipt { .. }
            | Self::MisplacedReceipt { .. }
            | Self::Lost { .. }
            | Self::WrongSize { .. }
            | Self::WrongContent { .. } => Failure::Definition,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Io { path, source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                    Some(format!("free space where {} lies and run again: what has arrived so far is kept", path.display()))
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    Some(format!("make {} writable for the user that runs this", path.display()))
                }
                _ => None,
            },
            Self::Interrupted(_) => None,
            Self::Locked { .. } => Some("wait until the other run has ended".to_owned()),
            Self::Lost { path, .. } | Self::WrongSize { path, .. } | Self::WrongContent { path, .. } => Some(format!(
                "delete the folder {} and run again: if the source still has these bytes they land under the same number; \
                 rows that were loaded from it stay, records that were not are lost with it",
                folder_of(path)
            )),
            Self::BadReceipt { path, .. } | Self::MisplacedReceipt { path, .. } => {
                Some(format!("restore the receipt, or delete the folder {} and run again", folder_of(path)))
            }
        }
    }
}
