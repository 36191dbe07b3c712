//! The use-case zone: one row per business key; a fold over all raw rows of that key, or a row of a view over whole tables.
//!
//! Guarantee: after [`UseCase::merge`] the table equals the fold over every raw row up to the given raw version, whatever the
//! order of arrival and however the versions were cut into batches; after [`UseCase::refresh_view`] it equals the view's SQL over
//! its inputs at the recorded versions. Rows, positions and change feed are one commit, or nothing happened. A key is unique over
//! the whole table. Never: rewrites a file that holds no changed key; reads files of partitions in which none of the batch's
//! keys can be.
//!
//! docs/decisions/0001-upsert.md and 0004-views.md say why it is done this way.

mod apply;
mod fold;
mod groups;
mod key_set;
mod merge;
mod order;
mod places;
mod tombstones;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use deltalake::kernel::Action;
use futures::TryStreamExt;
use model::definition::UseCaseTable;
use model::position::TableVersion;

use crate::delta::{CommitNote, PartitionValue, ReadPlan, Table, TableShape, partition_of, stored_path};
use crate::error::Error;
use crate::keys::hashes;
use crate::lake::Lake;
use crate::query::{Input, Room};
use crate::raw::indices;
use crate::sql::{one_line, type_name};

use places::{Keeping, Places};
pub(crate) use tombstones::Tombstones;

pub use apply::{Merged, Written};
pub use fold::Fold;
pub(crate) use fold::{FOLDING, summed};
pub use merge::{Footprint, Prepared, RawChanges, Rehearsal, Selected, Versions};
pub(crate) use order::dependence;
pub use view::{Touched, query};

/// When a row was first written, and when it last changed; both from the commit's write time.
pub const INSERTED_AT: &str = "_inserted_at";
pub const UPDATED_AT: &str = "_updated_at";

/// A use-case table that is open for merging.
pub struct UseCase<'d> {
    table: Table,
    definition: &'d UseCaseTable,
    /// Of a merged table.
    fold: Option<Arc<Fold>>,
    /// Of a merged table with a `delete_when`.
    tombstones: Option<Tombstones>,
    /// The table's columns without the load times.
    content: SchemaRef,
    places: Places,
    key_columns: Vec<usize>,
    /// For what is folded anew from all of the input.
    statement_memory: usize,
}

/// The shape of a use-case table over inputs of these schemas.
pub async fn shape(definition: &UseCaseTable, inputs: &[Input]) -> Result<TableShape, Error> {
    let (_, content) = compiled(definition, inputs).await?;
    expect_partition_type(definition, &content)?;
    let kind = if definition.merge().is_some() { "use case" } else { "view" };
    Ok(TableShape {
        schema: with_load_times(&content),
        partition_column: definition.partition_by.clone(),
        change_feed: true,
        contract: None,
        may_grow: false,
        takes_strings: false,
        description: format!("{kind} {}: one row per {}", definition.name, definition.key.join(", ")),
    })
}

/// The fold of a merged table, and the columns of either kind.
pub(crate) async fn compiled(definition: &UseCaseTable, inputs: &[Input]) -> Result<(Option<Arc<Fold>>, SchemaRef), Error> {
    if definition.merge().is_some() {
        let fold = Fold::compile(definition, &inputs[0].schema).await?;
        let content = fold.schema().clone();
        return Ok((Some(Arc::new(fold)), content));
    }
    let query = query(definition, inputs.to_vec(), Room::default());
    let schema = query.output_schema().await?;
    let wrong = |problem: String| Error::SqlShape { step: query.place.clone(), sql: one_line(&definition.sql), problem };
    for (index, field) in schema.fields().iter().enumerate() {
        if schema.fields()[..index].iter().any(|earlier| earlier.name() == field.name()) {
            return Err(wrong(format!("yields two columns {}", field.name())));
        }
        if [INSERTED_AT, UPDATED_AT].contains(&field.name().as_str()) {
            return Err(wrong(format!("yields a column {}, and that is a name of the table's own", field.name())));
        }
    }
    for name in definition.key.iter().chain(&definition.partition_by) {
        if schema.field_with_name(name).is_err() {
            let yielded = schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ");
            return Err(wrong(format!("does not yield the column {name}; it yields {yielded}")));
        }
    }
    let nullable = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect::<Vec<_>>();
    Ok((None, Arc::new(Schema::new(nullable))))
}

