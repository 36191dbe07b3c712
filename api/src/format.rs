//! Rows as JSON, NDJSON or CSV, written straight from the cells of the wire.
//!
//! Times are RFC 3339 in UTC with milliseconds, dates `YYYY-MM-DD`, UUIDs dashed; decimals are texts, since a number of JSON is
//! read as a binary one; bytes are base64; what is no number (NaN, infinity) and what is not there is `null`, in CSV nothing.

use std::io::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cassandra::lookup::{Value, write_date, write_timestamp};
use uuid::fmt::Hyphenated;

/// What a caller accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Ndjson,
    Csv,
}

impl Format {
    pub(crate) const ALL: [Self; 3] = [Self::Json, Self::Ndjson, Self::Csv];

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv",
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            other => other.media_type(),
        }
    }

    /// The format that an `Accept` header asks for (RFC 9110, 12.5.1); JSON where it does not say. `None` where none fits.
    pub(crate) fn accepted(header: Option<&str>) -> Option<Self> {
        let Some(header) = header.filter(|header| !header.trim().is_empty()) else { return Some(Self::Json) };
        let ranges: Vec<(&str, u32)> = header.split(',').filter_map(range).collect();
        let quality = |format: Self| {
            let media_type = format.media_type();
            let (kind, _) = media_type.split_once('/').unwrap_or_default();
            // The range that says most about a type counts.
            let rank = |range: &str| match range {
                "*/*" => Some(1),
                range if range.eq_ignore_ascii_case(media_type) => Some(3),
                range => range.strip_suffix("/*").filter(|of| of.eq_ignore_ascii_case(kind)).map(|_| 2),
            };
            let fitting = ranges.iter().filter_map(|(range, quality)| Some((rank(range)?, *quality)));
            fitting.max_by_key(|(rank, _)| *rank).map_or(0, |(_, quality)| quality)
        };
        // Of equals the first: JSON before the others.
        Self::ALL.into_iter().rev().max_by_key(|format| quality(*format)).filter(|format| quality(*format) > 0)
    }
}

/// A media range and its quality in thousandths; `None` for what is none.
fn range(written: &str) -> Option<(&str, u32)> {
    let mut parts = written.split(';').map(str::trim);
    let range = parts.next().filter(|range| range.contains('/'))?;
    let quality = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    let quality: f32 = quality.map_or(Some(1.0), |(_, value)| value.trim().parse().ok())?;
    if !(0.0..=1.0).contains(&quality) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 1")]
    Some((range, (quality * 1000.0) as u32))
}

/// The names of an answer's fields, written once.
pub(crate) struct Names {
    /// `"name":` of each field.
    json: Vec<Vec<u8>>,
    /// The first line.
    csv: Vec<u8>,
}

impl Names {
    pub(crate) fn new<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        let (mut json, mut csv) = (Vec::new(), Vec::new());
        for name in names {
            let mut quoted = serde_json::to_vec(name).expect("a text is JSON");
            quoted.push(b':');
            if !json.is_empty() {
                csv.push(b',');
            }
            json.push(quoted);
            csv_text(&mut csv, name);
        }
        csv.extend(b"\r\n");
        Self { json, csv }
    }
}

/// Rows as they are written.
pub(crate) struct Rows<'n> {
    format: Format,
    names: &'n Names,
    out: Vec<u8>,
    count: usize,
}

impl<'n> Rows<'n> {
    pub(crate) fn new(format: Format, names: &'n Names) -> Self {
        let mut out = Vec::with_capacity(1_024);
        if format == Format::Csv {
            out.extend(&names.csv);
        }
        Self { format, names, out, count: 0 }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Writes a row; `values` may hold more than there are names, which are left out.
    pub(crate) fn row(&mut self, values: &[Value<'_>]) {
        let out = &mut self.out;
        match self.format {
            Format::Csv => {
                for (index, value) in values.iter().take(self.names.json.len()).enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    csv(out, value);
                }
                out.extend(b"\r\n");
            }
            Format::Json | Format::Ndjson => {
                if self.count > 0 && self.format == Format::Json {
                    out.push(b',');
                }
                out.push(b'{');
                for (index, (name, value)) in self.names.json.iter().zip(values).enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    out.extend(name);
                    json(out, value);
                }
                out.push(b'}');
                if self.format == Format::Ndjson {
                    out.push(b'\n');
                }
            }
        }
        self.count += 1;
    }

    /// What was written: of JSON the rows without a list around them.
    pub(crate) fn written(&self) -> &[u8] {
        &self.out
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }
}

fn json(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Null => out.extend(b"null"),
        Value::Text(text) => serde_json::to_writer(out, text).expect("a text is JSON, and memory takes it"),
        Value::Boolean(flag) => out.extend(if *flag { b"true".as_slice() } else { b"false" }),
        Value::Float(number) => serde_json::to_writer(out, number).expect("a number is JSON, and memory takes it"),
        Value::Double(number) => serde_json::to_writer(out, number).expect("a number is JSON, and memory takes it"),
        Value::Integer(_) | Value::LargeInteger(_) => plain(out, value),
        Value::Uuid(_) | Value::Decimal(_) | Value::Date(_) | Value::Timestamp(_) | Value::Bytes(_) => {
            out.push(b'"');
            plain(out, value);
            out.push(b'"');
        }
    }
}

