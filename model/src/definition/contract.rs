//! The contract of a raw table: its columns, their types, and what must hold.

use serde::{Deserialize, Serialize};

/// A column of a raw table. Types are stated, never inferred.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub data_type: ColumnType,
    pub source: ColumnSource,
    /// Whether a record without a value is accepted.
    pub nullable: bool,
    /// The only values (as text) that are accepted, where given.
    pub one_of: Option<Vec<String>>,
}

/// Where a column's value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnSource {
    /// The field of the record with this name.
    Field(String),
    /// A SQL expression over the columns that are fields.
    Sql(String),
}

/// The types a contract can state. A cast that would lose something is an error of that record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    String,
    Boolean,
    Int8,
    Int16,
    Int32,
    Int64,
    Float64,
    Decimal {
        precision: u8,
        scale: i8,
    },
    Date,
    /// An instant, kept in UTC with microseconds. Text without an offset is read as UTC.
    Timestamp,
    /// 36 characters, lower case, with dashes; read with or without dashes.
    Uuid,
}

impl ColumnType {
    /// As it is written in a definition.
    pub fn text(&self) -> String {
        let name = match self {
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Decimal { precision, scale } => return format!("decimal({precision}, {scale})"),
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Uuid => "uuid",
        };
        name.to_owned()
    }
}

/// A condition on each row, as SQL over the columns. A row for which it is not true (also null) fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub name: String,
    pub sql: String,
    pub on_failure: OnFailure,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Set aside with its reason.
    Quarantine,
    /// Leave out and count.
    Drop,
    /// Stop the file before anything of it is committed.
    Fail,
    /// Keep, count, and say so.
    Warn,
}
