//! Who reads the changes of a table, and how far each has got.

use cassandra::Store;
use model::definition::{CassandraTable, Origin, UseCaseTable};
use model::failure::{Classify, Failure};
use model::position::TableVersion;
use zones::delta::Table;
use zones::maintain::Reader;

use crate::context::Context;
use crate::error::Error;
use crate::stages::to_cassandra;

/// What Cassandra can say of its checkpoints.
pub(super) enum Checkpoints<'s> {
    Read(&'s Store),
    /// The keyspace has none, or it could not be asked: nothing is known to have been taken in.
    Unknown,
}

/// Those that read `table`, which is `origin`.
pub(super) async fn of(context: &Context, origin: &Origin, table: &Table, store: &Checkpoints<'_>) -> Result<Vec<Reader>, Error> {
    let mut readers = Vec::new();
    for use_case in context.pipeline.use_cases.iter().filter(|use_case| use_case.from.contains(origin)) {
        let position = use_case_position(context, use_case, origin).await?;
        readers.push(Reader { name: format!("use_case.{}", use_case.name), position: within(position, table) });
    }
    for filled in context.pipeline.cassandra.iter().filter(|filled| filled.from == *origin) {
        let position = match store {
            Checkpoints::Read(store) => checkpoint(context, store, filled, table).await?,
            Checkpoints::Unknown => None,
        };
        readers.push(Reader { name: format!("cassandra.{}", filled.name), position: within(position, table) });
    }
    Ok(readers)
}

/// A position beyond the newest version is one in another table than this.
fn within(position: Option<TableVersion>, table: &Table) -> Option<TableVersion> {
    position.filter(|position| *position <= table.version())
}

async fn use_case_position(context: &Context, table: &UseCaseTable, origin: &Origin) -> Result<Option<TableVersion>, Error> {
    let (lake, name) = (&context.lake, &table.name);
    let Some(stored) = Table::open(&lake.use_case_folder(name), &lake.table_name(name)).await? else { return Ok(None) };
    let input = if table.merge().is_some() { origin.table().to_owned() } else { origin.to_string() };
    Ok(stored.input_position(&input).await?)
}

/// A table that was dropped, or filled from another lake or under another definition, has to begin anew.
async fn checkpoint(
    context: &Context,
    store: &Store,
    table: &CassandraTable,
    origin: &Table,
) -> Result<Option<TableVersion>, Error> {
    match to_cassandra::position(store, &context.pipeline.name, table, origin).await {
        Err(error) if error.failure() == Failure::Definition => Ok(None),
        position => position,
    }
}
