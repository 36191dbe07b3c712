//! Raw table and quarantine against the landed files: each file is decoded anew, as it was when it was loaded, and every record
//! of it must be where the load put it.
//!
//! A record that was accepted is in the raw table with its own place and the same values. One that was a duplicate is not, but a
//! row with the same key and values is. One that was rejected is in the quarantine with its bytes and its reason. And nothing
//! else is in either.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use futures::TryStreamExt;
use model::Receipt;
use model::definition::{ColumnSource, Landing, PipelineClock, RawTable, load_hash};
use model::progress::Silent;
use model::verify::{Check, EXAMPLES, Subject};

use super::accounting::{Account, Accounts, Counted};
use super::compare::{Comparison, Differences, Side, Wrong};
use super::rows::{Picked, RowBytes};
use super::{Looking, found};
use crate::delta::{ReadPlan, Table};
use crate::entries;
use crate::error::Error;
use crate::landing::LandingZone;
use crate::load::{
    Bounds, DateChoice, ENTRY, LOADED_AT, LoadPlan, POSITION, RECEIPT, REJECTS_FILE, ROWS_FILE, SpillReader, expand, prepare,
};
use crate::quarantine::load_name;

/// A raw table with all that it was loaded from.
pub struct Source<'s> {
    pub zone: &'s LandingZone,
    pub landing: &'s Landing,
    pub table: &'s RawTable,
    pub clock: PipelineClock,
    pub raw: &'s Table,
    pub quarantine: &'s Table,
    pub accounts: &'s Accounts,
    /// Those whose files are as they were received.
    pub receipts: &'s [Receipt],
}

/// A landed file that is decoded again.
struct File<'f> {
    receipt: &'f Receipt,
    account: &'f Account,
}

/// Sets the landed files beside the raw table and beside the quarantine.
pub async fn contents(source: &Source<'_>, looking: &Looking) -> Result<[Check; 2], Error> {
    let mut raw = Check::new(format!("raw.{}", source.table.name), Subject::Content);
    let mut rejects = Check::new("quarantine", Subject::Content);
    let files = source.files(&mut raw);
    let mut records = Records::new(source, looking)?;
    let (mut duplicates, mut replayed) = (0, 0);
    for file in &files {
        looking.shutdown.check()?;
        let folder = looking.spill.join(format!("decode-{}", uuid::Uuid::new_v4()));
        let decoded = tokio::task::block_in_place(|| records.decode(file, &folder, looking, &mut raw));
        // Only space is at stake, and the next look removes what is left.
        let _ = std::fs::remove_dir_all(&folder);
        match decoded {
            Ok(()) => {}
            Err(error) => found(&mut raw, "a landed file cannot be decoded as it was", error)?,
        }
        duplicates += file.account.counts.duplicate;
        replayed += file.account.replayed;
        raw.bytes += file.receipt.size;
    }
    let of_files: BTreeSet<i64> = files.iter().map(|file| i64::try_from(file.receipt.sequence).unwrap_or(i64::MAX)).collect();
    if let Err(error) = records.read_raw(&of_files, looking).await {
        found(&mut raw, "its rows cannot be compared", error)?;
        return Ok([raw, rejects]);
    }
    let loads: BTreeSet<String> = files.iter().map(|file| load_name(&source.table.name, file.receipt.sequence)).collect();
    let quarantined = records.read_quarantine(&loads, looking).await;
    if let Err(error) = quarantined {
        found(&mut rejects, "its rows cannot be compared", error)?;
        return Ok([raw, rejects]);
    }
    (raw.rows, rejects.rows) = (records.rows.0, records.rows.1);
    records.conclude(&of_files, (duplicates, replayed), (&mut raw, &mut rejects)).await?;
    Ok([raw, rejects])
}

