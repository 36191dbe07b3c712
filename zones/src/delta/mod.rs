//! A Delta table as Sluice uses one: open at a version, read the files of given commits, commit rows together with positions.
//!
//! Guarantee: [`Table::commit`] either makes one version that holds rows, position, fence and write time together, or nothing.
//! A commit is made from the snapshot that was opened; where another writer of the same table came first, the fence makes the
//! two collide in the log, whatever they wrote.

mod checked;
mod commit;
mod content;
mod evolve;
pub(crate) mod feed;
mod files;
mod intact;
pub(crate) mod kept;
pub(crate) mod log;
mod read;
mod repeats;
mod schema;
mod shape;
mod since;
mod store;
mod stored_file;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use deltalake::kernel::engine::arrow_conversion::TryIntoArrow;
use deltalake::kernel::{Action, Metadata};
use deltalake::logstore::LogStoreRef;
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use model::position::TableVersion;
use url::Url;

use crate::error::Error;
use crate::hold::Guard;

pub use commit::{ChangedRows, Commit, CommitNote, Effect, Forgotten, InputNote, MergeNote, Planned, Span, WRITE_TIME_SUFFIX};
pub use content::CommitContent;
pub use evolve::Taking;
pub use files::{DataFile, PartitionValue};
pub use read::ReadPlan;
pub(crate) use schema::normalized;
pub use shape::{Made, TableShape};
pub use since::Since;

/// An open table, at one version.
#[derive(Debug, Clone)]
pub struct Table {
    inner: DeltaTable,
    /// `<zone>/<pipeline>/<table>`, for messages and application transactions.
    name: String,
    schema: SchemaRef,
    partition_column: Option<String>,
    /// Of a table as it will be: what a commit makes it.
    draft: Option<Metadata>,
    /// Numbers of application ids that were looked up in this snapshot: the log is searched once for each.
    transactions: Transactions,
    /// Asked before each commit.
    guard: Guard,
    /// Files whose content was compared with their checksum. Clones share them.
    checked: checked::Checked,
    /// Commits that the log no longer holds, as far as they were read.
    kept: kept::Cache,
}

/// Clones share what they found; a new snapshot starts with a map of its own.
type Transactions = Arc<Mutex<HashMap<String, Option<i64>>>>;

impl Table {
    /// Opens the table in `folder`; `None` where there is none. A log that is not as it was written is refused.
    #[tracing::instrument(target = "profile", level = "trace", name = "open the table", skip_all, fields(of = name))]
    pub async fn open(folder: &Path, name: &str) -> Result<Option<Self>, Error> {
        if !folder.join("_delta_log").is_dir() {
            return Ok(None);
        }
        intact::check(&folder.join("_delta_log"), name)?;
        let mut inner = DeltaTable::new(log_store(folder, name)?);
        match inner.load().await {
            Ok(()) => Self::from_inner(inner, name).map(Some),
            Err(DeltaTableError::NotATable(_)) => Ok(None),
            Err(error) => Err(Error::delta("open", name)(error)),
        }
    }

    /// The table as it was at a version that is not newer than this one.
    pub async fn at(&self, version: TableVersion) -> Result<Self, Error> {
        if version == self.version() {
            return Ok(self.clone());
        }
        let mut inner = DeltaTable::new(self.inner.log_store());
        inner.load_version(version.0).await.map_err(Error::delta("open an earlier version", &self.name))?;
        self.with_inner(inner)
    }

    /// The table as it was at an instant: the newest version that was committed by then.
    pub async fn as_of(&self, instant: chrono::DateTime<chrono::Utc>) -> Result<Self, Error> {
        let mut inner = DeltaTable::new(self.inner.log_store());
        inner.load_with_datetime(instant).await.map_err(Error::delta("open an earlier version", &self.name))?;
        self.with_inner(inner)
    }

    /// The rows as the engine reads them, at this version.
    pub async fn provider(&self) -> Result<Arc<dyn TableProvider>, Error> {
        let provider = self.inner.table_provider().await;
        provider.map_err(|error| Error::delta("read", &self.name)(error.into()))
    }

    /// The same, and commits only while the hold is one's own.
    pub(crate) fn guarded(self, guard: &Guard) -> Self {
        Self { guard: guard.clone(), ..self }
    }

    /// This table at another version or under another schema.
    fn with_inner(&self, inner: DeltaTable) -> Result<Self, Error> {
        let opened = Self::from_inner(inner, &self.name)?;
        Ok(Self { guard: self.guard.clone(), checked: self.checked.clone(), ..opened })
    }

    fn from_inner(inner: DeltaTable, name: &str) -> Result<Self, Error> {
        let snapshot = inner.snapshot().map_err(Error::delta("open", name))?;
        let schema: Schema = snapshot.schema().as_ref().try_into_arrow().map_err(Error::arrow("read the table's schema"))?;
        let partition_column = snapshot.metadata().partition_columns().first().cloned();
        Ok(Self {
            name: name.to_owned(),
            schema: Arc::new(schema),
            partition_column,
            inner,
            draft: None,
            transactions: Transactions::default(),
            guard: Guard::default(),
            checked: checked::Checked::default(),
            kept: kept::Cache::default(),
        })
    }

    /// What makes the table the drafted one.
    pub(crate) fn draft(&self) -> Option<&Metadata> {
        self.draft.as_ref()
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// All columns, the partition column included, in table order.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub fn partition_column(&self) -> Option<&str> {
        self.partition_column.as_deref()
    }

    pub fn version(&self) -> TableVersion {
        TableVersion(self.inner.version().expect("an open table has a version"))
    }

