//! A Cassandra table as a whole, from the rows that its origin has: where versions in between are gone, and where it is rebuilt.
//! A repair of single rows takes its write time from here as well.
//!
//! Guarantee: afterwards the table holds what its SQL yields over the origin at its newest version, whatever was written to it by
//! hand until now. All of it has write times later than any that the lake gave before; of rows of a raw table with one primary
//! key the newest wins, column by column where nulls are left unset, as if they had been sent one version after the other. Rows
//! that the origin does not have are removed, after all others were written: those that should be there are there all the time.
//! The times are in the origin's log before the first of them is used ([`later_time`]), so that what comes afterwards is later
//! still; and the checkpoint follows the last acknowledgement. Done again after a kill, it leaves the same rows.
//! Never: drops the table, or sees what a delete with a time in the future hides ([`Filled::hidden`] counts it).
//!
//! Memory: one group of rows, and some 32 bytes for each row of the table.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, new_null_array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use cassandra::{Changes, Nulls, Sink, Store, TableDesign, WireRows, WriteTimes};
use futures::TryStreamExt;
use model::Progress;
use model::crash;
use model::definition::{CassandraTable, Origin};
use model::position::TableVersion;
use model::report::{Outcome, StageReport};
use sha2::{Digest, Sha256};
use zones::delta::{Commit, CommitNote, ReadPlan, Table};

use super::create_tables::{design, statement};
use super::open_table;
use super::to_cassandra::{checkpoint, nulls};
use crate::context::Context;
use crate::error::Error;

/// The column of a raw table that has the write time of the version that a row came with.
pub(crate) const LOADED_AT: &str = "_loaded_at";

/// What becomes of rows that the origin does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    Remove,
    /// Rows of dates that have left the origin stay.
    Keep,
}

/// One table.
pub(crate) struct WholeTable<'w> {
    pub(crate) context: &'w Context,
    pub(crate) store: &'w Store,
    pub(crate) table: &'w CassandraTable,
    pub(crate) others: Others,
}

/// What was sent.
#[derive(Debug)]
pub(crate) struct Filled {
    /// The version of the origin that the table holds.
    pub(crate) version: TableVersion,
    pub(crate) read: u64,
    pub(crate) rows: u64,
    pub(crate) deleted: u64,
    /// Rows that were written and cannot be read; not known where others are kept.
    pub(crate) hidden: u64,
}

impl Filled {
    pub(crate) fn add_to(&self, mut report: StageReport) -> StageReport {
        report.counts.read += self.read;
        report.counts.accepted = report.counts.read;
        report.outcome = Outcome::Done;
        report.written += self.rows + self.deleted;
        report.deleted += self.deleted;
        report.position = Some(self.version.0);
        report
    }
}

impl WholeTable<'_> {
    /// The newest write time of any value in the table.
    pub(crate) async fn newest_write(&self, design: &TableDesign) -> Result<Option<i64>, Error> {
        let mut newest = None;
        self.scan(design, WriteTimes::Include, |rows, row| newest = newest.max(rows.newest_write(row))).await?;
        Ok(newest)
    }

    /// Writes the table again, and moves its checkpoint.
    pub(crate) async fn fill(&self, progress: &dyn Progress) -> Result<Filled, Error> {
        let mut origin = open_table(self.context, &self.table.from).await?;
        let versions = self.versions(&origin).await?;
        // One for what is null, below those of the rows.
        let places = i64::try_from(versions.len()).unwrap_or(i64::MAX - 1) + 1;
        let as_what = format!("cassandra.{}", self.table.name);
        let first = later_time(self.context, self.store, self.table, &mut origin, as_what, (None, places)).await?;
        progress.expect(origin.row_count()?);
        let design = design(&self.context.pipeline, self.table).await?;
        let open = async |nulls| {
            let opened = Sink::open(self.store, design.clone(), nulls).await;
            opened.map_err(Error::cassandra(format!("prepare {}", self.table.name)))
        };
        let nulls = nulls(&self.context.pipeline, self.table, &[]);
        let mut filling = Filling {
            whole: self,
            design: &design,
            sink: open(nulls).await?,
            clearing: if nulls == Nulls::Unset { Some(open(Nulls::Write).await?) } else { None },
            input: origin.schema().clone(),
            first,
            times: (first + 1..).zip(versions).map(|(time, version)| (version, time)).collect(),
            progress,
            keys: HashSet::new(),
            filled: Filled { version: origin.version(), read: 0, rows: 0, deleted: 0, hidden: 0 },
        };
        filling.all_rows(&origin).await?;
        if self.others == Others::Remove {
            filling.remove_others(first + places - 1).await?;
        }
        let (sink, filled) = (filling.sink, filling.filled);
        self.context.lake.confirm_hold()?;
        let at = (origin.version(), sink.table_id());
        checkpoint(self.context, self.store, self.table, &origin, at, first + places - 1).await?;
        Ok(filled)
    }

    /// The write times of the versions whose rows a raw table has. A use-case table has one row for each key.
    async fn versions(&self, origin: &Table) -> Result<BTreeSet<i64>, Error> {
        let mut versions = BTreeSet::new();
        if matches!(self.table.from, Origin::UseCase(_)) {
            return Ok(versions);
        }
        let plan = ReadPlan::columns(origin, &[LOADED_AT.to_owned()]);
        for file in origin.files(None)? {
            self.context.shutdown.check()?;
            let mut batches = origin.read_file(&file.path, &file.partition, &plan).await?;
            while let Some(rows) = batches.try_next().await? {
                versions.extend(distinct(&rows, LOADED_AT));
            }
        }
        Ok(versions)
    }

    async fn scan(
        &self,
        design: &TableDesign,
        write_times: WriteTimes,
        mut take: impl FnMut(&WireRows, usize),
    ) -> Result<(), Error> {
        let in_table = || Error::cassandra(format!("read {}", self.table.name));
        let mut scan = self.store.wire_scan(design, None, write_times).await.map_err(in_table())?;
        while let Some(rows) = scan.next().await.map_err(in_table())? {
            self.context.shutdown.check()?;
            (0..rows.len()).for_each(|row| take(&rows, row));
        }
        Ok(())
    }
}

