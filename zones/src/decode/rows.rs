//! Rows that are columns already: found by path, cast to the contract's types.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch,
    StringArray, StringBuilder, StructArray, UInt32Array, make_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow_json::writer::{EncoderOptions, make_encoder};
use model::definition::{ColumnType, FieldPath, Step};

use super::cast::{Refusal, Value};
use super::columns::ColumnBuilder;
use super::fields::{Columnwise, Fields, Places};
use super::{Decoded, Drift};

/// Some rows of one entry.
#[derive(Debug)]
pub struct RowBlock {
    pub entry: Arc<str>,
    /// Number of the first row, from 1.
    pub first_row: u64,
    pub rows: RecordBatch,
}

impl RowBlock {
    /// Each row as a JSON object.
    pub(super) fn records(&self) -> Vec<String> {
        let all = json(&whole(&self.rows), true);
        (0..self.rows.num_rows()).map(|row| all.value(row).to_owned()).collect()
    }

    /// A row as a JSON object.
    pub(super) fn record(&self, row: usize) -> Vec<u8> {
        json(&whole(&self.rows.slice(row, 1)), true).value(0).as_bytes().to_vec()
    }
}

/// Decodes a block, column by column.
pub(super) fn decode(fields: &Fields, block: &RowBlock) -> Decoded {
    let count = block.rows.num_rows();
    let mut columnwise = Columnwise::new(count);
    let mut drift = Drift::default();
    let mut arrays = Vec::with_capacity(fields.casters.len());
    for (caster, path) in fields.casters.iter().zip(&fields.paths) {
        let mut builder = ColumnBuilder::new(caster.data_type());
        match find(&block.rows, path) {
            Reached::Column(column) => {
                let values = Values::of(&column, caster.data_type());
                // Of a dictionary the values may be null, too.
                let nulls = column.logical_nulls();
                for row in 0..count {
                    let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
                    let cell = if is_null { caster.null() } else { caster.value(values.get(row)) };
                    columnwise.append(row, cell, &mut builder);
                }
            }
            Reached::Nothing => {
                drift.missing.entry(path.to_string()).or_insert(count as u64);
                for row in 0..count {
                    columnwise.append(row, caster.null(), &mut builder);
                }
            }
            Reached::WrongWay(what) => {
                for row in 0..count {
                    columnwise.append(row, Err(Refusal::wrong_way(caster.name(), what)), &mut builder);
                }
            }
        }
        arrays.push(builder.finish());
    }
    let schema = block.rows.schema_ref();
    let unknown: Vec<usize> =
        (0..schema.fields().len()).filter(|place| !fields.names.contains(schema.field(*place).name())).collect();
    for place in &unknown {
        drift.count_unknown(schema.field(*place).name(), count as u64);
    }
    let unknown = fields.keeps_unknown().then(|| {
        let objects = json(&whole(&block.rows.project(&unknown).expect("columns that are there")), false);
        // An object without members says that every one of them is null.
        objects.iter().map(|object| object.filter(|object| *object != "{}")).collect()
    });
    let place = |row: usize| (block.first_row + row as u64, row..row + 1);
    let places = Places { entry: &block.entry, place: &place, bytes: &|span: &Range<usize>| block.record(span.start) };
    columnwise.finish(fields, &places, arrays, unknown, drift, Vec::new())
}

fn whole(rows: &RecordBatch) -> ArrayRef {
    Arc::new(StructArray::from(rows.clone()))
}

