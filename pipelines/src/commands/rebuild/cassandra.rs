//! A Cassandra table filled anew from the lake, in place.
//!
//! Guarantee: afterwards the table holds what the definition's SQL yields over all rows of its origin, whatever was changed in it by
//! hand before: every row is written with a write time later than any before, and rows that should not be there are removed.
//! Rows that should be there are there all the time. The write time is recorded in the origin's log first, so that what comes
//! later is later. Never: drops the table, unless its columns or keys differ from the definition; that is said.
//!
//! Memory: the rows of one group, and some 32 bytes for each row of the table.

use std::collections::HashSet;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use cassandra::schema::Error as SchemaError;
use cassandra::{Changes, Checkpoint, CheckpointTimes, Nulls, Sink, Store, TableDesign, WriteTimes};
use futures::TryStreamExt;
use model::Progress;
use model::crash;
use model::definition::CassandraTable;
use sha2::{Digest, Sha256};
use zones::delta::{Commit, CommitNote, ReadPlan, Table};

use crate::context::Context;
use crate::error::Error;
use crate::stages::create_tables::{design, statement};
use crate::stages::open_table;
use crate::stages::to_cassandra::{GROUP_ROWS, stage_of};

/// What was written.
pub(super) struct Filled {
    /// The version of the origin that the table holds.
    pub version: u64,
    pub rows: u64,
    pub deleted: u64,
    pub notes: Vec<String>,
}

/// Why a table cannot follow its origin by the difference; `None` where it can, or is still to be filled.
pub(super) async fn left_behind(context: &Context, store: &Store, table: &CassandraTable) -> Result<Option<String>, Error> {
    let origin = match open_table(context, &table.from).await {
        Err(Error::Lake(zones::Error::NoTable { .. })) => return Ok(None),
        origin => origin?,
    };
    let missing = store.missing(&[]).await.map_err(Error::cassandra("look for checkpoints"))?;
    if !missing.has_checkpoints {
        return Ok(None);
    }
    let read = store.read_checkpoint(&table.name).await;
    let Some(checkpoint) = read.map_err(Error::cassandra(format!("read the checkpoint of {}", table.name)))? else {
        return Ok(None);
    };
    Ok(if checkpoint.source_id != origin.id() {
        Some(format!("{} cannot be compared with what it was", table.from))
    } else if checkpoint.definition_hash != table.table_hash() {
        Some("its definition changed".to_owned())
    } else if differs(context, store, table).await? {
        Some("its columns or keys changed".to_owned())
    } else {
        None
    })
}

async fn differs(context: &Context, store: &Store, table: &CassandraTable) -> Result<bool, Error> {
    match store.create_tables(&[design(&context.pipeline, table).await?]).await {
        Err(SchemaError::Differ(_)) => Ok(true),
        made => made.map(|_| false).map_err(Error::cassandra(format!("look at {}", table.name))),
    }
}

/// Writes the whole table again.
pub(super) async fn fill(context: &Context, store: &Store, table: &CassandraTable) -> Result<Filled, Error> {
    let mut notes = Vec::new();
    let mut origin = open_table(context, &table.from).await?;
    let design = design(&context.pipeline, table).await?;
    store.create_keyspace().await.map_err(Error::cassandra("create the keyspace"))?;
    match store.create_tables(std::slice::from_ref(&design)).await {
        Err(SchemaError::Differ(differing)) => {
            let differing = differing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            context.watch.say(&format!(
                "dropping {}.{}, which differs from its definition: {differing}",
                store.keyspace(),
                table.name
            ));
            let discarded = store.discard_table(&table.name, context.now / 1000).await;
            discarded.map_err(Error::cassandra(format!("drop Cassandra table {}", table.name)))?;
            let made = store.create_tables(std::slice::from_ref(&design)).await;
            made.map_err(Error::cassandra(format!("create {}", table.name)))?;
            notes.push(format!("it was dropped and made again, and empty until it was filled: {differing}"));
        }
        made => made.map(|_| ()).map_err(Error::cassandra(format!("create {}", table.name)))?,
    }
    let write_time = write_time(context, store, table, &mut origin).await?;
    let progress = context.watch.start(stage_of(table), &table.name);
    progress.expect(origin.row_count()?);
    let sink = Sink::open(store, design.clone(), Nulls::Write).await;
    let sink = sink.map_err(Error::cassandra(format!("prepare {}", table.name)))?;
    let mut filling = Filling { context, table, sink, write_time, progress, written: 0, keys: HashSet::new() };
    filling.send_all(&origin, &design).await?;
    let deleted = filling.remove_others(store, &design).await?;

    let checkpoint = Checkpoint {
        position: origin.version().0,
        source_id: origin.id().to_owned(),
        definition_hash: table.table_hash(),
        table_id: Some(filling.sink.table_id()),
    };
    let times = CheckpointTimes { write_time_micros: write_time, updated_at_millis: context.now / 1000 };
    let recorded = store.write_checkpoint(&table.name, &checkpoint, times).await;
    recorded.map_err(Error::cassandra(format!("write the checkpoint of {}", table.name)))?;
    Ok(Filled { version: origin.version().0, rows: filling.written, deleted, notes })
}

