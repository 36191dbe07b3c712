//! The texts of a pipeline's folder: `pipeline.toml` with a comment for each proposal, and the SQL files.

use std::collections::BTreeMap;
use std::fmt::Write;

use model::definition::{Csv, Header, TextEncoding};

use super::infer::Proposal;
use super::sniff::Found;
use super::tables::Table;

/// Everything that is written into a definition.
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) source: String,
    pub(super) url: String,
    /// What was looked at, for the reader.
    pub(super) from: String,
    pub(super) tables: Vec<Table>,
    pub(super) left_out: Vec<(String, String)>,
    /// How the result fits the sample.
    pub(super) proof: String,
}

/// How a commented part is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cassandra {
    Commented,
    /// As if the reader had taken the signs away: to see that it is right.
    Active,
}

/// The files of the folder by name.
pub(super) fn files(plan: &Plan, cassandra: Cassandra) -> BTreeMap<String, String> {
    let mut files = BTreeMap::from([("pipeline.toml".to_owned(), toml(plan, cassandra))]);
    for use_case in plan.tables.iter().filter_map(|table| table.use_case.as_ref()) {
        files.insert(format!("{}.sql", use_case.name), use_case.sql.clone());
        files.insert(format!("{}.sql", use_case.cassandra), use_case.cassandra_sql.clone());
    }
    files
}

fn toml(plan: &Plan, cassandra: Cassandra) -> String {
    let mut text = String::new();
    comment(&mut text, &format!("Proposed by `sluice init` from {}.", plan.from));
    comment(&mut text, "Behind each proposal stands how sure it is and why. A line that begins with `or` is another choice.");
    comment(&mut text, &plan.proof);
    comment(&mut text, "Every key: docs/definition.md.");
    let _ = write!(text, "\n[pipeline]\nname = {}\n\n[source.{}]\n", quoted(&plan.name), plan.source);
    let _ = writeln!(text, "url = {}", quoted(&plan.url.replace('$', "$$")));
    comment(
        &mut text,
        "or several files: a list; a path with *; or ${date} in the url and `dates = { from = \"2024-01-01\", to = \"yesterday\" }`",
    );
    for (entry, why) in &plan.left_out {
        comment(&mut text, &format!("left out: {entry}: {why}"));
    }
    for table in &plan.tables {
        landing(&mut text, plan, table);
        raw(&mut text, table);
        use_case(&mut text, table, cassandra);
    }
    text
}

fn landing(text: &mut String, plan: &Plan, table: &Table) {
    let _ = write!(
        text,
        "\n# --- {} {}\n\n[landing.{}]\n",
        table.name,
        "-".repeat(100_usize.saturating_sub(table.name.len())),
        table.name
    );
    if plan.source != table.name {
        let _ = writeln!(text, "source = {}", quoted(&plan.source));
    }
    let format = match &table.found {
        Found::Csv(_) => "csv",
        Found::Parquet => "parquet",
        Found::JsonLines | Found::Other(_) => "json_lines",
    };
    let _ = writeln!(text, "format = \"{format}\"");
    if let Some(entries) = table.entries.as_ref().filter(|entries| *entries != "*") {
        let _ = writeln!(text, "entries = {}", quoted(entries));
    }
    if let Found::Csv(found) = &table.found {
        dialect(text, &found.csv, &table.null_words);
    }
    for note in &table.notes {
        comment(text, note);
    }
}

fn dialect(text: &mut String, csv: &Csv, null_words: &[String]) {
    let sign = |sign: u8| quoted(&char::from(sign).to_string());
    let _ = writeln!(text, "delimiter = {}", sign(csv.delimiter));
    if csv.quote != Some(b'"') {
        let _ = writeln!(text, "quote = {}", csv.quote.map_or_else(|| "\"\"".to_owned(), sign));
    }
    if let Some(escape) = csv.escape {
        let _ = writeln!(text, "escape = {}", sign(escape));
    }
    if csv.header == Header::Numbers {
        text.push_str(
            "header = false                 # or the names: header = [\"id\", ...]; columns then have them as `field`\n",
        );
    }
    match csv.encoding {
        TextEncoding::Utf8 => {}
        TextEncoding::Latin1 => text.push_str("encoding = \"iso-8859-1\"\n"),
        TextEncoding::Windows1252 => text.push_str("encoding = \"windows-1252\"\n"),
        TextEncoding::Utf16 => text.push_str("encoding = \"utf-16\"\n"),
    }
    if !null_words.is_empty() {
        let words: Vec<String> = null_words.iter().map(|word| quoted(word)).collect();
        let _ = writeln!(text, "null_values = [\"\", {}]", words.join(", "));
        comment(text, "guess: without these words, columns that have them are numbers or times; no column of text has them");
    }
}

