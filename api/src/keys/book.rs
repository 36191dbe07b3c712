//! The keys as a server asks them: does this key open, whose is it, how much may it do.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use chrono::{DateTime, Utc};
use secrecy::SecretBox;

use super::file::{Record, Store};
use super::key::{Hash, Presented};
use super::{Rate, Scope};
use crate::layers::limit::Limiter;

/// All keys of a file, as it was at one time.
pub struct Book {
    keys: HashMap<String, Entry>,
    pub(super) cursor_secret: Arc<SecretBox<[u8; 32]>>,
}

struct Entry {
    record: Record,
    caller: Caller,
}

/// Who asks. Handlers find it in the request's extensions.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The key's id; `anonymous` where keys are not asked for.
    pub key_id: Arc<str>,
    pub(crate) scope: Option<Arc<Scope>>,
    pub(crate) limiter: Option<Arc<Limiter>>,
}

/// Why a key does not open. The caller hears the same of all; the log tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Malformed,
    Unknown,
    WrongSecret,
    Revoked,
    Expired,
}

impl Refusal {
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::WrongSecret => "wrong_secret",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

/// No text has this hash, as far as anybody knows.
const NOBODYS: Hash = [0; 32];

impl Book {
    pub(super) fn new(store: Store, default_rate: Option<Rate>, before: Option<&Self>) -> Self {
        let entry = |record: Record| {
            let rate = record.rate.or(default_rate);
            // A limiter goes on counting through a change of the file, so that a change gives nobody a fresh allowance.
            let kept = before.and_then(|book| book.keys.get(&record.id)).and_then(|entry| entry.caller.limiter.clone());
            let limiter = match (rate, kept) {
                (None, _) => None,
                (Some(rate), Some(kept)) if kept.rate() == rate => Some(kept),
                (Some(rate), _) => Some(Arc::new(Limiter::new(rate))),
            };
            let caller = Caller { key_id: record.id.as_str().into(), scope: Some(Arc::new(record.scope.clone())), limiter };
            (record.id.clone(), Entry { record, caller })
        };
        Self {
            cursor_secret: Arc::new(SecretBox::new(Box::new(store.cursor_secret))),
            keys: store.keys.into_iter().map(entry).collect(),
        }
    }

    pub(super) fn empty(cursor_secret: [u8; 32]) -> Self {
        Self { keys: HashMap::new(), cursor_secret: Arc::new(SecretBox::new(Box::new(cursor_secret))) }
    }

    /// Keys that open something at `now`.
    pub fn active(&self, now: DateTime<Utc>) -> usize {
        self.keys.values().filter(|entry| entry.record.state(now) == "active").count()
    }

    /// Whose the key is. Takes the same work for an unknown id as for a known one.
    pub fn verify(&self, text: &str, now: DateTime<Utc>) -> Result<Caller, Refusal> {
        let presented = Presented::parse(text).ok_or(Refusal::Malformed)?;
        let hash = presented.hash();
        let entry = self.keys.get(presented.id);
        let nobody = [(NOBODYS, None)];
        let fits = |(kept, ends): (Hash, Option<DateTime<Utc>>)| {
            let is_equal = verify_slices_are_equal(&kept, &hash).is_ok();
            is_equal & ends.is_none_or(|ends| ends > now)
        };
        // Every secret is compared, whichever fits.
        let is_right = match entry {
            Some(entry) => {
                entry.record.secrets.iter().map(|kept| fits((kept.sha256, kept.ends))).fold(false, |one, other| one | other)
            }
            None => nobody.into_iter().map(fits).fold(false, |one, other| one | other),
        };
        let entry = entry.ok_or(Refusal::Unknown)?;
        if !is_right {
            return Err(Refusal::WrongSecret);
        }
        match entry.record.state(now) {
            "revoked" => Err(Refusal::Revoked),
            "expired" => Err(Refusal::Expired),
            _ => Ok(entry.caller.clone()),
        }
    }
}

impl Caller {
    /// Where nobody is asked for a key.
    pub(crate) fn anonymous() -> Self {
        Self { key_id: "anonymous".into(), scope: None, limiter: None }
    }

    pub fn may(&self, pipeline: &str, endpoint: &str) -> bool {
        self.scope.as_ref().is_none_or(|scope| scope.opens(pipeline, endpoint))
    }

    pub fn may_pipeline(&self, pipeline: &str) -> bool {
        self.scope.as_ref().is_none_or(|scope| scope.opens_pipeline(pipeline))
    }
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Book").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}
