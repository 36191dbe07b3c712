//! Why a file is stopped before anything of it is committed: which limit it broke, where it begins, what can be done.

use std::collections::BTreeMap;

use model::definition::{ColumnSource, Format, MissingFields, OnFailure, RawTable, UnknownFields};
use model::reject::RejectReason;
use serde::{Deserialize, Serialize};

use super::plan::LoadPlan;
use crate::decode::Reject;

/// The first rejects that are kept: one of each reason, and of each check.
const FIRSTS: usize = 64;

/// The reason and the advice, both for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    pub reason: String,
    pub advice: String,
}

/// The first record of each kind that was set aside.
#[derive(Debug, Default)]
pub(super) struct Firsts(Vec<First>);

#[derive(Debug)]
struct First {
    reason: RejectReason,
    entry: String,
    position: u64,
    detail: String,
    /// Whether it begins as HTML does.
    is_markup: bool,
}

impl Firsts {
    pub(super) fn see(&mut self, reject: &Reject) {
        let is_known = |first: &First| {
            first.reason == reject.reason && (reject.reason != RejectReason::CheckFailed || first.detail == reject.detail)
        };
        if self.0.len() < FIRSTS && !self.0.iter().any(is_known) {
            let Reject { entry, position, reason, detail, bytes } = reject;
            let is_markup = bytes.trim_ascii_start().starts_with(b"<");
            self.0.push(First {
                reason: *reason,
                entry: entry.to_string(),
                position: *position,
                detail: detail.clone(),
                is_markup,
            });
        }
    }

    /// The first that was set aside for the most frequent reason.
    fn of_most(&self, plan: &LoadPlan) -> Option<&First> {
        let (most, _) = plan.rejects_by_reason.iter().max_by_key(|(_, count)| **count)?;
        self.0.iter().find(|first| first.reason.name() == most)
    }
}

/// Which limit the file broke, where it broke one.
pub(super) fn stop(table: &RawTable, format: &Format, plan: &LoadPlan, firsts: &Firsts) -> Option<Stop> {
    let fails = |name: &String| table.checks.iter().any(|check| check.on_failure == OnFailure::Fail && check.name == *name);
    if let Some((check, failed)) = plan.checks.iter().find(|(name, _)| fails(name)) {
        let first = firsts.0.iter().find(|first| first.detail == failure_of(check));
        let first = first.map(|first| format!("; the first in {}", place(first, format))).unwrap_or_default();
        let verb = if *failed == 1 { "fails" } else { "fail" };
        return Some(Stop {
            reason: format!("{} {verb} the check `{check}`, which has on_failure = \"fail\"{first}", records(*failed)),
            advice: "mend the source, or change the check or its `on_failure`".to_owned(),
        });
    }
    if let Some(stop) = drift(table, plan) {
        return Some(stop);
    }
    let share = plan.counts.rejected as f64 / plan.counts.read.max(1) as f64;
    (share > table.reject_limit).then(|| {
        let reasons: Vec<_> = plan.rejects_by_reason.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        let first = firsts.of_most(plan);
        let shown = first.map(|first| format!("; the first in {}: {}", place(first, format), first.detail));
        Stop {
            reason: format!(
                "{} of {} records {} rejected ({:.2} %), more than the limit of {:.2} % ({}){}",
                plan.counts.rejected,
                plan.counts.read,
                if plan.counts.rejected == 1 { "was" } else { "were" },
                share * 100.0,
                table.reject_limit * 100.0,
                reasons.join(", "),
                shown.unwrap_or_default()
            ),
            advice: first
                .and_then(|first| advice(first, table, format, plan))
                .unwrap_or_else(|| "mend the source or the contract, or raise `reject_limit`".to_owned()),
        }
    })
}

