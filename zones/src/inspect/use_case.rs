//! A use-case table: its SQL, its key, its folds, its computed columns, its partition.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use model::definition::{Fold as Folding, Merge, Mode, Severity, UseCaseColumn, UseCaseTable};
use model::failure::Classify;

use super::{Inspection, Part, not_a_condition, not_yielded, path};
use crate::query::Input;
use crate::sql::{Expression, Planned, Statement, inspect_over, type_name};
use crate::use_case::{self, summed};

/// Looks at a use-case table over the tables that it reads, which were looked at before, in the order of its `from`.
pub async fn use_case(table: &UseCaseTable, inputs: &[&Inspection]) -> Inspection {
    match &table.mode {
        Mode::Merge(merge) => merged(table, merge, inputs[0]).await,
        Mode::View => view(table, inputs).await,
    }
}

async fn merged(table: &UseCaseTable, merge: &Merge, raw: &Inspection) -> Inspection {
    let mut found = Inspection::default();
    let Some(raw_schema) = &raw.schema else { return found };
    let statement = Statement {
        place: format!("{} of use case {}", table.sql_file, table.name),
        input: table.input().table().to_owned(),
        sql: table.sql.clone(),
    };
    let planned = match statement.inspect(raw_schema).await {
        Ok(planned) => planned.given(raw_schema, &raw.facts),
        Err(mistakes) => {
            found.mistakes(mistakes, Part::InSql);
            return found;
        }
    };
    let yielded = &planned.schema;
    note_few_values(&planned, raw, &mut found);
    if let Some(folded) = folded(table, merge, yielded, &mut found) {
        computed(merge, &folded, &mut found);
        unused(table, merge, yielded, &mut found);
        // What is left, the engine finds when it folds nothing.
        if !found.is_wrong() {
            let input = Input { origin: table.input().clone(), schema: raw_schema.clone(), table: None };
            match use_case::content(table, &[input]).await {
                Ok(content) => {
                    delete_when(merge, &content, &mut found);
                    found.schema = Some(with_nulls(merge, &content, &folded));
                }
                Err(error) => found.error(Part::Key(Vec::new()), error.to_string(), error.hint()),
            }
        }
    }
    finished(table, found)
}

async fn view(table: &UseCaseTable, inputs: &[&Inspection]) -> Inspection {
    let mut found = Inspection::default();
    let mut seen = Vec::new();
    for (origin, input) in table.from.iter().zip(inputs) {
        let Some(schema) = &input.schema else { return found };
        seen.push((Some(origin.zone()), origin.table().to_owned(), schema.clone()));
    }
    let planned = match inspect_over(&table.sql, &seen).await {
        Ok(planned) => planned,
        Err(mistakes) => {
            found.mistakes(mistakes, Part::InSql);
            return found;
        }
    };
    if let [input] = inputs {
        note_few_values(&planned, input, &mut found);
    }
    let yielded = &planned.schema;
    for field in yielded.fields() {
        if [use_case::INSERTED_AT, use_case::UPDATED_AT].contains(&field.name().as_str()) {
            let message = format!("`{}` yields `{}`, which is a name of the table's own", table.sql_file, field.name());
            found.error(Part::Value(path(["sql"])), message, Some("give it another name with AS".to_owned()));
        }
    }
    for (index, name) in table.key.iter().enumerate() {
        key_column(table, index, name, yielded, &mut found);
    }
    if let Some(name) = table.partition_by.as_ref().filter(|name| yielded.field_with_name(name).is_err()) {
        let message = format!("`{}` does not yield `{name}`", table.sql_file);
        found.error(Part::Value(path(["partition_by"])), message, not_yielded(name, yielded));
    }
    if !found.is_wrong() {
        found.schema = Some(yielded.clone());
    }
    finished(table, found)
}

/// Checks the partition, and puts the load times behind the columns.
fn finished(table: &UseCaseTable, mut found: Inspection) -> Inspection {
    if let Some(schema) = found.schema.clone() {
        partition(table, &schema, &mut found);
        found.schema = Some(use_case::with_load_times(&schema));
    }
    found
}

fn note_few_values(planned: &Planned, input: &Inspection, found: &mut Inspection) {
    for (column, source) in planned.schema.fields().iter().zip(planned.sources()) {
        let has_few_values = source.is_some_and(|source| input.few_values.contains(&source));
        if has_few_values || *column.data_type() == DataType::Boolean {
            found.few_values.insert(column.name().clone());
        }
    }
}

fn key_column(table: &UseCaseTable, index: usize, name: &str, yielded: &SchemaRef, found: &mut Inspection) -> Option<Field> {
    let at = Part::Value(path(["key", &index.to_string()]));
    let Ok(field) = yielded.field_with_name(name) else {
        found.error(at, format!("`{}` does not yield `{name}`", table.sql_file), not_yielded(name, yielded));
        return None;
    };
    if field.is_nullable() {
        let hint = format!("rows without one become one row; leave them out with WHERE {name} IS NOT NULL");
        found.warn(at, format!("the key column `{name}` may be null"), Some(hint));
    }
    Some(field.clone())
}

