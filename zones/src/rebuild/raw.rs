//! A raw table anew, from the landed files that were loaded into it.
//!
//! Every file is compared with its checksum and decoded again under whatever the definition says now; rejects take the place of earlier ones in the quarantine
//! first, as in a load. What comes out is what loading these files today into an empty table would give, but for dates past
//! their retention: those that are still stored stay as they are, and none comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chrono::NaiveDate;
use model::counts::Counts;
use model::definition::{ColumnSource, ContractRecord, Landing, OnChange, PipelineClock, RawTable, load_hash};
use model::position::{BatchNumber, FilePosition};
use model::receipt::Receipt;

use super::replacement::{Identity, Plan};
use super::staged::in_columns;
use super::{Circumstances, FOLDER, Rebuilt, STAGED_FILE, Staged, Stamps, identity, replace};
use crate::delta::feed::Partitions;
use crate::delta::{CommitNote, PartitionValue, Span, Table, TableShape};
use crate::entries;
use crate::error::Error;
use crate::lake::Lake;
use crate::landing::LandingZone;
use crate::load::{
    Batch, Bounds, DateChoice, Fate, LOADED_AT, LoadPlan, RECEIPT, REJECTS_FILE, ROWS_FILE, RowIndex, oldest_kept, prepare,
    raw_schema,
};
use crate::quarantine;
use crate::raw::{decided_before, indices, open, read_batch, row_key, shape, superseded};

/// What a raw table is computed from.
pub struct Landed<'l> {
    pub zone: &'l LandingZone,
    pub landing: &'l Landing,
    pub table: &'l RawTable,
    pub clock: PipelineClock,
    /// Which of the dates that are present are taken; `None` takes all.
    pub choose: Option<&'l DateChoice<'l>>,
    /// The urls that the source has today; `None` where it has one, which may move.
    pub known: Option<&'l BTreeSet<String>>,
}

/// Computes a raw table anew, all of it or the rows of some dates.
///
/// Files that are not loaded yet are left for the next load; one whose load is half done is taken whole. Some dates: the table
/// must have been loaded under the definition as it is.
pub async fn raw(lake: &Lake, landed: &Landed<'_>, span: Span, circumstances: &Circumstances<'_>) -> Result<Rebuilt, Error> {
    let mut table = open(lake, landed.table).await?;
    let mut anew = Anew::of(lake, landed, span, circumstances, &table).await?;
    if !span.is_all() {
        table.expect_shape(&anew.shape(&table))?;
        if landed.table.partition_by.is_none() {
            let problem = "it is not partitioned by a date".to_owned();
            return Err(Error::NotByDates { table: table.name().to_owned(), problem });
        }
    }
    let mut quarantine = quarantine::open(lake).await?;
    // Else the other half of a replay that was stopped would come later, over the rejects that are made anew here.
    crate::replay::finish(&table, &mut quarantine, landed.table, circumstances.now).await?;
    for receipt in anew.wanted()? {
        circumstances.shutdown.check()?;
        anew.file(&receipt, &mut quarantine).await?;
    }

    let wanted = anew.shape(&table);
    let (identity, why) = identity(&table, &wanted);
    let draft = super::reshaped(&table, &wanted, identity)?;
    let note = anew.note();
    let positions = match anew.last {
        Some(last) if span.is_all() => {
            vec![(landed.table.from.clone(), FilePosition::new(last, BatchNumber::LAST).number())]
        }
        _ => Vec::new(),
    };
    let spared = anew.spared(&table)?;
    let key = row_key();
    let plan = Plan {
        draft: draft.as_ref(),
        identity,
        rows: &anew.staged,
        span,
        spared: &spared,
        key: &key,
        key_spans_partitions: false,
        stamps: Stamps { created: None, changed: Some(LOADED_AT) },
        shutdown: circumstances.shutdown,
    };
    let rebuilt = replace(&mut table, circumstances, plan, &wanted, &note, &positions).await?;
    let another_table = rebuilt.another_table.clone().or_else(|| why.filter(|_| identity == Identity::Another));
    Ok(Rebuilt { rows: anew.staged.rows(), notes: anew.notes, another_table, ..rebuilt })
}

