//! What maintenance did, or would do. The JSON form is the stable face of `sluice maintain --output json`.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

/// Grows with each change that a reader of the JSON form has to know.
pub const MAINTENANCE_SCHEMA: u32 = 1;

/// The steps, in the order in which they are done for a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaintenanceStep {
    /// Whole dates that are past the retention go.
    Retention,
    /// Small files of dates that are no longer written to become large ones.
    Compaction,
    /// The log gets a checkpoint, and what is before an older one leaves it.
    Checkpoint,
    /// Files that only old versions name go.
    Vacuum,
    /// Files that nothing names go: what crashed writers left.
    Orphans,
}

impl MaintenanceStep {
    pub const ALL: [Self; 5] = [Self::Retention, Self::Compaction, Self::Checkpoint, Self::Vacuum, Self::Orphans];

    pub fn name(self) -> &'static str {
        match self {
            Self::Retention => "retention",
            Self::Compaction => "compaction",
            Self::Checkpoint => "checkpoint",
            Self::Vacuum => "vacuum",
            Self::Orphans => "orphans",
        }
    }
}

/// Whether anything is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaintenanceMode {
    DryRun,
    Real,
}

/// Files and what they take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSum {
    pub files: u64,
    pub bytes: u64,
}

impl FileSum {
    pub fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// One step on one table, or on what lies beside the tables. Steps with nothing to do and nothing to say are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    pub step: MaintenanceStep,
    /// `raw.NAME`, `use_case.NAME`, `quarantine`, or `lake` for what belongs to no table.
    pub target: String,
    /// What the step worked on.
    pub before: FileSum,
    /// What took its place. The bytes of files that are still to be written are not known.
    pub files_after: u64,
    pub bytes_after: Option<u64>,
    /// Rows that left the table.
    pub rows: u64,
    pub dates: Vec<NaiveDate>,
    /// Paths in the lake of the files that went, or were put together.
    pub paths: Vec<String>,
    /// Why the step did less than it might have, and other things to know.
    pub notes: Vec<String>,
}

impl StepReport {
    pub fn new(step: MaintenanceStep, target: &str) -> Self {
        Self {
            step,
            target: target.to_owned(),
            before: FileSum::default(),
            files_after: 0,
            bytes_after: Some(0),
            rows: 0,
            dates: Vec::new(),
            paths: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.before.files == 0 && self.files_after == 0 && self.notes.is_empty()
    }
}

/// One maintenance of one pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaintenanceReport {
    pub schema: u32,
    pub pipeline: String,
    pub mode: MaintenanceMode,
    pub started_at: DateTime<Utc>,
    pub seconds: f64,
    pub lake: String,
    /// Versions of this many seconds stay readable.
    pub keep_seconds: u64,
    pub steps: Vec<StepReport>,
    /// Files of the tables before and after, the log and old versions among them.
    pub lake_before: FileSum,
    pub lake_after: FileSum,
}
