//! The keys of a running server: read again when their file changes.
//!
//! Contract: the file is looked at once a second, by a task of its own; a request never waits for a disk. A file that is damaged, of a
//! newer format or gone leaves the keys as they were, is logged once and shown by `/readyz` as degraded until it is right again.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use metrics::{counter, gauge};
use secrecy::SecretBox;

use super::book::{Book, Caller, Refusal};
use super::key::random_bytes;
use super::{Error, Rate, file};
use crate::health::Part;
use crate::metrics::{KEYS_ACTIVE, KEYS_READ};
use crate::watched_file::{Fingerprint, LOOK};

/// The secret that signs cursors; shown to nobody.
pub type CursorSecret = Arc<SecretBox<[u8; 32]>>;

/// Reading and writing, for all but the owner.
const OTHERS: u32 = 0o066;

/// A cheap handle on the keys of one file.
#[derive(Debug, Clone)]
pub struct Keys(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: PathBuf,
    default_rate: Option<Rate>,
    now: RwLock<Now>,
}

#[derive(Debug)]
struct Now {
    book: Arc<Book>,
    /// Of the file that was looked at last, whether or not it could be read.
    seen: Option<Fingerprint>,
}

impl Keys {
    /// Reads the file. Where there is none yet, no key opens until there is; a file that cannot be read is an error.
    pub fn open(file: &Path, default_rate: Option<Rate>) -> Result<Self, Error> {
        let (book, seen) = match file::read(file)? {
            Some((store, seen)) => (Book::new(store, default_rate, None), Some(seen)),
            None => (Book::empty(random_bytes()?), None),
        };
        if let Ok(metadata) = std::fs::metadata(file)
            && metadata.permissions().mode() & OTHERS != 0
        {
            tracing::warn!(file = %file.display(), "others may read the API keys' file, which holds the secret that signs cursors");
        }
        let now = RwLock::new(Now { book: Arc::new(book), seen });
        Ok(Self(Arc::new(Inner { file: file.to_owned(), default_rate, now })))
    }

    pub fn file(&self) -> &Path {
        &self.0.file
    }

    /// Whether no key opens anything.
    pub fn are_none(&self) -> bool {
        self.book().active(Utc::now()) == 0
    }

    pub fn verify(&self, text: &str, now: DateTime<Utc>) -> Result<Caller, Refusal> {
        self.book().verify(text, now)
    }

    /// As it is now: it changes only where the file was made anew, and then older cursors are refused.
    pub fn cursor_secret(&self) -> CursorSecret {
        self.book().cursor_secret.clone()
    }

    fn book(&self) -> Arc<Book> {
        self.0.now.read().unwrap_or_else(PoisonError::into_inner).book.clone()
    }

    /// Reads the file again if it is another than the one seen last. `Ok(true)` where it was.
    pub(crate) fn look(&self) -> Result<bool, Error> {
        let at = Fingerprint::at(&self.0.file);
        if at == self.0.now.read().unwrap_or_else(PoisonError::into_inner).seen {
            return Ok(false);
        }
        let read = file::read(&self.0.file);
        let mut now = self.0.now.write().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(Some((store, seen))) => {
                *now = Now { book: Arc::new(Book::new(store, self.0.default_rate, Some(&now.book))), seen: Some(seen) };
                Ok(true)
            }
            Ok(None) => {
                now.seen = None;
                let source = std::io::Error::from(std::io::ErrorKind::NotFound);
                Err(Error::Read { file: self.0.file.display().to_string(), source })
            }
            Err(error) => {
                now.seen = at;
                Err(error)
            }
        }
    }

    /// Looks at the file until it is dropped.
    pub(crate) async fn watch(self, part: Part) {
        self.tell(&part);
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let keys = self.clone();
            let Ok(looked) = tokio::task::spawn_blocking(move || keys.look()).await else { continue };
            match looked {
                // Keys expire while nothing changes.
                Ok(false) => gauge!(KEYS_ACTIVE).set(self.book().active(Utc::now()) as f64),
                Ok(true) => {
                    counter!(KEYS_READ, "result" => "ok").increment(1);
                    tracing::info!(keys = self.book().active(Utc::now()), "API keys read again");
                    self.tell(&part);
                }
                Err(error) => {
                    counter!(KEYS_READ, "result" => "failed").increment(1);
                    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    tracing::error!(%error, cause, "API keys could not be read again; the keys read before still open");
                    part.degraded("the file of keys cannot be read; the keys read before still open");
                }
            }
        }
    }

    fn tell(&self, part: &Part) {
        let active = self.book().active(Utc::now());
        gauge!(KEYS_ACTIVE).set(active as f64);
        if active > 0 {
            part.ok();
        } else {
            tracing::warn!(file = %self.0.file.display(), "no API key opens anything: make one with `sluice keys make --name APPLICATION`");
            part.degraded("there is no key that opens anything");
        }
    }
}
