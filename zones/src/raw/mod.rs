//! The raw zone: typed, without duplicates; append only, or the newest snapshot of its source.
//!
//! Guarantee: rows, position and counts of a batch are one commit. A snapshot that replaces another one is one commit whatever
//! its size, and its change feed is the difference between the two.

mod batch;
mod replace;
mod replayed;

pub use batch::PreparedBatch;
pub(crate) use replace::files_of_receipts;
pub use replace::{Mixed, superseded};
pub(crate) use replayed::{Left, REPLAYS, newest_replay, replay_of};

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, TimestampMicrosecondArray, new_null_array};
use arrow::compute::{concat_batches, filter_record_batch, partition};
use arrow::datatypes::{DataType, Field};
use arrow::util::display::array_value_to_string;
use deltalake::kernel::Add;
use futures::TryStreamExt;
use model::counts::Counts;
use model::crash;
use model::definition::{ColumnSource, ContractRecord, OnChange, RawTable, UnknownFields};
use model::position::{BatchNumber, FilePosition, TableVersion};

use crate::delta::{Commit, CommitNote, PartitionValue, Planned, ReadPlan, Span, Table, TableShape, Taking};
use crate::error::Error;
use crate::lake::Lake;
use crate::load::{Batch, ENTRY, Fate, LOADED_AT, LoadPlan, POSITION, RECEIPT, RowIndex, SpillReader, expand, raw_schema};
use crate::sql::type_name;

/// A raw table that is open for loading.
#[derive(Clone)]
pub struct Raw<'d> {
    table: Table,
    definition: &'d RawTable,
}

/// One commit of a load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedBatch {
    pub version: TableVersion,
    pub counts: Counts,
    /// Rows of an earlier snapshot that are not in this one.
    pub deleted: u64,
    /// Files of an earlier snapshot that this one superseded, and their bytes.
    pub superseded: (u64, u64),
}

/// Under what a load began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The hash of the part of the definition that decides what a load yields.
    pub definition: String,
    pub planned: Planned,
}

/// A data file that rows are compared with: its path and partition.
type FilePlace = (object_store::path::Path, PartitionValue);

/// What becomes of a batch: the rows to write, and the fates by date (`""` where the table has no dates).
#[derive(Default)]
struct Sifted {
    rows: Option<RecordBatch>,
    by_date: BTreeMap<String, Counts>,
}

/// The shape of a raw table.
pub fn shape(definition: &RawTable) -> TableShape {
    let kind = match definition.on_change {
        OnChange::Append => "append only, one row per accepted record",
        OnChange::Replace => "the newest snapshot, one row per accepted record",
    };
    TableShape {
        schema: raw_schema(definition),
        partition_column: definition.partition_by.clone(),
        change_feed: definition.on_change == OnChange::Replace,
        contract: None,
        may_grow: true,
        takes_strings: definition.unknown_fields == UnknownFields::Add,
        description: format!("raw {}: {kind}", definition.name),
    }
}

impl<'d> Raw<'d> {
    /// Opens the table; it must exist.
    pub async fn open(lake: &Lake, definition: &'d RawTable) -> Result<Self, Error> {
        let table = open(lake, definition).await?;
        Ok(Self { table, definition })
    }

    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Brings the table up to its newest version, after another writer's commit.
    pub async fn refresh(&mut self) -> Result<(), Error> {
        self.table.refresh().await
    }

    /// Goes on under the definition's contract with the rows that are there. See [`Table::take_on`].
    pub async fn take_on(&mut self, contract: ContractRecord, taking: Taking) -> Result<(), Error> {
        let shape = TableShape { contract: Some(contract), ..shape(self.definition) };
        self.table.take_on(&shape, taking).await
    }

    /// How far the landed files of the table's landing have got in.
    pub async fn position(&self) -> Result<FilePosition, Error> {
        let number = self.table.input_number(&self.definition.from).await?;
        Ok(FilePosition::from_number(number.unwrap_or(0)))
    }

    /// The newest event time accepted so far, in microseconds, as the last load recorded it.
    pub async fn newest_event(&self) -> Result<Option<i64>, Error> {
        self.table.newest_event().await
    }

