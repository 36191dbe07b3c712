//! Values that a caller gives: texts into the bytes of a marker, checked by the type of the column.
//!
//! They are never part of a statement's text.

use chrono::{DateTime, NaiveDate};
use uuid::Uuid;

use super::Value;
use super::text::{date_text, timestamp_text};
use crate::cql::CqlType;

/// A value of a marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    bytes: Vec<u8>,
}

/// What a text should have been, for the one who wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotThatType(&'static str);

impl KeyValue {
    /// Reads a text as a value of `cql_type`.
    pub fn parse(cql_type: CqlType, text: &str) -> Result<Self, NotThatType> {
        let number = |least: i64, most: i64, what| {
            let number = whole_number(text).filter(|number| (least..=most).contains(number));
            number.ok_or(NotThatType(what))
        };
        let bytes = match cql_type {
            CqlType::Text => text.as_bytes().to_vec(),
            CqlType::Ascii if text.is_ascii() => text.as_bytes().to_vec(),
            CqlType::Ascii => return Err(NotThatType("must be ASCII")),
            CqlType::Uuid | CqlType::Timeuuid => {
                // With dashes or without; no braces, no `urn:`.
                let id = Some(text).filter(|text| matches!(text.len(), 32 | 36)).and_then(|text| Uuid::try_parse(text).ok());
                let id = id.ok_or(NotThatType("must be a UUID, as in 6f1a0ea4-6a31-4c39-a1a5-0d9e8f1c0a55"))?;
                if cql_type == CqlType::Timeuuid && id.get_version_num() != 1 {
                    return Err(NotThatType("must be a UUID of version 1"));
                }
                id.as_bytes().to_vec()
            }
            CqlType::Boolean => match text {
                "true" => vec![1],
                "false" => vec![0],
                _ => return Err(NotThatType("must be true or false")),
            },
            CqlType::Tinyint => {
                let what = "must be a whole number from -128 to 127";
                vec![number(-128, 127, what)?.to_be_bytes()[7]]
            }
            CqlType::Smallint => number(i16::MIN.into(), i16::MAX.into(), "must be a whole number from -32768 to 32767")?
                .to_be_bytes()[6..]
                .to_vec(),
            CqlType::Int => {
                let what = "must be a whole number from -2147483648 to 2147483647";
                number(i32::MIN.into(), i32::MAX.into(), what)?.to_be_bytes()[4..].to_vec()
            }
            CqlType::Bigint => number(i64::MIN, i64::MAX, "must be a whole number of 64 bits")?.to_be_bytes().to_vec(),
            CqlType::Date => return Ok(Self::date(days(text)?)),
            CqlType::Timestamp => return Ok(Self::timestamp(millis(text)?)),
            CqlType::Blob | CqlType::Decimal | CqlType::Double | CqlType::Float | CqlType::Varint => {
                return Err(NotThatType("cannot be asked for"));
            }
        };
        Ok(Self { bytes })
    }

    /// Whether values of a type can be given by a caller.
    pub fn can_be(cql_type: CqlType) -> bool {
        !matches!(cql_type, CqlType::Blob | CqlType::Decimal | CqlType::Double | CqlType::Float | CqlType::Varint)
    }

    /// Days since 1970.
    pub fn date(days: i32) -> Self {
        Self { bytes: (days ^ i32::MIN).to_be_bytes().to_vec() }
    }

    /// A number that a column of whole numbers, dates (days since 1970) or times (milliseconds since 1970) holds; the nearest
    /// that it can hold where the number is beyond it. `None` for columns of other types.
    pub fn number(cql_type: CqlType, number: i64) -> Option<Self> {
        let within = |least: i64, most: i64| number.clamp(least, most).to_be_bytes();
        let bytes = match cql_type {
            CqlType::Tinyint => within(i8::MIN.into(), i8::MAX.into())[7..].to_vec(),
            CqlType::Smallint => within(i16::MIN.into(), i16::MAX.into())[6..].to_vec(),
            CqlType::Int => within(i32::MIN.into(), i32::MAX.into())[4..].to_vec(),
            CqlType::Bigint | CqlType::Timestamp => number.to_be_bytes().to_vec(),
            CqlType::Date => {
                let days = i32::try_from(number.clamp(i32::MIN.into(), i32::MAX.into())).expect("it was clamped");
                return Some(Self::date(days));
            }
            _ => return None,
        };
        Some(Self { bytes })
    }

    /// What a cell holds, as it was read.
    pub fn of_cell(cell: &[u8]) -> Self {
        Self { bytes: cell.to_vec() }
    }

