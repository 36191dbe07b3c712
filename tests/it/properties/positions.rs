//! A position's number grows as the position does: what is recorded can be compared without knowing what it stands for.

use model::position::{BatchNumber, FilePosition};
use proptest::prelude::*;

use super::{cases, regressions};

/// Batches of a file, as many as there can be: its number and which it is.
fn batch() -> impl Strategy<Value = (usize, usize)> {
    prop_oneof![1..50_usize, (1 << 20) - 5..=(1 << 20) - 1_usize].prop_flat_map(|count| (0..count, Just(count)))
}

fn position() -> impl Strategy<Value = FilePosition> {
    (1..1_u64 << 42, batch())
        .prop_map(|(receipt, (index, count))| FilePosition::new(receipt, BatchNumber::of(index, count).unwrap()))
}

proptest! {
    #![proptest_config(cases(500, regressions!("positions")))]

    #[test]
    fn numbers_are_in_the_order_of_positions_and_read_back(one in position(), other in position()) {
        prop_assert_eq!(one.cmp(&other), one.number().cmp(&other.number()));
        prop_assert_eq!(FilePosition::from_number(one.number()), one);
    }

    #[test]
    fn batches_of_a_file_follow_each_other_and_only_the_last_ends_it((index, count) in batch(), receipt in 1..1_u64 << 42) {
        let at = |index| FilePosition::new(receipt, BatchNumber::of(index, count).unwrap());
        prop_assert!(FilePosition::new(receipt, BatchNumber::NONE) < at(index));
        prop_assert!(index == 0 || at(index - 1) < at(index));
        prop_assert_eq!(at(index).has_finished(receipt), index + 1 == count);
        prop_assert!(at(index).has_finished(receipt - 1) && !at(index).has_finished(receipt + 1));
        prop_assert!(at(index) < FilePosition::new(receipt + 1, BatchNumber::of(0, 2).unwrap()));
    }
}
