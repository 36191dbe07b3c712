//! What `sluice verify` looked at and found. The JSON form is the stable face of `--output json` (docs/verify.md).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub const VERIFICATION_SCHEMA: u32 = 1;

/// Examples of one finding that are shown.
pub const EXAMPLES: usize = 5;

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Files are there, of the size that was recorded, and can be read to the end.
    Files,
    /// The sums close, and the rows that are there are those that were counted.
    Accounting,
    /// The rows are what they should be, value by value.
    Content,
    /// The key directory knows every key of the table.
    Keys,
}

impl Subject {
    pub fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Accounting => "accounting",
            Self::Content => "content",
            Self::Keys => "keys",
        }
    }
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// A fragment that names what is wrong.
    pub problem: String,
    /// Rows, files or receipts that it is about.
    pub count: u64,
    /// The first of them.
    pub examples: Vec<String>,
    /// The next step.
    pub advice: Option<String>,
}

/// One check of one table or source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// `landing.NAME`, `raw.NAME`, `quarantine`, `use_case.NAME` or `cassandra.NAME`.
    pub target: String,
    pub subject: Subject,
    /// Rows that were looked at, on both sides where two are compared.
    pub rows: u64,
    /// Bytes of the files or values that were read.
    pub bytes: u64,
    pub seconds: f64,
    pub findings: Vec<Finding>,
    /// What could not be looked at and why, and what a person should know.
    pub notes: Vec<String>,
}

impl Check {
    pub fn new(target: impl Into<String>, subject: Subject) -> Self {
        let target = target.into();
        Self { target, subject, rows: 0, bytes: 0, seconds: 0.0, findings: Vec::new(), notes: Vec::new() }
    }

    /// Adds a finding, if it is about anything; only the first examples are kept.
    pub fn find(&mut self, count: u64, problem: impl Into<String>, examples: Vec<String>, advice: Option<&str>) {
        if count > 0 {
            let examples = examples.into_iter().take(EXAMPLES).collect();
            self.findings.push(Finding { problem: problem.into(), count, examples, advice: advice.map(str::to_owned) });
        }
    }

    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

/// Rows of a Cassandra table that were put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    pub table: String,
    /// Rows that were missing or different, written anew from the lake.
    pub written: u64,
    /// Rows that should not have been there.
    pub deleted: u64,
    /// With which they were written, in microseconds: later than all that was there, and earlier than all that will come.
    pub write_time: i64,
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// The version of this document's shape.
    pub schema: u32,
    pub pipeline: String,
    pub started_at: DateTime<Utc>,
    pub seconds: f64,
    pub lake: String,
    pub keyspace: Option<String>,
    /// What part was looked at, where it was not all: as it was asked for.
    pub sample: Option<String>,
    pub checks: Vec<Check>,
    pub repairs: Vec<Repair>,
    /// Nothing was found, or all that was found was put right.
    pub is_right: bool,
    /// Largest resident set of the process, in bytes.
    pub peak_memory_bytes: Option<u64>,
}

impl Verification {
    pub fn findings(&self) -> usize {
        self.checks.iter().map(|check| check.findings.len()).sum()
    }
}
