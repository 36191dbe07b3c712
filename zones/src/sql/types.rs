//! Types as a definition names them.

use arrow::datatypes::DataType;

/// The name of a type in a definition; for a type that none has, what is nearest.
pub fn type_name(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string",
        DataType::Boolean => "boolean",
        DataType::Int8 => "int8",
        DataType::Int16 => "int16",
        DataType::Int32 => "int32",
        DataType::Int64 => "int64",
        DataType::Float16 | DataType::Float32 => "float32",
        DataType::Float64 => "float64",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Timestamp(_, _) => "timestamp",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => "binary",
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => return format!("decimal({precision}, {scale})"),
        DataType::Dictionary(_, values) => return type_name(values),
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) | DataType::FixedSizeList(item, _) => {
            return format!("list of {}", type_name(item.data_type()));
        }
        DataType::Struct(_) => "struct",
        DataType::Map(_, _) => "map",
        DataType::Interval(_) | DataType::Duration(_) => "interval",
        DataType::Time32(_) | DataType::Time64(_) => "time",
        DataType::Null => "null",
        other => return other.to_string().to_ascii_lowercase(),
    };
    name.to_owned()
}

/// How the engine's messages write types, and how a definition does. The first that fits is taken, so longer ones come first.
const NAMES: [(&str, &str); 17] = [
    ("Timestamp(", "timestamp"),
    ("Decimal128", "decimal"),
    ("Decimal256", "decimal"),
    ("LargeUtf8", "string"),
    ("Utf8View", "string"),
    ("Utf8", "string"),
    ("Boolean", "boolean"),
    ("Date32", "date"),
    ("Float64", "float64"),
    ("Float32", "float32"),
    ("UInt64", "int64"),
    ("Int64", "int64"),
    ("Int32", "int32"),
    ("Int16", "int16"),
    ("Int8", "int8"),
    ("LargeBinary", "binary"),
    ("Binary", "binary"),
];

/// A message of the engine with the types named as a definition names them.
pub fn in_our_words(message: &str) -> String {
    let mut words = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(first) = rest.chars().next() {
        let begins_word = !words.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let found = NAMES.iter().find(|(theirs, _)| begins_word && rest.starts_with(theirs));
        if let Some((theirs, ours)) = found {
            let after = &rest[theirs.len()..];
            // The unit and the zone of a timestamp are always the same here.
            let length = if theirs.ends_with('(') { closing(after) } else { 0 };
            words.push_str(ours);
            rest = &after[length..];
        } else {
            words.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    words
}

/// The length of what stands before the parenthesis that closes, itself included.
fn closing(text: &str) -> usize {
    let mut open = 1;
    for (at, c) in text.char_indices() {
        match c {
            '(' => open += 1,
            ')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;

    use super::*;

    #[test]
    fn types_are_named_as_in_a_definition() {
        assert_eq!(type_name(&DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))), "timestamp");
        assert_eq!(type_name(&DataType::Decimal128(10, 2)), "decimal(10, 2)");
        assert_eq!(type_name(&DataType::new_list(DataType::Utf8View, true)), "list of string");
        assert_eq!(
            in_our_words("Cannot compare Utf8View with Timestamp(Microsecond, Some(\"UTC\")) or Decimal128(10, 2), MyUtf8"),
            "Cannot compare string with timestamp or decimal(10, 2), MyUtf8"
        );
    }
}
