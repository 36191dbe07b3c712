//! `sluice why`: the whole history of one row, from the line of its source to Cassandra.
//!
//! Guarantee: reads only, and locks nothing. What was read for the answer is said in it, and so is what could not be found out:
//! versions that the log no longer holds, a Cassandra that does not answer. Never: shows duplicates, which were counted when they
//! came and not written; waits long for Cassandra; reads a large landed file without being asked to.

mod descend;
mod gather;
mod print;
mod target;

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};
use zones::rejects::Held;
use zones::why::Looked;

use crate::commands;
use crate::error::Error;
use crate::opened::Opened;
use crate::settings::{Output, RunArgs};

pub use gather::{Asked, why};

/// The version of the answer's shape.
const WHY_SCHEMA: u32 = 1;

#[derive(Debug, Args)]
pub struct WhyArgs {
    #[command(flatten)]
    pub run: RunArgs,

    /// The key: COLUMN=VALUE for each of its columns, or the value alone where it has one column
    #[arg(required = true, value_name = "KEY")]
    pub key: Vec<String>,

    /// Whose row: `use_case.NAME` or `raw.NAME` [default: the first use case with such a key, else the first raw table]
    #[arg(long, value_name = "TABLE")]
    pub table: Option<String>,

    /// Show each record as it stands in its landed file, also where that is large and has to be read from its beginning
    #[arg(long)]
    pub bytes: bool,

    /// How many raw rows, rejects and rows of Cassandra are shown
    #[arg(long, default_value_t = 20, value_name = "ROWS")]
    pub limit: usize,

    /// Do not ask Cassandra
    #[arg(long)]
    pub offline: bool,
}

type Row = Map<String, Value>;

/// The history of one row.
#[derive(Debug, Clone, Serialize)]
pub struct Why {
    pub schema: u32,
    pub pipeline: String,
    /// `use_case.NAME` or `raw.NAME`.
    pub table: String,
    pub key: Row,
    /// The row as it is; none where it is not there (any more).
    pub row: Option<Row>,
    /// What happened to a use-case row, oldest first.
    pub changes: Vec<Change>,
    /// The oldest version that the table's log still tells of, where that is not the first.
    pub known_since: Option<u64>,
    pub raw: Vec<RawRows>,
    /// Rows of other use cases that a view's row was made of, from the top down.
    pub inputs: Vec<InputRows>,
    /// What each view on the way down was computed from as a whole.
    pub computed: Vec<Computed>,
    /// Records in the quarantine in which the key's values stand.
    pub rejects: Vec<Held>,
    pub cassandra: Vec<ServedRow>,
    pub looked: Vec<LookedAt>,
    /// What the answer leaves open.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Change {
    pub version: u64,
    /// Microseconds; the write time of cells that were written from it.
    pub write_time: i64,
    /// `insert`, `update` or `delete`.
    pub change: &'static str,
    /// After it; of a delete, before it.
    pub row: Row,
}

/// The rows of one raw table.
#[derive(Debug, Clone, Serialize)]
pub struct RawRows {
    pub table: String,
    /// The use case whose rows were made of them; none where they were asked for themselves.
    pub of: Option<String>,
    /// Of all of them; `rows` may be fewer.
    pub count: u64,
    /// Rows of other keys may be among them: the SQL does not make all of the key of columns.
    pub is_loose: bool,
    pub rows: Vec<RawRow>,
}

#[derive(Debug, Clone, Serialize)]
pub struct RawRow {
    pub receipt: i64,
    pub source: String,
    pub url: Option<String>,
    pub file: Option<String>,
    pub received_at: Option<chrono::DateTime<chrono::Utc>>,
    pub entry: String,
    pub position: i64,
    pub loaded_at: chrono::DateTime<chrono::Utc>,
    /// The version that it came with; none where the log no longer tells.
    pub version: Option<u64>,
    /// The batch of its file; none of a replay.
    pub batch: Option<u32>,
    /// Whether it came out of the quarantine.
    pub is_replayed: bool,
    pub row: Row,
    /// The record as it stands in its file, what is not plain text escaped.
    pub record: Option<String>,
}

/// The rows of one use case that another one's rows were made of.
#[derive(Debug, Clone, Serialize)]
pub struct InputRows {
    pub table: String,
    pub of: String,
    pub count: u64,
    pub is_loose: bool,
    pub rows: Vec<Row>,
}

/// One input of a view.
#[derive(Debug, Clone, Serialize)]
pub struct Computed {
    pub view: String,
    pub from: String,
    /// The newest version of the input that the view has taken in.
    pub version: u64,
    /// Of the input, at that version.
    pub rows: u64,
}

/// A row that Cassandra has, or should not have any more.
#[derive(Debug, Clone, Serialize)]
pub struct ServedRow {
    pub table: String,
    pub key: Row,
    /// With `writetime(NAME)` in microseconds for each column outside the key; none where there is no such row.
    pub row: Option<Row>,
}

#[derive(Debug, Clone, Serialize)]
pub struct LookedAt {
    pub what: String,
    #[serde(flatten)]
    pub looked: Looked,
}

/// Finds and prints.
pub async fn run(arguments: WhyArgs) -> ExitCode {
    let answered = async {
        let opened = Opened::new(&arguments.run).await?;
        let asked =
            Asked { key: &arguments.key, table: arguments.table.as_deref(), bytes: arguments.bytes, limit: arguments.limit };
        let settings = (opened.has_cassandra() && !arguments.offline).then(|| opened.cassandra_settings()).transpose()?;
        let answer = why(&opened.context, &asked, settings.as_ref()).await?;
        match arguments.run.talk.output {
            Output::Table => print!("{}", print::text(&answer)),
            Output::Json => println!("{}", serde_json::to_string_pretty(&answer).expect("an answer is plain data")),
        }
        Ok::<_, Error>(ExitCode::SUCCESS)
    };
    commands::exit(Box::pin(answered).await)
}
