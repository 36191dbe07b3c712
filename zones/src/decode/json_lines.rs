//! JSON lines: one object a line, its fields by name.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use model::definition::{Column, ColumnSource};
use model::reject::RejectReason;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::blocks::Block;
use super::cell::{self, Cell, Refusal};
use super::columns::{ColumnBuilder, arrow_type};
use super::{Decoded, Reject};

/// Decodes blocks of JSON lines into the field columns of one contract.
pub struct JsonLinesDecoder {
    columns: Vec<Column>,
    /// The field that each column is read from.
    fields: Vec<String>,
    schema: SchemaRef,
}

impl JsonLinesDecoder {
    /// A decoder for those of `columns` that are fields of the record.
    pub fn new(columns: &[Column]) -> Self {
        let mut kept = Vec::new();
        let mut fields = Vec::new();
        for column in columns {
            if let ColumnSource::Field(field) = &column.source {
                kept.push(column.clone());
                fields.push(field.clone());
            }
        }
        let schema = kept
            .iter()
            .map(|column| Field::new(&column.name, arrow_type(&column.data_type), column.nullable))
            .collect::<Vec<_>>();
        Self { columns: kept, fields, schema: Arc::new(Schema::new(schema)) }
    }

    /// The columns of [`Decoded::rows`].
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Decodes a block. Lines of nothing but white space are no records.
    pub fn decode(&self, block: &Block) -> Decoded {
        let mut builders: Vec<ColumnBuilder> = self.columns.iter().map(|column| ColumnBuilder::new(&column.data_type)).collect();
        let mut decoded = Decoded {
            rows: RecordBatch::new_empty(self.schema.clone()),
            positions: Vec::new(),
            spans: Vec::new(),
            rejects: Vec::new(),
        };
        // One check for the whole block; only where it fails is each line looked at by itself.
        let is_text = simdutf8::basic::from_utf8(&block.bytes).is_ok();
        let mut cells = Vec::with_capacity(self.columns.len());
        for (offset, span) in lines(&block.bytes).enumerate() {
            let line = &block.bytes[span.clone()];
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let position = block.first_line + offset as u64;
            match self.decode_line(line, is_text, &mut cells) {
                Ok(()) => {
                    for (builder, cell) in builders.iter_mut().zip(&cells) {
                        builder.append(cell);
                    }
                    decoded.positions.push(position);
                    decoded.spans.push(span);
                }
                Err(refusal) => decoded.rejects.push(Reject {
                    entry: block.entry.clone(),
                    position,
                    reason: refusal.reason,
                    detail: refusal.detail,
                    bytes: line.to_vec(),
                }),
            }
        }
        let arrays = builders.iter_mut().map(ColumnBuilder::finish).collect();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(decoded.positions.len()));
        decoded.rows =
            RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options).expect("one cell a row in each column");
        decoded
    }

    fn decode_line<'a>(&self, line: &'a [u8], is_text: bool, cells: &mut Vec<Cell<'a>>) -> Result<(), Refusal> {
        let malformed = |detail: String| Refusal { reason: RejectReason::Malformed, detail };
        if !is_text {
            simdutf8::basic::from_utf8(line).map_err(|_| malformed("the line is not UTF-8".to_owned()))?;
        }
        let text = std::str::from_utf8(line).map_err(|_| malformed("the line is not UTF-8".to_owned()))?;
        // A byte order mark may stand before the first record of a file.
        let text = text.trim_start_matches('\u{feff}');
        let mut json = serde_json::Deserializer::from_str(text);
        let tokens = Fields(&self.fields)
            .deserialize(&mut json)
            .and_then(|tokens| json.end().map(|()| tokens))
            .map_err(|error| malformed(format!("not a JSON object: {error}")))?;
        cells.clear();
        for (column, token) in self.columns.iter().zip(tokens) {
            cells.push(cell::from_json(column, token)?);
        }
        Ok(())
    }
}