impl Source<'_> {
    /// The files whose load can be repeated; says why others cannot.
    fn files(&self, check: &mut Check) -> Vec<File<'_>> {
        let definition = load_hash(self.landing, self.table);
        let (mut files, mut under_others) = (Vec::new(), 0);
        for (sequence, account) in self.accounts.receipts.iter().filter(|(_, account)| !account.is_superseded) {
            if !account.is_finished {
                check.note(format!(
                    "the load of receipt {sequence} is half done: its rows are counted, not compared with its file"
                ));
            } else if account.definitions.iter().any(|under| *under != definition) {
                under_others += 1;
            } else if let Some(receipt) = self.receipts.iter().find(|receipt| receipt.sequence == *sequence) {
                files.push(File { receipt, account });
            } else {
                check.note(format!(
                    "receipt {sequence} is not set beside its landed file, which was not looked at or is not as it was"
                ));
            }
        }
        if under_others > 0 {
            check.note(format!(
                "{under_others} files were loaded under another definition and cannot be decoded as they were then: their rows are \
                 counted, not compared with the files"
            ));
        }
        files
    }
}

/// Records of the files and rows of the tables, side by side.
struct Records<'s> {
    source: &'s Source<'s>,
    /// By place; the content is all columns but when it was loaded.
    raw: RowBytes,
    by_place: Comparison,
    /// By what makes two records the same.
    same: Option<RowBytes>,
    by_content: Comparison,
    quarantine: RowBytes,
    rejects: Comparison,
    /// Rows of the raw table and of the quarantine that were looked at, on both sides.
    rows: (u64, u64),
    /// Rows of the raw table that say that they were loaded when nothing was: how many, and the first of them.
    mistimed: (u64, Vec<String>),
}

