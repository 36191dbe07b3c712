//! Random histories against two models: a map that the versions are applied to one after the other, and Cassandra's own rules
//! for cells, to which the mutations are applied in any order.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use model::definition::{CassandraColumn, CassandraTable, Order, Origin};

use super::*;

/// A reproducible source of numbers (`SplitMix64`).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, usize::try_from(self.below(last as u64 + 1)).unwrap());
        }
    }
}

/// A partition, a time in milliseconds, a number.
type Key = (String, i64, i32);
type Values = (Option<i32>, Option<String>);

#[derive(Debug, Clone, Default)]
struct Version {
    write_time: i64,
    upserts: Vec<(Key, Values)>,
    deletes: Vec<Key>,
}

fn history(numbers: &mut Numbers, deletes: bool) -> Vec<Version> {
    let mut write_time = 1_000;
    (0..=numbers.below(6))
        .map(|_| {
            write_time += 1 + i64::try_from(numbers.below(2)).unwrap();
            let mut version = Version { write_time, ..Version::default() };
            for _ in 0..numbers.below(12) {
                let partition = ["a", "b", "ab"][usize::try_from(numbers.below(3)).unwrap()].to_owned();
                // Microseconds that fall into one millisecond are one key to Cassandra.
                let key =
                    (partition, i64::try_from(numbers.below(2)).unwrap() * 1_000 - 500, i32::try_from(numbers.below(2)).unwrap());
                if deletes && numbers.below(3) == 0 {
                    version.deletes.push(key);
                } else if !version.upserts.iter().any(|(known, _)| *known == key) {
                    let number = (numbers.below(3) > 0).then(|| i32::try_from(numbers.below(1_000)).unwrap());
                    let text = (numbers.below(3) > 0).then(|| numbers.below(1_000).to_string());
                    version.upserts.push((key, (number, text)));
                }
            }
            version
        })
        .collect()
}

fn design() -> TableDesign {
    let schema = batch(&[]).schema();
    TableDesign::draw(&definition(), &schema).unwrap()
}

fn definition() -> CassandraTable {
    CassandraTable {
        name: "t".to_owned(),
        from: Origin::UseCase("u".to_owned()),
        sql: String::new(),
        sql_file: "t.sql".to_owned(),
        partition_key: vec!["p".to_owned()],
        clustering: vec![("ts".to_owned(), Order::Desc), ("c".to_owned(), Order::Asc)],
        types: vec![CassandraColumn { name: "c".to_owned(), cql_type: "smallint".to_owned() }],
        ttl_seconds: None,
        compaction: None,
    }
}

