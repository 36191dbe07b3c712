//! Sources, landing, and the tables of the three stores.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::contract::{Check, Column, MissingFields, UnknownFields};

/// Where files come from.
#[derive(Clone)]
pub struct Source {
    pub name: String,
    /// With variables already replaced. May carry credentials: printed only through [`crate::receipt::Receipt::url`].
    pub url: String,
    /// Pinned content, lower-case hex.
    pub sha256: Option<String>,
    /// Sent with each request; values may be secrets.
    pub headers: Vec<(String, String)>,
}

/// Without the url and the values of headers: both may be secret.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Source")
            .field("name", &self.name)
            .field("sha256", &self.sha256)
            .field("headers", &headers)
            .finish_non_exhaustive()
    }
}

/// How a landed file is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landing {
    pub name: String,
    pub source: String,
    pub compression: Compression,
    /// Which entries of an archive (a glob over the entry's path); without an archive there is one entry, the file itself.
    pub entries: String,
    pub format: Format,
    /// Records larger than this are set aside.
    pub max_record_bytes: u64,
    /// An archive that unpacks to more is refused.
    pub max_unpacked_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// By the first bytes of the file.
    Auto,
    None,
    Gzip,
    Bzip2,
    Zstd,
    Xz,
    Zip,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON object a line.
    JsonLines,
    Csv(Csv),
    Parquet,
}

/// How a CSV file is written. Delimiter, quote and escape are ASCII characters and differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Csv {
    pub delimiter: u8,
    /// `None`: nothing is quoted.
    pub quote: Option<u8>,
    /// What makes a quote inside of quotes a character; `None`: it is doubled.
    pub escape: Option<u8>,
    pub header: Header,
    /// Fields that stand for no value, quoted or not.
    pub null_values: Vec<String>,
    pub encoding: TextEncoding,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Header {
    /// The first record of each entry.
    Line,
    /// There is none; fields are called 1, 2, and so on.
    Numbers,
    /// There is none; these are the fields' names.
    Names(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TextEncoding {
    #[serde(rename = "utf-8")]
    Utf8,
    #[serde(rename = "iso-8859-1")]
    Latin1,
    #[serde(rename = "windows-1252")]
    Windows1252,
    /// Little or big endian as its byte order mark says; without one little endian.
    #[serde(rename = "utf-16")]
    Utf16,
}

/// A raw Delta table: append only, typed, without duplicates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RawTable {
    pub name: String,
    /// The landing it is loaded from.
    pub from: String,
    pub columns: Vec<Column>,
    pub event_time: Option<String>,
    /// A date column; one micro-batch holds one date or a part of one.
    pub partition_by: Option<String>,
    /// Empty: identity is file and position, nothing is a duplicate.
    pub unique_key: Vec<String>,
    pub checks: Vec<Check>,
    pub unknown_fields: UnknownFields,
    pub missing_fields: MissingFields,
    /// A file with a larger share of rejects (0 to 1) is stopped.
    pub reject_limit: f64,
    /// How much later than the wall clock an event may be, in seconds.
    pub future_tolerance_seconds: u64,
    /// How many days of event dates are kept, counted back from the pipeline's clock.
    pub retention_days: Option<u32>,
    /// The largest number of rows in one commit.
    pub batch_rows: u64,
}

/// A use-case Delta table in `merge` mode: one row per key, a fold over all raw rows of that key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseCaseTable {
    pub name: String,
    /// The raw table it is folded from.
    pub from: String,
    /// SQL over the micro-batch (named like the raw table) that yields the folded columns, one row per key.
    pub sql: String,
    pub sql_file: String,
    pub key: Vec<String>,
    pub partition_by: Option<String>,
    /// Every column but the key, in table order.
    pub columns: Vec<UseCaseColumn>,
    /// The largest number of raw rows folded into one commit.
    pub batch_rows: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseCaseColumn {
    pub name: String,
    pub fold: Fold,
}

/// How the values of one key become one value. None of them depends on the order of arrival.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fold {
    Min,
    Max,
    Sum,
    /// True if any is true.
    Any,
    /// True if all are true.
    All,
    /// The value at the smallest `by`, a column folded with `Min`; ties by the smallest value. Rows where `by` is null do not take part.
    FirstBy(String),
    /// The value at the largest `by`, a column folded with `Max`; ties by the largest value. Rows where `by` is null do not take part.
    LastBy(String),
    /// Computed from the folded columns (and the key), after the fold.
    Sql(String),
}

/// A Cassandra table, filled from a raw or a use-case table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CassandraTable {
    pub name: String,
    pub from: Origin,
    /// Row by row: a projection and a filter over the origin's rows.
    pub sql: String,
    pub sql_file: String,
    pub partition_key: Vec<String>,
    pub clustering: Vec<(String, Order)>,
    /// Columns whose CQL type differs from the one that follows from the SQL's type.
    pub types: Vec<CassandraColumn>,
    /// Seconds; only where the pipeline's clock is wall time.
    pub ttl_seconds: Option<u64>,
    /// The CQL map for `WITH compaction =`, braces included. What its options mean is for the server to check.
    pub compaction: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Raw(String),
    UseCase(String),
}

impl Origin {
    pub fn table(&self) -> &str {
        match self {
            Self::Raw(table) | Self::UseCase(table) => table,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    Asc,
    Desc,
}

/// The CQL type of a column by name: `uuid`, `timestamp`, `date`, `text`, `int`, ...
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CassandraColumn {
    pub name: String,
    pub cql_type: String,
}