/// The byte ranges of the lines of a block, without line feed and carriage return.
fn lines(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut start = 0;
    std::iter::from_fn(move || {
        if start >= bytes.len() {
            return None;
        }
        let end = memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |found| start + found);
        let line = start..if bytes[start..end].ends_with(b"\r") { end - 1 } else { end };
        start = end + 1;
        Some(line)
    })
}

/// Reads an object's wanted fields as raw JSON text, in the order of the names; others are passed over.
struct Fields<'n>(&'n [String]);

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = Vec<Option<&'de str>>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = Vec<Option<&'de str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut tokens = vec![None; self.0.len()];
        while let Some(index) = map.next_key_seed(FieldIndex(self.0))? {
            let Some(index) = index else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if tokens[index].is_some() {
                return Err(serde::de::Error::custom(format_args!("the field {} is there twice", self.0[index])));
            }
            let token = map.next_value::<&RawValue>()?.get();
            // Several columns may be read from one field.
            for (slot, field) in tokens.iter_mut().zip(self.0) {
                if *field == self.0[index] {
                    *slot = Some(token);
                }
            }
        }
        Ok(tokens)
    }
}

/// Which of the names a key is.
struct FieldIndex<'n>(&'n [String]);

impl<'de> DeserializeSeed<'de> for FieldIndex<'_> {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldIndex<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|field| field == name))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use model::definition::ColumnType;

    use super::*;

    fn decoder() -> JsonLinesDecoder {
        let column = |name: &str, data_type, nullable| Column {
            name: name.to_owned(),
            data_type,
            source: ColumnSource::Field(name.to_owned()),
            nullable,
            one_of: None,
        };
        JsonLinesDecoder::new(&[column("id", ColumnType::Int64, false), column("name", ColumnType::String, true)])
    }

    fn decode(text: &[u8]) -> Decoded {
        decoder().decode(&Block { entry: "e".into(), first_line: 10, bytes: text.to_vec() })
    }

    #[test]
    fn rows_and_rejects_keep_their_place_and_bytes() {
        let text = b"{\"id\":1,\"name\":\"a\"}\r\n\nnonsense\n{\"id\":\"x\"}\n{\"other\":{\"id\":9},\"id\":2}\n[1]\n{\"id\":3} x\n{\"id\":4,\"id\":4}";
        let decoded = decode(text);
        assert_eq!(decoded.positions, [10, 14]);
        assert_eq!(&text[decoded.spans[0].clone()], b"{\"id\":1,\"name\":\"a\"}");
        let ids = decoded.rows.column(0).as_primitive::<arrow::datatypes::Int64Type>().values().to_vec();
        assert_eq!(ids, [1, 2]);
        assert_eq!(decoded.rows.column(1).null_count(), 1);
        let rejects: Vec<_> =
            decoded.rejects.iter().map(|reject| (reject.position, reject.reason, reject.bytes.as_slice())).collect();
        assert_eq!(rejects[0], (12, RejectReason::Malformed, b"nonsense".as_slice()));
        assert_eq!(rejects[1], (13, RejectReason::WrongType, b"{\"id\":\"x\"}".as_slice()));
        assert_eq!(
            rejects.iter().skip(2).map(|reject| (reject.0, reject.1)).collect::<Vec<_>>(),
            [(15, RejectReason::Malformed), (16, RejectReason::Malformed), (17, RejectReason::Malformed)]
        );
    }

    #[test]
    fn a_line_that_is_not_utf8_does_not_take_its_neighbours_with_it() {
        let decoded = decode(b"{\"id\":1}\n{\"id\":2,\"name\":\"\xff\"}\n{\"id\":3}\n");
        assert_eq!(decoded.positions, [10, 12]);
        assert_eq!(decoded.rejects[0].bytes, b"{\"id\":2,\"name\":\"\xff\"}");
    }
}
