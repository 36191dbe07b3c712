//! How fresh each table is, asked of Cassandra at most once a second, whatever the load.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cassandra::lookup::{self, Freshness, FreshnessLookup};
use chrono::{DateTime, Utc};
use model::definition::PipelineClock;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// An answer may be as old as this without knowing it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is known of the tables of a pipeline.
pub(crate) struct Freshnesses {
    lookup: FreshnessLookup,
    tables: HashMap<String, Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    at: Option<Instant>,
    freshness: Option<Arc<Freshness>>,
}

impl Freshnesses {
    pub(crate) fn new(lookup: FreshnessLookup, tables: impl Iterator<Item = String>) -> Self {
        Self { lookup, tables: tables.map(|table| (table, Mutex::default())).collect() }
    }

    /// How fresh a table is; `None` where nothing was sent there yet. Callers that ask at the same time share one read.
    pub(crate) async fn of(&self, table: &str, deadline: Instant) -> Result<Option<Arc<Freshness>>, lookup::Error> {
        let Some(known) = self.tables.get(table) else { return Ok(None) };
        let mut known = known.lock().await;
        if known.at.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            let asked = Instant::now();
            known.freshness = self.lookup.read(table, deadline).await?.map(Arc::new);
            known.at = Some(asked);
        }
        Ok(known.freshness.clone())
    }
}

/// What "now" is, in milliseconds since 1970.
pub(crate) fn now(clock: PipelineClock, freshness: Option<&Freshness>) -> i64 {
    let wall = || Utc::now().timestamp_millis();
    match clock {
        PipelineClock::Wall => wall(),
        PipelineClock::Fixed(instant) => DateTime::timestamp_millis(&instant),
        // A table that nothing was sent to has no rows at any time.
        PipelineClock::NewestEvent => freshness.and_then(|freshness| freshness.newest_event).unwrap_or_else(wall),
    }
}
