//! Everything that is left when a step has ended, as text that two trials can be compared by.
//!
//! Read by other means than those that wrote it: Delta tables by deltalake's own provider, their logs as the JSON that they are,
//! files of change feeds and tombstones as Parquet, Cassandra by plain CQL.
//!
//! Left out, because two runs differ in it without being different:
//! - names of data files, their sizes and row groups, and a commit's checksum, which is over them: random, and rows of one commit
//!   may be cut into files in another way;
//! - ids of tables and of commits, and times by the machine's clock in logs (`commitInfo.timestamp`, `modificationTime`,
//!   `lastUpdated`): they are random or not under the test's clock. Where an id is referred to, its table's name stands for it;
//! - commits that only repeat what the one before them said (see [`super::log`]), and the numbers of versions that follow from them;
//! - where in the log or the ledger a commit is, and log checkpoints: after a kill, a maintenance that is given again finds the
//!   checkpoint that the first one wrote. What they hold is read through the table itself;
//! - data files that no commit names: a killed writer leaves them, and maintenance removes them. After a maintenance
//!   ([`Look::Files`]) each file is counted;
//! - the contents of key directories, which are derived and may be cut otherwise. That they are right shows in every merge
//!   after the kill;
//! - of write times in Cassandra what [`Times`] says, for the steps that say so, what another writer's clock said, and how many
//!   commits without rows a checkpoint has passed;
//! - `_sluice/.../hold/` and `.lock`: they name processes, and count them;
//! - `_sluice/.../runs/`: a run that was killed and the one after it are two.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use scylla::client::session::Session;
use serde_json::Value;

use super::PATIENCE;
use super::log::{Log, Numbers, number};
use super::scenario::{Look, STEPS, Times, WITHOUT_HISTORY, place_of};
use crate::kit::{lake_sql, try_rows};

/// What the machine's clock may say, in microseconds: from 2025 to 2099. Rows that another writer's commit moved have its time.
const MACHINE: std::ops::Range<i64> = 1_735_689_600_000_000..4_070_908_800_000_000;
const CHECKPOINTS: &str = "sluice_checkpoints";

/// Sections of lines by name: `raw/visits: rows`, `raw/visits: log`, `cassandra: days_by_product`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State(BTreeMap<String, Vec<String>>);

/// Where a trial takes place.
pub(super) struct Places<'p> {
    pub lake: &'p Path,
    pub archive: &'p Path,
    pub pipeline: &'p str,
    pub session: &'p Session,
    pub keyspace: &'p str,
}

impl State {
    /// Reads the lake, the archive and the keyspace of a trial.
    pub(super) async fn read(places: &Places<'_>, look: Look) -> Self {
        let Places { lake, archive, pipeline, session, keyspace } = *places;
        let mut state = Self::default();
        let mut names = HashMap::from([(archive.display().to_string(), "<archive>".to_owned())]);
        let tables = tables(lake, pipeline);
        let (mut logs, mut numbers): (Vec<Log>, Numbers) = (Vec::new(), Numbers::new());
        // In their order by name, raw tables come before what was merged from them.
        for (name, folder) in &tables {
            let log = Log::read(folder, &numbers);
            numbers.insert(name.clone(), log.numbers().clone());
            logs.push(log);
        }
        for ((name, folder), log) in tables.iter().zip(&logs) {
            names.insert(log.id.clone(), format!("<{name}>"));
            state.0.insert(format!("{name}: log"), log.lines(name, &numbers));
            state.0.insert(format!("{name}: changes"), log.changes(folder));
            state.0.insert(format!("{name}: tombstones"), log.tombstones(folder));
            if look == Look::Files {
                state.0.insert(format!("{name}: files"), files(folder, log));
            }
            let short = name.rsplit('/').next().expect("a name has a last part");
            let mut found = lake_sql::rows(lake, pipeline, &format!("SELECT * FROM {short}")).await;
            found.sort();
            state.0.insert(format!("{name}: rows"), found);
        }
        state.0.insert("landing".to_owned(), landed(&lake.join("landing").join(pipeline)));
        state.0.insert("state folder".to_owned(), kept(&lake.join("_sluice").join(pipeline)));
        state.0.insert("archive".to_owned(), archived(archive));
        for table in cassandra_tables(session, keyspace).await {
            let id = format!("SELECT id FROM system_schema.tables WHERE keyspace_name = '{keyspace}' AND table_name = '{table}'");
            names.extend(rows(session, &id).await.into_iter().map(|id| (id, format!("<cassandra {table}>"))));
            let mut found = cassandra_rows(session, keyspace, &table).await;
            if table == CHECKPOINTS {
                let origin = |id: &str| names.get(id).map(|name| name.trim_matches(['<', '>']).to_owned());
                for row in &mut found {
                    row.number_position(&numbers, &origin);
                }
            }
            state.0.insert(format!("cassandra: {table}"), shown(&table, found));
        }
        for lines in state.0.values_mut() {
            for line in lines.iter_mut() {
                for (id, name) in &names {
                    *line = line.replace(id, name);
                }
            }
        }
        state
    }

