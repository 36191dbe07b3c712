//! What to generate. The default is the whole demonstration file.

use super::golden;
use super::rejects::RejectKind;
use std::collections::BTreeMap;

/// What to generate. Percentages are of the events (not of the lines) and are rounded to whole lines.
///
/// The events themselves depend on `seed`, `sessions`, `days` and the two numbers of orphans only: the other options move,
/// repeat or add lines and leave every event as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    pub seed: u64,
    /// Distinct sessions, those with only a start or only an end included.
    pub sessions: u32,
    /// Sessions start on this many days from 1 November 2016 on; ends spill into the day after.
    pub days: u32,
    pub starts_without_end: u32,
    pub ends_without_start: u32,
    pub order: Order,
    /// Events that are there a second time, further down. Every other repetition is spelled differently (order of keys,
    /// spaces, `.000000`, an explicit null), so only a reader that compares values finds it.
    pub duplicate_percent: f64,
    /// Events whose line stands one to five days further down than their time says.
    pub late_percent: f64,
    /// Lines that no reader can accept, in equal numbers of every kind except [`RejectKind::Oversized`].
    pub reject_percent: f64,
    /// More such lines, by kind.
    pub rejects: BTreeMap<RejectKind, u32>,
    /// Length of an oversized line. One kibibyte over the default cap of 16 MiB.
    pub oversized_bytes: usize,
    /// Keep only the first lines.
    pub lines: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By event time, as a log is written.
    ByTime,
    /// At random.
    Shuffled,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 2016,
            sessions: golden::SESSIONS,
            days: 30,
            starts_without_end: golden::STARTS_WITHOUT_END,
            ends_without_start: golden::ENDS_WITHOUT_START,
            order: Order::ByTime,
            duplicate_percent: 0.0,
            late_percent: 0.0,
            reject_percent: 0.0,
            rejects: BTreeMap::new(),
            oversized_bytes: 16 * 1024 * 1024 + 1024,
            lines: None,
        }
    }
}

/// Options that contradict each other or themselves.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum OptionsError {
    #[error("{orphans} of {sessions} sessions are to lack a start or an end, which leaves no complete one")]
    NoCompleteSession { sessions: u32, orphans: u64 },
    #[error("{days} days: give 1 to 3650")]
    Days { days: u32 },
    #[error("{percent} % of {what}: give 0 to 100")]
    Percent { what: &'static str, percent: f64 },
    #[error("late lines in a shuffled file: there is no order that they could be late in")]
    LateAndShuffled,
    #[error("an oversized line of {bytes} bytes: give at least 1024")]
    Oversized { bytes: usize },
}

impl Options {
    /// A small file of the same kind: players in proportion, countries at random, no exact figures but its own.
    pub fn small(sessions: u32, days: u32) -> Self {
        Self { sessions, days, ..Self::default() }
    }

    /// Sessions of which both events are generated.
    pub fn complete(&self) -> u32 {
        self.sessions - self.starts_without_end - self.ends_without_start
    }

    /// Start events generated.
    pub fn starts(&self) -> u32 {
        self.complete() + self.starts_without_end
    }

    /// End events generated.
    pub fn ends(&self) -> u32 {
        self.complete() + self.ends_without_start
    }

    /// Start and end events generated.
    pub fn events(&self) -> usize {
        self.starts() as usize + self.ends() as usize
    }

    /// Whether this is the whole file, of which the figures are known, whatever lines are added to it.
    pub fn is_whole(&self) -> bool {
        let whole = Self::default();
        self.sessions == whole.sessions
            && self.days == whole.days
            && self.starts_without_end == whole.starts_without_end
            && self.ends_without_start == whole.ends_without_start
            && self.lines.is_none()
    }

    pub(super) fn validate(&self) -> Result<(), OptionsError> {
        let orphans = u64::from(self.starts_without_end) + u64::from(self.ends_without_start);
        if orphans >= u64::from(self.sessions) {
            return Err(OptionsError::NoCompleteSession { sessions: self.sessions, orphans });
        }
        if !(1..=3650).contains(&self.days) {
            return Err(OptionsError::Days { days: self.days });
        }
        let percentages =
            [("duplicates", self.duplicate_percent), ("late events", self.late_percent), ("bad lines", self.reject_percent)];
        for (what, percent) in percentages {
            if !(0.0..=100.0).contains(&percent) {
                return Err(OptionsError::Percent { what, percent });
            }
        }
        if self.late_percent > 0.0 && self.order == Order::Shuffled {
            return Err(OptionsError::LateAndShuffled);
        }
        if self.oversized_bytes < 1024 {
            return Err(OptionsError::Oversized { bytes: self.oversized_bytes });
        }
        Ok(())
    }

    /// The number of lines that a percentage of the events makes.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100 percent of at most 2^33 events")]
    pub(super) fn share_of_events(&self, percent: f64) -> usize {
        (self.events() as f64 * percent / 100.0).round() as usize
    }
}
