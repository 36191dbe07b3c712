//! Rows on stdout, as they come: in a table for people, or as JSON, JSON lines or CSV for programs.
//!
//! Only the table looks at rows before it prints: at the first [`table::SAMPLE`], for the widths of its columns. A reader that
//! goes away (`| head`) ends the output, and is no error.

mod json;
mod table;

use std::io::{BufWriter, ErrorKind, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use clap::ValueEnum;
use futures::TryStreamExt;
use zones::explore::Rows;

use crate::error::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people; a missing value is NULL, an empty text is ""
    Table,
    /// One JSON array of objects
    Json,
    /// One JSON object a line
    Ndjson,
    /// With a header line; a missing value is nothing, an empty text is ""
    Csv,
}

/// Prints rows; `limit` is how many there can be at most without a word about others.
pub(super) async fn print(rows: Rows, format: Format, limit: Option<usize>) -> Result<(), Error> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    match written(rows, format, limit, &mut out).await {
        Err(Error::Output { source }) if source.kind() == ErrorKind::BrokenPipe => {
            // What is still buffered has no reader either.
            let _ = out.into_parts();
            Ok(())
        }
        result => result,
    }
}

async fn written(rows: Rows, format: Format, limit: Option<usize>, out: &mut impl Write) -> Result<(), Error> {
    let Rows { schema, mut batches } = rows;
    let mut writer: Box<dyn RowWriter> = match format {
        Format::Table => Box::new(table::TableWriter::new(&schema, limit)),
        Format::Json => Box::new(json::JsonWriter::array()),
        Format::Ndjson => Box::new(json::JsonWriter::lines()),
        Format::Csv => Box::new(CsvWriter),
    };
    writer.begin(&schema, out).map_err(stdout)?;
    while let Some(batch) = batches.try_next().await? {
        writer.rows(&batch, out).map_err(stdout)?;
        // A table fills the screen at once; programs want rows as they come.
        if format != Format::Table {
            out.flush().map_err(stdout)?;
        }
    }
    writer.end(out).and_then(|()| out.flush()).map_err(stdout)
}

fn stdout(source: std::io::Error) -> Error {
    Error::Output { source }
}

trait RowWriter {
    fn begin(&mut self, schema: &SchemaRef, out: &mut dyn Write) -> std::io::Result<()>;
    fn rows(&mut self, rows: &RecordBatch, out: &mut dyn Write) -> std::io::Result<()>;
    fn end(&mut self, out: &mut dyn Write) -> std::io::Result<()>;
}

/// How values are written, whatever the format: instants as ISO 8601 in UTC.
fn options() -> FormatOptions<'static> {
    FormatOptions::default()
        .with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.f"))
        .with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"))
        .with_display_error(false)
}

fn formatters<'r>(rows: &'r RecordBatch, options: &'r FormatOptions<'r>) -> std::io::Result<Vec<ArrayFormatter<'r>>> {
    rows.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), options)).collect::<Result<_, _>>().map_err(arrow)
}

fn arrow(error: ArrowError) -> std::io::Error {
    std::io::Error::other(error)
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// RFC 4180, with a bare line feed: it goes on to other programs of this machine.
struct CsvWriter;

impl RowWriter for CsvWriter {
    fn begin(&mut self, schema: &SchemaRef, out: &mut dyn Write) -> std::io::Result<()> {
        let names: Vec<String> = schema.fields().iter().map(|field| quoted(field.name())).collect();
        writeln!(out, "{}", names.join(","))
    }

    fn rows(&mut self, rows: &RecordBatch, out: &mut dyn Write) -> std::io::Result<()> {
        let options = options();
        let formatters = formatters(rows, &options)?;
        for row in 0..rows.num_rows() {
            for (index, (column, formatter)) in rows.columns().iter().zip(&formatters).enumerate() {
                if index > 0 {
                    out.write_all(b",")?;
                }
                if column.is_valid(row) {
                    let value = formatter.value(row).try_to_string().map_err(arrow)?;
                    out.write_all(quoted(&value).as_bytes())?;
                }
            }
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn end(&mut self, _out: &mut dyn Write) -> std::io::Result<()> {
        Ok(())
    }
}

/// In quotes where the text needs them; an empty one does, since a missing value is nothing.
fn quoted(text: &str) -> String {
    if text.is_empty() || text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
    use futures::StreamExt;

    use super::*;

    fn rows(count: usize) -> Rows {
        let batch = RecordBatch::try_from_iter([
            ("name", Arc::new(StringArray::from(vec![Some("a, \"b\""), Some(""), None])) as arrow::array::ArrayRef),
            ("number", Arc::new(Int64Array::from(vec![Some(-1), None, Some(1_000_000)]))),
            ("share", Arc::new(Float64Array::from(vec![Some(0.5), Some(f64::NAN), None]))),
            ("is_it", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
            ("price", Arc::new(Decimal128Array::from(vec![Some(1_234), None, Some(5)]).with_precision_and_scale(10, 2).unwrap())),
            ("at", Arc::new(TimestampMicrosecondArray::from(vec![Some(1_500_000), None, Some(0)]).with_timezone("UTC"))),
        ])
        .unwrap();
        let schema = batch.schema();
        Rows { schema, batches: futures::stream::iter(vec![batch; count].into_iter().map(Ok)).boxed() }
    }

    fn printed(format: Format, count: usize) -> String {
        let mut out = Vec::new();
        futures::executor::block_on(written(rows(count), format, None, &mut out)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_missing_value_and_an_empty_text_are_told_apart_in_every_format() {
        assert_eq!(
            printed(Format::Csv, 1),
            "name,number,share,is_it,price,at\n\"a, \"\"b\"\"\",-1,0.5,true,12.34,1970-01-01T00:00:01.500Z\n\"\",,NaN,,,\n,1000000,,false,0.05,1970-01-01T00:00:00Z\n"
        );
        let lines = printed(Format::Ndjson, 2);
        assert_eq!(lines.lines().count(), 6);
        assert!(lines.starts_with(
            "{\"name\":\"a, \\\"b\\\"\",\"number\":-1,\"share\":0.5,\"is_it\":true,\"price\":12.34,\"at\":\"1970-01-01T00:00:01.500Z\"}\n{\"name\":\"\",\"number\":null,\"share\":null,"
        ), "{lines}");
        let array: serde_json::Value = serde_json::from_str(&printed(Format::Json, 2)).unwrap();
        assert_eq!(array.as_array().unwrap().len(), 6);
        assert_eq!(printed(Format::Json, 0), "[]\n");
        let table = printed(Format::Table, 1);
        assert!(table.contains("NULL") && table.contains("\"\"") && table.ends_with("3 rows\n"), "{table}");
    }
}
