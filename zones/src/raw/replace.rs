//! A snapshot takes the place of the one before it.
//!
//! The new rows are written first, file by file; then old and new rows are compared as multisets, partition by partition, by a
//! hash of their content (128 bits of SHA-256), which gives the change feed; then one commit removes the old files and
//! adds the new ones. Memory holds one batch of rows, and 16 bytes and a count for each distinct row of one partition.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use arrow::row::{RowConverter, SortField};
use deltalake::kernel::{Add, AddCDCFile};
use futures::TryStreamExt;
use model::counts::Counts;
use model::crash;
use model::position::BatchNumber;
use model::receipt::Receipt;
use sha2::{Digest, Sha256};

use super::{FilePlace, LoadedBatch, Raw, decided_before, indices, place_of, read_batch};
use crate::delta::feed::{DELETE, FeedWriter, INSERT};
use crate::delta::{ChangedRows, Commit, DataFile, PartitionValue, ReadPlan, Table};
use crate::error::Error;
use crate::load::{LoadPlan, RECEIPT, provenance_fields};

/// Whether a file holds rows of other receipts as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mixed {
    No,
    WithOthers,
}

/// The receipts whose rows the snapshot `of` takes the place of: earlier ones of its url, and of urls that are not `known` any
/// more (`None`: the source has one url, which may move).
pub fn superseded(receipts: &[Receipt], of: u64, known: Option<&BTreeSet<String>>) -> BTreeSet<i64> {
    let location = receipts.iter().find(|receipt| receipt.sequence == of).map(|receipt| &receipt.location);
    let is_gone = |receipt: &Receipt| known.is_none_or(|known| !known.contains(&receipt.location));
    let is_superseded = |receipt: &&Receipt| receipt.sequence < of && (Some(&receipt.location) == location || is_gone(receipt));
    let sequences = receipts.iter().filter(is_superseded);
    sequences.map(|receipt| i64::try_from(receipt.sequence).unwrap_or(i64::MAX)).collect()
}

/// See [`Raw::files_of_receipts`].
pub(crate) async fn files_of_receipts(table: &Table, receipts: &BTreeSet<i64>) -> Result<Vec<(DataFile, Mixed)>, Error> {
    let column = ReadPlan::columns(table, &[RECEIPT.to_owned()]);
    let mut found = Vec::new();
    for file in table.files(None)? {
        let (mut of_these, mut of_others) = (false, false);
        let mut rows = table.read_file(&file.path, &file.partition, &column).await?;
        while let Some(rows) = rows.try_next().await? {
            for receipt in rows.column(0).as_primitive::<Int64Type>().values() {
                let is_one = receipts.contains(receipt);
                of_these |= is_one;
                of_others |= !is_one;
            }
        }
        if of_these {
            found.push((file, if of_others { Mixed::WithOthers } else { Mixed::No }));
        }
    }
    Ok(found)
}

