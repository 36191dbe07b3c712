//! A table's log with what maintenance took out of it, as text that two trials can be compared by.
//!
//! Some commands commit once each time that they are given, though nothing is left to do: a rebuild or a restore that was killed
//! after its commit, the time of a filling or of a repair. So a commit that says just what the one before it said and changes
//! nothing is not counted, nor is one of a merge that read nothing but such commits and changes nothing; versions are numbered
//! without them, wherever one is named. No other commit is left out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::state::parquet_rows;

/// A table's commits.
pub(super) struct Log {
    pub(super) id: String,
    /// By version: its actions.
    commits: BTreeMap<u64, Vec<Value>>,
    /// The number that a version has without repetitions.
    numbers: BTreeMap<u64, u64>,
}

/// The versions of all tables by the names that inputs have.
pub(super) type Numbers = BTreeMap<String, BTreeMap<u64, u64>>;

impl Log {
    /// `inputs` are the numbers of the tables that this one may be merged from.
    pub(super) fn read(folder: &Path, inputs: &Numbers) -> Self {
        let mut commits = kept(&folder.join("_ledger"));
        for file in files(&folder.join("_delta_log"), ".json") {
            let name = file.file_stem().and_then(|name| name.to_str()).and_then(|name| name.parse::<u64>().ok());
            let text = std::fs::read_to_string(&file).expect("a commit can be read");
            let actions = text.lines().map(|line| serde_json::from_str(line).expect("a commit is JSON")).collect();
            commits.extend(name.map(|version| (version, actions)));
        }
        let mut ids = commits.values().flatten().filter_map(|action| action.pointer("/metaData/id")?.as_str());
        let id = ids.next_back().unwrap_or_default().to_owned();
        let mut log = Self { id, commits, numbers: BTreeMap::new() };
        let (mut next, mut before): (u64, Option<&Vec<Value>>) = (0, None);
        let mut numbers = BTreeMap::new();
        for (version, actions) in &log.commits {
            if !before.is_some_and(|before| repeats(actions, before) || has_read_nothing(actions, inputs)) {
                next += 1;
            }
            numbers.insert(*version, next - 1);
            before = Some(actions);
        }
        log.numbers = numbers;
        log
    }

    /// The newest version that was made at a clock or before it.
    pub(super) fn version_at(&self, micros: i64) -> Option<u64> {
        let is_of = |actions: &Vec<Value>| actions.iter().filter_map(note).any(|note| note["run"].as_i64() <= Some(micros));
        self.commits.iter().rev().find(|(_, actions)| is_of(actions)).map(|(version, _)| *version)
    }

    pub(super) fn newest(&self) -> Option<u64> {
        self.commits.keys().next_back().copied()
    }

    pub(super) fn numbers(&self) -> &BTreeMap<u64, u64> {
        &self.numbers
    }

    /// Commits that count, each with its number and how many before it do not.
    fn counted(&self) -> impl Iterator<Item = (u64, u64, &Vec<Value>)> {
        let mut seen = None;
        self.commits.iter().filter_map(move |(version, actions)| {
            let number = self.numbers[version];
            let is_first = seen != Some(number);
            seen = Some(number);
            is_first.then_some((number, version - number, actions))
        })
    }

    /// What each commit says of itself: operation, note, positions, rows that came and went by partition, schema.
    pub(super) fn lines(&self, table: &str, numbers: &Numbers) -> Vec<String> {
        let mut all = Vec::new();
        let lost = (0..self.newest().unwrap_or(0)).filter(|version| !self.commits.contains_key(version));
        all.extend(lost.map(|version| format!("version {version} is neither in the log nor in the ledger")));
        for (number, left_out, actions) in self.counted() {
            let line = |action: &Value| line(action, table, left_out, numbers);
            let mut lines: Vec<String> = actions.iter().filter_map(line).map(|line| format!("version {number} {line}")).collect();
            // Actions of one kind have no order; those of equal content are counted.
            lines.sort();
            all.extend(lines);
        }
        all
    }

    /// The rows of the change feed, version by version; files that maintenance removed are said to be gone.
    pub(super) fn changes(&self, folder: &Path) -> Vec<String> {
        let mut lines = Vec::new();
        for (number, _, actions) in self.counted() {
            for cdc in actions.iter().filter_map(|action| action.get("cdc")) {
                let file = folder.join(cdc["path"].as_str().expect("a change file has a path"));
                let rows = if file.exists() { parquet_rows(&file) } else { vec!["gone".to_owned()] };
                lines.extend(rows.into_iter().map(|row| format!("version {number} {} {row}", cdc["partitionValues"])));
            }
        }
        lines.sort();
        lines
    }

    /// What is kept of deleted rows as of the newest version.
    pub(super) fn tombstones(&self, folder: &Path) -> Vec<String> {
        let files = self.tombstone_files();
        let mut lines: Vec<String> = files.iter().flat_map(|file| parquet_rows(&folder.join(file))).collect();
        lines.sort();
        lines
    }

