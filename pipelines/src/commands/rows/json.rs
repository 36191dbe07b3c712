//! JSON: numbers as they are, a decimal with all its digits, instants and dates as texts, what is nested nested.

use std::io::Write;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::ArrayFormatter;

use super::{RowWriter, arrow, options};

pub(super) struct JsonWriter {
    is_array: bool,
    is_first: bool,
}

impl JsonWriter {
    pub(super) fn array() -> Self {
        Self { is_array: true, is_first: true }
    }

    pub(super) fn lines() -> Self {
        Self { is_array: false, is_first: true }
    }
}

impl RowWriter for JsonWriter {
    fn begin(&mut self, _schema: &SchemaRef, _out: &mut dyn Write) -> std::io::Result<()> {
        Ok(())
    }

    fn rows(&mut self, rows: &RecordBatch, out: &mut dyn Write) -> std::io::Result<()> {
        let schema = rows.schema();
        for row in 0..rows.num_rows() {
            if self.is_array {
                out.write_all(if self.is_first { b"[\n" } else { b",\n" })?;
            }
            self.is_first = false;
            let members =
                schema.fields().iter().zip(rows.columns()).map(|(field, column)| (field.name().as_str(), column.as_ref()));
            object(members, row, out)?;
            if !self.is_array {
                out.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    fn end(&mut self, out: &mut dyn Write) -> std::io::Result<()> {
        match (self.is_array, self.is_first) {
            (true, true) => out.write_all(b"[]\n"),
            (true, false) => out.write_all(b"\n]\n"),
            (false, _) => Ok(()),
        }
    }
}

fn object<'a>(members: impl Iterator<Item = (&'a str, &'a dyn Array)>, row: usize, out: &mut dyn Write) -> std::io::Result<()> {
    out.write_all(b"{")?;
    for (index, (name, column)) in members.enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        text(name, out)?;
        out.write_all(b":")?;
        value(column, row, out)?;
    }
    out.write_all(b"}")
}

fn value(column: &dyn Array, row: usize, out: &mut dyn Write) -> std::io::Result<()> {
    if column.is_null(row) {
        return out.write_all(b"null");
    }
    match column.data_type() {
        DataType::Null => return out.write_all(b"null"),
        DataType::List(_) => return list(column.as_list::<i32>().value(row).as_ref(), out),
        DataType::LargeList(_) => return list(column.as_list::<i64>().value(row).as_ref(), out),
        DataType::Struct(fields) => {
            let columns = column.as_struct().columns();
            return object(fields.iter().zip(columns).map(|(field, column)| (field.name().as_str(), column.as_ref())), row, out);
        }
        _ => {}
    }
    let options = options();
    let written = ArrayFormatter::try_new(column, &options).map_err(arrow)?.value(row).try_to_string().map_err(arrow)?;
    let data_type = column.data_type();
    if data_type.is_floating() {
        // JSON has no word for what is not a number.
        let is_number = written.parse::<f64>().is_ok_and(f64::is_finite);
        return out.write_all(if is_number { written.as_bytes() } else { b"null" });
    }
    if data_type.is_numeric() || *data_type == DataType::Boolean {
        return out.write_all(written.as_bytes());
    }
    text(&written, out)
}

fn list(items: &dyn Array, out: &mut dyn Write) -> std::io::Result<()> {
    out.write_all(b"[")?;
    for index in 0..items.len() {
        if index > 0 {
            out.write_all(b",")?;
        }
        value(items, index, out)?;
    }
    out.write_all(b"]")
}

fn text(text: &str, out: &mut dyn Write) -> std::io::Result<()> {
    serde_json::to_writer(out, text).map_err(std::io::Error::from)
}
