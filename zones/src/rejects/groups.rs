//! Records in groups: those of one table that the same thing is wrong with.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use serde::Serialize;

use super::{Filter, instants, list, numbers, records, stopped, text};
use crate::delta::{ReadPlan, Table};
use crate::error::Error;

/// More kinds than this are not told apart by their details.
pub const MOST_GROUPS: usize = 500;

/// Of each group so many records are shown.
const EXAMPLES: usize = 5;

/// What is common to some records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// `raw.NAME`.
    pub table: String,
    pub reason: String,
    /// What exactly, without the values of a single record.
    pub rule: String,
    /// Their whole file was stopped by its limits.
    pub is_stopped: bool,
    pub records: u64,
    pub first: DateTime<Utc>,
    pub last: DateTime<Utc>,
    /// Some of them, the first that were found.
    pub examples: Vec<Example>,
    /// The condition that these records meet, for `--where`.
    pub condition: String,
}

/// One of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    pub receipt: i64,
    pub entry: String,
    pub position: i64,
    pub detail: String,
    /// As received, what is not plain text escaped; its beginning where it is long.
    pub record: String,
}

/// What a group is known by: table, whether stopped, reason, rule.
type Key = (String, bool, String, String);

/// The records that are meant, in groups: the largest of each table first.
pub async fn groups(quarantine: &Table, filter: &Filter) -> Result<Vec<Group>, Error> {
    let plan = ReadPlan::all(quarantine);
    let mut groups: BTreeMap<Key, Group> = BTreeMap::new();
    for file in quarantine.files(None)? {
        let mut batches = quarantine.read_file(&file.path, &file.partition, &plan).await?;
        while let Some(rows) = batches.try_next().await? {
            let holds = filter.holds(&rows)?;
            let (tables, reasons, details) = (text(&rows, "raw_table"), text(&rows, "reason"), text(&rows, "detail"));
            let (instants, stopped) = (instants(&rows), stopped(&rows));
            for row in (0..rows.num_rows()).filter(|row| holds[*row]) {
                let (reason, detail) = (reasons.value(row), details.value(row));
                let table = tables.value(row);
                let mut rule = rule(reason, detail);
                let mut key = (table.to_owned(), stopped.value(row), reason.to_owned(), rule.clone());
                if groups.len() >= MOST_GROUPS && !groups.contains_key(&key) {
                    "others".clone_into(&mut rule);
                    key.3.clone_from(&rule);
                }
                let at = DateTime::from_timestamp_micros(instants.value(row)).unwrap_or_default();
                let group = groups.entry(key).or_insert_with(|| Group {
                    table: format!("raw.{table}"),
                    reason: reason.to_owned(),
                    condition: condition(table, reason, detail, &rule),
                    rule,
                    is_stopped: stopped.value(row),
                    records: 0,
                    first: at,
                    last: at,
                    examples: Vec::new(),
                });
                if group.examples.len() < EXAMPLES {
                    group.examples.push(Example {
                        receipt: numbers(&rows, "receipt").value(row),
                        entry: text(&rows, "entry").value(row).to_owned(),
                        position: numbers(&rows, "position").value(row),
                        detail: detail.to_owned(),
                        record: list::shown(records(&rows).value(row), list::SHOWN_BYTES),
                    });
                }
                group.records += 1;
                group.first = group.first.min(at);
                group.last = group.last.max(at);
            }
        }
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by(|a, b| (&a.table, a.is_stopped, b.records, &a.rule).cmp(&(&b.table, b.is_stopped, a.records, &b.rule)));
    Ok(groups)
}

/// The detail without what is particular to one record.
fn rule(reason: &str, detail: &str) -> String {
    match reason {
        "check_failed" => {
            let name = detail.strip_prefix("check failed: ");
            name.unwrap_or_else(|| detail.split(": ").next().unwrap_or(detail)).to_owned()
        }
        // `at is 2099-01-01T00:00:00Z, later than ...`
        "future" => detail.split(' ').next().unwrap_or(detail).to_owned(),
        "malformed" | "too_large" => without_numbers(detail.split(": ").next().unwrap_or(detail)),
        _ => detail.split(": ").next().unwrap_or(detail).to_owned(),
    }
}

/// The text with an N for each word that is a number.
fn without_numbers(text: &str) -> String {
    text.split(' ').map(|word| if is_number(word) { "N" } else { word }).collect::<Vec<_>>().join(" ")
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|letter| letter.is_ascii_digit())
}

/// SQL that is true for the records of a group.
fn condition(table: &str, reason: &str, detail: &str, rule: &str) -> String {
    let quoted = |text: &str| text.replace('\'', "''");
    let of_reason = format!("raw_table = '{}' AND reason = '{}'", quoted(table), quoted(reason));
    // The part of the detail that stands before what differs from record to record.
    let common = match reason {
        _ if rule == "others" => "",
        "check_failed" => {
            return format!(
                "{of_reason} AND starts_with(detail, '{}')",
                quoted(detail.split(": ").next().map_or(detail, |start| if start == "check failed" { detail } else { start }))
            );
        }
        "future" => return format!("{of_reason} AND starts_with(detail, '{} ')", quoted(rule)),
        "malformed" | "too_large" => &rule.split(' ').take_while(|word| *word != "N").collect::<Vec<_>>().join(" "),
        _ => rule,
    };
    if common.is_empty() { of_reason } else { format!("{of_reason} AND starts_with(detail, '{}')", quoted(common)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_of_single_records_become_rules() {
        for (reason, detail, expected) in [
            ("check_failed", "check failed: paid: always", "paid: always"),
            ("check_failed", "check `paid` cannot be computed: division by zero", "check `paid` cannot be computed"),
            ("wrong_type", "price is not a decimal(8, 2): 1.555", "price is not a decimal(8, 2)"),
            ("missing", "id has no value", "id has no value"),
            ("future", "at is 2099-01-01T00:00:00Z, later than the clock and its tolerance", "at"),
            ("malformed", "the line is not UTF-8", "the line is not UTF-8"),
            ("malformed", "5 fields where there should be 8", "N fields where there should be N"),
            ("malformed", "not a JSON object: it is a list", "not a JSON object"),
            ("too_large", "2026 bytes, more than the limit of 1024", "N bytes, more than the limit of N"),
        ] {
            assert_eq!(rule(reason, detail), expected, "{detail}");
        }
    }

    #[test]
    fn the_condition_of_a_group_can_be_compiled() {
        for (reason, detail) in
            [("check_failed", "check failed: it's 5 > 3"), ("malformed", "5 fields where"), ("future", "at is x")]
        {
            let sql = condition("orders", reason, detail, &rule(reason, detail));
            assert!(Filter::new(None, None, Some(&sql)).is_ok(), "{sql}");
        }
    }
}
