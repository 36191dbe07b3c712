//! One commit: rows in, rows out, and with them how far the table has got.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use chrono::NaiveDate;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Add, AddCDCFile, Metadata, Remove, Transaction};
use deltalake::parquet::basic::{Compression, Encoding, ZstdLevel};
use deltalake::parquet::file::properties::WriterProperties;
use deltalake::protocol::{DeltaOperation, MergePredicate, SaveMode};
use deltalake::writer::{DeltaWriter, RecordBatchWriter};
use model::counts::Counts;
use model::crash;
use model::position::TableVersion;
use object_store::ObjectStoreExt;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::Instrument;

use super::{DataFile, PartitionValue, Table, repeats};
use crate::error::Error;
use crate::load::POSITION;

/// The key of Sluice's note in a commit's metadata.
pub(super) const NOTE_KEY: &str = "sluice";
/// Ends the application id whose number is the commit's write time in microseconds.
pub const WRITE_TIME_SUFFIX: &str = "#write_time";
/// Ends the application id whose number is the newest event time accepted so far, in microseconds.
const NEWEST_EVENT_SUFFIX: &str = "#newest_event";
pub(super) const FENCE_SUFFIX: &str = "#fence";
/// Ends the application id whose number is the date (in days since 1970) before which rows were let go of for good.
const FORGOTTEN_SUFFIX: &str = "#forgotten_before";

/// Rows of about this size make a file of their own, so that no file becomes too large to rewrite (Delta's own default).
const TARGET_FILE_BYTES: u64 = 100 * 1024 * 1024;

/// What a batch was, in the metadata of its commit. The ledger is derived from these.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CommitNote {
    pub input: String,
    /// The id of the input, where it is a table: one that was made anew has another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<u32>,
    /// Versions of the input table, both included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<(u64, u64)>,
    /// Files beside the table with what is kept of deleted rows, as of this commit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tombstones: Vec<String>,
    /// The fates of the rows of each date; dates that were read but left out are in `counts` alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_date: BTreeMap<String, Counts>,
    /// What each input has got to, where the table reads several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<InputNote>,
    pub counts: Counts,
    /// Of a replay: the records that left the quarantine by it. They were read when their file was loaded, so `counts.read` is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<u64>,
    /// Of a replay: the files (as add actions) that are to take the place of the load's in the quarantine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_in_quarantine: Option<Vec<serde_json::Value>>,
    /// Rows that came, changed and went, where the files alone do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<ChangedRows>,
    pub definition: String,
    /// Microseconds since the epoch.
    pub write_time: i64,
    /// The clock of the run that made it, in microseconds: commits of one run, in all tables, have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<i64>,
    /// The newest event time accepted so far, in microseconds, where the table has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_event: Option<i64>,
    /// Of a commit that took the place of what was there: what it computed anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuilt: Option<Span>,
    /// The fates of the records of each receipt, where a commit holds several.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_receipt: BTreeMap<u64, Counts>,
    /// The version whose rows and positions the table has from this commit on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<u64>,
    /// What left the table because it is past its retention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgotten: Option<Forgotten>,
    /// What the plan of a load was made under, while the load is half done: a plan that is lost is made again just as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<Planned>,
    /// Of what the commit does; set when it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<u32>,
}

/// The wall clock and the newest event before the file, both in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    pub at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_before: Option<i64>,
}

/// Dates of a table, both ends included; without ends, all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<NaiveDate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<NaiveDate>,
}

impl Span {
    pub fn is_all(self) -> bool {
        self == Self::default()
    }

    /// Whether the partition is one of these dates.
    pub fn holds(self, partition: &PartitionValue) -> bool {
        if self.is_all() {
            return true;
        }
        let date: Option<NaiveDate> = partition.as_ref().and_then(|value| value.parse().ok());
        date.is_some_and(|date| self.from.is_none_or(|from| from <= date) && self.to.is_none_or(|to| date <= to))
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.from, self.to) {
            (None, None) => f.write_str("all"),
            (Some(from), None) => write!(f, "{from} and later"),
            (None, Some(to)) => write!(f, "{to} and earlier"),
            (Some(from), Some(to)) if from == to => write!(f, "{from}"),
            (Some(from), Some(to)) => write!(f, "{from} to {to}"),
        }
    }
}

/// Dates that were removed as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// The oldest date that was kept.
    pub before: NaiveDate,
    /// The rows that each date had.
    pub rows: BTreeMap<NaiveDate, u64>,
    /// Where the dates were archived before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
}

