//! What happened to the records of a batch, and the sum that must close.

use serde::{Deserialize, Serialize};

/// Records by fate. `read = accepted + duplicate + rejected + dropped + sliced_off + too_old` always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub read: u64,
    pub accepted: u64,
    /// Equal key and equal content as a row that is already there: not written.
    pub duplicate: u64,
    /// In quarantine, with bytes and reason.
    pub rejected: u64,
    /// Left out by a check whose way is `drop`.
    pub dropped: u64,
    /// Outside the debug slice.
    pub sliced_off: u64,
    /// Older than the retention when the load was planned.
    pub too_old: u64,
    /// Among `accepted`: rows whose unique key is there with other content.
    pub conflicting: u64,
}

impl Counts {
    pub fn closes(&self) -> bool {
        self.read == self.accepted + self.duplicate + self.rejected + self.dropped + self.sliced_off + self.too_old
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.accepted += other.accepted;
        self.duplicate += other.duplicate;
        self.rejected += other.rejected;
        self.dropped += other.dropped;
        self.sliced_off += other.sliced_off;
        self.too_old += other.too_old;
        self.conflicting += other.conflicting;
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        let mut total = Self::default();
        for counts in iter {
            total += counts;
        }
        total
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "read {} = accepted {} + duplicate {} + rejected {} + dropped {} + sliced off {} + too old {}",
            self.read, self.accepted, self.duplicate, self.rejected, self.dropped, self.sliced_off, self.too_old
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounting_closes_over_fates_and_conflicts_are_among_the_accepted() {
        let counts =
            Counts { read: 10, accepted: 4, duplicate: 1, rejected: 2, dropped: 1, sliced_off: 1, too_old: 1, conflicting: 3 };
        assert!(counts.closes());
        assert!(!Counts { read: 11, ..counts }.closes());
        let total: Counts = [counts, counts].into_iter().sum();
        assert_eq!((total.read, total.conflicting, total.closes()), (20, 6, true));
    }
}
