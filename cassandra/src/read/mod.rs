//! Tables read back, whole: what tests and comparisons with the lake need. Nothing here is for serving requests.
//!
//! A scan goes round the ring page by page and holds one page at a time. UUIDs come as dashed text and times as microseconds
//! in UTC, as the lake has them; decimals and numbers of any length come as text.

pub(crate) mod column;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::{StreamExt, TryStreamExt};
use model::{Classify, Failure};
use scylla::client::session::Session;
use scylla::deserialize::row::ColumnIterator;
use scylla::response::PagingState;
use scylla::statement::prepared::PreparedStatement;

use column::Builder;

use crate::connect::Store;
use crate::cql::{self, CqlType};
use crate::request::{self, Purpose};
use crate::schema::{self, Existing, Role};

/// Rows in one page, and so in one record batch.
const PAGE_ROWS: i32 = 5_000;
/// Into how many parts of the ring a count is split, so that none of them runs into the server's time-out.
const COUNT_PARTS: i64 = 32;
const COUNT_AT_ONCE: usize = 4;

/// Whether a scan also yields when each value was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteTimes {
    Omit,
    /// After each column outside the key a column `writetime(NAME)` in microseconds; null where the value is null.
    Include,
}

/// All rows of a table, batch by batch, in the order of the ring.
pub struct Scan {
    session: Arc<Session>,
    statement: PreparedStatement,
    table: String,
    schema: SchemaRef,
    types: Vec<CqlType>,
    /// Where the next page starts; `None` after the last.
    next: Option<PagingState>,
}

impl Store {
    /// Reads all of `table`: key columns first, the others in the order of their names.
    pub async fn scan(&self, table: &str, write_times: WriteTimes) -> Result<Scan, Error> {
        let full_name = self.full_name(table);
        let Some(existing) = Existing::read(&self.session, &self.keyspace, table).await? else {
            return Err(Error::NoTable(full_name));
        };
        let mut selected = Vec::new();
        let mut fields = Vec::new();
        let mut types = Vec::new();
        for column in &existing.columns {
            let cql_type = CqlType::parse(&column.cql_type).ok_or_else(|| Error::Type {
                table: full_name.clone(),
                column: column.name.clone(),
                cql_type: column.cql_type.clone(),
            })?;
            selected.push(cql::name(&column.name).into_owned());
            fields.push(Field::new(&column.name, column::arrow_type(cql_type), column.role == Role::Regular));
            types.push(cql_type);
            if write_times == WriteTimes::Include && column.role == Role::Regular {
                selected.push(format!("writetime({})", cql::name(&column.name)));
                fields.push(Field::new(format!("writetime({})", column.name), DataType::Int64, true));
                types.push(CqlType::Bigint);
            }
        }
        let text = format!("SELECT {} FROM {}.{}", selected.join(", "), cql::name(&self.keyspace), cql::name(table));
        let mut statement = self.session.prepare(text).await.purpose(|| format!("read {full_name}"))?;
        statement.set_page_size(PAGE_ROWS);
        statement.set_is_idempotent(true);
        Ok(Scan {
            session: Arc::clone(&self.session),
            statement,
            table: full_name,
            schema: Arc::new(Schema::new(fields)),
            types,
            next: Some(PagingState::start()),
        })
    }