/// What a commit does to rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Effect {
    /// They come, change or go.
    #[default]
    Changes,
    /// The same rows are in other files: whoever reads changes steps over it.
    Rearranges,
}

/// What a commit did to rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedRows {
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
}

/// One of several inputs, taken in up to a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputNote {
    /// `raw.NAME` or `use_case.NAME`.
    pub input: String,
    pub id: String,
    pub version: u64,
}

/// What is to be committed.
#[derive(Debug, Default)]
pub struct Commit {
    pub adds: Vec<Add>,
    pub removes: Vec<DataFile>,
    pub change_files: Vec<AddCDCFile>,
    /// The inputs' names and the numbers that they have got to with this commit.
    pub positions: Vec<(String, i64)>,
    pub note: CommitNote,
    /// For a merge: the partitions that were looked into, and the key.
    pub merge: Option<MergeNote>,
    /// The table's columns and partitions from this commit on, where they become others.
    pub metadata: Option<Metadata>,
    pub effect: Effect,
}

/// What a merge looked into; becomes the predicate in the table's history, and what a concurrent writer is checked against.
#[derive(Debug, Clone, Default)]
pub struct MergeNote {
    pub key: Vec<String>,
    pub partitions: BTreeSet<PartitionValue>,
}

pub(super) fn position_id(table: &str, input: &str) -> String {
    format!("{table}/{input}")
}

impl Table {
    /// Writes rows as data files that no commit names yet. Partition columns are among the batches' columns.
    pub async fn write_files(&self, batches: Vec<RecordBatch>) -> Result<Vec<Add>, Error> {
        let mut writer = self.data_writer(batches.first())?;
        for batch in batches {
            writer.write(batch).await.map_err(Error::delta("write", self.name()))?;
        }
        self.flushed(&mut writer).await
    }

    /// Closes the files of a writer of this table. Each is named after its content.
    pub(crate) async fn flushed(&self, writer: &mut RecordBatchWriter) -> Result<Vec<Add>, Error> {
        let adds = writer.flush().await.map_err(Error::delta("write", self.name()))?;
        self.named_after_content(adds).await
    }

    /// Stores a file beside the table's data, named after its content: yields the name. No commit names it yet.
    pub(crate) async fn put(
        &self,
        folder: &object_store::path::Path,
        name: &str,
        bytes: Vec<u8>,
    ) -> Result<object_store::path::Path, Error> {
        let name = super::checked::named(name, &bytes);
        let place = folder.clone().join(name);
        let stored = self.log_store().object_store(None).put(&place, bytes::Bytes::from(bytes).into()).await;
        stored.map_err(Error::writing(self.name(), place.as_ref()))?;
        Ok(place)
    }

