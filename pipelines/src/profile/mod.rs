//! `--profile FILE`: where the time of a run goes, as a trace that a browser's trace viewer opens (docs/performance.md).
//!
//! What is measured are `tracing` spans of our own crates. A span with the target [`STEP`] is one step of a stage: it is drawn in
//! the row of its stage, below the step that it belongs to, from when it began to when it ended, waits included. One with the
//! target [`THREAD`] is work that a thread does beside that, and is drawn in the row of its thread. A name that begins with
//! `wait for` is time in which nothing was done for this step. The field `of` says what is worked on. An event with the target
//! [`STEP`] sets the counter that its message names. Each field is drawn as it is named.
//!
//! Guarantee: at each instant the file is whole JSON, also after a run that failed, was told to stop, or was killed; what a killed
//! run lacks are the last moments. Steps that had not ended are marked as such. Without the option no span is made: its cost is a
//! comparison. Never: fails a run for a profile that cannot be written on; that is said at the end.

mod counters;
mod layer;
mod trace;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::commands;
use crate::context::Watch;
use crate::error::Error;
use counters::Counters;
pub(crate) use layer::{Ours, Spans};
use trace::Trace;

/// The target of spans that are steps, and of events that are counters.
const STEP: &str = "profile";
/// The target of spans that are work of one thread.
const THREAD: &str = "profile::thread";
/// What the names of waits begin with.
const WAIT: &str = "wait for";

/// Of the one run of this process: for whoever ends it from outside of the work.
static CURRENT: OnceLock<Arc<Trace>> = OnceLock::new();

/// A profile that is being written; closed when dropped.
pub struct Profile {
    trace: Arc<Trace>,
    counters: Counters,
}

impl Profile {
    /// Begins to write. What is in the file is lost.
    pub fn start(path: &Path, command: &str) -> Result<Self, Error> {
        let trace = Trace::create(path, command).map_err(|error| Error::Semantics {
            place: format!("--profile {}", path.display()),
            problem: error.to_string(),
            hint: Some("name a file in a folder that is there and that you may write to".to_owned()),
        })?;
        let trace = Arc::new(trace);
        let _ = CURRENT.set(Arc::clone(&trace));
        Ok(Self { counters: Counters::start(Arc::clone(&trace)), trace })
    }

    /// For the logs' subscriber: what makes events of spans.
    pub(crate) fn spans(&self) -> Spans {
        Spans::new(Arc::clone(&self.trace))
    }

    /// The same watch; the profile counts what it is told.
    pub fn watching(&self, watch: Arc<dyn Watch>) -> Arc<dyn Watch> {
        self.counters.watching(watch)
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        self.counters.stop();
        finish();
    }
}

/// Closes the profile of this process, where there is one that is open.
pub(crate) fn finish() {
    let Some(trace) = CURRENT.get() else { return };
    match trace.finish() {
        None => {}
        Some(Ok(())) => commands::say(&format!("profile in {}: docs/performance.md says how to read it", trace.path().display())),
        Some(Err(error)) => commands::say(&format!("warning: the profile in {} is not whole: {error}", trace.path().display())),
    }
}
