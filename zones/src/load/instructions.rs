//! How many instructions the hot parts of a load take: `make bench-instructions` runs these under callgrind, which counts within
//! functions whose names begin with `counted_`, and holds the counts against bench/instructions.json. Each is called once before,
//! so that what is made at the first call is not counted. As tests they hold that what is counted does its work.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::io::{Cursor, Write};
use std::path::Path;

use arrow::array::RecordBatch;
use model::definition::{DefinitionText, Format, Landing, RawTable, read};
use model::position::TableVersion;

use super::spill::SpillWriter;
use super::split::DateSplitter;
use super::{CompiledContract, Fate, RowIndex};
use crate::decode::{self, Block, Decoded, Decoder, Piece, RowBlock};
use crate::delta::PartitionValue;
use crate::entries::Entry;
use crate::keys::{KeyDirectory, hashes};

/// That of our programs. The C library's takes other ways in each process, by some percent of what is counted here.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Enough for what is paid once a block not to show.
const ROWS: u64 = 2_000;
/// Of CSV: a block that is full. What its buffer costs to make depends on where there is room for it.
const CSV_ROWS: u64 = 10_000;
/// So often rows are split: now and then the allocator tidies up.
const SPLITS: usize = 10;
/// In microseconds: later than every event here.
const LATEST: i64 = 4_102_444_800_000_000;

const CONTRACT: &str = r#"
[raw.r]
from = "s"
event_time = "at"
partition_by = "day"
unique_key = ["id"]
[raw.r.columns]
id = { type = "uuid" }
kind = { type = "string", one_of = ["made", "paid", "sent"] }
at = { type = "timestamp" }
country = { type = "string", nullable = true }
pieces = { type = "int32" }
price = { type = "decimal(10, 2)" }
weight = { type = "float64" }
is_gift = { type = "boolean" }
ordered_on = { type = "date" }
day = { type = "date", sql = "cast(at as date)" }
[[raw.r.checks]]
name = "something is in it"
sql = "pieces > 0 and weight < 1000"
"#;

/// The values of a row as JSON has them, texts in quotes; rows of five dates in turn.
fn values(row: u64) -> [String; 9] {
    let spread = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (row << 32);
    let (day, hour, minute) = (1 + row % 5, spread % 24, spread / 24 % 60);
    let text = |text: String| format!("\"{text}\"");
    [
        text(format!("{:08x}-1111-4222-8333-{:012x}", spread >> 32, spread & 0xffff_ffff_ffff)),
        text(["made", "paid", "sent"][usize::try_from(row % 3).unwrap()].to_owned()),
        text(format!("2024-03-{day:02}T{hour:02}:{minute:02}:07.{:03}Z", row % 1_000)),
        if row.is_multiple_of(7) {
            "null".to_owned()
        } else {
            text(["FI", "SE", "C\u{f4}te"][usize::try_from(spread % 3).unwrap()].to_owned())
        },
        (1 + spread % 90_000).to_string(),
        format!("{}.{:02}", spread % 100_000, spread % 97),
        format!("{}.{}", spread % 900, spread % 100_003),
        (row.is_multiple_of(2)).to_string(),
        text(format!("2024-02-{:02}", 1 + spread % 28)),
    ]
}

const NAMES: [&str; 9] = ["id", "kind", "at", "country", "pieces", "price", "weight", "is_gift", "ordered_on"];

fn definition(format: &str) -> (Landing, RawTable) {
    let toml =
        format!("[pipeline]\nname = \"p\"\n[source.s]\nurl = \"file:///s\"\n[landing.s]\nformat = \"{format}\"\n{CONTRACT}");
    let text = DefinitionText { path: "pipeline.toml".into(), toml, files: BTreeMap::new() };
    let mut pipeline = read(&text, &|_| None).unwrap_or_else(|errors| panic!("{errors}"));
    (pipeline.landings.remove(0), pipeline.raw.remove(0))
}

