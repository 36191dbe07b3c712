//! Records that were set aside, through the present definition: the same decoder, contract, dates and retention as a load.
//!
//! Guarantee: each record that is fed either is among the rows of the plan, or is counted as dropped, too old or sliced off, or
//! stays aside with its new reason; the counts say so and add up. Rows carry the entry and the position of their record. Nothing
//! here touches a Delta table. Memory holds what a load holds, and a reason for each record that stays.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use model::definition::{Format, UnknownFields};
use model::reject::RejectReason;

use super::added::columns_for;
use super::contract::{CompiledContract, POSITION};
use super::plan::LoadPlan;
use super::prepare::{Bounds, ROWS_FILE, SPILL_BUDGET, without_old_dates, without_sliced_dates};
use super::spill::SpillWriter;
use super::split::DateSplitter;
use super::stop::{Stop, drift};
use crate::decode::again::{self, CsvLayout};
use crate::decode::{Block, Decoder};
use crate::error::Error;

/// How the entries of a file of CSV are laid out.
pub(crate) type Layouts = HashMap<Arc<str>, CsvLayout>;

/// Records that are still no rows, with the reason that they have now.
#[derive(Debug, Default)]
pub(crate) struct Stays {
    by_entry: HashMap<Arc<str>, HashMap<u64, (RejectReason, String)>>,
    pub(crate) count: u64,
    pub(crate) by_reason: BTreeMap<String, u64>,
}

impl Stays {
    pub(crate) fn get(&self, entry: &str, position: u64) -> Option<&(RejectReason, String)> {
        self.by_entry.get(entry)?.get(&position)
    }

    fn add(&mut self, entry: &Arc<str>, position: u64, reason: RejectReason, detail: String) {
        self.count += 1;
        *self.by_reason.entry(reason.name().to_owned()).or_default() += 1;
        self.by_entry.entry(entry.clone()).or_default().insert(position, (reason, detail));
    }
}

/// What became of the records.
pub(crate) struct Refed {
    /// `counts.read` are the records that were fed; the rows of the batches are in the spill file.
    pub(crate) plan: LoadPlan,
    pub(crate) stays: Stays,
}

/// Takes records, block by block.
pub(crate) struct Feeding<'a> {
    bounds: &'a Bounds<'a>,
    contract: CompiledContract,
    rows: SpillWriter,
    splitter: DateSplitter,
    plan: LoadPlan,
    stays: Stays,
}

impl<'a> Feeding<'a> {
    /// Rows are left in `folder`.
    pub(crate) fn start(folder: &Path, bounds: &'a Bounds<'a>) -> Result<Self, Error> {
        let contract = CompiledContract::compile(bounds.table, bounds.format)?;
        Ok(Self {
            rows: SpillWriter::create(&folder.join(ROWS_FILE))?,
            splitter: DateSplitter::new(
                contract.row_schema().clone(),
                contract.partition(),
                SPILL_BUDGET,
                bounds.table.batch_rows,
            ),
            plan: LoadPlan::new(bounds.definition.clone(), bounds.receipt, bounds.now, bounds.newest_before),
            stays: Stays::default(),
            contract,
            bounds,
        })
    }

    pub(crate) fn decoder(&self) -> &Decoder {
        self.contract.decoder()
    }

    /// Feeds records of one entry: where each was, and its bytes.
    pub(crate) fn records(&mut self, entry: &Arc<str>, records: &[(u64, &[u8])], layouts: &Layouts) -> Result<(), Error> {
        let mut fed = Vec::with_capacity(records.len());
        for (position, bytes) in records {
            let size = bytes.len() as u64;
            if size > self.bounds.max_record_bytes {
                let detail = format!("{size} bytes, more than the limit of {}", self.bounds.max_record_bytes);
                self.stay(entry, *position, RejectReason::TooLarge, detail);
            } else if let Some(detail) = again::no_record(self.bounds.format, bytes) {
                self.stay(entry, *position, RejectReason::Malformed, detail.to_owned());
            } else {
                fed.push((*position, *bytes));
            }
        }
        if fed.is_empty() {
            return Ok(());
        }
        let block = match self.bounds.format {
            Format::Csv(csv) => {
                let Some(layout) = layouts.get(entry) else {
                    for (position, _) in fed {
                        let detail = "its entry has no header any more".to_owned();
                        self.stay(entry, position, RejectReason::Malformed, detail);
                    }
                    return Ok(());
                };
                again::csv_block(entry, csv, layout, &fed)
            }
            Format::JsonLines | Format::Parquet => again::line_block(entry, &fed),
        };
        let positions: Vec<u64> = fed.iter().map(|(position, _)| *position).collect();
        self.block(&block, 1, &positions)
    }

