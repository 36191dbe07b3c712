use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int8Array, Int32Array, Int64Array, LargeStringArray, NullArray, StringArray, StringViewArray,
    TimestampMicrosecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use model::definition::{CassandraColumn, CassandraTable, Order, Origin};

use super::*;
use crate::cql::CqlType;

const UUID: &str = "00112233-4455-6677-8899-aabbccddeeff";
const UUID_BYTES: [u8; 16] = [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];

fn written(column: impl arrow::array::Array + 'static, to: CqlType) -> Vec<Vec<u8>> {
    let column: ArrayRef = Arc::new(column);
    assert!(can_encode(column.data_type(), to), "{} as {to}", column.data_type());
    let cells = Cells::ready(&column, to).unwrap();
    (0..column.len())
        .map(|row| {
            let mut out = Vec::new();
            cells.write(row, &mut out).unwrap();
            let (length, value) = out.split_first_chunk::<4>().unwrap();
            assert_eq!(usize::try_from(i32::from_be_bytes(*length)), Ok(value.len()));
            value.to_vec()
        })
        .collect()
}

fn problem(column: impl arrow::array::Array + 'static, to: CqlType) -> Problem {
    Cells::ready(&(Arc::new(column) as ArrayRef), to).unwrap().write(0, &mut Vec::new()).unwrap_err()
}

#[test]
fn numbers_are_written_as_wide_as_their_column() {
    assert_eq!(written(Int8Array::from(vec![-1]), CqlType::Tinyint), [[0xff]]);
    assert_eq!(written(Int8Array::from(vec![-2]), CqlType::Bigint), [(-2_i64).to_be_bytes()]);
    assert_eq!(written(Int64Array::from(vec![300]), CqlType::Smallint), [300_i16.to_be_bytes()]);
    assert_eq!(written(UInt64Array::from(vec![7]), CqlType::Int), [7_i32.to_be_bytes()]);
    assert_eq!(written(Float32Array::from(vec![1.5]), CqlType::Float), [1.5_f32.to_be_bytes()]);
    assert_eq!(written(Float32Array::from(vec![1.5]), CqlType::Double), [1.5_f64.to_be_bytes()]);
    assert_eq!(written(Float64Array::from(vec![-0.1]), CqlType::Double), [(-0.1_f64).to_be_bytes()]);
    assert_eq!(written(BooleanArray::from(vec![true, false]), CqlType::Boolean), [[1], [0]]);
}

#[test]
fn numbers_of_any_length_take_the_fewest_bytes() {
    let varint = |value: i64| written(Int64Array::from(vec![value]), CqlType::Varint).remove(0);
    assert_eq!(varint(0), [0]);
    assert_eq!(varint(127), [127]);
    assert_eq!(varint(128), [0, 128]);
    assert_eq!(varint(-1), [0xff]);
    assert_eq!(varint(-129), [0xff, 0x7f]);
    let decimal = Decimal128Array::from(vec![-1234]).with_precision_and_scale(10, 2).unwrap();
    assert_eq!(written(decimal, CqlType::Decimal), [[0, 0, 0, 2, 0xfb, 0x2e]]);
}

#[test]
fn times_are_cut_to_milliseconds_towards_the_past() {
    let micros = TimestampMicrosecondArray::from(vec![1_999, -1, -1_000, -1_001]).with_timezone("UTC");
    let wanted = [1_i64, -1, -1, -2].map(i64::to_be_bytes);
    assert_eq!(written(micros, CqlType::Timestamp), wanted);
    assert_eq!(written(TimestampNanosecondArray::from(vec![-1]), CqlType::Timestamp), [(-1_i64).to_be_bytes()]);
    assert_eq!(written(TimestampSecondArray::from(vec![2]), CqlType::Timestamp), [2_000_i64.to_be_bytes()]);
    assert_eq!(written(TimestampMicrosecondArray::from(vec![1_999]), CqlType::Bigint), [1_999_i64.to_be_bytes()]);
}

