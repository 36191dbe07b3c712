//! Splits rows by date and holds them until the memory budget is used up.
//!
//! Held rows are parts of the blocks that they came in, which is free where a file is in order of time; the rows of a block that is
//! not are put in order once. So all that is held is spilled together: a block is only freed when none of its rows is left.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, partition, take_record_batch};
use arrow::datatypes::{Date32Type, SchemaRef};
use chrono::NaiveDate;

use super::plan::Segment;
use super::spill::SpillWriter;
use crate::error::Error;

/// Runs of one date in a block, beyond which its rows are put in order: shorter runs cost more than that.
const RUNS: usize = 128;

/// Rows of one date that are not on disk yet.
#[derive(Default)]
struct Pending {
    batches: Vec<RecordBatch>,
    rows: u64,
}

/// Rows by date, spilled as segments whenever they would take more than the budget.
pub(super) struct DateSplitter {
    schema: SchemaRef,
    partition: Option<usize>,
    budget: usize,
    pending: BTreeMap<Option<NaiveDate>, Pending>,
    bytes: usize,
    segments: Vec<Segment>,
    /// A segment is flushed at this many rows, so that batches can be cut near their limit.
    segment_rows: u64,
}

impl DateSplitter {
    pub(super) fn new(schema: SchemaRef, partition: Option<usize>, budget: usize, segment_rows: u64) -> Self {
        Self { schema, partition, budget, pending: BTreeMap::new(), bytes: 0, segments: Vec::new(), segment_rows }
    }

    #[tracing::instrument(target = "profile::thread", level = "trace", name = "split by date", skip_all, fields(rows = rows.num_rows()))]
    pub(super) fn push(&mut self, rows: &RecordBatch, spill: &mut SpillWriter) -> Result<(), Error> {
        self.bytes += rows.columns().iter().map(|column| column.get_buffer_memory_size()).sum::<usize>();
        for (date, rows) in self.by_date(rows)? {
            let pending = self.pending.entry(date).or_default();
            pending.rows += rows.num_rows() as u64;
            pending.batches.push(rows);
            if pending.rows >= self.segment_rows {
                self.flush(date, spill)?;
            }
        }
        if self.bytes > self.budget {
            self.flush_all(spill)?;
        }
        Ok(())
    }

    /// Spills what is left; the segments of all dates in the order in which they were written.
    pub(super) fn finish(mut self, spill: &mut SpillWriter) -> Result<Vec<Segment>, Error> {
        self.flush_all(spill)?;
        Ok(self.segments)
    }

    fn flush_all(&mut self, spill: &mut SpillWriter) -> Result<(), Error> {
        while let Some((date, _)) = self.pending.first_key_value() {
            self.flush(*date, spill)?;
        }
        self.bytes = 0;
        Ok(())
    }

    #[tracing::instrument(target = "profile::thread", level = "trace", name = "spill", skip_all)]
    fn flush(&mut self, date: Option<NaiveDate>, spill: &mut SpillWriter) -> Result<(), Error> {
        let Some(pending) = self.pending.remove(&date) else { return Ok(()) };
        let whole = concat_batches(&self.schema, &pending.batches).map_err(Error::arrow("put rows together"))?;
        self.segments.push(spill.write(date, &self.schema, &[whole])?);
        Ok(())
    }

    /// The rows of each date, those of one date in the order in which they came.
    fn by_date(&self, rows: &RecordBatch) -> Result<Vec<(Option<NaiveDate>, RecordBatch)>, Error> {
        if rows.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let Some(at) = self.partition else { return Ok(vec![(None, rows.clone())]) };
        let split = || Error::arrow("split rows by date");
        let runs = |rows: &RecordBatch| partition(&[rows.column(at).clone()]).map_err(split()).map(|runs| runs.ranges());
        let (mut rows, mut ranges) = (rows.clone(), runs(rows)?);
        if ranges.len() > RUNS {
            let days = rows.column(at).as_primitive::<Date32Type>().values();
            rows = take_record_batch(&rows, &in_order(days)).map_err(split())?;
            ranges = runs(&rows)?;
        }
        let days = rows.column(at).as_primitive::<Date32Type>();
        Ok(ranges.into_iter().map(|run| (naive_date(days.value(run.start)), rows.slice(run.start, run.len()))).collect())
    }
}

/// The rows in the order of their days, those of one day as they came.
fn in_order(days: &[i32]) -> UInt32Array {
    let count = u32::try_from(days.len()).expect("a block has fewer rows");
    let (low, high) = days.iter().fold((i32::MAX, i32::MIN), |(low, high), day| (low.min(*day), high.max(*day)));
    let place = |day: i32| usize::try_from(i64::from(day) - i64::from(low)).expect("not below the lowest");
    // Days that lie together are counted, which takes one step a row.
    if count == 0 || place(high) > 4 * days.len() + 1024 {
        let mut rows: Vec<u32> = (0..count).collect();
        rows.sort_by_key(|row| days[*row as usize]);
        return rows.into();
    }
    let mut next = vec![0_u32; place(high) + 2];
    for day in days {
        next[place(*day) + 1] += 1;
    }
    for at in 1..next.len() {
        next[at] += next[at - 1];
    }
    let mut rows = vec![0; days.len()];
    for (row, day) in (0..count).zip(days) {
        let next = &mut next[place(*day)];
        rows[*next as usize] = row;
        *next += 1;
    }
    rows.into()
}

fn naive_date(days: i32) -> Option<NaiveDate> {
    arrow::temporal_conversions::date32_to_datetime(days).map(|instant| instant.date())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_the_order_of_their_days_and_those_of_a_day_as_they_came() {
        for far in [0, i32::MAX / 2] {
            let days = [5 + far, 3, 5 + far, -2, 3, 3 - far];
            let rows = in_order(&days);
            let mut expected: Vec<u32> = (0..6).collect();
            expected.sort_by_key(|row| days[*row as usize]);
            assert_eq!(rows.values().as_ref(), expected.as_slice());
        }
        assert!(in_order(&[]).is_empty());
    }
}
