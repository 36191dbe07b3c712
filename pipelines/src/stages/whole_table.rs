//! A Cassandra table brought up to date without the versions in between: they, or files of them, have been removed.
//!
//! Guarantee: afterwards the table holds what its SQL yields over the origin at its newest version. Every row is written with one
//! write time, later than any that the table can hold, and rows that the origin does not have are deleted; doing it again leaves
//! the same. Of an append-only raw table nothing is deleted, as its versions never delete: rows past its retention stay.
//! Never: moves the checkpoint. Memory holds one group of rows, and 16 bytes for each row of the table where rows may go.

use std::collections::HashSet;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use cassandra::{Changes, Nulls, Store, WriteTimes, Written};
use futures::TryStreamExt;
use model::definition::CassandraTable;
use model::report::{Outcome, StageReport};
use sha2::{Digest, Sha256};
use zones::delta::{ReadPlan, Table};

use super::to_cassandra::{GROUP_ROWS, Send, nulls};
use crate::context::Context;
use crate::error::Error;

/// What the comparison needs.
pub(super) struct WholeTable<'s> {
    pub(super) context: &'s Context,
    pub(super) store: &'s Store,
    pub(super) table: &'s CassandraTable,
    pub(super) origin: &'s Table,
    pub(super) send: &'s Send<'s>,
    /// The write time of the table's checkpoint.
    pub(super) after: i64,
}

/// What was sent.
#[derive(Default)]
pub(super) struct Compared {
    pub(super) write_time: i64,
    read: u64,
    written: Written,
}

impl Compared {
    pub(super) fn add_to(&self, mut report: StageReport) -> StageReport {
        report.counts.read += self.read;
        report.counts.accepted = report.counts.read;
        report.outcome = Outcome::Done;
        report.written += self.written.rows + self.written.deletes;
        report.deleted += self.written.deletes;
        report
    }
}

impl WholeTable<'_> {
    pub(super) async fn run(&self) -> Result<Compared, Error> {
        let newest = self.origin.newest_write_time().await?.unwrap_or(0);
        let mut compared = Compared { write_time: newest.max(self.after + 1), ..Compared::default() };
        self.send.progress.expect(self.origin.row_count()?);
        let keeps_all = nulls(&self.context.pipeline, self.table, &[]) == Nulls::Unset;
        let mut there: HashSet<u128> = HashSet::new();
        let mut rows: Vec<RecordBatch> = Vec::new();
        let mut held = 0;
        for file in self.origin.files(None)? {
            let mut stream = self.origin.read_file(&file.path, &file.partition, &ReadPlan::all(self.origin)).await?;
            while let Some(batch) = stream.try_next().await? {
                held += batch.num_rows() as u64;
                rows.push(batch);
                if held >= GROUP_ROWS {
                    self.upsert(std::mem::take(&mut rows), keeps_all, &mut there, &mut compared).await?;
                    held = 0;
                }
            }
        }
        self.upsert(rows, keeps_all, &mut there, &mut compared).await?;
        if !keeps_all {
            self.delete_others(&there, &mut compared).await?;
        }
        Ok(compared)
    }

    async fn upsert(
        &self,
        rows: Vec<RecordBatch>,
        keeps_all: bool,
        there: &mut HashSet<u128>,
        compared: &mut Compared,
    ) -> Result<(), Error> {
        self.context.shutdown.check()?;
        compared.read += rows.iter().map(|rows| rows.num_rows() as u64).sum::<u64>();
        let upserts = self.send.statement.run(&self.send.input, rows).await?;
        if !keeps_all {
            for rows in &upserts {
                there.extend(self.digests(rows)?);
            }
        }
        self.write(Changes { write_time_micros: compared.write_time, upserts, deletes: Vec::new() }, compared).await
    }

    /// Deletes the rows whose keys the origin does not have.
    async fn delete_others(&self, there: &HashSet<u128>, compared: &mut Compared) -> Result<(), Error> {
        let reading = || Error::cassandra(format!("read {}", self.table.name));
        let mut scan = self.store.scan(&self.table.name, WriteTimes::Omit).await.map_err(reading())?;
        while let Some(rows) = scan.next().await.map_err(reading())? {
            self.context.shutdown.check()?;
            let is_other: BooleanArray = self.digests(&rows)?.into_iter().map(|key| Some(!there.contains(&key))).collect();
            let deletes = filter_record_batch(&rows, &is_other).expect("a mask has as many values as the batch has rows");
            if deletes.num_rows() > 0 {
                // A delete takes what was written before the write time: nothing that was just written.
                let changes = Changes { write_time_micros: compared.write_time, upserts: Vec::new(), deletes: vec![deletes] };
                self.write(changes, compared).await?;
            }
        }
        Ok(())
    }

    async fn write(&self, changes: Changes, compared: &mut Compared) -> Result<(), Error> {
        let written = self.send.sink.write(vec![changes], self.send.progress.as_ref(), &self.context.shutdown).await;
        compared.written += written.map_err(Error::cassandra(format!("write to {}", self.table.name)))?;
        Ok(())
    }

    /// 128 bits that stand for the primary key of each row.
    fn digests(&self, rows: &RecordBatch) -> Result<Vec<u128>, Error> {
        let keys = self.send.sink.primary_keys(rows);
        let keys = keys.map_err(Error::cassandra(format!("compare the rows of {}", self.table.name)))?;
        let digest = |key: Vec<u8>| {
            let digest = Sha256::digest(&key);
            u128::from_be_bytes(digest[..16].try_into().expect("a digest has 32 bytes"))
        };
        Ok(keys.into_iter().map(digest).collect())
    }
}