/// The landed files, as far as they were read again.
struct Anew<'a> {
    landed: &'a Landed<'a>,
    span: Span,
    circumstances: &'a Circumstances<'a>,
    definition: String,
    /// The sequence of the last receipt that is loaded, or half loaded.
    last: Option<u64>,
    receipts: Vec<Receipt>,
    staged: Staged,
    /// Where the files of one receipt are spilled.
    spill: std::path::PathBuf,
    newest_event: Option<i64>,
    /// Dates before this one have left the table.
    forgotten_before: Option<NaiveDate>,
    added: Vec<String>,
    by_date: BTreeMap<String, Counts>,
    by_receipt: BTreeMap<u64, Counts>,
    notes: Vec<String>,
}

impl<'a> Anew<'a> {
    async fn of(
        lake: &Lake,
        landed: &'a Landed<'a>,
        span: Span,
        circumstances: &'a Circumstances<'a>,
        table: &Table,
    ) -> Result<Self, Error> {
        let number = table.input_number(&landed.table.from).await?;
        let last = number.map(|number| FilePosition::from_number(number).receipt).filter(|receipt| *receipt > 0);
        let mut receipts = landed.zone.receipts()?;
        receipts.retain(|receipt| last.is_some_and(|last| receipt.sequence <= last));
        let folder = lake.state_folder().join(FOLDER);
        Ok(Self {
            staged: Staged::create(&folder, STAGED_FILE, landed.table.partition_by.as_deref())?,
            spill: folder.join("file"),
            definition: load_hash(landed.landing, landed.table),
            landed,
            span,
            circumstances,
            last,
            receipts,
            newest_event: None,
            forgotten_before: table.forgotten_before().await?,
            added: Vec::new(),
            by_date: BTreeMap::new(),
            by_receipt: BTreeMap::new(),
            notes: Vec::new(),
        })
    }

    /// The receipts whose rows the table should hold, oldest first.
    fn wanted(&self) -> Result<Vec<Receipt>, Error> {
        let mut gone = BTreeSet::new();
        if self.landed.table.on_change == OnChange::Replace {
            for receipt in &self.receipts {
                // A file that was stopped takes the place of none.
                if self.kept_plan(receipt)?.is_some() {
                    gone.extend(superseded(&self.receipts, receipt.sequence, self.landed.known));
                }
            }
        }
        let is_gone = |receipt: &Receipt| i64::try_from(receipt.sequence).is_ok_and(|sequence| gone.contains(&sequence));
        let mut wanted = Vec::new();
        for receipt in self.receipts.iter().filter(|receipt| !is_gone(receipt)) {
            let kept = if self.span.is_all() { None } else { self.kept_plan(receipt)? };
            // Without its plan, only the file itself tells its dates.
            let holds = |date: &NaiveDate| self.span.holds(&Some(date.to_string()));
            if kept.is_none_or(|plan| plan.dates().iter().any(holds)) {
                wanted.push(receipt.clone());
            }
        }
        Ok(wanted)
    }

    /// The plan under which a file was loaded.
    fn kept_plan(&self, receipt: &Receipt) -> Result<Option<LoadPlan>, Error> {
        LoadPlan::read(&self.landed.zone.plan_folder(receipt, &self.landed.table.name))
    }

