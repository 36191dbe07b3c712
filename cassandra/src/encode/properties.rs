//! Random values of every type: what is written is what the driver itself would write of the same value.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array, StringArray, StringViewArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence};
use scylla::frame::response::result::{ColumnType, NativeType};
use scylla::serialize::value::SerializeValue;
use scylla::serialize::writers::CellWriter;
use scylla::value::{CqlDate, CqlDecimal, CqlTimestamp, CqlTimeuuid, CqlVarint};
use uuid::Uuid;

use super::column::Cells;
use crate::cql::CqlType;

#[allow(clippy::needless_pass_by_value, reason = "each column is made for the call")]
fn ours(column: ArrayRef, to: CqlType) -> Option<Vec<u8>> {
    assert!(super::can_encode(column.data_type(), to), "{} as {to}", column.data_type());
    let mut out = Vec::new();
    Cells::ready(&column, to).ok()?.write(0, &mut out).ok()?;
    Some(out)
}

fn drivers(value: &dyn SerializeValue, native: NativeType) -> Vec<u8> {
    let mut out = Vec::new();
    value.serialize(&ColumnType::Native(native), CellWriter::new(&mut out)).unwrap();
    out
}

/// The fewest bytes that hold a number with its sign.
fn fewest_bytes(number: i128) -> Vec<u8> {
    let all = number.to_be_bytes();
    let fits = |bytes: u32| bytes == 16 || (number << (128 - 8 * bytes)) >> (128 - 8 * bytes) == number;
    let bytes = (1..=16).find(|bytes| fits(*bytes)).unwrap();
    all[16 - bytes as usize..].to_vec()
}

/// Every Arrow column of one integer that can hold it.
fn integer_columns(value: i128) -> Vec<ArrayRef> {
    let mut columns: Vec<ArrayRef> = Vec::new();
    macro_rules! push {
        ($($native:ty => $array:ident),*) => {
            $(if let Ok(value) = <$native>::try_from(value) { columns.push(Arc::new($array::from(vec![value]))); })*
        };
    }
    push!(i8 => Int8Array, i16 => Int16Array, i32 => Int32Array, i64 => Int64Array);
    push!(u8 => UInt8Array, u16 => UInt16Array, u32 => UInt32Array, u64 => UInt64Array);
    columns
}

fn config() -> Config {
    let regressions = concat!(env!("CARGO_MANIFEST_DIR"), "/src/encode/regressions.txt");
    Config { failure_persistence: Some(Box::new(FileFailurePersistence::Direct(regressions))), ..Config::default() }
}

