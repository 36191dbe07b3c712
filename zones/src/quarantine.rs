//! The quarantine: records that were set aside, as received, with place and reason.
//!
//! One Delta table per pipeline, a partition per load (raw table and receipt). Guarantee: the rejects of a file are committed
//! once, before the first raw commit of that file; where a file is read again under another definition, its rejects replace
//! the earlier ones in one commit.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanArray, Int64Array, Int64Builder, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use model::counts::Counts;
use model::crash;

use crate::decode::Reject;
use crate::delta::{Commit, CommitNote, DataFile, Table, TableShape};
use crate::error::Error;
use crate::lake::Lake;
use crate::load::{LoadPlan, Segment, SpillReader, SpillWriter};

/// Rejects held before they are spilled.
const BUFFER_ROWS: usize = 10_000;
const BUFFER_BYTES: usize = 16 << 20;

/// Names the partition of one load.
pub(crate) fn load_name(raw_table: &str, receipt: u64) -> String {
    format!("{raw_table}-{receipt:06}")
}

/// The files that hold the rejects of one load.
pub(crate) fn files_of_load(quarantine: &Table, load: &str) -> Result<Vec<DataFile>, Error> {
    quarantine.files(Some(&[Some(load.to_owned())].into()))
}

/// The quarantine table's shape.
pub fn shape(pipeline: &str) -> TableShape {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let schema = Schema::new(vec![
        Field::new("load", DataType::Utf8, false),
        Field::new("raw_table", DataType::Utf8, false),
        Field::new("receipt", DataType::Int64, false),
        Field::new("entry", DataType::Utf8, false),
        Field::new("position", DataType::Int64, false),
        Field::new("reason", DataType::Utf8, false),
        Field::new("detail", DataType::Utf8, false),
        Field::new("record", DataType::Binary, false),
        Field::new("is_stopped", DataType::Boolean, false),
        Field::new("definition", DataType::Utf8, false),
        Field::new("rejected_at", instant, false),
    ]);
    TableShape {
        schema: Arc::new(schema),
        partition_column: Some("load".to_owned()),
        change_feed: false,
        contract: None,
        may_grow: false,
        takes_strings: false,
        description: format!("records of {pipeline} that were set aside, as received"),
    }
}

/// Opens a pipeline's quarantine; it must exist.
pub async fn open(lake: &Lake) -> Result<Table, Error> {
    let name = lake.quarantine_name();
    Table::open(&lake.quarantine_folder(), &name)
        .await?
        .map(|table| table.guarded(lake.guard()))
        .ok_or_else(|| Error::NoTable { table: format!("quarantine table {name}") })
}

fn spilled_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("entry", DataType::Utf8, false),
        Field::new("position", DataType::Int64, false),
        Field::new("reason", DataType::Utf8, false),
        Field::new("detail", DataType::Utf8, false),
        Field::new("record", DataType::Binary, false),
    ]))
}

/// Rejects of a file while it is read.
pub(crate) struct RejectBuffer {
    entries: StringBuilder,
    positions: Int64Builder,
    reasons: StringBuilder,
    details: StringBuilder,
    records: BinaryBuilder,
    rows: usize,
    bytes: usize,
}

impl RejectBuffer {
    pub(crate) fn new() -> Self {
        Self {
            entries: StringBuilder::new(),
            positions: Int64Builder::new(),
            reasons: StringBuilder::new(),
            details: StringBuilder::new(),
            records: BinaryBuilder::new(),
            rows: 0,
            bytes: 0,
        }
    }

    pub(crate) fn push(&mut self, reject: &Reject) {
        self.entries.append_value(&reject.entry);
        self.positions.append_value(i64::try_from(reject.position).unwrap_or(i64::MAX));
        self.reasons.append_value(reject.reason.name());
        self.details.append_value(&reject.detail);
        self.records.append_value(&reject.bytes);
        self.rows += 1;
        self.bytes += reject.bytes.len();
    }

    pub(crate) fn is_full(&self) -> bool {
        self.rows >= BUFFER_ROWS || self.bytes >= BUFFER_BYTES
    }

    /// Writes what is held as one segment; `None` where nothing is.
    pub(crate) fn spill(&mut self, spill: &mut SpillWriter) -> Result<Option<Segment>, Error> {
        if self.rows == 0 {
            return Ok(None);
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.entries.finish()),
            Arc::new(self.positions.finish()),
            Arc::new(self.reasons.finish()),
            Arc::new(self.details.finish()),
            Arc::new(self.records.finish()),
        ];
        (self.rows, self.bytes) = (0, 0);
        let schema = spilled_schema();
        let batch = RecordBatch::try_new(schema.clone(), columns).map_err(Error::arrow("spill rejects"))?;
        spill.write(None, &schema, &[batch]).map(Some)
    }
}

