//! Single rows by their primary key, with when each of their values was written.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::{Error, WriteTimes};
use crate::connect::Store;
use crate::cql::{self, CqlType};
use crate::schema::{Existing, Role};

impl Store {
    /// The row of `table` that has the primary key of row `row` of `rows`, which has its columns by name; `None` where there is
    /// none. The batch has one row, and a column `writetime(NAME)` after each column outside the key.
    pub async fn find(&self, table: &str, rows: &RecordBatch, row: usize) -> Result<Option<RecordBatch>, Error> {
        let condition = |existing: &Existing| {
            let key = existing.columns.iter().filter(|column| matches!(column.role, Role::Partition | Role::Clustering(_)));
            let terms = key.map(|column| {
                let wrong = || Error::Value { table: self.full_name(table), column: column.name.clone() };
                let cql_type = CqlType::parse(column.cql_type.as_str()).ok_or_else(wrong)?;
                let literal = literal(rows, row, &column.name, cql_type).ok_or_else(wrong)?;
                Ok(format!("{} = {literal}", cql::name(&column.name)))
            });
            Ok(format!(" WHERE {}", terms.collect::<Result<Vec<_>, Error>>()?.join(" AND ")))
        };
        self.select(table, WriteTimes::Include, condition).await?.next().await
    }
}

/// The value as CQL has it; `None` where there is none, or none of that type.
fn literal(rows: &RecordBatch, row: usize, name: &str, cql_type: CqlType) -> Option<String> {
    let column = rows.column_by_name(name).filter(|column| column.is_valid(row))?;
    if let (CqlType::Timestamp, DataType::Timestamp(_, _)) = (cql_type, column.data_type()) {
        let micros = column.as_primitive_opt::<TimestampMicrosecondType>()?.value(row);
        return Some(micros.div_euclid(1000).to_string());
    }
    let value = ArrayFormatter::try_new(column, &FormatOptions::default()).ok()?.value(row).to_string();
    let is_word = || value.chars().all(|letter| letter.is_ascii_alphanumeric() || ['+', '-', '.'].contains(&letter));
    match cql_type {
        CqlType::Text | CqlType::Ascii | CqlType::Date => Some(cql::text(&value)),
        CqlType::Blob => is_word().then(|| format!("0x{value}")),
        _ => (is_word() && !value.is_empty()).then_some(value),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray, TimestampMicrosecondArray};

    use super::*;

    #[test]
    fn values_are_written_as_their_types_ask_and_never_as_something_else() {
        let times = TimestampMicrosecondArray::from(vec![-1]).with_timezone("UTC");
        let columns = [
            ("text", Arc::new(StringArray::from(vec!["it's"])) as ArrayRef),
            ("at", Arc::new(times)),
            ("id", Arc::new(StringArray::from(vec!["0b8e2f6a-9c1d-4e5f-8a7b-0123456789ab"]))),
            ("none", Arc::new(StringArray::from(vec![None::<&str>]))),
        ];
        let rows =
            RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap();
        let literal = |name: &str, cql_type| literal(&rows, 0, name, cql_type);
        assert_eq!(literal("text", CqlType::Text).unwrap(), "'it''s'");
        assert_eq!(literal("at", CqlType::Timestamp).unwrap(), "-1");
        assert_eq!(literal("id", CqlType::Uuid).unwrap(), "0b8e2f6a-9c1d-4e5f-8a7b-0123456789ab");
        assert_eq!(literal("text", CqlType::Uuid), None);
        assert_eq!((literal("none", CqlType::Text), literal("gone", CqlType::Text)), (None, None));
    }
}
