//! One value of a record, cast to its column's type or refused.

use std::borrow::Cow;

use model::definition::{Column, ColumnType};
use model::reject::RejectReason;

use super::text;

/// A value in the form in which its column stores it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell<'a> {
    Null,
    Text(Cow<'a, str>),
    Uuid([u8; 36]),
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Decimal(i128),
    /// Days since the epoch.
    Date(i32),
    /// Microseconds since the epoch, UTC.
    Timestamp(i64),
}

/// Why a value was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub reason: RejectReason,
    pub detail: String,
}

/// Casts the JSON text of one value. `None` stands for a field that is not there.
pub(super) fn from_json<'a>(column: &Column, token: Option<&'a str>) -> Result<Cell<'a>, Refusal> {
    let token = token.unwrap_or("null");
    if token == "null" {
        return if column.nullable {
            Ok(Cell::Null)
        } else {
            Err(Refusal { reason: RejectReason::Missing, detail: format!("{} has no value", column.name) })
        };
    }
    let cell = cast(&column.data_type, token).ok_or_else(|| Refusal {
        reason: RejectReason::WrongType,
        detail: format!("{} is not {}: {}", column.name, type_name(&column.data_type), shortened(token)),
    })?;
    if let (Some(allowed), Cell::Text(text)) = (&column.one_of, &cell)
        && !allowed.iter().any(|value| value == text)
    {
        let detail = format!("{} is none of {}: {}", column.name, allowed.join(", "), shortened(token));
        return Err(Refusal { reason: RejectReason::NotAllowed, detail });
    }
    Ok(cell)
}

fn cast<'a>(data_type: &ColumnType, token: &'a str) -> Option<Cell<'a>> {
    match data_type {
        ColumnType::String => string(token).map(Cell::Text),
        ColumnType::Uuid => text::uuid(string(token)?.as_bytes()).map(Cell::Uuid),
        ColumnType::Timestamp => text::timestamp(string(token)?.as_bytes()).map(Cell::Timestamp),
        ColumnType::Date => text::date(string(token)?.as_bytes()).map(Cell::Date),
        ColumnType::Boolean => match token {
            "true" => Some(Cell::Boolean(true)),
            "false" => Some(Cell::Boolean(false)),
            _ => None,
        },
        ColumnType::Int8 => integer(token, i64::from(i8::MIN), i64::from(i8::MAX)),
        ColumnType::Int16 => integer(token, i64::from(i16::MIN), i64::from(i16::MAX)),
        ColumnType::Int32 => integer(token, i64::from(i32::MIN), i64::from(i32::MAX)),
        ColumnType::Int64 => integer(token, i64::MIN, i64::MAX),
        ColumnType::Float64 => number(token)?.parse().ok().filter(|value: &f64| value.is_finite()).map(Cell::Float),
        ColumnType::Decimal { precision, scale } => decimal(number(token)?, *precision, *scale).map(Cell::Decimal),
    }
}

/// The content of a JSON string; `None` where the token is something else.
fn string(token: &str) -> Option<Cow<'_, str>> {
    let inner = token.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(token).ok().map(Cow::Owned)
}

fn number(token: &str) -> Option<&str> {
    token.starts_with(|first: char| first == '-' || first.is_ascii_digit()).then_some(token)
}

fn integer(token: &str, min: i64, max: i64) -> Option<Cell<'static>> {
    let value: i64 = match number(token)?.parse() {
        Ok(value) => value,
        // `5.0` and `1e3` are integers too; anything that has a fraction or is too large is not.
        Err(_) => i64::try_from(decimal(token, 19, 0)?).ok()?,
    };
    (min..=max).contains(&value).then_some(Cell::Integer(value))
}

/// A decimal number as an integer of its last place; `None` where digits would be lost.
fn decimal(token: &str, precision: u8, scale: i8) -> Option<i128> {
    let (mantissa, exponent) = match token.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (token, 0),
    };
    let (sign, digits) = mantissa.strip_prefix('-').map_or((1, mantissa), |rest| (-1, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut value: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        let digit = char::from(digit).to_digit(10)?;
        value = value.checked_mul(10)?.checked_add(i128::from(digit))?;
    }
    let mut shift = i64::from(scale).checked_add(exponent)?.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    while shift > 0 && value != 0 {
        value = value.checked_mul(10)?;
        shift -= 1;
    }
    while shift < 0 && value != 0 {
        if value % 10 != 0 {
            return None;
        }
        value /= 10;
        shift += 1;
    }
    (value < 10_i128.checked_pow(u32::from(precision))?).then_some(sign * value)
}

