//! `sluice history`: what happened to the tables, run by run, from their own logs.
//!
//! Commits that name the same run belong together, in whatever tables they are; a commit of another writer stands for itself.
//! Newest first; what the logs no longer hold is said, and nothing is guessed. Reads logs only, and takes no lock.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use model::counts::Counts;
use model::definition::Origin;
use serde::Serialize;
use zones::delta::{ChangedRows, Table};
use zones::ledger::{Ledger, LedgerBatch, Standing};
use zones::quarantine;

use super::names::{Named, find};
use crate::commands;
use crate::context::Context;
use crate::error::Error;
use crate::opened::Opened;
use crate::settings::{Output, RunArgs};
use crate::stages::open_table;

const QUARANTINE: &str = "quarantine";

#[derive(Debug, Args)]
pub struct HistoryArgs {
    #[command(flatten)]
    pub run: RunArgs,

    /// raw.NAME, use_case.NAME, quarantine, or a name that only one table has [default: all of them]
    pub table: Option<String>,

    /// How many runs; 0 for all
    #[arg(long, default_value_t = 20, value_name = "RUNS")]
    pub limit: usize,
}

/// The runs, newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct History {
    pub pipeline: String,
    pub runs: Vec<Run>,
    /// By table, the oldest version that its log still holds, where that is not its first.
    pub log_begins: BTreeMap<String, u64>,
}

/// The commits of one run, or one of another writer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// When the run began, by its clock; of another writer's commit, when it was made.
    pub at: Option<String>,
    /// From its beginning to its last commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    pub writer: Option<String>,
    pub batches: Vec<Batch>,
    #[serde(skip)]
    id: Option<i64>,
}

/// One commit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Batch {
    pub table: String,
    pub version: u64,
    pub committed_at: Option<String>,
    /// What it did: `load`, `merge`, `view`, `rebuild`, `restore`, `rejects`, `replay`, ..., or the operation as its writer named it.
    pub kind: String,
    /// What it read: a receipt, versions, dates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inserted: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<u64>,
    pub files_added: u64,
    pub bytes_added: u64,
    pub files_removed: u64,
    pub bytes_removed: u64,
    pub changes_data: bool,
    /// `counts`, `taken_back` by a restore since, or `superseded` by a rebuild since.
    pub standing: &'static str,
}

pub async fn run(arguments: HistoryArgs) -> ExitCode {
    let shown = async {
        let opened = Opened::new(&arguments.run).await?;
        let history = history(&opened.context, arguments.table.as_deref(), arguments.limit).await?;
        let text = match arguments.run.talk.output {
            Output::Table => text(&history, arguments.table.is_some()),
            Output::Json => serde_json::to_string_pretty(&history).expect("a history is plain data"),
        };
        Ok::<_, Error>(commands::print(format!("{text}\n").as_bytes()))
    };
    commands::exit(Box::pin(shown).await)
}

/// The newest `limit` runs (0: all) of all tables, or of one.
pub async fn history(context: &Context, table: Option<&str>, limit: usize) -> Result<History, Error> {
    let mut logs = logs(context, table).await?;
    let mut heads = Vec::new();
    for (_, ledger) in &mut logs {
        heads.push(ledger.older().await?);
    }
    let mut runs: Vec<Run> = Vec::new();
    // The newest commit of all tables next: runs hold the lake, so they follow one another.
    while let Some(newest) = newest(&heads) {
        context.shutdown.check()?;
        let (name, ledger) = &mut logs[newest];
        let batch = std::mem::replace(&mut heads[newest], ledger.older().await?).expect("the newest is there");
        let id = batch.note.as_ref().and_then(|note| note.run);
        let known = id.and_then(|id| runs.iter().position(|run| run.id == Some(id)));
        if let Some(known) = known {
            runs[known].batches.push(told(name, &batch));
            continue;
        }
        if limit > 0 && runs.len() == limit {
            break;
        }
        let seconds = id.zip(batch.committed_at).map(|(begun, last)| (last - begun).max(0)).map(seconds);
        let at = id.or(batch.committed_at).and_then(instant);
        runs.push(Run { at, seconds, writer: batch.writer.clone(), batches: vec![told(name, &batch)], id });
    }
    let begins = logs.iter().filter_map(|(name, ledger)| Some((name.clone(), ledger.horizon()?.0)));
    Ok(History { pipeline: context.pipeline.name.clone(), runs, log_begins: begins.collect() })
}

