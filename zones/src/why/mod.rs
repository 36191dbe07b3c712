//! A row's history: what the lake knows of one key.
//!
//! Reads only, and locks nothing. A use-case row is found by the key directory in the partitions where it is or has been, and
//! its changes in the table's log and change feed as far back as they reach; raw rows are found by the columns that the use
//! case's SQL makes the key of, which are read of every file (of one partition, where the key says which). Whatever was read is
//! counted, so that the answer says what it rests on. Memory holds one batch and the rows that were found.

mod key;
mod lines;
mod raw_rows;

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use arrow::compute::filter_record_batch;
use model::definition::UseCaseTable;
use model::position::TableVersion;
use serde::Serialize;

use crate::changes::changes_within;
use crate::delta::{PartitionValue, Table};
use crate::error::Error;
use crate::lake::Lake;
use crate::query::Input;
use crate::use_case::UseCase;

pub use key::{Key, json};
pub use lines::{Wanted, lines};
pub use raw_rows::{Batch, Condition, FoundRows, as_computed, batches, conditions, find};

/// What was read for an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Looked {
    pub files: u64,
    pub bytes: u64,
    pub versions: u64,
}

/// What happened to a row in one version of its table.
#[derive(Debug, Clone)]
pub struct RowChange {
    pub version: u64,
    /// Microseconds; cells that were written from it carry it.
    pub write_time: i64,
    /// `insert`, `update` or `delete`.
    pub change: &'static str,
    /// As it was after the version; of a delete, before it.
    pub row: RecordBatch,
}

#[derive(Debug, Clone, Default)]
pub struct History {
    /// Oldest first.
    pub changes: Vec<RowChange>,
    /// The oldest version that the log still tells of, where that is not the first.
    pub horizon: Option<u64>,
    pub looked: Looked,
}

/// The versions of a use-case table in which the row of a key came, changed or went.
pub async fn history(lake: &Lake, definition: &UseCaseTable, inputs: &[Input], key: &Key) -> Result<History, Error> {
    let use_case = UseCase::look(lake, definition, inputs).await?;
    let table = use_case.table();
    let partitions = table.partition_column().is_some().then(|| use_case.partitions_of_keys(key.rows())).transpose()?;
    let mut history = History::default();
    // Newest first: what is before the end of the log is gone.
    for version in (0..=table.version().0).rev() {
        let commit = match table.commit_content(TableVersion(version)).await {
            Err(Error::CommitGone { .. }) => {
                history.horizon = Some(version + 1);
                break;
            }
            commit => commit?,
        };
        history.looked.versions += 1;
        if !commit.changes_data() {
            continue;
        }
        count(&mut history.looked, table, &commit.actions, partitions.as_ref());
        let changes = changes_within(table, &commit, partitions.as_ref()).await?;
        let (came, went) = (matching(key, &changes.upserts)?, matching(key, &changes.deletes)?);
        let (change, row) = match (came, went) {
            (None, None) => continue,
            (Some(came), None) => ("insert", came),
            (Some(came), Some(_)) => ("update", came),
            (None, Some(went)) => ("delete", went),
        };
        history.changes.push(RowChange { version, write_time: changes.write_time, change, row });
    }
    history.changes.reverse();
    Ok(history)
}

fn matching(key: &Key, batches: &[RecordBatch]) -> Result<Option<RecordBatch>, Error> {
    for rows in batches {
        let found = filter_record_batch(rows, &key.matches(rows)?).map_err(Error::arrow("find a row"))?;
        if found.num_rows() > 0 {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn count(
    looked: &mut Looked,
    table: &Table,
    actions: &[deltalake::kernel::Action],
    partitions: Option<&BTreeSet<PartitionValue>>,
) {
    use deltalake::kernel::Action;
    let has_feed = actions.iter().any(|action| matches!(action, Action::Cdc(_)));
    for action in actions {
        let (values, size) = match action {
            Action::Cdc(file) => (Some(&file.partition_values), Some(file.size)),
            Action::Add(file) if !has_feed && file.data_change => (Some(&file.partition_values), Some(file.size)),
            Action::Remove(file) if !has_feed && file.data_change => (file.partition_values.as_ref(), file.size),
            _ => continue,
        };
        let partition = values.and_then(|values| crate::delta::partition_of(values, table.partition_column()));
        if partitions.is_none_or(|partitions| partitions.contains(&partition)) {
            looked.files += 1;
            looked.bytes += size.unwrap_or(0).unsigned_abs();
        }
    }
}
