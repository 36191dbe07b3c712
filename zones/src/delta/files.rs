//! The data files of a snapshot.

use std::collections::{BTreeMap, BTreeSet};

use deltalake::kernel::{Add, Remove};

use super::Table;
use crate::error::Error;

/// A partition's value as the log has it; `None` is null or no partition.
pub type PartitionValue = Option<String>;

/// One live data file.
#[derive(Debug, Clone)]
pub struct DataFile {
    /// Path in the table's object store.
    pub path: object_store::path::Path,
    pub size: u64,
    pub partition: PartitionValue,
    pub rows: Option<u64>,
    pub(crate) remove: Remove,
}

impl Table {
    /// The live files, of the given partitions only where some are given.
    pub fn files(&self, partitions: Option<&BTreeSet<PartitionValue>>) -> Result<Vec<DataFile>, Error> {
        let snapshot = self.inner.snapshot().map_err(Error::delta("list the files", &self.name))?;
        let mut files = Vec::new();
        for view in snapshot.log_data() {
            let values = view.partition_values_map();
            let partition = super::partition_of(&values, self.partition_column());
            if partitions.is_some_and(|wanted| !wanted.contains(&partition)) {
                continue;
            }
            files.push(DataFile {
                path: view.object_store_path(),
                size: view.size().unsigned_abs(),
                rows: view.num_records().map(|rows| rows as u64),
                partition,
                remove: view.remove_action(true),
            });
        }
        Ok(files)
    }

    /// The live files as the actions that add them, by path.
    pub(crate) fn live(&self) -> Result<BTreeMap<String, Add>, Error> {
        let snapshot = self.inner.snapshot().map_err(Error::delta("list the files", &self.name))?;
        let mut files = BTreeMap::new();
        for view in snapshot.log_data() {
            let add = Add {
                // As the remove action has it: the log's own form of the path.
                path: view.remove_action(true).path,
                partition_values: view.partition_values_map(),
                size: view.size(),
                modification_time: view.modification_time(),
                data_change: true,
                stats: view.stats(),
                ..Add::default()
            };
            files.insert(add.path.clone(), add);
        }
        Ok(files)
    }

    /// The partitions that hold files.
    pub fn partitions(&self) -> Result<BTreeSet<PartitionValue>, Error> {
        Ok(self.files(None)?.into_iter().map(|file| file.partition).collect())
    }

    /// The number of rows in the snapshot, from the log alone.
    pub fn row_count(&self) -> Result<u64, Error> {
        Ok(self.files(None)?.into_iter().filter_map(|file| file.rows).sum())
    }
}
