//! CQL as text: names, literals and types.

use std::borrow::Cow;
use std::fmt;

use scylla::frame::response::result::{ColumnType, NativeType};

/// Names that need quotes: `reserved_keywords.txt` of Cassandra 5.0.9.
const RESERVED: &[&str] = &[
    "add",
    "allow",
    "alter",
    "and",
    "apply",
    "asc",
    "authorize",
    "batch",
    "begin",
    "by",
    "columnfamily",
    "create",
    "delete",
    "desc",
    "describe",
    "drop",
    "entries",
    "execute",
    "from",
    "full",
    "grant",
    "if",
    "in",
    "index",
    "infinity",
    "insert",
    "into",
    "is",
    "keyspace",
    "limit",
    "materialized",
    "modify",
    "nan",
    "norecursive",
    "not",
    "null",
    "of",
    "on",
    "or",
    "order",
    "primary",
    "rename",
    "revoke",
    "schema",
    "select",
    "set",
    "table",
    "to",
    "token",
    "truncate",
    "unlogged",
    "update",
    "use",
    "using",
    "view",
    "where",
    "with",
];

/// The longest name of a keyspace or table (`SchemaConstants.NAME_LENGTH`).
const LONGEST_NAME: usize = 48;

/// A name as CQL reads it: quoted where it is not a plain lower-case word.
pub(crate) fn name(name: &str) -> Cow<'_, str> {
    let plain = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !RESERVED.contains(&name);
    if plain { Cow::Borrowed(name) } else { Cow::Owned(format!("\"{}\"", name.replace('"', "\"\""))) }
}

/// A text literal.
pub(crate) fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Names joined as in a list of columns.
pub(crate) fn names<'a>(columns: impl IntoIterator<Item = &'a str>) -> String {
    columns.into_iter().map(name).collect::<Vec<_>>().join(", ")
}

/// Whether Cassandra takes this as the name of a keyspace or table, quoted or not.
pub(crate) fn can_name_a_table(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The types that a column of ours can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CqlType {
    Ascii,
    Bigint,
    Blob,
    Boolean,
    Date,
    Decimal,
    Double,
    Float,
    Int,
    Smallint,
    Text,
    /// Milliseconds: finer parts of a time are cut off, towards the past.
    Timestamp,
    Timeuuid,
    Tinyint,
    Uuid,
    Varint,
}

const TYPES: [(&str, CqlType); 17] = [
    ("ascii", CqlType::Ascii),
    ("bigint", CqlType::Bigint),
    ("blob", CqlType::Blob),
    ("boolean", CqlType::Boolean),
    ("date", CqlType::Date),
    ("decimal", CqlType::Decimal),
    ("double", CqlType::Double),
    ("float", CqlType::Float),
    ("int", CqlType::Int),
    ("smallint", CqlType::Smallint),
    ("text", CqlType::Text),
    ("timestamp", CqlType::Timestamp),
    ("timeuuid", CqlType::Timeuuid),
    ("tinyint", CqlType::Tinyint),
    ("uuid", CqlType::Uuid),
    ("varint", CqlType::Varint),
    // The other name of `text`; what the server stores and reports is `text`.
    ("varchar", CqlType::Text),
];

impl CqlType {
    /// The type of that name, in any case; `None` where there is none, or none that this program writes.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase();
        TYPES.iter().find(|(known, _)| *known == name).map(|(_, cql_type)| *cql_type)
    }

    /// Every name that [`CqlType::parse`] knows.
    pub fn all() -> impl Iterator<Item = Self> {
        TYPES.iter().map(|(_, cql_type)| *cql_type)
    }

    pub fn names() -> impl Iterator<Item = &'static str> {
        TYPES.iter().map(|(name, _)| *name)
    }

    pub(crate) fn of(column: &ColumnType<'_>) -> Option<Self> {
        let ColumnType::Native(native) = column else { return None };
        Some(match native {
            NativeType::Ascii => Self::Ascii,
            NativeType::BigInt => Self::Bigint,
            NativeType::Blob => Self::Blob,
            NativeType::Boolean => Self::Boolean,
            NativeType::Date => Self::Date,
            NativeType::Decimal => Self::Decimal,
            NativeType::Double => Self::Double,
            NativeType::Float => Self::Float,
            NativeType::Int => Self::Int,
            NativeType::SmallInt => Self::Smallint,
            NativeType::Text => Self::Text,
            NativeType::Timestamp => Self::Timestamp,
            NativeType::Timeuuid => Self::Timeuuid,
            NativeType::TinyInt => Self::Tinyint,
            NativeType::Uuid => Self::Uuid,
            NativeType::Varint => Self::Varint,
            _ => return None,
        })
    }
}

impl fmt::Display for CqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = TYPES.iter().find(|(_, known)| known == self).map(|(name, _)| *name);
        f.write_str(name.expect("every type has a name"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_only_where_they_must_be() {
        assert_eq!(names(["player_id2", "order", "Player", "2nd", "a\"b"]), r#"player_id2, "order", "Player", "2nd", "a""b""#);
        assert_eq!(text("it's"), "'it''s'");
    }

    #[test]
    fn types_read_back_what_they_print() {
        for (_, cql_type) in TYPES {
            assert_eq!(CqlType::parse(&cql_type.to_string().to_uppercase()), Some(cql_type));
        }
        assert_eq!(CqlType::parse("varchar"), Some(CqlType::Text));
        assert_eq!(CqlType::parse("list<int>"), None);
    }

    #[test]
    fn only_words_name_a_table() {
        assert!(can_name_a_table("Sessions_2"));
        for wrong in ["", "a-b", "a b", &"x".repeat(49)] {
            assert!(!can_name_a_table(wrong), "{wrong:?} was taken");
        }
    }
}
