//! `[raw.NAME]`: the table around the contract.

use crate::definition::contract::{Check, ColumnType, MissingFields, OnFailure, OnNull, UnknownFields};
use crate::definition::error::{Complaint, Placed};
use crate::definition::names::suggest;
use crate::definition::reader::Reader;
use crate::definition::tables::{OnChange, RawTable, SmallDate};
use crate::definition::{defaults, units};

use super::columns::{Fields, ReadColumn, columns};
use super::{Known, check_reference};

const ON_FAILURES: [(&str, OnFailure); 4] =
    [("quarantine", OnFailure::Quarantine), ("drop", OnFailure::Drop), ("fail", OnFailure::Fail), ("warn", OnFailure::Warn)];

const ON_CHANGES: [(&str, OnChange); 2] = [("append", OnChange::Append), ("replace", OnChange::Replace)];

const ON_NULLS: [(&str, OnNull); 2] = [("fail", OnNull::Fail), ("pass", OnNull::Pass)];

const UNKNOWN_FIELDS: [(&str, UnknownFields); 4] = [
    ("ignore", UnknownFields::Ignore),
    ("fail", UnknownFields::Fail),
    ("keep", UnknownFields::Keep),
    ("add", UnknownFields::Add),
];

const MISSING_FIELDS: [(&str, MissingFields); 2] = [("null", MissingFields::Null), ("fail", MissingFields::Fail)];

pub(super) fn raw_table(name: String, mut reader: Reader<'_>, known: &Known<'_>) -> Option<RawTable> {
    let from = reader.required("from", Reader::string);
    if let Some(from) = &from {
        check_reference(&reader, from, "landing", &known.landings);
    }
    let event_time = reader.string("event_time");
    let partition_by = reader.string("partition_by");
    let unique_key = reader.strings("unique_key").unwrap_or_default();
    let retention = reader.quantity("retention", "365 days", units::days);
    let reject_limit = reader.quantity("reject_limit", "5 %", units::percent);
    let future_tolerance = reader.quantity("future_tolerance", "1 day", units::duration);
    let batch_rows = reader.count("batch_rows").unwrap_or(defaults::RAW_BATCH_ROWS);
    let small_date_rows = reader.count("small_date_rows").map_or_else(SmallDate::default, SmallDate);
    let on_change = reader.choice("on_change", &ON_CHANGES).map_or_else(OnChange::default, |choice| choice.value);
    let unknown_fields = reader.choice("unknown_fields", &UNKNOWN_FIELDS);
    let missing_fields = reader.choice("missing_fields", &MISSING_FIELDS);
    let is_csv = from.as_ref().is_some_and(|from| known.csv_landings.contains(&from.value.as_str()));
    let fields = if is_csv { Fields::ByName } else { Fields::ByPath };
    let columns = reader.required("columns", |reader, key| columns(reader, key, fields));
    let checks = checks(&mut reader);

    if let Some(columns) = &columns {
        if let Some(event_time) = &event_time {
            check_column(&reader, columns, event_time, "the event time", Some(&ColumnType::Timestamp));
        }
        if let Some(partition_by) = &partition_by {
            check_column(&reader, columns, partition_by, "the partition", Some(&ColumnType::Date));
        }
        for column in &unique_key {
            check_column(&reader, columns, column, "a part of the unique key", None);
        }
    }
    if let (Some(retention), false) = (&retention, reader.meant("partition_by")) {
        let complaint = Complaint::new("`retention` works on whole partitions, and this table has none");
        reader.complain(&retention.place, complaint.hint("add `partition_by` with a date column"));
    }
    if let (Some(tolerance), false) = (&future_tolerance, reader.meant("event_time")) {
        let complaint = Complaint::new("`future_tolerance` is about the event time, and this table has none");
        reader.complain(&tolerance.place, complaint.hint("add `event_time` with a timestamp column"));
    }
    reader.finish();

    Some(RawTable {
        name,
        from: from?.value,
        columns: columns?.into_iter().map(|column| column.column).collect::<Option<_>>()?,
        event_time: event_time.map(|column| column.value),
        partition_by: partition_by.map(|column| column.value),
        unique_key: unique_key.into_iter().map(|column| column.value).collect(),
        checks,
        unknown_fields: unknown_fields.map_or(defaults::UNKNOWN_FIELDS, |choice| choice.value),
        missing_fields: missing_fields.map_or(defaults::MISSING_FIELDS, |choice| choice.value),
        reject_limit: reject_limit.map_or(defaults::REJECT_LIMIT, |limit| limit.value),
        future_tolerance_seconds: future_tolerance.map_or(defaults::FUTURE_TOLERANCE_SECONDS, |tolerance| tolerance.value),
        retention_days: retention.map(|retention| retention.value),
        batch_rows,
        small_date_rows,
        on_change,
    })
}

/// A column with a role must be there, never be null, and may have to be of one type.
fn check_column(reader: &Reader<'_>, columns: &[ReadColumn], named: &Placed<String>, role: &str, expected: Option<&ColumnType>) {
    let name = named.value.as_str();
    let Some(found) = columns.iter().find(|column| column.name == name) else {
        let hint = suggest(name, columns.iter().map(|column| column.name.as_str()), "columns");
        reader.complain(&named.place, Complaint::new(format!("there is no column `{name}`")).maybe_hint(hint));
        return;
    };
    let Some(column) = &found.column else { return };
    if let Some(expected) = expected.filter(|expected| **expected != column.data_type) {
        let all = columns.iter().filter_map(|column| column.column.as_ref());
        let fitting: Vec<&str> = all.filter(|column| column.data_type == *expected).map(|column| column.name.as_str()).collect();
        let found = column.data_type.text();
        let complaint = Complaint::new(format!("{role} must be of type {}, and `{name}` is of type {found}", expected.text()));
        let hint = (!fitting.is_empty()).then(|| format!("{} columns: {}", expected.text(), fitting.join(", ")));
        reader.complain(&named.place, complaint.maybe_hint(hint));
    } else if column.nullable {
        let complaint = Complaint::new(format!("{role} must have a value, and `{name}` is nullable"));
        reader.complain(&named.place, complaint.hint(format!("remove `nullable = true` from column `{name}`")));
    }
}

fn checks(reader: &mut Reader<'_>) -> Vec<Check> {
    let mut names = Vec::new();
    let mut checks = Vec::new();
    for mut table in reader.tables("checks") {
        let name = table.required("name", Reader::string);
        let sql = table.required("sql", Reader::string);
        let on_failure = table.choice("on_failure", &ON_FAILURES).map_or(defaults::ON_FAILURE, |choice| choice.value);
        let null = table.choice("null", &ON_NULLS).map_or(defaults::ON_NULL, |choice| choice.value);
        table.finish();
        names.extend(name.clone());
        checks.extend(name.zip(sql).map(|(name, sql)| Check { name: name.value, sql: sql.value, on_failure, null }));
    }
    reader.each_once("checks", &names);
    checks
}
