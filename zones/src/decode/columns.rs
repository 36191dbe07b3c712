//! Builders of the contract's columns, and the Arrow types that they yield.

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder, Int8Builder,
    Int16Builder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, TimeUnit};
use model::definition::ColumnType;
use std::sync::Arc;

use super::cast::Cell;

/// The Arrow type in which a column is stored.
pub fn arrow_type(data_type: &ColumnType) -> DataType {
    match data_type {
        ColumnType::String | ColumnType::Uuid | ColumnType::Json => DataType::Utf8,
        ColumnType::Binary => DataType::Binary,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Int8 => DataType::Int8,
        ColumnType::Int16 => DataType::Int16,
        ColumnType::Int32 => DataType::Int32,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Float32 => DataType::Float32,
        ColumnType::Float64 => DataType::Float64,
        ColumnType::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale),
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

pub(super) enum ColumnBuilder {
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Boolean(BooleanBuilder),
    Int8(Int8Builder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl ColumnBuilder {
    pub(super) fn new(data_type: &ColumnType) -> Self {
        match data_type {
            ColumnType::String | ColumnType::Uuid | ColumnType::Json => Self::Text(StringBuilder::new()),
            ColumnType::Binary => Self::Bytes(BinaryBuilder::new()),
            ColumnType::Boolean => Self::Boolean(BooleanBuilder::new()),
            ColumnType::Int8 => Self::Int8(Int8Builder::new()),
            ColumnType::Int16 => Self::Int16(Int16Builder::new()),
            ColumnType::Int32 => Self::Int32(Int32Builder::new()),
            ColumnType::Int64 => Self::Int64(Int64Builder::new()),
            ColumnType::Float32 => Self::Float32(Float32Builder::new()),
            ColumnType::Float64 => Self::Float64(Float64Builder::new()),
            ColumnType::Decimal { .. } => Self::Decimal(Decimal128Builder::new().with_data_type(arrow_type(data_type))),
            ColumnType::Date => Self::Date(Date32Builder::new()),
            ColumnType::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
        }
    }

    /// Appends a cell that was cast for this column.
    pub(super) fn append(&mut self, cell: &Cell<'_>) {
        match (self, cell) {
            (Self::Text(builder), Cell::Text(text)) => builder.append_value(text),
            (Self::Text(builder), Cell::Uuid(text)) => {
                builder.append_value(std::str::from_utf8(text).expect("hex digits and dashes"));
            }
            (Self::Text(builder), _) => builder.append_null(),
            (Self::Bytes(builder), cell) => builder.append_option(if let Cell::Bytes(bytes) = cell { Some(bytes) } else { None }),
            (Self::Boolean(builder), cell) => {
                builder.append_option(if let Cell::Boolean(value) = cell { Some(*value) } else { None });
            }
            (Self::Int8(builder), cell) => builder.append_option(narrowed(cell)),
            (Self::Int16(builder), cell) => builder.append_option(narrowed(cell)),
            (Self::Int32(builder), cell) => builder.append_option(narrowed(cell)),
            (Self::Int64(builder), cell) => builder.append_option(narrowed(cell)),
            (Self::Float32(builder), cell) => builder.append_option(float32(cell)),
            (Self::Float64(builder), cell) => {
                builder.append_option(if let Cell::Float(value) = cell { Some(*value) } else { None });
            }
            (Self::Decimal(builder), cell) => {
                builder.append_option(if let Cell::Decimal(value) = cell { Some(*value) } else { None });
            }
            (Self::Date(builder), cell) => builder.append_option(if let Cell::Date(days) = cell { Some(*days) } else { None }),
            (Self::Timestamp(builder), cell) => {
                builder.append_option(if let Cell::Timestamp(micros) = cell { Some(*micros) } else { None });
            }
        }
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Bytes(builder) => Arc::new(builder.finish()),
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Int8(builder) => Arc::new(builder.finish()),
            Self::Int16(builder) => Arc::new(builder.finish()),
            Self::Int32(builder) => Arc::new(builder.finish()),
            Self::Int64(builder) => Arc::new(builder.finish()),
            Self::Float32(builder) => Arc::new(builder.finish()),
            Self::Float64(builder) => Arc::new(builder.finish()),
            Self::Decimal(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) => Arc::new(builder.finish()),
        }
    }
}

/// The integer of a cell; the cast has checked its range.
fn narrowed<T: TryFrom<i64>>(cell: &Cell<'_>) -> Option<T> {
    if let Cell::Integer(value) = cell { T::try_from(*value).ok() } else { None }
}

/// The float of a cell; the cast has made it one of 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "it is one of 32 bits already")]
fn float32(cell: &Cell<'_>) -> Option<f32> {
    if let Cell::Float(value) = cell { Some(*value as f32) } else { None }
}