/// Numbers of all magnitudes, not just large ones.
fn integer() -> impl Strategy<Value = i128> {
    (any::<u64>(), 0..64_u32, any::<bool>()).prop_map(|(bits, shift, is_negative)| {
        let value = i128::from(bits >> shift);
        if is_negative { (-value - 1).max(i128::from(i64::MIN)) } else { value }
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_number_in_any_arrow_column_is_as_the_driver_writes_it_or_refused(value in integer()) {
        for column in integer_columns(value) {
            let from = column.data_type().clone();
            let as_type = |to| ours(column.clone(), to);
            let wanted = i8::try_from(value).ok().map(|value| drivers(&value, NativeType::TinyInt));
            prop_assert_eq!(as_type(CqlType::Tinyint), wanted, "{} tinyint", from);
            let wanted = i16::try_from(value).ok().map(|value| drivers(&value, NativeType::SmallInt));
            prop_assert_eq!(as_type(CqlType::Smallint), wanted, "{} smallint", from);
            let wanted = i32::try_from(value).ok().map(|value| drivers(&value, NativeType::Int));
            prop_assert_eq!(as_type(CqlType::Int), wanted, "{} int", from);
            let wanted = i64::try_from(value).ok().map(|value| drivers(&value, NativeType::BigInt));
            prop_assert_eq!(as_type(CqlType::Bigint), wanted, "{} bigint", from);
            let varint = CqlVarint::from_signed_bytes_be(fewest_bytes(value));
            prop_assert_eq!(as_type(CqlType::Varint), Some(drivers(&varint, NativeType::Varint)), "{} varint", from);
        }
    }

    #[test]
    fn a_decimal_keeps_its_digits_and_its_scale(digits in any::<i128>(), shift in 0..127_u32, scale in -10_i8..=38) {
        let digits = (digits >> shift) % 10_i128.pow(38);
        let column = Decimal128Array::from(vec![digits]).with_precision_and_scale(38, scale).unwrap();
        let wanted = CqlDecimal::from_signed_be_bytes_and_exponent(fewest_bytes(digits), i32::from(scale));
        prop_assert_eq!(ours(Arc::new(column), CqlType::Decimal), Some(drivers(&wanted, NativeType::Decimal)));
    }

    #[test]
    fn floats_keep_every_bit(double in any::<u64>().prop_map(f64::from_bits), float in any::<u32>().prop_map(f32::from_bits)) {
        let column: ArrayRef = Arc::new(Float64Array::from(vec![double]));
        prop_assert_eq!(ours(column, CqlType::Double), Some(drivers(&double, NativeType::Double)));
        let column: ArrayRef = Arc::new(Float32Array::from(vec![float]));
        prop_assert_eq!(ours(column.clone(), CqlType::Float), Some(drivers(&float, NativeType::Float)));
        if !float.is_nan() {
            prop_assert_eq!(ours(column, CqlType::Double), Some(drivers(&f64::from(float), NativeType::Double)));
        }
    }

    #[test]
    fn days_and_instants_are_those_of_the_driver(days in any::<i32>(), time in any::<i64>()) {
        let wanted = CqlDate(u32::try_from(i64::from(days) + (1 << 31)).unwrap());
        prop_assert_eq!(ours(Arc::new(Date32Array::from(vec![days])), CqlType::Date), Some(drivers(&wanted, NativeType::Date)));
        let columns: [(ArrayRef, Option<i64>); 4] = [
            (Arc::new(TimestampSecondArray::from(vec![time])), time.checked_mul(1_000)),
            (Arc::new(TimestampMillisecondArray::from(vec![time])), Some(time)),
            (Arc::new(TimestampMicrosecondArray::from(vec![time]).with_timezone("UTC")), Some(time.div_euclid(1_000))),
            (Arc::new(TimestampNanosecondArray::from(vec![time])), Some(time.div_euclid(1_000_000))),
        ];
        for (column, millis) in columns {
            let wanted = millis.map(|millis| drivers(&CqlTimestamp(millis), NativeType::Timestamp));
            prop_assert_eq!(ours(column.clone(), CqlType::Timestamp), wanted, "{}", column.data_type());
        }
    }

    #[test]
    fn texts_bytes_and_truth_are_those_of_the_driver(text in any::<String>(), bytes in any::<Vec<u8>>(), flag in any::<bool>()) {
        for column in [Arc::new(StringArray::from(vec![text.clone()])) as ArrayRef, Arc::new(StringViewArray::from(vec![text.as_str()]))] {
            prop_assert_eq!(ours(column.clone(), CqlType::Text), Some(drivers(&text, NativeType::Text)));
            let ascii = text.is_ascii().then(|| drivers(&text, NativeType::Ascii));
            prop_assert_eq!(ours(column, CqlType::Ascii), ascii);
        }
        let column = BinaryArray::from(vec![bytes.as_slice()]);
        prop_assert_eq!(ours(Arc::new(column), CqlType::Blob), Some(drivers(&bytes, NativeType::Blob)));
        let column = BooleanArray::from(vec![flag]);
        prop_assert_eq!(ours(Arc::new(column), CqlType::Boolean), Some(drivers(&flag, NativeType::Boolean)));
    }

    #[test]
    fn a_uuid_in_any_spelling_is_that_of_the_driver(bytes in any::<[u8; 16]>(), spelling in 0..3) {
        let uuid = Uuid::from_bytes(bytes);
        let text = match spelling {
            0 => uuid.hyphenated().to_string(),
            1 => uuid.simple().to_string().to_uppercase(),
            _ => uuid.braced().to_string(),
        };
        let column: ArrayRef = Arc::new(StringArray::from(vec![text]));
        prop_assert_eq!(ours(column.clone(), CqlType::Uuid), Some(drivers(&uuid, NativeType::Uuid)));
        let timeuuid = (uuid.get_version_num() == 1).then(|| drivers(&CqlTimeuuid::from(uuid), NativeType::Timeuuid));
        prop_assert_eq!(ours(column, CqlType::Timeuuid), timeuuid);
    }
}
