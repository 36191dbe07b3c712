//! Which trials there are: every point, and any time.

use std::collections::{BTreeMap, BTreeSet};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::scenario::{STEPS, WITHOUT_HISTORY, place_of};

/// When a start is killed, as it is planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    /// At a pass (from 1) through a point.
    At { point: String, pass: u64 },
    /// After so many thousandths of the time that the run takes undisturbed.
    After { thousandths: u32 },
}

/// One lake from nothing. In each step the program is killed as listed, one start after the other, and then runs to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// By step.
    pub kills: Vec<Vec<Planned>>,
}

/// Passes through each point in each step, undisturbed.
pub type Passes = Vec<BTreeMap<String, u64>>;

/// Points that only a start after a kill passes: the step, and the kill before it.
const AFTER_A_KILL: [(&str, &str, &str); 4] = [
    ("run", "landing/clean:before", "landing/rename:after"),
    ("run", "landing/clean:after", "landing/rename:after"),
    ("maintain", "maintain/archive-attempt:before", "maintain/retention:before"),
    ("maintain", "maintain/archive-attempt:after", "maintain/retention:before"),
];

/// Points of the program that no trial can reach.
pub(super) fn unreached(passes: &Passes) -> Vec<String> {
    let listed = model::crash::STEPS.iter().flat_map(|(step, _)| [format!("{step}:before"), format!("{step}:after")]);
    let is_reached = |point: &String| {
        passes.iter().any(|passes| passes.contains_key(point)) || AFTER_A_KILL.iter().any(|(_, after, _)| after == point)
    };
    listed.filter(|point| !is_reached(point)).collect()
}

impl Default for Trial {
    fn default() -> Self {
        Self { kills: vec![Vec::new(); STEPS.len()] }
    }
}

impl std::fmt::Display for Planned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At { point, pass } => write!(f, "{point}:{pass}"),
            Self::After { thousandths } => write!(f, "{}.{} %", thousandths / 10, thousandths % 10),
        }
    }
}

impl std::fmt::Display for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (step, kills) in STEPS.iter().zip(&self.kills).filter(|(_, kills)| !kills.is_empty()) {
            let kills: Vec<String> = kills.iter().map(ToString::to_string).collect();
            write!(f, "[{}: {}]", step.name, kills.join(", "))?;
        }
        Ok(())
    }
}

impl Trial {
    /// How often the program is to be killed.
    pub fn count(&self) -> usize {
        self.kills.iter().map(Vec::len).sum()
    }

    /// The last step in which it is killed.
    pub(super) fn last(&self) -> usize {
        self.kills.iter().rposition(|kills| !kills.is_empty()).unwrap_or(0)
    }

    /// Whether the keyspace or its tables are not there yet when it begins.
    pub fn wants_a_new_keyspace(&self) -> bool {
        let makes = |kill: &Planned| match kill {
            Planned::At { point, .. } => point.starts_with("cassandra/keyspace") || point.starts_with("cassandra/table"),
            Planned::After { thousandths } => thousandths % 4 == 0,
        };
        self.kills[0].iter().any(makes)
    }
}

fn at(point: &str, pass: u64) -> Planned {
    Planned::At { point: point.to_owned(), pass }
}

/// Every point in every step of the life without history, and in each command of the other, at its first, a middle and its last
/// pass; one kill a step.
pub fn every_pass(passes: &Passes) -> Vec<Trial> {
    let mut trials: Vec<Trial> = Vec::new();
    let mut met: BTreeSet<(&[&str], &String)> = BTreeSet::new();
    for (step, passes) in passes.iter().enumerate() {
        let is_new = |point: &String| step <= place_of(WITHOUT_HISTORY) || !met.contains(&(STEPS[step].arguments, point));
        let of_point = |(point, passes): (&String, &u64)| {
            let chosen: BTreeSet<u64> = [1, passes.div_ceil(2), *passes].into();
            chosen.into_iter().map(|pass| at(point, pass)).collect::<Vec<_>>()
        };
        let kills: Vec<Planned> = passes.iter().filter(|(point, _)| is_new(point)).flat_map(of_point).collect();
        met.extend(passes.keys().map(|point| (STEPS[step].arguments, point)));
        for (number, kill) in kills.into_iter().enumerate() {
            if trials.len() <= number {
                trials.push(Trial::default());
            }
            trials[number].kills[step].push(kill);
        }
    }
    trials.extend(after_a_kill());
    trials
}

