//! The fold: from the rows of a key to the one row of that key.
//!
//! Built from functions that do not care about order, so folding rows that were folded before gives the same as folding all
//! of them at once. That is what makes a batch's result independent of how the batches were cut.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options, concat_batches, filter_record_batch};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef, Schema, SchemaRef};
use model::definition::{Fold as Folding, Merge, UseCaseColumn, UseCaseTable};

use super::groups::Grouping;
use super::order::{Dependence, dependence};
use crate::error::Error;
use crate::sql::{Expression, Statement, conformed, one_line};

/// What the second statement calls the rows that the first one yields.
pub(crate) const FOLDING: &str = "folding";
/// What computed columns are computed from.
const FOLDED: &str = "folded";

/// A use-case table's SQL and folds, compiled.
pub struct Fold {
    /// Over the raw rows of a batch.
    select: Statement,
    /// Over rows of the table and rows of the batch together, as one statement. What is merged is folded by `grouping` and then
    /// `computed`: the same, without a row of the engine's for each value.
    refold: Statement,
    grouping: Grouping,
    /// Over what was grouped, where there are computed columns.
    computed: Option<Statement>,
    raw_schema: SchemaRef,
    /// The raw columns that `select` reads.
    reads: Vec<String>,
    /// Key and folded columns: what `select` yields and `refold` reads.
    folded_schema: SchemaRef,
    /// Key, folded and computed columns, in the table's order.
    schema: SchemaRef,
    /// Over the table's columns: true for a deleted row.
    delete_when: Option<Expression>,
}

impl Fold {
    pub async fn compile(definition: &UseCaseTable, raw_schema: &SchemaRef) -> Result<Self, Error> {
        let select = Statement {
            place: format!("{} of use case {}", definition.sql_file, definition.name),
            input: definition.input().table().to_owned(),
            sql: definition.sql.clone(),
        };
        if let Some(Dependence { problem, .. }) = dependence(&select.logical_plan(raw_schema).await?, definition) {
            return Err(Error::SqlShape { step: select.place, sql: one_line(&select.sql), problem });
        }
        let folded_schema = folded_schema(definition, &select, raw_schema).await?;
        let reads = select.reads(raw_schema).await?;
        let refold = Statement {
            place: format!("the fold of use case {}", definition.name),
            input: FOLDING.to_owned(),
            sql: fold_sql(definition, &folded_schema),
        };
        let schema = refold.output_schema(&folded_schema).await?;
        let nullable = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect::<Vec<_>>();
        let schema = Arc::new(Schema::new(nullable));
        let delete_when = delete_when(definition, &schema)?;
        let grouping = grouping(definition, &folded_schema, &schema);
        let is_computed = grouping.schema().fields().len() < schema.fields().len();
        let computed = is_computed.then(|| Statement {
            place: refold.place.clone(),
            input: FOLDED.to_owned(),
            sql: format!("SELECT {} FROM {FOLDED}", table_columns(definition).join(", ")),
        });
        if let Some(computed) = &computed {
            // What it refuses is refused now, not at the first merge.
            computed.output_schema(grouping.schema()).await?;
        }
        Ok(Self { select, refold, grouping, computed, raw_schema: raw_schema.clone(), reads, folded_schema, schema, delete_when })
    }

    pub(crate) fn delete_when(&self) -> Option<&Expression> {
        self.delete_when.as_ref()
    }

    pub(crate) fn folded_schema(&self) -> &SchemaRef {
        &self.folded_schema
    }

    /// Folded rows apart: those that are there, and the deleted ones.
    pub(crate) fn parted(&self, folded: &RecordBatch) -> Result<(RecordBatch, RecordBatch), Error> {
        let Some(condition) = &self.delete_when else { return Ok((folded.clone(), folded.slice(0, 0))) };
        let is_deleted = condition.evaluate(folded)?;
        let is_deleted: BooleanArray = is_deleted.as_boolean().iter().map(|deleted| Some(deleted == Some(true))).collect();
        let is_there = arrow::compute::not(&is_deleted).map_err(Error::arrow("find deleted rows"))?;
        let part = |mask| filter_record_batch(folded, mask).map_err(Error::arrow("find deleted rows"));
        Ok((part(&is_there)?, part(&is_deleted)?))
    }