    /// Feeds a block, whose first record is number `first`: `positions` are the places of its records in their entry.
    pub(crate) fn block(&mut self, block: &Block, first: u64, positions: &[u64]) -> Result<(), Error> {
        let accepted = self.contract.accept(block, self.bounds.latest_event())?;
        let fates = accepted.rows.num_rows() as u64 + accepted.rejects.len() as u64 + accepted.dropped;
        if fates != positions.len() as u64 {
            let what = format!("{} records of {} that were decoded again", positions.len(), block.entry());
            return Err(Error::Accounting { what, counts: format!("{fates} came out") });
        }
        let place = |number: u64| positions[usize::try_from(number - first).expect("a number of this block")];
        self.plan.counts.read += fates;
        self.plan.counts.dropped += accepted.dropped;
        self.plan.newest_event = self.plan.newest_event.max(accepted.newest_event);
        for (check, count) in self.contract.checks().zip(accepted.failures).filter(|(_, count)| *count > 0) {
            *self.plan.checks.entry(check.name.clone()).or_default() += count;
        }
        self.plan.drift.add(accepted.drift);
        for reject in accepted.rejects {
            self.stays.add(&reject.entry, place(reject.position), reject.reason, reject.detail);
        }
        let rows = placed(&accepted.rows, &place)?;
        self.splitter.push(&rows, &mut self.rows)?;
        self.bounds.progress.advance(fates);
        Ok(())
    }

    fn stay(&mut self, entry: &Arc<str>, position: u64, reason: RejectReason, detail: String) {
        self.plan.counts.read += 1;
        self.stays.add(entry, position, reason, detail);
    }

    pub(crate) fn finish(mut self) -> Result<Refed, Error> {
        let segments = self.splitter.finish(&mut self.rows)?;
        self.plan.spilled_rows = segments.iter().map(|segment| segment.length).sum();
        self.rows.finish()?;
        self.plan.counts.rejected = self.stays.count;
        if !segments.is_empty() {
            self.plan.stopped = drift(self.bounds.table, &self.plan);
            if self.bounds.table.unknown_fields == UnknownFields::Add {
                match columns_for(&self.plan.drift, self.bounds.table) {
                    Ok(added) => self.plan.added = added,
                    Err(reason) => {
                        let advice = "make a column of the field in the contract, with a name of its own".to_owned();
                        self.plan.stopped = self.plan.stopped.or(Some(Stop { reason, advice }));
                    }
                }
            }
        }
        let segments = without_old_dates(segments, &mut self.plan, self.bounds);
        let segments = without_sliced_dates(segments, &mut self.plan, self.bounds);
        self.plan.batches = LoadPlan::batches_of(segments, self.bounds.table.batch_rows, self.bounds.table.small_date_rows.0);
        Ok(Refed { plan: self.plan, stays: self.stays })
    }
}

/// The rows with the places where their records were, for the numbers that they had in their block.
fn placed(rows: &RecordBatch, place: &impl Fn(u64) -> u64) -> Result<RecordBatch, Error> {
    let at = rows.schema_ref().index_of(POSITION).expect("every row says where it was");
    let positions: Int64Array = rows
        .column(at)
        .as_primitive::<Int64Type>()
        .values()
        .iter()
        .map(|number| i64::try_from(place(number.unsigned_abs())).unwrap_or(i64::MAX))
        .collect();
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    columns[at] = Arc::new(positions);
    RecordBatch::try_new(rows.schema(), columns).map_err(Error::arrow("put rows together"))
}
