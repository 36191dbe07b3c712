//! What a run would do now, in numbers. The JSON form is the stable face of `sluice plan --output json` (docs/plan.md).

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

pub const PLAN_SCHEMA: u32 = 1;

/// A number, and how far it can be relied on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    pub known: Known,
    /// There unless it is known later only.
    pub value: Option<u64>,
    /// What it rests on, or when it will be known; there unless it is exact.
    pub basis: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    Exact,
    AtMost,
    Estimated,
    /// After an earlier stage of the run.
    Later,
}

impl Amount {
    pub fn exact(value: u64) -> Self {
        Self { known: Known::Exact, value: Some(value), basis: None }
    }

    pub fn at_most(value: u64, basis: impl Into<String>) -> Self {
        Self { known: Known::AtMost, value: Some(value), basis: Some(basis.into()) }
    }

    pub fn estimated(value: u64, basis: impl Into<String>) -> Self {
        Self { known: Known::Estimated, value: Some(value), basis: Some(basis.into()) }
    }

    pub fn later(basis: impl Into<String>) -> Self {
        Self { known: Known::Later, value: None, basis: Some(basis.into()) }
    }

    /// Whether there is something, or may be.
    pub fn is_any(&self) -> bool {
        self.value != Some(0)
    }

    /// The sum; as uncertain as the less certain of the two, with the first one's basis.
    #[must_use]
    pub fn plus(self, other: &Self) -> Self {
        let known = if other.known.doubt() > self.known.doubt() { other.known } else { self.known };
        let value = self.value.zip(other.value).map(|(one, more)| one + more);
        let basis = if known == self.known { self.basis } else { other.basis.clone() };
        Self { known, value, basis }
    }

    /// The sum of all; exactly nothing where there is none.
    pub fn sum<'a>(amounts: impl IntoIterator<Item = &'a Self>) -> Self {
        amounts.into_iter().fold(Self::exact(0), Self::plus)
    }
}

impl Known {
    fn doubt(self) -> u8 {
        match self {
            Self::Exact => 0,
            Self::AtMost => 1,
            Self::Estimated => 2,
            Self::Later => 3,
        }
    }
}

/// What a run would do now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunPlan {
    /// The version of this document's shape.
    pub schema: u32,
    pub pipeline: String,
    pub planned_at: DateTime<Utc>,
    /// How long planning took.
    pub seconds: f64,
    /// The debug slice, where there is one.
    pub slice: Option<String>,
    pub lake: String,
    pub cassandra: ServingStore,
    /// Tables and columns to be made, and tables that cannot be used as they are.
    pub tables: Vec<TableToMake>,
    pub sources: Vec<SourcePlan>,
    pub loads: Vec<RawPlan>,
    pub merges: Vec<MergePlan>,
    pub views: Vec<ViewPlan>,
    pub sends: Vec<SendPlan>,
    pub maintenance: Vec<RetentionPlan>,
    /// Why a run would fail, or not do what is said here, as far as can be seen.
    pub problems: Vec<String>,
    /// Whether a run would find nothing to do; false where that is known later only.
    pub is_up_to_date: bool,
}

/// What was seen of Cassandra.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServingStore {
    /// `None`: the pipeline has no Cassandra tables.
    pub keyspace: Option<String>,
    pub state: StoreState,
    /// Why it was not read.
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreState {
    NotNeeded,
    Read,
    NotRead,
}

/// A table that create-tables would make or change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableToMake {
    /// `delta` or `cassandra`.
    pub store: String,
    pub table: String,
    pub change: TableChange,
    /// Delta: name and type of the columns to be made.
    pub columns: Vec<(String, String)>,
    /// Cassandra: the statement to be run.
    pub ddl: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableChange {
    Create,
    AddColumns,
    /// Whether it is there is not known: Cassandra was not read.
    CreateIfMissing,
}

/// What would be fetched of one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePlan {
    pub source: String,
    /// One a url.
    pub files: Vec<FileAtSource>,
    /// Of the files that are to be fetched.
    pub bytes: Amount,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileAtSource {
    /// Without user name, password and query.
    pub url: String,
    pub state: SourceState,
    /// How that is known, or why it is not.
    pub because: String,
    /// To be fetched.
    pub bytes: Amount,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    Unchanged,
    /// Never landed: it is fetched and loaded.
    New,
    /// It is fetched, since the server shows another state than the one that landed.
    Changed,
    /// Whether it changed is known after it was fetched.
    Unknown,
    /// Nothing is there, and the definition skips it.
    Missing,
    /// The run would fail here.
    Failing,
}

