//! A table gets the rows that it had at an earlier version.
//!
//! Guarantee: one commit on top of the others, with the files of that version, its positions and its columns. Nothing of the
//! log is removed, so the version before is there to be restored as well. The change feed of the commit is the difference, so
//! what was made from the table follows; and since rows and positions go back together, the next run takes in again what came
//! after, and ends as if nothing had been restored.
//! Never: restores a version of which a file is gone, or one whose rows cannot be compared with those of today; takes a raw table
//! back over a replay of rejects, or over dates that retention removed: what these moved is in another place since.

mod kept_apart;

use std::collections::BTreeMap;

use arrow::compute::filter_record_batch;
use deltalake::kernel::Add;
use futures::TryStreamExt;
use model::crash;
use model::position::TableVersion;
use object_store::ObjectStoreExt;

use crate::delta::feed::{AFTER, BEFORE, DELETE, FeedWriter, INSERT};
use crate::delta::{ChangedRows, Commit, CommitNote, DataFile, PartitionValue, ReadPlan, Table, TableShape, partition_of};
use crate::error::Error;
use crate::rebuild::{Circumstances, Difference, Fate, Stamps, in_columns};
use crate::use_case::last_merge;

/// What a restore did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// The version that was made; the one that was restored where nothing differed.
    pub version: TableVersion,
    pub changed: ChangedRows,
    pub files_back: u64,
    pub files_out: u64,
}

/// Gives `table` the rows and positions of `version`.
///
/// `key` are the columns that no two rows share; `inputs` the names of what the table reads, as its positions have them.
pub async fn restore(
    table: &mut Table,
    version: TableVersion,
    key: &[String],
    inputs: &[String],
    circumstances: &Circumstances<'_>,
) -> Result<Restored, Error> {
    let then = table.at(version).await?;
    expect_comparable(table, &then)?;
    kept_apart::expect_none_moved(table, &then).await?;
    expect_tombstones(&then).await?;
    // Under another definition the key may have been another one.
    let has = |name: &String| then.schema().field_with_name(name).is_ok() && table.schema().field_with_name(name).is_ok();
    let whole: Vec<String> = then.schema().fields().iter().map(|field| field.name().clone()).collect();
    let key = if key.iter().all(has) { key } else { whole.as_slice() };
    let (now_live, then_live) = (table.live()?, then.live()?);
    let back: Vec<Add> = then_live.iter().filter(|(path, _)| !now_live.contains_key(*path)).map(|(_, add)| add.clone()).collect();
    for add in &back {
        expect_file(table, &then, add, version).await?;
    }
    let out: Vec<DataFile> = table.files(None)?.into_iter().filter(|file| !then_live.contains_key(&file.remove.path)).collect();

    let same_columns = table.schema() == then.schema();
    let draft = if same_columns { None } else { Some(table.drafted(&shape_of(&then), table.id())?) };
    let feed_table = draft.as_ref().unwrap_or(table);
    let mut feed = FeedWriter::new(feed_table);
    let changed = difference(table, &then, &out, &back, key, &mut feed, circumstances).await?;
    let touched = out.first().map(|file| file.partition.clone()).unwrap_or_default();
    let is_same = out.is_empty() && back.is_empty();
    let change_files = if is_same { Vec::new() } else { feed.finish_with_one(touched).await? };

    let mut positions = Vec::new();
    for input in inputs {
        let (was, is) = (then.input_number(input).await?, table.input_number(input).await?);
        if was != is {
            positions.push((input.clone(), was.unwrap_or(0)));
        }
    }
    let newest_event = then.newest_event().await?;
    let definition = then.commit_content(version).await?.note().map(|note| note.definition).unwrap_or_default();
    let note = CommitNote {
        input: "restore".to_owned(),
        definition,
        write_time: table.next_write_time(circumstances.now).await?,
        run: Some(circumstances.now),
        newest_event,
        changed: Some(changed),
        restored: Some(version.0),
        ..CommitNote::default()
    };
    let (files_back, files_out) = (back.len() as u64, out.len() as u64);
    let metadata = draft.as_ref().and_then(Table::draft).cloned();
    circumstances.shutdown.check()?;
    let commit = Commit { adds: back, removes: out, change_files, positions, note, metadata, ..Commit::default() };
    crash::point("restore/commit:before");
    let version = table.commit(commit).await?;
    crash::point("restore/commit:after");
    Ok(Restored { version, changed, files_back, files_out })
}

/// Rows can be set beside each other where nothing but the set of columns differs.
fn expect_comparable(table: &Table, then: &Table) -> Result<(), Error> {
    let differing = then
        .schema()
        .fields()
        .iter()
        .find(|field| table.schema().field_with_name(field.name()).is_ok_and(|now| now.data_type() != field.data_type()));
    let problem = if table.id() != then.id() || table.partition_column() != then.partition_column() {
        "it was made anew since with other types or partitions".to_owned()
    } else if let Some(field) = differing {
        format!("column {} had another type then", field.name())
    } else {
        return Ok(());
    };
    Err(Error::NotRestorable { table: table.name().to_owned(), version: then.version().0, problem })
}

