//! A raw table: computed columns and checks.

use arrow::compute::can_cast_types;
use arrow::datatypes::{DataType, Field, Schema};
use model::definition::{ColumnSource, ColumnType, OnFailure, OnNull, RawTable};

use super::{Inspection, Part, path};
use crate::decode::arrow_type;
use crate::raw::shape;
use crate::sql::{Expression, type_name};

/// Looks at a raw table's expressions.
pub fn raw(table: &RawTable) -> Inspection {
    let mut found = Inspection { schema: Some(shape(table).schema), ..Inspection::default() };
    let field = |column: &model::definition::Column| Field::new(&column.name, arrow_type(&column.data_type), column.nullable);
    let is_read = |column: &&model::definition::Column| matches!(column.source, ColumnSource::Field(_));
    let fields = Schema::new(table.columns.iter().filter(is_read).map(field).collect::<Vec<_>>());
    let whole = Schema::new(table.columns.iter().map(field).collect::<Vec<_>>());
    let computed = table.columns.iter().filter(|column| !is_read(column));
    let out_of_reach: Vec<(String, String)> = computed
        .map(|column| {
            (column.name.clone(), format!("`{}` is computed itself; only columns that are fields can be used", column.name))
        })
        .collect();

    for column in &table.columns {
        if column.data_type == ColumnType::Boolean || column.one_of.is_some() {
            found.few_values.insert(column.name.clone());
        }
        let ColumnSource::Sql(sql) = &column.source else { continue };
        let at = |range| Part::InText(path(["columns", &column.name, "sql"]), range);
        match Expression::inspect(&column.name, sql, &fields, out_of_reach.clone()) {
            Err(mistakes) => found.mistakes(mistakes, at),
            Ok(expression) => {
                let (yields, wanted) = (expression.data_type(&fields).ok(), arrow_type(&column.data_type));
                if let Some(yields) = yields.filter(|yields| !can_cast_types(yields, &wanted)) {
                    let message =
                        format!("this yields a {}, which cannot become a {}", type_name(&yields), column.data_type.text());
                    found.error(at(0..sql.len()), message, None);
                }
            }
        }
    }
    for (index, check) in table.checks.iter().enumerate() {
        let at = |range| Part::InText(path(["checks", &index.to_string(), "sql"]), range);
        match Expression::inspect(&check.name, &check.sql, &whole, Vec::new()) {
            Err(mistakes) => found.mistakes(mistakes, at),
            Ok(condition) => match condition.data_type(&whole) {
                Ok(DataType::Boolean) if check.on_failure != OnFailure::Warn && check.null == OnNull::Fail => {
                    found.facts.hold(&condition);
                }
                Ok(DataType::Boolean) => {}
                other => {
                    let yields = other.map_or("something else".to_owned(), |other| format!("a {}", type_name(&other)));
                    let hint = "write a condition, as in `amount > 0`".to_owned();
                    found.error(at(0..check.sql.len()), format!("this is no condition: it yields {yields}"), Some(hint));
                }
            },
        }
    }
    found
}
