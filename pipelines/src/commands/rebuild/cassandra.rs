//! A Cassandra table filled anew from the lake, in place ([`WholeTable`]).
//!
//! Never: drops the table, unless writing cannot put it right: its columns or keys differ from the definition, or somebody wrote
//! or deleted in it with a time that is still to come. That is said; the table is empty then until it is filled.

use cassandra::schema::Error as SchemaError;
use cassandra::{Store, TableDesign};
use model::definition::CassandraTable;

use crate::context::Context;
use crate::error::Error;
use crate::stages::create_tables::design;
use crate::stages::open_table;
use crate::stages::to_cassandra::stage_of;
use crate::stages::whole_table::{Filled as Sent, Others, WholeTable};

/// What was written.
pub(super) struct Filled {
    /// The version of the origin that the table holds.
    pub version: u64,
    pub rows: u64,
    pub deleted: u64,
    pub notes: Vec<String>,
}

/// Why a table cannot follow its origin by the difference; `None` where it can, or is still to be filled.
pub(super) async fn left_behind(context: &Context, store: &Store, table: &CassandraTable) -> Result<Option<String>, Error> {
    let origin = match open_table(context, &table.from).await {
        Err(Error::Lake(zones::Error::NoTable { .. })) => return Ok(None),
        origin => origin?,
    };
    let missing = store.missing(&[]).await.map_err(Error::cassandra("look for checkpoints"))?;
    if !missing.has_checkpoints {
        return Ok(None);
    }
    let read = store.read_checkpoint(&table.name).await;
    let Some(checkpoint) = read.map_err(Error::cassandra(format!("read the checkpoint of {}", table.name)))? else {
        return Ok(None);
    };
    Ok(if checkpoint.source_id != origin.id() {
        Some(format!("{} cannot be compared with what it was", table.from))
    } else if checkpoint.definition_hash != table.table_hash() {
        Some("its definition changed".to_owned())
    } else if differs(context, store, table).await? {
        Some("its columns or keys changed".to_owned())
    } else {
        None
    })
}

async fn differs(context: &Context, store: &Store, table: &CassandraTable) -> Result<bool, Error> {
    match store.create_tables(&[design(&context.pipeline, table).await?]).await {
        Err(SchemaError::Differ(_)) => Ok(true),
        made => made.map(|_| false).map_err(Error::cassandra(format!("look at {}", table.name))),
    }
}

/// Writes the whole table again.
pub(super) async fn fill(context: &Context, store: &Store, table: &CassandraTable) -> Result<Filled, Error> {
    let design = design(&context.pipeline, table).await?;
    store.create_keyspace().await.map_err(Error::cassandra("create the keyspace"))?;
    let filling = Filling { context, store, table, design: &design };
    let mut notes = Vec::new();
    match store.create_tables(std::slice::from_ref(&design)).await {
        Err(SchemaError::Differ(differing)) => {
            let differing = differing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            notes.push(filling.remake(&format!("it differs from its definition: {differing}")).await?);
        }
        made => made.map(|_| ()).map_err(Error::cassandra(format!("create {}", table.name)))?,
    }
    let whole = WholeTable { context, store, table, others: Others::Remove };
    let ours = context.now.max(filling.newest_of_ours().await?);
    if whole.newest_write(&design).await?.is_some_and(|newest| newest > ours) {
        notes.push(filling.remake("it has values with a time that is still to come").await?);
    }
    let mut sent = filling.send(&whole).await?;
    // Rows that outlive their time to live are gone by themselves.
    if sent.hidden > 0 && table.ttl_seconds.is_none() {
        let because = format!("{} of its rows are deleted with a time that is still to come", sent.hidden);
        notes.push(filling.remake(&because).await?);
        sent = filling.send(&whole).await?;
    }
    Ok(Filled { version: sent.version.0, rows: sent.rows, deleted: sent.deleted, notes })
}

struct Filling<'f> {
    context: &'f Context,
    store: &'f Store,
    table: &'f CassandraTable,
    design: &'f TableDesign,
}

impl Filling<'_> {
    async fn send(&self, whole: &WholeTable<'_>) -> Result<Sent, Error> {
        let progress = self.context.watch.start(stage_of(self.table), &self.table.name);
        whole.fill(progress.as_ref()).await
    }

    /// The newest write time that the lake gave, or took for this table.
    async fn newest_of_ours(&self) -> Result<i64, Error> {
        let origin = open_table(self.context, &self.table.from).await?;
        let read = self.store.read_checkpoint_time(&self.table.name).await;
        let checkpoint = read.map_err(Error::cassandra(format!("read the checkpoint of {}", self.table.name)))?;
        Ok(origin.newest_write_time().await?.max(checkpoint).unwrap_or(0))
    }

    /// Drops the table and makes it again; what is to be said of it.
    async fn remake(&self, because: &str) -> Result<String, Error> {
        let (store, name) = (self.store, &self.table.name);
        self.context.watch.say(&format!("dropping {}.{name}: {because}", store.keyspace()));
        let discarded = store.discard_table(name, self.context.now / 1000).await;
        discarded.map_err(Error::cassandra(format!("drop Cassandra table {name}")))?;
        let made = store.create_tables(std::slice::from_ref(self.design)).await;
        made.map_err(Error::cassandra(format!("create {name}")))?;
        Ok(format!("it was dropped and made again, and empty until it was filled: {because}"))
    }
}