fn contract(format: &str) -> (CompiledContract, Format) {
    let (landing, table) = definition(format);
    (CompiledContract::compile(&table, &landing.format).unwrap(), landing.format)
}

/// The one block of these bytes.
fn block(bytes: Vec<u8>, format: &Format, decoder: &Decoder) -> Block {
    let entry = Entry { name: "e".to_owned(), reader: Box::new(Cursor::new(bytes)), file: None };
    let mut pieces = decode::open(entry, format, decoder, 1 << 20, Path::new("")).unwrap();
    let Some(Piece::Records(block)) = pieces.next_piece().unwrap() else { panic!("no block") };
    assert!(pieces.next_piece().unwrap().is_none());
    block
}

fn json_lines() -> Vec<u8> {
    let mut lines = Vec::new();
    for row in 1..=ROWS {
        let members: Vec<String> = NAMES.iter().zip(values(row)).map(|(name, value)| format!("\"{name}\":{value}")).collect();
        writeln!(lines, "{{{}}}", members.join(",")).unwrap();
    }
    lines
}

fn csv() -> Vec<u8> {
    let mut lines = format!("{}\n", NAMES.join(",")).into_bytes();
    for row in 1..=CSV_ROWS {
        let fields = values(row).map(|value| match value.as_str() {
            "null" => String::new(),
            // Quotes where nothing asks for them, now and then.
            _ if row.is_multiple_of(5) => value,
            _ => value.replace('"', ""),
        });
        writeln!(lines, "{}", fields.join(",")).unwrap();
    }
    lines
}

/// The rows of a contract, as a load has them.
fn rows() -> RecordBatch {
    let (contract, format) = contract("json_lines");
    let block = block(json_lines(), &format, contract.decoder());
    contract.accept(&block, LATEST).unwrap().rows
}

fn all_decoded(decoded: &Decoded, rows: u64) {
    assert_eq!((decoded.rows.num_rows() as u64, decoded.rejects.len()), (rows, 0), "{:?}", decoded.rejects.first());
}

// Functions with the same body are made one by the compiler, and counted under one name: each says its own.
#[inline(never)]
fn counted_decode_json_lines(decoder: &Decoder, block: &Block) -> Decoded {
    black_box("decode_json_lines");
    black_box(decoder.decode(black_box(block)))
}

#[test]
fn instructions_of_decoding_json_lines() {
    let (contract, format) = contract("json_lines");
    let block = block(json_lines(), &format, contract.decoder());
    all_decoded(&contract.decoder().decode(&block), ROWS);
    all_decoded(&counted_decode_json_lines(contract.decoder(), &block), ROWS);
}

#[inline(never)]
fn counted_cut_csv(bytes: Vec<u8>, format: &Format, decoder: &Decoder) -> Block {
    black_box(block(black_box(bytes), format, decoder))
}

#[inline(never)]
fn counted_decode_csv(decoder: &Decoder, block: &Block) -> Decoded {
    black_box("decode_csv");
    black_box(decoder.decode(black_box(block)))
}

#[test]
fn instructions_of_cutting_and_decoding_csv() {
    let (contract, format) = contract("csv");
    let once = block(csv(), &format, contract.decoder());
    all_decoded(&contract.decoder().decode(&once), CSV_ROWS);
    let block = counted_cut_csv(csv(), &format, contract.decoder());
    all_decoded(&counted_decode_csv(contract.decoder(), &block), CSV_ROWS);
}

#[inline(never)]
fn counted_cast_rows(decoder: &Decoder, block: &Block) -> Decoded {
    black_box("cast_rows");
    black_box(decoder.decode(black_box(block)))
}

