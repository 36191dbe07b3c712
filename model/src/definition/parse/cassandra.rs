//! `[cassandra.NAME]`: a table of the serving store.

use toml::de::DeValue;

use crate::definition::error::{Complaint, Placed};
use crate::definition::names::suggest;
use crate::definition::reader::{Reader, whole_number};
use crate::definition::tables::{CassandraColumn, CassandraTable, Order, Origin};
use crate::definition::{PipelineClock, defaults, units};

use super::{Known, no_table, sql_file};

/// Types of single values that a column can be stored as.
const CQL_TYPES: [&str; 17] = [
    "ascii",
    "bigint",
    "blob",
    "boolean",
    "date",
    "decimal",
    "double",
    "float",
    "int",
    "smallint",
    "text",
    "time",
    "timestamp",
    "timeuuid",
    "tinyint",
    "uuid",
    "varint",
];

pub(super) fn cassandra_table(name: String, mut reader: Reader<'_>, known: &Known<'_>) -> Option<CassandraTable> {
    let from = reader.required("from", Reader::string);
    let origin = from.as_ref().and_then(|from| origin(&reader, from, known));
    let sql = sql_file(&mut reader, known);
    let partition_key = reader.required("partition_key", Reader::names);
    let clustering = clustering(&mut reader);
    let types = types(&mut reader);
    let ttl = reader.quantity("ttl", "90 days", units::duration);
    let compaction = compaction(&mut reader);

    if let Some(partition_key) = &partition_key {
        for (column, _) in &clustering {
            if partition_key.iter().any(|key| key.value == column.value) {
                let complaint = Complaint::new(format!("`{}` is in `partition_key` already", column.value));
                reader.complain(&column.place, complaint);
            }
        }
    }
    if let Some(ttl) = &ttl {
        check_ttl(&reader, ttl, known);
    }
    reader.finish();

    let (sql_file, sql) = sql?;
    Some(CassandraTable {
        name,
        from: origin?,
        sql,
        sql_file,
        partition_key: partition_key?.into_iter().map(|column| column.value).collect(),
        clustering: clustering.into_iter().map(|(column, order)| (column.value, order)).collect(),
        types,
        ttl_seconds: ttl.map(|ttl| ttl.value),
        compaction,
    })
}

fn origin(reader: &Reader<'_>, from: &Placed<String>, known: &Known<'_>) -> Option<Origin> {
    match from.value.split_once('.') {
        Some(("raw", table)) if known.raw.may_hold(table) => return Some(Origin::Raw(table.to_owned())),
        Some(("use_case", table)) if known.use_cases.may_hold(table) => return Some(Origin::UseCase(table.to_owned())),
        _ => {}
    }
    no_table(reader, from, known);
    None
}

/// `"ts desc"`, `"ts asc"`, `"ts"`.
fn clustering(reader: &mut Reader<'_>) -> Vec<(Placed<String>, Order)> {
    let mut columns = Vec::new();
    for written in reader.strings("clustering").unwrap_or_default() {
        let mut words = written.value.split_whitespace();
        let column = Placed { value: words.next().unwrap_or_default().to_owned(), place: written.place.clone() };
        let order = match (words.next().map(str::to_ascii_lowercase).as_deref(), words.next()) {
            (None | Some("asc"), None) => Order::Asc,
            (Some("desc"), None) => Order::Desc,
            _ => {
                let complaint = Complaint::new(format!("`{}` is not a column and its order", written.value));
                reader.complain(&written.place, complaint.hint(format!("write `{0}`, `{0} asc` or `{0} desc`", column.value)));
                continue;
            }
        };
        reader.check_name(&column);
        columns.push((column, order));
    }
    let names: Vec<_> = columns.iter().map(|(column, _)| column.clone()).collect();
    reader.each_once("clustering", &names);
    columns
}

fn types(reader: &mut Reader<'_>) -> Vec<CassandraColumn> {
    let mut columns = Vec::new();
    for (name, value) in reader.named("types") {
        let Some(cql_type) = value.get_ref().as_str().map(str::to_ascii_lowercase) else {
            reader.wrong_type(&name.value, value, "a CQL type, as in \"uuid\"");
            continue;
        };
        if !CQL_TYPES.contains(&cql_type.as_str()) {
            let hint = match cql_type.as_str() {
                "string" | "varchar" => Some("did you mean `text`?".into()),
                "int64" | "long" => Some("did you mean `bigint`?".into()),
                "int32" | "integer" => Some("did you mean `int`?".into()),
                "float64" => Some("did you mean `double`?".into()),
                other => suggest(other, CQL_TYPES, "types"),
            };
            reader.complain(&value.span(), Complaint::new(format!("`{cql_type}` is not a CQL type")).maybe_hint(hint));
        }
        columns.push(CassandraColumn { name: name.value, cql_type });
    }
    columns
}

fn check_ttl(reader: &Reader<'_>, ttl: &Placed<u64>, known: &Known<'_>) {
    if known.clock != PipelineClock::Wall {
        let complaint = Complaint::new("`ttl` counts wall time, and this pipeline's clock is another one");
        let hint = "leave it out, or set `clock = \"wall\"` in [pipeline]";
        reader.complain(&ttl.place, complaint.hint(hint));
    }
    if ttl.value == 0 || ttl.value > defaults::LARGEST_TTL_SECONDS {
        reader.complain(&ttl.place, Complaint::new("`ttl` must be between 1 second and 20 years, as in Cassandra"));
    }
}

/// A table of options as a CQL map, braces included.
fn compaction(reader: &mut Reader<'_>) -> Option<String> {
    let value = reader.value("compaction")?;
    let Some(table) = value.get_ref().as_table() else {
        reader.wrong_type("compaction", value, "a table such as { class = \"LeveledCompactionStrategy\" }");
        return None;
    };
    if !table.contains_key("class") {
        reader.complain(&value.span(), Complaint::new("`compaction` has no `class`"));
    }
    let mut options = Vec::new();
    for (name, value) in reader.named("compaction") {
        let text = match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Boolean(flag) => Some(flag.to_string()),
            DeValue::Float(number) => Some(number.to_string()),
            other => whole_number(other).map(|number| number.to_string()),
        };
        match text {
            Some(text) => options.push(format!("'{}': '{}'", name.value, text.replace('\'', "''"))),
            None => reader.wrong_type(&name.value, value, "a string, a number, or true or false"),
        }
    }
    Some(format!("{{{}}}", options.join(", ")))
}
