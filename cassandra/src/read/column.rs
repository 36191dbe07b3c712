//! Values from the wire into one Arrow column.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::builder::{
    BinaryBuilder, BooleanBuilder, Date32Builder, Float32Builder, Float64Builder, Int8Builder, Int16Builder, Int32Builder,
    Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, TimeUnit};

use crate::cql::CqlType;

/// What a CQL type is read as.
pub(super) fn arrow_type(cql_type: CqlType) -> DataType {
    match cql_type {
        CqlType::Ascii | CqlType::Text | CqlType::Uuid | CqlType::Timeuuid | CqlType::Decimal | CqlType::Varint => DataType::Utf8,
        CqlType::Blob => DataType::Binary,
        CqlType::Boolean => DataType::Boolean,
        CqlType::Tinyint => DataType::Int8,
        CqlType::Smallint => DataType::Int16,
        CqlType::Int => DataType::Int32,
        CqlType::Bigint => DataType::Int64,
        CqlType::Float => DataType::Float32,
        CqlType::Double => DataType::Float64,
        CqlType::Date => DataType::Date32,
        CqlType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

/// One column as it fills.
pub(crate) enum Builder {
    Text(StringBuilder),
    Uuid(StringBuilder),
    Decimal(StringBuilder),
    Varint(StringBuilder),
    Blob(BinaryBuilder),
    Boolean(BooleanBuilder),
    Tinyint(Int8Builder),
    Smallint(Int16Builder),
    Int(Int32Builder),
    Bigint(Int64Builder),
    Float(Float32Builder),
    Double(Float64Builder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl Builder {
    pub(crate) fn new(cql_type: CqlType) -> Self {
        match cql_type {
            CqlType::Ascii | CqlType::Text => Self::Text(StringBuilder::new()),
            CqlType::Uuid | CqlType::Timeuuid => Self::Uuid(StringBuilder::new()),
            CqlType::Decimal => Self::Decimal(StringBuilder::new()),
            CqlType::Varint => Self::Varint(StringBuilder::new()),
            CqlType::Blob => Self::Blob(BinaryBuilder::new()),
            CqlType::Boolean => Self::Boolean(BooleanBuilder::new()),
            CqlType::Tinyint => Self::Tinyint(Int8Builder::new()),
            CqlType::Smallint => Self::Smallint(Int16Builder::new()),
            CqlType::Int => Self::Int(Int32Builder::new()),
            CqlType::Bigint => Self::Bigint(Int64Builder::new()),
            CqlType::Float => Self::Float(Float32Builder::new()),
            CqlType::Double => Self::Double(Float64Builder::new()),
            CqlType::Date => Self::Date(Date32Builder::new()),
            CqlType::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
        }
    }

    /// Appends a value from the wire; `None` where its bytes are not of the type.
    pub(crate) fn append(&mut self, value: Option<&[u8]>) -> Option<()> {
        let Some(value) = value else {
            self.append_null();
            return Some(());
        };
        match self {
            Self::Text(to) => to.append_value(std::str::from_utf8(value).ok()?),
            Self::Uuid(to) => to.append_value(uuid::Uuid::from_slice(value).ok()?.to_string()),
            Self::Decimal(to) => to.append_value(decimal_text(value)?),
            Self::Varint(to) => to.append_value(integer(value)?.to_string()),
            Self::Blob(to) => to.append_value(value),
            Self::Boolean(to) => to.append_value(fixed(value)? != [0]),
            Self::Tinyint(to) => to.append_value(i8::from_be_bytes(fixed(value)?)),
            Self::Smallint(to) => to.append_value(i16::from_be_bytes(fixed(value)?)),
            Self::Int(to) => to.append_value(i32::from_be_bytes(fixed(value)?)),
            Self::Bigint(to) => to.append_value(i64::from_be_bytes(fixed(value)?)),
            Self::Float(to) => to.append_value(f32::from_be_bytes(fixed(value)?)),
            Self::Double(to) => to.append_value(f64::from_be_bytes(fixed(value)?)),
            Self::Date(to) => to.append_value(i32::from_be_bytes(fixed(value)?) ^ i32::MIN),
            Self::Timestamp(to) => to.append_value(i64::from_be_bytes(fixed(value)?).checked_mul(1_000)?),
        }
        Some(())
    }

    fn append_null(&mut self) {
        match self {
            Self::Text(to) | Self::Uuid(to) | Self::Decimal(to) | Self::Varint(to) => to.append_null(),
            Self::Blob(to) => to.append_null(),
            Self::Boolean(to) => to.append_null(),
            Self::Tinyint(to) => to.append_null(),
            Self::Smallint(to) => to.append_null(),
            Self::Int(to) => to.append_null(),
            Self::Bigint(to) => to.append_null(),
            Self::Float(to) => to.append_null(),
            Self::Double(to) => to.append_null(),
            Self::Date(to) => to.append_null(),
            Self::Timestamp(to) => to.append_null(),
        }
    }

    pub(crate) fn finish(self) -> ArrayRef {
        match self {
            Self::Text(mut from) | Self::Uuid(mut from) | Self::Decimal(mut from) | Self::Varint(mut from) => {
                Arc::new(from.finish())
            }
            Self::Blob(mut from) => Arc::new(from.finish()),
            Self::Boolean(mut from) => Arc::new(from.finish()),
            Self::Tinyint(mut from) => Arc::new(from.finish()),
            Self::Smallint(mut from) => Arc::new(from.finish()),
            Self::Int(mut from) => Arc::new(from.finish()),
            Self::Bigint(mut from) => Arc::new(from.finish()),
            Self::Float(mut from) => Arc::new(from.finish()),
            Self::Double(mut from) => Arc::new(from.finish()),
            Self::Date(mut from) => Arc::new(from.finish()),
            Self::Timestamp(mut from) => Arc::new(from.finish()),
        }
    }
}

pub(crate) fn fixed<const N: usize>(value: &[u8]) -> Option<[u8; N]> {
    value.try_into().ok()
}

/// A big-endian number of up to 16 bytes.
pub(crate) fn integer(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first()? & 0x80 != 0;
    let mut whole = [if negative { 0xff } else { 0 }; 16];
    whole[16_usize.checked_sub(bytes.len())?..].copy_from_slice(bytes);
    Some(i128::from_be_bytes(whole))
}

pub(crate) fn decimal_text(bytes: &[u8]) -> Option<String> {
    let (scale, digits) = bytes.split_first_chunk::<4>()?;
    let digits = integer(digits)?;
    Some(match usize::try_from(i32::from_be_bytes(*scale)) {
        Err(_) => format!("{digits}e{}", i32::from_be_bytes(*scale).unsigned_abs()),
        Ok(0) => digits.to_string(),
        Ok(scale) => {
            let text = format!("{:0width$}", digits.unsigned_abs(), width = scale + 1);
            let (whole, part) = text.split_at(text.len() - scale);
            format!("{}{whole}.{part}", if digits < 0 { "-" } else { "" })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_length_read_as_text() {
        assert_eq!(integer(&[0xff]).unwrap(), -1);
        assert_eq!(integer(&[0x00, 0x80]).unwrap(), 128);
        assert_eq!(integer(&[]), None);
        assert_eq!(integer(&[1; 17]), None);
        let decimal = |scale: i32, digits: &[u8]| decimal_text(&[&scale.to_be_bytes()[..], digits].concat()).unwrap();
        assert_eq!(decimal(2, &[0xff]), "-0.01");
        assert_eq!(decimal(2, &[0x04, 0xd2]), "12.34");
        assert_eq!(decimal(0, &[7]), "7");
        assert_eq!(decimal(-3, &[7]), "7e3");
    }

    #[test]
    fn a_value_of_the_wrong_length_is_refused() {
        assert_eq!(Builder::new(CqlType::Int).append(Some(&[0; 8])), None);
        assert_eq!(Builder::new(CqlType::Uuid).append(Some(&[0; 15])), None);
        assert_eq!(Builder::new(CqlType::Text).append(Some(&[0xff])), None);
        assert_eq!(Builder::new(CqlType::Int).append(None), Some(()));
    }
}