#[test]
fn days_are_counted_from_the_middle_of_their_range() {
    let days = [-1, 0, 1, 17_000];
    let wanted = days.map(|day: i64| u32::try_from(day + (1 << 31)).unwrap().to_be_bytes());
    assert_eq!(written(Date32Array::from(days.map(|day| i32::try_from(day).unwrap()).to_vec()), CqlType::Date), wanted);
}

#[test]
fn every_kind_of_arrow_text_is_text_or_a_uuid() {
    let dictionary: DictionaryArray<Int32Type> = [UUID, UUID].into_iter().collect();
    assert_eq!(written(dictionary, CqlType::Uuid), [UUID_BYTES, UUID_BYTES]);
    assert_eq!(written(StringArray::from(vec![UUID]), CqlType::Uuid), [UUID_BYTES]);
    assert_eq!(written(LargeStringArray::from(vec![UUID]), CqlType::Uuid), [UUID_BYTES]);
    assert_eq!(written(StringViewArray::from(vec![UUID]), CqlType::Uuid), [UUID_BYTES]);
    assert_eq!(written(StringViewArray::from(vec!["a", "a longer text than twelve bytes"]), CqlType::Text)[1].len(), 31);
    assert_eq!(problem(StringArray::from(vec!["no"]), CqlType::Uuid), Problem::NotUuid("no".to_owned()));
    assert_eq!(problem(StringArray::from(vec![UUID]), CqlType::Timeuuid), Problem::NotTimeuuid(UUID.to_owned()));
    assert_eq!(problem(StringArray::from(vec!["ä"]), CqlType::Ascii), Problem::NotAscii("ä".to_owned()));
}

#[test]
fn bytes_are_a_blob_and_sixteen_of_them_may_be_a_uuid() {
    let fixed = || FixedSizeBinaryArray::try_from_iter([UUID_BYTES].into_iter()).unwrap();
    assert_eq!(written(fixed(), CqlType::Uuid), [UUID_BYTES]);
    assert_eq!(written(fixed(), CqlType::Blob), [UUID_BYTES]);
    assert_eq!(written(BinaryArray::from(vec![&b"xyz"[..]]), CqlType::Blob), [b"xyz"]);
    assert!(!can_encode(&DataType::FixedSizeBinary(8), CqlType::Uuid));
}

#[test]
fn what_would_lose_something_or_has_no_cassandra_type_is_refused() {
    for (from, to) in [
        (DataType::Float64, CqlType::Float),
        (DataType::Utf8, CqlType::Int),
        (DataType::Int64, CqlType::Text),
        (DataType::Decimal128(10, 2), CqlType::Varint),
        (DataType::new_list(DataType::Utf8, true), CqlType::Text),
    ] {
        assert!(!can_encode(&from, to), "{from} as {to} was taken");
    }
}

fn table() -> TableDesign {
    let definition = CassandraTable {
        name: "sessions".to_owned(),
        from: Origin::UseCase("sessions".to_owned()),
        sql: String::new(),
        sql_file: "sessions.sql".to_owned(),
        partition_key: vec!["country".to_owned()],
        clustering: vec![("id".to_owned(), Order::Asc)],
        types: vec![
            CassandraColumn { name: "id".to_owned(), cql_type: "uuid".to_owned() },
            CassandraColumn { name: "n".to_owned(), cql_type: "tinyint".to_owned() },
        ],
        ttl_seconds: None,
        compaction: None,
    };
    TableDesign::draw(&definition, &batch(vec![], vec![], vec![]).schema()).unwrap()
}

fn batch(country: Vec<Option<&str>>, id: Vec<Option<&str>>, n: Vec<Option<i32>>) -> RecordBatch {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    let schema = Schema::new(vec![field("n", DataType::Int32), field("country", DataType::Utf8), field("id", DataType::Utf8)]);
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int32Array::from(n)), Arc::new(StringArray::from(country)), Arc::new(StringArray::from(id))];
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