impl Raw<'_> {
    /// The live files that hold rows of these receipts, each with whether it holds others, too.
    ///
    /// Commits write the rows of one receipt; only who compacts the table puts rows of several into one file.
    pub async fn files_of_receipts(&self, receipts: &BTreeSet<i64>) -> Result<Vec<(DataFile, Mixed)>, Error> {
        files_of_receipts(&self.table, receipts).await
    }

    /// Commits the whole file in place of the rows of `superseded` receipts, which are in these files.
    pub async fn commit_replacing(
        &mut self,
        plan: &LoadPlan,
        superseded: (&BTreeSet<i64>, Vec<(DataFile, Mixed)>),
        spill: &Path,
        now: i64,
    ) -> Result<LoadedBatch, Error> {
        let (receipts, files) = superseded;
        let write_time = self.table.next_write_time(now).await?;
        let partition_column = self.table.partition_column().map(ToOwned::to_owned);
        let mut adds: Vec<Add> = Vec::new();
        let mut by_date: BTreeMap<String, Counts> = BTreeMap::new();
        for batch in &plan.batches {
            let Some(rows) = read_batch(spill, batch, plan)? else { continue };
            let dates: Vec<PartitionValue> = batch.dates().into_iter().map(|date| date.map(|date| date.to_string())).collect();
            // Duplicates can only be within the snapshot; what is written of it so far is not in the table yet.
            let written: Vec<FilePlace> = if self.definition.unique_key.is_empty() {
                Vec::new()
            } else {
                let places = adds.iter().map(|add| place_of(add, partition_column.as_deref()));
                places.filter(|(_, partition)| dates.contains(partition)).collect()
            };
            let sifted = self.sift(&rows, &written).await?;
            for (date, counts) in sifted.by_date {
                *by_date.entry(date).or_default() += counts;
            }
            if let Some(rows) = sifted.rows {
                adds.extend(self.written(&rows, plan.receipt, write_time).await?);
            }
        }
        let (removes, mixed): (Vec<_>, Vec<_>) = files.into_iter().unzip();
        for (file, _) in removes.iter().zip(&mixed).filter(|(_, mixed)| **mixed == Mixed::WithOthers) {
            adds.extend(self.without_receipts(file, receipts).await?);
        }
        let (change_files, changed) = self.difference(&removes, &adds).await?;
        let mut note = self.note(plan, BatchNumber::LAST, by_date, decided_before(plan), write_time);
        (note.changed, note.run) = (Some(changed), Some(now));
        let commit = Commit { adds, removes, change_files, note, ..Commit::default() };
        crash::point("raw/replace:before");
        let loaded = self.commit(commit, plan, BatchNumber::LAST, changed.deleted).await?;
        crash::point("raw/replace:after");
        Ok(loaded)
    }

    /// Writes the rows of a file that stay.
    async fn without_receipts(&self, file: &DataFile, receipts: &BTreeSet<i64>) -> Result<Vec<Add>, Error> {
        let at = self.table.schema().index_of(RECEIPT).expect("a raw table says where its rows come from");
        let mut kept = Vec::new();
        let mut rows = self.table.read_file(&file.path, &file.partition, &ReadPlan::all(&self.table)).await?;
        while let Some(rows) = rows.try_next().await? {
            let stays = rows.column(at).as_primitive::<Int64Type>().values().iter().map(|receipt| !receipts.contains(receipt));
            let stays = BooleanArray::from(stays.collect::<Vec<_>>());
            let stays = filter_record_batch(&rows, &stays).map_err(Error::arrow("leave out rows"))?;
            kept.push(stays.with_schema(self.table.schema().clone()).map_err(Error::arrow("leave out rows"))?);
        }
        self.table.write_files(kept).await
    }

    /// The change feed from the old files to the new ones, and how many rows came and went.
    async fn difference(&self, old: &[DataFile], new: &[Add]) -> Result<(Vec<AddCDCFile>, ChangedRows), Error> {
        let partition_column = self.table.partition_column();
        let mut files: BTreeMap<PartitionValue, (Vec<FilePlace>, Vec<FilePlace>)> = BTreeMap::new();
        for file in old {
            files.entry(file.partition.clone()).or_default().0.push((file.path.clone(), file.partition.clone()));
        }
        for add in new {
            let place = place_of(add, partition_column);
            files.entry(place.1.clone()).or_default().1.push(place);
        }
        let mut feed = FeedWriter::new(&self.table);
        let mut changed = ChangedRows::default();
        let any_partition = files.keys().next().cloned().flatten();
        for (old, new) in files.into_values() {
            // More than zero: as many more of this row in the new snapshot.
            let mut surplus: HashMap<u128, i64> = HashMap::new();
            let content = ReadPlan::columns(&self.table, &self.content());
            for (files, step) in [(&new, 1), (&old, -1)] {
                for (path, partition) in files {
                    let mut rows = self.table.read_file(path, partition, &content).await?;
                    while let Some(rows) = rows.try_next().await? {
                        for digest in self.digests(&rows)? {
                            *surplus.entry(digest).or_default() += step;
                        }
                    }
                }
            }
            surplus.retain(|_, count| *count != 0);
            if surplus.is_empty() {
                continue;
            }
            let whole = ReadPlan::all(&self.table);
            for (files, step, change) in [(&old, -1, DELETE), (&new, 1, INSERT)] {
                for (path, partition) in files {
                    let mut rows = self.table.read_file(path, partition, &whole).await?;
                    while let Some(rows) = rows.try_next().await? {
                        let is_different: BooleanArray = self
                            .digests(&rows)?
                            .into_iter()
                            .map(|digest| {
                                let left = surplus.get_mut(&digest).filter(|count| count.signum() == step)?;
                                *left -= step;
                                Some(true)
                            })
                            .map(|different| Some(different.is_some()))
                            .collect();
                        let rows = filter_record_batch(&rows, &is_different).map_err(Error::arrow("compare snapshots"))?;
                        let count = if change == DELETE { &mut changed.deleted } else { &mut changed.inserted };
                        *count += rows.num_rows() as u64;
                        feed.write(change, &rows).await?;
                    }
                }
            }
            feed.flush().await?;
        }
        Ok((feed.finish_with_one(any_partition).await?, changed))
    }

    /// What makes two rows the same: everything but where they come from.
    fn content(&self) -> Vec<String> {
        let names = self.table.schema().fields().iter().map(|field| field.name());
        names.filter(|name| provenance_fields().iter().all(|field| field.name() != *name)).cloned().collect()
    }

    /// 128 bits that stand for the content of each row.
    fn digests(&self, rows: &RecordBatch) -> Result<Vec<u128>, Error> {
        let columns: Vec<ArrayRef> = indices(rows, &self.content()).into_iter().map(|index| rows.column(index).clone()).collect();
        let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
        let converter = RowConverter::new(fields).map_err(Error::arrow("compare snapshots"))?;
        let rows = converter.convert_columns(&columns).map_err(Error::arrow("compare snapshots"))?;
        let digest = |row: arrow::row::Row<'_>| {
            let digest = Sha256::digest(row.as_ref());
            u128::from_be_bytes(digest[..16].try_into().expect("a digest has 32 bytes"))
        };
        Ok(rows.iter().map(digest).collect())
    }
}