    pub(super) fn tombstone_files(&self) -> Vec<String> {
        let notes = self.commits.values().rev().flatten().filter_map(|action| note(action)?.get("tombstones"));
        let newest = notes.filter_map(Value::as_array).find(|files| !files.is_empty()).cloned().unwrap_or_default();
        newest.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
    }

    /// The data files of the newest version.
    pub(super) fn live(&self) -> Vec<String> {
        let mut live: Vec<String> = Vec::new();
        for action in self.commits.values().flatten() {
            if let Some(path) = action.pointer("/remove/path").and_then(Value::as_str) {
                live.retain(|other| other != path);
            }
            live.extend(action.pointer("/add/path").and_then(Value::as_str).map(ToOwned::to_owned));
        }
        live
    }
}

fn note(action: &Value) -> Option<&Value> {
    action.pointer("/commitInfo/sluice")
}

fn changes_nothing(actions: &[Value]) -> bool {
    actions.iter().all(|action| action.get("commitInfo").or_else(|| action.get("txn")).is_some())
}

/// Whether a commit of a merge changes nothing, and the versions that it read are not counted in their table.
fn has_read_nothing(actions: &[Value], inputs: &Numbers) -> bool {
    let read = actions.iter().find_map(note).and_then(|note| {
        let (input, versions) = (note["input"].as_str()?, note.get("versions")?.as_array()?);
        Some((input, versions.first()?.as_u64()?.checked_sub(1)?, versions.last()?.as_u64()?))
    });
    let is_uncounted = |(input, before, last)| number(inputs, input, before) == number(inputs, input, last);
    changes_nothing(actions) && read.is_some_and(is_uncounted)
}

/// Whether a commit changes nothing and says what the one before it said, and is one of those that are made anew after a kill.
fn repeats(actions: &[Value], before: &[Value]) -> bool {
    let said = |actions: &[Value]| {
        let mut note = actions.iter().find_map(note)?.clone();
        let content = note.as_object_mut()?;
        // When it was made, how many rows that changed, and the checksum over both.
        for other in ["write_time", "changed", "checksum"] {
            content.remove(other);
        }
        // Each time in files of other names; the rows in them are compared.
        if let Some(files) = content.get_mut("tombstones") {
            *files = json!(files.as_array().map(Vec::len));
        }
        let input = content.get("input")?.as_str()?;
        let is_told = input.starts_with("cassandra.") || input.starts_with("repair of cassandra.");
        let is_made_anew = is_told || content.contains_key("rebuilt") || content.contains_key("restored");
        is_made_anew.then_some(note)
    };
    changes_nothing(actions) && said(actions).is_some_and(|note| said(before) == Some(note))
}

/// An action without what two runs may differ in; `left_out` commits before it are not counted.
fn line(action: &Value, table: &str, left_out: u64, numbers: &Numbers) -> Option<String> {
    let (kind, content) = action.as_object()?.iter().next()?;
    let rows =
        |stats: &Value| -> Option<Value> { serde_json::from_str::<Value>(stats.as_str()?).ok()?.get("numRecords").cloned() };
    let shown = match kind.as_str() {
        "commitInfo" => json!([content["operation"], content.get("sluice").map(|note| said(note, table, numbers))]),
        "txn" => {
            let id = content["appId"].as_str().unwrap_or_default();
            let version = content["version"].as_u64().unwrap_or_default();
            let own = table.rsplit('/').next().unwrap_or_default();
            let input = id.rsplit_once('/').map_or(id, |(_, input)| input);
            let version = match input {
                "#fence" => version - left_out,
                input if own != input && !input.starts_with('#') => number(numbers, input, version),
                _ => version,
            };
            json!([id, version])
        }
        "add" => json!([content["partitionValues"], rows(&content["stats"]), content["dataChange"]]),
        "remove" => json!([content["partitionValues"], content["dataChange"]]),
        "cdc" => json!([content["partitionValues"]]),
        "metaData" => json!([content["schemaString"], content["partitionColumns"], sorted(&content["configuration"])]),
        // The ledger names what is not there as well.
        "protocol" => {
            let features = |name| {
                content.get(name).and_then(Value::as_array).map(|names| {
                    let mut names: Vec<String> = names.iter().map(ToString::to_string).collect();
                    names.sort();
                    names
                })
            };
            json!([
                content["minReaderVersion"],
                content["minWriterVersion"],
                features("readerFeatures"),
                features("writerFeatures")
            ])
        }
        _ => content.clone(),
    };
    Some(format!("{kind} {shown}"))
}

/// A note with the numbers of versions in their place.
fn said(note: &Value, table: &str, numbers: &Numbers) -> Value {
    let mut said = note.clone();
    let Some(content) = said.as_object_mut() else { return said };
    content.remove("checksum");
    for files in ["tombstones", "left_in_quarantine"] {
        if let Some(files) = content.get_mut(files) {
            *files = json!(files.as_array().map(Vec::len));
        }
    }
    let input = content.get("input").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(Value::Array(versions)) = content.get_mut("versions") {
        for version in versions {
            *version = json!(number(numbers, &input, version.as_u64().unwrap_or_default()));
        }
    }
    if let Some(restored) = content.get_mut("restored") {
        *restored = json!(number(numbers, table, restored.as_u64().unwrap_or_default()));
    }
    for read in content.get_mut("inputs").and_then(Value::as_array_mut).into_iter().flatten() {
        let version = read["version"].as_u64().unwrap_or_default();
        read["version"] = json!(number(numbers, read["input"].as_str().unwrap_or_default(), version));
    }
    said
}