fn first_error(batch: &RecordBatch) -> Error {
    let table = table();
    let encode = || {
        let rows = Rows::of_upserts(&table, batch, Nulls::Write)?;
        (0..rows.len()).try_for_each(|row| rows.append(row, &mut Vec::new()).map(drop))
    };
    encode().unwrap_err()
}

#[test]
fn a_row_is_written_key_first_and_says_where_its_key_ends() {
    let table = table();
    let batch = batch(vec![Some("FI")], vec![Some(UUID)], vec![None]);
    for (nulls, length) in [(Nulls::Write, -1_i32), (Nulls::Unset, -2)] {
        let mut out = Vec::new();
        let layout = Rows::of_upserts(&table, &batch, nulls).unwrap().append(0, &mut out).unwrap();
        assert_eq!(layout, RowLayout { partition: 6, key: 26 });
        assert_eq!(out[..6], *b"\0\0\0\x02FI");
        assert_eq!(out[10..26], UUID_BYTES);
        assert_eq!(out[26..], length.to_be_bytes());
        assert_eq!(has_unset(&out), nulls == Nulls::Unset);
    }
    let mut out = Vec::new();
    Rows::of_keys(&table, &batch).unwrap().append(0, &mut out).unwrap();
    assert_eq!(out.len(), 26);
}

#[test]
fn a_value_that_cannot_be_written_is_named_with_its_row() {
    let id = |id| vec![Some(UUID), id];
    let two = |country| vec![Some("FI"), country];
    let numbers = vec![Some(1), Some(2)];
    let cases = [
        (batch(two(None), id(Some(UUID)), numbers.clone()), "country", Problem::NullKey),
        (batch(two(Some("")), id(Some(UUID)), numbers.clone()), "country", Problem::EmptyKey),
        (batch(two(Some("SE")), id(None), numbers.clone()), "id", Problem::NullKey),
        (batch(two(Some("SE")), id(Some("x")), numbers), "id", Problem::NotUuid("x".to_owned())),
        (batch(two(Some("SE")), id(Some(UUID)), vec![None, Some(128)]), "n", Problem::OutOfRange("128".to_owned())),
        (batch(two(Some(&"x".repeat(70_000))), id(Some(UUID)), vec![None, None]), "country", Problem::LongKey),
    ];
    for (batch, wanted_column, wanted_problem) in cases {
        let Error::Row { table, column, key, problem } = first_error(&batch) else { panic!("another error") };
        assert_eq!((table.as_str(), column.as_str(), &problem), ("sessions", wanted_column, &wanted_problem));
        assert!(key.starts_with("country=") && key.contains(", id="), "{key}");
    }
    let error = first_error(&batch(vec![None], vec![Some(UUID)], vec![None]));
    assert_eq!(error.to_string(), format!("country of sessions cannot be written in the row country=null, id={UUID}"));
    assert_eq!(error.failure(), Failure::Data);
}

#[test]
fn a_column_that_is_not_there_or_has_another_type_is_an_error() {
    let table = table();
    let whole = batch(vec![Some("FI")], vec![Some(UUID)], vec![None]);
    let without = whole.project(&[1, 2]).unwrap();
    assert!(matches!(Rows::of_upserts(&table, &without, Nulls::Write), Err(Error::Schema { column, .. }) if column == "n"));
    assert!(Rows::of_keys(&table, &without).is_ok());

    let untyped: Vec<ArrayRef> = vec![Arc::new(NullArray::new(1)), Arc::clone(whole.column(1)), Arc::clone(whole.column(1))];
    let schema = Schema::new(
        ["n", "country", "id"]
            .map(|name| Field::new(name, if name == "n" { DataType::Null } else { DataType::Utf8 }, true))
            .to_vec(),
    );
    let untyped = RecordBatch::try_new(Arc::new(schema), untyped).unwrap();
    assert!(Rows::of_upserts(&table, &untyped, Nulls::Write).is_ok(), "a column of nothing but nulls fits everywhere");
}
