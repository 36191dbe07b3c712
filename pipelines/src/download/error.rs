//! What can go wrong between a source and the landing zone. URLs in here are shown ones: no credentials, no query.

use std::fmt::Write;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use model::definition::TooManyDates;
use model::failure::with_causes;
use model::{Classify, Failure, Interrupted};
use reqwest::StatusCode;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot fetch from {url}: {reason}")]
    Address { url: String, reason: String },
    #[error("set up the HTTP client")]
    Client { source: reqwest::Error },
    #[error("header {name} of source {source_name} cannot be sent")]
    Header { source_name: String, name: String },
    #[error("{url} answered {status}")]
    Status { url: String, status: StatusCode },
    #[error("{url} redirects in a circle, back to {to}")]
    RedirectCircle { url: String, to: String },
    #[error("{url} redirects more than {limit} times, last to {to}")]
    TooManyRedirects { url: String, to: String, limit: usize },
    #[error("{url} redirects to {to}, which is not followed: {reason}")]
    RedirectRefused { url: String, to: String, reason: &'static str },
    #[error("{url} sends its content encoded as `{encoding}` although asked not to")]
    Encoding { url: String, encoding: String },
    #[error("{url} has sha256 {found}; the definition pins {expected}")]
    Hash { url: String, expected: String, found: String },
    #[error("{url} could not be fetched: {}", tried(*attempts, *kept))]
    GaveUp { url: String, attempts: u32, kept: u64, source: Trouble },
    #[error("{url} asks to be left alone for {} s", wait.as_secs())]
    Postponed { url: String, wait: Duration, source: Trouble },
    #[error("{step} {}", path.display())]
    File { step: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is not a file", path.display())]
    NotAFile { path: PathBuf },
    #[error("{} was changed while it was read", path.display())]
    ChangedWhileRead { path: PathBuf },
    #[error("no file matches {pattern}")]
    NoFile { pattern: String },
    #[error("source {source_name} has two urls that only differ in their credentials: {url}")]
    SameLocation { source_name: String, url: String },
    #[error("source {source_name}")]
    Dates { source_name: String, source: TooManyDates },
    #[error("{} of {of} urls of {source_name} could not be fetched{}:{}", failed.len(), untried(*not_tried), listed(failed))]
    Several {
        source_name: String,
        of: usize,
        /// Each says its url.
        failed: Vec<Error>,
        /// Left out after many that failed in a row.
        not_tried: usize,
    },
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    #[error(transparent)]
    Landing(#[from] zones::landing::Error),
}

/// Why an attempt failed in a way that may pass. Each is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error("the server answered {status}")]
    Status { status: StatusCode, retry_after: Option<Duration> },
    #[error("no answer: {}", root(error))]
    NoAnswer { error: reqwest::Error },
    #[error("the body broke off after {got} bytes{}: {}", of_total(*total), root(error))]
    Broken { got: u64, total: Option<u64>, error: reqwest::Error },
    #[error("the body ended after {got} of {total} bytes")]
    Short { got: u64, total: u64 },
    #[error("not a byte came for {} s", silent.as_secs_f64())]
    Stalled { silent: Duration },
    #[error("the server sent another part than the one from byte {asked} on")]
    OtherPart { asked: u64 },
    #[error("the server answered {status}, which it was not asked for")]
    Unasked { status: StatusCode },
    #[error("the server has nothing from byte {asked} on")]
    NoSuchPart { asked: u64 },
}

/// How many failures an error lists.
const LISTED: usize = 20;

/// The one place where errors are shown with their causes before the end: there is more than one.
fn listed(failed: &[Error]) -> String {
    let mut lines = String::new();
    for error in failed.iter().take(LISTED) {
        let _ = write!(lines, "\n    {}", with_causes(error));
    }
    if failed.len() > LISTED {
        let _ = write!(lines, "\n    and {} more", failed.len() - LISTED);
    }
    lines
}

fn untried(not_tried: usize) -> String {
    if not_tried == 0 { String::new() } else { format!(" and {not_tried} were not tried") }
}

/// What a person has to act on comes before what may pass by itself.
fn severity(failure: Failure) -> u8 {
    match failure {
        Failure::Bug => 4,
        Failure::Definition => 3,
        Failure::Data => 2,
        Failure::Transient => 1,
        Failure::Interrupted => 0,
    }
}

fn worst(failed: &[Error]) -> Option<&Error> {
    failed.iter().rev().max_by_key(|error| severity(error.failure()))
}

fn tried(attempts: u32, kept: u64) -> String {
    match kept {
        0 => format!("{attempts} attempts failed"),
        kept => format!("{attempts} attempts in a row brought nothing new, {kept} bytes are kept"),
    }
}

/// The cause of all causes: those before it say that something was asked for, which is known.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let said = cause.to_string();
    said.split(" (os error").next().unwrap_or(&said).to_ascii_lowercase()
}