    /// The sum of the counts that the commits of the load of one receipt recorded. What left the quarantine later is not in it.
    ///
    /// Goes back from the newest version until a commit of an earlier receipt, or one that neither log nor ledger hold.
    pub async fn committed_counts(&self, receipt: u64) -> Result<Counts, Error> {
        let mut total = Counts::default();
        let mut next = Some(self.table.version().0);
        while let Some(version) = next {
            next = version.checked_sub(1);
            let content = match self.table.commit_content(TableVersion(version)).await {
                Err(Error::CommitGone { .. }) => break,
                content => content?,
            };
            let Some(note) = content.note() else { continue };
            if note.restored.is_some() {
                // What was loaded since then was taken back.
                next = note.restored;
                continue;
            }
            if note.rebuilt.is_some_and(Span::is_all) {
                // All that was there before was computed anew by it.
                total += note.by_receipt.get(&receipt).copied().unwrap_or_default();
                break;
            }
            match note.receipt {
                _ if note.replayed.is_some() => {}
                Some(of) if of == receipt => total += note.counts,
                Some(of) if of < receipt => break,
                _ => {}
            }
        }
        Ok(total)
    }

    /// Under what the load of a receipt began that is half done, from its commits.
    pub async fn begun(&self, receipt: u64) -> Result<Option<Begun>, Error> {
        let mut begun: Option<Begun> = None;
        for version in (0..=self.table.version().0).rev() {
            let Some(note) = self.table.commit_content(TableVersion(version)).await?.note() else { continue };
            match note.receipt {
                Some(of) if of == receipt => {
                    // Commits of before they said so: the first one was made in the run that made the plan.
                    let planned = note.planned.unwrap_or(Planned { at: note.write_time, newest_before: None });
                    begun = Some(Begun { definition: note.definition, planned });
                }
                Some(of) if of < receipt => {
                    if let Some(begun) = begun.as_mut().filter(|begun| begun.planned.newest_before.is_none()) {
                        begun.planned.newest_before = note.newest_event;
                    }
                    break;
                }
                _ => {}
            }
        }
        Ok(begun)
    }

    /// Gives the table the columns that a file adds; returns those that it did not have.
    pub async fn add_columns(&mut self, plan: &LoadPlan) -> Result<Vec<String>, Error> {
        let mut missing = Vec::new();
        for name in plan.added.values() {
            match self.table.schema().field_with_name(name) {
                Err(_) => missing.push(Field::new(name, DataType::Utf8, true)),
                Ok(field) if *field.data_type() == DataType::Utf8 && field.is_nullable() => {}
                Ok(field) => {
                    let difference =
                        format!("column {name} is {}, and a field of that name is to be added", type_name(field.data_type()));
                    return Err(Error::TableDiffers { table: self.table.name().to_owned(), difference });
                }
            }
        }
        if !missing.is_empty() {
            crash::point("raw/columns:before");
            self.table.add_columns(&missing).await?;
            crash::point("raw/columns:after");
        }
        Ok(missing.into_iter().map(|field| field.name().clone()).collect())
    }

    /// Writes rows of a receipt as data files.
    #[tracing::instrument(target = "profile", level = "trace", name = "write Parquet", skip_all, fields(rows = rows.num_rows()))]
    async fn written(&self, rows: &RecordBatch, receipt: u64, write_time: i64) -> Result<Vec<Add>, Error> {
        crash::point("raw/files:before");
        let adds = self.table.write_files(vec![self.with_provenance(rows, receipt, write_time)?]).await?;
        crash::point("raw/files:after");
        Ok(adds)
    }

    /// Records that a file without any row to commit is done.
    #[tracing::instrument(target = "profile", level = "trace", name = "micro-batch", skip_all, fields(of = "without rows"))]
    pub async fn commit_nothing(&mut self, plan: &LoadPlan, now: i64) -> Result<LoadedBatch, Error> {
        let write_time = self.table.next_write_time(now).await?;
        let note = self.note(plan, BatchNumber::LAST, BTreeMap::new(), decided_before(plan), write_time);
        let note = CommitNote { run: Some(now), ..note };
        self.commit(Commit { note, ..Commit::default() }, plan, BatchNumber::LAST, 0).await
    }

    fn too_many(&self, plan: &LoadPlan) -> Error {
        Error::TooManyBatches { file: format!("receipt {} of {}", plan.receipt, self.definition.from) }
    }

