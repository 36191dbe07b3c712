use arrow::array::{
    BinaryArray, DictionaryArray, FixedSizeBinaryArray, Float32Array, Int32Array, ListArray, TimestampNanosecondArray,
    UInt64Array,
};
use arrow::datatypes::{Int32Type, Schema};
use model::definition::{Format, UnknownFields};
use model::reject::RejectReason;

use super::super::fields::tests::{decoder, field};
use super::*;

fn rows(columns: Vec<(&str, ArrayRef)>) -> RowBlock {
    let schema =
        Schema::new(columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect::<Vec<_>>());
    let rows = RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, array)| array).collect()).unwrap();
    RowBlock { entry: "e".into(), first_row: 11, rows }
}

/// What becomes of a column under a type: the values, or why they are refused.
fn cast_to(data_type: &str, array: ArrayRef) -> Vec<String> {
    let decoder = decoder(&[field("c", "c", data_type, true)], UnknownFields::Ignore, &Format::Parquet);
    let made = decode(&decoder.fields, &rows(vec![("c", array)]));
    let shown = shown(made.rows.column(0));
    let kept = made
        .positions
        .iter()
        .enumerate()
        .map(|(row, position)| (*position, if shown.is_null(row) { "-".to_owned() } else { shown.value(row).to_owned() }));
    let mut all: Vec<(u64, String)> =
        kept.chain(made.rejects.iter().map(|reject| (reject.position, format!("{:?}", reject.reason)))).collect();
    all.sort();
    all.into_iter().map(|(_, value)| value).collect()
}

#[test]
fn values_are_cast_without_loss_or_refused() {
    let integers: ArrayRef = Arc::new(Int32Array::from(vec![Some(127), Some(128), None]));
    assert_eq!(cast_to("int8", integers.clone()), ["127", "WrongType", "-"]);
    assert_eq!(cast_to("decimal(4, 1)", integers.clone()), ["127.0", "128.0", "-"]);
    assert_eq!(cast_to("string", integers.clone()), ["WrongType", "WrongType", "-"]);
    assert_eq!(cast_to("json", integers), ["127", "128", "-"]);
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![2.0, 2.5, 0.1, f64::NAN]));
    assert_eq!(cast_to("int64", floats.clone()), ["2", "WrongType", "WrongType", "WrongType"]);
    assert_eq!(cast_to("float32", floats.clone()), ["2.0", "2.5", "WrongType", "WrongType"]);
    assert_eq!(cast_to("decimal(3, 1)", floats), ["2.0", "2.5", "0.1", "WrongType"]);
    assert_eq!(cast_to("float64", Arc::new(Float32Array::from(vec![0.5]))), ["0.5"]);
    assert_eq!(cast_to("int64", Arc::new(UInt64Array::from(vec![5, u64::MAX]))), ["5", "WrongType"]);
    assert_eq!(cast_to("float64", Arc::new(Int64Array::from(vec![1 << 53, (1 << 53) + 1]))), ["9007199254740992.0", "WrongType"]);
    let nanos = TimestampNanosecondArray::from(vec![1_000, 1_001]);
    assert_eq!(cast_to("timestamp", Arc::new(nanos.clone())), ["1970-01-01T00:00:00.000001Z", "WrongType"]);
    assert_eq!(cast_to("date", Arc::new(TimestampNanosecondArray::from(vec![0, 1_000]))), ["1970-01-01", "WrongType"]);
    let texts: DictionaryArray<Int32Type> = vec!["2024-02-29", "2024-02-30"].into_iter().collect();
    assert_eq!(cast_to("date", Arc::new(texts)), ["2024-02-29", "WrongType"]);
    let bytes = BinaryArray::from(vec![b"ok".as_slice(), b"\xff"]);
    assert_eq!(cast_to("string", Arc::new(bytes.clone())), ["ok", "WrongType"]);
    assert_eq!(cast_to("binary", Arc::new(bytes)), ["6f6b", "ff"]);
    let id = FixedSizeBinaryArray::try_from_iter(std::iter::once([7_u8; 16])).unwrap();
    assert_eq!(cast_to("uuid", Arc::new(id)), ["07070707-0707-0707-0707-070707070707"]);
}

#[test]
fn nested_columns_are_found_by_path_and_kept_as_json() {
    let items = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), Some(2)]), Some(vec![]), None]);
    let user = StructArray::from((
        vec![(
            Arc::new(Field::new("city", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec!["Oulu", "Turku", "gone"])) as ArrayRef,
        )],
        arrow::buffer::Buffer::from([0b011]),
    ));
    let block = rows(vec![
        ("items", Arc::new(items)),
        ("user", Arc::new(user)),
        ("mood", Arc::new(StringArray::from(vec![Some("x"), None, None]))),
    ]);
    let columns = [
        field("second", "items[1]", "int32", true),
        field("city", "user.city", "string", true),
        field("items", "items", "json", true),
        field("age", "user.age", "int32", true),
    ];
    let decoder = decoder(&columns, UnknownFields::Keep, &Format::Parquet);
    let made = decode(&decoder.fields, &block);
    let column = |place: usize| shown(made.rows.column(place)).iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(column(0), [Some("2".to_owned()), None, None]);
    assert_eq!(column(1), [Some("Oulu".to_owned()), Some("Turku".to_owned()), None]);
    assert_eq!(column(2), [Some("[1,2]".to_owned()), Some("[]".to_owned()), None]);
    assert_eq!(made.drift.missing, [("user.age".to_owned(), 3)].into());
    assert_eq!(made.drift.unknown, [("mood".to_owned(), 3)].into());
    assert_eq!(made.unknown.unwrap().iter().collect::<Vec<_>>(), [Some("{\"mood\":\"x\"}"), None, None]);
    assert_eq!(made.positions, [11, 12, 13]);
}

#[test]
fn a_row_that_is_refused_is_kept_as_json_of_the_whole_row() {
    let decoder = decoder(&[field("id", "id", "int8", false)], UnknownFields::Ignore, &Format::Parquet);
    let block = rows(vec![
        ("id", Arc::new(Int32Array::from(vec![Some(1), Some(1000), None]))),
        ("note", Arc::new(StringArray::from(vec![None, Some("a \"b\""), None]))),
    ]);
    let made = decode(&decoder.fields, &block);
    let rejects: Vec<_> = made
        .rejects
        .iter()
        .map(|reject| (reject.position, reject.reason, String::from_utf8(reject.bytes.clone()).unwrap()))
        .collect();
    assert_eq!(
        rejects,
        [
            (12, RejectReason::WrongType, r#"{"id":1000,"note":"a \"b\""}"#.to_owned()),
            (13, RejectReason::Missing, r#"{"id":null,"note":null}"#.to_owned()),
        ]
    );
}