fn delete_when(merge: &Merge, content: &SchemaRef, found: &mut Inspection) {
    let Some(sql) = &merge.delete_when else { return };
    let at = |range| Part::InText(path(["delete_when"]), range);
    match Expression::inspect("delete_when", sql, content, Vec::new()) {
        Err(mistakes) => found.mistakes(mistakes, at),
        Ok(condition) => not_a_condition(&condition, content, at(0..sql.len()), found),
    }
}

/// Key and folded columns with their types; `None` where one is missing or cannot be folded.
fn folded(table: &UseCaseTable, merge: &Merge, yielded: &SchemaRef, found: &mut Inspection) -> Option<SchemaRef> {
    let mut fields = Vec::new();
    for (index, name) in table.key.iter().enumerate() {
        fields.extend(key_column(table, index, name, yielded, found));
    }
    for column in merge.columns.iter().filter(|column| !matches!(column.fold, Folding::Sql(_))) {
        match yielded.field_with_name(&column.name) {
            Ok(field) => fields.extend(fold(column, field, found)),
            Err(_) => {
                let message = format!("`{}` does not yield `{}`", table.sql_file, column.name);
                found.error(Part::Key(path(["columns", &column.name])), message, not_yielded(&column.name, yielded));
            }
        }
    }
    (!found.is_wrong()).then(|| Arc::new(Schema::new(fields)))
}

/// The field as it is once it is folded.
fn fold(column: &UseCaseColumn, field: &Field, found: &mut Inspection) -> Option<Field> {
    let data_type = field.data_type();
    let needed = match &column.fold {
        Folding::Sum if !data_type.is_numeric() => "a number",
        Folding::Any | Folding::All if *data_type != DataType::Boolean => "true or false",
        Folding::Min | Folding::Max if data_type.is_nested() => "a single value",
        Folding::Sum => return Some(Field::new(&column.name, summed(data_type), field.is_nullable())),
        _ => return Some(field.clone()),
    };
    let message = format!("this fold takes {needed}, and `{}` is a {}", column.name, type_name(data_type));
    found.error(Part::Value(path(["columns", &column.name, "fold"])), message, None);
    None
}

fn computed(merge: &Merge, folded: &SchemaRef, found: &mut Inspection) {
    let computed = merge.columns.iter().filter(|column| matches!(column.fold, Folding::Sql(_)));
    let out_of_reach: Vec<(String, String)> = computed
        .map(|column| {
            let why = format!("`{}` is computed itself; only the key and folded columns can be used", column.name);
            (column.name.clone(), why)
        })
        .collect();
    for column in &merge.columns {
        let Folding::Sql(sql) = &column.fold else { continue };
        match Expression::inspect(&column.name, sql, folded, out_of_reach.clone()) {
            Err(mistakes) => found.mistakes(mistakes, |range| Part::InText(path(["columns", &column.name, "sql"]), range)),
            Ok(expression) => {
                if expression.data_type(folded).is_ok_and(|data_type| data_type == DataType::Boolean) {
                    found.few_values.insert(column.name.clone());
                }
                found.facts.computes(&column.name, &expression);
            }
        }
    }
}

/// What is yielded and taken by nothing is most often a column that somebody forgot to fold.
fn unused(table: &UseCaseTable, merge: &Merge, yielded: &SchemaRef, found: &mut Inspection) {
    for field in yielded.fields() {
        let name = field.name();
        let is_taken = table.key.contains(name) || merge.columns.iter().any(|column| column.name == *name);
        if !is_taken {
            let message = format!("`{}` yields `{name}`, and no column takes it", table.sql_file);
            let hint = format!("add it to [use_case.{}.columns], or leave it out of the SELECT", table.name);
            found.find(Severity::Warning, Part::Value(path(["sql"])), message, Some(hint));
        }
    }
}

/// The table's columns, nullable where their values may be.
fn with_nulls(merge: &Merge, schema: &SchemaRef, folded: &SchemaRef) -> SchemaRef {
    let has_value = |name: &str| folded.field_with_name(name).is_ok_and(|field| !field.is_nullable());
    let fields = schema.fields().iter().map(|field| {
        let column = merge.columns.iter().find(|column| column.name == *field.name());
        let known = match column.map(|column| &column.fold) {
            None | Some(Folding::Min | Folding::Max | Folding::Sum | Folding::Any | Folding::All) => has_value(field.name()),
            Some(Folding::FirstBy(by) | Folding::LastBy(by)) => has_value(field.name()) && has_value(by),
            Some(Folding::Sql(sql)) => Expression::compile(field.name(), sql, folded)
                .and_then(|expression| expression.is_nullable(folded))
                .is_ok_and(|nullable| !nullable),
        };
        field.as_ref().clone().with_nullable(!known)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn partition(table: &UseCaseTable, schema: &SchemaRef, found: &mut Inspection) {
    let Some(name) = &table.partition_by else { return };
    let Ok(field) = schema.field_with_name(name) else { return };
    if !use_case::can_partition(field.data_type()) {
        let message = format!("`{name}` is a {}, which cannot partition a table", type_name(field.data_type()));
        let hint = "use a date, a text, an integer, or true or false; a timestamp's date is `cast(ts as date)`".to_owned();
        found.error(Part::Value(path(["partition_by"])), message, Some(hint));
    }
}
