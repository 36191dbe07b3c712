//! How many instructions making rows ready for Cassandra takes: `make bench-instructions` runs these under callgrind, which counts
//! within functions whose names begin with `counted_`. Each is called once before. As tests they hold that what is counted does
//! its work.

use std::hint::black_box;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use model::definition::{CassandraColumn, CassandraTable, Order, Origin};

use crate::encode::Nulls;
use crate::mutations::Changes;
use crate::schema::TableDesign;
use crate::sink::{Written, rehearse};

/// That of our programs. The C library's takes other ways in each process, by some percent of what is counted here.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const ROWS: i32 = 2_000;

fn rows() -> RecordBatch {
    let spread = |row: i32| u64::try_from(row).unwrap().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let id = |row| Some(format!("{:08x}-1111-4222-8333-{:012x}", spread(row) >> 32, spread(row) & 0xffff_ffff_ffff));
    let at: TimestampMicrosecondArray = (0..ROWS).map(|row| Some(1_700_000_000_000_000 + i64::from(row) * 1_000_003)).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "country",
            Arc::new((0..ROWS).map(|row| Some(["FI", "SE", "NO"][usize::try_from(row % 3).unwrap()])).collect::<StringArray>()),
        ),
        ("at", Arc::new(at.with_timezone("UTC"))),
        ("id", Arc::new((0..ROWS).map(id).collect::<StringArray>())),
        ("kind", Arc::new((0..ROWS).map(|row| (row % 7 > 0).then(|| format!("kind {}", row % 11))).collect::<StringArray>())),
        ("pieces", Arc::new((0..ROWS).map(|row| (row % 5 > 0).then_some(row)).collect::<Int32Array>())),
        ("weight", Arc::new((0..ROWS).map(|row| Some(f64::from(row) / 3.0)).collect::<Float64Array>())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

fn design(rows: &RecordBatch) -> TableDesign {
    let table = CassandraTable {
        name: "t".to_owned(),
        from: Origin::UseCase("u".to_owned()),
        sql: String::new(),
        sql_file: "t.sql".to_owned(),
        partition_key: vec!["country".to_owned()],
        clustering: vec![("at".to_owned(), Order::Desc), ("id".to_owned(), Order::Asc)],
        types: vec![CassandraColumn { name: "id".to_owned(), cql_type: "uuid".to_owned() }],
        ttl_seconds: None,
        compaction: None,
    };
    TableDesign::draw(&table, &rows.schema()).unwrap()
}

#[inline(never)]
fn counted_encode_rows(design: &TableDesign, versions: &[Changes]) -> Written {
    black_box(rehearse(design, Nulls::Write, black_box(versions)).unwrap())
}

/// Rows of one version, sorted into partitions and cut into requests.
#[test]
fn instructions_of_encoding_rows() {
    let rows = rows();
    let design = design(&rows);
    let versions = [Changes { write_time_micros: 1, upserts: vec![rows], deletes: Vec::new() }];
    rehearse(&design, Nulls::Write, &versions).unwrap();
    let written = counted_encode_rows(&design, &versions);
    assert_eq!((written.rows, written.superseded), (2_000, 0));
}