fn of_total(total: Option<u64>) -> String {
    total.map_or_else(String::new, |total| format!(" of {total}"))
}

impl Trouble {
    /// How long the server wants to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl Classify for Error {
    fn failure(&self) -> Failure {
        match self {
            Self::Address { .. }
            | Self::Client { .. }
            | Self::Header { .. }
            | Self::Status { .. }
            | Self::RedirectCircle { .. }
            | Self::TooManyRedirects { .. }
            | Self::RedirectRefused { .. }
            | Self::Encoding { .. }
            | Self::NotAFile { .. }
            | Self::NoFile { .. }
            | Self::SameLocation { .. }
            | Self::Dates { .. } => Failure::Definition,
            Self::Several { failed, .. } => worst(failed).map_or(Failure::Bug, Error::failure),
            Self::Hash { .. } => Failure::Data,
            Self::GaveUp { .. } | Self::Postponed { .. } | Self::ChangedWhileRead { .. } => Failure::Transient,
            Self::File { source, .. } => match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Failure::Definition,
                _ => Failure::Transient,
            },
            Self::Interrupted(_) => Failure::Interrupted,
            Self::Landing(error) => error.failure(),
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Address { .. } => "give the source an http://, https:// or file:// url, or a path",
            Self::Client { .. } => "install the system's CA certificates (Debian: ca-certificates)",
            Self::Header { .. } => "check the header's name, and its value for line breaks",
            Self::Status { status, .. } => match status.as_u16() {
                401 | 403 | 407 => "check the credentials: the source's `headers`, or the url itself",
                404 | 410 => "check the source's `url`; where some may be missing, set `on_missing = \"skip\"`",
                _ => "check the source's `url` and `headers`",
            },
            Self::RedirectCircle { .. } | Self::TooManyRedirects { .. } | Self::RedirectRefused { .. } => {
                "give the source the url that the file is really at"
            }
            Self::Encoding { .. } => "serve the file as it is, without a content encoding",
            Self::Hash { .. } => "set the source's `sha256` to the new value if this content is the right one",
            Self::GaveUp { .. } => "see whether the address is right and the server can be reached from here, then run again",
            Self::ChangedWhileRead { .. } => "run again later",
            Self::Postponed { .. } => "run again after that time",
            Self::NotAFile { path } => {
                return Some(format!("name the file in it, or all of them with a pattern: file://{}/*", path.display()));
            }
            Self::File { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => {
                    "check the path in the source's `url` (`file:///absolute/path`); where there may be no file, set `on_missing = \"skip\"`"
                }
                io::ErrorKind::PermissionDenied => "let this user read the file and the folders above it",
                _ => "see whether the disk or the share that holds the file is well, then run again",
            },
            Self::NoFile { .. } => "check the source's `url`; where there may be no file, set `on_missing = \"skip\"`",
            Self::SameLocation { .. } => "make a source of each",
            Self::Dates { .. } => "check `from` in the source's `dates`",
            Self::Several { failed, .. } => {
                let of_worst = worst(failed).and_then(Error::hint);
                return of_worst.map(|hint| format!("{hint}; the others have landed, and are not fetched again"));
            }
            Self::Interrupted(_) => return None,
            Self::Landing(error) => return error.hint(),
        };
        Some(hint.to_owned())
    }
}
