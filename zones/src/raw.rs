//! The raw zone: append only, typed, without duplicates.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::{concat_batches, filter_record_batch};
use futures::TryStreamExt;
use model::counts::Counts;
use model::definition::{ColumnSource, RawTable};
use model::position::{BatchNumber, FilePosition, TableVersion};

use crate::delta::{Commit, CommitNote, PartitionValue, ReadPlan, Table, TableShape};
use crate::error::Error;
use crate::lake::Lake;
use crate::load::{Batch, Fates, LoadPlan, RowIndex, SpillReader, raw_schema};

/// A raw table that is open for loading.
pub struct Raw<'d> {
    table: Table,
    definition: &'d RawTable,
}

/// One commit of a load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedBatch {
    pub version: TableVersion,
    pub counts: Counts,
}

/// The shape of a raw table.
pub fn shape(definition: &RawTable) -> TableShape {
    TableShape {
        schema: raw_schema(definition),
        partition_column: definition.partition_by.clone(),
        change_feed: false,
        description: format!("raw {}: append only, one row per accepted record", definition.name),
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

    /// How far the landed files of the table's landing have got in.
    pub async fn position(&self) -> Result<FilePosition, Error> {
        let number = self.table.input_number(&self.definition.from).await?;
        Ok(FilePosition::from_number(number.unwrap_or(0)))
    }

    /// The newest event time accepted so far, in microseconds, as the last load recorded it.
    pub async fn newest_event(&self) -> Result<Option<i64>, Error> {
        self.table.newest_event().await
    }

    /// The sum of the counts that the commits of one receipt recorded.
    ///
    /// Goes back from the newest version until a commit of an earlier receipt.
    pub async fn committed_counts(&self, receipt: u64) -> Result<Counts, Error> {
        let mut total = Counts::default();
        for version in (0..=self.table.version().0).rev() {
            let Some(note) = self.table.commit_content(TableVersion(version)).await?.note() else { continue };
            match note.receipt {
                Some(of) if of == receipt => total += note.counts,
                Some(of) if of < receipt => break,
                _ => {}
            }
        }
        Ok(total)
    }

    /// Commits the batch at `index` of the plan: what is already there stays out, position and counts go in with the rows.
    pub async fn commit_batch(&mut self, plan: &LoadPlan, index: usize, spill: &Path, now: i64) -> Result<LoadedBatch, Error> {
        let batch = &plan.batches[index];
        let rows = read_batch(spill, batch)?;
        let (rows, mut counts) = match rows {
            Some(rows) => self.without_duplicates(&rows, batch).await?,
            None => (None, Counts::default()),
        };
        let is_last = index + 1 == plan.batches.len();
        if is_last {
            counts += decided_before(plan);
        }
        let number = BatchNumber::of(index, plan.batches.len()).ok_or_else(|| self.too_many(plan))?;
        self.commit_rows(plan, rows, counts, number, batch.date.into_iter().map(|date| date.to_string()).collect(), now).await
    }

    /// Records that a file without any row to commit is done.
    pub async fn commit_nothing(&mut self, plan: &LoadPlan, now: i64) -> Result<LoadedBatch, Error> {
        self.commit_rows(plan, None, decided_before(plan), BatchNumber::LAST, Vec::new(), now).await
    }

    fn too_many(&self, plan: &LoadPlan) -> Error {
        Error::TooManyBatches { file: format!("receipt {} of {}", plan.receipt, self.definition.from) }
    }

    async fn commit_rows(
        &mut self,
        plan: &LoadPlan,
        rows: Option<RecordBatch>,
        counts: Counts,
        number: BatchNumber,
        dates: Vec<String>,
        now: i64,
    ) -> Result<LoadedBatch, Error> {
        let write_time = self.table.next_write_time(now).await?;
        let adds = match rows {
            Some(rows) => self.table.write_files(vec![self.with_provenance(&rows, plan.receipt, write_time)?]).await?,
            None => Vec::new(),
        };
        let position = FilePosition::new(plan.receipt, number);
        let note = CommitNote {
            input: self.definition.from.clone(),
            receipt: Some(plan.receipt),
            batch: Some(u32::try_from(position.number() & 0xF_FFFF).expect("20 bits")),
            dates,
            counts,
            definition: plan.definition.clone(),
            write_time,
            newest_event: plan.newest_event,
            ..CommitNote::default()
        };
        let input = (self.definition.from.clone(), position.number());
        let version = self.table.commit(Commit { adds, position: Some(input), note, ..Commit::default() }).await?;
        Ok(LoadedBatch { version, counts })
    }

    /// The anti-join: rows that neither the batch nor the partition has already.
    async fn without_duplicates(&self, rows: &RecordBatch, batch: &Batch) -> Result<(Option<RecordBatch>, Counts), Error> {
        let read = rows.num_rows() as u64;
        if self.definition.unique_key.is_empty() {
            return Ok((Some(rows.clone()), Counts { read, accepted: read, ..Counts::default() }));
        }
        let fields: Vec<String> = self
            .definition
            .columns
            .iter()
            .filter(|column| matches!(column.source, ColumnSource::Field(_)) || self.definition.unique_key.contains(&column.name))
            .map(|column| column.name.clone())
            .collect();
        // Stored rows are read with just these columns, in the table's order: the same order as in the batch.
        let plan = ReadPlan::columns(&self.table, &fields);
        let narrowed = project(rows, plan.schema().fields().iter().map(|field| field.name().as_str()))?;
        let key: Vec<usize> = indices(&narrowed, &self.definition.unique_key);
        let content: Vec<usize> = (0..narrowed.num_columns()).collect();
        let mut index = RowIndex::new(&narrowed, &key, &content)?;
        let partition: PartitionValue = batch.date.map(|date| date.to_string());
        let touched: BTreeSet<_> = [partition].into();
        let touched = self.definition.partition_by.is_some().then_some(&touched);
        for file in self.table.files(touched)? {
            let mut stored = self.table.read_file(&file.path, &file.partition, &plan).await?;
            while let Some(stored) = stored.try_next().await? {
                index.compare_with(&stored)?;
            }
        }
        let Fates { kept, duplicate, conflicting } = index.finish();
        let counts = Counts { read, accepted: read - duplicate, duplicate, conflicting, ..Counts::default() };
        if counts.accepted == 0 {
            return Ok((None, counts));
        }
        let rows = if duplicate == 0 {
            rows.clone()
        } else {
            filter_record_batch(rows, &kept).map_err(Error::arrow("leave out duplicates"))?
        };
        Ok((Some(rows), counts))
    }

    fn with_provenance(&self, rows: &RecordBatch, receipt: u64, loaded_at: i64) -> Result<RecordBatch, Error> {
        let count = rows.num_rows();
        // Entry and position are the last two.
        let contract = rows.num_columns() - 2;
        let mut columns: Vec<ArrayRef> = rows.columns()[..contract].to_vec();
        columns.push(Arc::new(Int64Array::from(vec![i64::try_from(receipt).unwrap_or(i64::MAX); count])));
        columns.extend_from_slice(&rows.columns()[contract..]);
        columns.push(Arc::new(TimestampMicrosecondArray::from(vec![loaded_at; count]).with_timezone("UTC")));
        RecordBatch::try_new(raw_schema(self.definition), columns).map_err(Error::arrow("put rows together"))
    }
}

/// Opens a raw table; it must exist.
pub async fn open(lake: &Lake, definition: &RawTable) -> Result<Table, Error> {
    let name = lake.table_name(&definition.name);
    Table::open(&lake.raw_folder(&definition.name), &name)
        .await?
        .ok_or_else(|| Error::NoTable { table: format!("raw table {name}") })
}

/// The fates that were decided when the plan was made, and as many records read.
fn decided_before(plan: &LoadPlan) -> Counts {
    let Counts { rejected, dropped, sliced_off, too_old, .. } = plan.counts;
    Counts { read: rejected + dropped + sliced_off + too_old, rejected, dropped, sliced_off, too_old, ..Counts::default() }
}

fn read_batch(spill: &Path, batch: &Batch) -> Result<Option<RecordBatch>, Error> {
    let mut reader = SpillReader::open(spill)?;
    let mut batches = Vec::new();
    for segment in &batch.segments {
        batches.extend(reader.read(segment)?);
    }
    let Some(first) = batches.first() else { return Ok(None) };
    concat_batches(&first.schema(), &batches).map(Some).map_err(Error::arrow("put rows together"))
}

fn project<'n>(rows: &RecordBatch, names: impl Iterator<Item = &'n str>) -> Result<RecordBatch, Error> {
    let names: Vec<String> = names.map(ToOwned::to_owned).collect();
    rows.project(&indices(rows, &names)).map_err(Error::arrow("choose columns"))
}

/// Where the named columns stand in a batch.
pub(crate) fn indices(rows: &RecordBatch, names: &[String]) -> Vec<usize> {
    names.iter().map(|name| rows.schema_ref().index_of(name).expect("a validated definition names columns that exist")).collect()
}
