//! One batch into the table.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use deltalake::writer::DeltaWriter;
use futures::TryStreamExt;
use model::counts::Counts;
use model::position::TableVersion;

use super::write::{AFTER, BEFORE, INSERT, write_changes};
use super::{UseCase, with_load_times};
use crate::delta::{Commit, CommitNote, DataFile, MergeNote, ReadPlan};
use crate::error::Error;
use crate::keys::hashes;
use crate::raw::indices;

/// Rewritten files are closed when they take more memory than this.
const OPEN_FILES_BYTES: usize = 64 << 20;

/// What one merge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged {
    pub version: TableVersion,
    pub inserted: u64,
    pub updated: u64,
    /// Rows of the batch's keys that came out as they were.
    pub unchanged: u64,
    pub files_rewritten: u64,
}

/// Raw versions, both included.
#[derive(Debug, Clone, Copy)]
pub struct Versions<'i> {
    /// The id of the raw table.
    pub input_id: &'i str,
    pub first: TableVersion,
    pub last: TableVersion,
}

/// A file in which keys of the batch were found.
struct Hit {
    file: DataFile,
    /// The rows of those keys, as they are now.
    rows: RecordBatch,
}

/// Folded rows beside the rows that they replace.
struct Difference {
    /// With load times.
    inserted: RecordBatch,
    before: RecordBatch,
    after: RecordBatch,
    unchanged: u64,
}

