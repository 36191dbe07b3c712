//! One value of a record, cast to its column's type or refused.

use std::borrow::Cow;

use arrow::datatypes::TimeUnit;
use model::definition::{BinaryEncoding, Column, ColumnType};
use model::reject::RejectReason;
use serde::de::IgnoredAny;

use super::columns::ColumnBuilder;
use super::text;
use super::time::{NoInstant, Times, days};

/// A value in the form in which its column stores it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell<'a> {
    Null,
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
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

/// A value that has a type of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Decimal(i128, i8),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// Days since the epoch.
    Date(i32),
    /// An instant, or a local time as if it were UTC.
    Time {
        value: i64,
        unit: TimeUnit,
        is_instant: bool,
    },
    /// A list, a map or a structure, as JSON.
    Nested(&'a str),
}

/// Why a value was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub reason: RejectReason,
    pub detail: String,
}

impl Refusal {
    pub(super) fn malformed(detail: String) -> Self {
        Self { reason: RejectReason::Malformed, detail }
    }

    /// What a path leads through is not what the path says.
    pub(super) fn wrong_way(column: &str, what: &str) -> Self {
        Self { reason: RejectReason::WrongType, detail: format!("{column} is read through {what}") }
    }
}

/// Why a value does not fit.
enum Misfit {
    Type,
    Instant(NoInstant),
}

impl From<NoInstant> for Misfit {
    fn from(no_instant: NoInstant) -> Self {
        Self::Instant(no_instant)
    }
}

/// Casts the values of one column.
#[derive(Debug)]
pub(super) struct Caster {
    column: Column,
    times: Times,
}

impl Caster {
    pub(super) fn new(column: &Column) -> Self {
        Self { column: column.clone(), times: Times::new(&column.reading) }
    }

    pub(super) fn data_type(&self) -> &ColumnType {
        &self.column.data_type
    }

    pub(super) fn name(&self) -> &str {
        &self.column.name
    }

    /// The cell of a field that is not there, or has no value.
    pub(super) fn null<'a>(&self) -> Result<Cell<'a>, Refusal> {
        if self.column.nullable {
            Ok(Cell::Null)
        } else {
            Err(Refusal { reason: RejectReason::Missing, detail: format!("{} has no value", self.column.name) })
        }
    }