impl SourceState {
    /// Whether its bytes are asked for.
    pub fn is_fetched(self) -> bool {
        matches!(self, Self::New | Self::Changed | Self::Unknown)
    }
}

/// What would be loaded into a raw table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawPlan {
    pub table: String,
    /// Landed and not finished, in the order of their receipts.
    pub files: Vec<FileToLoad>,
    /// Of these files: rows for commits, before duplicates are left out.
    pub rows: Amount,
    pub commits: Amount,
    /// Of files that are still to be fetched.
    pub rows_to_come: Amount,
    /// Why more may come in the same run.
    pub to_come: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileToLoad {
    pub receipt: u64,
    pub file_name: String,
    /// As landed.
    pub bytes: u64,
    /// Whether some of it is in the table already.
    pub is_under_way: bool,
    pub rows: Amount,
    pub commits: Amount,
    /// Of a planned load, in the order in which they are committed.
    pub batches: Vec<BatchToCommit>,
    /// The snapshot that the file takes the place of.
    pub supersedes: Option<Superseded>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchToCommit {
    /// Empty where the table has no dates.
    pub dates: Vec<NaiveDate>,
    pub rows: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Superseded {
    pub rows: Amount,
    pub files: Amount,
    pub bytes: Amount,
}

/// What would be merged into a use-case table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergePlan {
    pub table: String,
    /// The raw table.
    pub from: String,
    /// One a commit.
    pub batches: Vec<MergeBatch>,
    /// Why more may come in the same run.
    pub to_come: Option<String>,
}

/// One MERGE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergeBatch {
    /// Versions of the raw table, both included.
    pub first_version: u64,
    pub last_version: u64,
    /// Changed rows of the raw table.
    pub rows: Amount,
    /// Partitions of the use-case table in which its keys may be.
    pub partitions: Amount,
    /// Files of those partitions: their key columns are read, the rest of them only where a key is found.
    pub files_read: Amount,
    pub bytes_read: Amount,
    pub files_rewritten: Amount,
    pub bytes_rewritten: Amount,
    /// Rows that are in the rewritten files.
    pub rows_rewritten: Amount,
    pub inserted: Amount,
    pub updated: Amount,
    pub deleted: Amount,
}

impl MergeBatch {
    /// Rows that come, change or go.
    pub fn changed(&self) -> Amount {
        Amount::sum([&self.inserted, &self.updated, &self.deleted])
    }

    /// Bytes rewritten for each row that changes; `None` where one of the two is not known, or nothing changes.
    pub fn bytes_a_changed_row(&self) -> Option<u64> {
        self.bytes_rewritten.value.zip(self.changed().value).and_then(|(bytes, rows)| bytes.checked_div(rows))
    }
}

/// What would be computed anew of a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewPlan {
    pub table: String,
    /// Inputs that have versions which the view has not taken in.
    pub changed_inputs: Vec<ChangedInput>,
    pub groups: Amount,
    /// Why all groups are computed, where they are.
    pub all_because: Option<String>,
    /// What computing them reads.
    pub reads: Vec<InputRead>,
    /// Files of the view in which rows of these groups may be.
    pub files_read: Amount,
    pub bytes_read: Amount,
    /// Why more may come in the same run.
    pub to_come: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedInput {
    /// `raw.NAME` or `use_case.NAME`.
    pub input: String,
    /// `None`: the view has never read it.
    pub taken_in: Option<u64>,
    pub version: u64,
}

/// Files of an input after partitions were left out; columns that the SQL does not name are not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputRead {
    pub input: String,
    pub files: Amount,
    pub bytes: Amount,
}

/// What would be sent to a Cassandra table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendPlan {
    pub table: String,
    /// `raw.NAME` or `use_case.NAME`.
    pub from: String,
    /// The version that the checkpoint names.
    pub checkpoint: Option<u64>,
    /// The newest version of the origin.
    pub version: Option<u64>,
    pub upserts: Amount,
    pub deletes: Amount,
    /// Why more may come in the same run.
    pub to_come: Option<String>,
}

/// What maintenance would remove of a raw table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionPlan {
    pub table: String,
    pub retention_days: u32,
    /// By the pipeline's clock; `None` where it has not begun to run (no event yet).
    pub oldest_kept: Option<NaiveDate>,
    pub dates: Vec<NaiveDate>,
    pub rows: u64,
    pub files: u64,
    pub bytes: u64,
}