    /// The statement that makes one row a key of rows of [`Self::folded_schema`], called [`FOLDING`].
    pub(crate) fn refold_sql(&self) -> &str {
        &self.refold.sql
    }

    /// For messages.
    pub(crate) fn place(&self) -> &str {
        &self.select.place
    }

    /// Key, folded and computed columns, in the table's order.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The raw columns that [`Self::select`] needs.
    pub(crate) fn reads(&self) -> &[String] {
        &self.reads
    }

    /// What the definition's SQL makes of raw rows, which have the columns of [`Self::reads`] at least; a key may be there more
    /// than once.
    pub async fn select(&self, raw: Vec<RecordBatch>) -> Result<RecordBatch, Error> {
        let selected = self.select.run(&self.raw_schema, raw).await?;
        let selected = selected.iter().map(|batch| self.folding(batch)).collect::<Result<Vec<_>, _>>()?;
        concat_batches(&self.folded_schema, &selected).map_err(Error::arrow("put rows together"))
    }

    /// One row per key out of rows of the batch and rows of the table.
    #[tracing::instrument(target = "profile", level = "trace", name = "fold", skip_all)]
    pub async fn fold(&self, rows: Vec<RecordBatch>) -> Result<RecordBatch, Error> {
        let folded = self.grouping.fold(rows)?;
        let Some(computed) = &self.computed else { return conformed(&folded, &self.schema) };
        let folded = computed.run(self.grouping.schema(), vec![folded]).await?;
        let folded = folded.iter().map(|batch| conformed(batch, &self.schema)).collect::<Result<Vec<_>, _>>()?;
        concat_batches(&self.schema, &folded).map_err(Error::arrow("put rows together"))
    }

    /// The columns that are folded, out of rows that have more (by name).
    pub fn folding(&self, rows: &RecordBatch) -> Result<RecordBatch, Error> {
        let columns = self
            .folded_schema
            .fields()
            .iter()
            .map(|field| {
                let column = rows.column_by_name(field.name()).expect("checked when compiled");
                let options = CastOptions { safe: false, ..CastOptions::default() };
                cast_with_options(column, field.data_type(), &options).map_err(Error::arrow("widen a column"))
            })
            .collect::<Result<_, _>>()?;
        RecordBatch::try_new(self.folded_schema.clone(), columns).map_err(Error::arrow("choose columns"))
    }
}

fn delete_when(definition: &UseCaseTable, schema: &SchemaRef) -> Result<Option<Expression>, Error> {
    let Some(sql) = &merge(definition).delete_when else { return Ok(None) };
    let name = format!("delete_when of use case {}", definition.name);
    let condition = Expression::compile(&name, sql, schema)?;
    if condition.data_type(schema)? != DataType::Boolean {
        return Err(Error::SqlShape { step: name, sql: sql.clone(), problem: "is not a condition".to_owned() });
    }
    Ok(Some(condition))
}

fn merge(definition: &UseCaseTable) -> &Merge {
    definition.merge().expect("only merged tables are folded")
}