/// The tables that are there, or the one that is named.
async fn logs(context: &Context, table: Option<&str>) -> Result<Vec<(String, Ledger)>, Error> {
    let of = |name: String, table: &Table| (name, Ledger::of(table));
    let mut logs = Vec::new();
    let origins: Vec<Origin> = match table {
        Some(QUARANTINE) => Vec::new(),
        Some(name) => match find(&context.pipeline, name)? {
            Named::Lake(origin) => vec![origin],
            Named::Cassandra(name) => {
                let hint = "look at the table that it is filled from".to_owned();
                let problem = "a Cassandra table has no log".to_owned();
                return Err(Error::Semantics { place: format!("cassandra.{name}"), problem, hint: Some(hint) });
            }
        },
        None => {
            let raw = context.pipeline.raw.iter().map(|table| Origin::Raw(table.name.clone()));
            raw.chain(context.pipeline.use_cases.iter().map(|table| Origin::UseCase(table.name.clone()))).collect()
        }
    };
    for origin in origins {
        match open_table(context, &origin).await {
            Err(Error::Lake(zones::Error::NoTable { .. })) if table.is_none() => {}
            opened => logs.push(of(origin.to_string(), &opened?)),
        }
    }
    if table.is_none_or(|name| name == QUARANTINE) {
        match quarantine::open(&context.lake).await {
            Err(zones::Error::NoTable { .. }) if table.is_none() => {}
            opened => logs.push(of(QUARANTINE.to_owned(), &opened?)),
        }
    }
    Ok(logs)
}

fn newest(heads: &[Option<LedgerBatch>]) -> Option<usize> {
    let time = |batch: &LedgerBatch| batch.committed_at.or(batch.write_time).unwrap_or(i64::MIN);
    let there = heads.iter().enumerate().filter_map(|(at, head)| head.as_ref().map(|batch| (at, time(batch))));
    there.max_by_key(|(_, time)| *time).map(|(at, _)| at)
}

fn told(table: &str, batch: &LedgerBatch) -> Batch {
    let (inserted, updated, deleted) = match batch.changed {
        Some(ChangedRows { inserted, updated, deleted }) if batch.changes_data => (Some(inserted), Some(updated), Some(deleted)),
        _ => (None, None, None),
    };
    let counts = batch.note.as_ref().map(|note| note.counts).filter(|counts| *counts != Counts::default());
    let (kind, of) = kind(table, batch);
    Batch {
        table: table.to_owned(),
        version: batch.version.0,
        committed_at: batch.committed_at.and_then(instant),
        kind,
        of,
        counts,
        inserted,
        updated,
        deleted,
        files_added: batch.added.files,
        bytes_added: batch.added.bytes,
        files_removed: batch.removed.files,
        bytes_removed: batch.removed.bytes,
        changes_data: batch.changes_data,
        standing: match batch.standing {
            Standing::Counts => "counts",
            Standing::TakenBack => "taken_back",
            Standing::Superseded => "superseded",
        },
    }
}

/// What a commit did, and of what.
fn kind(table: &str, batch: &LedgerBatch) -> (String, Option<String>) {
    let Some(note) = &batch.note else { return (batch.operation.to_lowercase(), None) };
    if let Some(restored) = note.restored {
        return ("restore".to_owned(), Some(format!("version {restored}")));
    }
    if let Some(span) = note.rebuilt {
        return ("rebuild".to_owned(), Some(span.to_string()));
    }
    if note.replayed.is_some() {
        return ("replay".to_owned(), note.receipt.map(|receipt| format!("receipt {receipt}")));
    }
    if let Some(receipt) = note.receipt {
        let kind = if table == QUARANTINE { "rejects" } else { "load" };
        let dates: Vec<&String> = note.by_date.keys().collect();
        let dates = match dates.as_slice() {
            [] => String::new(),
            [one] => format!(", {one}"),
            [first, .., last] => format!(", {first} to {last}"),
        };
        return (kind.to_owned(), Some(format!("receipt {receipt}{dates}")));
    }
    if let Some((first, last)) = note.versions {
        let versions = if first == last { format!("version {first}") } else { format!("versions {first} to {last}") };
        return ("merge".to_owned(), Some(format!("{versions} of {}", note.input)));
    }
    if !note.inputs.is_empty() {
        let inputs: Vec<String> = note.inputs.iter().map(|input| format!("{} {}", input.input, input.version)).collect();
        return ("view".to_owned(), Some(inputs.join(", ")));
    }
    (batch.operation.to_lowercase(), (!note.input.is_empty()).then(|| note.input.clone()))
}