/// The number of a version of a table, under any of its names: `raw/visits`, `raw.visits`, `visits`.
pub(super) fn number(numbers: &Numbers, table: &str, version: u64) -> u64 {
    let table = table.replace('.', "/");
    let named = numbers.iter().find(|(name, _)| **name == table || name.rsplit('/').next() == Some(&table));
    // The first version of those that are still to come stands behind the last one.
    let Some((_, of_table)) = named else { return version };
    of_table.get(&version).copied().unwrap_or_else(|| {
        of_table
            .last_key_value()
            .map_or(version, |(last, number)| if version > *last { number + (version - last) } else { version })
    })
}

fn sorted(configuration: &Value) -> BTreeMap<String, Value> {
    configuration.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Commits in a ledger.
fn kept(folder: &Path) -> BTreeMap<u64, Vec<Value>> {
    let mut commits = BTreeMap::new();
    for file in files(folder, ".jsonl.zst") {
        let packed = std::fs::read(file).expect("a ledger can be read");
        let text = zstd::decode_all(packed.as_slice()).expect("a ledger is packed");
        for line in String::from_utf8(text).expect("a ledger is text").lines() {
            let mut line: Value = serde_json::from_str(line).expect("a ledger is JSON");
            let Value::Array(actions) = line["actions"].take() else { panic!("a commit is a list of actions") };
            commits.insert(line["version"].as_u64().expect("a commit has a version"), actions);
        }
    }
    commits
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.to_str().is_some_and(|path| path.ends_with(ending))).collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(commits: &[&[Value]], inputs: &Numbers) -> Log {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("_delta_log");
        std::fs::create_dir_all(&log).unwrap();
        for (version, actions) in commits.iter().enumerate() {
            let text: Vec<String> = actions.iter().map(ToString::to_string).collect();
            std::fs::write(log.join(format!("{version:020}.json")), text.join("\n")).unwrap();
        }
        Log::read(folder.path(), inputs)
    }

    #[test]
    fn only_a_command_that_was_given_again_and_did_nothing_is_not_counted() {
        let info = |input: &str, rebuilt: bool, write_time: i64| {
            let mut note = json!({ "input": input, "write_time": write_time, "changed": { "inserted": write_time } });
            if rebuilt {
                note["rebuilt"] = json!({});
            }
            json!({ "commitInfo": { "operation": "WRITE", "sluice": note } })
        };
        let add = || json!({ "add": { "path": "a", "partitionValues": {}, "dataChange": true } });
        let numbers = |commits: &[&[Value]]| log(commits, &Numbers::new()).numbers().values().copied().collect::<Vec<_>>();
        assert_eq!(numbers(&[&[info("a", true, 1), add()], &[info("a", true, 2)], &[info("a", true, 3)]]), [0, 0, 0]);
        assert_eq!(numbers(&[&[info("cassandra.t", false, 1)], &[info("cassandra.t", false, 2)]]), [0, 0]);
        // What changes something, says something else, or is no such command counts.
        assert_eq!(numbers(&[&[info("a", true, 1), add()], &[info("a", true, 2), add()]]), [0, 1]);
        assert_eq!(numbers(&[&[info("cassandra.t", false, 1)], &[info("cassandra.u", false, 2)]]), [0, 1]);
        assert_eq!(numbers(&[&[info("landing", false, 1)], &[info("landing", false, 1)]]), [0, 1]);
    }

    #[test]
    fn a_merge_that_read_only_what_is_not_counted_is_not_counted() {
        let inputs = Numbers::from([("raw/visits".to_owned(), BTreeMap::from([(0, 0), (1, 1), (2, 1), (3, 2)]))]);
        let merge = |first: u64, last: u64| json!({ "commitInfo": { "operation": "MERGE", "sluice": { "input": "visits", "versions": [first, last] } } });
        let numbers = |second: &[Value]| log(&[&[merge(0, 1)], second], &inputs).numbers().values().copied().collect::<Vec<_>>();
        assert_eq!(numbers(&[merge(2, 2)]), [0, 0]);
        assert_eq!(numbers(&[merge(2, 3)]), [0, 1]);
        assert_eq!(numbers(&[merge(2, 2), json!({ "remove": { "path": "a" } })]), [0, 1]);
    }

    #[test]
    fn versions_are_numbered_wherever_a_table_is_named() {
        let numbers = Numbers::from([("raw/visits".to_owned(), BTreeMap::from([(0, 0), (1, 1), (2, 1), (3, 2)]))]);
        for name in ["raw/visits", "raw.visits", "visits"] {
            assert_eq!([2, 3, 4].map(|version| number(&numbers, name, version)), [1, 2, 3]);
        }
        assert_eq!(number(&numbers, "landing", 7), 7);
    }
}
