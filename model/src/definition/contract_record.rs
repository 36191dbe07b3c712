//! What a raw table was loaded under, as it is kept beside the table, and how the definition differs from it.
//!
//! In the record is what decides the content of a row, or whether a record becomes one. Limits (sizes, shares, ages) are not in
//! it, nor where files come from, nor types and partition, which the table's own schema tells.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::contract::{Ambiguous, Check, Column, ColumnSource, OnFailure, TimeFormat, UnknownFields};
use super::tables::{Csv, Format, Landing, RawTable};

/// By place in the section of the table or its landing: what stands there, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContractRecord(BTreeMap<String, serde_json::Value>);

/// A part of a contract that is another one now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractChange {
    pub kind: ContractChangeKind,
    /// For people: what it was and what it is.
    pub what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContractChangeKind {
    /// Rows that are there would look otherwise, or be other rows.
    Content,
    /// Rows that are there look just as they would; only what is set aside or left out differs.
    Admission,
}

impl ContractRecord {
    pub fn of(landing: &Landing, table: &RawTable) -> Self {
        let mut parts = BTreeMap::new();
        let mut put = |place: String, value: serde_json::Value| {
            if !value.is_null() {
                parts.insert(place, value);
            }
        };
        match &landing.format {
            Format::JsonLines => put("format".into(), json(&"json_lines")),
            Format::Parquet => put("format".into(), json(&"parquet")),
            Format::Csv(Csv { delimiter, quote, escape, header, null_values, encoding }) => {
                put("format".into(), json(&"csv"));
                put("delimiter".into(), json(&char::from(*delimiter)));
                put("quote".into(), json(&quote.map(char::from)));
                put("escape".into(), json(&escape.map(char::from)));
                put("header".into(), json(header));
                put("null_values".into(), json(null_values));
                put("encoding".into(), json(encoding));
            }
        }
        put("entries".into(), json(&landing.entries));
        put("event_time".into(), json(&table.event_time));
        put("unique_key".into(), json(&table.unique_key));
        put("on_change".into(), json(&table.on_change));
        put("unknown_fields".into(), json(&table.unknown_fields));
        put("missing_fields".into(), json(&table.missing_fields));
        for Column { name, data_type: _, source, nullable, one_of, reading } in &table.columns {
            let place = |part: &str| format!("columns.{name}.{part}");
            match source {
                ColumnSource::Field(field) => put(place("field"), json(field)),
                ColumnSource::Sql(sql) => put(place("sql"), json(sql)),
            }
            put(place("nullable"), json(nullable));
            put(place("one_of"), json(one_of));
            put(place("zone"), json(&reading.zone));
            put(place("encoding"), json(&reading.encoding));
            put(place("ambiguous"), json(&reading.ambiguous));
            put(place("format"), if reading.formats.is_empty() { serde_json::Value::Null } else { json(&reading.formats) });
        }
        // A check that only warns decides nothing.
        for check in table.checks.iter().filter(|check| check.on_failure != OnFailure::Warn) {
            let Check { name, sql, on_failure, null } = check;
            put(format!("checks.{name}"), json(&(sql, on_failure, null)));
        }
        Self(parts)
    }

    /// How this contract differs from the one before it. New columns are no change: that they may be added is the schema's matter.
    pub fn changes_since(&self, before: &Self) -> Vec<ContractChange> {
        let places: std::collections::BTreeSet<&String> = self.0.keys().chain(before.0.keys()).collect();
        let differing = places.into_iter().filter(|place| self.0.get(*place) != before.0.get(*place));
        differing
            .filter(|place| !self.is_of_a_new_column(place, before))
            .filter_map(|place| {
                let (was, is) = (before.0.get(place), self.0.get(place));
                let kind = kind(place, was, is)?;
                Some(ContractChange { kind, what: in_words(place, was, is) })
            })
            .collect()
    }

    fn is_of_a_new_column(&self, place: &str, before: &Self) -> bool {
        let Some((column, _)) = place.strip_prefix("columns.").and_then(|rest| rest.rsplit_once('.')) else { return false };
        let known = format!("columns.{column}.nullable");
        self.0.contains_key(&known) && !before.0.contains_key(&known)
    }
}

/// What a change does; `None`: to rows that are there nothing, and to those that come what its author sees in the report.
fn kind(place: &str, was: Option<&serde_json::Value>, is: Option<&serde_json::Value>) -> Option<ContractChangeKind> {
    let part = place.strip_prefix("columns.").and_then(|rest| rest.rsplit_once('.')).map_or(place, |(_, part)| part);
    match part {
        // What was not kept can be kept from now on; the new columns are empty in the rows that are there.
        "unknown_fields" if [json(&UnknownFields::Ignore), json(&UnknownFields::Fail)].iter().any(|loose| Some(loose) == was) => {
            None
        }
        "missing_fields" | "nullable" | "one_of" => Some(ContractChangeKind::Admission),
        // Only records that were set aside are read otherwise.
        "ambiguous" if was == Some(&json(&Ambiguous::Reject)) => Some(ContractChangeKind::Admission),
        "format" if place.starts_with("columns.") && goes_on(was, is) => Some(ContractChangeKind::Admission),
        _ if place.starts_with("checks.") => Some(ContractChangeKind::Admission),
        _ => Some(ContractChangeKind::Content),
    }
}

/// Whether formats were only added behind those that were tried before; where none is named, that is ISO 8601.
fn goes_on(was: Option<&serde_json::Value>, is: Option<&serde_json::Value>) -> bool {
    let list = |value: Option<&serde_json::Value>| match value {
        Some(value) => value.as_array().cloned().unwrap_or_default(),
        None => vec![json(&TimeFormat::Iso)],
    };
    list(is).starts_with(&list(was))
}

fn in_words(place: &str, was: Option<&serde_json::Value>, is: Option<&serde_json::Value>) -> String {
    match (was, is) {
        (Some(was), Some(is)) => format!("{place} was {was} and is {is}"),
        (None, Some(is)) => format!("{place} = {is} is new"),
        (was, _) => format!("{place} was {} and is gone", was.cloned().unwrap_or_default()),
    }
}

fn json(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).expect("parts of a definition have a JSON form")
}
