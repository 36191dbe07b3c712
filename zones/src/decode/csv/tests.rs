use std::io::Read;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use model::definition::{Format, Header, TextEncoding, UnknownFields};
use model::reject::RejectReason;

use super::super::fields::tests::{decoder, field};
use super::super::{Block, Piece};
use super::*;

pub(in crate::decode) const CSV: Csv = Csv {
    delimiter: b',',
    quote: Some(b'"'),
    escape: None,
    header: Header::Line,
    null_values: Vec::new(),
    encoding: TextEncoding::Utf8,
};

/// Hands out a few bytes at a time.
struct Dribble<'a>(&'a [u8]);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = 5.min(self.0.len()).min(buffer.len());
        buffer[..length].copy_from_slice(&self.0[..length]);
        self.0 = &self.0[length..];
        Ok(length)
    }
}

struct Read_ {
    rows: Vec<String>,
    rejects: Vec<(u64, RejectReason, String, String)>,
    drift: Drift,
}

fn read_with(csv: &Csv, max_record: u64, text: &[u8]) -> Result<Read_, String> {
    let csv = Csv { null_values: vec![String::new(), "NA".to_owned()], ..csv.clone() };
    let columns = [field("id", "id", "int64", false), field("name", "name", "string", true), field("at", "at", "date", true)];
    let decoder = decoder(&columns, UnknownFields::Keep, &Format::Csv(csv.clone()));
    let mut reader = CsvReader::new(Dribble(text), "e".into(), &csv, decoder.fields.clone(), max_record);
    let mut read = Read_ { rows: Vec::new(), rejects: Vec::new(), drift: Drift::default() };
    loop {
        let block = match reader.next_piece() {
            Ok(Some(Piece::Records(block))) => block,
            Ok(Some(Piece::TooLarge { position, beginning, size, .. })) => {
                let beginning = String::from_utf8_lossy(&beginning).into_owned();
                read.rejects.push((position, RejectReason::TooLarge, size.to_string(), beginning));
                continue;
            }
            Ok(None) => return Ok(read),
            Err(Stop::Unusable { problem, .. }) => return Err(problem),
            Err(Stop::Io(error)) => panic!("{error}"),
        };
        let Block::Csv(csv_block) = &block else { panic!("{block:?}") };
        let made = decode(&decoder.fields, csv_block);
        let options = FormatOptions::default().with_null("-");
        let columns: Vec<_> =
            made.rows.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for (row, position) in made.positions.iter().enumerate() {
            let cells: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
            let unknown = made.unknown.as_ref().unwrap();
            let unknown = if arrow::array::Array::is_null(unknown, row) { "" } else { unknown.value(row) };
            read.rows.push(format!("{position}:{}{unknown}", cells.join("|")));
        }
        for reject in made.rejects {
            let bytes = String::from_utf8_lossy(&reject.bytes).into_owned();
            read.rejects.push((reject.position, reject.reason, reject.detail, bytes));
        }
        read.drift.add(made.drift);
    }
}

fn rows(csv: &Csv, text: &str) -> Vec<String> {
    let read = read_with(csv, 1 << 20, text.as_bytes()).unwrap();
    assert!(read.rejects.is_empty(), "{:?}", read.rejects);
    read.rows
}

#[test]
fn records_are_found_whatever_the_line_ends_and_keep_the_line_in_which_they_begin() {
    let expected = ["2:1|a|2024-02-29", "4:2|x\ny|-", "6:3|-|-"];
    for text in [
        "id,name,at\n1,a,2024-02-29\n\n2,\"x\ny\",\n3,NA,\"\"\n",
        "id,name,at\r\n1,a,2024-02-29\r\n\r\n\"2\",\"x\ny\",\r\n3,,\"NA\"\r\n",
        "\u{feff}\"id\",\"name\",\"at\"\n\"1\",\"a\",\"2024-02-29\"\n\n2,\"x\ny\",NA\n3,\"\",",
    ] {
        assert_eq!(rows(&CSV, text), expected, "{text:?}");
    }
}