    pub(crate) fn description(&self) -> String {
        self.inner.snapshot().ok().and_then(|snapshot| snapshot.metadata().description()).unwrap_or_default().to_owned()
    }

    /// The id that Delta gave the table when it was made; another table in the same place has another.
    pub fn id(&self) -> &str {
        self.inner.snapshot().expect("an open table has a snapshot").metadata().id()
    }

    /// Whether changes of rows are kept for readers.
    pub fn has_change_feed(&self) -> bool {
        let snapshot = self.inner.snapshot().expect("an open table has a snapshot");
        let setting = snapshot.metadata().configuration().get("delta.enableChangeDataFeed");
        setting.is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    pub(crate) fn object_store(&self) -> Arc<dyn object_store::ObjectStore> {
        self.inner.object_store()
    }

    pub(crate) fn log_store(&self) -> LogStoreRef {
        self.inner.log_store()
    }

    /// Brings the table up to its newest version, and to the columns that it has there.
    pub async fn refresh(&mut self) -> Result<(), Error> {
        let mut inner = self.inner.clone();
        inner.update_state().await.map_err(Error::delta("refresh", &self.name))?;
        *self = self.with_inner(inner)?;
        Ok(())
    }

    /// Fails once another process has taken over.
    pub(crate) fn confirm_hold(&self) -> Result<(), Error> {
        self.guard.confirm()
    }

    /// The number recorded for an application id in this snapshot.
    pub async fn transaction(&self, id: &str) -> Result<Option<i64>, Error> {
        if let Some(known) = self.known_transactions().get(id) {
            return Ok(*known);
        }
        // Our commits have most of them: the newest is cheaper to read than the whole log.
        if let Some(newest) = self.logged_commit(self.version()).await? {
            let mut known = self.known_transactions();
            for action in newest.actions {
                if let Action::Txn(transaction) = action {
                    known.entry(transaction.app_id).or_insert(Some(transaction.version));
                }
            }
        }
        if let Some(known) = self.known_transactions().get(id) {
            return Ok(*known);
        }
        let snapshot = self.inner.snapshot().map_err(Error::delta("open", &self.name))?;
        let number = snapshot.transaction_version(self.log_store().as_ref(), id).await;
        let number = number.map_err(Error::delta("read a position", &self.name))?;
        self.known_transactions().insert(id.to_owned(), number);
        Ok(number)
    }

    fn known_transactions(&self) -> MutexGuard<'_, HashMap<String, Option<i64>>> {
        self.transactions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The version of `input` that this table has taken in completely.
    pub async fn input_position(&self, input: &str) -> Result<Option<TableVersion>, Error> {
        let number = self.transaction(&commit::position_id(&self.name, input)).await?;
        Ok(number.map(|number| TableVersion(number.unsigned_abs())))
    }

    /// The number recorded for `input`, as it was committed.
    pub async fn input_number(&self, input: &str) -> Result<Option<i64>, Error> {
        self.transaction(&commit::position_id(&self.name, input)).await
    }

    /// What the commit `version` did: from the log, or from what was kept of it when the log was cleaned.
    pub async fn commit_content(&self, version: TableVersion) -> Result<CommitContent, Error> {
        if let Some(content) = self.logged_commit(version).await? {
            return Ok(content);
        }
        let kept = self.kept_commit(version).await?;
        kept.ok_or_else(|| Error::CommitGone { table: self.name.clone(), version: version.0 })
    }

    /// What the commit `version` did, where the log still holds it.
    pub(crate) async fn logged_commit(&self, version: TableVersion) -> Result<Option<CommitContent>, Error> {
        let read = self.log_store().read_commit_entry(version.0).await.map_err(Error::delta("read the log", &self.name))?;
        let Some(bytes) = read else { return Ok(None) };
        intact::content(version.0, &bytes, &self.name).map(Some)
    }

    /// The commits after `position` up to this snapshot, in order.
    pub async fn commits_after(&self, position: Option<TableVersion>) -> Result<Vec<CommitContent>, Error> {
        let first = position.map_or(0, |position| position.0 + 1);
        let mut commits = Vec::new();
        for version in first..=self.version().0 {
            commits.push(self.commit_content(TableVersion(version)).await?);
        }
        Ok(commits)
    }
}

/// The number of rows that a file's statistics tell.
pub(crate) fn recorded_rows(stats: &str) -> Option<u64> {
    serde_json::from_str::<serde_json::Value>(stats).ok()?.get("numRecords")?.as_u64()
}

/// A file as the log names it, where the object store has it: the log writes paths URL-encoded.
pub(crate) fn stored_path(path: &str) -> object_store::path::Path {
    object_store::path::Path::parse(path).unwrap_or_else(|_| object_store::path::Path::from(path))
}

/// Partition values of an action as a map with one entry at most.
pub(crate) fn partition_of(values: &HashMap<String, Option<String>>, column: Option<&str>) -> PartitionValue {
    column.and_then(|column| values.get(column).cloned().flatten())
}

/// Where the table in `folder` is read from and written to.
fn log_store(folder: &Path, name: &str) -> Result<LogStoreRef, Error> {
    let absolute = std::path::absolute(folder).map_err(Error::io("find", folder))?;
    let url = Url::from_directory_path(&absolute).map_err(|()| Error::Damaged {
        path: absolute.display().to_string(),
        problem: "this path cannot be written as a URL".to_owned(),
    })?;
    let builder = DeltaTableBuilder::from_url(url.clone()).map_err(Error::delta("open", name))?;
    builder.with_storage_backend(Arc::new(store::DurableLogs::default()), url).build_storage().map_err(Error::delta("open", name))
}
