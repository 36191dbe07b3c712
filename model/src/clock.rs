//! The one door to the time of day.
//!
//! Load times, write times and receipts all come from a [`Clock`], so that two runs of a test can be compared.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, SubsecRound, Utc};

/// A source of instants, in microseconds since the Unix epoch.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    Wall,
    /// Starts at a given instant and moves on by one second at each reading.
    Steps(Arc<AtomicI64>),
    /// Stands still, in microseconds: what two runs of a program write can be compared.
    Fixed(i64),
}

const STEP_MICROS: i64 = 1_000_000;

impl Clock {
    /// A clock for tests that starts at `start`.
    pub fn steps(start: DateTime<Utc>) -> Self {
        Self::Steps(Arc::new(AtomicI64::new(start.timestamp_micros())))
    }

    pub fn now_micros(&self) -> i64 {
        match self {
            Self::Wall => Utc::now().timestamp_micros(),
            Self::Steps(next) => next.fetch_add(STEP_MICROS, Ordering::Relaxed),
            Self::Fixed(instant) => *instant,
        }
    }

    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.now_micros()).unwrap_or_else(|| Utc::now().trunc_subsecs(6))
    }
}