    fn note(
        &self,
        plan: &LoadPlan,
        number: BatchNumber,
        by_date: BTreeMap<String, Counts>,
        decided: Counts,
        write_time: i64,
    ) -> CommitNote {
        let mut counts: Counts = by_date.values().copied().sum();
        counts += decided;
        CommitNote {
            input: self.definition.from.clone(),
            receipt: Some(plan.receipt),
            batch: Some(u32::try_from(FilePosition::new(plan.receipt, number).number() & 0xF_FFFF).expect("20 bits")),
            by_date: by_date.into_iter().filter(|(date, _)| !date.is_empty()).collect(),
            counts,
            definition: plan.definition.clone(),
            write_time,
            newest_event: plan.newest_event,
            planned: (number != BatchNumber::LAST).then_some(Planned { at: plan.planned_at, newest_before: plan.newest_before }),
            ..CommitNote::default()
        }
    }

    async fn commit(&mut self, commit: Commit, plan: &LoadPlan, number: BatchNumber, deleted: u64) -> Result<LoadedBatch, Error> {
        let mut commit = commit;
        // A record that came back from the quarantine meanwhile may be newer than what the plan knew.
        commit.note.newest_event = commit.note.newest_event.max(self.table.newest_event().await?);
        let counts = commit.note.counts;
        let superseded = (commit.removes.len() as u64, commit.removes.iter().map(|file| file.size).sum());
        let position = (self.definition.from.clone(), FilePosition::new(plan.receipt, number).number());
        crash::point("raw/commit:before");
        let version = self.table.commit(Commit { positions: vec![position], ..commit }).await?;
        crash::point("raw/commit:after");
        Ok(LoadedBatch { version, counts, deleted, superseded })
    }

    /// The stored files in which duplicates of a batch's rows can be: equal rows have an equal date.
    fn files_of(&self, batch: &Batch) -> Result<Vec<FilePlace>, Error> {
        let dates: BTreeSet<PartitionValue> = batch.dates().into_iter().map(|date| date.map(|date| date.to_string())).collect();
        let touched = self.definition.partition_by.is_some().then_some(&dates);
        Ok(self.table.files(touched)?.into_iter().map(|file| (file.path, file.partition)).collect())
    }

    /// The anti-join: rows that neither the batch nor the `stored` files have already.
    #[tracing::instrument(target = "profile", level = "trace", name = "dedupe", skip_all, fields(rows = rows.num_rows(), stored_files = stored.len()))]
    async fn sift(&self, rows: &RecordBatch, stored: &[FilePlace]) -> Result<Sifted, Error> {
        if self.definition.unique_key.is_empty() {
            let by_date = self.counted(rows, |range| {
                let new = range.len() as u64;
                Counts { read: new, accepted: new, ..Counts::default() }
            })?;
            return Ok(Sifted { rows: Some(rows.clone()), by_date });
        }
        let fates = self.fates(rows, stored).await?;
        let by_date = self.counted(rows, |range| fates[range].iter().map(|fate| fate.counts()).sum())?;
        let kept: BooleanArray = fates.iter().map(|fate| Some(*fate != Fate::Duplicate)).collect();
        let rows = match kept.true_count() {
            0 => None,
            count if count == rows.num_rows() => Some(rows.clone()),
            _ => Some(filter_record_batch(rows, &kept).map_err(Error::arrow("leave out duplicates"))?),
        };
        Ok(Sifted { rows, by_date })
    }

    /// The fates of rows by their date, as the log writes it; empty where the table has no dates.
    fn counted(&self, rows: &RecordBatch, fates: impl Fn(Range<usize>) -> Counts) -> Result<BTreeMap<String, Counts>, Error> {
        let dates = self.definition.partition_by.as_ref().and_then(|name| rows.column_by_name(name));
        let ranges = match dates {
            // Rows of one date mostly lie together.
            Some(dates) => partition(std::slice::from_ref(dates)).map_err(Error::arrow("read the dates of rows"))?.ranges(),
            None => std::iter::once(0..rows.num_rows()).collect(),
        };
        let mut by_date: BTreeMap<String, Counts> = BTreeMap::new();
        for range in ranges {
            let date = dates.map_or_else(|| Ok(String::new()), |dates| array_value_to_string(dates, range.start));
            *by_date.entry(date.map_err(Error::arrow("read the dates of rows"))?).or_default() += fates(range);
        }
        Ok(by_date)
    }

