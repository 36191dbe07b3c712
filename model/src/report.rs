//! What a run did, in numbers. The JSON form is the stable face of `--output json` (docs/report.md).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::counts::Counts;
use crate::definition::OnFailure;
use crate::plan::Known;

/// The stages, in the order of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageName {
    CreateTables,
    UrlToLanding,
    LandingToRaw,
    RawToUseCase,
    RawToCassandra,
    UseCaseToCassandra,
}

impl StageName {
    pub const ALL: [Self; 6] = [
        Self::CreateTables,
        Self::UrlToLanding,
        Self::LandingToRaw,
        Self::RawToUseCase,
        Self::RawToCassandra,
        Self::UseCaseToCassandra,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::CreateTables => "create-tables",
            Self::UrlToLanding => "url-to-landing",
            Self::LandingToRaw => "landing-to-raw",
            Self::RawToUseCase => "raw-to-use-case",
            Self::RawToCassandra => "raw-to-cassandra",
            Self::UseCaseToCassandra => "use-case-to-cassandra",
        }
    }
}

/// What one stage did to one table (or source) in one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageReport {
    pub stage: StageName,
    /// The table or source that the stage worked on.
    pub target: String,
    pub outcome: Outcome,
    /// Records by fate. Stages after raw read rows, reject none and leave the other fates at zero.
    pub counts: Counts,
    /// Rows written: appended, merged (inserted or changed) or sent to Cassandra, deletes included.
    pub written: u64,
    /// Among `written`.
    pub deleted: u64,
    /// Commits made to a Delta table, or files landed.
    pub commits: u64,
    /// Bytes read from the source or the landed file.
    pub bytes: u64,
    pub seconds: f64,
    /// The version (Delta) or receipt (landing) that the target is now at.
    pub position: Option<u64>,
    /// What a person should know: rejects by reason, a file that was stopped.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What the checks of a raw table found, each that failed for a row.
    #[serde(default)]
    pub checks: Vec<CheckReport>,
    /// Where the files differ from the contract of a raw table.
    #[serde(default)]
    pub drift: Vec<DriftReport>,
    /// What was planned just before the stage did it, beside what it did.
    #[serde(default)]
    pub planned: Planned,
}

/// Numbers that could be had from logs and load plans before a stage began. `None`: not of this stage, or not known then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Rows to load, to merge, or to look at for sending.
    pub rows: Option<Beside>,
    pub commits: Option<Beside>,
    /// Groups of a view that were touched, beside rows of it that came, changed or went.
    pub groups: Option<Beside>,
    /// Files that may have to be rewritten, or that a snapshot supersedes.
    pub files: Option<Beside>,
    /// Bytes of these.
    pub bytes: Option<Beside>,
}

/// A number as planned, and as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    pub planned: u64,
    pub known: Known,
    pub fact: u64,
}

impl Beside {
    pub fn new(planned: u64, known: Known, fact: u64) -> Self {
        Self { planned, known, fact }
    }

    /// Adds a further part of the same stage.
    pub fn add(to: &mut Option<Self>, part: Self) {
        let sum = to.map_or(part, |sum| Self { planned: sum.planned + part.planned, fact: sum.fact + part.fact, ..part });
        *to = Some(sum);
    }

    /// Whether the plan did not hold, or far less came than it allowed for.
    pub fn is_worth_telling(self) -> bool {
        match self.known {
            Known::Exact => self.planned != self.fact,
            Known::AtMost => self.fact > self.planned || self.fact < self.planned / 2,
            Known::Estimated | Known::Later => self.fact > self.planned * 2 || self.fact < self.planned / 2,
        }
    }
}

impl Planned {
    /// The numbers that there are, by name.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, Beside)> {
        let named = [
            ("rows", self.rows),
            ("commits", self.commits),
            ("groups", self.groups),
            ("files", self.files),
            ("bytes", self.bytes),
        ];
        named.into_iter().filter_map(|(name, beside)| beside.map(|beside| (name, beside)))
    }
}

/// How often one check failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    pub name: String,
    pub on_failure: OnFailure,
    pub failed: u64,
}

/// A field that the contract does not name, or that records lack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftReport {
    pub field: String,
    pub kind: DriftKind,
    pub records: u64,
    /// The column that was added for an unknown field.
    pub column: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftKind {
    Unknown,
    Missing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Something was done.
    Done,
    /// There was nothing to do.
    UpToDate,
}

impl StageReport {
    pub fn new(stage: StageName, target: impl Into<String>) -> Self {
        Self {
            stage,
            target: target.into(),
            outcome: Outcome::UpToDate,
            counts: Counts::default(),
            written: 0,
            deleted: 0,
            commits: 0,
            bytes: 0,
            seconds: 0.0,
            position: None,
            notes: Vec::new(),
            checks: Vec::new(),
            drift: Vec::new(),
            planned: Planned::default(),
        }
    }

    /// Rows read in a second; zero where nothing was read.
    pub fn rows_per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.counts.read as f64 / self.seconds } else { 0.0 }
    }
}

/// What one run did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// The version of this document's shape.
    pub schema: u32,
    pub pipeline: String,
    pub started_at: DateTime<Utc>,
    pub seconds: f64,
    /// The debug slice, where the run had one.
    pub slice: Option<String>,
    pub lake: String,
    pub keyspace: Option<String>,
    pub stages: Vec<StageReport>,
    /// Whether `read` equals the sum of the fates in every stage, checked against the commits.
    pub accounting_closes: bool,
    /// Largest resident set of the process, in bytes.
    pub peak_memory_bytes: Option<u64>,
}

pub const REPORT_SCHEMA: u32 = 1;