    /// Casts the JSON text of one value. `None` stands for a field that is not there.
    pub(super) fn json<'a>(&self, token: Option<&'a str>) -> Result<Cell<'a>, Refusal> {
        let token = token.unwrap_or("null");
        if token == "null" {
            return self.null();
        }
        let cell = self.cast_json(token).map_err(|misfit| self.misfit(&misfit, token))?;
        self.allowed(cell, token)
    }

    /// Casts a text that stands for a value of whatever type.
    pub(super) fn text<'a>(&self, text: Cow<'a, str>) -> Result<Cell<'a>, Refusal> {
        if matches!(self.column.data_type, ColumnType::String) {
            if self.column.one_of.is_none() {
                return Ok(Cell::Text(text));
            }
            let shown = text.clone();
            return self.allowed(Cell::Text(text), &shown);
        }
        self.cast_text(&text).map_err(|misfit| self.misfit(&misfit, &text))
    }

    /// Appends a text as it is, or an integer in plain digits; `false`, and nothing, where more has to be looked at.
    ///
    /// `last_allowed` is which of the values that are allowed was found last: neighbours are mostly equal.
    pub(super) fn append_plain(&self, text: &str, last_allowed: &mut usize, builder: &mut ColumnBuilder) -> bool {
        if let ColumnBuilder::Text(builder) = builder {
            if !matches!(self.column.data_type, ColumnType::String) || !self.is_listed(text, last_allowed) {
                return false;
            }
            builder.append_value(text);
            return true;
        }
        let Some(value) = text::plain_integer(text.as_bytes()) else { return false };
        match builder {
            ColumnBuilder::Int8(builder) => i8::try_from(value).map(|value| builder.append_value(value)).is_ok(),
            ColumnBuilder::Int16(builder) => i16::try_from(value).map(|value| builder.append_value(value)).is_ok(),
            ColumnBuilder::Int32(builder) => i32::try_from(value).map(|value| builder.append_value(value)).is_ok(),
            ColumnBuilder::Int64(builder) => {
                builder.append_value(value);
                true
            }
            _ => false,
        }
    }

    fn is_listed(&self, text: &str, last_allowed: &mut usize) -> bool {
        let Some(allowed) = &self.column.one_of else { return true };
        if allowed.get(*last_allowed).is_some_and(|value| value == text) {
            return true;
        }
        let found = allowed.iter().position(|value| value == text);
        *last_allowed = found.unwrap_or(*last_allowed);
        found.is_some()
    }

    /// Casts a value that has a type of its own.
    pub(super) fn value<'a>(&self, value: Value<'a>) -> Result<Cell<'a>, Refusal> {
        let refused = |misfit: &Misfit| {
            let shown = match value {
                Value::Boolean(value) => value.to_string(),
                Value::Integer(value) => value.to_string(),
                Value::Float(value) => value.to_string(),
                Value::Decimal(value, scale) => format!("{value}e-{scale}"),
                Value::Text(value) | Value::Nested(value) => value.to_owned(),
                Value::Bytes(value) => format!("{} bytes", value.len()),
                Value::Date(value) => format!("day {value} since 1970"),
                Value::Time { value, unit, .. } => format!("{value} ({unit:?}s since 1970)"),
            };
            self.misfit(misfit, &shown)
        };
        match value {
            Value::Text(text) => self.text(Cow::Borrowed(text)),
            other => self.cast_value(other).map_err(|misfit| refused(&misfit)),
        }
    }

    fn cast_json<'a>(&self, token: &'a str) -> Result<Cell<'a>, Misfit> {
        if matches!(self.column.data_type, ColumnType::Json) {
            return Ok(Cell::Text(on_one_line(token)));
        }
        if token.starts_with('"') {
            let content = string(token).ok_or(Misfit::Type)?;
            return match self.column.data_type {
                ColumnType::String => Ok(Cell::Text(content)),
                ColumnType::Uuid | ColumnType::Timestamp | ColumnType::Date | ColumnType::Binary => self.cast_text(&content),
                _ => Err(Misfit::Type),
            };
        }
        let is_number = token.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        match (&self.column.data_type, token) {
            (ColumnType::Boolean, "true") => Ok(Cell::Boolean(true)),
            (ColumnType::Boolean, "false") => Ok(Cell::Boolean(false)),
            (ColumnType::Timestamp, _) if is_number => Ok(Cell::Timestamp(self.times.instant_of_number(token)?)),
            (ColumnType::Date, _) if is_number => self.times.date_of_number(token).map(Cell::Date).ok_or(Misfit::Type),
            (ColumnType::Boolean | ColumnType::String | ColumnType::Uuid | ColumnType::Binary, _) => Err(Misfit::Type),
            _ if is_number => self.cast_text(token),
            _ => Err(Misfit::Type),
        }
    }

    fn cast_text<'a>(&self, text: &str) -> Result<Cell<'a>, Misfit> {
        let data_type = &self.column.data_type;
        let cell = match data_type {
            ColumnType::Int8 | ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 => {
                return text::integer(text).and_then(|value| in_range(data_type, value)).ok_or(Misfit::Type);
            }
            ColumnType::Timestamp => return Ok(Cell::Timestamp(self.times.instant(text)?)),
            ColumnType::String => Some(Cell::Text(Cow::Owned(text.to_owned()))),
            ColumnType::Uuid => text::uuid(text.as_bytes()).map(Cell::Uuid),
            ColumnType::Date => self.times.date(text).map(Cell::Date),
            ColumnType::Boolean => text::boolean(text).map(Cell::Boolean),
            ColumnType::Float32 => text::float(text).and_then(nearest_float32).map(Cell::Float),
            ColumnType::Float64 => text::float(text).map(Cell::Float),
            ColumnType::Decimal { precision, scale } => text::decimal(text, *precision, *scale).map(Cell::Decimal),
            ColumnType::Binary => match self.column.reading.encoding {
                BinaryEncoding::Base64 => text::base64(text),
                BinaryEncoding::Hex => text::hex(text),
            }
            .map(|bytes| Cell::Bytes(Cow::Owned(bytes))),
            ColumnType::Json => {
                let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
                is_json.then(|| Cell::Text(Cow::Owned(on_one_line(text.trim()).into_owned())))
            }
        };
        cell.ok_or(Misfit::Type)
    }

    fn cast_value<'a>(&self, value: Value<'a>) -> Result<Cell<'a>, Misfit> {
        let data_type = &self.column.data_type;
        let cell = match (data_type, value) {
            (ColumnType::Json, Value::Nested(json)) => Some(Cell::Text(Cow::Borrowed(json))),
            (ColumnType::Boolean, Value::Boolean(value)) => Some(Cell::Boolean(value)),
            (ColumnType::Binary, Value::Bytes(bytes)) => Some(Cell::Bytes(Cow::Borrowed(bytes))),
            // Writers without a type for text leave it as bytes.
            (ColumnType::String, Value::Bytes(bytes)) => {
                std::str::from_utf8(bytes).ok().map(|text| Cell::Text(Cow::Borrowed(text)))
            }
            (ColumnType::Uuid, Value::Bytes(bytes)) => <[u8; 16]>::try_from(bytes).ok().map(|bytes| {
                let mut text = [0; 36];
                uuid::Uuid::from_bytes(bytes).hyphenated().encode_lower(&mut text);
                Cell::Uuid(text)
            }),
            (ColumnType::Date, Value::Date(days)) => Some(Cell::Date(days)),
            (ColumnType::Date, Value::Time { value, unit, is_instant: false }) => {
                micros(value, unit).and_then(days).map(Cell::Date)
            }
            (ColumnType::Timestamp, Value::Time { value, unit, is_instant }) => {
                let micros = micros(value, unit).ok_or(Misfit::Type)?;
                Some(Cell::Timestamp(if is_instant { micros } else { self.times.local(micros)? }))
            }
            (ColumnType::Timestamp, Value::Integer(value)) => {
                Some(Cell::Timestamp(self.times.instant_of_number(&value.to_string())?))
            }
            (ColumnType::Date, Value::Integer(value)) => self.times.date_of_number(&value.to_string()).map(Cell::Date),
            (ColumnType::Float32 | ColumnType::Float64, value) => exact_float(data_type, value).map(Cell::Float),
            (
                ColumnType::Int8 | ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 | ColumnType::Decimal { .. },
                value,
            ) => return digits(value).ok_or(Misfit::Type).and_then(|digits| self.cast_text(&digits)),
            _ => None,
        };
        cell.ok_or(Misfit::Type)
    }

    fn allowed<'a>(&self, cell: Cell<'a>, shown: &str) -> Result<Cell<'a>, Refusal> {
        if let (Some(allowed), Cell::Text(text)) = (&self.column.one_of, &cell)
            && !allowed.iter().any(|value| value == text)
        {
            let detail = format!("{} is none of {}: {}", self.column.name, allowed.join(", "), shortened(shown));
            return Err(Refusal { reason: RejectReason::NotAllowed, detail });
        }
        Ok(cell)
    }

    #[cold]
    fn misfit(&self, misfit: &Misfit, shown: &str) -> Refusal {
        let name = &self.column.name;
        let zone = self.column.reading.zone.as_deref().unwrap_or("UTC");
        let what = match misfit {
            Misfit::Instant(NoInstant::Skipped) => format!("is a local time that clocks in {zone} skip"),
            Misfit::Instant(NoInstant::Twice) => format!("is a local time that clocks in {zone} show twice"),
            Misfit::Type | Misfit::Instant(NoInstant::Unreadable) => format!("is not {}", type_name(&self.column.data_type)),
        };
        Refusal { reason: RejectReason::WrongType, detail: format!("{name} {what}: {}", shortened(shown)) }
    }
}

