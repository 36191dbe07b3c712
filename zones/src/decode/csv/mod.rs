//! CSV: fields between delimiters, found by the names in the entry's header.
//!
//! A record is a row only if it has as many fields as the header. Where quotes are wrong, the line in which the record begins
//! is a reject and reading goes on with the next line, so that a quote that never closes cannot take the rest of the file with
//! it.

mod again;
mod header;
mod reader;
mod scan;

pub(super) use again::cut;
pub(super) use header::Layout;
pub(super) use reader::{CsvReader, Stop};
pub(super) use scan::{Dialect, Field, Found};

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{StringArray, StringBuilder};
use model::definition::Csv;

use super::cast::Refusal;
use super::columns::ColumnBuilder;
use super::fields::{Columnwise, Fields, Places};
use super::json_lines::{add_member, json_string};
use super::{Decoded, Drift, Reject};

/// Whole records of one entry, cut into fields.
#[derive(Debug)]
pub struct CsvBlock {
    pub entry: Arc<str>,
    pub bytes: Vec<u8>,
    layout: Arc<Layout>,
    records: Vec<Record>,
    /// As many for each record as the layout is wide.
    fields: Vec<Field>,
    /// Records that could not be cut.
    rejects: Vec<Reject>,
}

#[derive(Debug)]
struct Record {
    /// The number of the line in which it begins.
    line: u64,
    start: usize,
    end: usize,
}

/// How the fields of a contract are read from CSV.
#[derive(Debug)]
pub(super) struct CsvFields {
    dialect: Dialect,
    null_values: Vec<String>,
}

impl CsvFields {
    pub(super) fn new(csv: &Csv) -> Self {
        Self { dialect: Dialect::of(csv), null_values: csv.null_values.clone() }
    }

    /// The content of a field; `None` where it stands for no value.
    fn content<'b>(&self, text: &'b str, field: Field) -> Option<Cow<'b, str>> {
        let content = &text[field.range()];
        let content = if field.is_escaped() { Cow::Owned(self.dialect.unescaped(content)) } else { Cow::Borrowed(content) };
        (!self.is_null(&content)).then_some(content)
    }

    fn is_null(&self, content: &str) -> bool {
        match self.null_values.as_slice() {
            [only] if only.is_empty() => content.is_empty(),
            words => words.iter().any(|word| *word == *content),
        }
    }
}

/// Decodes a block, column by column.
pub(super) fn decode(fields: &Fields, block: &CsvBlock) -> Decoded {
    let csv = fields.csv.as_ref().expect("blocks of CSV come from landings of CSV");
    let layout = &block.layout;
    let mut columnwise = Columnwise::new(block.records.len());
    let text = readable(block, &mut columnwise);
    let mut drift = Drift::default();
    let records = block.records.len() as u64;
    for (name, _) in &layout.unknown {
        drift.count_unknown(name, records);
    }
    let mut arrays = Vec::with_capacity(fields.casters.len());
    for (column, caster) in fields.casters.iter().enumerate() {
        let mut builder = ColumnBuilder::new(caster.data_type());
        let Some(place) = layout.columns[column] else {
            drift.missing.entry(fields.paths[column].first().to_owned()).or_insert(records);
            for row in 0..block.records.len() {
                columnwise.append(row, caster.null(), &mut builder);
            }
            arrays.push(builder.finish());
            continue;
        };
        let mut last_allowed = 0;
        for (row, record) in block.fields.chunks_exact(layout.width).enumerate() {
            let field = record[place];
            if !field.is_escaped() {
                let content = &text[field.range()];
                // Nearly all values are plain: without a detour over a cell they take a third of the time.
                if !csv.is_null(content) && caster.append_plain(content, &mut last_allowed, &mut builder) {
                    continue;
                }
            }
            let cell = match csv.content(&text, field) {
                Some(content) => caster.text(content),
                None => caster.null(),
            };
            columnwise.append(row, cell, &mut builder);
        }
        arrays.push(builder.finish());
    }
    let unknown = fields.keeps_unknown().then(|| unknown(csv, block, &text));
    let place = |row: usize| (block.records[row].line, block.records[row].start..block.records[row].end);
    let places = Places { entry: &block.entry, place: &place, bytes: &|span| block.bytes[span.clone()].to_vec() };
    columnwise.finish(fields, &places, arrays, unknown, drift, block.rejects.clone())
}

/// The block as text. Records that are not UTF-8 are refused, and stand in it as question marks.
fn readable<'b>(block: &'b CsvBlock, columnwise: &mut Columnwise) -> Cow<'b, str> {
    if let Ok(text) = simdutf8::basic::from_utf8(&block.bytes) {
        return Cow::Borrowed(text);
    }
    let mut bytes = vec![b'?'; block.bytes.len()];
    for (row, record) in block.records.iter().enumerate() {
        let range = record.start..record.end;
        if simdutf8::basic::from_utf8(&block.bytes[range.clone()]).is_ok() {
            bytes[range.clone()].copy_from_slice(&block.bytes[range]);
        } else {
            columnwise.refuse(row, Refusal::malformed("the record is not UTF-8".to_owned()));
        }
    }
    Cow::Owned(String::from_utf8(bytes).expect("whole records that are UTF-8, between question marks"))
}

/// The fields of each record that no column wants, as a JSON object; `None` where none of them has a value.
fn unknown(csv: &CsvFields, block: &CsvBlock, text: &str) -> StringArray {
    let mut builder = StringBuilder::new();
    for record in block.fields.chunks_exact(block.layout.width) {
        let mut object = String::new();
        for (name, place) in &block.layout.unknown {
            if let Some(content) = csv.content(text, record[*place]) {
                add_member(&mut object, name, &json_string(&content));
            }
        }
        if !object.is_empty() {
            object.push('}');
        }
        builder.append_option((!object.is_empty()).then_some(object));
    }
    builder.finish()
}

#[cfg(test)]
pub(super) mod tests;
