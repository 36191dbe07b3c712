//! Arrow to CQL, without an object per row or value.
//!
//! A batch is made ready column by column; then each row is appended to one growing buffer as the values of a statement, exactly
//! as the protocol carries them (length, bytes). The primary key comes first, so its bytes are also what rows are compared
//! and grouped by: two times that differ only in their microseconds are one key here, as they are in Cassandra.
//!
//! Never: leaves a row out. A value that cannot be written is an error that names the table, the column and the row's key.

mod column;
mod wire;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use model::{Classify, Failure};

pub use column::Problem;
pub(crate) use column::can_encode;
pub(crate) use wire::{WireRow, WriteTime, append_cell, cells, first_value, has_unset, present_values};

use crate::schema::{Column, Role, TableDesign};
use column::{Cells, NULL, NotReady, UNSET};

/// The longest partition key, and the longest value of a clustering key (`FBUtilities.MAX_UNSIGNED_SHORT`).
const MAX_KEY_BYTES: usize = 65_535;

/// What happens to a column outside the key whose value is null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// It is written, so that a value from before disappears. Right for every origin whose rows change.
    Write,
    /// It is left as it is, which spares a tombstone. Right only where a key is never written twice with different values.
    Unset,
}

/// How long the parts of an encoded row are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowLayout {
    pub(crate) partition: usize,
    pub(crate) key: usize,
}

/// A batch whose rows can be appended to a buffer.
pub(crate) struct Rows<'a> {
    design: &'a TableDesign,
    batch: &'a RecordBatch,
    cells: Vec<Cells>,
    nulls: Nulls,
}

impl<'a> Rows<'a> {
    /// Rows with all columns of the table.
    pub(crate) fn of_upserts(design: &'a TableDesign, batch: &'a RecordBatch, nulls: Nulls) -> Result<Self, Error> {
        Self::of(design, &design.columns, batch, nulls)
    }

    /// Rows with the columns of the primary key only; `batch` may hold others.
    pub(crate) fn of_keys(design: &'a TableDesign, batch: &'a RecordBatch) -> Result<Self, Error> {
        Self::of(design, &design.columns[..design.key_len()], batch, Nulls::Write)
    }

    fn of(design: &'a TableDesign, columns: &[Column], batch: &'a RecordBatch, nulls: Nulls) -> Result<Self, Error> {
        let mut cells = Vec::with_capacity(columns.len());
        for column in columns {
            let mismatch = |found: String| Error::Schema {
                table: design.name.clone(),
                column: column.name.clone(),
                wanted: column.cql_type.to_string(),
                found,
            };
            let array = batch.column_by_name(&column.name).ok_or_else(|| mismatch("no such column".to_owned()))?;
            if !can_encode(array.data_type(), column.cql_type) {
                return Err(mismatch(array.data_type().to_string()));
            }
            cells.push(Cells::ready(array, column.cql_type).map_err(|error| match error {
                NotReady::Row(row) => row_error(design, batch, row, column, Problem::OutOfRange(show(array.as_ref(), row))),
                NotReady::Type(error) => mismatch(error.to_string()),
            })?);
        }
        Ok(Self { design, batch, cells, nulls })
    }

    pub(crate) fn len(&self) -> usize {
        self.batch.num_rows()
    }

    /// Appends the values of `row`.
    pub(crate) fn append(&self, row: usize, out: &mut Vec<u8>) -> Result<RowLayout, Error> {
        let start = out.len();
        let mut layout = RowLayout { partition: 0, key: 0 };
        for (cells, column) in self.cells.iter().zip(&self.design.columns) {
            let fail = |problem| row_error(self.design, self.batch, row, column, problem);
            let before = out.len();
            if !cells.is_null(row) {
                cells.write(row, out).map_err(fail)?;
            } else if column.role == Role::Regular {
                let length = if self.nulls == Nulls::Write { NULL } else { UNSET };
                out.extend_from_slice(&length.to_be_bytes());
            } else {
                return Err(fail(Problem::NullKey));
            }
            match column.role {
                Role::Partition => {
                    layout.partition = out.len() - start;
                    layout.key = layout.partition;
                    if layout.partition > MAX_KEY_BYTES {
                        return Err(fail(Problem::LongKey));
                    }
                    if out.len() - before == size_of::<i32>() && self.design.partition_len() == 1 {
                        return Err(fail(Problem::EmptyKey));
                    }
                }
                Role::Clustering(_) => {
                    layout.key = out.len() - start;
                    if out.len() - before - size_of::<i32>() > MAX_KEY_BYTES {
                        return Err(fail(Problem::LongKey));
                    }
                }
                Role::Regular => {}
            }
        }
        Ok(layout)
    }
}

/// Where the parts of a row end that is encoded already, or of its key alone.
pub(crate) fn layout_of(values: &[u8], design: &TableDesign) -> RowLayout {
    let ends: Vec<usize> = cells(values)
        .scan(0, |end, cell| {
            *end += size_of::<i32>() + cell.map_or(0, <[u8]>::len);
            Some(*end)
        })
        .collect();
    RowLayout { partition: ends[design.partition_len() - 1], key: ends[design.key_len() - 1] }
}

fn row_error(design: &TableDesign, batch: &RecordBatch, row: usize, column: &Column, problem: Problem) -> Error {
    let key = design.columns[..design.key_len()].iter().map(|column| {
        let value = batch.column_by_name(&column.name).map_or_else(|| "?".to_owned(), |array| show(array.as_ref(), row));
        format!("{}={value}", column.name)
    });
    Error::Row { table: design.name.clone(), column: column.name.clone(), key: key.collect::<Vec<_>>().join(", "), problem }
}

fn show(array: &dyn arrow::array::Array, row: usize) -> String {
    let options = FormatOptions::new().with_null("null");
    ArrayFormatter::try_new(array, &options)
        .and_then(|formatter| formatter.value(row).try_to_string())
        .unwrap_or_else(|_| "?".to_owned())
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{column} of {table} cannot be written in the row {key}")]
    Row {
        table: String,
        column: String,
        /// The primary key of the row, as `name=value` parted by commas.
        key: String,
        #[source]
        problem: Problem,
    },
    #[error("{column} of {table} should come as something to write as {wanted}, not as: {found}")]
    Schema { table: String, column: String, wanted: String, found: String },
}

impl Classify for Error {
    fn failure(&self) -> Failure {
        match self {
            Self::Row { .. } => Failure::Data,
            Self::Schema { .. } => Failure::Bug,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Row { problem: Problem::NullKey | Problem::EmptyKey, table, column, .. } => Some(format!(
                "leave such rows out in the SQL of {table} (WHERE {column} IS NOT NULL), or give them a value there (coalesce)"
            )),
            Self::Row { table, .. } => {
                Some(format!("set such rows aside with a check on the raw table, or convert the value in the SQL of {table}"))
            }
            Self::Schema { .. } => None,
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
