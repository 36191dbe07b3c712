//! What changed in a table, version by version: the way from one table to the next store.
//!
//! Versions are read in order. A commit that changes no data (compaction) yields nothing but still counts as read. Where a
//! commit has files of the change feed, they are its changes; else its added files are inserts and its removed files deletes
//! (Delta protocol, "Change Data Files"). A commit that only let go of rows past the retention takes nothing from what was made
//! of them: [`changes_of`] steps over it. [`changes_within`] yields its rows as deletes, for what must follow the table as it is.

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field};
use deltalake::kernel::Action;
use futures::TryStreamExt;
use model::position::TableVersion;
use std::collections::{BTreeSet, HashMap};

use crate::delta::feed::{BEFORE, CHANGE_TYPE, DELETE};
use crate::delta::{CommitContent, PartitionValue, ReadPlan, Table, partition_of, recorded_rows, stored_path};
use crate::error::Error;

/// The rows that came and went in one version, as the columns that were asked for, in the table's order.
#[derive(Debug)]
pub struct VersionChanges {
    pub version: TableVersion,
    /// Microseconds; cells written from these rows carry it.
    pub write_time: i64,
    pub upserts: Vec<RecordBatch>,
    /// Rows as they were before the version.
    pub deletes: Vec<RecordBatch>,
}

/// Consecutive versions that are handled together.
#[derive(Debug)]
pub struct Group {
    pub commits: Vec<CommitContent>,
    /// Rows that the commits added, as far as their statistics say.
    pub rows: u64,
}

impl Group {
    pub fn first(&self) -> TableVersion {
        self.commits[0].version
    }

    pub fn last(&self) -> TableVersion {
        self.commits[self.commits.len() - 1].version
    }
}

/// The versions, as people write them.
impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (first, last) = (self.first(), self.last());
        if first == last { write!(f, "version {first}") } else { write!(f, "versions {first} to {last}") }
    }
}

/// Cuts commits into groups of at most about `max_rows` added rows; one commit is never divided.
pub fn grouped(commits: Vec<CommitContent>, max_rows: u64) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for commit in commits {
        let rows = added_rows(&commit);
        match groups.last_mut() {
            Some(group) if group.rows + rows <= max_rows => {
                group.rows += rows;
                group.commits.push(commit);
            }
            _ => groups.push(Group { commits: vec![commit], rows }),
        }
    }
    groups
}

fn added_rows(commit: &CommitContent) -> u64 {
    commit
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Add(add) if add.data_change => add.stats.as_deref().and_then(recorded_rows),
            _ => None,
        })
        .sum()
}

/// The changes of one version of `table` in these columns, without rows that only went because they are past the retention.
pub async fn changes_of(table: &Table, commit: &CommitContent, columns: &ReadPlan) -> Result<VersionChanges, Error> {
    if commit.forgets() { Ok(no_changes(commit)) } else { read_changes(table, commit, None, columns).await }
}

fn no_changes(commit: &CommitContent) -> VersionChanges {
    let write_time = commit.write_time().or_else(|| commit.committed_at()).unwrap_or(0);
    VersionChanges { version: commit.version, write_time, upserts: Vec::new(), deletes: Vec::new() }
}

/// The changes of one version in some of the table's partitions only, where some are given; rows past the retention are among
/// the deletes.
pub async fn changes_within(
    table: &Table,
    commit: &CommitContent,
    partitions: Option<&BTreeSet<PartitionValue>>,
) -> Result<VersionChanges, Error> {
    read_changes(table, commit, partitions, &ReadPlan::all(table)).await
}

#[tracing::instrument(target = "profile", level = "trace", name = "read changes", skip_all, fields(of = %commit.version))]
async fn read_changes(
    table: &Table,
    commit: &CommitContent,
    partitions: Option<&BTreeSet<PartitionValue>>,
    columns: &ReadPlan,
) -> Result<VersionChanges, Error> {
    let is_within = |values: Option<&PartitionValues>| {
        let partition = values.and_then(|values| partition_of(values, table.partition_column()));
        partitions.is_none_or(|partitions| partitions.contains(&partition))
    };
    let mut changes = no_changes(commit);
    let has_feed = commit.actions.iter().any(|action| matches!(action, Action::Cdc(_)));
    for action in &commit.actions {
        let values = match action {
            Action::Cdc(file) => Some(&file.partition_values),
            Action::Add(file) => Some(&file.partition_values),
            Action::Remove(file) => file.partition_values.as_ref(),
            _ => continue,
        };
        if !is_within(values) {
            continue;
        }
        match action {
            Action::Cdc(file) if has_feed => read_feed(table, &file.path, &file.partition_values, columns, &mut changes).await?,
            Action::Add(file) if !has_feed && file.data_change => {
                changes.upserts.extend(read_rows(table, &file.path, &file.partition_values, columns).await?);
            }
            Action::Remove(file) if !has_feed && file.data_change => {
                let values = file.partition_values.clone().unwrap_or_default();
                changes.deletes.extend(read_rows(table, &file.path, &values, columns).await?);
            }
            _ => {}
        }
    }
    Ok(changes)
}

type PartitionValues = HashMap<String, Option<String>>;

async fn read_rows(table: &Table, path: &str, values: &PartitionValues, columns: &ReadPlan) -> Result<Vec<RecordBatch>, Error> {
    let partition = partition_of(values, table.partition_column());
    table.collect_file(&stored_path(path), &partition, columns).await
}

async fn read_feed(
    table: &Table,
    path: &str,
    values: &PartitionValues,
    columns: &ReadPlan,
    changes: &mut VersionChanges,
) -> Result<(), Error> {
    let partition = partition_of(values, table.partition_column());
    let plan = columns.clone().with_extra(Field::new(CHANGE_TYPE, DataType::Utf8, true));
    let mut stream = table.read_file(&stored_path(path), &partition, &plan).await?;
    while let Some(rows) = stream.try_next().await? {
        let last = rows.num_columns() - 1;
        let gone: BooleanArray = rows
            .column(last)
            .as_string::<i32>()
            .iter()
            .map(|change| Some(change.is_some_and(|change| change == BEFORE || change == DELETE)))
            .collect();
        let came = arrow::compute::not(&gone).map_err(Error::arrow("read the change feed"))?;
        let columns: Vec<usize> = (0..last).collect();
        let rows = rows.project(&columns).map_err(Error::arrow("read the change feed"))?;
        for (filter, into) in [(gone, &mut changes.deletes), (came, &mut changes.upserts)] {
            let rows = filter_record_batch(&rows, &filter).map_err(Error::arrow("read the change feed"))?;
            if rows.num_rows() > 0 {
                into.push(rows);
            }
        }
    }
    Ok(())
}