impl UseCase<'_> {
    /// Folds raw rows into the table and commits them with the raw version that they reach up to.
    ///
    /// `now` is in microseconds. A batch that changes nothing still makes a commit, which records the position.
    pub async fn merge(&mut self, raw: Vec<RecordBatch>, versions: Versions<'_>, now: i64) -> Result<Merged, Error> {
        let read = raw.iter().map(|batch| batch.num_rows() as u64).sum();
        let selected = self.fold.select(raw).await?;
        let write_time = self.table.next_write_time(now).await?;

        let mut hash = hashes(&selected, &indices(&selected, &self.definition.key))?;
        hash.sort_unstable();
        hash.dedup();
        let partitions = self.keys.look_up(&hash)?;
        let hits = self.hits(&selected, &partitions).await?;

        let stored = hits.iter().map(|hit| hit.rows.clone()).collect::<Vec<_>>();
        let mut folding = vec![selected];
        for rows in &stored {
            folding.push(self.fold.folding(rows)?);
        }
        let folded = self.fold.fold(folding).await?;
        let stored = concat_batches(self.table.schema(), &stored).map_err(Error::arrow("put rows together"))?;
        let difference = self.difference(&folded, &stored, write_time)?;

        let mut commit = self.written(&difference, hits).await?;
        let files_rewritten = commit.removes.len() as u64;
        commit.position = Some((self.definition.from.clone(), i64::try_from(versions.last.0).unwrap_or(i64::MAX)));
        commit.merge = Some(MergeNote { key: self.definition.key.clone(), partitions });
        commit.note = CommitNote {
            input: self.definition.from.clone(),
            input_id: Some(versions.input_id.to_owned()),
            versions: Some((versions.first.0, versions.last.0)),
            counts: Counts { read, accepted: read, ..Counts::default() },
            definition: self.definition.fold_hash(),
            write_time,
            ..CommitNote::default()
        };
        let new_keys = self.keys_by_partition(&concat(&[&difference.inserted, &difference.after])?)?;
        let before = self.table.version();
        let version = self.table.commit(commit).await?;
        if version.0 == before.0 + 1 {
            self.keys.add(&new_keys, version)?;
        } else {
            // Another writer's commits came in between (compaction, say): the log tells what they added.
            self.catch_up_keys().await?;
        }
        Ok(Merged {
            version,
            inserted: difference.inserted.num_rows() as u64,
            updated: difference.after.num_rows() as u64,
            unchanged: difference.unchanged,
            files_rewritten,
        })
    }

    /// The files of `partitions` that hold keys of the batch. Key columns are read first; whole rows only where a key is.
    async fn hits(&self, selected: &RecordBatch, partitions: &BTreeSet<Option<String>>) -> Result<Vec<Hit>, Error> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = KeySet::of(selected, &self.definition.key)?;
        let keys_only = ReadPlan::columns(&self.table, &self.definition.key);
        let whole = ReadPlan::all(&self.table);
        let mut hits = Vec::new();
        for file in self.table.files(Some(partitions))? {
            let mut holds_key = false;
            let mut rows = self.table.read_file(&file.path, &file.partition, &keys_only).await?;
            while let Some(rows) = rows.try_next().await? {
                if wanted.matches(&rows)?.iter().any(|matched| *matched) {
                    holds_key = true;
                    break;
                }
            }
            if !holds_key {
                continue;
            }
            let mut found = Vec::new();
            let mut rows = self.table.read_file(&file.path, &file.partition, &whole).await?;
            while let Some(rows) = rows.try_next().await? {
                let matched = BooleanArray::from(wanted.matches(&rows)?);
                let matched = filter_record_batch(&rows, &matched).map_err(Error::arrow("find rows"))?;
                found.push(matched.with_schema(self.table.schema().clone()).map_err(Error::arrow("find rows"))?);
            }
            let rows = concat_batches(self.table.schema(), &found).map_err(Error::arrow("put rows together"))?;
            hits.push(Hit { file, rows });
        }
        Ok(hits)
    }

    /// Sets folded rows beside stored ones: new, changed, or as it was.
    fn difference(&self, folded: &RecordBatch, stored: &RecordBatch, write_time: i64) -> Result<Difference, Error> {
        let content = folded.schema();
        let names: Vec<String> = content.fields().iter().map(|field| field.name().clone()).collect();
        let stored_content = stored.project(&indices(stored, &names)).map_err(Error::arrow("compare rows"))?;
        let contents = converter(&content, &(0..names.len()).collect::<Vec<_>>())?;
        let keys = converter(&content, &self.key_columns)?;
        let folded_rows = contents.convert_columns(folded.columns()).map_err(Error::arrow("compare rows"))?;
        let stored_rows = contents.convert_columns(stored_content.columns()).map_err(Error::arrow("compare rows"))?;
        let key_of = |rows: &RecordBatch| {
            let columns: Vec<ArrayRef> = self.key_columns.iter().map(|index| rows.column(*index).clone()).collect();
            keys.convert_columns(&columns).map_err(Error::arrow("compare rows"))
        };
        let (folded_keys, stored_keys) = (key_of(folded)?, key_of(&stored_content)?);
        let mut stored_at: HashMap<&[u8], u32> = HashMap::with_capacity(stored.num_rows());
        let stored_key_rows: Vec<_> = stored_keys.iter().collect();
        for (row, key) in (0_u32..).zip(&stored_key_rows) {
            stored_at.insert(key.as_ref(), row);
        }

        let (mut new, mut changed, mut replaced, mut unchanged) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for (row, key) in (0_u32..).zip(folded_keys.iter()) {
            match stored_at.get(key.as_ref()) {
                None => new.push(row),
                Some(at) if folded_rows.row(row as usize) == stored_rows.row(*at as usize) => unchanged += 1,
                Some(at) => {
                    changed.push(row);
                    replaced.push(*at);
                }
            }
        }
        let taken =
            |rows: &RecordBatch, at: Vec<u32>| take_record_batch(rows, &UInt32Array::from(at)).map_err(Error::arrow("take rows"));
        let before = taken(stored, replaced)?;
        let schema = with_load_times(&content);
        let inserted = taken(folded, new)?;
        let now =
            |count: usize| Arc::new(TimestampMicrosecondArray::from(vec![write_time; count]).with_timezone("UTC")) as ArrayRef;
        let since = before.column_by_name(super::INSERTED_AT).expect("stored rows have load times").clone();
        let inserted_now = now(inserted.num_rows());
        let inserted = with_columns(&inserted, &schema, [inserted_now.clone(), inserted_now])?;
        let after = taken(folded, changed)?;
        let changed_now = now(after.num_rows());
        let after = with_columns(&after, &schema, [since, changed_now])?;
        Ok(Difference { inserted, before, after, unchanged })
    }

    /// Writes the data files and change files of the difference. Files that hold a changed row are written anew without it.
    async fn written(&self, difference: &Difference, hits: Vec<Hit>) -> Result<Commit, Error> {
        let mut commit = Commit::default();
        let mut writer = self.table.data_writer()?;
        let in_table = |source| Error::delta("write", self.table.name())(source);
        if difference.before.num_rows() > 0 {
            let gone = KeySet::of(&difference.before, &self.definition.key)?;
            let whole = ReadPlan::all(&self.table);
            for hit in hits {
                if !gone.matches(&hit.rows)?.iter().any(|matched| *matched) {
                    continue;
                }
                let mut rows = self.table.read_file(&hit.file.path, &hit.file.partition, &whole).await?;
                while let Some(rows) = rows.try_next().await? {
                    let stays: BooleanArray = gone.matches(&rows)?.into_iter().map(|matched| Some(!matched)).collect();
                    let rows = filter_record_batch(&rows, &stays).map_err(Error::arrow("leave out rows"))?;
                    if rows.num_rows() > 0 {
                        writer.write(rows).await.map_err(in_table)?;
                    }
                }
                commit.removes.push(hit.file);
                // The writer holds its open files in memory: what a batch touches must not add up there.
                if writer.buffer_len() > OPEN_FILES_BYTES {
                    commit.adds.extend(writer.flush().await.map_err(in_table)?);
                }
            }
        }
        for rows in [&difference.inserted, &difference.after] {
            if rows.num_rows() > 0 {
                writer.write(rows.clone()).await.map_err(in_table)?;
            }
        }
        commit.adds.extend(writer.flush().await.map_err(in_table)?);
        // A commit that only adds files needs no change files: its files are the inserts (Delta protocol).
        if !commit.removes.is_empty() {
            let changes =
                [(INSERT, difference.inserted.clone()), (BEFORE, difference.before.clone()), (AFTER, difference.after.clone())];
            commit.change_files = write_changes(&self.table, &changes).await?;
        }
        Ok(commit)
    }
}

