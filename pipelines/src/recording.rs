//! Keeps a run on record while it goes on, for whoever looks on (`zones::runs`).
//!
//! Guarantee: no run fails for it. What cannot be written is said once in the log, and the run goes on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use chrono::{DateTime, Utc};
use model::failure::{Classify, Failure, with_causes};
use model::operations::{OPERATIONS_SCHEMA, RunError, RunRecord, RunState};
use model::report::{RunReport, StageName, StageReport};
use zones::runs::Runs;

use crate::context::Context;
use crate::error::Error;
use crate::runner;

/// The record of the run that goes on; of none before it was begun. Clones share it.
#[derive(Clone, Default)]
pub struct Recording(Arc<Mutex<Option<Open>>>);

struct Open {
    runs: Runs,
    record: RunRecord,
    started: Instant,
    keyspace: Option<String>,
    failed: bool,
}

impl Recording {
    /// From here on the run is on record. The lake must be held.
    pub fn begin(&self, context: &Context, started: Instant, keyspace: Option<String>, stage: Option<StageName>) {
        let runs = Runs::of(&context.lake);
        let command = stage.map_or("run", StageName::name);
        let record = RunRecord {
            schema: OPERATIONS_SCHEMA,
            id: runs.new_id(context.now),
            command: format!("sluice {command} {}", context.pipeline.name),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
            host: zones::hold::host(),
            state: RunState::Running,
            started_at: DateTime::from_timestamp_micros(context.now).unwrap_or_default(),
            ended_at: None,
            error: None,
            attempts: 1,
            report: runner::report(context, keyspace.clone(), started, Vec::new()),
            remaining: context.remaining.all(),
        };
        let mut open = Open { runs, record, started, keyspace, failed: false };
        open.write();
        *self.open() = Some(open);
    }

    /// A stage ended well.
    pub fn stage_ended(&self, context: &Context, report: &StageReport) {
        let mut open = self.open();
        let Some(open) = open.as_mut() else { return };
        let mut stages = std::mem::take(&mut open.record.report.stages);
        stages.push(report.clone());
        open.record.report = runner::report(context, open.keyspace.clone(), open.started, stages);
        open.record.remaining = context.remaining.all();
        open.write();
    }

    /// The run ended, well or not.
    pub fn end(&self, context: &Context, ended: Result<&RunReport, &Error>) {
        let Some(mut open) = self.open().take() else { return };
        open.record.remaining = context.remaining.all();
        open.record.ended_at = Some(Utc::now());
        match ended {
            Ok(report) => {
                open.record.report = report.clone();
                open.record.state = RunState::Done;
            }
            Err(error) => {
                let failure = error.failure();
                open.record.state = if failure == Failure::Interrupted { RunState::Stopped } else { RunState::Failed };
                open.record.error =
                    Some(RunError { message: with_causes(error), hint: error.hint(), exit_code: failure.exit_code() });
            }
        }
        // What is tried again and again, on a full disk say, is told once.
        let before = open.runs.before(&open.record.id).filter(|before| open.record.repeats(before));
        open.record.attempts += before.as_ref().map_or(0, |before| before.attempts);
        open.write();
        if let Err(error) = before.map_or(Ok(()), |before| open.runs.remove(&before.id)).and_then(|()| open.runs.prune()) {
            tracing::warn!(error = with_causes(&error), "old records of runs stay");
        }
    }

    fn open(&self) -> MutexGuard<'_, Option<Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn write(&mut self) {
        match self.runs.write(&self.record) {
            Err(error) if !self.failed => {
                self.failed = true;
                tracing::warn!(error = with_causes(&error), "the run is not on record");
            }
            _ => {}
        }
    }
}