/// Columns as Parquet might have them: all of them texts, which are cast to what the contract says.
#[test]
fn instructions_of_casting_columns() {
    use arrow::array::{ArrayRef, StringArray};
    let (contract, _) = contract("parquet");
    let text = |column: usize| -> ArrayRef {
        let text = |row| Some(values(row)[column].trim_matches('"').to_owned()).filter(|text| text != "null");
        std::sync::Arc::new((1..=ROWS).map(text).collect::<StringArray>())
    };
    let columns = NAMES.iter().enumerate().map(|(column, name)| (*name, text(column)));
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let block = Block::Rows(RowBlock { entry: "e".into(), first_row: 1, rows });
    all_decoded(&contract.decoder().decode(&block), ROWS);
    all_decoded(&counted_cast_rows(contract.decoder(), &block), ROWS);
}

#[inline(never)]
fn counted_decode_and_check(contract: &CompiledContract, block: &Block) -> RecordBatch {
    black_box(contract.accept(black_box(block), LATEST).unwrap().rows)
}

#[test]
fn instructions_of_decoding_and_checking() {
    let (contract, format) = contract("json_lines");
    let block = block(json_lines(), &format, contract.decoder());
    contract.accept(&block, LATEST).unwrap();
    assert_eq!(counted_decode_and_check(&contract, &block).num_rows() as u64, ROWS);
}

#[inline(never)]
fn counted_split_by_date(splitter: &mut DateSplitter, rows: &RecordBatch, spill: &mut SpillWriter) {
    for _ in 0..SPLITS {
        splitter.push(black_box(rows), spill).unwrap();
    }
}

#[test]
fn instructions_of_splitting_by_date() {
    let (contract, _) = contract("json_lines");
    let rows = rows();
    let folder = tempfile::tempdir().unwrap();
    let mut spill = SpillWriter::create(&folder.path().join("spill")).unwrap();
    // Nothing is spilled: writing files is none of this.
    let mut splitter = DateSplitter::new(contract.row_schema().clone(), contract.partition(), usize::MAX, u64::MAX);
    splitter.push(&rows, &mut spill).unwrap();
    counted_split_by_date(&mut splitter, &rows, &mut spill);
    let segments = splitter.finish(&mut spill).unwrap();
    assert_eq!((segments.len(), segments.iter().map(|segment| segment.rows).sum::<u64>()), (5, 11 * ROWS));
}

#[inline(never)]
fn counted_find_duplicates(rows: &RecordBatch, key: &[usize], content: &[usize], stored: &RecordBatch) -> Vec<Fate> {
    let mut index = RowIndex::new(black_box(rows), key, content).unwrap();
    index.compare_with(stored).unwrap();
    black_box(index.finish())
}

#[test]
fn instructions_of_finding_duplicates() {
    let rows = rows();
    let content: Vec<usize> = (0..NAMES.len()).collect();
    let stored = rows.slice(0, 500);
    RowIndex::new(&rows, &[0], &content).unwrap().compare_with(&stored).unwrap();
    let fates = counted_find_duplicates(&rows, &[0], &content, &stored);
    assert_eq!(fates.iter().filter(|fate| **fate == Fate::Duplicate).count(), 500);
}

#[inline(never)]
fn counted_look_keys_up(keys: &KeyDirectory, rows: &RecordBatch) -> BTreeSet<PartitionValue> {
    let mut hashes = hashes(black_box(rows), &[0]).unwrap();
    hashes.sort_unstable();
    black_box(keys.look_up(&hashes).unwrap())
}

#[test]
fn instructions_of_looking_keys_up() {
    let rows = rows();
    let folder = tempfile::tempdir().unwrap();
    let mut keys = KeyDirectory::open(folder.path(), "t", TableVersion(0)).unwrap();
    for version in 1..=20 {
        // One row in a hundred has its key in the directory, among others.
        let at = usize::try_from(version).unwrap() * 50;
        let mut known = hashes(&rows.slice(at, 1), &[0]).unwrap();
        known.extend((0..2_000).map(|key: u64| (version * 10_000 + key).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        keys.add(&BTreeMap::from([(Some(format!("2024-03-{version:02}")), known)]), TableVersion(version)).unwrap();
    }
    assert_eq!(keys.look_up(&[1]).unwrap().len(), 0);
    assert_eq!(counted_look_keys_up(&keys, &rows).len(), 20);
}