fn raw(text: &mut String, table: &Table) {
    let _ = write!(text, "\n# Columns: from {}.\n[raw.{}]\nfrom = {}\n", table.scope, table.name, quoted(&table.name));
    match &table.event_time {
        Some(time) => {
            let local = table.column(time).is_some_and(|column| column.facts.is_local);
            let zone = if local { ", in UTC unless its line says a zone" } else { "" };
            let _ = writeln!(text, "event_time = {}", quoted(time));
            comment(text, &format!("guess, by its name: when the event happened{zone}"));
        }
        None => comment(text, "event_time: no column of times that all have a value, none of them in the future"),
    }
    match &table.partition {
        Some(partition) => {
            let _ = writeln!(text, "partition_by = {}", quoted(&partition.column));
            comment(text, "one commit a date; `retention = \"365 days\"` would let go of older ones");
        }
        None => comment(text, "partition_by: no date that each record has"),
    }
    match &table.key {
        Some(key) => {
            let columns: Vec<String> = key.columns.iter().map(|column| quoted(column)).collect();
            let _ = writeln!(text, "{}unique_key = [{}]", if key.is_active { "" } else { "# " }, columns.join(", "));
            comment(text, &format!("{}; with a key, rows that are equal in every column are one row", key.why));
        }
        None => comment(text, "unique_key: none was found; equal rows are all kept"),
    }
    comment(text, "on_change = \"replace\", if each new file is a whole new snapshot; as it is, a new file brings more records");
    let _ = write!(text, "\n[raw.{}.columns]\n", table.name);
    let width = table.columns.iter().map(|column| column.name.len()).max().unwrap_or(0).max(10);
    for column in &table.columns {
        let line = format!("{:width$} = {}", column.name, column_value(column));
        let _ = writeln!(text, "{line:<72} # {}", on_one_line(&column.why));
        for choice in &column.choices {
            comment(text, &format!("or {choice}"));
        }
    }
    if let Some(partition) = &table.partition
        && let Some(time) = &partition.of
    {
        let sql = quoted(&format!("cast({} as date)", sql_name(time)));
        let line = format!("{:width$} = {{ type = \"date\", sql = {sql} }}", partition.column);
        let _ = writeln!(text, "{line:<72} # computed: the day of {time}, in UTC");
    }
}

fn column_value(column: &Proposal) -> String {
    let mut value = format!("{{ type = \"{}\"", column.data_type.text());
    if let Some(field) = &column.field {
        let _ = write!(value, ", field = {}", quoted(field));
    }
    if let Some(format) = &column.format {
        let _ = write!(value, ", format = {}", quoted(format));
    }
    if column.nullable {
        value.push_str(", nullable = true");
    }
    value.push_str(" }");
    value
}

fn use_case(text: &mut String, table: &Table, cassandra: Cassandra) {
    let Some(use_case) = &table.use_case else {
        text.push('\n');
        comment(text, "No use-case table: no column was seen that groups the records. docs/recipes.md has some.");
        return;
    };
    let name = &use_case.name;
    let _ = write!(text, "\n# One row per {}: {}.\n", use_case.key, on_one_line(&use_case.why));
    let _ = write!(
        text,
        "[use_case.{name}]\nfrom = {}\nsql = \"{name}.sql\"\nkey = [{}]\n",
        quoted(&table.name),
        quoted(&use_case.key)
    );
    let _ = write!(text, "\n[use_case.{name}.columns]\n");
    let width = use_case.folds.iter().map(|(column, _)| column.len()).max().unwrap_or(0);
    for (column, fold) in &use_case.folds {
        let _ = writeln!(text, "{column:width$} = {fold}");
    }
    let sign = if cassandra == Cassandra::Active { "" } else { "# " };
    text.push('\n');
    comment(text, "In Cassandra, to be asked by key. Take the signs away, and start one with `sluice node up`.");
    for line in [
        format!("[cassandra.{}]", use_case.cassandra),
        format!("from = \"use_case.{name}\""),
        format!("sql = \"{}.sql\"", use_case.cassandra),
        format!("partition_key = [{}]", quoted(&use_case.key)),
    ] {
        let _ = writeln!(text, "{sign}{line}");
    }
}

fn comment(text: &mut String, line: &str) {
    let _ = writeln!(text, "# {}", on_one_line(line));
}

/// Values of the data may stand in comments.
fn on_one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// A TOML string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text has a JSON form").replace('\u{7f}', "\\u007f")
}

/// Words that mean something else in SQL.
const SQL_WORDS: [&str; 62] = [
    "all",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "between",
    "both",
    "by",
    "case",
    "cast",
    "check",
    "column",
    "create",
    "cross",
    "current",
    "date",
    "default",
    "delete",
    "desc",
    "describe",
    "distinct",
    "drop",
    "else",
    "end",
    "exists",
    "false",
    "fetch",
    "for",
    "from",
    "full",
    "group",
    "having",
    "in",
    "inner",
    "insert",
    "interval",
    "into",
    "is",
    "join",
    "left",
    "like",
    "limit",
    "natural",
    "not",
    "null",
    "offset",
    "on",
    "or",
    "order",
    "outer",
    "right",
    "select",
    "set",
    "table",
    "then",
    "time",
    "timestamp",
    "to",
    "true",
    "union",
];
const MORE_SQL_WORDS: [&str; 9] = ["unique", "update", "user", "using", "values", "when", "where", "window", "with"];

/// A name as SQL has it.
pub(super) fn sql_name(name: &str) -> String {
    if SQL_WORDS.contains(&name) || MORE_SQL_WORDS.contains(&name) { format!("\"{name}\"") } else { name.to_owned() }
}