fn batch(rows: &[(Key, Values)]) -> RecordBatch {
    // Microseconds that fall into one millisecond are one key to Cassandra.
    let ts: TimestampMicrosecondArray =
        (0..).zip(rows).map(|(at, row): (i64, _)| Some(row.0.1 * 1_000 + at * 379 % 1_000)).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.1.1.clone()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| Some(row.0.2)).collect::<Int32Array>()),
        Arc::new(ts.with_timezone("UTC")),
        Arc::new(rows.iter().map(|row| row.1.0).collect::<Int32Array>()),
        Arc::new(rows.iter().map(|row| Some(row.0.0.clone())).collect::<StringArray>()),
    ];
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let field = |name: &str, data_type: &DataType| Field::new(name, data_type.clone(), true);
    let fields = vec![
        field("text", &DataType::Utf8),
        field("c", &DataType::Int32),
        field("ts", &time),
        field("number", &DataType::Int32),
        field("p", &DataType::Utf8),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn changes(versions: &[Version], numbers: &mut Numbers) -> Vec<Changes> {
    versions
        .iter()
        .map(|version| {
            let mut upserts = version.upserts.clone();
            numbers.shuffle(&mut upserts);
            let deletes: Vec<_> = version.deletes.iter().map(|key| (key.clone(), (None, None))).collect();
            let middle = upserts.len() / 2;
            Changes {
                write_time_micros: version.write_time,
                upserts: vec![batch(&upserts[..middle]), batch(&upserts[middle..])],
                deletes: vec![batch(&deletes)],
            }
        })
        .collect()
}

fn mutations(versions: &[Changes], nulls: Nulls) -> Mutations {
    let design = design();
    Mutations::of(&design, nulls, versions, BatchLimits::of(&design)).unwrap()
}

/// The rows of a table by Cassandra's rules: of two values of a cell the later wins, then the one that is null, then the larger
/// bytes; a removed row hides everything written up to its time.
#[derive(Debug, Clone, Default, PartialEq)]
struct Server {
    rows: BTreeMap<Vec<u8>, Row>,
}

/// When a value was written, and its bytes; `None` reads as null.
type VisibleCell = Option<(i64, Vec<u8>)>;

#[derive(Debug, Clone, Default, PartialEq)]
struct Row {
    removed: i64,
    written: i64,
    cells: BTreeMap<usize, (i64, bool, Vec<u8>)>,
}

impl Server {
    fn apply(&mut self, mutation: &Mutation, values: &[u8]) {
        let row = self.rows.entry(values[..mutation.key_len as usize].to_vec()).or_default();
        let time = mutation.write_time();
        if mutation.kind == Kind::Delete {
            row.removed = row.removed.max(time);
            return;
        }
        row.written = row.written.max(time);
        let mut rest = &values[mutation.key_len as usize..];
        for column in 0.. {
            let Some((length, after)) = rest.split_first_chunk::<4>() else { break };
            let length = i32::from_be_bytes(*length);
            let (value, after) = after.split_at(usize::try_from(length).unwrap_or(0));
            rest = after;
            let cell = (time, length == -1, value.to_vec());
            if length != -2 && row.cells.get(&column).is_none_or(|known| *known < cell) {
                row.cells.insert(column, cell);
            }
        }
    }

    /// What a query would see: keys with the values of their columns and when each was written.
    fn visible(&self) -> BTreeMap<Vec<u8>, Vec<VisibleCell>> {
        let seen = |row: &Row| {
            let column = |column| {
                let (time, is_null, value) = row.cells.get(&column)?;
                (*time > row.removed && !is_null).then(|| (*time, value.clone()))
            };
            (0..2).map(column).collect::<Vec<_>>()
        };
        self.rows
            .iter()
            .map(|(key, row)| (key.clone(), row, seen(row)))
            .filter(|(_, row, seen)| row.written > row.removed || seen.iter().any(Option::is_some))
            .map(|(key, _, seen)| (key, seen))
            .collect()
    }
}

fn apply_all(server: &mut Server, mutations: &Mutations, numbers: &mut Numbers) {
    let mut batches: Vec<_> = (0..mutations.len()).collect();
    numbers.shuffle(&mut batches);
    for batch in batches {
        mutations.batch(batch).for_each(|(mutation, values)| server.apply(mutation, values));
    }
}

#[test]
fn a_netted_group_leaves_what_its_versions_leave_one_after_the_other() {
    let mut numbers = Numbers(1);
    for _ in 0..2_000 {
        let versions = history(&mut numbers, true);
        let mut table: BTreeMap<Key, (i64, Values)> = BTreeMap::new();
        for version in &versions {
            for key in &version.deletes {
                table.remove(key);
            }
            table.extend(version.upserts.iter().map(|(key, values)| (key.clone(), (version.write_time, values.clone()))));
        }
        let mut wanted = Server::default();
        for (key, (write_time_micros, values)) in table {
            let row = Changes { write_time_micros, upserts: vec![batch(&[(key, values)])], deletes: vec![] };
            apply_all(&mut wanted, &mutations(&[row], Nulls::Write), &mut numbers);
        }

        let group = mutations(&changes(&versions, &mut numbers), Nulls::Write);
        let mut server = Server::default();
        apply_all(&mut server, &group, &mut numbers);
        assert_eq!(server.visible(), wanted.visible(), "{versions:#?}");
        let sent: usize = (0..group.len()).map(|batch| group.batch(batch).len()).sum();
        let given: usize = versions.iter().map(|version| version.upserts.len() + version.deletes.len()).sum();
        assert_eq!(sent as u64 + group.superseded, given as u64);
        assert_eq!(sent, server.rows.len(), "one mutation a key");
    }
}

#[test]
fn groups_cut_anywhere_and_sent_again_in_any_order_leave_the_same_cells() {
    for (nulls, deletes) in [(Nulls::Write, true), (Nulls::Unset, false)] {
        let mut numbers = Numbers(2);
        for _ in 0..1_000 {
            let versions = history(&mut numbers, deletes);
            let mut once = Server::default();
            for version in &versions {
                let single = mutations(&changes(std::slice::from_ref(version), &mut numbers), nulls);
                apply_all(&mut once, &single, &mut numbers);
            }
            let mut again = Server::default();
            for _ in 0..4 {
                let from = usize::try_from(numbers.below(versions.len() as u64)).unwrap();
                let to = from + 1 + usize::try_from(numbers.below((versions.len() - from) as u64)).unwrap();
                let part = mutations(&changes(&versions[from..to], &mut numbers), nulls);
                apply_all(&mut again, &part, &mut numbers);
            }
            let whole = mutations(&changes(&versions, &mut numbers), nulls);
            apply_all(&mut again, &whole, &mut numbers);
            assert_eq!(again.visible(), once.visible(), "{nulls:?} {versions:#?}");
        }
    }
}

#[test]
fn a_version_that_comes_in_pieces_keeps_the_row_that_it_both_removes_and_writes() {
    let key = ("a".to_owned(), 0, 0);
    let row = (key.clone(), (Some(1), None));
    let piece = |upserts, deletes| Changes { write_time_micros: 5, upserts, deletes };
    let mut server = Server::default();
    let mut numbers = Numbers(3);
    apply_all(&mut server, &mutations(&[piece(vec![batch(std::slice::from_ref(&row))], vec![])], Nulls::Write), &mut numbers);
    apply_all(&mut server, &mutations(&[piece(vec![], vec![batch(&[row])])], Nulls::Write), &mut numbers);
    assert_eq!(server.visible().len(), 1);
}

#[test]
fn of_two_rows_of_one_key_in_one_version_the_same_wins_whatever_their_order() {
    let key = ("a".to_owned(), 0, 0);
    let rows = [(key.clone(), (Some(1), Some("z".to_owned()))), (key, (Some(2), Some("a".to_owned())))];
    let sent = |rows: &[(Key, Values)]| {
        let group = mutations(&[Changes { write_time_micros: 1, upserts: vec![batch(rows)], deletes: vec![] }], Nulls::Write);
        assert_eq!(group.superseded, 1);
        group.values
    };
    let mut turned = rows.clone();
    turned.reverse();
    assert_eq!(sent(&rows), sent(&turned));
}

#[test]
fn batches_hold_one_large_partition_or_several_small_ones_and_stay_within_limits() {
    let mut rows = Vec::new();
    for (partition, count) in [(1_000, 1), (200, 3), (10, 20), (1, 130), (1, 64), (1, 65)] {
        for number in 0..partition {
            rows.extend((0..count).map(|c| ((format!("{count}-{number}"), 0, c), (Some(c), Some("x".repeat(40))))));
        }
    }
    let design = design();
    let limits = BatchLimits::of(&design);
    let group = mutations(&[Changes { write_time_micros: 1, upserts: vec![batch(&rows)], deletes: vec![] }], Nulls::Write);
    let mut seen = 0;
    let mut gathered = 0;
    for number in 0..group.len() {
        let batch: Vec<_> = group.batch(number).collect();
        let partitions = batch.chunk_by(|a, b| a.0.partition(&group.values) == b.0.partition(&group.values)).count();
        let bytes: usize = batch.iter().map(|(_, values)| values.len()).sum();
        assert!(batch.len() <= limits.rows && bytes <= limits.bytes);
        if partitions > 1 {
            gathered += 1;
            assert!(partitions <= limits.gathered_partitions);
            assert!(bytes + batch.len() * limits.row_overhead <= limits.gathered_bytes);
        }
        seen += batch.len();
    }
    assert_eq!(seen, rows.len());
    assert!((121..126).contains(&gathered), "{gathered} batches of {} gather partitions", group.len());
    assert!(group.len() - gathered < 10, "{} batches of one partition", group.len() - gathered);
}

#[test]
fn a_large_partition_is_cut_evenly_and_by_bytes() {
    let limits = BatchLimits { rows: 64, bytes: 1_000, gathered_partitions: 10, gathered_bytes: 5_000, row_overhead: 0 };
    let mutation =
        |len| Mutation { token: 0, prefix: 0, start: 0, len, key_len: 0, partition_len: 0, kind: Kind::Upsert, version: 0 };
    let sizes = |lens: &[u32]| {
        let partition: Vec<_> = lens.iter().map(|len| mutation(*len)).collect();
        pieces(&partition, limits).map(|piece| piece.len()).collect::<Vec<_>>()
    };
    assert_eq!(sizes(&[1; 66]), [33, 33]);
    assert_eq!(sizes(&[1; 130]), [44, 44, 42]);
    assert_eq!(sizes(&[400, 400, 400, 5_000, 1]), [2, 1, 1, 1]);
}