fn with_columns(rows: &RecordBatch, schema: &SchemaRef, more: [ArrayRef; 2]) -> Result<RecordBatch, Error> {
    let mut columns = rows.columns().to_vec();
    columns.extend(more);
    RecordBatch::try_new(schema.clone(), columns).map_err(Error::arrow("put rows together"))
}

fn concat(batches: &[&RecordBatch]) -> Result<RecordBatch, Error> {
    concat_batches(batches[0].schema_ref(), batches.iter().copied()).map_err(Error::arrow("put rows together"))
}

fn converter(schema: &Schema, columns: &[usize]) -> Result<RowConverter, Error> {
    let fields = columns.iter().map(|index| SortField::new(schema.field(*index).data_type().clone())).collect();
    RowConverter::new(fields).map_err(Error::arrow("compare rows"))
}

/// Keys of a batch, for exact membership.
struct KeySet {
    converter: RowConverter,
    names: Vec<String>,
    keys: HashSet<Box<[u8]>>,
}

impl KeySet {
    fn of(rows: &RecordBatch, names: &[String]) -> Result<Self, Error> {
        let columns = indices(rows, names);
        let converter = converter(rows.schema_ref(), &columns)?;
        let mut set = Self { converter, names: names.to_vec(), keys: HashSet::new() };
        let found = set.convert(rows)?;
        set.keys = found.iter().map(|key| Box::from(key.as_ref())).collect();
        Ok(set)
    }

    fn convert(&self, rows: &RecordBatch) -> Result<arrow::row::Rows, Error> {
        let columns: Vec<ArrayRef> = indices(rows, &self.names).into_iter().map(|index| rows.column(index).clone()).collect();
        self.converter.convert_columns(&columns).map_err(Error::arrow("compare keys"))
    }

    /// Which rows have a key of the set.
    fn matches(&self, rows: &RecordBatch) -> Result<Vec<bool>, Error> {
        Ok(self.convert(rows)?.iter().map(|key| self.keys.contains(key.as_ref())).collect())
    }
}