/// What is at the end of a path.
enum Reached {
    Column(ArrayRef),
    Nothing,
    WrongWay(&'static str),
}

fn find(rows: &RecordBatch, path: &FieldPath) -> Reached {
    let Some(column) = rows.column_by_name(path.first()) else { return Reached::Nothing };
    let mut column = column.clone();
    for step in &path.steps[1..] {
        column = match (step, column.data_type()) {
            (Step::Field(name), DataType::Struct(_)) => {
                let structure = column.as_struct();
                let Some(member) = structure.column_by_name(name) else { return Reached::Nothing };
                // A member of nothing is nothing.
                let nulls = NullBuffer::union(structure.nulls(), member.logical_nulls().as_ref());
                match member.to_data().into_builder().nulls(nulls).build() {
                    Ok(data) => make_array(data),
                    Err(_) => return Reached::WrongWay("a column of nulls"),
                }
            }
            (Step::Index(index), DataType::List(_)) => match element(&column, *index) {
                Ok(element) => element,
                Err(_) => return Reached::WrongWay("a list that cannot be taken apart"),
            },
            (Step::Index(index), DataType::LargeList(field)) => {
                let list = cast(&column, &DataType::List(field.clone()));
                match list.and_then(|list| element(&list, *index)) {
                    Ok(element) => element,
                    Err(_) => return Reached::WrongWay("a list that cannot be taken apart"),
                }
            }
            (Step::Field(_), DataType::List(_) | DataType::LargeList(_)) => return Reached::WrongWay("an object that is a list"),
            (Step::Index(_), DataType::Struct(_)) => return Reached::WrongWay("a list that is an object"),
            _ => return Reached::WrongWay("a value that is neither an object nor a list"),
        };
    }
    Reached::Column(column)
}

/// One element of each list; null where a list is shorter.
fn element(column: &ArrayRef, index: usize) -> Result<ArrayRef, ArrowError> {
    let list = column.as_list::<i32>();
    let places: UInt32Array = (0..list.len())
        .map(|row| {
            let is_there = list.is_valid(row) && index < usize::try_from(list.value_length(row)).unwrap_or(0);
            let first = usize::try_from(list.value_offsets()[row]).unwrap_or(0);
            if is_there { u32::try_from(first + index).ok() } else { None }
        })
        .collect();
    take(list.values(), &places, None)
}

/// A column in one of few types.
enum Values {
    Booleans(BooleanArray),
    Integers(Int64Array),
    Floats(Float64Array),
    Decimals(Decimal128Array, i8),
    Texts(StringArray),
    Bytes(BinaryArray),
    Dates(Date32Array),
    Times { values: Int64Array, unit: TimeUnit, is_instant: bool },
    Nested(StringArray),
}

impl Values {
    fn of(column: &ArrayRef, wanted: &ColumnType) -> Self {
        use DataType as D;
        let to = |data_type: &DataType| cast(column, data_type).expect("a cast that loses nothing");
        if matches!(wanted, ColumnType::Json) {
            return Self::Nested(json(column, true));
        }
        match column.data_type() {
            D::Boolean => Self::Booleans(column.as_boolean().clone()),
            D::Int8 | D::Int16 | D::Int32 | D::Int64 | D::UInt8 | D::UInt16 | D::UInt32 => {
                Self::Integers(to(&D::Int64).as_primitive().clone())
            }
            D::UInt64 => Self::Decimals(to(&D::Decimal128(20, 0)).as_primitive().clone(), 0),
            D::Float16 | D::Float32 | D::Float64 => Self::Floats(to(&D::Float64).as_primitive().clone()),
            D::Decimal32(_, scale) | D::Decimal64(_, scale) | D::Decimal128(_, scale) => {
                Self::Decimals(to(&D::Decimal128(38, *scale)).as_primitive().clone(), *scale)
            }
            D::Utf8 | D::LargeUtf8 | D::Utf8View => Self::Texts(to(&D::Utf8).as_string().clone()),
            D::Binary | D::LargeBinary | D::BinaryView | D::FixedSizeBinary(_) => Self::Bytes(to(&D::Binary).as_binary().clone()),
            D::Date32 => Self::Dates(column.as_primitive().clone()),
            D::Timestamp(unit, zone) => {
                Self::Times { values: to(&D::Int64).as_primitive().clone(), unit: *unit, is_instant: zone.is_some() }
            }
            D::Dictionary(_, values) => Self::of(&to(values), wanted),
            data_type if data_type.is_nested() => Self::Nested(json(column, true)),
            // Times of day, intervals and whatever else there is: as they are shown.
            _ => Self::Texts(shown(column)),
        }
    }

    fn get(&self, row: usize) -> Value<'_> {
        match self {
            Self::Booleans(values) => Value::Boolean(values.value(row)),
            Self::Integers(values) => Value::Integer(values.value(row)),
            Self::Floats(values) => Value::Float(values.value(row)),
            Self::Decimals(values, scale) => Value::Decimal(values.value(row), *scale),
            Self::Texts(values) => Value::Text(values.value(row)),
            Self::Bytes(values) => Value::Bytes(values.value(row)),
            Self::Dates(values) => Value::Date(values.value(row)),
            Self::Times { values, unit, is_instant } => {
                Value::Time { value: values.value(row), unit: *unit, is_instant: *is_instant }
            }
            Self::Nested(values) => Value::Nested(values.value(row)),
        }
    }
}

fn shown(column: &ArrayRef) -> StringArray {
    let options = FormatOptions::default();
    let Ok(formatter) = ArrayFormatter::try_new(column, &options) else { return StringArray::new_null(column.len()) };
    (0..column.len()).map(|row| column.is_valid(row).then(|| formatter.value(row).to_string())).collect()
}

/// Each value as JSON text.
fn json(column: &ArrayRef, explicit_nulls: bool) -> StringArray {
    let options = EncoderOptions::default().with_explicit_nulls(explicit_nulls);
    let field: FieldRef = Arc::new(Field::new("value", column.data_type().clone(), true));
    let Ok(mut encoder) = make_encoder(&field, column, &options) else {
        // What JSON has no form for is shown as text.
        return shown(column).iter().map(|text| text.map(super::json_lines::json_string)).collect();
    };
    let mut builder = StringBuilder::new();
    let mut text = Vec::new();
    for row in 0..column.len() {
        if encoder.is_null(row) {
            builder.append_null();
            continue;
        }
        text.clear();
        encoder.encode(row, &mut text);
        builder.append_value(String::from_utf8_lossy(&text));
    }
    builder.finish()
}

#[cfg(test)]
mod tests;
