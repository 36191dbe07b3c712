//! How fresh each table is, asked of Cassandra at most once a second, whatever the load.
//!
//! Contract: what an answer says of a table was true at most two seconds before. Of the requests that find it older than one second, one
//! asks and the others go on with what is known, so that no more than one of them waits for it; only where nothing is known, or that
//! is too old, all wait for the one that asks.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::http::HeaderValue;
use cassandra::lookup::{self, Freshness, FreshnessLookup, timestamp_text};
use chrono::{DateTime, Utc};
use model::definition::PipelineClock;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::cursor::Fingerprint;

/// After so long it is asked again.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// An answer may be as old as this without knowing it.
const OLDEST: Duration = Duration::from_secs(2);

/// What answers say of a table, written once for all of them until it is asked again.
#[derive(Debug)]
pub(crate) struct Fresh {
    newest_event: Option<i64>,
    /// Over whatever a run changes.
    pub(crate) tag: Fingerprint,
    pub(crate) version: HeaderValue,
    pub(crate) event_time: Option<HeaderValue>,
    /// `as_of` of an answer in JSON.
    pub(crate) json: String,
}

impl From<Freshness> for Fresh {
    fn from(freshness: Freshness) -> Self {
        let Freshness { version, updated_at, newest_event, .. } = freshness;
        let event_time = newest_event.and_then(timestamp_text);
        Self {
            newest_event,
            tag: Fingerprint::of([format!("{freshness:?}").as_bytes()]),
            version: HeaderValue::from(version),
            event_time: event_time.as_deref().and_then(|text| HeaderValue::from_str(text).ok()),
            json: json!({ "version": version, "event_time": event_time, "written_at": timestamp_text(updated_at) }).to_string(),
        }
    }
}

/// What is known of the tables of a pipeline.
pub(crate) struct Freshnesses {
    lookup: FreshnessLookup,
    tables: HashMap<String, Table>,
}

#[derive(Default)]
struct Table {
    known: RwLock<Option<Known>>,
    /// Held by the one that asks.
    asking: Mutex<()>,
}

#[derive(Clone)]
struct Known {
    at: Instant,
    fresh: Option<Arc<Fresh>>,
}

impl Table {
    fn known(&self, within: Duration) -> Option<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone().filter(|known| known.at.elapsed() < within)
    }
}

impl Freshnesses {
    pub(crate) fn new(lookup: FreshnessLookup, tables: impl Iterator<Item = String>) -> Self {
        Self { lookup, tables: tables.map(|table| (table, Table::default())).collect() }
    }

    /// How fresh a table is; `None` where nothing was sent there yet.
    pub(crate) async fn of(&self, table: &str, deadline: Instant) -> Result<Option<Arc<Fresh>>, lookup::Error> {
        let Some(kept) = self.tables.get(table) else { return Ok(None) };
        if let Some(known) = kept.known(LOOK_EVERY) {
            return Ok(known.fresh);
        }
        let _asking = match kept.asking.try_lock() {
            Ok(asking) => asking,
            Err(_) => match kept.known(OLDEST) {
                Some(known) => return Ok(known.fresh),
                None => kept.asking.lock().await,
            },
        };
        // Another may have asked while this one waited.
        if let Some(known) = kept.known(LOOK_EVERY) {
            return Ok(known.fresh);
        }
        let at = Instant::now();
        let fresh = self.lookup.read(table, deadline).await?.map(|freshness| Arc::new(Fresh::from(freshness)));
        *kept.known.write().unwrap_or_else(PoisonError::into_inner) = Some(Known { at, fresh: fresh.clone() });
        Ok(fresh)
    }
}

/// What "now" is, in milliseconds since 1970.
pub(crate) fn now(clock: PipelineClock, fresh: Option<&Fresh>) -> i64 {
    let wall = || Utc::now().timestamp_millis();
    match clock {
        PipelineClock::Wall => wall(),
        PipelineClock::Fixed(instant) => DateTime::timestamp_millis(&instant),
        // A table that nothing was sent to has no rows at any time.
        PipelineClock::NewestEvent => fresh.and_then(|fresh| fresh.newest_event).unwrap_or_else(wall),
    }
}