/// Every point once, at a middle pass in one of the steps that pass it: two kills a step, the second while the program gets over
/// the first. Which of them were met is for the caller to see.
pub fn every_point(passes: &Passes) -> Vec<Trial> {
    let points: BTreeSet<&String> = passes.iter().flat_map(BTreeMap::keys).collect();
    let mut of_step: Vec<Vec<Planned>> = vec![Vec::new(); passes.len()];
    for point in points {
        let in_use = (0..passes.len()).filter(|step| passes[*step].contains_key(point));
        let step = in_use.min_by_key(|step| of_step[*step].len()).expect("it is passed somewhere");
        of_step[step].push(at(point, passes[step][point].div_ceil(2)));
    }
    let mut trials: Vec<Trial> = Vec::new();
    for (step, kills) in of_step.into_iter().enumerate() {
        // In order of name those of one stage follow each other: the second half comes while the first is got over.
        let half = kills.len().div_ceil(2);
        for number in 0..half {
            if trials.len() <= number {
                trials.push(Trial::default());
            }
            let second = kills.get(half + number).map(|kill| match kill {
                Planned::At { point, .. } => at(point, 1),
                after @ Planned::After { .. } => after.clone(),
            });
            trials[number].kills[step] = [kills[number].clone()].into_iter().chain(second).collect();
        }
    }
    // Together where they are of different steps.
    let mut after: Vec<Trial> = Vec::new();
    for trial in after_a_kill() {
        let step = trial.last();
        match after.iter_mut().find(|other| other.kills[step].is_empty()) {
            Some(other) => other.kills[step].clone_from(&trial.kills[step]),
            None => after.push(trial),
        }
    }
    trials.extend(after);
    trials
}

/// Trials for points alone, as few as there can be.
pub fn each_alone<'p>(passes: &Passes, points: impl Iterator<Item = &'p String>) -> Vec<Trial> {
    let mut trials: Vec<Trial> = Vec::new();
    for point in points {
        let step = (0..passes.len()).find(|step| passes[*step].contains_key(point)).expect("it is passed somewhere");
        let kill = at(point, 1);
        if let Some(trial) = trials.iter_mut().find(|trial| trial.kills[step].is_empty()) {
            trial.kills[step].push(kill);
        } else {
            let mut trial = Trial::default();
            trial.kills[step].push(kill);
            trials.push(trial);
        }
    }
    trials
}

fn after_a_kill() -> impl Iterator<Item = Trial> {
    AFTER_A_KILL.into_iter().map(|(step, point, before)| {
        let mut trial = Trial::default();
        trial.kills[place_of(step)] = vec![at(before, 1), at(point, 1)];
        trial
    })
}

/// Trials with about `kills` kills, the same for the same seed: half of them at random passes, half at random times; one in three
/// starts that get over a kill is killed again, and one step in four is left alone.
pub fn random(passes: &Passes, kills: usize, seed: u64) -> Vec<Trial> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut planned = 0;
    let mut trials = Vec::new();
    while planned < kills {
        let mut trial = Trial::default();
        for (step, kills) in trial.kills.iter_mut().enumerate() {
            if rng.random_range(0..4) == 0 {
                continue;
            }
            loop {
                kills.push(one(&passes[step], &mut rng));
                if rng.random_range(0..3) > 0 {
                    break;
                }
            }
        }
        planned += trial.count();
        trials.push(trial);
    }
    trials
}

fn one(passes: &BTreeMap<String, u64>, rng: &mut ChaCha8Rng) -> Planned {
    if passes.is_empty() || rng.random_range(0..2) == 0 {
        return Planned::After { thousandths: rng.random_range(0..1100) };
    }
    let number = rng.random_range(0..passes.len());
    let (point, passes) = passes.iter().nth(number).expect("within its length");
    at(point, rng.random_range(1..=*passes))
}
