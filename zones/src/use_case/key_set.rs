//! Keys in the form in which they can be compared.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};

use crate::error::Error;
use crate::raw::indices;
use crate::row_keys::RowKeys;

/// For columns of this schema.
pub(super) fn converter(schema: &Schema, columns: &[usize]) -> Result<RowConverter, ArrowError> {
    let fields = columns.iter().map(|index| SortField::new(schema.field(*index).data_type().clone())).collect();
    RowConverter::new(fields)
}

/// The keys of rows.
pub(super) fn converted(converter: &RowConverter, names: &[String], rows: &RecordBatch) -> Result<Rows, Error> {
    let columns: Vec<ArrayRef> = indices(rows, names).into_iter().map(|index| rows.column(index).clone()).collect();
    converter.convert_columns(&columns).map_err(Error::arrow("compare keys"))
}

/// Keys of a batch, for exact membership.
pub(super) struct KeySet {
    converter: RowConverter,
    names: Vec<String>,
    keys: RowKeys,
}

impl KeySet {
    pub(super) fn of(rows: &RecordBatch, names: &[String]) -> Result<Self, Error> {
        let columns = indices(rows, names);
        let converter = converter(rows.schema_ref(), &columns).map_err(Error::arrow("compare keys"))?;
        let keys = RowKeys::all(converted(&converter, names, rows)?);
        Ok(Self { converter, names: names.to_vec(), keys })
    }

    /// The keys of rows in comparable form.
    pub(super) fn bytes(&self, rows: &RecordBatch) -> Result<Vec<Box<[u8]>>, Error> {
        Ok(converted(&self.converter, &self.names, rows)?.iter().map(|key| Box::from(key.as_ref())).collect())
    }

    /// Which rows have a key of the set.
    pub(super) fn matches(&self, rows: &RecordBatch) -> Result<Vec<bool>, Error> {
        let keys = converted(&self.converter, &self.names, rows)?;
        Ok(keys.iter().map(|key| self.keys.with(key.as_ref()).next().is_some()).collect())
    }
}
