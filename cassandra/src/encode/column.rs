//! One Arrow column made ready to be written as cells of one CQL type.
//!
//! What can be done for a whole column at once (widening, units, byte views, dictionaries) is done by Arrow's kernels when the
//! column is made ready; what is left per row is a copy of a few bytes, except for text that has to be read as a UUID.

use arrow::array::{
    Array, ArrayRef, BinaryViewArray, BooleanArray, Decimal128Array, Float32Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array, PrimitiveArray, StringViewArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Date32Type, Int32Type, Int64Type, TimeUnit};
use arrow::error::ArrowError;
use uuid::Uuid;

use crate::cql::CqlType;

/// A null, as the length of a value on the wire.
pub(crate) const NULL: i32 = -1;
/// A value that is left as it is, as the length of a value on the wire.
pub(crate) const UNSET: i32 = -2;

/// A column whose values can be written row by row.
#[derive(Debug)]
pub(crate) enum Cells {
    /// Every value is null.
    Null,
    Boolean(BooleanArray),
    OneByte(Int8Array),
    TwoBytes(Int16Array),
    /// Also floats and dates, by their bits.
    FourBytes(Int32Array),
    /// Also doubles and timestamps, by their bits.
    EightBytes(Int64Array),
    Text(StringViewArray),
    Ascii(StringViewArray),
    Blob(BinaryViewArray),
    Uuid(StringViewArray),
    Timeuuid(StringViewArray),
    Decimal(Decimal128Array, i32),
    Varint(Decimal128Array),
}

/// Why a value cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("{0:?} is no UUID")]
    NotUuid(String),
    #[error("{0:?} is no UUID of version 1")]
    NotTimeuuid(String),
    #[error("{0:?} is not ASCII")]
    NotAscii(String),
    #[error("{0} does not fit")]
    OutOfRange(String),
    #[error("null, and it is part of the primary key")]
    NullKey,
    #[error("empty, and it is the whole partition key")]
    EmptyKey,
    #[error("longer than 65535 bytes, which no part of a primary key may be")]
    LongKey,
}

/// Whether a column of that Arrow type can be written as that CQL type.
pub(crate) fn can_encode(from: &DataType, to: CqlType) -> bool {
    use CqlType as C;
    use DataType as D;
    match (from, to) {
        (D::Dictionary(_, values), to) => can_encode(values, to),
        (D::Null, _)
        | (D::Utf8 | D::LargeUtf8 | D::Utf8View, C::Text | C::Ascii | C::Uuid | C::Timeuuid)
        | (D::Boolean, C::Boolean)
        | (D::Float32, C::Float | C::Double)
        | (D::Float64, C::Double)
        | (D::Date32, C::Date)
        | (D::Timestamp(_, _), C::Timestamp | C::Bigint)
        | (D::Decimal128(_, _), C::Decimal)
        | (D::Decimal128(_, 0), C::Varint)
        | (D::FixedSizeBinary(16), C::Uuid)
        | (D::Binary | D::LargeBinary | D::BinaryView | D::FixedSizeBinary(_), C::Blob) => true,
        (from, C::Tinyint | C::Smallint | C::Int | C::Bigint | C::Varint) => from.is_integer(),
        _ => false,
    }
}

