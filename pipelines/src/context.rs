//! What every stage is handed: the pipeline, its lake, the clock, and who wants to know about progress.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate};
use model::Progress;
use model::clock::Clock;
use model::definition::{Pipeline, Source};
use model::report::StageName;
use model::shutdown::Shutdown;
use model::slice::Slice;
use zones::lake::Lake;
use zones::landing::LandingZone;

use crate::download::{Options, Request};
use crate::recording::Recording;
use crate::remaining::Remaining;

/// Makes the progress of one stage visible.
pub trait Watch: Send + Sync {
    /// Called when a stage starts on a target.
    fn start(&self, stage: StageName, target: &str) -> Box<dyn Progress>;

    /// One line for the user: a state changed.
    fn say(&self, line: &str);
}

/// One run of one pipeline.
#[derive(Clone)]
pub struct Context {
    pub pipeline: Arc<Pipeline>,
    pub lake: Lake,
    pub clock: Clock,
    /// The wall clock of this run in microseconds, read once.
    pub now: i64,
    pub slice: Option<Slice>,
    pub shutdown: Shutdown,
    pub watch: Arc<dyn Watch>,
    /// Told by the runner, for whoever stops it.
    pub remaining: Remaining,
    /// Told by the runner, for whoever looks on.
    pub recording: Recording,
    /// Rows that are sent to Cassandra together; a version is never divided.
    pub send_rows: u64,
}

/// [`Context::send_rows`] unless somebody says otherwise. Many versions at once fill Cassandra's partitions, which is what makes
/// batches cheap; the limit bounds memory (about 100 bytes a row here: of the group that is sent, and twice of the next one
/// while it is encoded).
pub const SEND_ROWS: u64 = 250_000;

impl Context {
    pub fn new(
        pipeline: Arc<Pipeline>,
        lake: Lake,
        clock: Clock,
        slice: Option<Slice>,
        shutdown: Shutdown,
        watch: Arc<dyn Watch>,
    ) -> Self {
        let now = clock.now_micros();
        Self {
            pipeline,
            lake,
            clock,
            now,
            slice,
            shutdown,
            watch,
            remaining: Remaining::default(),
            recording: Recording::default(),
            send_rows: SEND_ROWS,
        }
    }

    /// What this run asks of a source.
    pub fn request<'r>(
        &'r self,
        source: &'r Source,
        zone: &'r LandingZone,
        progress: &'r dyn Progress,
        options: &'r Options,
    ) -> Request<'r> {
        let (clock, today, shutdown) = (&self.clock, self.today(), &self.shutdown);
        Request { source, zone, clock, today, shutdown, progress, options }
    }

    /// The day of the run, in UTC.
    pub fn today(&self) -> NaiveDate {
        DateTime::from_timestamp_micros(self.now).unwrap_or_default().date_naive()
    }
}