fn in_range(data_type: &ColumnType, value: i64) -> Option<Cell<'static>> {
    let fits = match data_type {
        ColumnType::Int8 => i8::try_from(value).is_ok(),
        ColumnType::Int16 => i16::try_from(value).is_ok(),
        ColumnType::Int32 => i32::try_from(value).is_ok(),
        _ => true,
    };
    fits.then_some(Cell::Integer(value))
}

/// JSON text without line breaks. Between tokens they mean nothing, and inside of strings they cannot be.
fn on_one_line(json: &str) -> Cow<'_, str> {
    if memchr::memchr2(b'\n', b'\r', json.as_bytes()).is_none() {
        return Cow::Borrowed(json);
    }
    Cow::Owned(json.lines().map(str::trim).collect())
}

/// Microseconds of a time; `None` where it is finer or out of range.
fn micros(value: i64, unit: TimeUnit) -> Option<i64> {
    match unit {
        TimeUnit::Second => value.checked_mul(1_000_000),
        TimeUnit::Millisecond => value.checked_mul(1000),
        TimeUnit::Microsecond => Some(value),
        TimeUnit::Nanosecond => (value % 1000 == 0).then_some(value / 1000),
    }
}

/// The nearest value of 32 bits, as text has it; `None` where there is none.
#[expect(clippy::cast_possible_truncation, reason = "the nearest value is what is wanted")]
fn nearest_float32(value: f64) -> Option<f64> {
    let near = value as f32;
    near.is_finite().then_some(f64::from(near))
}

