//! Reads by key, for applications: prepared once, a single page each, cells as the wire has them.
//!
//! A [`Question`] names every column of the partition key, so an answer comes from one partition; what its rows are is handed
//! out cell by cell ([`Rows::each`]), without a row object and without a copy of texts. A read may be sent again: it is tried
//! once more where the first try fails in a way that may pass, within its deadline, and never after it.

mod freshness;
mod key;
mod text;
mod value;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use model::{Classify, Failure};
use scylla::client::session::Session;
use scylla::deserialize::row::ColumnIterator;
use scylla::errors::ExecutionError;
use scylla::response::query_result::{QueryResult, QueryRowsResult};
use scylla::serialize::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;
use scylla::statement::prepared::PreparedStatement;
use tokio::time::Instant;

pub use freshness::{Freshness, FreshnessLookup};
pub use key::{KeyValue, NotThatType, days, millis, whole_number};
pub use text::{date_text, timestamp_text, write_date, write_timestamp};
pub use value::Value;

use crate::connect::Store;
use crate::cql::{self, CqlType};
use crate::request::{self, DriverError, Purpose};
use crate::schema::order_name;

/// What is asked of a table: one statement.
#[derive(Debug, Clone)]
pub struct Question<'q> {
    pub table: &'q str,
    pub selected: Vec<Selected<'q>>,
    /// With a marker each, in this order.
    pub conditions: Vec<(&'q str, Comparison)>,
    /// The clustering columns with the order that is wanted, where it is not the table's.
    pub order: Vec<(&'q str, model::definition::Order)>,
    /// Whether the last marker is that of the number of rows.
    pub limited: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selected<'q> {
    /// A column and its type.
    Column(&'q str, CqlType),
    /// How many rows there are.
    Count,
    /// The sum of a column of whole numbers, however large.
    SumOfIntegers(&'q str),
    /// The sum of a column of floating-point numbers.
    SumOfFloats(&'q str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    Equal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Comparison {
    fn cql(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }
}

impl Selected<'_> {
    fn cql(&self) -> String {
        match self {
            Self::Column(name, _) => cql::name(name).into_owned(),
            Self::Count => "count(*)".to_owned(),
            // A sum has the type of its column, and overflows it without a word.
            Self::SumOfIntegers(name) => format!("sum(cast({} AS varint))", cql::name(name)),
            Self::SumOfFloats(name) => format!("sum(cast({} AS double))", cql::name(name)),
        }
    }

    fn cql_type(&self) -> CqlType {
        match self {
            Self::Column(_, cql_type) => *cql_type,
            Self::Count => CqlType::Bigint,
            Self::SumOfIntegers(_) => CqlType::Varint,
            Self::SumOfFloats(_) => CqlType::Double,
        }
    }
}

impl Question<'_> {
    fn cql(&self, keyspace: &str) -> String {
        let selected: Vec<String> = self.selected.iter().map(Selected::cql).collect();
        let mut text = format!("SELECT {} FROM {}.{}", selected.join(", "), cql::name(keyspace), cql::name(self.table));
        for (index, (column, comparison)) in self.conditions.iter().enumerate() {
            let word = if index == 0 { "WHERE" } else { "AND" };
            let _ = write!(text, " {word} {} {} ?", cql::name(column), comparison.cql());
        }
        for (index, (column, order)) in self.order.iter().enumerate() {
            let word = if index == 0 { "ORDER BY" } else { "," };
            let _ = write!(text, " {word} {} {}", cql::name(column), order_name(*order));
        }
        if self.limited {
            text.push_str(" LIMIT ?");
        }
        text
    }
}

/// A prepared question.
pub struct Lookup {
    session: Arc<Session>,
    statement: PreparedStatement,
    types: Arc<[CqlType]>,
    table: Arc<str>,
}

impl Store {
    /// Prepares a question. The table must be there.
    pub async fn prepare_lookup(&self, question: &Question<'_>) -> Result<Lookup, Error> {
        let table = self.full_name(question.table);
        let text = question.cql(self.keyspace());
        let prepared = self.session.prepare(text).await;
        let mut statement = prepared.purpose(|| format!("prepare a read of {table}"))?;
        statement.set_is_idempotent(true);
        // The columns are named in the statement and their types are those of the design: the answer need not say them again.
        statement.set_use_cached_result_metadata(true);
        let types = question.selected.iter().map(Selected::cql_type).collect();
        Ok(Lookup { session: Arc::clone(&self.session), statement, types, table: table.into() })
    }
}

/// The values of a statement's markers.
struct Markers<'v> {
    values: &'v [&'v KeyValue],
    limit: Option<i32>,
}

impl SerializeRow for Markers<'_> {
    fn serialize(&self, _: &RowSerializationContext<'_>, writer: &mut RowWriter<'_>) -> Result<(), SerializationError> {
        for value in self.values {
            writer.make_cell_writer().set_value(value.bytes()).map_err(SerializationError::new)?;
        }
        if let Some(limit) = self.limit {
            writer.make_cell_writer().set_value(&limit.to_be_bytes()).map_err(SerializationError::new)?;
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.values.is_empty() && self.limit.is_none()
    }
}

