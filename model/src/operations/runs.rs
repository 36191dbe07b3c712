//! Runs as they are on record.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::counts::Counts;
use crate::report::{Outcome, RunReport, StageName};

/// One run, from its beginning; written anew after each stage and at its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    pub schema: u32,
    pub id: String,
    /// As a person would type it.
    pub command: String,
    /// Of the program.
    pub version: String,
    pub process: u32,
    pub host: String,
    pub state: RunState,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    /// Of a run that did not end well.
    pub error: Option<RunError>,
    /// How often in a row it failed with this error before it had done anything; those before are not on record any more.
    #[serde(default = "once")]
    pub attempts: u32,
    /// With the stages that have ended.
    pub report: RunReport,
    /// Stages and targets that have not ended, in their order.
    pub remaining: Vec<(StageName, String)>,
}

fn once() -> u32 {
    1
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Running,
    Done,
    Failed,
    /// By a signal, at a consistent point.
    Stopped,
    /// Its process is gone without having said how it ended: killed, or the machine went down.
    CutOff,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    pub message: String,
    pub hint: Option<String>,
    pub exit_code: u8,
}

/// A run in a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    pub id: String,
    pub command: String,
    pub state: RunState,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub error: Option<RunError>,
    pub attempts: u32,
    /// Bytes that were fetched.
    pub fetched: u64,
    /// Records by fate.
    pub counts: Counts,
    /// Rows merged into use-case tables.
    pub merged: u64,
    /// Rows sent to Cassandra.
    pub sent: u64,
    pub accounting_closes: bool,
    pub peak_memory_bytes: Option<u64>,
    /// Numbers that did not come as they were planned: stage, target, and what.
    pub surprises: Vec<String>,
}

impl RunRecord {
    /// Whether this one failed as that one did, and neither had done anything.
    pub fn repeats(&self, before: &Self) -> bool {
        let did_nothing = |record: &Self| record.report.stages.iter().all(|report| report.outcome == Outcome::UpToDate);
        self.state == RunState::Failed
            && before.state == RunState::Failed
            && self.error == before.error
            && self.command == before.command
            && did_nothing(self)
            && did_nothing(before)
    }

    pub fn summary(&self) -> RunSummary {
        let of = |stages: &'static [StageName]| self.report.stages.iter().filter(move |report| stages.contains(&report.stage));
        let surprises = self.report.stages.iter().flat_map(|report| {
            let told = report.planned.named().filter(|(_, beside)| beside.is_worth_telling());
            told.map(|(name, beside)| {
                let stage = report.stage.name();
                format!("{stage} {}: {} {name} planned, {} came", report.target, beside.planned, beside.fact)
            })
        });
        RunSummary {
            id: self.id.clone(),
            command: self.command.clone(),
            state: self.state,
            started_at: self.started_at,
            ended_at: self.ended_at,
            error: self.error.clone(),
            attempts: self.attempts,
            fetched: of(&[StageName::UrlToLanding]).map(|report| report.bytes).sum(),
            counts: of(&[StageName::LandingToRaw]).map(|report| report.counts).sum(),
            merged: of(&[StageName::RawToUseCase]).map(|report| report.written).sum(),
            sent: of(&[StageName::RawToCassandra, StageName::UseCaseToCassandra]).map(|report| report.written).sum(),
            accounting_closes: self.report.accounting_closes,
            peak_memory_bytes: self.report.peak_memory_bytes,
            surprises: surprises.collect(),
        }
    }
}

/// How often runs usually begin, from those that are on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usual {
    pub every: Duration,
}

impl Usual {
    /// Fewer runs than this make no habit.
    const RUNS: usize = 6;

    /// The median time between the beginnings of runs, the newest first; `None` where there is no habit to speak of: too few runs, or
    /// runs by hand, whose longest pause among the newest is far from the median.
    pub fn of(started: &[DateTime<Utc>]) -> Option<Self> {
        let newest = started.get(..Self::RUNS.max(started.len().min(20))).filter(|newest| newest.len() >= Self::RUNS)?;
        let mut pauses: Vec<Duration> = newest.windows(2).filter_map(|pair| (pair[0] - pair[1]).to_std().ok()).collect();
        pauses.sort_unstable();
        let every = *pauses.get(pauses.len() / 2)?;
        let is_habit = every >= Duration::from_mins(1) && pauses.iter().all(|pause| *pause <= every * 2);
        is_habit.then_some(Self { every })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: &[i64]) -> Vec<DateTime<Utc>> {
        hours.iter().map(|hours| DateTime::from_timestamp(hours * 3600, 0).unwrap()).collect()
    }

    #[test]
    fn a_habit_needs_runs_at_like_distances() {
        let daily = Usual::of(&at(&[144, 120, 95, 72, 48, 24, 0])).unwrap();
        assert_eq!(daily.every, Duration::from_hours(24));
        assert_eq!(Usual::of(&at(&[48, 24, 0])), None, "too few");
        assert_eq!(Usual::of(&at(&[100, 99, 98, 50, 49, 1, 0])), None, "by hand");
        assert_eq!(Usual::of(&at(&[0, 0, 0, 0, 0, 0, 0])), None, "one after another");
    }
}
