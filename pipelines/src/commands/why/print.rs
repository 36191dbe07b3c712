//! The history of a row for people.

use std::fmt::Write;

use serde_json::Value;

use super::gather::instant;
use super::{Computed, LookedAt, Row, ServedRow, Why};
use crate::report::grouped;

pub(super) fn text(why: &Why) -> String {
    let mut text = format!("{} {}: ", why.table, members(&why.key));
    match &why.row {
        Some(row) => writeln!(text, "{}", members(row)),
        None if why.table.starts_with("raw.") => writeln!(text, "{} rows", grouped(why.raw.iter().map(|raw| raw.count).sum())),
        None if why.changes.is_empty() => writeln!(text, "not there"),
        None => writeln!(text, "not there any more"),
    }
    .expect("a String takes any text");
    changes(why, &mut text);
    computed(why, &mut text);
    inputs(why, &mut text);
    raw(why, &mut text);
    rejects(why, &mut text);
    cassandra(why, &mut text);
    text.push('\n');
    let looked: Vec<String> = why.looked.iter().map(looked_at).collect();
    let _ = writeln!(text, "looked at: {}", looked.join("; "));
    for note in &why.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

fn changes(why: &Why, text: &mut String) {
    if !why.changes.is_empty() {
        text.push_str("\nchanges\n");
    }
    for change in &why.changes {
        let _ = writeln!(
            text,
            "  version {}, {}, {}: {}",
            change.version,
            instant(change.write_time),
            change.change,
            members(&change.row)
        );
    }
    if let Some(version) = why.known_since {
        let _ = writeln!(text, "  what was before version {version} is not in the log any more");
    }
}

fn computed(why: &Why, text: &mut String) {
    if !why.computed.is_empty() {
        text.push_str("\ncomputed\n");
    }
    for Computed { view, from, version, rows } in &why.computed {
        let _ = writeln!(text, "  {view} from {from} at version {version}, {} row{}", grouped(*rows), plural(*rows));
    }
}

fn inputs(why: &Why, text: &mut String) {
    for input in &why.inputs {
        let _ = writeln!(text, "\n{}", title(&input.table, Some(&input.of), input.count, input.is_loose));
        for row in &input.rows {
            let _ = writeln!(text, "  {}", members(row));
        }
    }
}

fn title(table: &str, of: Option<&String>, count: u64, is_loose: bool) -> String {
    let made = of.map_or_else(String::new, |of| format!(", of which {of} was made"));
    format!("{} row{} of {table}{made}{}", grouped(count), plural(count), loose(is_loose))
}

fn raw(why: &Why, text: &mut String) {
    for raw in &why.raw {
        let _ = writeln!(text, "\n{}", title(&raw.table, raw.of.as_ref(), raw.count, raw.is_loose));
        for row in &raw.rows {
            let _ = writeln!(text, "  {}", members(&row.row));
            let version = row
                .version
                .map_or("a version that the log no longer tells of".to_owned(), |version| format!("version {version}"));
            let batch = match (row.is_replayed, row.batch) {
                (true, _) => ", out of the quarantine".to_owned(),
                (false, Some(batch)) if batch < LAST_BATCH => format!(", batch {batch}"),
                (false, Some(_)) => ", the last batch".to_owned(),
                (false, None) => String::new(),
            };
            let _ = writeln!(text, "    {version}{batch}, loaded {}", instant(row.loaded_at.timestamp_micros()));
            let from = row.url.as_deref().unwrap_or("a landed file that is gone");
            let received =
                row.received_at.map_or_else(String::new, |at| format!(", received {}", instant(at.timestamp_micros())));
            let (receipt, entry, position) = (row.receipt, &row.entry, row.position);
            let _ = writeln!(text, "    {from}: receipt {receipt} of {}{received}, {entry} at {position}", row.source);
            if let Some(record) = &row.record {
                let _ = writeln!(text, "    {record}");
            }
        }
    }
}

/// The number that the last batch of a file carries.
const LAST_BATCH: u32 = (1 << 20) - 1;

fn rejects(why: &Why, text: &mut String) {
    if !why.rejects.is_empty() {
        text.push_str("\nset aside, with these values in the record\n");
    }
    for held in &why.rejects {
        let place = format!("{} receipt {}, {} at {}", held.table, held.receipt, held.entry, held.position);
        let _ = writeln!(text, "  {place}: {} ({})\n    {}", held.reason, held.detail, held.record);
    }
}

fn cassandra(why: &Why, text: &mut String) {
    if !why.cassandra.is_empty() {
        text.push_str("\nCassandra\n");
    }
    for ServedRow { table, key, row } in &why.cassandra {
        let Some(row) = row else {
            let _ = writeln!(text, "  {table} {}: no such row", members(key));
            continue;
        };
        let is_time = |name: &str| name.starts_with("writetime(");
        let values: Row =
            row.iter().filter(|(name, _)| !is_time(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
        let mut times: Vec<i64> = row.iter().filter(|(name, _)| is_time(name)).filter_map(|(_, value)| value.as_i64()).collect();
        times.sort_unstable();
        times.dedup();
        let written: Vec<String> = times.into_iter().map(instant).collect();
        let _ = writeln!(text, "  {table} {}: written {}", members(&values), written.join(" and "));
    }
}

fn members(row: &Row) -> String {
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    row.iter().map(|(name, value)| format!("{name}={}", shown(value))).collect::<Vec<_>>().join(" ")
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn loose(is_loose: bool) -> &'static str {
    if is_loose { ", others than those of the key among them" } else { "" }
}

fn looked_at(looked: &LookedAt) -> String {
    let mut parts = Vec::new();
    if looked.looked.versions > 0 {
        parts.push(format!("{} version{}", grouped(looked.looked.versions), plural(looked.looked.versions)));
    }
    parts.push(format!(
        "{} file{}, {} bytes",
        grouped(looked.looked.files),
        plural(looked.looked.files),
        grouped(looked.looked.bytes)
    ));
    format!("{} ({})", looked.what, parts.join(", "))
}