impl Cells {
    /// Makes `column` ready, or names the first row whose value does not fit.
    ///
    /// The pair of types must be one that [`can_encode`] accepts.
    pub(crate) fn ready(column: &ArrayRef, to: CqlType) -> Result<Self, NotReady> {
        if let DataType::Dictionary(_, values) = column.data_type() {
            return Self::ready(&arrow::compute::cast(column, values)?, to);
        }
        if *column.data_type() == DataType::Null {
            return Ok(Self::Null);
        }
        Ok(match to {
            CqlType::Boolean => Self::Boolean(cast_to(column, &DataType::Boolean)?),
            CqlType::Tinyint => Self::OneByte(cast_to(column, &DataType::Int8)?),
            CqlType::Smallint => Self::TwoBytes(cast_to(column, &DataType::Int16)?),
            CqlType::Int => Self::FourBytes(cast_to(column, &DataType::Int32)?),
            CqlType::Bigint => Self::EightBytes(cast_to(column, &DataType::Int64)?),
            CqlType::Varint => Self::Varint(cast_to(column, &DataType::Decimal128(38, 0))?),
            CqlType::Float => {
                let floats: Float32Array = cast_to(column, &DataType::Float32)?;
                Self::FourBytes(floats.unary(|value| value.to_bits().cast_signed()))
            }
            CqlType::Double => {
                let doubles: Float64Array = cast_to(column, &DataType::Float64)?;
                Self::EightBytes(doubles.unary(|value| value.to_bits().cast_signed()))
            }
            CqlType::Date => {
                let days: PrimitiveArray<Date32Type> = cast_to(column, &DataType::Date32)?;
                // Cassandra counts days without a sign, with 1970-01-01 in the middle.
                Self::FourBytes(days.unary::<_, Int32Type>(|days| days ^ i32::MIN))
            }
            CqlType::Timestamp => Self::EightBytes(milliseconds(column)?),
            CqlType::Decimal => {
                let DataType::Decimal128(_, scale) = *column.data_type() else { return Err(unexpected(column, to)) };
                Self::Decimal(downcast(column)?, i32::from(scale))
            }
            CqlType::Text => Self::Text(cast_to(column, &DataType::Utf8View)?),
            CqlType::Ascii => Self::Ascii(cast_to(column, &DataType::Utf8View)?),
            CqlType::Uuid if matches!(column.data_type(), DataType::FixedSizeBinary(_)) => {
                Self::Blob(cast_to(column, &DataType::BinaryView)?)
            }
            CqlType::Uuid => Self::Uuid(cast_to(column, &DataType::Utf8View)?),
            CqlType::Timeuuid => Self::Timeuuid(cast_to(column, &DataType::Utf8View)?),
            CqlType::Blob => Self::Blob(cast_to(column, &DataType::BinaryView)?),
        })
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Null => true,
            Self::Boolean(array) => array.is_null(row),
            Self::OneByte(array) => array.is_null(row),
            Self::TwoBytes(array) => array.is_null(row),
            Self::FourBytes(array) => array.is_null(row),
            Self::EightBytes(array) => array.is_null(row),
            Self::Text(array) | Self::Ascii(array) | Self::Uuid(array) | Self::Timeuuid(array) => array.is_null(row),
            Self::Blob(array) => array.is_null(row),
            Self::Decimal(array, _) | Self::Varint(array) => array.is_null(row),
        }
    }

    /// Appends the value of `row`, which is not null: its length in four bytes, then its bytes, as the protocol has it.
    pub(crate) fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Problem> {
        match self {
            Self::Null => out.extend_from_slice(&NULL.to_be_bytes()),
            Self::Boolean(array) => put(out, &[u8::from(array.value(row))]),
            Self::OneByte(array) => put(out, &array.value(row).to_be_bytes()),
            Self::TwoBytes(array) => put(out, &array.value(row).to_be_bytes()),
            Self::FourBytes(array) => put(out, &array.value(row).to_be_bytes()),
            Self::EightBytes(array) => put(out, &array.value(row).to_be_bytes()),
            Self::Text(array) => put(out, array.value(row).as_bytes()),
            Self::Ascii(array) => {
                let text = array.value(row);
                if !text.is_ascii() {
                    return Err(Problem::NotAscii(text.to_owned()));
                }
                put(out, text.as_bytes());
            }
            Self::Blob(array) => put(out, array.value(row)),
            Self::Uuid(array) => {
                let text = array.value(row);
                let uuid = Uuid::try_parse(text).map_err(|_| Problem::NotUuid(text.to_owned()))?;
                put(out, uuid.as_bytes());
            }
            Self::Timeuuid(array) => {
                let text = array.value(row);
                let uuid = Uuid::try_parse(text).map_err(|_| Problem::NotUuid(text.to_owned()))?;
                if uuid.get_version_num() != 1 {
                    return Err(Problem::NotTimeuuid(text.to_owned()));
                }
                put(out, uuid.as_bytes());
            }
            Self::Decimal(array, scale) => {
                let bytes = array.value(row).to_be_bytes();
                let digits = shortest(&bytes);
                out.extend_from_slice(&length(4 + digits.len()).to_be_bytes());
                out.extend_from_slice(&scale.to_be_bytes());
                out.extend_from_slice(digits);
            }
            Self::Varint(array) => put(out, shortest(&array.value(row).to_be_bytes())),
        }
        Ok(())
    }
}