fn columns_of(schema: &SchemaRef, is_in: impl Fn(&str) -> bool) -> SchemaRef {
    let fields = schema.fields().iter().filter(|field| is_in(field.name())).map(|field| field.as_ref().clone());
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

impl<'s> Records<'s> {
    fn new(source: &'s Source<'s>, looking: &Looking) -> Result<Self, Error> {
        let place = [RECEIPT, ENTRY, POSITION].map(str::to_owned);
        let raw = RowBytes::new(&columns_of(source.raw.schema(), |name| name != LOADED_AT), &place, &[])?;
        let unique = &source.table.unique_key;
        let field = |name: &str| {
            let column = source.table.columns.iter().find(|column| column.name == name);
            column.is_some_and(|column| matches!(column.source, ColumnSource::Field(_)) || unique.contains(&column.name))
        };
        let same = columns_of(source.raw.schema(), field);
        let names: Vec<String> = same.fields().iter().map(|field| field.name().clone()).collect();
        let same = (!unique.is_empty()).then(|| RowBytes::new(&same, &names, &[])).transpose()?;
        let place = ["load", "entry", "position"].map(str::to_owned);
        let quarantine = columns_of(source.quarantine.schema(), |name| name != "rejected_at");
        Ok(Self {
            source,
            raw,
            by_place: Comparison::new(&looking.spill),
            same,
            by_content: Comparison::new(&looking.spill),
            quarantine: RowBytes::new(&quarantine, &place, &[])?,
            rejects: Comparison::new(&looking.spill),
            rows: (0, 0),
            mistimed: (0, Vec::new()),
        })
    }

    /// Reads a landed file as its load did, and adds its records.
    fn decode(&mut self, file: &File<'_>, folder: &Path, looking: &Looking, check: &mut Check) -> Result<(), Error> {
        let source = self.source;
        let kept = LoadPlan::read(&source.zone.plan_folder(file.receipt, &source.table.name))?;
        let definition = load_hash(source.landing, source.table);
        let kept = kept.filter(|plan| plan.definition == definition);
        let under = kept.as_ref().map(|plan| (plan.planned_at, plan.newest_before));
        let (now, newest_before) = under.unwrap_or((file.account.first_write(), file.account.newest_before));
        let sliced: BTreeSet<_> = kept.iter().flat_map(|plan| plan.sliced_off.keys().copied()).collect();
        let choose = move |present: &BTreeSet<chrono::NaiveDate>| present.difference(&sliced).copied().collect();
        let bounds = Bounds {
            table: source.table,
            clock: source.clock,
            definition,
            receipt: file.receipt.sequence,
            now,
            newest_before,
            forgotten_before: kept.as_ref().and_then(|plan| plan.forgotten_before),
            format: &source.landing.format,
            max_record_bytes: source.landing.max_record_bytes,
            choose: Some(&choose as &DateChoice<'_>),
            shutdown: &looking.shutdown,
            file_bytes: file.receipt.size,
            progress: &Silent,
        };
        let input = entries::open(&source.zone.file(file.receipt), source.landing).map_err(Error::entry)?;
        let plan = prepare(input, folder, &bounds)?;
        compare_counts(file, &plan, check);

        let mut reader = SpillReader::open(&folder.join(ROWS_FILE))?;
        for segment in plan.batches.iter().flat_map(|batch| &batch.segments) {
            // Dates that maintenance took away are no longer there to be compared.
            if self.source.accounts.gone.contains(&segment.date.map(|date| date.to_string())) {
                continue;
            }
            for rows in reader.read(segment)? {
                looking.shutdown.check()?;
                let rows = if plan.added.is_empty() { rows } else { expand(&rows, &plan.added)? };
                let receipt = i64::try_from(plan.receipt).unwrap_or(i64::MAX);
                let receipts: ArrayRef = Arc::new(Int64Array::from(vec![receipt; rows.num_rows()]));
                self.add_same(Side::Wanted, &rows)?;
                self.add_raw(Side::Wanted, &with_column(&rows, RECEIPT, receipts)?)?;
            }
        }
        let mut reader = SpillReader::open(&folder.join(REJECTS_FILE))?;
        for segment in &plan.rejects {
            for rows in reader.read(segment)? {
                self.add_reject(&rows, &plan)?;
            }
        }
        Ok(())
    }

    fn add_raw(&mut self, side: Side, rows: &RecordBatch) -> Result<(), Error> {
        let shaped = self.raw.shaped(rows)?;
        let comparable = self.raw.comparable(&shaped)?;
        for (key, content) in comparable.keys.iter().zip(comparable.contents.iter()) {
            self.by_place.add(side, key.as_ref(), content.as_ref(), 0)?;
        }
        self.rows.0 += rows.num_rows() as u64;
        Ok(())
    }

    fn add_same(&mut self, side: Side, rows: &RecordBatch) -> Result<(), Error> {
        let Some(same) = &self.same else { return Ok(()) };
        let shaped = same.shaped(rows)?;
        for key in &same.comparable(&shaped)?.keys {
            self.by_content.add(side, key.as_ref(), &[], 0)?;
        }
        Ok(())
    }

    fn add_reject(&mut self, spilled: &RecordBatch, plan: &LoadPlan) -> Result<(), Error> {
        let rows = spilled.num_rows();
        let load = load_name(&self.source.table.name, plan.receipt);
        let text = |value: &str| Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, rows))) as ArrayRef;
        let receipt = i64::try_from(plan.receipt).unwrap_or(i64::MAX);
        let mut whole = spilled.clone();
        for (name, column) in [
            ("load", text(&load)),
            ("raw_table", text(&self.source.table.name)),
            ("receipt", Arc::new(Int64Array::from(vec![receipt; rows])) as ArrayRef),
            ("is_stopped", Arc::new(BooleanArray::from(vec![plan.stopped.is_some(); rows])) as ArrayRef),
            ("definition", text(&plan.definition)),
        ] {
            whole = with_column(&whole, name, column)?;
        }
        self.add_rejects(Side::Wanted, &whole)
    }

    fn add_rejects(&mut self, side: Side, rows: &RecordBatch) -> Result<(), Error> {
        let shaped = self.quarantine.shaped(rows)?;
        let comparable = self.quarantine.comparable(&shaped)?;
        for (key, content) in comparable.keys.iter().zip(comparable.contents.iter()) {
            self.rejects.add(side, key.as_ref(), content.as_ref(), 0)?;
        }
        self.rows.1 += rows.num_rows() as u64;
        Ok(())
    }

    async fn read_raw(&mut self, receipts: &BTreeSet<i64>, looking: &Looking) -> Result<(), Error> {
        let table = self.source.raw;
        for file in table.files(None)? {
            let mut batches = table.read_file(&file.path, &file.partition, &ReadPlan::all(table)).await?;
            while let Some(rows) = batches.try_next().await? {
                looking.shutdown.check()?;
                self.add_same(Side::Found, &rows)?;
                let rows = of_receipts(&rows, receipts)?;
                self.look_at_times(&rows)?;
                self.add_raw(Side::Found, &rows)?;
            }
        }
        Ok(())
    }

    /// When a row was loaded is the write time of one of its receipt's commits.
    fn look_at_times(&mut self, rows: &RecordBatch) -> Result<(), Error> {
        let column = |name: &str| rows.column_by_name(name).expect("a raw table says where its rows come from");
        let receipts = column(RECEIPT).as_primitive::<Int64Type>();
        let times = column(LOADED_AT).as_primitive::<TimestampMicrosecondType>();
        for (row, (receipt, time)) in receipts.values().iter().zip(times.values()).enumerate() {
            let account = self.source.accounts.receipts.get(&receipt.unsigned_abs());
            if account.is_some_and(|account| !account.write_times.contains(time)) {
                self.mistimed.0 += 1;
                if self.mistimed.1.len() < EXAMPLES {
                    let shaped = self.raw.shaped(&rows.slice(row, 1))?;
                    self.mistimed.1.push(self.raw.key_text(&shaped, 0));
                }
            }
        }
        Ok(())
    }

    async fn read_quarantine(&mut self, loads: &BTreeSet<String>, looking: &Looking) -> Result<(), Error> {
        let table = self.source.quarantine;
        for file in table.files(None)? {
            if !file.partition.as_ref().is_some_and(|load| loads.contains(load)) {
                continue;
            }
            let mut batches = table.read_file(&file.path, &file.partition, &ReadPlan::all(table)).await?;
            while let Some(rows) = batches.try_next().await? {
                looking.shutdown.check()?;
                self.add_rejects(Side::Found, &rows)?;
            }
        }
        Ok(())
    }

    async fn conclude(
        self,
        receipts: &BTreeSet<i64>,
        (duplicates, replayed): (u64, u64),
        (raw, rejects): (&mut Check, &mut Check),
    ) -> Result<(), Error> {
        let Self {
            source, raw: of_raw, by_place, same: _, by_content, quarantine: of_rejects, rejects: set_aside, mistimed, ..
        } = self;
        let by_place = by_place.finish()?;
        let missing = by_place.count(Wrong::Missing);
        // What has no row of its own is a duplicate, and then a row like it is there.
        let lost = if source.table.unique_key.is_empty() { missing } else { by_content.finish()?.count(Wrong::Missing) };
        raw.find(lost, "records of the landed files have neither a row nor one like them", Vec::new(), Some(RAW_ADVICE));
        let is_counted = source.accounts.receipts.values().all(|account| account.counted != Counted::NotAnyMore);
        if lost == 0 && is_counted && source.accounts.gone.is_empty() && missing != duplicates {
            let problem =
                format!("{missing} records of the landed files have no row, and {duplicates} were counted as duplicates");
            raw.find(missing.abs_diff(duplicates), problem, Vec::new(), Some(RAW_ADVICE));
        }
        let extra = by_place.count(Wrong::Extra).saturating_sub(replayed);
        let examples = named(source.raw, &of_raw, &by_place, |rows| of_receipts(rows, receipts)).await?;
        raw.find(extra, "there are rows that the landed files do not yield", examples(Wrong::Extra), Some(RAW_ADVICE));
        let of = |wrong| by_place.count(wrong);
        raw.find(
            of(Wrong::Different),
            "rows differ from the records of the landed files",
            examples(Wrong::Different),
            Some(RAW_ADVICE),
        );
        raw.find(of(Wrong::Repeated), "a record is there more than once", examples(Wrong::Repeated), Some(RAW_ADVICE));

        raw.find(mistimed.0, "rows say that they were loaded when nothing was", mistimed.1, Some(RAW_ADVICE));

        let set_aside = set_aside.finish()?;
        let examples = named(source.quarantine, &of_rejects, &set_aside, |rows| Ok(rows.clone())).await?;
        let missing = set_aside.count(Wrong::Missing).saturating_sub(replayed);
        rejects.find(missing, "rejected records of the landed files are missing", Vec::new(), Some(RAW_ADVICE));
        for (wrong, problem) in [
            (Wrong::Extra, "there are rows that the landed files do not yield"),
            (Wrong::Different, "rows differ from the records of the landed files"),
            (Wrong::Repeated, "a record is there more than once"),
        ] {
            rejects.find(set_aside.count(wrong), problem, examples(wrong), Some(RAW_ADVICE));
        }
        Ok(())
    }
}

