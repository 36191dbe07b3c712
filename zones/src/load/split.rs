//! Splits rows by date and holds them until the memory budget is used up.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Date32Type, SchemaRef};
use chrono::NaiveDate;

use super::plan::Segment;
use super::spill::SpillWriter;
use crate::error::Error;

/// Rows of one date that are not on disk yet.
#[derive(Default)]
struct Pending {
    batches: Vec<RecordBatch>,
    bytes: usize,
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
        for (date, rows) in self.by_date(rows)? {
            let bytes = rows.columns().iter().map(|column| column.get_buffer_memory_size()).sum::<usize>();
            let pending = self.pending.entry(date).or_default();
            pending.batches.push(rows);
            pending.bytes += bytes;
            self.bytes += bytes;
            if pending.batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>() >= self.segment_rows {
                self.flush(date, spill)?;
            }
        }
        while self.bytes > self.budget {
            let largest = self.pending.iter().max_by_key(|(_, pending)| pending.bytes).map(|(date, _)| *date);
            let Some(date) = largest else { break };
            self.flush(date, spill)?;
        }
        Ok(())
    }

    /// Spills what is left; the segments of all dates in the order in which they were written.
    pub(super) fn finish(mut self, spill: &mut SpillWriter) -> Result<Vec<Segment>, Error> {
        while let Some((date, _)) = self.pending.first_key_value() {
            self.flush(*date, spill)?;
        }
        Ok(self.segments)
    }

    #[tracing::instrument(target = "profile::thread", level = "trace", name = "spill", skip_all)]
    fn flush(&mut self, date: Option<NaiveDate>, spill: &mut SpillWriter) -> Result<(), Error> {
        let Some(pending) = self.pending.remove(&date) else { return Ok(()) };
        self.bytes -= pending.bytes;
        let whole = concat_batches(&self.schema, &pending.batches).map_err(Error::arrow("put rows together"))?;
        self.segments.push(spill.write(date, &self.schema, &[whole])?);
        Ok(())
    }

    fn by_date(&self, rows: &RecordBatch) -> Result<Vec<(Option<NaiveDate>, RecordBatch)>, Error> {
        if rows.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let Some(partition) = self.partition else { return Ok(vec![(None, rows.clone())]) };
        let days = rows.column(partition).as_primitive::<Date32Type>().values();
        // Files are mostly in order of time: then a block holds one date, and nothing has to be copied.
        if days.iter().all(|day| *day == days[0]) {
            return Ok(vec![(naive_date(days[0]), rows.clone())]);
        }
        let mut rows_of: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
        for (row, day) in (0_u32..).zip(days.iter()) {
            rows_of.entry(*day).or_default().push(row);
        }
        rows_of
            .into_iter()
            .map(|(day, indices)| {
                let taken = take_record_batch(rows, &UInt32Array::from(indices)).map_err(Error::arrow("split rows by date"))?;
                Ok((naive_date(day), taken))
            })
            .collect()
    }
}

fn naive_date(days: i32) -> Option<NaiveDate> {
    arrow::temporal_conversions::date32_to_datetime(days).map(|instant| instant.date())
}
