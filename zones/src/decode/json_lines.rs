//! JSON lines: one object a line, its fields by name.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use arrow::array::{RecordBatch, RecordBatchOptions, StringBuilder};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::blocks::LineBlock;
use super::cast::{Cell, Refusal};
use super::columns::ColumnBuilder;
use super::drift::Tally;
use super::fields::Fields;
use super::json_paths::{Name, Node};
use super::{Decoded, Drift, Reject};

/// Decodes a block. Lines of nothing but white space are no records.
pub(super) fn decode(fields: &Fields, block: &LineBlock) -> Decoded {
    let mut builders = fields.builders();
    let (mut positions, mut spans, mut rejects) = (Vec::new(), Vec::new(), Vec::new());
    let mut kept_unknown = fields.keeps_unknown().then(StringBuilder::new);
    let mut lines_decoder = LineDecoder::new(fields);
    // One check for the whole block; only where it fails is each line looked at by itself.
    let is_text = simdutf8::basic::from_utf8(&block.bytes).is_ok();
    let mut cells = Vec::with_capacity(fields.casters.len());
    for (offset, span) in lines(&block.bytes).enumerate() {
        let line = &block.bytes[span.clone()];
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let position = block.first_line + offset as u64;
        match lines_decoder.decode(line, is_text, &mut cells) {
            Ok(()) => {
                for (builder, cell) in builders.iter_mut().zip(&cells) {
                    builder.append(cell);
                }
                if let Some(builder) = &mut kept_unknown {
                    builder.append_option(lines_decoder.unknown());
                }
                positions.push(position);
                spans.push(span);
            }
            Err(Refusal { reason, detail }) => {
                rejects.push(Reject { entry: block.entry.clone(), position, reason, detail, bytes: line.to_vec() });
            }
        }
    }
    let arrays = builders.iter_mut().map(ColumnBuilder::finish).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(positions.len()));
    let rows = RecordBatch::try_new_with_options(fields.schema.clone(), arrays, &options).expect("one cell a row in each column");
    let unknown = kept_unknown.map(|mut builder| builder.finish());
    Decoded { rows, positions, spans, unknown, rejects, drift: lines_decoder.drift() }
}

/// Decodes the lines of one block.
struct LineDecoder<'f, 'a> {
    fields: &'f Fields,
    tree: Node,
    /// Whether some path goes deeper than the record's own fields.
    is_nested: bool,
    unknown: Tally<'a>,
    /// The unknown fields of the last line, as a JSON object without its closing brace.
    object: String,
    /// Lines that lack the field of a column.
    missing: Vec<u64>,
    columns: Vec<Option<&'a str>>,
}

impl<'f, 'a> LineDecoder<'f, 'a> {
    fn new(fields: &'f Fields) -> Self {
        let columns = vec![None; fields.casters.len()];
        let is_nested = fields.paths.iter().any(|path| path.steps.len() > 1);
        let missing = vec![0; columns.len()];
        let tree = Node::tree(&fields.paths);
        Self { fields, tree, is_nested, unknown: Tally::default(), object: String::new(), missing, columns }
    }

    fn decode(&mut self, line: &'a [u8], is_text: bool, cells: &mut Vec<Cell<'a>>) -> Result<(), Refusal> {
        if !is_text {
            simdutf8::basic::from_utf8(line).map_err(|_| Refusal::malformed("the line is not UTF-8".to_owned()))?;
        }
        let text = std::str::from_utf8(line).map_err(|_| Refusal::malformed("the line is not UTF-8".to_owned()))?;
        // A byte order mark may stand before the first record of a file.
        let text = text.trim_start_matches('\u{feff}');
        let mut json = serde_json::Deserializer::from_str(text);
        self.object.clear();
        let keeps = self.fields.keeps_unknown();
        let record = Record { names: &self.fields.names, unknown: &mut self.unknown, object: keeps.then_some(&mut self.object) };
        let not_an_object = |error: serde_json::Error| Refusal::malformed(format!("not a JSON object: {}", why(text, &error)));
        let tokens = record.deserialize(&mut json).and_then(|tokens| json.end().map(|()| tokens)).map_err(not_an_object)?;

        self.columns.fill(None);
        for (place, token) in tokens.into_iter().enumerate() {
            let Some(token) = token else { continue };
            let node = self.tree.field(place);
            if self.is_nested {
                node.find(token, &mut self.columns).map_err(|wrong| match wrong {
                    Ok(wrong) => Refusal::wrong_way(self.fields.casters[wrong.column].name(), wrong.found),
                    Err(error) => Refusal::malformed(format!("not JSON: {error}")),
                })?;
            } else {
                for column in &node.columns {
                    self.columns[*column] = Some(token);
                }
            }
        }
        for (missing, token) in self.missing.iter_mut().zip(&self.columns) {
            *missing += u64::from(token.is_none());
        }
        cells.clear();
        for (caster, token) in self.fields.casters.iter().zip(&self.columns) {
            cells.push(caster.json(*token)?);
        }
        Ok(())
    }

