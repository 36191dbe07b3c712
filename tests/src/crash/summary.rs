//! What came of trials.

use std::collections::{BTreeMap, BTreeSet};

use super::program::Kill;
use super::schedule::{Passes, Trial};

/// What came of one trial.
#[derive(Debug, Default)]
pub struct Outcomes {
    pub runs: usize,
    pub kills: usize,
    /// The points at which the program died, with the pass.
    pub met: BTreeMap<String, BTreeSet<u64>>,
    /// Lines of state that were compared with undisturbed ones.
    pub compared: usize,
    /// What was left otherwise than undisturbed, or how a start failed. Empty: nothing.
    pub differences: Vec<String>,
}

/// What came of many trials.
#[derive(Debug, Default)]
pub struct Summary {
    pub trials: usize,
    pub total: Outcomes,
    /// The trials that ended otherwise, by their number, with the trial.
    pub failed: Vec<(usize, String, Vec<String>)>,
}

impl Outcomes {
    pub(super) fn killed(&mut self, kill: &Kill) {
        self.kills += 1;
        if let Kill::At(point, pass) = kill {
            self.met.entry(point.clone()).or_default().insert(*pass);
        }
    }

    fn extend(&mut self, other: Self) {
        self.runs += other.runs;
        self.kills += other.kills;
        self.compared += other.compared;
        for (point, passes) in other.met {
            self.met.entry(point).or_default().extend(passes);
        }
    }
}

impl Summary {
    pub(super) fn add(&mut self, number: usize, trial: &Trial, mut outcomes: Outcomes) {
        self.trials += 1;
        let differences = std::mem::take(&mut outcomes.differences);
        self.total.extend(outcomes);
        if !differences.is_empty() {
            self.failed.push((number, trial.to_string(), differences));
        }
    }

    /// Adds what came of further trials.
    pub fn extend(&mut self, other: Self) {
        self.trials += other.trials;
        self.total.extend(other.total);
        self.failed.extend(other.failed);
    }

    /// The points of the scenario at which no trial died.
    pub fn not_met<'p>(&self, passes: &'p Passes) -> BTreeSet<&'p String> {
        passes.iter().flat_map(BTreeMap::keys).filter(|point| !self.total.met.contains_key(*point)).collect()
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { trials, total, failed } = self;
        let differences: usize = failed.iter().map(|(_, _, differences)| differences.len()).sum();
        write!(
            f,
            "{trials} trials, {} runs, {} kills at {} points ({} points x passes) and at random times, {} lines compared, differences: {differences}",
            total.runs,
            total.kills,
            total.met.len(),
            total.met.values().map(BTreeSet::len).sum::<usize>(),
            total.compared,
        )?;
        for (number, trial, differences) in failed {
            write!(f, "\ntrial {number} {trial}")?;
            for difference in differences.iter().take(20) {
                write!(f, "\n  {difference}")?;
            }
        }
        Ok(())
    }
}