fn type_name(data_type: &ColumnType) -> String {
    match data_type {
        ColumnType::String => "a string".to_owned(),
        ColumnType::Boolean => "a boolean".to_owned(),
        ColumnType::Int8 => "an int8".to_owned(),
        ColumnType::Int16 => "an int16".to_owned(),
        ColumnType::Int32 => "an int32".to_owned(),
        ColumnType::Int64 => "an int64".to_owned(),
        ColumnType::Float64 => "a float64".to_owned(),
        ColumnType::Decimal { precision, scale } => format!("a decimal({precision},{scale})"),
        ColumnType::Date => "a date".to_owned(),
        ColumnType::Timestamp => "a timestamp".to_owned(),
        ColumnType::Uuid => "a UUID".to_owned(),
    }
}

/// Enough of a value to recognise it.
fn shortened(token: &str) -> String {
    const SHOWN: usize = 60;
    if token.chars().count() <= SHOWN {
        token.to_owned()
    } else {
        format!("{}...", token.chars().take(SHOWN).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use model::definition::ColumnSource;

    use super::*;

    fn column(data_type: ColumnType) -> Column {
        Column { name: "c".into(), data_type, source: ColumnSource::Field("c".into()), nullable: false, one_of: None }
    }

    fn cast_to(data_type: ColumnType, token: &str) -> Option<Cell<'_>> {
        from_json(&column(data_type), Some(token)).ok()
    }

    #[test]
    fn what_fits_is_cast_and_what_would_lose_is_refused() {
        use ColumnType::{Boolean, Decimal, Float64, Int8, Int64, String, Uuid};
        assert_eq!(cast_to(String, r#""a\"b\u00e9""#), Some(Cell::Text("a\"b\u{e9}".into())));
        assert_eq!(cast_to(String, "5"), None);
        assert_eq!(cast_to(Int8, "-128"), Some(Cell::Integer(-128)));
        assert_eq!(cast_to(Int8, "128"), None);
        assert_eq!(cast_to(Int64, "9223372036854775807"), Some(Cell::Integer(i64::MAX)));
        assert_eq!(cast_to(Int64, "9223372036854775808"), None);
        assert_eq!(cast_to(Int64, "5.0"), Some(Cell::Integer(5)));
        assert_eq!(cast_to(Int64, "1e3"), Some(Cell::Integer(1000)));
        assert_eq!(cast_to(Int64, "5.5"), None);
        assert_eq!(cast_to(Int64, "\"5\""), None);
        assert_eq!(cast_to(Float64, "1.5e300"), Some(Cell::Float(1.5e300)));
        assert_eq!(cast_to(Float64, "1e999"), None);
        assert_eq!(cast_to(Decimal { precision: 5, scale: 2 }, "-123.45"), Some(Cell::Decimal(-12345)));
        assert_eq!(cast_to(Decimal { precision: 5, scale: 2 }, "123.450"), Some(Cell::Decimal(12345)));
        assert_eq!(cast_to(Decimal { precision: 5, scale: 2 }, "0.005"), None);
        assert_eq!(cast_to(Decimal { precision: 5, scale: 2 }, "1000"), None);
        assert_eq!(cast_to(Decimal { precision: 5, scale: 2 }, "1e9223372036854775807"), None);
        assert_eq!(cast_to(Int64, "1.5e-2147483648"), None);
        assert_eq!(cast_to(Int64, "0e2147483647"), Some(Cell::Integer(0)));
        assert_eq!(cast_to(Boolean, "true"), Some(Cell::Boolean(true)));
        assert_eq!(cast_to(Boolean, "1"), None);
        assert_eq!(cast_to(Uuid, r#""not-a-uuid""#), None);
    }

    #[test]
    fn a_missing_value_and_a_null_are_the_same() {
        let refusal = from_json(&column(ColumnType::String), None).unwrap_err();
        assert_eq!((refusal.reason, refusal.detail.as_str()), (RejectReason::Missing, "c has no value"));
        assert_eq!(from_json(&column(ColumnType::Int8), Some("null")).unwrap_err().reason, RejectReason::Missing);
        let nullable = Column { nullable: true, ..column(ColumnType::Int8) };
        assert_eq!(from_json(&nullable, None).unwrap(), Cell::Null);
    }

    #[test]
    fn only_the_listed_values_are_allowed() {
        let event = Column { one_of: Some(vec!["start".into(), "end".into()]), ..column(ColumnType::String) };
        assert_eq!(from_json(&event, Some("\"end\"")).unwrap(), Cell::Text("end".into()));
        assert_eq!(from_json(&event, Some("\"pause\"")).unwrap_err().reason, RejectReason::NotAllowed);
    }
}