fn instant(micros: i64) -> Option<String> {
    let instant: DateTime<Utc> = DateTime::from_timestamp_micros(micros)?;
    Some(instant.to_rfc3339_opts(SecondsFormat::Millis, true))
}

#[allow(clippy::cast_precision_loss, reason = "a duration to the microsecond")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// For people: of a run over all tables a line a table and kind, of one table a line a commit.
fn text(history: &History, each: bool) -> String {
    let mut lines = Vec::new();
    for run in &history.runs {
        let took = run.seconds.map(|seconds| format!(", {seconds:.1} s")).unwrap_or_default();
        let what = if run.id.is_some() { "run" } else { "commit" };
        let writer = run.writer.as_deref().unwrap_or("an unnamed writer");
        lines.push(format!("{}  {what} of {writer}{took}", run.at.as_deref().unwrap_or("at an unknown time")));
        let groups = if each { run.batches.iter().map(|batch| vec![batch]).collect() } else { grouped(&run.batches) };
        lines.extend(groups.iter().map(|batches| line(batches)));
    }
    if history.runs.is_empty() {
        lines.push(format!("nothing was done yet: `sluice run {}`", history.pipeline));
    }
    for (table, version) in &history.log_begins {
        lines.push(format!("the log of {table} begins at version {version}: what was before is not known"));
    }
    lines.join("\n")
}

/// Commits of one table and kind together, in the order of their first.
fn grouped(batches: &[Batch]) -> Vec<Vec<&Batch>> {
    let mut groups: Vec<Vec<&Batch>> = Vec::new();
    let mut seen: BTreeSet<(&str, &str, &str)> = BTreeSet::new();
    for batch in batches {
        let key = (batch.table.as_str(), batch.kind.as_str(), batch.standing);
        if seen.insert(key) {
            let same = |other: &&Batch| (other.table.as_str(), other.kind.as_str(), other.standing) == key;
            groups.push(batches.iter().filter(same).collect());
        }
    }
    groups
}

fn line(batches: &[&Batch]) -> String {
    let (last, first) = (batches[0], batches[batches.len() - 1]);
    let versions = match batches.len() {
        1 => format!("v{}", last.version),
        count => format!("v{} to v{}, {count} commits", first.version, last.version),
    };
    let mut parts = vec![format!("{} {} ({versions})", first.table, first.kind)];
    if let (1, Some(of)) = (batches.len(), &first.of) {
        parts.push(of.clone());
    }
    let counts: Counts = batches.iter().filter_map(|batch| batch.counts).sum();
    if counts != Counts::default() {
        let fates = [
            ("duplicate", counts.duplicate),
            ("rejected", counts.rejected),
            ("dropped", counts.dropped),
            ("sliced off", counts.sliced_off),
            ("too old", counts.too_old),
        ];
        let others = fates.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!(", {count} {name}"));
        parts.push(format!("{} read{}", counts.read, others.collect::<String>()));
    }
    let sum = |of: fn(&Batch) -> Option<u64>| batches.iter().filter_map(|batch| of(batch)).sum::<u64>();
    let rows = [("+", sum(|batch| batch.inserted)), ("~", sum(|batch| batch.updated)), ("-", sum(|batch| batch.deleted))];
    let rows: Vec<String> = rows.iter().filter(|(_, count)| *count > 0).map(|(sign, count)| format!("{sign}{count}")).collect();
    if !rows.is_empty() {
        parts.push(format!("rows {}", rows.join(" ")));
    }
    let files = |of: fn(&Batch) -> u64| batches.iter().map(|batch| of(batch)).sum::<u64>();
    let (added, removed) = (files(|batch| batch.files_added), files(|batch| batch.files_removed));
    if added + removed > 0 {
        let bytes = super::plan::size(files(|batch| batch.bytes_added));
        parts.push(format!("files +{added} -{removed}, {bytes}"));
    }
    match last.standing {
        "taken_back" => parts.push("taken back by a restore since".to_owned()),
        "superseded" => parts.push("superseded by a rebuild since".to_owned()),
        _ => {}
    }
    format!("  {}", parts.join("; "))
}