impl Lookup {
    /// Asks. `values` are those of the conditions; `limit` is the number of rows where the question has one. `again` is told before
    /// it is asked a second time.
    pub async fn ask(
        &self,
        values: &[&KeyValue],
        limit: Option<u32>,
        deadline: Instant,
        again: impl Fn(),
    ) -> Result<Rows, Error> {
        let markers = Markers { values, limit: limit.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX)) };
        let asked = execute(&self.session, &self.statement, &markers, deadline, again).await;
        let answer = asked.ok_or_else(|| Error::TooLate { table: self.table.to_string() })?;
        let purpose = || format!("read {}", self.table);
        let rows = answer.purpose(purpose)?.into_rows_result().purpose(purpose)?;
        Ok(Rows { found: rows, types: Arc::clone(&self.types), table: Arc::clone(&self.table) })
    }
}

/// Reads once, and a second time where it failed for a reason that may pass; `again` is told before. `None` where there is no answer
/// at the deadline.
async fn execute(
    session: &Session,
    statement: &PreparedStatement,
    markers: impl SerializeRow,
    deadline: Instant,
    again: impl Fn(),
) -> Option<Result<QueryResult, ExecutionError>> {
    let mut is_second = false;
    loop {
        // The driver's future is large, and those that hold it are moved from one to the next until a task has them.
        let asking = Box::pin(session.execute_unpaged(statement, &markers));
        match tokio::time::timeout_at(deadline, asking).await.ok()? {
            Err(error) if !is_second && error.kind() == Failure::Transient => {
                is_second = true;
                again();
                tokio::time::sleep(PAUSE).await;
            }
            answer => return Some(answer),
        }
    }
}

/// Before a read that failed is sent again: enough for another connection, or another node.
const PAUSE: Duration = Duration::from_millis(20);

/// The rows of one answer.
pub struct Rows {
    found: QueryRowsResult,
    types: Arc<[CqlType]>,
    table: Arc<str>,
}

impl Rows {
    pub fn count(&self) -> usize {
        self.found.rows_num()
    }

    /// Hands each row out, as the values of what was selected, until told to stop.
    pub fn each<E: From<Error>>(&self, mut row: impl FnMut(&Row<'_, '_>) -> Result<(), E>) -> Result<(), E> {
        let purpose = || format!("read {}", self.table);
        let mut values = Vec::with_capacity(self.types.len());
        let mut raw = Vec::with_capacity(self.types.len());
        for cells in self.found.rows::<ColumnIterator<'_, '_>>().purpose(purpose).map_err(Error::from)? {
            values.clear();
            raw.clear();
            for (cell, cql_type) in cells.purpose(purpose).map_err(Error::from)?.zip(self.types.iter()) {
                let cell = cell.purpose(purpose).map_err(Error::from)?;
                let bytes = cell.slice.map(|slice| slice.as_slice());
                let value = Value::read(*cql_type, bytes)
                    .ok_or_else(|| Error::Value { table: self.table.to_string(), column: cell.spec.name().to_owned() })?;
                values.push(value);
                raw.push(bytes);
            }
            row(&Row { values: &values, raw: &raw })?;
        }
        Ok(())
    }
}

/// A row of an answer.
#[derive(Debug)]
pub struct Row<'v, 'r> {
    /// What was selected, in its order.
    pub values: &'v [Value<'r>],
    raw: &'v [Option<&'r [u8]>],
}

impl Row<'_, '_> {
    /// A value as it can be given to a later question; `None` where there is none.
    pub fn key(&self, index: usize) -> Option<KeyValue> {
        self.raw.get(index).copied().flatten().map(KeyValue::of_cell)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Cassandra did not answer about {table} in time")]
    TooLate { table: String },
    #[error("a value of column {column} of {table} is not of its type")]
    Value { table: String, column: String },
    #[error(transparent)]
    Request(#[from] request::Error),
}

impl Error {
    /// Whether the table is missing, or is another than the one that was prepared for.
    pub fn is_misfit(&self) -> bool {
        matches!(self, Self::Request(error) if error.is_misfit())
    }
}

impl Classify for Error {
    fn failure(&self) -> Failure {
        match self {
            Self::TooLate { .. } => Failure::Transient,
            Self::Value { .. } => Failure::Bug,
            Self::Request(error) => error.failure(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Request(error) => error.hint(),
            Self::TooLate { .. } | Self::Value { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use model::definition::Order;

    use super::*;

    #[test]
    fn a_question_is_one_statement_with_a_marker_for_everything_that_a_caller_gives() {
        let question = Question {
            table: "orders",
            selected: vec![Selected::Column("order", CqlType::Uuid), Selected::Count, Selected::SumOfIntegers("amount")],
            conditions: vec![("day", Comparison::Equal), ("ts", Comparison::AtLeast), ("ts", Comparison::Less)],
            order: vec![("ts", Order::Asc), ("order", Order::Desc)],
            limited: true,
        };
        assert_eq!(
            question.cql("shop"),
            "SELECT \"order\", count(*), sum(cast(amount AS varint)) FROM shop.orders WHERE day = ? AND ts >= ? AND ts < ? \
             ORDER BY ts ASC , \"order\" DESC LIMIT ?"
        );
    }
}
