//! A Cassandra table: its SQL and its primary key. What Cassandra itself allows is for its crate to say.

use arrow::datatypes::{DataType, SchemaRef};
use model::definition::{CassandraTable, Origin, Severity};

use super::{Inspection, Part, not_yielded, path};
use crate::sql::{Mistake, Planned, Statement};

/// Looks at a Cassandra table over the table that it is filled from.
pub async fn cassandra(table: &CassandraTable, origin: &Inspection) -> Inspection {
    let mut found = Inspection::default();
    let Some(origin_schema) = &origin.schema else { return found };
    let statement = Statement {
        place: format!("{} of Cassandra table {}", table.sql_file, table.name),
        input: table.from.table().to_owned(),
        sql: table.sql.clone(),
    };
    let planned = match statement.inspect(origin_schema).await {
        Ok(planned) => planned,
        Err(mistakes) => {
            found.mistakes(mistakes, Part::InSql);
            return found;
        }
    };
    if !planned.is_row_by_row() {
        found.mistakes(vec![statement.not_row_by_row()], Part::InSql);
        return found;
    }
    if let Some(mistake) = statement.varying(&planned, "a row that is sent again must be the same") {
        let hint = "compute it from the row; how long rows are kept is `ttl`".to_owned();
        found.mistakes(vec![Mistake { hint: Some(hint), ..mistake }], Part::InSql);
        return found;
    }
    let planned = planned.given(origin_schema, &origin.facts);
    key(table, &planned, &mut found);
    types(table, &planned.schema, &mut found);
    if !found.is_wrong() {
        bounds(table, origin, &planned, &mut found);
    }
    found.schema = Some(planned.schema);
    found
}

/// Every column of the primary key must be yielded, and have a value.
fn key(table: &CassandraTable, planned: &Planned, found: &mut Inspection) {
    let partition = table.partition_key.iter().enumerate().map(|(index, name)| ("partition_key", index, name));
    let clustering = table.clustering.iter().enumerate().map(|(index, (name, _))| ("clustering", index, name));
    for (list, index, name) in partition.chain(clustering) {
        let at = Part::Value(path([list, &index.to_string()]));
        match planned.schema.field_with_name(name) {
            Err(_) => {
                let message = format!("`{}` does not yield `{name}`", table.sql_file);
                found.error(at, message, not_yielded(name, &planned.schema));
            }
            Ok(field) if field.is_nullable() => {
                let message = format!("`{name}` may be null, and Cassandra takes no row without a value in its key");
                let hint = format!("leave such rows out with WHERE {name} IS NOT NULL, or give them a value with coalesce");
                found.find(Severity::Warning, at, message, Some(hint));
            }
            Ok(_) => {}
        }
    }
}

fn types(table: &CassandraTable, schema: &SchemaRef, found: &mut Inspection) {
    for column in table.types.iter().filter(|column| schema.field_with_name(&column.name).is_err()) {
        let message = format!("`{}` does not yield `{}`", table.sql_file, column.name);
        found.error(Part::Key(path(["types", &column.name])), message, not_yielded(&column.name, schema));
    }
}

/// A partition of Cassandra lives on one node and is best below some 100 MB: a key that puts ever more rows into the same few
/// partitions fails late, and with the data in it.
fn bounds(table: &CassandraTable, origin: &Inspection, planned: &Planned, found: &mut Inspection) {
    let sources = planned.sources();
    let (mut few, mut dates) = (Vec::new(), Vec::new());
    for name in &table.partition_key {
        let Ok(index) = planned.schema.index_of(name) else { return };
        let source = sources.get(index).and_then(Option::as_ref);
        let has_few_values = source.is_some_and(|source| origin.few_values.contains(source)) || planned.is_constant(index);
        match planned.schema.field(index).data_type() {
            DataType::Boolean => few.push(name.as_str()),
            _ if has_few_values => few.push(name.as_str()),
            DataType::Date32 => dates.push(name.as_str()),
            _ => return,
        }
    }
    let is_log = matches!(table.from, Origin::Raw(_));
    let message = match (few.as_slice(), dates.as_slice()) {
        (few, []) => {
            format!("all rows go into a few partitions, which grow without bound: `{}` has few values", few.join("`, `"))
        }
        (_, [date, ..]) if is_log => {
            format!("all events of one `{date}` go into one partition, or a few, however many they are")
        }
        _ => return,
    };
    let hint = "add a column to `partition_key` that spreads the rows and that every query knows".to_owned();
    found.warn(Part::Value(path(["partition_key"])), message, Some(hint));
}