    /// How `other` differs, a line a difference; empty where it does not.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let nothing = Vec::new();
        let sections: std::collections::BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        let mut differences = Vec::new();
        for section in sections {
            let (expected, found) = (self.0.get(section).unwrap_or(&nothing), other.0.get(section).unwrap_or(&nothing));
            let mut left: Vec<&String> = found.iter().collect();
            for line in expected {
                match left.iter().position(|other| *other == line) {
                    Some(at) => drop(left.remove(at)),
                    None => differences.push(format!("{section}: missing {line}")),
                }
            }
            differences.extend(left.into_iter().map(|line| format!("{section}: too much {line}")));
        }
        differences
    }

    /// The number of lines that were compared.
    pub fn lines(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }
}

/// The Delta tables of a pipeline by `zone/name`.
pub(super) fn tables(lake: &Path, pipeline: &str) -> Vec<(String, PathBuf)> {
    let mut tables = Vec::new();
    for zone in ["raw", "use_case"] {
        for entry in std::fs::read_dir(lake.join(zone).join(pipeline)).into_iter().flatten().flatten() {
            tables.push((format!("{zone}/{}", entry.file_name().to_string_lossy()), entry.path()));
        }
    }
    tables.push(("quarantine".to_owned(), lake.join("quarantine").join(pipeline)));
    tables.retain(|(_, folder)| folder.join("_delta_log").is_dir());
    tables.sort();
    tables
}

pub(super) fn parquet_rows(file: &Path) -> Vec<String> {
    let opened = std::fs::File::open(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let reader = ParquetRecordBatchReaderBuilder::try_new(opened).and_then(ParquetRecordBatchReaderBuilder::build);
    let reader = reader.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    reader.flat_map(|batch| text_rows(&batch.expect("a Parquet file of the lake can be read"))).collect()
}

fn text_rows(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("null");
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options).expect("every type can be shown"))
        .collect();
    let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join(" | ");
    (0..batch.num_rows()).map(row).collect()
}

/// All files of the landing zone; receipts, notes and plans with what they say.
fn landed(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    walk(folder, &mut |path| {
        let name = path.strip_prefix(folder).expect("below the folder").display().to_string();
        if path.extension().is_some_and(|ending| ending == "lock") {
            return;
        }
        let bytes = std::fs::read(path).expect("a landed file can be read");
        let said = match serde_json::from_slice::<Value>(&bytes) {
            Ok(json) if path.extension().is_some_and(|ending| ending == "json") => json.to_string(),
            _ => crate::digest::sha256(&bytes),
        };
        lines.push(format!("{name} {said}"));
    });
    lines.sort();
    lines
}

/// The files of the state folder, without those of key directories that may have other names.
fn kept(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    walk(folder, &mut |path| {
        let name = path.strip_prefix(folder).expect("below the folder").display().to_string();
        let is_run = name.starts_with("keys/") && path.extension().is_some_and(|ending| ending == "run");
        if !is_run && !name.starts_with("hold/") && !name.starts_with("runs/") {
            lines.push(name);
        }
    });
    lines.sort();
    lines
}

fn walk(folder: &Path, see: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { walk(&path, see) } else { see(&path) }
    }
}

/// The rows of a query; asked again where a busy node answers too late.
async fn rows(session: &Session, query: &str) -> Vec<String> {
    let begun = Instant::now();
    loop {
        match try_rows(session, query).await {
            Ok(rows) => return rows,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{query}: {error}"),
        }
    }
}

/// The tables of a keyspace.
pub(super) async fn cassandra_tables(session: &Session, keyspace: &str) -> Vec<String> {
    rows(session, &format!("SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{keyspace}'")).await
}

/// A row of Cassandra, with the write time of each value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    values: Vec<(String, String)>,
    times: Vec<Option<i64>>,
}

impl Row {
    /// A checkpoint's position, in the versions of its origin that count.
    fn number_position(&mut self, numbers: &Numbers, origin: &dyn Fn(&str) -> Option<String>) {
        let value = |name| self.values.iter().find(|(column, _)| column == name).map(|(_, value)| value.clone());
        let Some(origin) = value("source_id").and_then(|id| origin(&id)) else { return };
        for (column, value) in &mut self.values {
            if column == "position" {
                *value = value.parse().map_or(value.clone(), |version| number(numbers, &origin, version).to_string());
            }
        }
    }
}

