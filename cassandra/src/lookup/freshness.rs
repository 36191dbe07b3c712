//! How fresh a table is: what its checkpoint says, read often and cheaply.

use std::sync::Arc;

use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use tokio::time::Instant;

use super::{Error, execute};
use crate::checkpoint::{FROM_NOTHING, TABLE};
use crate::connect::Store;
use crate::cql;
use crate::request::Purpose;
use crate::schema::TableId;

/// What a table holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freshness {
    /// The version of the source that is in the table.
    pub version: u64,
    pub source_id: String,
    pub definition_hash: String,
    pub table_id: Option<TableId>,
    /// Moves with whatever is written to the table by runs, repairs included; in microseconds.
    pub write_time: i64,
    /// When the run was that wrote it last, in milliseconds.
    pub updated_at: i64,
    /// The newest event that had been accepted when that version was made, in milliseconds; `None` where the source has no events
    /// or the checkpoint is of an earlier program.
    pub newest_event: Option<i64>,
}

/// A prepared read of checkpoints.
#[derive(Clone)]
pub struct FreshnessLookup {
    session: Arc<Session>,
    statement: PreparedStatement,
}

impl Store {
    /// Prepares reading how fresh tables are. The table of checkpoints must be there, as `create-tables` makes it.
    pub async fn prepare_freshness(&self) -> Result<FreshnessLookup, Error> {
        let text = format!(
            "SELECT position, source_id, definition_hash, table_id, write_time, updated_at, newest_event \
             FROM {}.{TABLE} WHERE table_name = ?",
            cql::name(self.keyspace())
        );
        let prepared = self.session.prepare(text).await;
        let mut statement = prepared.purpose(|| format!("prepare reading the checkpoints of {}", self.keyspace()))?;
        statement.set_is_idempotent(true);
        Ok(FreshnessLookup { session: Arc::clone(&self.session), statement })
    }
}

type Checkpoint = (i64, String, String, Option<TableId>, i64, CqlTimestamp, Option<CqlTimestamp>);

impl FreshnessLookup {
    /// Reads how fresh a table is; `None` where nothing was sent there yet.
    pub async fn read(&self, table: &str, deadline: Instant) -> Result<Option<Freshness>, Error> {
        let purpose = || format!("read the checkpoint of {table}");
        let asked = execute(&self.session, &self.statement, (table,), deadline, || {}).await;
        let answer = asked.ok_or_else(|| Error::TooLate { table: TABLE.to_owned() })?.purpose(purpose)?;
        let rows = answer.into_rows_result().purpose(purpose)?;
        let Some(row) = rows.rows::<Checkpoint>().purpose(purpose)?.next() else { return Ok(None) };
        let (position, source_id, definition_hash, table_id, write_time, updated_at, newest_event) = row.purpose(purpose)?;
        if source_id == FROM_NOTHING {
            return Ok(None);
        }
        let version = u64::try_from(position).expect("positions are written from unsigned numbers");
        let newest_event = newest_event.map(|instant| instant.0);
        Ok(Some(Freshness { version, source_id, definition_hash, table_id, write_time, updated_at: updated_at.0, newest_event }))
    }
}