/// Commits the rejects of a planned load, unless they are there already. Returns whether a commit was made.
///
/// `spill` is the file that holds the plan's reject segments; `now` is in microseconds.
pub async fn commit_rejects(
    quarantine: &mut Table,
    raw_table: &str,
    plan: &LoadPlan,
    spill: &Path,
    now: i64,
) -> Result<bool, Error> {
    let load = load_name(raw_table, plan.receipt);
    // What is there was committed under some definition: under this one and with this outcome, nothing is left to do.
    let number = quarantine.input_number(&load).await?;
    if recorded_mark(quarantine, &load, number).await?.as_deref() == Some(&mark(plan)) {
        return Ok(false);
    }
    commit_in_place(quarantine, raw_table, plan, spill, now).await
}

/// The same where the file was read again on purpose: also where records left the quarantine since, or came back into it.
pub(crate) async fn replace_rejects(
    quarantine: &mut Table,
    raw_table: &str,
    plan: &LoadPlan,
    spill: &Path,
    now: i64,
) -> Result<bool, Error> {
    let load = load_name(raw_table, plan.receipt);
    let there: Option<u64> = files_of_load(quarantine, &load)?.into_iter().map(|file| file.rows).sum();
    let number = quarantine.input_number(&load).await?;
    let recorded = recorded_mark(quarantine, &load, number).await?;
    if there == Some(plan.counts.rejected) && recorded.as_deref() == Some(&mark(plan)) {
        return Ok(false);
    }
    commit_in_place(quarantine, raw_table, plan, spill, now).await
}

/// Under which definition a file was read, and with which outcome.
fn mark(plan: &LoadPlan) -> String {
    format!("{}{}", plan.definition, if plan.stopped.is_some() { " stopped" } else { "" })
}

/// Commits the rejects of a load in place of those that are there.
#[tracing::instrument(target = "profile", level = "trace", name = "set rejects aside", skip_all)]
async fn commit_in_place(
    quarantine: &mut Table,
    raw_table: &str,
    plan: &LoadPlan,
    spill: &Path,
    now: i64,
) -> Result<bool, Error> {
    let load = load_name(raw_table, plan.receipt);
    let earlier = files_of_load(quarantine, &load)?;
    if plan.rejects.is_empty() && earlier.is_empty() {
        return Ok(false);
    }
    let write_time = quarantine.next_write_time(now).await?;
    let mut adds = Vec::new();
    if !plan.rejects.is_empty() {
        let mut reader = SpillReader::open(spill)?;
        for segment in &plan.rejects {
            let mut rows = Vec::new();
            for batch in reader.read(segment)? {
                rows.push(whole_rows(&batch, raw_table, &load, plan, write_time)?);
            }
            crash::point("quarantine/files:before");
            adds.extend(quarantine.write_files(rows).await?);
            crash::point("quarantine/files:after");
        }
    }
    let version = i64::try_from(quarantine.version().0 + 1).unwrap_or(i64::MAX);
    let note = CommitNote {
        input: load.clone(),
        receipt: Some(plan.receipt),
        definition: mark(plan),
        counts: Counts { rejected: plan.counts.rejected, ..Counts::default() },
        write_time,
        run: Some(now),
        ..CommitNote::default()
    };
    // The number is the quarantine's own version: it leads from the load to the commit that holds its rejects.
    crash::point("quarantine/commit:before");
    quarantine.commit(Commit { adds, removes: earlier, positions: vec![(load, version)], note, ..Commit::default() }).await?;
    crash::point("quarantine/commit:after");
    Ok(true)
}

/// Under which definition, and with which outcome, the rejects of a load were committed.
async fn recorded_mark(quarantine: &Table, load: &str, number: Option<i64>) -> Result<Option<String>, Error> {
    let Some(number) = number else { return Ok(None) };
    let first = model::position::TableVersion(number.unsigned_abs());
    let note = match quarantine.commit_content(first).await {
        // Then they are committed again in place of those that are there.
        Err(Error::CommitGone { .. }) => None,
        content => content?.note(),
    };
    Ok(note.filter(|note| note.input == load).map(|note| note.definition))
}

fn whole_rows(spilled: &RecordBatch, raw_table: &str, load: &str, plan: &LoadPlan, now: i64) -> Result<RecordBatch, Error> {
    let rows = spilled.num_rows();
    let text = |value: &str| Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, rows))) as ArrayRef;
    let receipt = i64::try_from(plan.receipt).unwrap_or(i64::MAX);
    let columns: Vec<ArrayRef> = vec![
        text(load),
        text(raw_table),
        Arc::new(Int64Array::from(vec![receipt; rows])),
        spilled.column(0).clone(),
        spilled.column(1).clone(),
        spilled.column(2).clone(),
        spilled.column(3).clone(),
        spilled.column(4).clone(),
        Arc::new(BooleanArray::from(vec![plan.stopped.is_some(); rows])),
        text(&plan.definition),
        Arc::new(TimestampMicrosecondArray::from(vec![now; rows]).with_timezone("UTC")),
    ];
    RecordBatch::try_new(shape("").schema, columns).map_err(Error::arrow("put rejects together"))
}