    /// How many rows `table` has.
    pub async fn count(&self, table: &str) -> Result<u64, Error> {
        let full_name = self.full_name(table);
        let purpose = || format!("count the rows of {full_name}");
        let Some(existing) = Existing::read(&self.session, &self.keyspace, table).await? else {
            return Err(Error::NoTable(full_name));
        };
        let partition = existing.columns.iter().filter(|column| column.role == Role::Partition);
        let key = cql::names(partition.map(|column| column.name.as_str()));
        let text = format!(
            "SELECT COUNT(*) FROM {}.{} WHERE token({key}) > ? AND token({key}) <= ?",
            cql::name(&self.keyspace),
            cql::name(table)
        );
        let mut statement = self.session.prepare(text).await.purpose(purpose)?;
        statement.set_is_idempotent(true);
        let statement = &statement;
        let parts = futures::stream::iter((0..COUNT_PARTS).map(ring_part)).map(|range| async move {
            let rows = self.session.execute_unpaged(statement, range).await.purpose(purpose)?;
            let rows = rows.into_rows_result().purpose(purpose)?;
            let count = rows.rows::<(i64,)>().purpose(purpose)?.next().transpose().purpose(purpose)?;
            Ok::<_, Error>(count.map_or(0, |(count,)| u64::try_from(count).unwrap_or(0)))
        });
        parts.buffer_unordered(COUNT_AT_ONCE).try_fold(0, |total, count| async move { Ok(total + count) }).await
    }
}

/// The tokens of one part of the ring: after the first, up to the second. No key has the smallest token.
fn ring_part(part: i64) -> (i64, i64) {
    let width = (1_i128 << 64) / i128::from(COUNT_PARTS);
    let border = |part: i64| {
        let token = i128::from(i64::MIN) + width * i128::from(part);
        i64::try_from(token).unwrap_or(i64::MAX)
    };
    (border(part), border(part + 1))
}

impl Scan {
    /// What the batches look like.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The next batch of rows; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, Error> {
        let purpose = || format!("read {}", self.table);
        while let Some(from) = self.next.take() {
            let (page, state) = self.session.execute_single_page(&self.statement, (), from).await.purpose(purpose)?;
            if let std::ops::ControlFlow::Continue(state) = state.into_paging_control_flow() {
                self.next = Some(state);
            }
            let page = page.into_rows_result().purpose(purpose)?;
            if page.rows_num() == 0 {
                continue;
            }
            let mut columns: Vec<_> = self.types.iter().map(|cql_type| Builder::new(*cql_type)).collect();
            for row in page.rows::<ColumnIterator<'_, '_>>().purpose(purpose)? {
                for (cell, builder) in row.purpose(purpose)?.zip(&mut columns) {
                    let cell = cell.purpose(purpose)?;
                    let value = cell.slice.map(|slice| slice.as_slice());
                    builder
                        .append(value)
                        .ok_or_else(|| Error::Value { table: self.table.clone(), column: cell.spec.name().to_owned() })?;
                }
            }
            let columns = columns.into_iter().map(Builder::finish).collect();
            return Ok(Some(RecordBatch::try_new(self.schema(), columns).expect("each builder makes the type of its field")));
        }
        Ok(None)
    }

    /// All batches that are left.
    pub async fn collect(mut self) -> Result<Vec<RecordBatch>, Error> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await? {
            batches.push(batch);
        }
        Ok(batches)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no table {0}")]
    NoTable(String),
    #[error("column {column} of {table} is {cql_type}, which cannot be read here")]
    Type { table: String, column: String, cql_type: String },
    #[error("a value of column {column} of {table} is not of its type")]
    Value { table: String, column: String },
    #[error(transparent)]
    Table(#[from] schema::Error),
    #[error(transparent)]
    Request(#[from] request::Error),
}

impl Classify for Error {
    fn failure(&self) -> Failure {
        match self {
            Self::Table(error) => error.failure(),
            Self::NoTable(_) | Self::Type { .. } => Failure::Definition,
            Self::Value { .. } => Failure::Bug,
            Self::Request(error) => error.failure(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Table(error) => error.hint(),
            Self::NoTable(_) => Some("run create-tables first".to_owned()),
            Self::Type { .. } | Self::Value { .. } => None,
            Self::Request(error) => error.hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_the_ring_make_it_up() {
        let parts: Vec<_> = (0..COUNT_PARTS).map(ring_part).collect();
        assert_eq!((parts[0].0, parts[parts.len() - 1].1), (i64::MIN, i64::MAX));
        assert!(parts.windows(2).all(|pair| pair[0].1 == pair[1].0 && pair[0].0 < pair[0].1));
    }
}