/// Partition values are compared as the log writes them: only types with one way of being written will do.
fn expect_partition_type(definition: &UseCaseTable, schema: &SchemaRef) -> Result<(), Error> {
    let Some(field) = definition.partition_by.as_ref().and_then(|name| schema.field_with_name(name).ok()) else { return Ok(()) };
    if can_partition(field.data_type()) {
        return Ok(());
    }
    let problem = format!(
        "yields a {} for the partition column {}: use a date, a text or an integer",
        type_name(field.data_type()),
        field.name()
    );
    Err(Error::SqlShape { step: format!("use case {}", definition.name), sql: definition.sql_file.clone(), problem })
}

pub(crate) fn can_partition(data_type: &DataType) -> bool {
    data_type.is_integer() || matches!(data_type, DataType::Date32 | DataType::Utf8 | DataType::Boolean)
}

fn with_load_times(schema: &SchemaRef) -> SchemaRef {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.push(Field::new(INSERTED_AT, instant.clone(), true));
    fields.push(Field::new(UPDATED_AT, instant, true));
    Arc::new(Schema::new(fields))
}

/// Opens a use-case table; it must exist.
pub async fn open(lake: &Lake, definition: &UseCaseTable) -> Result<Table, Error> {
    let name = lake.table_name(&definition.name);
    Table::open(&lake.use_case_folder(&definition.name), &name)
        .await?
        .map(|table| table.guarded(lake.guard()))
        .ok_or_else(|| Error::NoTable { table: format!("use-case table {name}") })
}

/// What the last merge into a use-case table noted; `None` before the first one.
///
/// Goes back from the newest version to the last merge, past commits of other writers. What a restore took back is no merge.
pub(crate) async fn last_merge(table: &Table) -> Result<Option<CommitNote>, Error> {
    let mut version = table.version().0;
    loop {
        let note = table.commit_content(TableVersion(version)).await?.note();
        if let Some(restored) = note.as_ref().and_then(|note| note.restored) {
            version = restored;
            continue;
        }
        if let Some(note) = note.filter(|note| note.versions.is_some() || !note.inputs.is_empty()) {
            return Ok(Some(note));
        }
        let Some(before) = version.checked_sub(1) else { return Ok(None) };
        version = before;
    }
}

impl<'d> UseCase<'d> {
    /// Opens the table; it must exist. Brings the key directory up to the table's version.
    pub async fn open(lake: &Lake, definition: &'d UseCaseTable, inputs: &[Input]) -> Result<Self, Error> {
        Self::opened(lake, definition, inputs, Keeping::OnDisk).await
    }

    /// Opens the table to be looked at; it must exist. Nothing is written: what the key directory lacks is kept in memory.
    pub async fn look(lake: &Lake, definition: &'d UseCaseTable, inputs: &[Input]) -> Result<Self, Error> {
        Self::opened(lake, definition, inputs, Keeping::InMemory).await
    }

    async fn opened(lake: &Lake, definition: &'d UseCaseTable, inputs: &[Input], keeping: Keeping) -> Result<Self, Error> {
        let table = open(lake, definition).await?;
        let (fold, content) = compiled(definition, inputs).await?;
        let folder = lake.keys_folder(&definition.name);
        let places = Places::open(&folder, &table, definition, keeping)?;
        let key_columns = definition.key.iter().map(|name| content.index_of(name).expect("the SQL yields the key")).collect();
        let deletes = fold.as_ref().filter(|fold| fold.delete_when().is_some());
        let tombstones = deletes.map(|fold| Tombstones::new(Vec::new(), fold.folded_schema(), &definition.key));
        let statement_memory = lake.statement_memory();
        let mut opened = Self { table, definition, fold, tombstones, content, places, key_columns, statement_memory };
        opened.catch_up_keys().await?;
        opened.find_tombstones().await?;
        Ok(opened)
    }

    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The partitions in which rows of these keys are, or have been: columns of the key, in its order.
    pub fn partitions_of_keys(&self, keys: &RecordBatch) -> Result<BTreeSet<PartitionValue>, Error> {
        self.places.look_up(&self.table, &self.definition.key, keys)
    }

