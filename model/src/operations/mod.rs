//! How a pipeline is, for those who operate it: what each zone holds, how far each table is behind what it reads, what runs did,
//! and what is wrong in words. The JSON forms are the stable face of `/v1/_pipeline/...` (docs/operations-api.md).

mod findings;
mod runs;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use findings::{Finding, Severity};
pub use runs::{RunError, RunRecord, RunState, RunSummary, Usual};

pub const OPERATIONS_SCHEMA: u32 = 1;

/// The zones of a pipeline at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    /// The version of this document's shape.
    pub schema: u32,
    pub pipeline: String,
    pub lake: LakeState,
    /// The worst of what was found.
    pub health: Severity,
    /// What is to be known, the worst first; empty where all is well.
    pub findings: Vec<Finding>,
    /// The process that holds the lake, and gives signs of life.
    pub holder: Option<HolderState>,
    /// The newest run that is on record.
    pub last_run: Option<RunSummary>,
    pub landings: Vec<LandingState>,
    pub raw: Vec<TableState>,
    pub quarantine: Option<TableState>,
    pub use_cases: Vec<TableState>,
    pub serving: Serving,
}

/// The lake, as far as this process sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LakeState {
    pub path: String,
    /// Whether there is anything of the pipeline.
    pub is_there: bool,
    /// Why it could not be read.
    pub problem: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderState {
    pub command: String,
    pub process: u32,
    pub host: String,
    pub since: DateTime<Utc>,
}

/// The files of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandingState {
    pub source: String,
    /// The landings of its files, by which tables name what they read.
    pub landings: Vec<String>,
    /// Files that landed, each with a receipt.
    pub files: u64,
    pub bytes: u64,
    pub newest: Option<LandedFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandedFile {
    pub receipt: u64,
    pub file_name: String,
    pub bytes: u64,
    pub received_at: DateTime<Utc>,
}

/// A Delta table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableState {
    pub name: String,
    /// `None`: it was not made yet.
    pub version: Option<u64>,
    pub rows: Option<u64>,
    pub files: u64,
    pub bytes: u64,
    /// When its newest version was committed.
    pub committed_at: Option<DateTime<Utc>>,
    /// The newest event that is in it, where it has an event time.
    pub newest_event: Option<DateTime<Utc>>,
    /// What it is made from.
    pub reads: Vec<Reading>,
}

/// How far a table has got in what it reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// `landing.NAME`, `raw.NAME` or `use_case.NAME`.
    pub from: String,
    /// The version (of a landing: the receipt) that it has taken in.
    pub position: Option<u64>,
    /// The newest that there is.
    pub version: Option<u64>,
    /// How many are still to be taken in; commits that move no rows do not count. `None` where that is not known.
    pub behind: Option<u64>,
}

/// Cassandra, as far as this process sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Serving {
    pub keyspace: Option<String>,
    pub state: ServingState,
    /// Why it is not connected, or how it fails.
    pub reason: Option<String>,
    pub nodes: Vec<NodeState>,
    /// How long the last small question took, in milliseconds.
    pub milliseconds: Option<f64>,
    pub tables: Vec<ServedTable>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServingState {
    /// The pipeline has no Cassandra tables.
    NotNeeded,
    /// It did not answer yet.
    Waiting,
    Connected,
    /// It answers, but tables of endpoints are missing there, or differ.
    Unprepared,
    /// It answered before.
    Lost,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeState {
    pub address: String,
    pub datacenter: Option<String>,
    pub rack: Option<String>,
    pub is_up: bool,
}

/// A Cassandra table by its checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedTable {
    pub name: String,
    pub reads: Reading,
    /// When its checkpoint was written.
    pub written_at: Option<DateTime<Utc>>,
    pub newest_event: Option<DateTime<Utc>>,
}

/// What was set aside, in groups of what is wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rejects {
    pub schema: u32,
    pub pipeline: String,
    /// The version of the quarantine that was read; `None`: there is none yet.
    pub version: Option<u64>,
    pub records: u64,
    /// The largest first.
    pub groups: Vec<RejectGroup>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectGroup {
    /// `raw.NAME`.
    pub table: String,
    pub reason: String,
    /// What exactly is wrong.
    pub rule: String,
    /// Their whole file was stopped by its limits.
    pub is_stopped: bool,
    pub records: u64,
    pub first: DateTime<Utc>,
    pub last: DateTime<Utc>,
    /// Some of them.
    pub samples: Vec<RejectSample>,
    /// The command that lists them.
    pub list: String,
    /// The command that loads them once the definition is mended.
    pub replay: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectSample {
    pub receipt: i64,
    pub entry: String,
    /// The line, byte or row, as the format counts.
    pub position: i64,
    pub detail: String,
    /// As received, its beginning where it is long.
    pub record: String,
}