    /// A writer of data files; [`Self::flushed`] closes them. `sample` are some of the rows.
    pub(crate) fn data_writer(&self, sample: Option<&RecordBatch>) -> Result<RecordBatchWriter, Error> {
        // zstd at level 1 is a third smaller than snappy on text ids and costs about the same.
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).expect("1 is a zstd level")))
            .set_max_row_group_row_count(Some(131_072));
        if self.schema().field_with_name(POSITION).is_ok_and(|field| *field.data_type() == DataType::Int64) {
            // Records of a file are numbered one after the other: differences take next to nothing, and a dictionary would only grow.
            properties = properties
                .set_column_dictionary_enabled(POSITION.into(), false)
                .set_column_encoding(POSITION.into(), Encoding::DELTA_BINARY_PACKED);
        }
        if let Some(sample) = sample {
            properties = repeats::without_dictionaries(properties, sample)?;
        }
        let properties = properties.build();
        let writer = if self.draft.is_none() {
            RecordBatchWriter::for_table(&self.inner)
        } else {
            let partitions = self.partition_column().map(|column| vec![column.to_owned()]);
            RecordBatchWriter::try_new(self.inner.table_url(), self.schema().clone(), partitions, None)
        };
        let writer = writer.map_err(Error::delta("write", self.name()))?;
        Ok(writer.with_writer_properties(properties).with_target_file_size(TARGET_FILE_BYTES))
    }

    /// The write time for the next commit: `now`, or one later than the last commit's.
    pub async fn next_write_time(&self, now: i64) -> Result<i64, Error> {
        let last = self.newest_write_time().await?;
        Ok(last.map_or(now, |last| now.max(last + 1)))
    }

    /// The write time of the newest commit that has one.
    pub async fn newest_write_time(&self) -> Result<Option<i64>, Error> {
        self.transaction(&format!("{}/{WRITE_TIME_SUFFIX}", self.name())).await
    }

    /// The newest event time that any commit recorded, in microseconds.
    pub async fn newest_event(&self) -> Result<Option<i64>, Error> {
        self.transaction(&format!("{}/{NEWEST_EVENT_SUFFIX}", self.name())).await
    }

    /// The date before which rows were let go of; `None` where none were.
    pub async fn forgotten_before(&self) -> Result<Option<NaiveDate>, Error> {
        let days = self.transaction(&format!("{}/{FORGOTTEN_SUFFIX}", self.name())).await?;
        Ok(days.and_then(|days| i32::try_from(days).ok()).and_then(NaiveDate::from_epoch_days))
    }

    /// Makes files durable that are to be named: by the next commit, or by another table's note.
    #[tracing::instrument(target = "profile", level = "trace", name = "sync files", skip_all)]
    pub(crate) async fn sync_files(&self, files: impl IntoIterator<Item = &String>) -> Result<(), Error> {
        let Ok(folder) = self.log_store().root_url().to_file_path() else { return Ok(()) };
        let files: Vec<_> = files.into_iter().map(|file| super::stored_path(file)).collect();
        crash::point("delta/sync:before");
        let synced = super::store::sync_named(&folder, &files).await;
        crash::point("delta/sync:after");
        synced.map_err(Error::writing(self.name(), "its new files"))
    }

    /// Removes the files of a commit that was refused for certain, so that trying again on a full disk does not fill it. Where that
    /// fails, only space is lost.
    async fn forget(&self, error: &Error, files: Vec<String>) {
        if !error.is_conflict() && !error.is_for_want_of_room() {
            return;
        }
        self.remove_unnamed(files).await;
    }

    /// Removes files that no commit will name. Where that fails, only space is lost.
    pub(crate) async fn remove_unnamed(&self, files: impl IntoIterator<Item = String>) {
        let store = self.log_store().object_store(None);
        for file in files {
            let path = object_store::path::Path::parse(&file).unwrap_or_else(|_| file.as_str().into());
            let _ = store.delete(&path).await;
        }
    }

    /// Commits from this snapshot; on success the table is at the new version.
    ///
    /// The note's `write_time` becomes the commit's write time; take it from [`Self::next_write_time`].
    #[tracing::instrument(target = "profile", level = "trace", name = "commit", skip_all)]
    pub async fn commit(&mut self, commit: Commit) -> Result<TableVersion, Error> {
        let name = self.name().to_owned();
        // Others name files that earlier commits made, or that are to be committed later.
        let CommitNote { receipt, versions, inputs, restored, rebuilt, replayed, .. } = &commit.note;
        let is_batch = receipt.is_some() || versions.is_some() || !inputs.is_empty();
        let is_of_new_files = is_batch && restored.is_none() && rebuilt.is_none() && replayed.is_none();
        let fence_id = format!("{name}/{FENCE_SUFFIX}");
        let fence = self.transaction(&fence_id).await?.unwrap_or(0) + 1;

        let mut transactions = vec![
            Transaction::new(fence_id, fence),
            Transaction::new(format!("{name}/{WRITE_TIME_SUFFIX}"), commit.note.write_time),
        ];
        if let Some(newest) = commit.note.newest_event {
            transactions.push(Transaction::new(format!("{name}/{NEWEST_EVENT_SUFFIX}"), newest));
        }
        if let Some(forgotten) = &commit.note.forgotten {
            let days = i64::from(forgotten.before.to_epoch_days());
            transactions.push(Transaction::new(format!("{name}/{FORGOTTEN_SUFFIX}"), days));
        }
        for (input, number) in &commit.positions {
            transactions.push(Transaction::new(position_id(&name, input), *number));
        }
        let mut known = self.known_transactions().clone();
        known.extend(transactions.iter().map(|transaction| (transaction.app_id.clone(), Some(transaction.version))));
        let operation = operation(self.partition_column(), &commit);
        let data_change = commit.effect == Effect::Changes;
        let is_reshaped = commit.metadata.is_some();
        let mut actions: Vec<Action> = Vec::new();
        actions.extend(commit.metadata.map(Action::Metadata));
        actions.extend(commit.removes.into_iter().map(|file| Action::Remove(Remove { data_change, ..file.remove })));
        actions.extend(commit.adds.into_iter().map(|file| Action::Add(Add { data_change, ..file })));
        actions.extend(commit.change_files.into_iter().map(Action::Cdc));

        let named = files_of(&actions);
        self.sync_files(named.iter().chain(&commit.note.tombstones)).await?;
        self.confirm_hold()?;

        let numbers: Vec<Action> = transactions.iter().cloned().map(Action::Txn).collect();
        let checksum = Some(super::intact::checksum_of(actions.iter().chain(&numbers)));
        let note = CommitNote { checksum, ..commit.note };
        let note = serde_json::to_value(&note).expect("a note is plain data");
        let properties = CommitProperties::default()
            .with_metadata([
                (NOTE_KEY.to_owned(), note),
                ("clientVersion".to_owned(), json!(concat!("sluice ", env!("CARGO_PKG_VERSION")))),
            ])
            .with_application_transactions(transactions);
        let log_store = self.log_store();
        let files = if is_of_new_files { named } else { Vec::new() };
        let finalized = {
            let snapshot = self.inner.snapshot().map_err(Error::delta("commit", &name))?;
            let commit = CommitBuilder::from(properties).with_actions(actions).build(Some(snapshot), log_store, operation);
            let prepared = commit.into_prepared_commit_future().await.map_err(Error::delta("commit", &name))?;
            let writing = tracing::trace_span!(target: "profile", "write the log");
            crash::point("delta/log:before");
            let written = match prepared.into_future().instrument(writing).await.map_err(Error::delta("commit", &name)) {
                Ok(written) => written,
                Err(error) => {
                    self.forget(&error, files).await;
                    return Err(error);
                }
            };
            crash::point("delta/log:after");
            crash::point("delta/checkpoint:before");
            let checkpointing = tracing::trace_span!(target: "profile", "checkpoint the log");
            let finalized = written.into_future().instrument(checkpointing).await.map_err(Error::delta("commit", &name))?;
            crash::point("delta/checkpoint:after");
            finalized
        };
        self.inner.state = Some(finalized.snapshot());
        if is_reshaped {
            *self = self.with_inner(self.inner.clone())?;
        }
        // Had another commit changed any of these numbers meanwhile, this one would have failed.
        self.transactions = Arc::new(Mutex::new(known));
        Ok(TableVersion(finalized.version()))
    }
}