    /// Reads one landed file again, and sets its rows aside.
    async fn file(&mut self, receipt: &Receipt, quarantine: &mut Table) -> Result<(), Error> {
        let Circumstances { shutdown, .. } = self.circumstances;
        tokio::task::block_in_place(|| self.landed.zone.verify_content_unless(receipt, shutdown))?;
        let plan = self.read(receipt)?;
        if self.span.is_all() {
            let rejects = self.spill.join(REJECTS_FILE);
            quarantine::replace_rejects(quarantine, &self.landed.table.name, &plan, &rejects, self.circumstances.now).await?;
        }
        if let Some(stop) = &plan.stopped {
            let file = format!("{} (receipt {})", receipt.file_name, receipt.sequence);
            let is_newer = |other: &Receipt| other.location == receipt.location && other.sequence > receipt.sequence;
            if self.receipts.iter().any(is_newer) {
                self.notes.push(format!("{file} stays out: {}; a newer file has come since", stop.reason));
                return Ok(());
            }
            return Err(Error::Stopped { file, reason: stop.reason.clone(), advice: stop.advice.clone() });
        }
        self.newest_event = self.newest_event.max(plan.newest_event);
        for name in plan.added.values() {
            if !self.added.contains(name) {
                self.added.push(name.clone());
            }
        }
        let mut counts = decided_before(&plan);
        for batch in &plan.batches {
            self.circumstances.shutdown.check()?;
            counts += self.batch(batch, &plan)?;
        }
        self.by_receipt.insert(receipt.sequence, counts);
        self.circumstances.progress.advance(plan.counts.read);
        for file in [ROWS_FILE, REJECTS_FILE] {
            let _ = std::fs::remove_file(self.spill.join(file));
        }
        Ok(())
    }

    fn read(&self, receipt: &Receipt) -> Result<LoadPlan, Error> {
        let Landed { zone, landing, table, clock, choose, .. } = self.landed;
        let kept = if self.span.is_all() { None } else { self.kept_plan(receipt)? };
        // Some dates go with the others: they are read just as they were.
        let (now, newest_before) =
            kept.map_or((self.circumstances.now, self.newest_event), |plan| (plan.planned_at, plan.newest_before));
        let silent = model::progress::Silent;
        let input = entries::open(&zone.file(receipt), landing).map_err(Error::entry)?;
        let bounds = Bounds {
            table,
            clock: *clock,
            definition: self.definition.clone(),
            receipt: receipt.sequence,
            now,
            newest_before,
            forgotten_before: self.forgotten_before,
            format: &landing.format,
            max_record_bytes: landing.max_record_bytes,
            choose: *choose,
            shutdown: self.circumstances.shutdown,
            file_bytes: receipt.size,
            progress: &silent,
        };
        tokio::task::block_in_place(|| prepare(input, &self.spill, &bounds))
    }

    /// Sets the rows of a batch aside that are not there yet; yields their fates.
    fn batch(&mut self, batch: &Batch, plan: &LoadPlan) -> Result<Counts, Error> {
        let holds = |date: Option<NaiveDate>| self.span.holds(&date.map(|date| date.to_string()));
        let segments = batch.segments.iter().filter(|segment| holds(segment.date)).cloned().collect();
        let Some(rows) = read_batch(&self.spill.join(ROWS_FILE), &Batch { segments }, plan)? else {
            return Ok(Counts::default());
        };
        let partition_column = self.landed.table.partition_by.as_deref();
        let rows_of = Partitions::of(&rows, partition_column)?.rows();
        let fates = self.fates(&rows, &rows_of.keys().cloned().collect())?;
        let mut total = Counts::default();
        for (date, rows) in rows_of {
            let counts: Counts = rows.into_iter().map(|row| fates[row as usize].counts()).sum();
            total += counts;
            if let Some(date) = date {
                *self.by_date.entry(date).or_default() += counts;
            }
        }
        let kept: BooleanArray = fates.iter().map(|fate| Some(*fate != Fate::Duplicate)).collect();
        let rows = filter_record_batch(&rows, &kept).map_err(Error::arrow("leave out duplicates"))?;
        self.staged.add(&of_receipt(&rows, plan.receipt)?)?;
        Ok(total)
    }