/// A number as a float that is equal to it.
#[expect(clippy::cast_possible_truncation, reason = "what is lost is looked for")]
#[expect(clippy::float_cmp, reason = "equal is what is asked")]
fn exact_float(data_type: &ColumnType, value: Value<'_>) -> Option<f64> {
    let float = match value {
        Value::Float(value) => value,
        Value::Integer(value) => {
            let float = value as f64;
            (float as i128 == i128::from(value)).then_some(float)?
        }
        // As from text: the nearest.
        Value::Decimal(..) => return text::float(&digits(value)?),
        _ => return None,
    };
    let is_exact = matches!(data_type, ColumnType::Float64) || f64::from(float as f32) == float;
    (float.is_finite() && is_exact).then_some(float)
}

/// A number in decimal digits.
fn digits(value: Value<'_>) -> Option<String> {
    match value {
        Value::Integer(value) => Some(value.to_string()),
        Value::Decimal(value, scale) => Some(format!("{value}e{}", -i32::from(scale))),
        Value::Float(value) if value.is_finite() => Some(value.to_string()),
        _ => None,
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

fn type_name(data_type: &ColumnType) -> String {
    let article = match data_type {
        ColumnType::Int8 | ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 => "an ",
        ColumnType::Uuid => return "a UUID".to_owned(),
        ColumnType::Json => return "JSON".to_owned(),
        ColumnType::Binary => return "binary".to_owned(),
        _ => "a ",
    };
    format!("{article}{}", data_type.text())
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
    use model::definition::{ColumnSource, Reading};

    use super::*;

    fn column(data_type: ColumnType) -> Column {
        let (source, reading) = (ColumnSource::Field("c".into()), Reading::default());
        Column { name: "c".into(), data_type, source, nullable: false, one_of: None, reading }
    }

    fn cast_to(data_type: ColumnType, token: &str) -> Option<Cell<'_>> {
        Caster::new(&column(data_type)).json(Some(token)).ok()
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
        let refusal = Caster::new(&column(ColumnType::String)).json(None).unwrap_err();
        assert_eq!((refusal.reason, refusal.detail.as_str()), (RejectReason::Missing, "c has no value"));
        assert_eq!(Caster::new(&column(ColumnType::Int8)).json(Some("null")).unwrap_err().reason, RejectReason::Missing);
        let nullable = Column { nullable: true, ..column(ColumnType::Int8) };
        assert_eq!(Caster::new(&nullable).json(None).unwrap(), Cell::Null);
    }

    #[test]
    fn only_the_listed_values_are_allowed() {
        let event = Column { one_of: Some(vec!["start".into(), "end".into()]), ..column(ColumnType::String) };
        assert_eq!(Caster::new(&event).json(Some("\"end\"")).unwrap(), Cell::Text("end".into()));
        assert_eq!(Caster::new(&event).json(Some("\"pause\"")).unwrap_err().reason, RejectReason::NotAllowed);
    }
}