/// A write time later than all before it, in the origin's log so that its next version has a later one still.
async fn write_time(context: &Context, store: &Store, table: &CassandraTable, origin: &mut Table) -> Result<i64, Error> {
    let read = store.read_checkpoint_time(&table.name).await;
    let last = read.map_err(Error::cassandra(format!("read the checkpoint of {}", table.name)))?;
    let write_time = origin.next_write_time(context.now.max(last.map_or(0, |last| last + 1))).await?;
    let note =
        CommitNote { input: format!("cassandra.{}", table.name), write_time, run: Some(context.now), ..CommitNote::default() };
    crash::point("rebuild/time:before");
    origin.commit(Commit { note, ..Commit::default() }).await?;
    crash::point("rebuild/time:after");
    Ok(write_time)
}

struct Filling<'f> {
    context: &'f Context,
    table: &'f CassandraTable,
    sink: Sink,
    write_time: i64,
    progress: Box<dyn Progress>,
    written: u64,
    /// The keys that were written, as they are read back.
    keys: HashSet<u128>,
}

impl Filling<'_> {
    async fn send_all(&mut self, origin: &Table, design: &TableDesign) -> Result<(), Error> {
        let (mut held, mut rows_held) = (Vec::new(), 0);
        for file in origin.files(None)? {
            let mut stream = origin.read_file(&file.path, &file.partition, &ReadPlan::all(origin)).await?;
            while let Some(rows) = stream.try_next().await? {
                rows_held += rows.num_rows() as u64;
                held.push(rows);
                if rows_held >= GROUP_ROWS {
                    self.send(std::mem::take(&mut held), origin.schema(), design).await?;
                    rows_held = 0;
                }
            }
        }
        self.send(held, origin.schema(), design).await
    }

    async fn send(&mut self, rows: Vec<RecordBatch>, input: &SchemaRef, design: &TableDesign) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        self.context.shutdown.check()?;
        let upserts = statement(self.table).run(input, rows).await?;
        for rows in &upserts {
            self.keys.extend(keys(rows, design));
        }
        let changes = Changes { write_time_micros: self.write_time, upserts, deletes: Vec::new() };
        self.written += self.write(changes).await?;
        Ok(())
    }

    async fn write(&self, changes: Changes) -> Result<u64, Error> {
        let written = self.sink.write(vec![changes], self.progress.as_ref(), &self.context.shutdown).await;
        let written = written.map_err(Error::cassandra(format!("write to {}", self.table.name)))?;
        Ok(written.rows + written.deletes)
    }

    /// Removes the rows whose keys were not written. A delete is older than what was written with it: a key that only looks
    /// different when it is read back stays.
    async fn remove_others(&self, store: &Store, design: &TableDesign) -> Result<u64, Error> {
        let reading = || Error::cassandra(format!("read {} back", self.table.name));
        let mut scan = store.scan(&self.table.name, WriteTimes::Omit).await.map_err(reading())?;
        let mut removed = 0;
        while let Some(rows) = scan.next().await.map_err(reading())? {
            self.context.shutdown.check()?;
            let strange: BooleanArray = keys(&rows, design).iter().map(|key| Some(!self.keys.contains(key))).collect();
            if strange.true_count() == 0 {
                continue;
            }
            let rows = filter_record_batch(&rows, &strange).expect("a filter is as long as its rows");
            removed +=
                self.write(Changes { write_time_micros: self.write_time, upserts: Vec::new(), deletes: vec![rows] }).await?;
        }
        Ok(removed)
    }
}

/// 128 bits for the primary key of each row, in a form that is the same for rows of the SQL and rows read back.
fn keys(rows: &RecordBatch, design: &TableDesign) -> Vec<u128> {
    let key = design.key().map(|name| same_form(rows.column_by_name(name).expect("a table has its key")));
    let columns: Vec<ArrayRef> = key.collect();
    let options = FormatOptions::new();
    let formatters: Vec<_> = columns
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).expect("plain values can be shown"))
        .collect();
    let digest = |row| {
        let mut hasher = Sha256::new();
        for formatter in &formatters {
            let shown = formatter.value(row).to_string().to_lowercase();
            hasher.update((shown.len() as u64).to_be_bytes());
            hasher.update(shown.as_bytes());
        }
        let digest = hasher.finalize();
        u128::from_be_bytes(digest[..16].try_into().expect("a digest has 32 bytes"))
    };
    (0..rows.num_rows()).map(digest).collect()
}

/// Cassandra keeps times to the millisecond.
fn same_form(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Timestamp(_, zone) => {
            cast(column, &DataType::Timestamp(TimeUnit::Millisecond, zone.clone())).unwrap_or_else(|_| column.clone())
        }
        _ => column.clone(),
    }
}
