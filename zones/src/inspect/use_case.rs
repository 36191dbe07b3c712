//! A use-case table: its SQL, its key, its folds and computed columns where it is merged, its partition.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use model::definition::{Fold as Folding, Merge, Severity, UseCaseColumn, UseCaseTable};

use super::{Inspection, Part, not_yielded, path};
use crate::delta::normalized;
use crate::query::{Input, Query, Room};
use crate::sql::{Expression, Statement, locate, type_name};
use crate::use_case::{self, summed};

/// Looks at a use-case table over its inputs, which were looked at before, in the order of the definition.
pub async fn use_case(table: &UseCaseTable, inputs: &[&Inspection]) -> Inspection {
    if inputs.iter().any(|input| input.schema.is_none()) {
        return Inspection::default();
    }
    match table.merge() {
        Some(merge) => merged(table, merge, inputs[0]).await,
        None => view(table, inputs).await,
    }
}

/// A view: its SQL over all of its inputs, its key, its partition.
async fn view(table: &UseCaseTable, inputs: &[&Inspection]) -> Inspection {
    let mut found = Inspection::default();
    let schemas = inputs.iter().filter_map(|input| input.schema.clone());
    let inputs = table.from.iter().cloned().zip(schemas).map(|(origin, schema)| Input { origin, schema, table: None });
    let query = use_case::query(table, inputs.collect(), Room::default());
    let yielded = match query.inspect().await {
        Ok(yielded) => yielded,
        Err(mistakes) => {
            found.mistakes(mistakes, Part::InSql);
            return found;
        }
    };
    let missing = |name: &str| (format!("`{}` does not yield `{name}`", table.sql_file), not_yielded(name, &yielded));
    for (index, name) in table.key.iter().enumerate() {
        let at = Part::Value(path(["key", &index.to_string()]));
        match yielded.field_with_name(name) {
            Err(_) => {
                let (message, hint) = missing(name);
                found.error(at, message, hint);
            }
            Ok(field) if field.data_type().is_nested() || field.data_type().is_null() => {
                found.error(at, format!("`{name}` is a {}, which cannot be a key", type_name(field.data_type())), None);
            }
            Ok(_) => {}
        }
    }
    if let Some(name) = table.partition_by.as_ref().filter(|name| yielded.field_with_name(name).is_err()) {
        let (message, hint) = missing(name);
        found.error(Part::Value(path(["partition_by"])), message, hint);
    }
    names(table, &query.sql, &yielded, &mut found);
    partition(table, &yielded, &mut found);
    for field in yielded.fields() {
        if *field.data_type() == DataType::Boolean {
            found.few_values.insert(field.name().clone());
        }
    }
    if !found.is_wrong() {
        match use_case::shape(table, &query.inputs).await {
            Ok(shape) => {
                let nullable = |name: &str| yielded.field_with_name(name).is_ok_and(arrow::datatypes::Field::is_nullable);
                let fields = shape.schema.fields().iter();
                let fields = fields.map(|field| field.as_ref().clone().with_nullable(nullable(field.name())));
                found.schema = Some(Arc::new(Schema::new(fields.collect::<Vec<_>>())));
            }
            Err(error) => found.error(Part::Key(Vec::new()), error.to_string(), None),
        }
    }
    if found.schema.is_some() {
        touch(table, &query, &mut found).await;
    }
    found
}

/// Each column of a view needs a name, and one of its own.
fn names(table: &UseCaseTable, sql: &str, yielded: &SchemaRef, found: &mut Inspection) {
    let names: Vec<&str> = yielded.fields().iter().map(|field| field.name().as_str()).collect();
    let mut twice: Vec<&str> =
        names.iter().enumerate().filter(|(at, name)| names[..*at].contains(name)).map(|(_, name)| *name).collect();
    twice.dedup();
    if let [first, rest @ ..] = twice.as_slice() {
        let others = if rest.is_empty() { String::new() } else { format!(", and so `{}`", rest.join("`, `")) };
        let hint = "list the columns that are wanted, and name one of two with AS".to_owned();
        let mistake = locate::first_of(sql, &[first], &format!("`{}` yields `{first}` twice{others}", table.sql_file));
        let star = sql.find("* ").or_else(|| sql.find("*\n")).filter(|at| *at < mistake.at.start).map(|at| at..at + 1);
        found.error(Part::InSql(star.unwrap_or(mistake.at)), mistake.message, Some(hint));
    }
    for name in names.iter().filter(|name| !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')) {
        // The engine calls a column after its expression.
        let begins = name.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
        let message = if name.contains(['(', ' ']) {
            format!("`{}` yields a column without a name of its own", table.sql_file)
        } else {
            format!("`{name}` cannot be the name of a column")
        };
        let hint = "give it one with AS, of a-z, 0-9 and _".to_owned();
        let mistake = locate::first_of(sql, &[begins], &message);
        found.error(Part::InSql(mistake.at), mistake.message, Some(hint));
    }
}

