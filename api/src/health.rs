//! Whether the server can answer, part by part.
//!
//! Contract: `/livez` answers 200 as long as requests are answered at all. `/readyz` answers 200 while no part is down, and names each
//! part. A part that is *degraded* works on what it had before: it is shown and does not take the server out of rotation, since what
//! degraded it (a damaged file, say) would take all servers out at once. A reason is read by whoever asks, without a key, so it is
//! a sentence of the program itself: no host, address or file can be in it. The log has those.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Extension;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::problem::AsItIs;

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Ok,
    Degraded(&'static str),
    Down(&'static str),
}

/// All parts; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, State>>>);

/// One part: whoever runs it says how it is.
#[derive(Debug, Clone)]
pub struct Part {
    name: &'static str,
    all: Readiness,
}

impl Readiness {
    /// Adds a part, which is down until it says otherwise.
    pub fn part(&self, name: &'static str) -> Part {
        let part = Part { name, all: self.clone() };
        part.down("not started yet");
        part
    }

    pub fn is_ready(&self) -> bool {
        !self.lock().values().any(|state| matches!(state, State::Down(_)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, State>> {
        // A map is whole between any two of its operations.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer of `/readyz`.
    pub fn ready_response(&self) -> Response {
        #[derive(Serialize)]
        struct Shown {
            status: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            reason: Option<&'static str>,
        }
        let shown = |state: &State| match state {
            State::Ok => Shown { status: "ok", reason: None },
            State::Degraded(reason) => Shown { status: "degraded", reason: Some(reason) },
            State::Down(reason) => Shown { status: "down", reason: Some(reason) },
        };
        let parts: BTreeMap<_, _> = self.lock().iter().map(|(name, state)| (*name, shown(state))).collect();
        let is_ready = parts.values().all(|part| part.status != "down");
        let status = if is_ready { "ok" } else { "unavailable" };
        answer(is_ready, &serde_json::json!({ "status": status, "parts": parts }))
    }

    /// The answer of `/health`: the same in a word.
    pub fn health_response(&self) -> Response {
        let is_ready = self.is_ready();
        answer(is_ready, &serde_json::json!({ "status": if is_ready { "ok" } else { "unavailable" } }))
    }
}

/// The answer of `/livez`.
pub(crate) fn live_response() -> Response {
    answer(true, &serde_json::json!({ "status": "ok" }))
}

fn answer(is_ok: bool, document: &serde_json::Value) -> Response {
    let status = if is_ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let headers = [(CACHE_CONTROL, "no-store"), (CONTENT_TYPE, "application/json")];
    (status, Extension(AsItIs), headers, document.to_string()).into_response()
}

impl Part {
    pub fn ok(&self) {
        self.set(State::Ok);
    }

    /// It works on what it had before.
    pub fn degraded(&self, reason: &'static str) {
        self.set(State::Degraded(reason));
    }

    pub fn down(&self, reason: &'static str) {
        self.set(State::Down(reason));
    }

    fn set(&self, state: State) {
        self.all.lock().insert(self.name, state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_ready_when_no_part_is_down() {
        let readiness = Readiness::default();
        let (cassandra, keys) = (readiness.part("cassandra"), readiness.part("keys"));
        keys.ok();
        assert!(!readiness.is_ready(), "a part that said nothing is down");
        cassandra.ok();
        assert!(readiness.is_ready());
        keys.degraded("its file is damaged");
        assert!(readiness.is_ready(), "what works on its last state does not take the server out");
        cassandra.down("no node answers");
        assert!(!readiness.is_ready());
    }
}
