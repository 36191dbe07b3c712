//! How many instructions hot parts of an answer take: `make bench-instructions` runs these under callgrind, which counts within
//! functions whose names begin with `counted_`. Each is called once before. As tests they hold that what is counted does its work.

use std::hint::black_box;

use cassandra::CqlType;
use cassandra::lookup::{KeyValue, Value};

use crate::cursor::{Fingerprint, Position, Signer};
use crate::endpoint::Bounds;
use crate::format::{Format, Names, Rows};

/// That of our programs. The C library's takes other ways in each process, by some percent of what is counted here.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const ROWS: u32 = 1_000;
const CURSORS: i64 = 100;

#[inline(never)]
fn counted_write_rows(names: &Names, format: Format, rows: &[Vec<Value<'_>>]) -> Vec<u8> {
    let mut written = Rows::new(format, names);
    for row in rows {
        written.row(black_box(row));
    }
    black_box(written.finish())
}

#[test]
fn instructions_of_writing_rows_as_json() {
    let names = Names::new(["country", "day", "at", "id", "kind", "pieces", "weight", "is_gift"].into_iter());
    let row = |row: u32| {
        vec![
            Value::Text(if row.is_multiple_of(9) { "a \"quoted\" place\n" } else { "Finland" }),
            Value::Date(17_000 + i32::try_from(row % 300).unwrap()),
            Value::Timestamp(1_478_426_400_000 + i64::from(row) * 1_234_567),
            Value::Uuid(uuid::Uuid::from_u128(u128::from(row) << 64 | 0x1234_5678_9abc)),
            if row.is_multiple_of(7) { Value::Null } else { Value::Text("paid") },
            Value::Integer(i64::from(row) * 31),
            Value::Double(f64::from(row) / 3.0),
            Value::Boolean(row.is_multiple_of(2)),
        ]
    };
    let rows: Vec<Vec<Value<'_>>> = (0..ROWS).map(row).collect();
    let mut once = Rows::new(Format::Ndjson, &names);
    once.row(&rows[0]);
    let written = counted_write_rows(&names, Format::Ndjson, &rows);
    assert!(written.starts_with(once.written()));
    assert_eq!(String::from_utf8(written).unwrap().lines().count(), 1_000);
}

#[inline(never)]
fn counted_sign_cursors(signer: &Signer, question: &Fingerprint, position: &Position) -> Vec<String> {
    black_box((0..CURSORS).map(|now| signer.sign(question, black_box(position), now).unwrap()).collect())
}

#[inline(never)]
fn counted_read_cursors(signer: &Signer, question: &Fingerprint, cursors: &[String]) -> Vec<Position> {
    black_box(cursors.iter().map(|cursor| signer.read(black_box(cursor), question, 2, 0).unwrap()).collect())
}

#[test]
fn instructions_of_signing_and_reading_cursors() {
    let signer = Signer::new(&[7; 32]);
    let question = Fingerprint::of([b"orders".as_slice(), b"1"]);
    let value = |cql_type, text| KeyValue::parse(cql_type, text).unwrap();
    let position = Position {
        bounds: Bounds { from: Some(1_478_426_400_000), to: None },
        bucket: Some(17_111),
        clustering: vec![
            value(CqlType::Timestamp, "2016-11-06T10:00:00Z"),
            value(CqlType::Uuid, "00000000-1111-4222-8333-444444444444"),
        ],
    };
    let once = signer.sign(&question, &position, 0).unwrap();
    signer.read(&once, &question, 2, 0).unwrap();
    let cursors = counted_sign_cursors(&signer, &question, &position);
    let read = counted_read_cursors(&signer, &question, &cursors);
    assert!(read.len() == cursors.len() && read.iter().all(|read| *read == position));
}