    /// Which rows are there already, in the batch or among those of these partitions that were set aside.
    fn fates(&self, rows: &RecordBatch, partitions: &BTreeSet<PartitionValue>) -> Result<Vec<Fate>, Error> {
        let RawTable { columns, unique_key, .. } = self.landed.table;
        let compared_by = self.landed.table.compared_by();
        if unique_key.is_empty() {
            return Ok(vec![Fate::New; rows.num_rows()]);
        }
        let decides = |name: &String| {
            let column = columns.iter().find(|column| column.name == *name);
            column.is_some_and(|column| matches!(column.source, ColumnSource::Field(_)) || compared_by.contains(name))
        };
        let fields: Vec<Arc<Field>> = rows.schema_ref().fields().iter().filter(|field| decides(field.name())).cloned().collect();
        let narrow: SchemaRef = Arc::new(Schema::new(fields));
        let narrowed = in_columns(rows, &narrow)?;
        let content: Vec<usize> = (0..narrowed.num_columns()).collect();
        let mut index = RowIndex::new(&narrowed, &indices(&narrowed, &compared_by), &content)?;
        for partition in partitions {
            self.staged.read(partition, &narrow, |stored| index.compare_with(&stored))?;
        }
        Ok(index.finish())
    }

    /// The table as the definition and the files make it: a table that has just these columns keeps their order.
    fn shape(&self, table: &Table) -> TableShape {
        let base = raw_schema(self.landed.table);
        let mut fields: Vec<Field> = base.fields().iter().map(|field| field.as_ref().clone()).collect();
        let is_new = |name: &&String| base.field_with_name(name).is_err();
        fields.extend(self.added.iter().filter(is_new).map(|name| Field::new(name, DataType::Utf8, true)));
        let shape = shape(self.landed.table);
        let is_same = |field: &Field| table.schema().field_with_name(field.name()).is_ok_and(|found| found == field);
        // Before the files were read, what they add is not known.
        let knows_all = fields.len() == table.schema().fields().len() || (shape.takes_strings && !self.span.is_all());
        let schema = if knows_all && fields.iter().all(is_same) { table.schema().clone() } else { Arc::new(Schema::new(fields)) };
        let contract = Some(ContractRecord::of(self.landed.landing, self.landed.table));
        TableShape { schema, contract, ..shape }
    }

    /// Dates past their retention: none comes back, and those that are stored are for `maintain` to remove.
    fn spared(&self, table: &Table) -> Result<BTreeSet<PartitionValue>, Error> {
        if !self.span.is_all() {
            return Ok(BTreeSet::new());
        }
        let Landed { table: definition, clock, .. } = self.landed;
        let Some(oldest) = oldest_kept(definition, *clock, self.circumstances.now, self.newest_event) else {
            return Ok(BTreeSet::new());
        };
        let is_past = |partition: &PartitionValue| {
            partition.as_ref().and_then(|date| date.parse::<NaiveDate>().ok()).is_some_and(|date| date < oldest)
        };
        let stored = table.partitions()?;
        Ok(stored.iter().chain(self.staged.partitions()).filter(|partition| is_past(partition)).cloned().collect())
    }

    fn note(&mut self) -> CommitNote {
        let is_all = self.span.is_all();
        let by_receipt = if is_all { std::mem::take(&mut self.by_receipt) } else { BTreeMap::new() };
        CommitNote {
            input: self.landed.table.from.clone(),
            counts: by_receipt.values().copied().sum(),
            by_date: if is_all { std::mem::take(&mut self.by_date) } else { BTreeMap::new() },
            by_receipt,
            definition: self.definition.clone(),
            newest_event: self.newest_event.filter(|_| is_all),
            rebuilt: Some(self.span),
            ..CommitNote::default()
        }
    }
}

/// Rows with the receipt that they came with.
fn of_receipt(rows: &RecordBatch, receipt: u64) -> Result<RecordBatch, Error> {
    let mut fields: Vec<Arc<Field>> = rows.schema_ref().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(RECEIPT, DataType::Int64, false)));
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    columns.push(Arc::new(Int64Array::from(vec![i64::try_from(receipt).unwrap_or(i64::MAX); rows.num_rows()])));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(Error::arrow("put rows together"))
}
