//! Rows of the lake as bytes to compare, and as text to show.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Schema, SchemaRef};
use arrow::row::{RowConverter, Rows, SortField};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::compare::digest;
use crate::error::Error;

/// How far two floating point numbers may be apart that were added up in another order.
const TOLERANCE: f64 = 1e-9;

/// What of a row is its key, and what its content.
pub(super) struct RowBytes {
    schema: SchemaRef,
    key: Vec<usize>,
    /// Columns whose value is computed by adding floating point numbers up.
    loose: Vec<usize>,
    keys: RowConverter,
    contents: RowConverter,
}

/// A batch in comparable form.
pub(super) struct Comparable {
    pub(super) keys: Rows,
    pub(super) contents: Rows,
}

impl RowBytes {
    pub(super) fn new(schema: &SchemaRef, key: &[String], loose: &[String]) -> Result<Self, Error> {
        let places = |names: &[String]| names.iter().filter_map(|name| schema.index_of(name).ok()).collect::<Vec<_>>();
        let (key, loose) = (places(key), places(loose));
        let sort = |field: &arrow::datatypes::FieldRef| SortField::new(field.data_type().clone());
        let keys = RowConverter::new(key.iter().map(|at| sort(&schema.fields()[*at])).collect());
        let contents = RowConverter::new(schema.fields().iter().map(sort).collect());
        let compare = || Error::arrow("compare rows");
        Ok(Self { schema: schema.clone(), key, loose, keys: keys.map_err(compare())?, contents: contents.map_err(compare())? })
    }

    /// The columns of the schema by name, in its types; null where the batch lacks one.
    pub(super) fn shaped(&self, rows: &RecordBatch) -> Result<RecordBatch, Error> {
        let column = |field: &arrow::datatypes::FieldRef| match rows.column_by_name(field.name()) {
            Some(column) if column.data_type() == field.data_type() => Ok(column.clone()),
            Some(column) => cast(column, field.data_type()),
            None => Ok(new_null_array(field.data_type(), rows.num_rows())),
        };
        let columns: Vec<ArrayRef> =
            self.schema.fields().iter().map(column).collect::<Result<_, _>>().map_err(Error::arrow("compare rows"))?;
        let relaxed = self.schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect::<Vec<_>>();
        RecordBatch::try_new(Arc::new(Schema::new(relaxed)), columns).map_err(Error::arrow("compare rows"))
    }

    /// `rows` are [`Self::shaped`].
    pub(super) fn comparable(&self, rows: &RecordBatch) -> Result<Comparable, Error> {
        let key: Vec<ArrayRef> = self.key.iter().map(|at| rows.column(*at).clone()).collect();
        let mut content = rows.columns().to_vec();
        for at in &self.loose {
            content[*at] = coarse(&content[*at]);
        }
        let compare = || Error::arrow("compare rows");
        let keys = self.keys.convert_columns(&key).map_err(compare())?;
        let contents = self.contents.convert_columns(&content).map_err(compare())?;
        Ok(Comparable { keys, contents })
    }

    pub(super) fn key_text(&self, rows: &RecordBatch, row: usize) -> String {
        let name = |at: &usize| format!("{}={}", self.schema.field(*at).name(), text(rows.column(*at), row));
        self.key.iter().map(name).collect::<Vec<_>>().join(", ")
    }

    /// The columns of two rows that differ beyond rounding, with both values.
    pub(super) fn differing(&self, should_be: (&RecordBatch, usize), is: (&RecordBatch, usize)) -> Vec<String> {
        let mut differing = Vec::new();
        for (at, field) in self.schema.fields().iter().enumerate() {
            let (a, b) = (should_be.0.column(at), is.0.column(at));
            let (wanted, found) = (a.slice(should_be.1, 1), b.slice(is.1, 1));
            if wanted.to_data() == found.to_data() || (self.loose.contains(&at) && is_close(&wanted, &found)) {
                continue;
            }
            differing.push(format!("{} is {}, should be {}", field.name(), text(b, is.1), text(a, should_be.1)));
        }
        differing
    }
}

/// A value for people, cut where it is long.
pub(super) fn text(column: &ArrayRef, row: usize) -> String {
    let options = FormatOptions::new().with_null("null");
    let text = ArrayFormatter::try_new(column.as_ref(), &options).and_then(|values| values.value(row).try_to_string());
    let text = text.unwrap_or_else(|_| "?".to_owned());
    if text.chars().count() > 60 { format!("{}...", text.chars().take(60).collect::<String>()) } else { text }
}

/// Numbers without their last bits, so that most that differ by the order of addition are equal; those on a border are looked
/// at again, with the tolerance.
fn coarse(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float64 => {
            let round =
                |value: f64| if value == 0.0 { 0.0 } else { f64::from_bits((value.to_bits() + (1 << 19)) & !((1 << 20) - 1)) };
            Arc::new(column.as_primitive::<Float64Type>().unary::<_, Float64Type>(round))
        }
        DataType::Float32 => {
            let round = |value: f32| if value == 0.0 { 0.0 } else { f32::from_bits((value.to_bits() + 8) & !15) };
            Arc::new(column.as_primitive::<Float32Type>().unary::<_, Float32Type>(round))
        }
        _ => column.clone(),
    }
}

fn is_close(a: &ArrayRef, b: &ArrayRef) -> bool {
    let number = |value: &ArrayRef| cast(value, &DataType::Float64).ok().filter(|value| value.is_valid(0));
    let (Some(a), Some(b)) = (number(a), number(b)) else { return false };
    let (a, b) = (a.as_primitive::<Float64Type>().value(0), b.as_primitive::<Float64Type>().value(0));
    (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
}

/// Rows that were picked out by their keys.
#[derive(Default)]
pub(super) struct Picked {
    pub(super) rows: Vec<RecordBatch>,
    pub(super) places: HashMap<u128, (usize, usize)>,
}

impl Picked {
    /// Keeps those of these rows that `is_wanted`, by their key.
    pub(super) fn pick(&mut self, bytes: &RowBytes, rows: &RecordBatch, is_wanted: impl Fn(u128) -> bool) -> Result<(), Error> {
        let keys = bytes.comparable(rows)?.keys;
        let mut taken = Vec::new();
        for (row, key) in (0_u32..).zip(keys.iter()) {
            let key = digest(key.as_ref());
            if is_wanted(key) {
                self.places.insert(key, (self.rows.len(), taken.len()));
                taken.push(row);
            }
        }
        if !taken.is_empty() {
            self.rows.push(take_record_batch(rows, &UInt32Array::from(taken)).map_err(Error::arrow("take rows"))?);
        }
        Ok(())
    }

    pub(super) fn get(&self, key: u128) -> Option<(&RecordBatch, usize)> {
        self.places.get(&key).map(|(batch, row)| (&self.rows[*batch], *row))
    }
}