fn put(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(&length(value.len()).to_be_bytes());
    out.extend_from_slice(value);
}

fn length(bytes: usize) -> i32 {
    i32::try_from(bytes).expect("an Arrow value is under 2 GiB")
}

/// A big-endian number without the leading bytes that only repeat its sign.
fn shortest(bytes: &[u8; 16]) -> &[u8] {
    let sign = if bytes[0] & 0x80 == 0 { 0x00 } else { 0xff };
    let mut from = 0;
    while from < 15 && bytes[from] == sign && (bytes[from + 1] & 0x80) == (sign & 0x80) {
        from += 1;
    }
    &bytes[from..]
}

/// Times in milliseconds, cut off towards the past: what is before 1970 too.
fn milliseconds(column: &ArrayRef) -> Result<Int64Array, NotReady> {
    let DataType::Timestamp(unit, _) = column.data_type() else { return Err(unexpected(column, CqlType::Timestamp)) };
    Ok(match unit {
        TimeUnit::Millisecond => downcast::<TimestampMillisecondArray>(column)?.reinterpret_cast::<Int64Type>(),
        TimeUnit::Microsecond => downcast::<TimestampMicrosecondArray>(column)?.unary(|us| us.div_euclid(1_000)),
        TimeUnit::Nanosecond => downcast::<TimestampNanosecondArray>(column)?.unary(|ns| ns.div_euclid(1_000_000)),
        TimeUnit::Second => {
            let seconds: TimestampSecondArray = downcast(column)?;
            let milliseconds: Int64Array = seconds.unary_opt(|s| s.checked_mul(1_000));
            first_lost(column, &milliseconds)?;
            milliseconds
        }
    })
}

/// Why a whole column cannot be made ready.
#[derive(Debug)]
pub(crate) enum NotReady {
    /// The value of this row does not fit.
    Row(usize),
    /// The column is of a type that was not accepted when the table was drawn.
    Type(ArrowError),
}

impl From<ArrowError> for NotReady {
    fn from(error: ArrowError) -> Self {
        Self::Type(error)
    }
}

fn unexpected(column: &ArrayRef, to: CqlType) -> NotReady {
    NotReady::Type(ArrowError::CastError(format!("{} as {to}", column.data_type())))
}

fn cast(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, NotReady> {
    if column.data_type() == to {
        return Ok(ArrayRef::clone(column));
    }
    let ready = cast_with_options(column, to, &CastOptions { safe: true, ..CastOptions::default() })?;
    first_lost(column, &ready)?;
    Ok(ready)
}

/// A safe cast turns what does not fit into null: finds the first row to which that happened.
fn first_lost(before: &dyn Array, after: &dyn Array) -> Result<(), NotReady> {
    if before.null_count() == after.null_count() {
        return Ok(());
    }
    let lost = (0..before.len()).find(|row| before.is_valid(*row) && after.is_null(*row));
    lost.map_or(Ok(()), |row| Err(NotReady::Row(row)))
}

fn cast_to<A: Array + Clone + 'static>(column: &ArrayRef, to: &DataType) -> Result<A, NotReady> {
    downcast(&cast(column, to)?)
}

fn downcast<A: Array + Clone + 'static>(column: &ArrayRef) -> Result<A, NotReady> {
    column
        .as_any()
        .downcast_ref::<A>()
        .cloned()
        .ok_or_else(|| NotReady::Type(ArrowError::CastError(format!("{} is not as expected", column.data_type()))))
}