    /// Brings table and key directory up to the newest version, after another writer's commit.
    pub async fn refresh(&mut self) -> Result<(), Error> {
        self.table.refresh().await?;
        self.catch_up_keys().await?;
        self.find_tombstones().await
    }

    /// The tombstones that the last merge named.
    async fn find_tombstones(&mut self) -> Result<(), Error> {
        if self.tombstones.is_none() {
            return Ok(());
        }
        let files = self.last_merge().await?.map(|note| note.tombstones).unwrap_or_default();
        if let Some(tombstones) = &mut self.tombstones {
            tombstones.files = files;
        }
        Ok(())
    }

    /// What the last merge noted; `None` before the first one.
    pub async fn last_merge(&self) -> Result<Option<CommitNote>, Error> {
        match last_merge(&self.table).await {
            // Another writer cleaned the log. What deleted rows were folded from is named nowhere else.
            Err(Error::CommitGone { .. }) if self.tombstones.is_none() => Ok(None),
            last => last,
        }
    }

    /// The raw version that is folded in completely.
    pub async fn position(&self) -> Result<Option<TableVersion>, Error> {
        self.table.input_position(self.definition.input().table()).await
    }

    /// Fails where the table was folded under another definition; yields the id of the input that it was last folded from.
    pub async fn expect_definition(&self) -> Result<Option<String>, Error> {
        let Some(last) = self.last_merge().await? else { return Ok(None) };
        if last.definition != self.definition.fold_hash() {
            return Err(Error::FoldChanged { table: self.table.name().to_owned() });
        }
        Ok(last.input_id)
    }

    /// Fails where the table was folded under another definition, from another raw table, or from a newer one.
    pub async fn expect_input(&self, raw: &Table, position: Option<TableVersion>) -> Result<(), Error> {
        let (table, input) = (self.table.name().to_owned(), raw.name().to_owned());
        if let Some(position) = position.filter(|position| *position > raw.version()) {
            return Err(Error::PositionAhead { table, input, position: position.0, available: raw.version().0 });
        }
        if self.expect_definition().await?.is_some_and(|id| id != raw.id()) {
            return Err(Error::InputReplaced { table, input });
        }
        Ok(())
    }

    /// Adds the keys of files that came since the directory was written: of every live file where it starts anew.
    #[tracing::instrument(target = "profile", level = "trace", name = "catch up keys", skip_all)]
    async fn catch_up_keys(&mut self) -> Result<(), Error> {
        let current = self.table.version();
        let Some(as_of) = self.places.as_of().filter(|as_of| *as_of < current) else { return Ok(()) };
        let mut files = Vec::new();
        let since = match as_of {
            TableVersion(0) => None,
            as_of => match self.table.commits_after(Some(as_of)).await {
                Err(Error::CommitGone { .. }) => None,
                commits => Some(commits?),
            },
        };
        let live = self.table.files(None)?.into_iter();
        if let Some(commits) = since {
            let live: BTreeSet<_> = live.map(|file| file.path).collect();
            for commit in commits {
                for action in commit.actions {
                    if let Action::Add(add) = action {
                        let path = stored_path(&add.path);
                        // A file that has gone since is stood for by the one that took its rows.
                        if live.contains(&path) {
                            files.push((path, partition_of(&add.partition_values, self.table.partition_column())));
                        }
                    }
                }
            }
        } else {
            files.extend(live.map(|file| (file.path, file.partition)));
        }
        let mut found: BTreeMap<PartitionValue, Vec<u64>> = BTreeMap::new();
        let plan = ReadPlan::columns(&self.table, &self.definition.key);
        for (path, partition) in files {
            let mut rows = self.table.read_file(&path, &partition, &plan).await?;
            while let Some(rows) = rows.try_next().await? {
                let key = indices(&rows, &self.definition.key);
                found.entry(partition.clone()).or_default().extend(hashes(&rows, &key)?);
            }
        }
        self.places.add(&found, current)
    }

    /// Whether there is a key directory: not where each key says itself in which partition its row is.
    pub(crate) fn has_key_directory(&self) -> bool {
        matches!(self.places, Places::Directory(_))
    }

    /// Which of these rows of a partition have keys that the key directory does not know there.
    pub(crate) fn keys_lacking(&self, partition: &PartitionValue, rows: &RecordBatch) -> Result<Vec<usize>, Error> {
        self.places.lacking(partition, &self.definition.key, rows)
    }
}
