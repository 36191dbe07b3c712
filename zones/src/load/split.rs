//! Splits rows by date and holds them until the memory budget is used up.
//!
//! Held rows are parts of the blocks that they came in, which is free where a file is in order of time; the rows of a block that is
//! not are put in order once. So all that is held is spilled together: a block is only freed when none of its rows is left.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, partition, take_record_batch};
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
            rows = take_record_batch(&rows, &in_order(rows.column(at)).map_err(split())?).map_err(split())?;
            ranges = runs(&rows)?;
        }
        let days = rows.column(at).as_primitive::<Date32Type>();
        Ok(ranges.into_iter().map(|run| (naive_date(days.value(run.start)), rows.slice(run.start, run.len()))).collect())
    }
}

/// The places of values in order, equal ones as they came.
fn in_order(values: &ArrayRef) -> Result<arrow::array::UInt32Array, arrow::error::ArrowError> {
    let count = u32::try_from(values.len()).expect("a block has fewer rows");
    let place: ArrayRef = std::sync::Arc::new(arrow::array::UInt32Array::from_iter_values(0..count));
    let column = |values: ArrayRef| SortColumn { values, options: None };
    lexsort_to_indices(&[column(values.clone()), column(place)], None)
}

fn naive_date(days: i32) -> Option<NaiveDate> {
    arrow::temporal_conversions::date32_to_datetime(days).map(|instant| instant.date())
}