/// A write time later than all that the lake gave before, than `after`, and than the wall clock; it and the `places - 1` behind it
/// are the caller's. A commit without rows puts the last of them into the origin's log, before any is used: every later version
/// then has a later one.
pub(crate) async fn later_time(
    context: &Context,
    store: &Store,
    table: &CassandraTable,
    origin: &mut Table,
    input: String,
    (after, places): (Option<i64>, i64),
) -> Result<i64, Error> {
    let read = store.read_checkpoint_time(&table.name).await;
    let checkpoint = read.map_err(Error::cassandra(format!("read the checkpoint of {}", table.name)))?;
    // A delete is sent with the time before its own.
    let after = after.max(checkpoint).map_or(context.now, |time| context.now.max(time + 2));
    let first = origin.next_write_time(after).await?;
    let note = CommitNote { input, write_time: first + places - 1, run: Some(context.now), ..CommitNote::default() };
    crash::point("cassandra/time:before");
    origin.commit(Commit { note, ..Commit::default() }).await?;
    crash::point("cassandra/time:after");
    Ok(first)
}

/// Rows of each of the times in a column, oldest first.
pub(crate) fn by_time(batches: Vec<RecordBatch>, column: &str) -> Result<BTreeMap<i64, Vec<RecordBatch>>, Error> {
    let mut by_time: BTreeMap<i64, Vec<RecordBatch>> = BTreeMap::new();
    for batch in batches {
        let distinct = distinct(&batch, column);
        if let Some(time) = distinct.first().filter(|_| distinct.len() == 1) {
            by_time.entry(*time).or_default().push(batch);
            continue;
        }
        let times = batch.column_by_name(column).expect("asked for").as_primitive::<TimestampMicrosecondType>().clone();
        for time in distinct {
            let is_of: BooleanArray = times.iter().map(|of| Some(of.unwrap_or_default() == time)).collect();
            let rows = filter_record_batch(&batch, &is_of)
                .map_err(|source| Error::from(zones::Error::Arrow { step: "part rows by time", source }))?;
            by_time.entry(time).or_default().push(rows);
        }
    }
    Ok(by_time)
}

fn distinct(rows: &RecordBatch, column: &str) -> BTreeSet<i64> {
    let column = rows.column_by_name(column).expect("tables of the lake say when rows were written");
    column.as_primitive::<TimestampMicrosecondType>().iter().map(Option::unwrap_or_default).collect()
}

/// 128 bits that stand for a primary key.
fn digest(key: &[u8]) -> u128 {
    let digest = Sha256::digest(key);
    u128::from_be_bytes(digest[..16].try_into().expect("a digest has 32 bytes"))
}

struct Filling<'f> {
    whole: &'f WholeTable<'f>,
    design: &'f TableDesign,
    sink: Sink,
    /// Writes nulls, where `sink` leaves them unset.
    clearing: Option<Sink>,
    input: SchemaRef,
    first: i64,
    /// The write time of the rows of each version; none of a use case.
    times: BTreeMap<i64, i64>,
    progress: &'f dyn Progress,
    /// Of the rows that were written; empty where others are kept.
    keys: HashSet<u128>,
    filled: Filled,
}