async fn cassandra_rows(session: &Session, keyspace: &str, table: &str) -> Vec<Row> {
    let query = format!(
        "SELECT column_name, kind FROM system_schema.columns WHERE keyspace_name = '{keyspace}' AND table_name = '{table}'"
    );
    let columns: Vec<(String, bool)> = rows(session, &query)
        .await
        .iter()
        .map(|column| column.split_once(" | ").map(|(name, kind)| (name.to_owned(), kind == "regular")).expect("two columns"))
        .collect();
    let regular = columns.iter().filter(|(_, is_regular)| *is_regular).map(|(name, _)| format!("writetime({name})"));
    let selected: Vec<String> = columns.iter().map(|(name, _)| name.clone()).chain(regular).collect();
    let found = rows(session, &format!("SELECT {} FROM {keyspace}.{table}", selected.join(", "))).await;
    let row = |text: &String| {
        let mut cells = text.split(" | ");
        let values = columns.iter().map(|(name, _)| (name.clone(), cells.next().expect("all that was selected").to_owned()));
        Row { values: values.collect(), times: cells.map(|time| time.parse().ok()).collect() }
    };
    found.iter().map(row).collect()
}

/// Rows as text. A write time is told by the step that made it, where [`Times`] says that it may differ.
fn shown(table: &str, mut found: Vec<Row>) -> Vec<String> {
    let of_table: BTreeSet<i64> = found.iter().flat_map(|row| row.times.iter().copied().flatten()).collect();
    let shown = |time: i64| {
        let (step, times, written) = told(time);
        match times {
            // Commits without rows move a checkpoint's time on, and after a kill there may be more of them.
            _ if table == CHECKPOINTS && step > Some(place_of(WITHOUT_HISTORY)) => name(step).to_owned(),
            Times::Exact => time.to_string(),
            Times::OfStep => name(step).to_owned(),
            Times::Shared => format!("{}, time {}", name(step), of_table.range(written.start..=time).count()),
        }
    };
    found.sort();
    let line = |row: &Row| {
        let of_time = |name: &str, value: &str| if name == "write_time" { value.parse().ok() } else { None };
        let values = row.values.iter().map(|(name, value)| of_time(name, value).map_or_else(|| value.clone(), shown));
        let times = row.times.iter().map(|time| time.map_or_else(|| "none".to_owned(), shown));
        values.chain(times).collect::<Vec<_>>().join(" | ")
    };
    found.iter().map(line).collect()
}

fn name(step: Option<usize>) -> &'static str {
    step.map_or("another writer", |step| STEPS[step].name)
}

/// The step that wrote at a time, as far as write times follow its clock, and which times it may have written at.
fn told(time: i64) -> (Option<usize>, Times, std::ops::Range<i64>) {
    let of_step = |step: usize| STEPS[step].micros()..STEPS[step].micros() + 1_000_000;
    match (0..STEPS.len()).find(|step| of_step(*step).contains(&time)) {
        Some(step) => (Some(step), STEPS[step].times, of_step(step)),
        None if MACHINE.contains(&time) => (None, Times::OfStep, 0..0),
        None => (None, Times::Exact, 0..0),
    }
}

/// How many files of each kind a table's folder has, and those that nothing names by name.
fn files(folder: &Path, log: &Log) -> Vec<String> {
    let live = log.live();
    let tombstones = log.tombstone_files();
    let mut lines = Vec::new();
    walk(folder, &mut |path| {
        let name = path.strip_prefix(folder).expect("below the folder").display().to_string();
        let parent = path.parent().and_then(|parent| parent.strip_prefix(folder).ok()).map(|parent| parent.display().to_string());
        let parent = parent.unwrap_or_default();
        if name.starts_with("_delta_log/") || name.starts_with("_ledger/") {
            let is_part = path.extension().is_some_and(|extension| extension == "part");
            if is_part || name.contains(".tmp") {
                lines.push(format!("left over: {parent}"));
            }
        } else if live.contains(&name.replace("%20", " ")) || live.contains(&name) {
            lines.push(format!("live: {parent}"));
        } else if tombstones.contains(&name) {
            lines.push(format!("tombstones: {parent}"));
        } else {
            lines.push(format!("other: {parent}"));
        }
    });
    lines.sort();
    lines
}

/// The rows of archived dates by their folders, and files that are none.
fn archived(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    walk(folder, &mut |path| {
        let parent = path.parent().and_then(|parent| parent.strip_prefix(folder).ok()).map(|parent| parent.display().to_string());
        let parent = parent.unwrap_or_default();
        if path.extension().is_some_and(|ending| ending == "parquet") {
            lines.extend(parquet_rows(path).into_iter().map(|row| format!("{parent} {row}")));
        } else {
            lines.push(path.display().to_string());
        }
    });
    lines.sort();
    lines
}
