//! How far a Cassandra table has got, kept beside it in its keyspace.
//!
//! A checkpoint is written after every write of its range was acknowledged, with the write time of the newest version of the
//! range: so replaying an older range does not move it back. It names the table of Cassandra that holds the rows: after that was
//! dropped and made anew, by whomever, the checkpoint stands for rows that are gone, and its reader can see that.

use model::crash;
use scylla::statement::Statement;
use scylla::value::CqlTimestamp;

use crate::connect::Store;
use crate::cql::{self, CqlType};
use crate::request::{Error, Purpose, again};
use crate::schema::{Column, Existing, Role, TableDesign, TableId};

/// The table that holds a row for each table of the keyspace.
pub(crate) const TABLE: &str = "sluice_checkpoints";

/// Stands for the source of a table that starts from nothing again. Its row stays, for its write time: a later checkpoint must
/// have a later one, also where it is written from older versions.
pub(crate) const FROM_NOTHING: &str = "";

/// How far a Cassandra table has got in its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last version of the source that is in the table.
    pub position: u64,
    /// Which table of the lake the version belongs to: one that was made anew starts from nothing.
    pub source_id: String,
    /// Of the definition that the rows were written by.
    pub definition_hash: String,
    /// Of the table that the rows were written to; `None` in a checkpoint of a program that did not keep it yet.
    pub table_id: Option<TableId>,
}

impl Checkpoint {
    /// Of a table that starts from nothing again.
    pub(crate) fn from_nothing() -> Self {
        Self { position: 0, source_id: FROM_NOTHING.to_owned(), definition_hash: String::new(), table_id: None }
    }
}

/// When a checkpoint is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointTimes {
    /// The write time of the newest version up to the position.
    pub write_time_micros: i64,
    /// The run's clock, for people who look.
    pub updated_at_millis: i64,
    /// The newest event that is behind the position: how fresh the rows are. `None` where the source knows of none.
    pub newest_event_millis: Option<i64>,
}

/// The table's design: made and checked like every other.
pub(crate) fn design() -> TableDesign {
    let column = |name: &str, cql_type, role| Column { name: name.to_owned(), cql_type, role };
    TableDesign {
        name: TABLE.to_owned(),
        columns: vec![
            column("table_name", CqlType::Text, Role::Partition),
            column("position", CqlType::Bigint, Role::Regular),
            column("source_id", CqlType::Text, Role::Regular),
            column("definition_hash", CqlType::Text, Role::Regular),
            column("write_time", CqlType::Bigint, Role::Regular),
            column("updated_at", CqlType::Timestamp, Role::Regular),
            column(TABLE_ID, CqlType::Uuid, Role::Regular),
            column(NEWEST_EVENT, CqlType::Timestamp, Role::Regular),
        ],
        ttl_seconds: None,
        compaction: None,
    }
}

/// Columns that tables of checkpoints of earlier programs do not have.
const TABLE_ID: &str = "table_id";
const NEWEST_EVENT: &str = "newest_event";

/// What a table of checkpoints lacks that an earlier program made.
pub(crate) fn missing_columns(existing: &Existing) -> Vec<Column> {
    let is_later = |column: &Column| [TABLE_ID, NEWEST_EVENT].contains(&column.name.as_str());
    design().columns.into_iter().filter(|column| is_later(column) && !existing.has(&column.name)).collect()
}

pub(crate) fn add_column(keyspace: &str, column: &Column) -> String {
    let (keyspace, name, cql_type) = (cql::name(keyspace), cql::name(&column.name), column.cql_type);
    format!("ALTER TABLE {keyspace}.{TABLE} ADD IF NOT EXISTS {name} {cql_type}")
}

impl Store {
    /// The checkpoint of `table`; `None` before its first one.
    #[tracing::instrument(target = "profile", level = "trace", name = "read the checkpoint", skip_all)]
    pub async fn read_checkpoint(&self, table: &str) -> Result<Option<Checkpoint>, Error> {
        let purpose = || format!("read the checkpoint of {}", self.full_name(table));
        let existing = Existing::read(&self.session, &self.keyspace, TABLE).await?;
        // An earlier program's table may lack the column: `create-tables` adds it, a plan only reads.
        let has_table_id = existing.is_none_or(|existing| existing.has(TABLE_ID));
        let table_id = if has_table_id { ", table_id" } else { "" };
        let statement = format!(
            "SELECT position, source_id, definition_hash{table_id} FROM {}.{TABLE} WHERE table_name = ?",
            cql::name(&self.keyspace)
        );
        let rows = again(|| self.session.query_unpaged(statement.as_str(), (table,))).await.purpose(purpose)?;
        let rows = rows.into_rows_result().purpose(purpose)?;
        let row = if has_table_id {
            rows.rows::<(i64, String, String, Option<TableId>)>().purpose(purpose)?.next().transpose().purpose(purpose)?
        } else {
            let row = rows.rows::<(i64, String, String)>().purpose(purpose)?.next().transpose().purpose(purpose)?;
            row.map(|(position, source_id, definition_hash)| (position, source_id, definition_hash, None))
        };
        let Some((position, source_id, definition_hash, table_id)) = row else { return Ok(None) };
        if source_id == FROM_NOTHING {
            return Ok(None);
        }
        let position = u64::try_from(position).expect("positions are written from unsigned numbers");
        Ok(Some(Checkpoint { position, source_id, definition_hash, table_id }))
    }

    /// The write time of the newest version up to the checkpoint of `table`, in microseconds; `None` before its first one.
    pub async fn read_checkpoint_time(&self, table: &str) -> Result<Option<i64>, Error> {
        let purpose = || format!("read the checkpoint of {}", self.full_name(table));
        let statement = format!("SELECT write_time FROM {}.{TABLE} WHERE table_name = ?", cql::name(&self.keyspace));
        let rows = again(|| self.session.query_unpaged(statement.as_str(), (table,))).await.purpose(purpose)?;
        let rows = rows.into_rows_result().purpose(purpose)?;
        let Some(row) = rows.rows::<(i64,)>().purpose(purpose)?.next() else { return Ok(None) };
        Ok(Some(row.purpose(purpose)?.0))
    }

    /// Records how far `table` has got; call it once all writes up to there are acknowledged.
    pub async fn write_checkpoint(&self, table: &str, checkpoint: &Checkpoint, times: CheckpointTimes) -> Result<(), Error> {
        let purpose = || format!("write the checkpoint of {}", self.full_name(table));
        let statement = format!(
            "INSERT INTO {}.{TABLE} (table_name, position, source_id, definition_hash, write_time, updated_at, {TABLE_ID}, {NEWEST_EVENT}) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
            cql::name(&self.keyspace)
        );
        let position = i64::try_from(checkpoint.position).expect("a Delta version is under 2^63");
        let updated_at = CqlTimestamp(times.updated_at_millis);
        let values = (
            table,
            position,
            &checkpoint.source_id,
            &checkpoint.definition_hash,
            times.write_time_micros,
            updated_at,
            checkpoint.table_id,
            times.newest_event_millis.map(CqlTimestamp),
            times.write_time_micros,
        );
        let mut statement = Statement::new(statement);
        statement.set_is_idempotent(true);
        crash::point("cassandra/checkpoint:before");
        again(|| self.session.query_unpaged(statement.clone(), values)).await.purpose(purpose)?;
        crash::point("cassandra/checkpoint:after");
        Ok(())
    }
}
