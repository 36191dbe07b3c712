//! `[raw.NAME.columns]`: the contract.

use toml::Spanned;
use toml::de::DeValue;

use crate::definition::contract::{Column, ColumnSource, ColumnType};
use crate::definition::defaults;
use crate::definition::error::{Complaint, Placed};
use crate::definition::names::suggest;
use crate::definition::path::FieldPath;
use crate::definition::reader::Reader;

use super::reading::reading;

/// Largest precision of a 128-bit decimal.
const LARGEST_PRECISION: u8 = 38;

const TYPES: [(&str, ColumnType); 13] = [
    ("string", ColumnType::String),
    ("boolean", ColumnType::Boolean),
    ("int8", ColumnType::Int8),
    ("int16", ColumnType::Int16),
    ("int32", ColumnType::Int32),
    ("int64", ColumnType::Int64),
    ("float32", ColumnType::Float32),
    ("float64", ColumnType::Float64),
    ("date", ColumnType::Date),
    ("timestamp", ColumnType::Timestamp),
    ("uuid", ColumnType::Uuid),
    ("binary", ColumnType::Binary),
    ("json", ColumnType::Json),
];

/// What `field` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fields {
    /// A path into the record.
    ByPath,
    /// A name in the file's header, as it stands.
    ByName,
}

/// A column by its name, and what it is unless something is wrong with that.
pub(super) struct ReadColumn {
    pub(super) name: String,
    pub(super) column: Option<Column>,
}

pub(super) fn columns(reader: &mut Reader<'_>, key: &'static str, fields: Fields) -> Option<Vec<ReadColumn>> {
    let place = reader.value(key)?.span();
    let columns: Vec<ReadColumn> = reader
        .named_with(key, |name| format!("`field = \"{}\"` says what it is called in the record", name.replace('"', "\\\"")))
        .into_iter()
        .map(|(name, value)| ReadColumn { column: column(reader, &name.value, value, fields), name: name.value })
        .collect();
    if columns.is_empty() {
        reader.complain(&place, Complaint::new("a raw table needs at least one column"));
        return None;
    }
    if columns.iter().all(|column| matches!(&column.column, Some(Column { source: ColumnSource::Sql(_), .. }))) {
        reader.complain(&place, Complaint::new("every column is computed, and none is read from the record"));
    }
    Some(columns)
}

fn column(parent: &Reader<'_>, name: &str, value: &Spanned<DeValue<'_>>, fields: Fields) -> Option<Column> {
    let Some(table) = value.get_ref().as_table() else {
        parent.wrong_type(name, value, "a table such as { type = \"string\" }");
        return None;
    };
    let mut reader = Reader::new(table, value.span(), parent.problems);
    let data_type = reader.required("type", |reader, key| reader.quantity(key, "string", column_type));
    let data_type = data_type.map(|data_type| data_type.value);
    let field = reader.string("field");
    let sql = reader.string("sql");
    let nullable = reader.flag("nullable").map_or(defaults::NULLABLE, |flag| flag.value);
    let one_of_place = reader.value("one_of").map(Spanned::span);
    let one_of = reader.strings("one_of");
    let reading = reading(&mut reader, data_type.as_ref(), sql.is_some());

    if let (Some(field), Some(_)) = (&field, &sql) {
        let complaint = Complaint::new("a column is read from a `field` or computed by `sql`, not both");
        reader.complain(&field.place, complaint);
    }
    if let Some(place) = one_of_place {
        // Other types have several texts for one value; a computed value is judged by a check.
        let other_type = data_type.as_ref().is_some_and(|data_type| *data_type != ColumnType::String);
        if other_type || sql.is_some() {
            let complaint = Complaint::new("`one_of` is for strings that are read from a field");
            reader.complain(&place, complaint.hint("write a check instead: [[raw.NAME.checks]]"));
        }
    }
    if let (Some(field), Fields::ByPath) = (&field, fields)
        && let Err(problem) = FieldPath::parse(&field.value)
    {
        let complaint = Complaint::new(format!("`{}` is not a path to a field: {problem}", field.value));
        let hint =
            "write it as in \"user.address.city\" or \"items[0].sku\"; a name with dots or brackets of its own in double quotes";
        reader.complain(&field.place, complaint.hint(hint));
    }
    reader.finish();

    let source = match sql {
        Some(sql) => ColumnSource::Sql(sql.value),
        None => ColumnSource::Field(field.map_or_else(|| name.to_owned(), |field| field.value)),
    };
    Some(Column { name: name.to_owned(), data_type: data_type?, source, nullable, one_of: one_of.map(values), reading })
}

