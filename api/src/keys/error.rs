//! What can go wrong with the file of keys.

use model::failure::{Classify, Failure};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("read the API keys in {file}")]
    Read { file: String, source: std::io::Error },
    #[error("{file} does not hold API keys: it is damaged, or another program's")]
    Damaged { file: String, source: serde_json::Error },
    #[error("the API keys in {file} have format {found}, and this program knows formats up to {known}")]
    Newer { file: String, found: u64, known: u64 },
    #[error("write the API keys to {file}")]
    Write { file: String, source: std::io::Error },
    #[error("there is no API key `{id}` in {file}")]
    NoKey { id: String, file: String, known: Vec<String> },
    #[error("the API key `{id}` was revoked")]
    Revoked { id: String },
    #[error("the API key `{id}` has expired")]
    Expired { id: String },
    #[error("the system gives no random bytes")]
    Random,
}

impl Classify for Error {
    fn failure(&self) -> Failure {
        match self {
            Self::Write { source, .. } if source.kind() != std::io::ErrorKind::PermissionDenied => Failure::Transient,
            Self::Random => Failure::Bug,
            _ => Failure::Definition,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Read { .. } => "check the path (--keys, API_KEYS) and who may read it".to_owned(),
            Self::Damaged { file, .. } => format!("put a copy of {file} back; without one, move it away and make new keys"),
            Self::Newer { .. } => "use the version of sluice that wrote it, or a newer one".to_owned(),
            Self::NoKey { known, .. } if known.is_empty() => "make one: sluice keys make --name APPLICATION".to_owned(),
            Self::NoKey { known, .. } => format!("choose one of: {}", known.join(", ")),
            Self::Revoked { .. } | Self::Expired { .. } => "make a new one: sluice keys make --name APPLICATION".to_owned(),
            Self::Write { .. } => "check the free space, and who may write to its folder".to_owned(),
            Self::Random => return None,
        })
    }
}
