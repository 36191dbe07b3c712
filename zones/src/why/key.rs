//! Values of columns that say which rows are meant.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast_with_options, concat_batches};
use arrow::datatypes::{DataType, Schema};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::query::GroupSet;
use crate::sql::{beginning, type_name};

/// Columns and the values that they are to have: one row at least, and one column.
#[derive(Debug, Clone)]
pub struct Key {
    rows: RecordBatch,
}

impl Key {
    /// Reads the values as the columns of `schema` have them; each column must be there.
    pub fn parse(schema: &Schema, pairs: &[(String, String)]) -> Result<Self, Error> {
        let value = |(name, text): &(String, String)| {
            let field = schema.field_with_name(name).map_err(|_| unfit(text, &format!("there is no column `{name}`")))?;
            Ok((name.clone(), typed(name, text, field.data_type())?, true))
        };
        let columns = pairs.iter().map(value).collect::<Result<Vec<_>, Error>>()?;
        let rows = RecordBatch::try_from_iter_with_nullable(columns).map_err(Error::arrow("find a row"))?;
        Ok(Self { rows })
    }

    /// The keys of rows that have these columns; `None` where there is no row.
    pub fn of_rows(rows: &[RecordBatch], columns: &[String]) -> Result<Option<Self>, Error> {
        let Some(first) = rows.first() else { return Ok(None) };
        let whole = concat_batches(&first.schema(), rows).map_err(Error::arrow("find a row"))?;
        let places: Vec<usize> = columns.iter().filter_map(|name| whole.schema_ref().index_of(name).ok()).collect();
        let rows = whole.project(&places).map_err(Error::arrow("find a row"))?;
        Ok((rows.num_rows() > 0).then_some(Self { rows }))
    }

    /// The values, a row for each key.
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// The columns, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.rows.schema_ref().fields().iter().map(|field| field.name().as_str())
    }

    /// The values of some of the columns, by their places.
    pub(super) fn set(&self, places: &[usize]) -> Result<GroupSet, Error> {
        let in_find = || Error::arrow("find a row");
        let mut set = GroupSet::new(places.to_vec(), self.rows.schema_ref()).map_err(in_find())?;
        let columns: Vec<ArrayRef> = places.iter().map(|place| self.rows.column(*place).clone()).collect();
        set.insert(&columns).map_err(in_find())?;
        Ok(set)
    }

    /// Which of the rows have these values.
    pub(super) fn matches(&self, rows: &RecordBatch) -> Result<BooleanArray, Error> {
        let column = |name: &str| rows.column_by_name(name).expect("the columns were found when the key was read").clone();
        let columns: Vec<ArrayRef> = self.names().map(column).collect();
        let places: Vec<usize> = (0..columns.len()).collect();
        self.set(&places)?.contains(&columns).map_err(Error::arrow("find a row"))
    }
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
