//! Which trials there are: every point, and any time.

use std::collections::{BTreeMap, BTreeSet};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::GENERATIONS;

/// When a start is killed, as it is planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    /// At a pass (from 1) through a point.
    At { point: String, pass: u64 },
    /// After so many thousandths of the time that the run takes undisturbed.
    After { thousandths: u32 },
}

/// One lake from nothing to the last generation. In each generation the program is killed as listed, one start after the other,
/// and then runs to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trial {
    pub kills: [Vec<Planned>; GENERATIONS],
}

/// Passes through each point in each generation, undisturbed.
pub type Passes = [BTreeMap<String, u64>; GENERATIONS];

/// Points that only a start after a kill passes: and the kill before it.
const AFTER_A_KILL: [(&str, &str); 2] =
    [("landing/clean:before", "landing/rename:after"), ("landing/clean:after", "landing/rename:after")];

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
        for (generation, kills) in (1..).zip(&self.kills).filter(|(_, kills)| !kills.is_empty()) {
            let kills: Vec<String> = kills.iter().map(ToString::to_string).collect();
            write!(f, "[{generation}: {}]", kills.join(", "))?;
        }
        Ok(())
    }
}

impl Trial {
    /// How often the program is to be killed.
    pub fn count(&self) -> usize {
        self.kills.iter().map(Vec::len).sum()
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

/// Every point in every generation, at its first, a middle and its last pass; one kill a generation.
pub fn every_pass(passes: &Passes) -> Vec<Trial> {
    let mut trials: Vec<Trial> = Vec::new();
    for (generation, passes) in passes.iter().enumerate() {
        let of_point = |(point, passes): (&String, &u64)| {
            let chosen: BTreeSet<u64> = [1, passes.div_ceil(2), *passes].into();
            chosen.into_iter().map(|pass| at(point, pass)).collect::<Vec<_>>()
        };
        for (number, kill) in passes.iter().flat_map(of_point).enumerate() {
            if trials.len() <= number {
                trials.push(Trial::default());
            }
            trials[number].kills[generation].push(kill);
        }
    }
    trials.extend(after_a_kill());
    trials
}

/// Every point once, at a middle pass in one of the generations that pass it: two kills a generation, the second while the
/// program gets over the first. Which of them were met is for the caller to see.
pub fn every_point(passes: &Passes) -> Vec<Trial> {
    let points: BTreeSet<&String> = passes.iter().flat_map(BTreeMap::keys).collect();
    let mut of_generation: [Vec<Planned>; GENERATIONS] = Default::default();
    for point in points {
        let in_use = (0..GENERATIONS).filter(|generation| passes[*generation].contains_key(point));
        let generation = in_use.min_by_key(|generation| of_generation[*generation].len()).expect("it is passed somewhere");
        of_generation[generation].push(at(point, passes[generation][point].div_ceil(2)));
    }
    let mut trials: Vec<Trial> = Vec::new();
    for (generation, kills) in of_generation.into_iter().enumerate() {
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
            trials[number].kills[generation] = [kills[number].clone()].into_iter().chain(second).collect();
        }
    }
    trials.extend(after_a_kill());
    trials
}

/// One trial for a point alone.
pub fn one_point(passes: &Passes, point: &str) -> Trial {
    let generation = (0..GENERATIONS).find(|generation| passes[*generation].contains_key(point)).expect("it is passed somewhere");
    let mut trial = Trial::default();
    trial.kills[generation].push(at(point, 1));
    trial
}

fn after_a_kill() -> impl Iterator<Item = Trial> {
    AFTER_A_KILL.into_iter().map(|(point, before)| {
        let mut trial = Trial::default();
        trial.kills[0] = vec![at(before, 1), at(point, 1)];
        trial
    })
}

/// Trials with about `kills` kills, the same for the same seed: half of them at random passes, half at random times; one in three
/// starts that get over a kill is killed again.
pub fn random(passes: &Passes, kills: usize, seed: u64) -> Vec<Trial> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut planned = 0;
    let mut trials = Vec::new();
    while planned < kills {
        let mut trial = Trial::default();
        for (generation, kills) in trial.kills.iter_mut().enumerate() {
            loop {
                kills.push(one(&passes[generation], &mut rng));
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
    if rng.random_range(0..2) == 0 {
        return Planned::After { thousandths: rng.random_range(0..1100) };
    }
    let number = rng.random_range(0..passes.len());
    let (point, passes) = passes.iter().nth(number).expect("within its length");
    at(point, rng.random_range(1..=*passes))
}
