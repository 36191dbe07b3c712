//! How many rows a partition usually has: it says how many partitions a page will need, and these are read at the same time.
//!
//! A page of twenty rows from days of seventy needs one day, a page of a thousand many: asking for them one after the other would
//! take as many round trips, asking for all of them would read days that nobody needs. It is a guess, learnt from the answers before;
//! a wrong one costs a read or a round trip, never a row.

use std::sync::atomic::{AtomicU32, Ordering};

/// Nothing was read yet.
const UNKNOWN: u32 = u32::MAX;
/// How much of what was known an answer leaves.
const MEMORY: u32 = 7;

#[derive(Debug)]
pub(super) struct Density(AtomicU32);

impl Default for Density {
    fn default() -> Self {
        Self(AtomicU32::new(UNKNOWN))
    }
}

impl Density {
    /// Learns from an answer to a read of at most `limit` rows. Of two answers at the same time one may be forgotten.
    pub(super) fn saw(&self, rows: usize, limit: u32) {
        let rows = u32::try_from(rows).unwrap_or(limit);
        let known = self.0.load(Ordering::Relaxed);
        let now = match known {
            UNKNOWN => rows,
            // There may have been more.
            known if rows >= limit => known.max(rows),
            known => (known.saturating_mul(MEMORY) + rows) / (MEMORY + 1),
        };
        self.0.store(now.min(UNKNOWN - 1), Ordering::Relaxed);
    }

    /// How many partitions are likely to have so many rows together, within a bound.
    pub(super) fn partitions_of(&self, rows: u32, most: usize) -> usize {
        match self.0.load(Ordering::Relaxed) {
            UNKNOWN => 1,
            known => usize::try_from(rows.div_ceil(known.max(1))).unwrap_or(most).clamp(1, most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_partitions_are_read_at_a_time_as_a_page_needs() {
        let density = Density::default();
        assert_eq!(density.partitions_of(1_001, 8), 1, "nothing is known");
        for _ in 0..100 {
            density.saw(70, 1_001);
        }
        assert_eq!([21, 100, 140, 1_001].map(|rows| density.partitions_of(rows, 8)), [1, 2, 2, 8]);
        density.saw(21, 21);
        assert_eq!(density.partitions_of(70, 8), 1, "a read that was full says nothing of how many there were");
        for _ in 0..100 {
            density.saw(0, 21);
        }
        assert_eq!(density.partitions_of(2, 8), 2, "most days are empty by now");
        density.saw(2_000, 2_000);
        assert_eq!(density.partitions_of(1_001, 8), 1);
    }
}