fn compare_counts(file: &File<'_>, plan: &LoadPlan, check: &mut Check) {
    let (planned, account) = (plan.counts, file.account);
    let counted = account.counts;
    for (fate, should_be, is) in [
        ("read", planned.read, counted.read),
        ("rejected", planned.rejected, counted.rejected),
        ("dropped", planned.dropped, counted.dropped),
        ("sliced off", planned.sliced_off, counted.sliced_off),
        ("too old", planned.too_old, counted.too_old),
    ] {
        // A replay has added to these since.
        if should_be != is && account.replayed == 0 && account.counted != Counted::NotAnyMore {
            let example = format!("receipt {}: {fate} {is}, and its file has {should_be}", file.receipt.sequence);
            check.find(1, "the counts of a load are not those of its file", vec![example], None);
        }
    }
}

const RAW_ADVICE: &str = "make the table anew from its landed files with sluice rebuild, or restore an earlier version of it";

/// The places of rows of the table that are wrong, by kind.
async fn named(
    table: &Table,
    bytes: &RowBytes,
    differences: &Differences,
    choose: impl Fn(&RecordBatch) -> Result<RecordBatch, Error>,
) -> Result<impl Fn(Wrong) -> Vec<String>, Error> {
    let mut named: Vec<(Wrong, String)> = Vec::new();
    if !differences.is_empty() {
        let mut picked = Picked::default();
        for file in table.files(None)? {
            let mut batches = table.read_file(&file.path, &file.partition, &ReadPlan::all(table)).await?;
            while let Some(rows) = batches.try_next().await? {
                if picked.places.len() < EXAMINED {
                    let rows = bytes.shaped(&choose(&rows)?)?;
                    picked.pick(bytes, &rows, |key| differences.keys.contains_key(&key))?;
                }
            }
        }
        for key in picked.places.keys() {
            let (rows, row) = picked.get(*key).expect("it was just picked");
            named.push((differences.keys[key], bytes.key_text(rows, row)));
        }
        named.sort();
    }
    Ok(move |wrong| named.iter().filter(|(of, _)| *of == wrong).map(|(_, text)| text.clone()).collect())
}

/// Rows that are picked out to be named.
const EXAMINED: usize = 1_000;

fn of_receipts(rows: &RecordBatch, receipts: &BTreeSet<i64>) -> Result<RecordBatch, Error> {
    let of = rows.column_by_name(RECEIPT).expect("a raw table says where its rows come from").as_primitive::<Int64Type>();
    let is_of: BooleanArray = of.iter().map(|receipt| Some(receipt.is_some_and(|receipt| receipts.contains(&receipt)))).collect();
    filter_record_batch(rows, &is_of).map_err(Error::arrow("choose rows"))
}

fn with_column(rows: &RecordBatch, name: &str, column: ArrayRef) -> Result<RecordBatch, Error> {
    let mut fields: Vec<_> = rows.schema_ref().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.push(arrow::datatypes::Field::new(name, column.data_type().clone(), true));
    let mut columns = rows.columns().to_vec();
    columns.push(column);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(Error::arrow("put rows together"))
}
