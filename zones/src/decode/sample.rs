//! Looks at data before there is a contract, so that one can be proposed.
//!
//! Records are cut and values are judged by the code that loads them: what fits here fits there. Nothing is bounded in here but
//! by what the caller hands in.

use std::borrow::Cow;
use std::io::{Cursor, Read};
use std::path::Path;

use arrow::datatypes::SchemaRef;
use model::definition::{Column, Csv, TextEncoding};

use super::cast::{Caster, Cell};
use super::csv::Dialect;
use super::csv::Found;
use super::parquet::RowReader;
use super::readers::as_utf8;
use super::{Block, Piece};
use crate::entries::Entry;
use crate::error::Error;

/// Tells whether values fit a column.
#[derive(Debug)]
pub struct Probe(Caster);

impl Probe {
    pub fn new(column: &Column) -> Self {
        Self(Caster::new(column))
    }

    /// Whether a text that stands for a value fits: a field of CSV, the content of a JSON string.
    pub fn takes_text(&self, text: &str) -> bool {
        self.0.text(Cow::Borrowed(text)).is_ok()
    }

    /// Whether a JSON token fits.
    pub fn takes_json(&self, token: &str) -> bool {
        self.0.json(Some(token)).is_ok()
    }

    /// The instant, or the midnight of the date, that a text is read as; microseconds since 1970.
    pub fn instant(&self, text: &str) -> Option<i64> {
        match self.0.text(Cow::Borrowed(text)).ok()? {
            Cell::Timestamp(micros) => Some(micros),
            Cell::Date(days) => Some(i64::from(days) * 86_400_000_000),
            _ => None,
        }
    }
}

/// Bytes of a file as UTF-8. What is not of the encoding becomes a byte that is not UTF-8.
pub fn transcoded(bytes: Vec<u8>, encoding: TextEncoding) -> Vec<u8> {
    let mut text = Vec::new();
    as_utf8(Box::new(Cursor::new(bytes)), encoding).read_to_end(&mut text).expect("memory can be read");
    text
}

/// Records of some CSV text, the header among them.
#[derive(Debug, Default)]
pub struct CsvRecords {
    pub records: Vec<Vec<String>>,
    /// Lines whose quotes are wrong.
    pub wrong: usize,
}

/// Cuts text into records, `limit` at most.
pub fn csv_records(text: &str, csv: &Csv, limit: usize) -> CsvRecords {
    let dialect = Dialect::of(csv);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = CsvRecords::default();
    let (mut at, mut fields) = (0, Vec::new());
    while at < text.len() && found.records.len() < limit {
        if let Some(rest) = text[at..].strip_prefix("\r\n").or_else(|| text[at..].strip_prefix('\n')) {
            at = text.len() - rest.len();
            continue;
        }
        fields.clear();
        if let Found::Record { next, .. } = dialect.scan(text.as_bytes(), at, true, &mut fields) {
            let content = |field: &super::csv::Field| {
                let content = &text[field.range()];
                if field.is_escaped() { dialect.unescaped(content) } else { content.to_owned() }
            };
            found.records.push(fields.iter().map(content).collect());
            at = next;
        } else {
            found.wrong += 1;
            at = text[at..].find('\n').map_or(text.len(), |end| at + end + 1);
        }
    }
    found
}

/// The first rows of a Parquet file.
#[derive(Debug)]
pub struct ParquetRows {
    pub schema: SchemaRef,
    /// Each as a JSON object, with its nulls.
    pub records: Vec<String>,
    /// The same rows, to be decoded.
    pub blocks: Vec<Block>,
    /// Whether these are all.
    pub is_whole: bool,
}

/// Reads `limit` rows at most, or a few more. What is packed is unpacked into `folder`, as a file without a name.
pub fn parquet_rows(entry: Entry, folder: &Path, limit: usize) -> Result<ParquetRows, Error> {
    let mut reader = RowReader::open(entry, folder)?;
    let mut rows = ParquetRows { schema: reader.schema(), records: Vec::new(), blocks: Vec::new(), is_whole: false };
    while rows.records.len() < limit {
        match reader.next_piece()? {
            Some(Piece::Records(Block::Rows(block))) => {
                rows.records.extend(block.records());
                rows.blocks.push(Block::Rows(block));
            }
            Some(_) => {}
            None => {
                rows.is_whole = true;
                break;
            }
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use model::definition::{ColumnSource, ColumnType, Reading};

    use super::super::csv::tests::CSV;
    use super::*;

    #[test]
    fn records_are_cut_as_they_are_when_they_are_loaded() {
        let found = csv_records("\u{feff}a,b\r\n\r\n1,\"x \"\"y\"\"\nz\"\n\"2\" x,y\n3,\n", &CSV, 100);
        assert_eq!(found.records, [["a", "b"], ["1", "x \"y\"\nz"], ["3", ""]]);
        assert_eq!(found.wrong, 1);
        assert_eq!(csv_records("a\nb\nc", &CSV, 2).records.len(), 2);
        assert_eq!(transcoded(b"Malm\xf6".to_vec(), TextEncoding::Windows1252), "Malmö".as_bytes());
    }

    #[test]
    fn a_probe_takes_what_the_column_would() {
        let column = |data_type| Column {
            name: "c".into(),
            data_type,
            source: ColumnSource::Field("c".into()),
            nullable: false,
            one_of: None,
            reading: Reading::default(),
        };
        let integer = Probe::new(&column(ColumnType::Int8));
        assert_eq!((integer.takes_text("127"), integer.takes_text("128"), integer.takes_json("\"1\"")), (true, false, false));
        let instant = Probe::new(&column(ColumnType::Timestamp));
        assert_eq!(instant.instant("1970-01-01T00:00:01+01:00"), Some(-3_599_000_000));
        assert_eq!(
            (instant.instant("soon"), Probe::new(&column(ColumnType::Date)).instant("1970-01-02")),
            (None, Some(86_400_000_000))
        );
    }
}
