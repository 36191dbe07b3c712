//! Everything that is left when a run has ended, as text that two trials can be compared by.
//!
//! Read by other means than those that wrote it: Delta tables by deltalake's own provider, their logs as the JSON that they are,
//! files of change feeds and tombstones as Parquet, Cassandra by plain CQL.
//!
//! Left out, because two runs differ in it without being different:
//! - names of data files, their sizes and row groups, and a commit's checksum, which is over them: random, and rows of one commit
//!   may be cut into files in another way;
//! - ids of tables and of commits, and times by the machine's clock in logs (`commitInfo.timestamp`, `modificationTime`,
//!   `lastUpdated`): they are random or not under the test's clock. Where an id is referred to, its table's name stands for it;
//! - data files that no commit names: a killed writer leaves them, and maintenance removes them;
//! - the contents of key directories, which are derived and may be cut otherwise. That they are right shows in every merge
//!   after the kill;
//! - log checkpoints: what they hold is read through the table itself;
//! - `_sluice/.../hold/` and `.lock`: they name processes, and count them.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use scylla::client::session::Session;
use serde_json::{Value, json};

use crate::kit::{lake_sql, rows};

/// Sections of lines by name: `raw/visits: rows`, `raw/visits: log`, `cassandra: days_by_product`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State(BTreeMap<String, Vec<String>>);

impl State {
    /// Reads the lake and the keyspace of a trial.
    pub async fn read(lake: &Path, pipeline: &str, session: &Session, keyspace: &str) -> Self {
        let mut state = Self::default();
        let mut names = HashMap::new();
        for (name, folder) in tables(lake, pipeline) {
            let log = Log::read(&folder);
            names.insert(log.id.clone(), format!("<{name}>"));
            state.0.insert(format!("{name}: log"), log.lines());
            state.0.insert(format!("{name}: changes"), log.changes(&folder));
            state.0.insert(format!("{name}: tombstones"), log.tombstones(&folder));
            let short = name.rsplit('/').next().expect("a name has a last part");
            let mut found = lake_sql::rows(lake, pipeline, &format!("SELECT * FROM {short}")).await;
            found.sort();
            state.0.insert(format!("{name}: rows"), found);
        }
        state.0.insert("landing".to_owned(), landed(&lake.join("landing").join(pipeline)));
        state.0.insert("state folder".to_owned(), kept(&lake.join("_sluice").join(pipeline)));
        for table in cassandra_tables(session, keyspace).await {
            let id = format!("SELECT id FROM system_schema.tables WHERE keyspace_name = '{keyspace}' AND table_name = '{table}'");
            names.extend(rows(session, &id).await.into_iter().map(|id| (id, format!("<cassandra {table}>"))));
            let found = cassandra_rows(session, keyspace, &table).await;
            state.0.insert(format!("cassandra: {table}"), found);
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

/// A table's log.
struct Log {
    id: String,
    /// The actions of each version, in order.
    commits: Vec<Vec<Value>>,
}

impl Log {
    fn read(folder: &Path) -> Self {
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder.join("_delta_log"))
            .expect("a table has a log")
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        files.sort();
        let mut log = Self { id: String::new(), commits: Vec::new() };
        for file in files {
            let text = std::fs::read_to_string(file).expect("a commit can be read");
            let actions: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a commit is JSON")).collect();
            if let Some(id) = actions.iter().find_map(|action| action.pointer("/metaData/id")?.as_str()) {
                id.clone_into(&mut log.id);
            }
            log.commits.push(actions);
        }
        log
    }

    /// What each commit says of itself: operation, note, positions, rows that came and went by partition, schema.
    fn lines(&self) -> Vec<String> {
        let one = |(version, actions): (usize, &Vec<Value>)| {
            let mut lines: Vec<String> = actions.iter().filter_map(|action| line(version, action)).collect();
            // Actions of one kind have no order; those of equal content are counted.
            lines.sort();
            lines
        };
        self.commits.iter().enumerate().flat_map(one).collect()
    }

    /// The rows of the change feed, version by version.
    fn changes(&self, folder: &Path) -> Vec<String> {
        let mut lines = Vec::new();
        for (version, actions) in self.commits.iter().enumerate() {
            for cdc in actions.iter().filter_map(|action| action.get("cdc")) {
                let path = cdc["path"].as_str().expect("a change file has a path");
                let of_file = parquet_rows(&folder.join(path)).into_iter();
                lines.extend(of_file.map(|row| format!("version {version} {} {row}", cdc["partitionValues"])));
            }
        }
        lines.sort();
        lines
    }

    /// What is kept of deleted rows as of the newest version.
    fn tombstones(&self, folder: &Path) -> Vec<String> {
        let notes = self.commits.iter().rev().flatten().filter_map(|action| action.pointer("/commitInfo/sluice/tombstones"));
        let newest = notes.filter_map(Value::as_array).find(|files| !files.is_empty()).cloned().unwrap_or_default();
        let files = newest.iter().filter_map(Value::as_str).map(|file| folder.join(file));
        let mut lines: Vec<String> = files.flat_map(|file| parquet_rows(&file)).collect();
        lines.sort();
        lines
    }
}

/// An action without what two runs may differ in.
fn line(version: usize, action: &Value) -> Option<String> {
    let (kind, content) = action.as_object()?.iter().next()?;
    let rows =
        |stats: &Value| -> Option<Value> { serde_json::from_str::<Value>(stats.as_str()?).ok()?.get("numRecords").cloned() };
    let shown = match kind.as_str() {
        "commitInfo" => {
            let mut note = content.get("sluice").cloned().unwrap_or(Value::Null);
            if let Some(note) = note.as_object_mut() {
                note.remove("checksum");
            }
            for files in ["tombstones", "left_in_quarantine"] {
                if let Some(files) = note.get_mut(files) {
                    *files = json!(files.as_array().map(Vec::len));
                }
            }
            json!([content["operation"], note])
        }
        "txn" => json!([content["appId"], content["version"]]),
        "add" => json!([content["partitionValues"], rows(&content["stats"]), content["dataChange"]]),
        "remove" => json!([content["partitionValues"], content["dataChange"]]),
        "cdc" => json!([content["partitionValues"]]),
        "metaData" => json!([content["schemaString"], content["partitionColumns"], content["configuration"]]),
        _ => content.clone(),
    };
    Some(format!("version {version} {kind} {shown}"))
}

fn parquet_rows(file: &Path) -> Vec<String> {
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
        if !is_run && !name.starts_with("hold/") {
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

/// The tables of a keyspace.
pub(super) async fn cassandra_tables(session: &Session, keyspace: &str) -> Vec<String> {
    rows(session, &format!("SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{keyspace}'")).await
}

/// Rows with the write time of each value.
async fn cassandra_rows(session: &Session, keyspace: &str, table: &str) -> Vec<String> {
    let query = format!(
        "SELECT column_name, kind FROM system_schema.columns WHERE keyspace_name = '{keyspace}' AND table_name = '{table}'"
    );
    let mut selected = Vec::new();
    for column in rows(session, &query).await {
        let (name, kind) = column.split_once(" | ").expect("two columns");
        selected.push(name.to_owned());
        if kind == "regular" {
            selected.push(format!("writetime({name})"));
        }
    }
    let mut found = rows(session, &format!("SELECT {} FROM {keyspace}.{table}", selected.join(", "))).await;
    found.sort();
    found
}