#[test]
fn columns_are_found_by_name_and_others_are_kept_by_theirs() {
    assert_eq!(rows(&CSV, "at,mood,name,id\n,\"a\"\"b\",n,7\n,,n,8\n"), ["2:7|n|-{\"mood\":\"a\\\"b\"}", "3:8|n|-"]);
    let read = read_with(&CSV, 99, b"mood,id\nx,1\ny,2\n").unwrap();
    assert_eq!(read.drift.unknown, [("mood".to_owned(), 2)].into());
    assert_eq!(read.drift.missing, [("name".to_owned(), 2), ("at".to_owned(), 2)].into());
    assert_eq!(read.rows[0], "2:1|-|-{\"mood\":\"x\"}");
}

#[test]
fn a_file_without_a_header_has_its_names_from_the_definition() {
    let named = Csv { header: Header::Names(["at", "id", "name"].map(str::to_owned).to_vec()), delimiter: b'\t', ..CSV };
    assert_eq!(rows(&named, "2024-01-01\t5\tx\n"), ["1:5|x|2024-01-01"]);
    let numbered = Csv { header: Header::Numbers, ..CSV };
    let error = read_with(&numbered, 99, b"1,2\n").err().unwrap();
    assert!(error.contains("has 2 fields"), "{error}");
    for empty in ["", "\n\r\n", "id,name,at", "id,name,at\n\n"] {
        assert!(rows(&CSV, empty).is_empty(), "{empty:?}");
    }
}

#[test]
fn each_kind_of_bad_record_is_set_aside_by_itself() {
    let text = b"id,name,at\n1,a\n2,a,,\nx,a,\n3,\xff,\n4,\"b\"c,\n5,a,2024-02-30\n,a,\n6,ok,\n7,\"open,\n8,ok,\n";
    let read = read_with(&CSV, 1 << 20, text).unwrap();
    assert_eq!(read.rows, ["9:6|ok|-", "11:8|ok|-"]);
    let mut rejects = read.rejects;
    rejects.sort_by_key(|reject| reject.0);
    let found: Vec<_> = rejects.iter().map(|(line, reason, detail, _)| (*line, *reason, detail.as_str())).collect();
    assert_eq!(
        found,
        [
            (2, RejectReason::Malformed, "2 fields where there should be 3"),
            (3, RejectReason::Malformed, "4 fields where there should be 3"),
            (4, RejectReason::WrongType, "id is not an int64: x"),
            (5, RejectReason::Malformed, "the record is not UTF-8"),
            (6, RejectReason::Malformed, "text follows the quote that closes at byte 5 of line 6"),
            (7, RejectReason::WrongType, "at is not a date: 2024-02-30"),
            (8, RejectReason::Missing, "id has no value"),
            (10, RejectReason::Malformed, "the quote at byte 3 of the line is never closed"),
        ]
    );
    assert_eq!((rejects[0].3.as_str(), rejects[7].3.as_str()), ("1,a", "7,\"open,"));
}

fn numbered(count: u32) -> String {
    (0..count).fold(String::new(), |text, id| text + &format!("{id},n,\n"))
}

#[test]
fn neither_an_open_quote_nor_a_long_line_takes_the_rest_of_the_file_with_it() {
    let many = numbered(1000);
    let text = format!("id,name,at\n{many}1000,\"open,\n{many}2000,{},\n{many}", "x".repeat(300));
    let read = read_with(&CSV, 200, text.as_bytes()).unwrap();
    assert_eq!(read.rows.len(), 3000);
    let found: Vec<_> = read.rejects.iter().map(|(line, reason, detail, _)| (*line, *reason, detail.as_str())).collect();
    assert_eq!(found[0], (1002, RejectReason::Malformed, "the quote at byte 6 of the line is never closed"));
    assert_eq!(found[1..], [(2003, RejectReason::TooLarge, "306 bytes, more than the limit of 200")]);

    // Larger than what is read at once: given up at the limit, not at the end.
    let many = numbered(400_000);
    let read = read_with(&CSV, 200, format!("id,name,at\n1,\"open,\n{many}").as_bytes()).unwrap();
    assert_eq!((read.rows.len(), read.rejects.len()), (400_000, 1));
    assert!(read.rejects[0].2.contains("not closed within 200 bytes"), "{:?}", read.rejects);
}