/// The files that a commit adds.
fn files_of(actions: &[Action]) -> Vec<String> {
    let path = |action: &Action| match action {
        Action::Add(add) => Some(add.path.clone()),
        Action::Cdc(file) => Some(file.path.clone()),
        _ => None,
    };
    actions.iter().filter_map(path).collect()
}

fn operation(partition_column: Option<&str>, commit: &Commit) -> DeltaOperation {
    if let Some(version) = commit.note.restored {
        return DeltaOperation::Restore { version: Some(version), datetime: None };
    }
    if commit.effect == Effect::Rearranges {
        return DeltaOperation::Optimize { predicate: None, target_size: TARGET_FILE_BYTES.cast_signed() };
    }
    if let (Some(forgotten), Some(column)) = (&commit.note.forgotten, partition_column) {
        return DeltaOperation::Delete { predicate: Some(format!("{column} < '{}'", forgotten.before)) };
    }
    let Some(merge) = &commit.merge else {
        return DeltaOperation::Write {
            mode: if commit.note.rebuilt.is_some() { SaveMode::Overwrite } else { SaveMode::Append },
            partition_by: partition_column.map(|column| vec![column.to_owned()]),
            predicate: None,
        };
    };
    let literals: Vec<String> = merge.partitions.iter().flatten().map(|value| format!("'{value}'")).collect();
    // The part that conflicts are checked against: only files of these partitions were read.
    let read = match partition_column {
        Some(column) if !literals.is_empty() => Some(format!("{column} IN ({})", literals.join(", "))),
        _ => None,
    };
    let keys: Vec<String> = merge.key.iter().map(|key| format!("target.{key} = source.{key}")).collect();
    let whole = match &read {
        Some(read) => format!("{} AND target.{read}", keys.join(" AND ")),
        None => keys.join(" AND "),
    };
    let step = |action: &str| MergePredicate { action_type: action.to_owned(), predicate: None };
    DeltaOperation::Merge {
        predicate: read,
        merge_predicate: Some(whole),
        matched_predicates: vec![step("update")],
        not_matched_predicates: vec![step("insert")],
        not_matched_by_source_predicates: vec![],
    }
}
