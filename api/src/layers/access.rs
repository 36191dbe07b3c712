//! Who asks, whether they may, and how often.
//!
//! Contract: one answer for every key that does not open, whatever is wrong with it. A wrong key counts against the address that it came
//! from; a right one passes from there all the same, so that nobody behind a shared address is locked out by a neighbour. Requests
//! without a right key never use up what others may do.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName};
use chrono::Utc;
use metrics::counter;
use secrecy::SecretBox;

use super::limit::{FailureLimiter, TotalLimiter};
use super::{Access, Known, Peer};
use crate::keys::live::CursorSecret;
use crate::keys::{Caller, Error, Keys, Rate, Refusal};
use crate::metrics::{KEYS_REFUSED, RATE_LIMITED};
use crate::problem::{Code, Problem};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Whom the server answers.
#[derive(Debug, Clone)]
pub enum Admission {
    /// Those with a key of this file.
    Keys(Keys),
    /// Everybody. The secret signs cursors; it ends with the process.
    Anonymous(CursorSecret),
}

impl Admission {
    /// Everybody, with a new secret for cursors.
    pub fn anonymous() -> Result<Self, Error> {
        Ok(Self::Anonymous(Arc::new(SecretBox::new(Box::new(crate::keys::random_secret()?)))))
    }

    /// The secret that signs cursors, as it is now.
    pub fn cursor_secret(&self) -> CursorSecret {
        match self {
            Self::Keys(keys) => keys.cursor_secret(),
            Self::Anonymous(secret) => secret.clone(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Gate {
    admission: Admission,
    pipeline: String,
    total: Option<TotalLimiter>,
    failures: FailureLimiter,
}

/// Who passed, and how many requests may follow at once.
pub(crate) struct Passed {
    pub(crate) caller: Caller,
    taken: Option<u32>,
}

/// A refusal, and whom it concerns where that is known.
pub(crate) struct Stopped {
    pub(crate) problem: Problem,
    pub(crate) caller: Option<Caller>,
    wait: Option<Duration>,
}

impl From<Problem> for Stopped {
    fn from(problem: Problem) -> Self {
        Self { problem, caller: None, wait: None }
    }
}

impl Gate {
    pub(crate) fn new(admission: Admission, pipeline: String, total: Option<Rate>, failures: Rate) -> Self {
        Self { admission, pipeline, total: total.map(TotalLimiter::new), failures: FailureLimiter::new(failures) }
    }

    pub(crate) fn pass(&self, request: &Request, known: Option<&Known>) -> Result<Passed, Stopped> {
        let caller = self.caller(request)?;
        let stopped = |problem: Problem, wait| Stopped { problem, caller: Some(caller.clone()), wait };
        let taken = match caller.limiter.as_ref().map(|limiter| limiter.take()).transpose() {
            Ok(taken) => taken,
            Err(wait) => {
                counter!(RATE_LIMITED, "key" => caller.key_id.clone()).increment(1);
                let problem = Problem::new(Code::RateLimited, "more requests than this key may make").retry_after(wait);
                return Err(stopped(problem, Some(wait)));
            }
        };
        if let Some(Err(wait)) = self.total.as_ref().map(TotalLimiter::take) {
            let problem = Problem::new(Code::RateLimited, "more requests than the server takes of all keys").retry_after(wait);
            return Err(stopped(problem, None));
        }
        let may = match known {
            Some(Known { access: Access::Scoped, name, .. }) => caller.may(&self.pipeline, name),
            Some(Known { access: Access::Open, .. }) => true,
            // Where nothing is, there is nothing to open; but only a key of this pipeline learns that.
            Some(Known { access: Access::AnyKey, .. }) | None => caller.may_pipeline(&self.pipeline),
        };
        if !may {
            return Err(stopped(Problem::new(Code::Forbidden, "the scope of this key does not name this endpoint"), None));
        }
        Ok(Passed { caller, taken })
    }

    fn caller(&self, request: &Request) -> Result<Caller, Problem> {
        let Admission::Keys(keys) = &self.admission else { return Ok(Caller::anonymous()) };
        let refusal = match presented(request.headers()) {
            Presented::Nothing => {
                let detail = "send a key: Authorization: Bearer KEY, or X-API-Key: KEY";
                return Err(Problem::new(Code::Unauthorized, detail));
            }
            Presented::Unclear => Refusal::Malformed,
            Presented::Key(text) => match keys.verify(text, Utc::now()) {
                Ok(caller) => return Ok(caller),
                Err(refusal) => refusal,
            },
        };
        counter!(KEYS_REFUSED, "reason" => refusal.name()).increment(1);
        let peer = request.extensions().get::<Peer>();
        if let Some(Err(wait)) = peer.map(|peer| self.failures.take(peer.0.ip())) {
            return Err(Problem::new(Code::RateLimited, "too many wrong keys from this address").retry_after(wait));
        }
        Err(Problem::new(Code::Unauthorized, "the key does not open anything here"))
    }
}

impl Passed {
    /// Where nobody is asked who they are.
    pub(crate) fn nobody() -> Self {
        Self { caller: Caller::anonymous(), taken: None }
    }

    pub(crate) fn describe(&self, headers: &mut HeaderMap) {
        if let (Some(limiter), Some(left)) = (&self.caller.limiter, self.taken) {
            limiter.describe(Ok(left), headers);
        }
    }
}

impl Stopped {
    /// Refused after it was known who asks.
    pub(crate) fn of(problem: Problem, caller: &Caller) -> Self {
        Self { problem, caller: Some(caller.clone()), wait: None }
    }

    pub(crate) fn describe(&self, headers: &mut HeaderMap) {
        let limiter = self.caller.as_ref().and_then(|caller| caller.limiter.as_ref());
        if let (Some(limiter), Some(wait)) = (limiter, self.wait) {
            limiter.describe(Err(wait), headers);
        }
    }
}

enum Presented<'a> {
    Nothing,
    /// Not text, or more than one key: it is not for the server to choose.
    Unclear,
    Key(&'a str),
}

fn presented(headers: &HeaderMap) -> Presented<'_> {
    let bearers = headers.get_all(AUTHORIZATION).iter().map(|value| (true, value));
    let mut all = bearers.chain(headers.get_all(API_KEY).iter().map(|value| (false, value)));
    let (is_bearer, value) = match (all.next(), all.next()) {
        (None, _) => return Presented::Nothing,
        (Some(one), None) => one,
        (Some(_), Some(_)) => return Presented::Unclear,
    };
    let Ok(text) = value.to_str() else { return Presented::Unclear };
    if !is_bearer {
        return Presented::Key(text.trim());
    }
    match text.split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => Presented::Key(key.trim()),
        _ => Presented::Unclear,
    }
}