/// What is kept of deleted rows goes back as well.
async fn expect_tombstones(then: &Table) -> Result<(), Error> {
    for file in last_merge(then).await?.map(|note| note.tombstones).unwrap_or_default() {
        let place = object_store::path::Path::from(file.as_str());
        if then.log_store().object_store(None).head(&place).await.is_err() {
            let problem = format!("its file {file} is gone");
            return Err(Error::NotRestorable { table: then.name().to_owned(), version: then.version().0, problem });
        }
    }
    Ok(())
}

async fn expect_file(table: &Table, then: &Table, add: &Add, version: TableVersion) -> Result<(), Error> {
    let path = stored_path(add);
    match table.log_store().object_store(None).head(&path).await {
        Ok(found) if found.size == add.size.unsigned_abs() => Ok(()),
        Err(error) if !matches!(error, object_store::Error::NotFound { .. }) => {
            Err(Error::file(table.name(), path.as_ref())(parquet::errors::ParquetError::External(Box::new(error))))
        }
        _ => {
            let problem = format!("its file {} is gone: it was vacuumed, or removed by hand", add.path);
            Err(Error::NotRestorable { table: then.name().to_owned(), version: version.0, problem })
        }
    }
}

/// Puts the difference between files into the feed, partition by partition.
async fn difference(
    table: &Table,
    then: &Table,
    out: &[DataFile],
    back: &[Add],
    key: &[String],
    feed: &mut FeedWriter<'_>,
    circumstances: &Circumstances<'_>,
) -> Result<ChangedRows, Error> {
    type Places = Vec<(object_store::path::Path, PartitionValue)>;
    let mut files: BTreeMap<PartitionValue, (Places, Places)> = BTreeMap::new();
    for file in out {
        files.entry(file.partition.clone()).or_default().0.push((file.path.clone(), file.partition.clone()));
    }
    for add in back {
        let partition = partition_of(&add.partition_values, then.partition_column());
        files.entry(partition.clone()).or_default().1.push((stored_path(add), partition));
    }
    // All columns count: rows come back just as they were, their stamps included.
    let content: Vec<String> = then.schema().fields().iter().map(|field| field.name().clone()).collect();
    let mut changed = ChangedRows::default();
    for (out, back) in files.into_values() {
        circumstances.shutdown.check()?;
        let mut difference = Difference::new(key, &content, Stamps::NONE);
        for (path, partition) in &out {
            let mut rows = table.read_file(path, partition, &ReadPlan::all(table)).await?;
            while let Some(rows) = rows.try_next().await? {
                difference.stored(&in_columns(&rows, then.schema())?)?;
            }
        }
        for (path, partition) in &back {
            let mut rows = then.read_file(path, partition, &ReadPlan::all(then)).await?;
            while let Some(rows) = rows.try_next().await? {
                if difference.new_rows(&rows)?.is_some() {
                    let problem = "two of its rows have one key".to_owned();
                    return Err(Error::NotRestorable { table: table.name().to_owned(), version: then.version().0, problem });
                }
            }
        }
        for (path, partition) in &back {
            let mut rows = then.read_file(path, partition, &ReadPlan::all(then)).await?;
            while let Some(rows) = rows.try_next().await? {
                let fates = difference.fates(&rows)?;
                let came = fates.iter().map(|fate| Some(*fate == Fate::Came)).collect();
                let after = fates.iter().map(|fate| Some(matches!(fate, Fate::Changed { .. }))).collect();
                for (change, chosen) in [(INSERT, came), (AFTER, after)] {
                    let rows = filter_record_batch(&rows, &chosen).map_err(Error::arrow("put changes together"))?;
                    feed.write(change, &rows).await?;
                }
            }
        }
        for (path, partition) in &out {
            let mut rows = table.read_file(path, partition, &ReadPlan::all(table)).await?;
            while let Some(rows) = rows.try_next().await? {
                let rows = in_columns(&rows, then.schema())?;
                let (before, gone) = difference.changed_and_gone(&rows)?;
                for (change, chosen) in [(BEFORE, before), (DELETE, gone)] {
                    let rows = filter_record_batch(&rows, &chosen).map_err(Error::arrow("put changes together"))?;
                    feed.write(change, &rows).await?;
                }
            }
        }
        feed.flush().await?;
        changed.inserted += difference.counts.inserted;
        changed.updated += difference.counts.updated;
        changed.deleted += difference.counts.deleted;
    }
    Ok(changed)
}

fn shape_of(table: &Table) -> TableShape {
    TableShape {
        schema: table.schema().clone(),
        partition_column: table.partition_column().map(ToOwned::to_owned),
        change_feed: false,
        may_grow: false,
        takes_strings: false,
        contract: table.contract(),
        description: table.description(),
    }
}

fn stored_path(add: &Add) -> object_store::path::Path {
    object_store::path::Path::parse(&add.path).unwrap_or_else(|_| add.path.as_str().into())
}