fn csv(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Text(text) => csv_text(out, text),
        Value::Float(number) if !number.is_finite() => {}
        Value::Double(number) if !number.is_finite() => {}
        other => plain(out, other),
    }
}

/// Quoted where it must be, and where it is empty: nothing is no text.
fn csv_text(out: &mut Vec<u8>, text: &str) {
    if !text.is_empty() && !text.contains([',', '"', '\n', '\r']) {
        out.extend(text.as_bytes());
        return;
    }
    out.push(b'"');
    out.extend(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

/// Without quotes.
fn plain(out: &mut Vec<u8>, value: &Value<'_>) {
    let written = match value {
        Value::Null | Value::Text(_) => Ok(()),
        Value::Boolean(flag) => write!(out, "{flag}"),
        Value::Integer(number) => write!(out, "{number}"),
        Value::LargeInteger(number) => write!(out, "{number}"),
        Value::Decimal(number) => write!(out, "{number}"),
        Value::Float(number) => write!(out, "{number}"),
        Value::Double(number) => write!(out, "{number}"),
        Value::Uuid(id) => {
            out.extend_from_slice(id.hyphenated().encode_lower(&mut [0; Hyphenated::LENGTH]).as_bytes());
            Ok(())
        }
        Value::Date(days) => {
            write_date(out, *days);
            Ok(())
        }
        Value::Timestamp(millis) => {
            write_timestamp(out, *millis);
            Ok(())
        }
        Value::Bytes(bytes) => write!(out, "{}", STANDARD.encode(bytes)),
    };
    written.expect("memory takes what is written to it");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format, rows: &[Vec<Value<'_>>]) -> String {
        let names = Names::new(["name", "a,b", "n"].into_iter());
        let mut written = Rows::new(format, &names);
        for row in rows {
            written.row(row);
        }
        assert_eq!(written.count(), rows.len());
        String::from_utf8(written.finish()).unwrap()
    }

    #[test]
    fn each_format_escapes_what_means_something_to_it() {
        let id = uuid::Uuid::from_u128(1);
        let rows = [
            vec![Value::Text("a\"b,\n\u{1}ä"), Value::Uuid(id), Value::Integer(i64::MIN), Value::Integer(5)],
            vec![Value::Text(""), Value::Null, Value::Double(f64::NAN)],
            vec![Value::Decimal("1.10".into()), Value::Bytes(&[255, 0]), Value::Double(0.1)],
            vec![Value::Date(17_111), Value::Timestamp(-1), Value::LargeInteger(i128::from(i64::MAX) + 1)],
        ];
        let ndjson = written(Format::Ndjson, &rows);
        let lines: Vec<serde_json::Value> = ndjson.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["name"], "a\"b,\n\u{1}ä");
        assert_eq!(lines[0]["n"], i64::MIN);
        assert_eq!(lines[0].as_object().unwrap().len(), 3, "what has no name is left out");
        assert!(lines[1]["a,b"].is_null() && lines[1]["n"].is_null() && lines[1]["name"] == "");
        assert_eq!((&lines[2]["name"], &lines[2]["a,b"], &lines[2]["n"]), (&"1.10".into(), &"/wA=".into(), &0.1.into()));
        assert!(ndjson.ends_with("{\"name\":\"2016-11-06\",\"a,b\":\"1969-12-31T23:59:59.999Z\",\"n\":9223372036854775808}\n"));
        let json: serde_json::Value = serde_json::from_str(&format!("[{}]", written(Format::Json, &rows))).unwrap();
        assert_eq!(json.as_array().unwrap().len(), 4);
        let csv = written(Format::Csv, &rows);
        assert!(
            csv.starts_with(
                "name,\"a,b\",n\r\n\"a\"\"b,\n\u{1}ä\",00000000-0000-0000-0000-000000000001,-9223372036854775808\r\n"
            )
        );
        assert!(csv.contains("\r\n\"\",,\r\n"), "an empty text is not nothing: {csv}");
    }

    #[test]
    fn a_format_is_chosen_as_the_header_weighs_it() {
        let cases = [
            (None, Some(Format::Json)),
            (Some("*/*"), Some(Format::Json)),
            (Some(""), Some(Format::Json)),
            (Some("text/csv"), Some(Format::Csv)),
            (Some("TEXT/CSV;header=present"), Some(Format::Csv)),
            (Some("text/*"), Some(Format::Csv)),
            (Some("application/x-ndjson, application/json;q=0.5"), Some(Format::Ndjson)),
            (Some("text/html, */*;q=0.1"), Some(Format::Json)),
            (Some("application/*, application/json;q=0"), Some(Format::Ndjson)),
            (Some("text/html"), None),
            (Some("application/json;q=0"), None),
            (Some("nonsense"), None),
        ];
        for (header, format) in cases {
            assert_eq!(Format::accepted(header), format, "{header:?}");
        }
    }
}