    /// Milliseconds since 1970.
    pub fn timestamp(millis: i64) -> Self {
        Self { bytes: millis.to_be_bytes().to_vec() }
    }

    /// As on the wire.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A whole number as it is written in JSON and in the document of the API: without a plus.
pub fn whole_number(text: &str) -> Option<i64> {
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

/// A date, with all of its digits, as the days since 1970.
pub fn days(text: &str) -> Result<i32, NotThatType> {
    let what = NotThatType("must be a date, as in 2024-01-31");
    let is_digits = |(at, byte): (usize, u8)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() };
    if text.len() != 10 || !text.bytes().enumerate().all(is_digits) {
        return Err(what);
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| what)?;
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).map_err(|_| what)
}

/// An instant, or a date as its first instant, as the milliseconds since 1970. An instant finer than that is cut off.
pub fn millis(text: &str) -> Result<i64, NotThatType> {
    if let Ok(days) = days(text) {
        return Ok(i64::from(days) * 86_400_000);
    }
    let parsed = DateTime::parse_from_rfc3339(text);
    // A plus in a query is a blank.
    let has_lost_its_plus = text.contains('T') && text.contains(' ');
    let what = if has_lost_its_plus {
        "must be an instant with its offset, of which `+` is written as %2B"
    } else {
        "must be an instant with its offset, as in 2024-01-31T10:00:00Z, or a date"
    };
    parsed.map(|instant| instant.timestamp_millis()).map_err(|_| NotThatType(what))
}

impl Value<'_> {
    /// As [`KeyValue::parse`] reads it; `None` where there is none, or none that can be asked for.
    pub fn key_text(&self) -> Option<String> {
        Some(match self {
            Self::Text(text) => (*text).to_owned(),
            Self::Uuid(id) => id.to_string(),
            Self::Boolean(flag) => flag.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Date(days) => date_text(*days)?,
            Self::Timestamp(millis) => timestamp_text(*millis)?,
            Self::Null | Self::LargeInteger(_) | Self::Decimal(_) | Self::Float(_) | Self::Double(_) | Self::Bytes(_) => {
                return None;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a marker gets is what a cell of that value holds.
    #[test]
    fn a_text_that_a_value_is_written_as_reads_as_the_same_value() {
        let cases = [
            (CqlType::Text, "it's; DROP TABLE x"),
            (CqlType::Uuid, "6f1a0ea4-6a31-4c39-a1a5-0d9e8f1c0a55"),
            (CqlType::Boolean, "true"),
            (CqlType::Tinyint, "-128"),
            (CqlType::Smallint, "-32768"),
            (CqlType::Int, "-2147483648"),
            (CqlType::Bigint, "9223372036854775807"),
            (CqlType::Date, "1969-12-31"),
            (CqlType::Timestamp, "2016-11-06T23:59:59.123Z"),
        ];
        for (cql_type, text) in cases {
            let key = KeyValue::parse(cql_type, text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let value = Value::read(cql_type, Some(key.bytes())).expect("the bytes are of the type");
            assert_eq!(value.key_text().as_deref(), Some(text), "{cql_type}");
        }
        let dashless = KeyValue::parse(CqlType::Uuid, "6f1a0ea46a314c39a1a50d9e8f1c0a55");
        assert_eq!(dashless, KeyValue::parse(CqlType::Uuid, cases[1].1));
    }

    #[test]
    fn a_text_that_is_no_value_of_the_type_is_refused() {
        let cases = [
            (CqlType::Uuid, ""),
            (CqlType::Uuid, "' OR 1=1"),
            (CqlType::Boolean, "1"),
            (CqlType::Tinyint, "128"),
            (CqlType::Int, "1.0"),
            (CqlType::Int, " 1"),
            (CqlType::Int, "+1"),
            (CqlType::Uuid, "{6f1a0ea4-6a31-4c39-a1a5-0d9e8f1c0a55}"),
            (CqlType::Uuid, "urn:uuid:6f1a0ea4-6a31-4c39-a1a5-0d9e8f1c0a55"),
            (CqlType::Date, "2016-1-01"),
            (CqlType::Date, "-123-01-01"),
            (CqlType::Date, "+016-01-01"),
            (CqlType::Bigint, "9223372036854775808"),
            (CqlType::Date, "2016-13-01"),
            (CqlType::Timestamp, "2016-11-06 10:00"),
            (CqlType::Ascii, "ä"),
            (CqlType::Double, "1"),
        ];
        for (cql_type, text) in cases {
            assert!(KeyValue::parse(cql_type, text).is_err(), "{cql_type} {text}");
        }
    }
}
