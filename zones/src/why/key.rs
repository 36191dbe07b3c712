//! Values of columns that say which row is meant.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, Scalar, StringArray};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{CastOptions, and, cast_with_options};
use arrow::datatypes::{DataType, Schema};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::sql::{beginning, type_name};

/// Columns and the values that they are to have; one at least.
#[derive(Debug, Clone)]
pub struct Key {
    columns: Vec<(String, ArrayRef)>,
}

impl Key {
    /// Reads the values as the columns of `schema` have them; each column must be there.
    pub fn parse(schema: &Schema, pairs: &[(String, String)]) -> Result<Self, Error> {
        let value = |(name, text): &(String, String)| {
            let field = schema.field_with_name(name).map_err(|_| unfit(text, &format!("there is no column `{name}`")))?;
            Ok((name.clone(), typed(name, text, field.data_type())?))
        };
        Ok(Self { columns: pairs.iter().map(value).collect::<Result<_, Error>>()? })
    }

    /// One row of the columns.
    pub fn rows(&self) -> RecordBatch {
        RecordBatch::try_from_iter(self.columns.iter().map(|(name, value)| (name.as_str(), value.clone())))
            .expect("columns of one row each")
    }

    pub(super) fn value(&self, name: &str) -> Option<&ArrayRef> {
        self.columns.iter().find(|(column, _)| column == name).map(|(_, value)| value)
    }

    pub(super) fn columns(&self) -> &[(String, ArrayRef)] {
        &self.columns
    }

    /// Which of the rows have these values.
    pub(super) fn matches(&self, rows: &RecordBatch) -> Result<BooleanArray, Error> {
        let mut matching = BooleanArray::from(vec![true; rows.num_rows()]);
        for (name, value) in &self.columns {
            let column = rows.column_by_name(name).expect("the columns were found when the key was read");
            let equal = equal(column, value)?;
            matching = and(&matching, &equal).map_err(Error::arrow("find a row"))?;
        }
        Ok(matching)
    }
}

/// Which values of a column are this one.
pub(super) fn equal(column: &ArrayRef, value: &ArrayRef) -> Result<BooleanArray, Error> {
    let in_find = || Error::arrow("find a row");
    let options = CastOptions::default();
    let value = cast_with_options(value, column.data_type(), &options).map_err(in_find())?;
    not_distinct(column, &Scalar::new(value)).map_err(in_find())
}

fn typed(name: &str, text: &str, data_type: &DataType) -> Result<ArrayRef, Error> {
    let written: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&written, data_type, &strict)
        .map_err(|_| unfit(text, &format!("`{name}` is a {}, and this is none", type_name(data_type))))
}

fn unfit(text: &str, message: &str) -> Error {
    Error::Planning { step: "the key".to_owned(), text: text.to_owned(), mistakes: vec![beginning(text, message)] }
}

/// Each row as a JSON object, missing values as nulls.
pub fn json(rows: &RecordBatch) -> Result<Vec<Map<String, Value>>, Error> {
    let mut writer = arrow_json::writer::WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, arrow_json::writer::LineDelimited>(Vec::new());
    writer.write(rows).and_then(|()| writer.finish()).map_err(Error::arrow("show rows"))?;
    let lines = writer.into_inner();
    let parsed = serde_json::Deserializer::from_slice(&lines).into_iter::<Map<String, Value>>();
    Ok(parsed.map(|row| row.expect("the writer yields objects")).collect())
}