fn values(strings: Vec<Placed<String>>) -> Vec<String> {
    strings.into_iter().map(|string| string.value).collect()
}

fn column_type(text: &str) -> Result<ColumnType, Complaint> {
    let word = text.trim();
    if let Some((_, data_type)) = TYPES.iter().find(|(name, _)| *name == word) {
        return Ok(data_type.clone());
    }
    let (name, arguments) = word.split_once('(').unwrap_or((word, ""));
    if name.trim() != "decimal" {
        let names = TYPES.iter().map(|(name, _)| *name).chain(["decimal(10, 2)"]);
        let hint = other_word(word).map(|near| format!("did you mean `{near}`?")).or_else(|| suggest(word, names, "types"));
        return Err(Complaint::new(format!("there is no type `{word}`")).maybe_hint(hint));
    }
    let digits = arguments.strip_suffix(')').and_then(|arguments| arguments.split_once(','));
    let digits = digits.and_then(|(precision, scale)| Some((precision.trim().parse().ok()?, scale.trim().parse().ok()?)));
    match digits {
        Some((precision @ 1..=LARGEST_PRECISION, scale)) if (0..=i16::from(precision)).contains(&i16::from(scale)) => {
            Ok(ColumnType::Decimal { precision, scale })
        }
        _ => Err(Complaint::new(format!("`{word}` is not a decimal")).hint(format!(
            "write `decimal(10, 2)`: digits in all, 1 to {LARGEST_PRECISION}, and how many of them are after the point"
        ))),
    }
}

/// What other systems call our types.
fn other_word(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    // A length, as in varchar(20), says nothing here.
    Some(match word.split('(').next().unwrap_or_default().trim() {
        "text" | "varchar" | "nvarchar" | "char" | "character varying" | "str" | "utf8" => "string",
        "bool" => "boolean",
        "byte" | "tinyint" => "int8",
        "short" | "smallint" => "int16",
        "int" | "integer" => "int32",
        "long" | "bigint" => "int64",
        "real" => "float32",
        "float" | "double" | "number" => "float64",
        "datetime" | "timestamptz" | "time" | "instant" => "timestamp",
        "numeric" => "decimal(10, 2)",
        "guid" => "uuid",
        "bytes" | "blob" | "bytea" | "varbinary" => "binary",
        "struct" | "object" | "list" | "array" | "map" | "variant" => "json",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_as_they_are_written() {
        for (name, data_type) in TYPES {
            assert_eq!(column_type(name), Ok(data_type.clone()));
            assert_eq!(data_type.text(), name);
        }
        assert_eq!(column_type("decimal(10,2)"), Ok(ColumnType::Decimal { precision: 10, scale: 2 }));
        assert_eq!(column_type(" decimal( 38 , 38 ) "), Ok(ColumnType::Decimal { precision: 38, scale: 38 }));
        assert_eq!(ColumnType::Decimal { precision: 10, scale: 2 }.text(), "decimal(10, 2)");
        for text in
            ["decimal", "decimal(10)", "decimal(0, 0)", "decimal(39, 2)", "decimal(2, 3)", "decimal(2, -1)", "decimal(2, 1"]
        {
            assert!(column_type(text).is_err(), "{text}");
        }
    }
}