    /// The unknown fields of the last line; `None` where it has none.
    fn unknown(&mut self) -> Option<&str> {
        if self.object.is_empty() {
            return None;
        }
        self.object.push('}');
        Some(&self.object)
    }

    fn drift(self) -> Drift {
        let mut drift = Drift::default();
        self.unknown.add_to(&mut drift);
        for (path, records) in self.fields.paths.iter().zip(self.missing) {
            // A field of several columns is missing once.
            let name = path.to_string();
            if !drift.missing.contains_key(&name) {
                drift.count_missing(&name, records);
            }
        }
        drift
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

/// Reads an object's wanted fields as raw JSON text, in the order of the names; others are counted, and kept where they are to be.
struct Record<'r, 'a> {
    names: &'r [String],
    unknown: &'r mut Tally<'a>,
    object: Option<&'r mut String>,
}

impl<'de> DeserializeSeed<'de> for Record<'_, 'de> {
    type Value = Vec<Option<&'de str>>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Record<'_, 'de> {
    type Value = Vec<Option<&'de str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut tokens = vec![None; self.names.len()];
        while let Some(name) = map.next_key_seed(Name)? {
            let Some(place) = self.names.iter().position(|wanted| *wanted == name) else {
                match &mut self.object {
                    Some(object) => add_member(object, &name, map.next_value::<&RawValue>()?.get()),
                    None => drop(map.next_value::<IgnoredAny>()?),
                }
                self.unknown.add(name);
                continue;
            };
            let token = map.next_value::<&RawValue>()?.get();
            if tokens[place].replace(token).is_some() {
                return Err(serde::de::Error::custom(format_args!("the field {name} is there twice")));
            }
        }
        Ok(tokens)
    }
}

/// Adds a member to the text of an object that is not closed yet.
pub(super) fn add_member(object: &mut String, name: &str, json: &str) {
    object.push(if object.is_empty() { '{' } else { ',' });
    object.push_str(&json_string(name));
    object.push(':');
    object.push_str(json);
}

/// A text as a JSON string.
pub(super) fn json_string(text: &str) -> Cow<'static, str> {
    Cow::Owned(serde_json::to_string(text).expect("a text has a JSON form"))
}

/// Why a line is no object, as one sees it who looks at the line.
fn why(line: &str, error: &serde_json::Error) -> String {
    match (line.trim_start().chars().next(), error.classify()) {
        (Some('['), _) => "it is a list".to_owned(),
        (Some('{'), Category::Eof) => "it ends within the object".to_owned(),
        (Some('{'), _) => {
            // The line is given by itself: only the column is news.
            let said = error.to_string();
            let said = said.split(" at line ").next().unwrap_or(&said);
            format!("{said} at byte {}", error.column())
        }
        (None, _) => "it is empty".to_owned(),
        (Some(_), _) => "it does not begin with `{`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use model::definition::UnknownFields;
    use model::reject::RejectReason;

    use super::super::fields::tests::{decoder, field};
    use super::*;

    fn decode_all(text: &[u8], unknown: UnknownFields) -> Decoded {
        let columns = [field("id", "id", "int64", false), field("name", "name", "string", true)];
        let decoder = decoder(&columns, unknown, &model::definition::Format::JsonLines);
        decode(&decoder.fields, &LineBlock { entry: "e".into(), first_line: 10, bytes: text.to_vec() })
    }

    #[test]
    fn rows_and_rejects_keep_their_place_and_bytes() {
        let text = b"{\"id\":1,\"name\":\"a\"}\r\n\nnonsense\n{\"id\":\"x\"}\n{\"other\":{\"id\":9},\"id\":2}\n[1]\n{\"id\":3} x\n{\"id\":4,\"id\":4}";
        let decoded = decode_all(text, UnknownFields::Ignore);
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
        let decoded = decode_all(b"{\"id\":1}\n{\"id\":2,\"name\":\"\xff\"}\n{\"id\":3}\n", UnknownFields::Ignore);
        assert_eq!(decoded.positions, [10, 12]);
        assert_eq!(decoded.rejects[0].bytes, b"{\"id\":2,\"name\":\"\xff\"}");
    }

    #[test]
    fn unknown_and_missing_fields_are_counted_and_kept_as_they_were_written() {
        let text = b"{\"id\":1,\"mood\":\"\\u00e9\",\"at\":{\"x\": 1.0}}\n{\"id\":2,\"name\":null}\n{\"id\":3,\"mood\":null}\n";
        let decoded = decode_all(text, UnknownFields::Keep);
        let kept: Vec<_> = decoded.unknown.unwrap().iter().map(|text| text.map(str::to_owned)).collect();
        assert_eq!(kept, [Some(r#"{"mood":"\u00e9","at":{"x": 1.0}}"#.to_owned()), None, Some(r#"{"mood":null}"#.to_owned())]);
        assert_eq!(decoded.drift.unknown, [("mood".to_owned(), 2), ("at".to_owned(), 1)].into());
        assert_eq!(decoded.drift.missing, [("name".to_owned(), 2)].into());
        assert_eq!(decode_all(text, UnknownFields::Ignore).unknown, None);
    }
}
