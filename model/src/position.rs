//! Positions: how far a table has got in each of its inputs.
//!
//! A position travels in the same Delta commit as the rows it stands for, as an application transaction whose id names
//! pipeline, table and input and whose number only grows. For files the number is [`FilePosition`]: the receipt's sequence
//! number times 2^20 plus the number of the batch; the last batch of a file carries [`BatchNumber::LAST`], so that "this file
//! is done" can be read from the number alone.

use serde::{Deserialize, Serialize};

/// A version of a Delta table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TableVersion(pub u64);

impl std::fmt::Display for TableVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a batch within one landed file, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BatchNumber(u32);

const BATCH_BITS: u32 = 20;

impl BatchNumber {
    /// The number that the last batch of a file carries, whatever its place.
    pub const LAST: Self = Self((1 << BATCH_BITS) - 1);
    /// Before the first batch.
    pub const NONE: Self = Self(0);

    /// The `index`-th batch (from 0) of `count`.
    ///
    /// Returns `None` where a file would need more than 2^20 - 2 batches.
    pub fn of(index: usize, count: usize) -> Option<Self> {
        if index + 1 == count {
            return Some(Self::LAST);
        }
        let number = u32::try_from(index + 1).ok()?;
        (number < Self::LAST.0).then_some(Self(number))
    }
}

/// A position within the landed files of one source, ordered as they were received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FilePosition {
    pub receipt: u64,
    pub batch: BatchNumber,
}

impl FilePosition {
    pub fn new(receipt: u64, batch: BatchNumber) -> Self {
        Self { receipt, batch }
    }

    /// The position from an application transaction's number.
    pub fn from_number(number: i64) -> Self {
        let number = u64::try_from(number).unwrap_or(0);
        let mask = u64::from(BatchNumber::LAST.0);
        let batch = u32::try_from(number & mask).expect("the mask leaves 20 bits");
        Self { receipt: number >> BATCH_BITS, batch: BatchNumber(batch) }
    }

    /// The number to record: receipt x 2^20 + batch.
    pub fn number(self) -> i64 {
        i64::try_from((self.receipt << BATCH_BITS) | u64::from(self.batch.0)).expect("fewer than 2^43 receipts")
    }

    /// Whether some batches of a file are in the table, and some are still to come.
    pub fn is_within_a_file(self) -> bool {
        self.batch != BatchNumber::NONE && self.batch != BatchNumber::LAST
    }

    /// Whether every batch of `receipt` is in the table.
    pub fn has_finished(self, receipt: u64) -> bool {
        self >= Self::new(receipt, BatchNumber::LAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_with_receipt_and_batch_and_round_trip() {
        let positions = [
            FilePosition::new(1, BatchNumber::NONE),
            FilePosition::new(1, BatchNumber::of(0, 3).unwrap()),
            FilePosition::new(1, BatchNumber::of(1, 3).unwrap()),
            FilePosition::new(1, BatchNumber::of(2, 3).unwrap()),
            FilePosition::new(2, BatchNumber::of(0, 2).unwrap()),
        ];
        assert!(positions.windows(2).all(|pair| pair[0].number() < pair[1].number()));
        for position in positions {
            assert_eq!(FilePosition::from_number(position.number()), position);
        }
        assert!(positions[3].has_finished(1));
        assert!(!positions[2].has_finished(1));
        assert!(positions[4].has_finished(1) && !positions[4].has_finished(2));
    }

    #[test]
    fn a_file_of_one_batch_is_finished_by_it() {
        assert_eq!(BatchNumber::of(0, 1), Some(BatchNumber::LAST));
        assert!(!FilePosition::new(1, BatchNumber::LAST).is_within_a_file());
        assert!(!FilePosition::new(1, BatchNumber::NONE).is_within_a_file());
        assert!(FilePosition::new(1, BatchNumber::of(0, 2).unwrap()).is_within_a_file());
        assert_eq!(BatchNumber::of(1 << 20, 1 << 21), None);
    }
}
