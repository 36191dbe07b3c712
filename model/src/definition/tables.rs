//! Landing, and the tables of the three stores.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::contract::{Check, Column, MissingFields, UnknownFields};

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
    Tar,
    TarGzip,
    TarBzip2,
    TarZstd,
    TarXz,
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
    /// Dates of fewer rows than this may share a commit.
    #[serde(default, skip_serializing_if = "is_default_small_date")]
    pub small_date_rows: SmallDate,
    #[serde(default, skip_serializing_if = "OnChange::is_append")]
    pub on_change: OnChange,
}

/// Rows below which a date may share a commit with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SmallDate(pub u64);

impl Default for SmallDate {
    fn default() -> Self {
        Self(super::defaults::SMALL_DATE_ROWS)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_default_small_date(rows: &SmallDate) -> bool {
    *rows == SmallDate::default()
}

impl RawTable {
    /// The columns by which rows are found that a row may be a duplicate of: the unique key, and the date, since only rows of one
    /// date are compared.
    pub fn compared_by(&self) -> Vec<String> {
        let date = self.partition_by.iter().filter(|date| !self.unique_key.contains(date));
        self.unique_key.iter().chain(date).cloned().collect()
    }
}

/// What a new receipt of a source is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnChange {
    /// More events; those that are already there are duplicates.
    #[default]
    Append,
    /// A snapshot: it supersedes the rows of the receipt before it, and rows that are no longer in it are deletes downstream.
    Replace,
}

impl OnChange {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_append(&self) -> bool {
        *self == Self::Append
    }
}

/// A use-case Delta table: one row per key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseCaseTable {
    pub name: String,
    /// What its SQL reads: exactly one raw table where it is merged, any tables where it is a view.
    pub from: Vec<Origin>,
    /// Merged: over a micro-batch (named like the raw table), yields the folded columns, one row per key. A view: over whole tables.
    pub sql: String,
    pub sql_file: String,
    pub key: Vec<String>,
    pub partition_by: Option<String>,
    pub mode: Mode,
}

/// How a use-case table is kept up to date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Each micro-batch is folded into the rows of its keys.
    Merge(Merge),
    /// The groups that new versions of its inputs touched are computed anew, and the difference is merged.
    View,
}

/// A fold over all raw rows of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merge {
    /// Every column but the key, in table order.
    pub columns: Vec<UseCaseColumn>,
    /// The largest number of raw rows folded into one commit.
    pub batch_rows: u64,
    /// A condition over key and columns; a row for which it is true is a deleted one.
    pub delete_when: Option<String>,
    /// The author's word that the SQL may depend on how batches are cut.
    pub order_dependent: bool,
}

impl UseCaseTable {
    /// What is folded; `None` for a view.
    pub fn merge(&self) -> Option<&Merge> {
        match &self.mode {
            Mode::Merge(merge) => Some(merge),
            Mode::View => None,
        }
    }

    /// The raw table that a merged table is folded from (of a view: the first table that it reads).
    pub fn input(&self) -> &Origin {
        &self.from[0]
    }
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

    /// `raw` or `use_case`.
    pub fn zone(&self) -> &'static str {
        match self {
            Self::Raw(_) => "raw",
            Self::UseCase(_) => "use_case",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.zone(), self.table())
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