/// What the policies about unknown and missing fields say of records that differ from the contract.
pub(super) fn drift(table: &RawTable, plan: &LoadPlan) -> Option<Stop> {
    let drift = &plan.drift;
    if table.unknown_fields == UnknownFields::Fail && !drift.unknown.is_empty() {
        return Some(Stop {
            reason: format!("it has fields that the contract does not name: {}", by_records(&drift.unknown)),
            advice: format!(
                "make columns of them in [raw.{}.columns], or set `unknown_fields` to \"ignore\", \"keep\" or \"add\"",
                table.name
            ),
        });
    }
    if table.missing_fields == MissingFields::Fail && !drift.missing.is_empty() {
        return Some(Stop {
            reason: format!("it lacks fields of the contract: {}", by_records(&drift.missing)),
            advice: "say in a column's `field` what it is called now; where it may be missing, make the column `nullable` and \
                     set `missing_fields = \"null\"`"
                .to_owned(),
        });
    }
    None
}

/// The detail of a record that fails this check.
pub(super) fn failure_of(check: &str) -> String {
    format!("check failed: {check}")
}

fn advice(first: &First, table: &RawTable, format: &Format, plan: &LoadPlan) -> Option<String> {
    let rejected = plan.counts.rejected;
    let says = |words: &str| first.detail.contains(words);
    Some(match first.reason {
        RejectReason::Malformed if says("not UTF-8") && matches!(format, Format::Csv(_)) => {
            "set `encoding` in the landing, as in `encoding = \"windows-1252\"`".to_owned()
        }
        RejectReason::Malformed if first.is_markup => {
            "it begins with `<`, as a page does that a server sends in place of the file, to log in or to say sorry: see what the \
             source's `url` and `headers` yield; when it is the file again, that is loaded in place of this"
                .to_owned()
        }
        RejectReason::Malformed if matches!(format, Format::JsonLines) => {
            "a file of json_lines has one whole object on each line, as `jq -c '.[]'` writes a list; set `format` in the landing \
             if it is another one"
                .to_owned()
        }
        RejectReason::Malformed if says("quote") => {
            "set `quote` or `escape` in the landing as the file has them; `quote = \"\"` where nothing is quoted".to_owned()
        }
        RejectReason::Missing => match missing_field(first, table).filter(|field| plan.drift.missing.get(field) >= Some(&rejected)) {
            Some(field) => {
                format!("the records have no field `{field}`: say in the column's `field` what it is called, or make it `nullable`")
            }
            None => "make a column that may lack a value `nullable`".to_owned(),
        },
        RejectReason::WrongType if says("not a timestamp") || says("not a date") => {
            "say in the column's `format` how it is written, as in `format = \"%d.%m.%Y %H:%M\"`".to_owned()
        }
        RejectReason::WrongType => {
            "mend the source, or give the column a type that fits; what is to be converted can be read as a `string`, and another \
             column computed from it with `sql`"
                .to_owned()
        }
        RejectReason::TooLarge => "raise `max_record_bytes` in the landing if records are as large as that".to_owned(),
        RejectReason::Future => {
            "say in the column's `zone` which clock it was read from, if that was not UTC; or raise `future_tolerance`".to_owned()
        }
        _ => return None,
    })
}

/// The field of the column that has no value.
fn missing_field(first: &First, table: &RawTable) -> Option<String> {
    let name = first.detail.strip_suffix(" has no value")?;
    match &table.columns.iter().find(|column| column.name == name)?.source {
        ColumnSource::Field(path) => Some(path.clone()),
        ColumnSource::Sql(_) => None,
    }
}

fn place(first: &First, format: &Format) -> String {
    let unit = if matches!(format, Format::Parquet) { "row" } else { "line" };
    format!("{}, {unit} {}", first.entry, first.position)
}

fn records(count: u64) -> String {
    format!("{count} record{}", if count == 1 { "" } else { "s" })
}

/// Names with their records, the most frequent first.
fn by_records(counts: &BTreeMap<String, u64>) -> String {
    const SHOWN: usize = 10;
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let mut shown: Vec<_> = sorted.iter().take(SHOWN).map(|(name, count)| format!("`{name}` ({})", records(**count))).collect();
    if sorted.len() > SHOWN {
        shown.push(format!("{} others", sorted.len() - SHOWN));
    }
    shown.join(", ")
}
