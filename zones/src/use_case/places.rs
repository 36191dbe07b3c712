//! Where the rows of a key are looked for.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow::array::RecordBatch;
use model::definition::UseCaseTable;
use model::position::TableVersion;

use crate::beside::in_parts;
use crate::delta::feed::Partitions;
use crate::delta::{PartitionValue, Table};
use crate::error::Error;
use crate::keys::{KeyDirectory, hashes};
use crate::raw::indices;

/// Keys that are worth a thread.
const PART: usize = 4_096;

/// Where what is new in the key directory goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keeping {
    OnDisk,
    InMemory,
}

/// Knows the partitions in which rows of a key can be.
pub(super) enum Places {
    /// The partition is a column of the key: each key says itself where its row is.
    InKey,
    /// A key may be anywhere.
    Directory(KeyDirectory),
}

impl Places {
    pub(super) fn open(folder: &Path, table: &Table, definition: &UseCaseTable, keeping: Keeping) -> Result<Self, Error> {
        if table.partition_column().is_some_and(|column| definition.key.iter().any(|key| key == column)) {
            return Ok(Self::InKey);
        }
        Ok(Self::Directory(match keeping {
            Keeping::OnDisk => KeyDirectory::open(folder, table.id(), table.version())?,
            Keeping::InMemory => KeyDirectory::look(folder, table.id(), table.version()),
        }))
    }

    /// The version of the table up to which they are known; `None` where there is nothing to know.
    pub(super) fn as_of(&self) -> Option<TableVersion> {
        match self {
            Self::InKey => None,
            Self::Directory(keys) => Some(keys.as_of()),
        }
    }

    /// The partitions in which rows with the keys of these are, or have been. `rows` has the columns `key`.
    pub(super) fn look_up(&self, table: &Table, key: &[String], rows: &RecordBatch) -> Result<BTreeSet<PartitionValue>, Error> {
        self.look_up_hashed(table, rows, &self.hashed(rows, key)?)
    }

    /// The same where the keys are hashed.
    pub(super) fn look_up_hashed(
        &self,
        table: &Table,
        rows: &RecordBatch,
        hashes: &[u64],
    ) -> Result<BTreeSet<PartitionValue>, Error> {
        match self {
            Self::InKey => Ok(Partitions::of(rows, table.partition_column())?.rows().into_keys().collect()),
            Self::Directory(keys) => looked_up(keys, hashes),
        }
    }

    /// What keys are told apart by, sorted; nothing where keys of different partitions differ in that.
    pub(super) fn hashed(&self, rows: &RecordBatch, key: &[String]) -> Result<Vec<u64>, Error> {
        match self {
            Self::InKey => Ok(Vec::new()),
            Self::Directory(_) => sorted_hashes(rows, key),
        }
    }

    /// Whether keys may be the same, by their hashes where there are any, and else by the partitions that they are in.
    pub(super) fn may_meet(&self, one: (&[u64], &BTreeSet<PartitionValue>), other: (&[u64], &BTreeSet<PartitionValue>)) -> bool {
        match self {
            Self::InKey => !one.1.is_disjoint(other.1),
            Self::Directory(_) => have_common(one.0, other.0),
        }
    }

    /// Which of these rows of a partition have keys that are not known there.
    pub(super) fn lacking(&self, partition: &PartitionValue, key: &[String], rows: &RecordBatch) -> Result<Vec<usize>, Error> {
        let Self::Directory(keys) = self else { return Ok(Vec::new()) };
        let hashes = hashes(rows, &indices(rows, key))?;
        let mut sorted: Vec<(u64, usize)> = hashes.into_iter().zip(0..).collect();
        sorted.sort_unstable();
        let hashes: Vec<u64> = sorted.iter().map(|(hash, _)| *hash).collect();
        Ok(keys.lacking(partition, &hashes)?.into_iter().map(|place| sorted[place].1).collect())
    }

    /// The keys of folded rows by the partition that their content puts them in; none where there is nothing to know.
    pub(super) fn of(
        &self,
        table: &Table,
        rows: &RecordBatch,
        key: &[usize],
    ) -> Result<BTreeMap<PartitionValue, Vec<u64>>, Error> {
        if matches!(self, Self::InKey) {
            return Ok(BTreeMap::new());
        }
        let hashes = hashes(rows, key)?;
        let rows = Partitions::of(rows, table.partition_column())?.rows();
        let of_rows = |rows: Vec<u32>| rows.into_iter().map(|row| hashes[row as usize]).collect();
        Ok(rows.into_iter().map(|(partition, rows)| (partition, of_rows(rows))).collect())
    }

    /// Adds keys that the table holds as of `version`, each with its partition.
    pub(super) fn add(&mut self, keys: &BTreeMap<PartitionValue, Vec<u64>>, version: TableVersion) -> Result<(), Error> {
        match self {
            Self::InKey => Ok(()),
            Self::Directory(directory) => directory.add(keys, version),
        }
    }
}

/// The look-up has its own thread for each part of the hashes: it mostly copies from the system's memory.
#[tracing::instrument(target = "profile", level = "trace", name = "look keys up", skip_all, fields(keys = hashes.len()))]
fn looked_up(keys: &KeyDirectory, hashes: &[u64]) -> Result<BTreeSet<PartitionValue>, Error> {
    let mut found = BTreeSet::new();
    for partitions in in_parts(hashes.len(), PART, |part| keys.look_up(&hashes[part])) {
        found.append(&mut partitions?);
    }
    Ok(found)
}

/// Whether two sorted lists have a member in common.
fn have_common(one: &[u64], other: &[u64]) -> bool {
    let (mut at, mut beside) = (0, 0);
    while let (Some(left), Some(right)) = (one.get(at), other.get(beside)) {
        match left.cmp(right) {
            Ordering::Less => at += 1,
            Ordering::Greater => beside += 1,
            Ordering::Equal => return true,
        }
    }
    false
}

/// The hashes of the rows' keys, sorted, each once.
pub(super) fn sorted_hashes(rows: &RecordBatch, key: &[String]) -> Result<Vec<u64>, Error> {
    let key = indices(rows, key);
    let parts = in_parts(rows.num_rows(), PART, |part| hashes(&rows.slice(part.start, part.len()), &key));
    let mut hashes = parts.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    hashes.sort_unstable();
    hashes.dedup();
    Ok(hashes)
}
