//! Which columns have a value of its own in nearly every row.
//!
//! A Parquet writer puts the values of a column into a dictionary until that is too large, and then writes them as they are. For
//! a column whose values hardly ever repeat, this is work for nothing, and the file is larger than without.

use std::collections::HashSet;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use parquet::file::properties::WriterPropertiesBuilder;

use crate::error::Error;

/// Of fewer rows the dictionary is small.
const ROWS: usize = 16_384;
/// Rows that are looked at all over the batch. Of values that are there twice each in twice as many rows as a dictionary has room
/// for, half a percent of so many repeats.
const SPREAD: u64 = 1_024;
/// Rows that are looked at side by side: where repeated values stand together, those all over show none.
const TOGETHER: usize = 256;

/// Leaves the dictionary out for columns of `sample` whose values hardly ever repeat.
pub(super) fn without_dictionaries(
    mut properties: WriterPropertiesBuilder,
    sample: &RecordBatch,
) -> Result<WriterPropertiesBuilder, Error> {
    if sample.num_rows() < ROWS {
        return Ok(properties);
    }
    for (field, column) in sample.schema_ref().fields().iter().zip(sample.columns()) {
        if !field.data_type().is_nested() && !repeats(column).map_err(Error::arrow("look at values"))? {
            properties = properties.set_column_dictionary_enabled(field.name().as_str().into(), false);
        }
    }
    Ok(properties)
}

fn repeats(column: &ArrayRef) -> Result<bool, ArrowError> {
    let rows = u32::try_from(column.len()).unwrap_or(u32::MAX);
    let middle = rows / 2;
    let together = (middle..).take(TOGETHER).collect::<Vec<_>>();
    // In no regular steps: values that go round would show each of themselves once.
    let mut spread = (0..SPREAD).map(|number| (mixed(number) * u64::from(rows)) >> 32).collect::<Vec<_>>();
    spread.sort_unstable();
    spread.dedup();
    let spread = spread.into_iter().map(|row| u32::try_from(row).expect("less than the number of rows")).collect();
    Ok(repeats_among(column, together)? || repeats_among(column, spread)?)
}

/// 32 bits that look like chance: the n-th number of the generator `SplitMix64` (Steele, Lea and Flood 2014).
fn mixed(n: u64) -> u64 {
    let mut bits = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (bits ^ (bits >> 31)) >> 32
}

/// Whether more than a hundredth of these rows have a value that another one of them has.
fn repeats_among(column: &ArrayRef, rows: Vec<u32>) -> Result<bool, ArrowError> {
    let looked_at = rows.len();
    let values = take(column, &UInt32Array::from(rows), None)?;
    let values = RowConverter::new(vec![SortField::new(values.data_type().clone())])?.convert_columns(&[values])?;
    let distinct = values.iter().map(|value| value.owned()).collect::<HashSet<_>>().len();
    Ok((looked_at - distinct) * 100 > looked_at)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn values_repeat_side_by_side_or_all_over() {
        let rows = 0..200_000_i64;
        let column = |value: fn(i64) -> Option<i64>| Arc::new(rows.clone().map(value).collect::<Int64Array>()) as ArrayRef;
        for (value, repeated) in [
            ((|row| Some(row)) as fn(i64) -> Option<i64>, false),
            (|row| Some(row % 150_000), false),
            (|row| Some(row / 3), true),
            (|row| Some(row * 7_919 % 20_000), true),
            (|_| None, true),
            (|row| (row % 10 == 0).then_some(row), true),
        ] {
            assert_eq!(repeats(&column(value)).unwrap(), repeated, "{:?}", value(12));
        }
        let texts: ArrayRef = Arc::new(rows.map(|row| Some(format!("id-{}", row * 7_919))).collect::<StringArray>());
        assert!(!repeats(&texts).unwrap());
    }
}
