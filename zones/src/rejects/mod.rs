//! Looking at the quarantine: which of its records are meant, in groups by what is wrong with them, or one by one.
//!
//! Reads one version of the table, file by file; writes nothing and locks nothing. Memory holds one batch of records and, of
//! groups, [`MOST_GROUPS`] at most: what is beyond them is counted under its reason alone.

mod groups;
mod list;
mod loads;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;

use crate::error::Error;
use crate::quarantine::shape;
use crate::sql::{Expression, beginning};

pub use groups::{Group, MOST_GROUPS, groups};
pub use list::{Held, held, shown};
pub use loads::{Load, loads};

/// Which records are meant; without any condition all of them.
#[derive(Default)]
pub struct Filter {
    /// The raw table that they were meant for.
    pub table: Option<String>,
    /// A part of the reason or of its detail, in any case.
    pub reason: Option<String>,
    condition: Option<Expression>,
}

impl Filter {
    /// `condition` is SQL over the columns of the quarantine table.
    pub fn new(table: Option<String>, reason: Option<&str>, condition: Option<&str>) -> Result<Self, Error> {
        let compile = |sql: &str| {
            let schema = shape("").schema;
            let wrong = |mistakes| Error::Planning { step: "--where".to_owned(), text: sql.to_owned(), mistakes };
            let compiled = Expression::inspect("--where", sql, &schema, Vec::new()).map_err(wrong)?;
            if compiled.data_type(&schema)? != DataType::Boolean {
                return Err(wrong(vec![beginning(sql, "this is not a condition")]));
            }
            Ok(compiled)
        };
        Ok(Self { table, reason: reason.map(str::to_lowercase), condition: condition.map(compile).transpose()? })
    }

    /// Whether each of the rows is meant.
    pub(crate) fn holds(&self, rows: &RecordBatch) -> Result<Vec<bool>, Error> {
        let mut holds = vec![true; rows.num_rows()];
        if let Some(condition) = &self.condition {
            let values = condition.evaluate(rows)?;
            let values = values.as_boolean();
            for (row, holds) in holds.iter_mut().enumerate() {
                *holds &= values.is_valid(row) && values.value(row);
            }
        }
        if let Some(table) = &self.table {
            let tables = text(rows, "raw_table");
            for (row, holds) in holds.iter_mut().enumerate() {
                *holds &= tables.value(row) == table;
            }
        }
        if let Some(wanted) = &self.reason {
            let (reasons, details) = (text(rows, "reason"), text(rows, "detail"));
            for (row, holds) in holds.iter_mut().enumerate() {
                *holds &= reasons.value(row).contains(wanted) || details.value(row).to_lowercase().contains(wanted);
            }
        }
        Ok(holds)
    }
}

/// A column of text of the quarantine table.
pub(crate) fn text<'r>(rows: &'r RecordBatch, name: &str) -> &'r arrow::array::StringArray {
    rows.column_by_name(name).expect("the quarantine has this column").as_string()
}

/// A column of numbers of the quarantine table.
pub(crate) fn numbers<'r>(rows: &'r RecordBatch, name: &str) -> &'r arrow::array::Int64Array {
    rows.column_by_name(name).expect("the quarantine has this column").as_primitive()
}

/// The instants of the quarantine table, in microseconds.
pub(crate) fn instants(rows: &RecordBatch) -> &arrow::array::TimestampMicrosecondArray {
    rows.column_by_name("rejected_at").expect("the quarantine has this column").as_primitive()
}

/// The records of the quarantine table.
pub(crate) fn records(rows: &RecordBatch) -> &arrow::array::BinaryArray {
    rows.column_by_name("record").expect("the quarantine has this column").as_binary()
}

/// Whether the record's whole file was stopped.
pub(crate) fn stopped(rows: &RecordBatch) -> &arrow::array::BooleanArray {
    rows.column_by_name("is_stopped").expect("the quarantine has this column").as_boolean()
}
