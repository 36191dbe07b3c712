//! A request to stop, seen by every stage between two units of work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A cheap handle; all clones share one flag.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(Arc<AtomicBool>);

/// A stage stopped at a consistent point because it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stopped by a signal at a consistent point; the next run goes on from there")]
pub struct Interrupted;

impl Shutdown {
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// `Err` once a stop was requested; called between two units of work, never inside one.
    pub fn check(&self) -> Result<(), Interrupted> {
        if self.is_requested() { Err(Interrupted) } else { Ok(()) }
    }
}