    async fn fates(&self, rows: &RecordBatch, stored: &[FilePlace]) -> Result<Vec<Fate>, Error> {
        let compared_by = self.definition.compared_by();
        let fields: Vec<String> = self
            .definition
            .columns
            .iter()
            .filter(|column| matches!(column.source, ColumnSource::Field(_)) || compared_by.contains(&column.name))
            .map(|column| column.name.clone())
            .collect();
        // Stored rows are read with just these columns, in the table's order: the same order as in the batch.
        let plan = ReadPlan::columns(&self.table, &fields);
        let narrowed = project(rows, plan.schema().fields().iter().map(|field| field.name().as_str()))?;
        let key: Vec<usize> = indices(&narrowed, &compared_by);
        let content: Vec<usize> = (0..narrowed.num_columns()).collect();
        let mut index = RowIndex::new(&narrowed, &key, &content)?;
        for (path, partition) in stored {
            let mut stored = self.table.read_file(path, partition, &plan).await?;
            while let Some(stored) = stored.try_next().await? {
                index.compare_with(&stored)?;
            }
        }
        Ok(index.finish())
    }

    /// The rows in the table's own order of columns, with the columns that say where they come from.
    fn with_provenance(&self, rows: &RecordBatch, receipt: u64, loaded_at: i64) -> Result<RecordBatch, Error> {
        let count = rows.num_rows();
        let column = |name: &str, data_type: &DataType| -> ArrayRef {
            match name {
                RECEIPT => Arc::new(Int64Array::from(vec![i64::try_from(receipt).unwrap_or(i64::MAX); count])),
                LOADED_AT => Arc::new(TimestampMicrosecondArray::from(vec![loaded_at; count]).with_timezone("UTC")),
                // The table may have columns that came with another file.
                name => rows.column_by_name(name).cloned().unwrap_or_else(|| new_null_array(data_type, count)),
            }
        };
        let schema = self.table.schema();
        let columns = schema.fields().iter().map(|field| column(field.name(), field.data_type())).collect();
        RecordBatch::try_new(schema.clone(), columns).map_err(Error::arrow("put rows together"))
    }
}

/// The columns that no two rows of a raw table share: where a record was.
pub fn row_key() -> Vec<String> {
    [RECEIPT, ENTRY, POSITION].map(ToOwned::to_owned).into()
}

/// Opens a raw table; it must exist.
pub async fn open(lake: &Lake, definition: &RawTable) -> Result<Table, Error> {
    let name = lake.table_name(&definition.name);
    Table::open(&lake.raw_folder(&definition.name), &name)
        .await?
        .map(|table| table.guarded(lake.guard()))
        .ok_or_else(|| Error::NoTable { table: format!("raw table {name}") })
}

/// The fates that were decided when the plan was made, and as many records read.
pub(crate) fn decided_before(plan: &LoadPlan) -> Counts {
    let Counts { rejected, dropped, sliced_off, too_old, .. } = plan.counts;
    Counts { read: rejected + dropped + sliced_off + too_old, rejected, dropped, sliced_off, too_old, ..Counts::default() }
}

#[tracing::instrument(target = "profile", level = "trace", name = "read spilled rows", skip_all)]
pub(crate) fn read_batch(spill: &Path, batch: &Batch, plan: &LoadPlan) -> Result<Option<RecordBatch>, Error> {
    let mut reader = SpillReader::open(spill)?;
    let mut batches = Vec::new();
    for segment in &batch.segments {
        batches.extend(reader.read(segment)?);
    }
    let Some(first) = batches.first() else { return Ok(None) };
    let rows = concat_batches(&first.schema(), &batches).map_err(Error::arrow("put rows together"))?;
    if plan.added.is_empty() { Ok(Some(rows)) } else { expand(&rows, &plan.added).map(Some) }
}

fn project<'n>(rows: &RecordBatch, names: impl Iterator<Item = &'n str>) -> Result<RecordBatch, Error> {
    let names: Vec<String> = names.map(ToOwned::to_owned).collect();
    rows.project(&indices(rows, &names)).map_err(Error::arrow("choose columns"))
}

/// Where the named columns stand in a batch.
pub(crate) fn indices(rows: &RecordBatch, names: &[String]) -> Vec<usize> {
    names.iter().map(|name| rows.schema_ref().index_of(name).expect("a validated definition names columns that exist")).collect()
}

/// Where a file that was just written is.
fn place_of(add: &Add, partition_column: Option<&str>) -> FilePlace {
    (crate::delta::stored_path(&add.path), crate::delta::partition_of(&add.partition_values, partition_column))
}