/// The key and the folded columns, with the types that the SQL gives them. Every one of them must be there.
async fn folded_schema(definition: &UseCaseTable, select: &Statement, raw_schema: &SchemaRef) -> Result<SchemaRef, Error> {
    let yielded = select.output_schema(raw_schema).await?;
    let folded = merge(definition).columns.iter().filter(|column| !matches!(column.fold, Folding::Sql(_)));
    let wanted = definition.key.iter().map(|key| (key, false));
    let wanted = wanted.chain(folded.map(|column| (&column.name, column.fold == Folding::Sum)));
    let mut fields: Vec<Field> = Vec::new();
    for (name, is_sum) in wanted {
        let field = yielded.field_with_name(name).map_err(|_| Error::SqlShape {
            step: select.place.clone(),
            sql: one_line(&select.sql),
            problem: format!(
                "does not yield the column {name}; it yields {}",
                yielded.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ")
            ),
        })?;
        let data_type = if is_sum { summed(field.data_type()) } else { field.data_type().clone() };
        fields.push(Field::new(name, data_type, true));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// The type that a sum of sums of this type has, so that folding again fits what was stored.
pub(crate) fn summed(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => DataType::Int64,
        DataType::Float32 => DataType::Float64,
        DataType::Decimal128(_, scale) => DataType::Decimal128(DECIMAL128_MAX_PRECISION, *scale),
        other => other.clone(),
    }
}

/// How the columns of `folded_schema` are folded, to the types that the table has.
fn grouping(definition: &UseCaseTable, folded_schema: &Schema, schema: &Schema) -> Grouping {
    let typed = |field: &FieldRef| {
        let field = schema.field_with_name(field.name()).expect("the table has what is folded");
        field.clone()
    };
    let schema = Arc::new(Schema::new(folded_schema.fields().iter().map(typed).collect::<Vec<_>>()));
    let folds = merge(definition).columns.iter().map(|column| &column.fold).filter(|fold| !matches!(fold, Folding::Sql(_)));
    Grouping::new(schema, definition.key.len(), folds)
}

fn quoted(name: &String) -> String {
    format!("\"{name}\"")
}

/// Key, folded and computed columns in the table's order, out of the folded ones.
fn table_columns(definition: &UseCaseTable) -> Vec<String> {
    let column = |column: &UseCaseColumn| match &column.fold {
        // Its lines stay: a comment ends with its line.
        Folding::Sql(sql) => format!("(\n{sql}\n) AS {}", quoted(&column.name)),
        _ => quoted(&column.name),
    };
    definition.key.iter().map(quoted).chain(merge(definition).columns.iter().map(column)).collect()
}

/// `SELECT key, fold(column), expression(...) ... GROUP BY key`, in the table's order of columns.
fn fold_sql(definition: &UseCaseTable, folded_schema: &Schema) -> String {
    let mut inner: Vec<String> = definition.key.iter().map(quoted).collect();
    for column in &merge(definition).columns {
        let name = quoted(&column.name);
        let is_floating = folded_schema.field_with_name(&column.name).is_ok_and(|field| field.data_type().is_floating());
        let folded = match &column.fold {
            Folding::Min if is_floating => end(&name, "ASC"),
            Folding::Max if is_floating => end(&name, "DESC"),
            Folding::Min => format!("min({name})"),
            Folding::Max => format!("max({name})"),
            Folding::Sum => format!("sum({name})"),
            Folding::Any => format!("bool_or({name})"),
            Folding::All => format!("bool_and({name})"),
            Folding::FirstBy(by) => first(&name, &quoted(by), "ASC"),
            Folding::LastBy(by) => first(&name, &quoted(by), "DESC"),
            Folding::Sql(_) => continue,
        };
        inner.push(format!("{folded} AS {name}"));
    }
    let key = definition.key.iter().map(quoted).collect::<Vec<_>>().join(", ");
    let outer = table_columns(definition).join(", ");
    format!("SELECT {outer} FROM (SELECT {} FROM {FOLDING} GROUP BY {key}) AS {FOLDED}", inner.join(", "))
}

/// The least or the greatest value in the total order that [`Grouping`] has. The engine's `min` and `max` of floating-point numbers
/// have another one: they begin with the largest finite number, and keep whichever of two zeros comes first.
fn end(name: &str, direction: &str) -> String {
    format!("first_value({name} ORDER BY {name} {direction}) FILTER (WHERE {name} IS NOT NULL)")
}

/// The value at the first `by` in the given direction; ties by the value in the same direction, so that the order is total.
fn first(name: &str, by: &str, direction: &str) -> String {
    format!("first_value({name} ORDER BY {by} {direction}, {name} {direction} NULLS LAST) FILTER (WHERE {by} IS NOT NULL)")
}
