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
    pub reading: Reading,
}

/// How text (for epochs also numbers) becomes a date, an instant or bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Tried in order; none means ISO 8601.
    pub formats: Vec<TimeFormat>,
    /// The IANA name of the zone of instants that come without an offset; none means UTC.
    pub zone: Option<String>,
    pub ambiguous: Ambiguous,
    pub encoding: BinaryEncoding,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeFormat {
    /// ISO 8601.
    Iso,
    /// A number since 1970-01-01T00:00:00Z.
    Epoch(EpochUnit),
    /// In the letters of `strftime`.
    Pattern(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EpochUnit {
    Seconds,
    Millis,
    Micros,
    Nanos,
}

/// What a local time that comes twice (clocks are put back) stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ambiguous {
    #[default]
    Reject,
    Earlier,
    Later,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BinaryEncoding {
    #[default]
    Base64,
    Hex,
}

/// Where a column's value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnSource {
    /// A field of the record: a path ([`super::FieldPath`]), or for CSV the name in the header, as it stands.
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
    Float32,
    Float64,
    Decimal {
        precision: u8,
        scale: i8,
    },
    Date,
    /// An instant, kept in UTC with microseconds.
    Timestamp,
    /// 36 characters, lower case, with dashes; read with or without dashes.
    Uuid,
    Binary,
    /// Any value, kept as JSON text.
    Json,
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
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Decimal { precision, scale } => return format!("decimal({precision}, {scale})"),
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Uuid => "uuid",
            Self::Binary => "binary",
            Self::Json => "json",
        };
        name.to_owned()
    }
}

/// A condition on each row, as SQL over the columns. A row for which it is false fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub name: String,
    pub sql: String,
    pub on_failure: OnFailure,
    /// What a condition that is neither true nor false means.
    pub null: OnNull,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnNull {
    Fail,
    Pass,
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

/// What happens to fields of a record that the contract does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownFields {
    Ignore,
    /// Stop the file before anything of it is committed.
    Fail,
    /// All of a record's as one JSON object in the column [`UNKNOWN`].
    Keep,
    /// A nullable string column for each.
    Add,
}

/// What happens where a record lacks a field that the contract names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingFields {
    /// As if its value were null.
    Null,
    /// Stop the file before anything of it is committed.
    Fail,
}

/// The column that holds unknown fields where they are kept.
pub const UNKNOWN: &str = "_unknown";