impl Filling<'_> {
    async fn all_rows(&mut self, origin: &Table) -> Result<(), Error> {
        let (mut held, mut rows_held) = (Vec::new(), 0);
        for file in origin.files(None)? {
            let mut stream = origin.read_file(&file.path, &file.partition, &ReadPlan::all(origin)).await?;
            while let Some(rows) = stream.try_next().await? {
                rows_held += rows.num_rows() as u64;
                held.push(rows);
                if rows_held >= self.whole.context.send_rows {
                    self.group(std::mem::take(&mut held)).await?;
                    rows_held = 0;
                }
            }
        }
        self.group(held).await
    }

    async fn group(&mut self, rows: Vec<RecordBatch>) -> Result<(), Error> {
        self.whole.context.shutdown.check()?;
        if rows.is_empty() {
            return Ok(());
        }
        self.filled.read += rows.iter().map(|rows| rows.num_rows() as u64).sum::<u64>();
        let of_versions = if self.times.is_empty() { [(0, rows)].into() } else { by_time(rows, LOADED_AT)? };
        let (mut versions, mut clear) = (Vec::new(), Vec::new());
        for (version, rows) in of_versions {
            let write_time_micros = self.times.get(&version).copied().unwrap_or(self.first);
            let upserts = statement(self.whole.table).run(&self.input, rows).await?;
            for rows in &upserts {
                self.note_keys(rows)?;
                clear.extend(self.clearing.as_ref().and_then(|_| without_values(rows, self.design)));
            }
            versions.push(Changes { write_time_micros, upserts, deletes: Vec::new() });
        }
        let written = self.written(&self.sink, versions).await?;
        self.filled.rows += written;
        // Below the rows: it only takes what was there before, and no row is without its values meanwhile.
        if let Some(clearing) = self.clearing.as_ref().filter(|_| !clear.is_empty()) {
            self.written(clearing, vec![Changes { write_time_micros: self.first, upserts: clear, deletes: Vec::new() }]).await?;
        }
        Ok(())
    }

    fn note_keys(&mut self, rows: &RecordBatch) -> Result<(), Error> {
        if self.whole.others == Others::Remove {
            let keys = self.sink.primary_keys(rows);
            let keys = keys.map_err(Error::cassandra(format!("compare the rows of {}", self.whole.table.name)))?;
            self.keys.extend(keys.iter().map(|key| digest(key)));
        }
        Ok(())
    }

    async fn written(&self, sink: &Sink, versions: Vec<Changes>) -> Result<u64, Error> {
        let written = sink.write(versions, self.progress, &self.whole.context.shutdown).await;
        Ok(written.map_err(self.in_write())?.rows)
    }

    fn in_write<E>(&self) -> impl FnOnce(E) -> Error + use<E>
    where
        E: model::Classify + Send + Sync + 'static,
    {
        Error::cassandra(format!("write to {}", self.whole.table.name))
    }

    /// Removes the rows whose keys were not written; counts those that were, and are not to be seen.
    async fn remove_others(&mut self, write_time: i64) -> Result<(), Error> {
        let in_table = || Error::cassandra(format!("read {} back", self.whole.table.name));
        let mut scan = self.whole.store.wire_scan(self.design, None, WriteTimes::Omit).await.map_err(in_table())?;
        let mut seen = 0;
        while let Some(rows) = scan.next().await.map_err(in_table())? {
            self.whole.context.shutdown.check()?;
            let (ours, others): (Vec<usize>, Vec<usize>) =
                (0..rows.len()).partition(|row| self.keys.contains(&digest(rows.key(*row))));
            seen += ours.len() as u64;
            let gone: Vec<Vec<u8>> = others.into_iter().map(|row| rows.values(row).to_vec()).collect();
            if !gone.is_empty() {
                let group = self.sink.encoded(&[], &gone, write_time);
                let sent = self.sink.send(&group, self.progress, &self.whole.context.shutdown).await;
                self.filled.deleted += sent.map_err(self.in_write())?.deletes;
            }
        }
        self.filled.hidden = (self.keys.len() as u64).saturating_sub(seen);
        Ok(())
    }
}

/// The rows in which a value is missing, with no values at all.
fn without_values(rows: &RecordBatch, design: &TableDesign) -> Option<RecordBatch> {
    let is_key = |name: &str| design.key().any(|key| key == name);
    let fields = rows.schema_ref().fields();
    let values = || fields.iter().zip(rows.columns()).filter(|(field, _)| !is_key(field.name())).map(|(_, column)| column);
    let lacks: BooleanArray = (0..rows.num_rows()).map(|row| Some(values().any(|column| column.is_null(row)))).collect();
    let rows = filter_record_batch(rows, &lacks).expect("a mask has as many values as the batch has rows");
    let emptied = fields.iter().zip(rows.columns()).map(|(field, column)| {
        let column = if is_key(field.name()) { column.clone() } else { new_null_array(field.data_type(), rows.num_rows()) };
        (field.name().clone(), column)
    });
    (rows.num_rows() > 0)
        .then(|| RecordBatch::try_from_iter_with_nullable(emptied.map(|(name, column)| (name, column, true))))?
        .ok()
}
