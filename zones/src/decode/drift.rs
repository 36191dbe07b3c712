//! How records differ from the contract: fields that it does not name, fields that they lack.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

/// Names beyond this many are counted together: keys may be data, and then there is no end of them.
pub(super) const MOST_NAMES: usize = 1_000;
/// What names beyond [`MOST_NAMES`] are counted under.
const OTHERS: &str = "(others)";

/// Records by field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    pub unknown: BTreeMap<String, u64>,
    pub missing: BTreeMap<String, u64>,
}

impl Drift {
    /// Whether there were so many unknown fields that some have lost their names.
    pub fn has_more_unknown_than_names(&self) -> bool {
        self.unknown.len() > MOST_NAMES
    }

    pub fn add(&mut self, other: Self) {
        for (of, from) in [(&mut self.unknown, other.unknown), (&mut self.missing, other.missing)] {
            for (name, records) in from {
                count(of, &name, records);
            }
        }
    }

    pub(super) fn count_unknown(&mut self, name: &str, records: u64) {
        count(&mut self.unknown, name, records);
    }

    pub(super) fn count_missing(&mut self, name: &str, records: u64) {
        count(&mut self.missing, name, records);
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str, records: u64) {
    if records == 0 {
        return;
    }
    if let Some(count) = counts.get_mut(name) {
        *count += records;
        return;
    }
    let name = if counts.len() < MOST_NAMES { name } else { OTHERS };
    *counts.entry(name.to_owned()).or_default() += records;
}

/// Counts names of a block, of which the next is mostly the one that came after this one before.
#[derive(Default)]
pub(super) struct Tally<'a> {
    counts: Vec<(Cow<'a, str>, u64)>,
    places: HashMap<String, usize>,
    next: usize,
}

impl<'a> Tally<'a> {
    pub(super) fn add(&mut self, name: Cow<'a, str>) {
        let place = match self.counts.get(self.next) {
            Some((expected, _)) if *expected == name => self.next,
            _ => {
                if let Some(place) = self.places.get(name.as_ref()) {
                    *place
                } else {
                    self.places.insert(name.clone().into_owned(), self.counts.len());
                    self.counts.push((name, 0));
                    self.counts.len() - 1
                }
            }
        };
        self.counts[place].1 += 1;
        self.next = if place + 1 < self.counts.len() { place + 1 } else { 0 };
    }

    pub(super) fn add_to(self, drift: &mut Drift) {
        for (name, records) in self.counts {
            drift.count_unknown(&name, records);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_end_are_counted_together() {
        let mut drift = Drift::default();
        for block in 0..3 {
            let mut tally = Tally::default();
            for number in 0..800 {
                tally.add(format!("id{}", block * 800 + number).into());
                tally.add("mood".into());
            }
            tally.add_to(&mut drift);
        }
        assert_eq!((drift.unknown.len(), drift.unknown["mood"]), (MOST_NAMES + 1, 2400));
        assert_eq!(drift.unknown[OTHERS], 2400 - (MOST_NAMES as u64 - 1));
    }
}