/// Says which inputs make a change of theirs compute every group anew.
async fn touch(table: &UseCaseTable, query: &Query, found: &mut Inspection) {
    let Ok(lineage) = query.lineage(&table.key).await else { return };
    for (index, origin) in table.from.iter().enumerate() {
        let mut mentions = lineage.iter().filter(|mention| mention.origin == *origin).peekable();
        let at = if table.from.len() == 1 { path(["from"]) } else { path(["from", &index.to_string()]) };
        if mentions.peek().is_none() {
            let hint = "leave it out of `from`, or use it".to_owned();
            found.warn(Part::Value(at), format!("`{}` does not read {origin}", table.sql_file), Some(hint));
        } else if mentions.any(|mention| mention.key.iter().all(Option::is_none)) {
            let message = format!("a change of {origin} computes every group of `{}` anew", table.name);
            let hint = "its rows cannot be told apart by key: group by columns of it, or join it by a key column".to_owned();
            found.warn(Part::Value(at), message, Some(hint));
        }
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
    let sources = planned.sources();
    for (column, source) in yielded.fields().iter().zip(sources) {
        if source.as_ref().is_some_and(|source| raw.few_values.contains(source)) || *column.data_type() == DataType::Boolean {
            found.few_values.insert(column.name().clone());
        }
    }
    if let Some(folded) = folded(table, merge, yielded, &mut found) {
        if let Some(dependence) = use_case::dependence(planned.plan(), table) {
            let (message, instead) = if dependence.is_of_time {
                (dependence.problem, "compare with the time where the table is read")
            } else {
                let message = format!("the result may depend on which raw rows come in one batch: {}", dependence.problem);
                (message, "a view (mode = \"view\") sees whole tables")
            };
            let mistake = statement.mistake_at(&[&dependence.word], &message);
            let hint = format!("{instead}; `order_dependent = true` takes it as it is");
            found.error(Part::InSql(mistake.at), mistake.message, Some(hint));
        }
        let columns = computed(merge, &folded, &mut found);
        unused(table, merge, yielded, &mut found);
        if !found.is_wrong() {
            delete_when(merge, &columns, raw_schema, &mut found);
            partition(table, &columns, &mut found);
        }
        // What is left, the engine finds when it folds nothing. That a key column is there twice was told of the definition.
        let is_twice = table.key.iter().enumerate().any(|(at, name)| table.key[..at].contains(name));
        if !found.is_wrong() && !is_twice {
            let input = Input { origin: table.input().clone(), schema: raw_schema.clone(), table: None };
            match use_case::shape(table, &[input]).await {
                Ok(shape) => found.schema = Some(with_nulls(merge, &shape.schema, &folded)),
                Err(error) => found.error(Part::Key(Vec::new()), error.to_string(), None),
            }
        }
    }
    found
}

/// The condition for deleted rows, over the table's own columns.
fn delete_when(merge: &Merge, columns: &SchemaRef, raw: &SchemaRef, found: &mut Inspection) {
    let Some(sql) = &merge.delete_when else { return };
    let raw_only = raw.fields().iter().map(|field| field.name()).filter(|name| columns.field_with_name(name).is_err());
    let why = |name: &String| {
        (name.clone(), "it is a column of the raw table: fold it into a column of this table, and use that".to_owned())
    };
    let at = |range| Part::InText(path(["delete_when"]), range);
    match Expression::inspect("delete_when", sql, columns, raw_only.map(why).collect()) {
        Err(mistakes) => found.mistakes(mistakes, at),
        Ok(condition) => match condition.data_type(columns) {
            Ok(DataType::Boolean) => {}
            other => {
                let yields = other.map_or("something else".to_owned(), |other| format!("a {}", type_name(&other)));
                let hint = "write a condition, as in `state = 'cancelled'`".to_owned();
                found.error(at(0..sql.len()), format!("this is no condition: it yields {yields}"), Some(hint));
            }
        },
    }
}

/// Key and folded columns with their types; `None` where one is missing or cannot be folded.
fn folded(table: &UseCaseTable, merge: &Merge, yielded: &SchemaRef, found: &mut Inspection) -> Option<SchemaRef> {
    let mut fields = Vec::new();
    let missing = |name: &str| (format!("`{}` does not yield `{name}`", table.sql_file), not_yielded(name, yielded));
    for (index, name) in table.key.iter().enumerate() {
        let at = Part::Value(path(["key", &index.to_string()]));
        let Ok(field) = yielded.field_with_name(name) else {
            let (message, hint) = missing(name);
            found.error(at, message, hint);
            continue;
        };
        if field.is_nullable() {
            let hint = format!("rows without one become one row; leave them out with WHERE {name} IS NOT NULL");
            found.warn(at, format!("the key column `{name}` may be null"), Some(hint));
        }
        fields.push(field.clone());
    }
    for column in merge.columns.iter().filter(|column| !matches!(column.fold, Folding::Sql(_))) {
        if let Ok(field) = yielded.field_with_name(&column.name) {
            fields.extend(fold(column, field, found));
        } else {
            let (message, hint) = missing(&column.name);
            found.error(Part::Key(path(["columns", &column.name])), message, hint);
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

/// Looks at the computed columns; the table's columns with their types, in so far as they can be told.
fn computed(merge: &Merge, folded: &SchemaRef, found: &mut Inspection) -> SchemaRef {
    let mut columns: Vec<Field> = folded.fields().iter().map(|field| field.as_ref().clone()).collect();
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
                if let Ok(data_type) = expression.data_type(folded) {
                    if data_type == DataType::Boolean {
                        found.few_values.insert(column.name.clone());
                    }
                    columns.push(Field::new(&column.name, data_type, true));
                }
                found.facts.computes(&column.name, &expression);
            }
        }
    }
    normalized(&Schema::new(columns))
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
