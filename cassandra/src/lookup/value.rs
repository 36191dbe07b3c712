//! One cell as the wire has it.

use uuid::Uuid;

use crate::cql::CqlType;
use crate::read::column::{decimal_text, fixed, integer};

/// A value of a row; texts and bytes are those of the answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'r> {
    Null,
    Text(&'r str),
    Uuid(Uuid),
    Boolean(bool),
    Integer(i64),
    /// Of a `varint`.
    LargeInteger(i128),
    /// As text: no binary number holds it.
    Decimal(String),
    Float(f32),
    Double(f64),
    /// Days since 1970.
    Date(i32),
    /// Milliseconds since 1970, in UTC.
    Timestamp(i64),
    Bytes(&'r [u8]),
}

impl<'r> Value<'r> {
    /// Reads a cell; `None` where its bytes are not of the type.
    pub(super) fn read(cql_type: CqlType, cell: Option<&'r [u8]>) -> Option<Self> {
        let Some(cell) = cell else { return Some(Self::Null) };
        Some(match cql_type {
            CqlType::Ascii | CqlType::Text => Self::Text(std::str::from_utf8(cell).ok()?),
            CqlType::Uuid | CqlType::Timeuuid => Self::Uuid(Uuid::from_slice(cell).ok()?),
            CqlType::Boolean => Self::Boolean(fixed(cell)? != [0]),
            CqlType::Tinyint => Self::Integer(i8::from_be_bytes(fixed(cell)?).into()),
            CqlType::Smallint => Self::Integer(i16::from_be_bytes(fixed(cell)?).into()),
            CqlType::Int => Self::Integer(i32::from_be_bytes(fixed(cell)?).into()),
            CqlType::Bigint => Self::Integer(i64::from_be_bytes(fixed(cell)?)),
            CqlType::Varint => Self::LargeInteger(integer(cell)?),
            CqlType::Decimal => Self::Decimal(decimal_text(cell)?),
            CqlType::Float => Self::Float(f32::from_be_bytes(fixed(cell)?)),
            CqlType::Double => Self::Double(f64::from_be_bytes(fixed(cell)?)),
            CqlType::Date => Self::Date(i32::from_be_bytes(fixed(cell)?) ^ i32::MIN),
            CqlType::Timestamp => Self::Timestamp(i64::from_be_bytes(fixed(cell)?)),
            CqlType::Blob => Self::Bytes(cell),
        })
    }
}
