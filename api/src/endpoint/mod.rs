//! An endpoint over the table that it asks: drawn from its definition and the table's design.
//!
//! Drawing finds what the keys alone do not show: a field that the table does not have, a sum over a text, a range over a type
//! that has no order to speak of. All of them are reported at once, each with where in the definition it is.

mod bounds;
mod draw;

use std::sync::Arc;

use cassandra::CqlType;
use model::definition::Order;
use model::definition::endpoints::PathTemplate;

pub(crate) use bounds::{Bounds, Said};
pub use draw::Mistake;

use crate::cursor::Fingerprint;

/// What an endpoint asks, and of what.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub name: Arc<str>,
    pub description: Option<String>,
    /// The main one first.
    pub paths: Vec<PathTemplate>,
    pub table: String,
    /// Of an answer of rows.
    pub(crate) fields: Vec<Column>,
    pub(crate) partition: Vec<Column>,
    pub(crate) clustering: Vec<(Column, Order)>,
    pub(crate) filters: Vec<Filter>,
    pub(crate) range: Option<Range>,
    pub(crate) answer: Answer,
    pub(crate) reverse: bool,
    pub(crate) page_size: u32,
    pub(crate) max_page_size: u32,
    pub(crate) cache_seconds: u64,
    /// Whether rows leave the table by themselves.
    pub(crate) has_ttl: bool,
    /// Of everything above: an answer under another definition is another answer.
    pub(crate) hash: Fingerprint,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) cql_type: CqlType,
}

#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub(crate) column: Column,
    pub(crate) value: FilterValue,
}

impl Filter {
    pub(crate) fn is_optional(&self) -> bool {
        matches!(self.value, FilterValue::Parameter { optional: true, .. })
    }
}

#[derive(Debug, Clone)]
pub(crate) enum FilterValue {
    Parameter { name: String, optional: bool },
    Constant(String),
}

#[derive(Debug, Clone)]
pub(crate) struct Range {
    pub(crate) column: Column,
    pub(crate) bucket: Option<Bucket>,
    /// All of these in the unit of the column: milliseconds of a time, days of a date.
    pub(crate) max: Option<i64>,
    pub(crate) default: Option<i64>,
    pub(crate) step: Option<i64>,
}

impl Range {
    /// Whether ages can be asked for: `hours`, `days`.
    pub(crate) fn counts_time(&self) -> bool {
        matches!(self.column.cql_type, CqlType::Timestamp | CqlType::Date)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    pub(crate) column: Column,
    /// In the unit of the range's column.
    pub(crate) width: i64,
}

#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Rows,
    Newest,
    Totals(Vec<Total>),
}

#[derive(Debug, Clone)]
pub(crate) struct Total {
    pub(crate) name: String,
    pub(crate) of: TotalOf,
}

#[derive(Debug, Clone)]
pub(crate) enum TotalOf {
    Rows,
    Integers(String),
    Floats(String),
}

pub(crate) const MILLIS_PER_SECOND: i64 = 1_000;
pub(crate) const SECONDS_PER_DAY: i64 = 86_400;
pub(crate) const MILLIS_PER_HOUR: i64 = 3_600 * MILLIS_PER_SECOND;
pub(crate) const MILLIS_PER_DAY: i64 = SECONDS_PER_DAY * MILLIS_PER_SECOND;
