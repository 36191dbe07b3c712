//! The new rows of some keys take the place of the stored ones: what came, changed and went, as one commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray, UInt32Array, make_comparator};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{SortOptions, and, concat_batches, filter_record_batch, not, take, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use deltalake::kernel::{Add, AddCDCFile};
use deltalake::writer::DeltaWriter;
use futures::{StreamExt, TryStreamExt, stream};
use model::crash;
use model::position::TableVersion;
use object_store::path::Path;

use super::key_set::{KeySet, converted, converter};
use super::{UseCase, with_load_times};
use crate::beside::both;
use crate::delta::feed::{AFTER, BEFORE, DELETE, FeedWriter, INSERT};
use crate::delta::{ChangedRows, Commit, CommitNote, DataFile, MergeNote, PartitionValue, ReadPlan};
use crate::error::Error;
use crate::query::GroupSet;
use crate::raw::indices;
use crate::row_keys::RowKeys;

/// Rewritten files are closed when they take more memory than this.
const OPEN_FILES_BYTES: usize = 64 << 20;

/// What one commit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged {
    pub version: TableVersion,
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
    /// Rows of the batch's keys that came out as they were.
    pub unchanged: u64,
    pub files_rewritten: u64,
    pub bytes_rewritten: u64,
    /// Files of the partitions in which its keys could be: no others were looked into, and no others could be rewritten.
    pub files_looked_into: u64,
    pub bytes_looked_into: u64,
}

/// What is kept in memory of files that were read, so that they are not read once more to be written anew.
const KEPT_BYTES: usize = 32 << 20;

/// A file in which keys of the batch were found.
pub(super) struct Hit {
    file: DataFile,
    /// The rows of those keys, as they are now.
    pub(super) rows: RecordBatch,
    /// The file's other rows, where they were kept.
    others: Option<Vec<RecordBatch>>,
}

impl Hit {
    pub(super) fn path(&self) -> &Path {
        &self.file.path
    }
}

/// New rows beside the rows that they replace.
pub(super) struct Difference {
    /// With load times.
    inserted: RecordBatch,
    before: RecordBatch,
    after: RecordBatch,
    deleted: RecordBatch,
    unchanged: u64,
    /// The load time of what came or changed, and the write time of its commit.
    pub(super) write_time: i64,
}

impl Difference {
    fn counts(&self) -> ChangedRows {
        let rows = |rows: &RecordBatch| rows.num_rows() as u64;
        ChangedRows { inserted: rows(&self.inserted), updated: rows(&self.after), deleted: rows(&self.deleted) }
    }
}

/// Which stored rows take part.
pub(super) enum Wanted<'s> {
    Keys(KeySet),
    /// Rows of the groups that any of these sets holds; the sets are over the table's key columns.
    Groups(&'s [Arc<GroupSet>]),
    All,
}

/// What a commit says about itself beside its rows.
pub(super) struct Account {
    pub(super) positions: Vec<(String, i64)>,
    /// Its write time is set here.
    pub(super) note: CommitNote,
    /// The files of tombstones that count from this commit on.
    pub(super) tombstones: Vec<String>,
    /// Whether files of other partitions than those of the merge were left alone.
    pub(super) is_pruned: bool,
}

/// A commit whose files are written: it counts from [`UseCase::commit`] on.
pub struct Written {
    commit: Commit,
    /// The keys of its rows, for the key directory.
    keys: BTreeMap<PartitionValue, Vec<u64>>,
    tombstones: Vec<String>,
    /// What it does; its version is known when it is committed.
    merged: Merged,
}

impl UseCase<'_> {
    /// The stored rows that are wanted, in the files of `partitions` (all of them where there is no choice). Key columns are
    /// read first; whole rows only where a key is.
    pub(super) async fn hits(
        &self,
        wanted: &Wanted<'_>,
        partitions: Option<&BTreeSet<PartitionValue>>,
    ) -> Result<Vec<Hit>, Error> {
        let hits = self.hits_outside(&BTreeSet::new(), wanted, partitions).await?;
        Ok(hits.expect("no file is ruled out"))
    }

    /// The same, or `None` where one of them is in a file of `ruled_out`.
    #[tracing::instrument(target = "profile", level = "trace", name = "match keys", skip_all)]
    pub(super) async fn hits_outside(
        &self,
        ruled_out: &BTreeSet<Path>,
        wanted: &Wanted<'_>,
        partitions: Option<&BTreeSet<PartitionValue>>,
    ) -> Result<Option<Vec<Hit>>, Error> {
        if partitions.is_some_and(BTreeSet::is_empty) {
            return Ok(Some(Vec::new()));
        }
        let keys_only = ReadPlan::columns(&self.table, &self.definition.key);
        let whole = ReadPlan::all(&self.table);
        let mut hits = Vec::new();
        let mut kept_bytes = 0;
        for file in self.table.files(partitions)? {
            let mut holds_key = matches!(wanted, Wanted::All);
            if !holds_key {
                let mut rows = self.table.read_file(&file.path, &file.partition, &keys_only).await?;
                while let Some(rows) = rows.try_next().await? {
                    if self.matches(wanted, &rows)?.iter().any(|matched| *matched) {
                        holds_key = true;
                        break;
                    }
                }
            }
            if !holds_key {
                continue;
            }
            if ruled_out.contains(&file.path) {
                return Ok(None);
            }
            let mut found = Vec::new();
            let mut others = Some(Vec::new());
            let mut bytes = 0;
            let mut rows = self.table.read_file(&file.path, &file.partition, &whole).await?;
            while let Some(rows) = rows.try_next().await? {
                let matched = BooleanArray::from(self.matches(wanted, &rows)?);
                let part = |mask: &BooleanArray| {
                    let part = filter_record_batch(&rows, mask)?;
                    part.with_schema(self.table.schema().clone())
                };
                found.push(part(&matched).map_err(Error::arrow("find rows"))?);
                if let Some(kept) = &mut others {
                    let part = not(&matched).and_then(|mask| part(&mask)).map_err(Error::arrow("find rows"))?;
                    bytes += part.get_array_memory_size();
                    kept.push(part);
                    if kept_bytes + bytes > KEPT_BYTES {
                        others = None;
                    }
                }
            }
            if others.is_some() {
                kept_bytes += bytes;
            }
            let rows = concat_batches(self.table.schema(), &found).map_err(Error::arrow("put rows together"))?;
            hits.push(Hit { file, rows, others });
        }
        Ok(Some(hits))
    }

    fn matches(&self, wanted: &Wanted<'_>, rows: &RecordBatch) -> Result<Vec<bool>, Error> {
        match wanted {
            Wanted::All => Ok(vec![true; rows.num_rows()]),
            Wanted::Keys(keys) => keys.matches(rows),
            Wanted::Groups(sets) => {
                let key = indices(rows, &self.definition.key);
                let mut any = vec![false; rows.num_rows()];
                for set in *sets {
                    let columns: Vec<ArrayRef> = set.columns().iter().map(|at| rows.column(key[*at]).clone()).collect();
                    let found = set.contains(&columns).map_err(Error::arrow("compare groups"))?;
                    for (any, found) in any.iter_mut().zip(found.values()) {
                        *any |= found;
                    }
                }
                Ok(any)
            }
        }
    }

    /// Commits `new` (all columns but the load times, one row a key) in place of the rows of `hits`.
    pub(super) async fn apply(
        &mut self,
        new: &RecordBatch,
        hits: Vec<Hit>,
        partitions: BTreeSet<PartitionValue>,
        account: Account,
        now: i64,
    ) -> Result<Merged, Error> {
        let write_time = self.table.next_write_time(now).await?;
        let difference = self.difference_to(new, &hits, write_time)?;
        let written = self.write(difference, hits, partitions, account, now).await?;
        self.commit(written).await
    }

    /// Writes the files of a commit. Nothing refers to them yet.
    pub(super) async fn write(
        &self,
        difference: Difference,
        hits: Vec<Hit>,
        partitions: BTreeSet<PartitionValue>,
        account: Account,
        now: i64,
    ) -> Result<Written, Error> {
        let looked_into = self.table.files(Some(&partitions).filter(|_| account.is_pruned))?;
        crash::point("merge/files:before");
        let mut commit = self.written(&difference, hits).await?;
        crash::point("merge/files:after");
        let files_rewritten = commit.removes.len() as u64;
        let bytes_rewritten = commit.removes.iter().map(|file| file.size).sum();
        commit.positions = account.positions;
        commit.merge = Some(MergeNote { key: self.definition.key.clone(), partitions });
        commit.note = CommitNote {
            definition: self.definition.fold_hash(),
            write_time: difference.write_time,
            run: Some(now),
            tombstones: account.tombstones.clone(),
            changed: Some(difference.counts()),
            ..account.note
        };

        let changed = concat(&[&difference.inserted, &difference.after])?;
        let keys = self.places.of(&self.table, &changed, &self.key_columns)?;
        let merged = Merged {
            version: self.table.version(),
            inserted: difference.inserted.num_rows() as u64,
            updated: difference.after.num_rows() as u64,
            deleted: difference.deleted.num_rows() as u64,
            unchanged: difference.unchanged,
            files_rewritten,
            bytes_rewritten,
            files_looked_into: looked_into.len() as u64,
            bytes_looked_into: looked_into.iter().map(|file| file.size).sum(),
        };
        Ok(Written { commit, keys, tombstones: account.tombstones, merged })
    }

    /// Makes a version of what was written.
    pub async fn commit(&mut self, written: Written) -> Result<Merged, Error> {
        let Written { commit, keys, tombstones: files, merged } = written;
        let before = self.table.version();
        let is_view = self.fold.is_none();
        if is_view {
            crash::point("view/commit:before");
        } else {
            crash::point("merge/commit:before");
        }
        let version = self.table.commit(commit).await?;
        if is_view {
            crash::point("view/commit:after");
        } else {
            crash::point("merge/commit:after");
        }
        self.table.confirm_hold()?;
        if version.0 == before.0 + 1 {
            self.places.add(&keys, version)?;
        } else {
            // Another writer's commits came in between (compaction, say): the log tells what they added.
            self.catch_up_keys().await?;
        }
        if let Some(tombstones) = &mut self.tombstones {
            tombstones.files = files;
        }
        Ok(Merged { version, ..merged })
    }

    /// What [`Self::apply`] would do to rows, and the files that it would rewrite; writes nothing.
    pub(super) fn would_apply(&self, new: &RecordBatch, hits: &[Hit]) -> Result<(ChangedRows, Vec<DataFile>), Error> {
        let difference = self.difference_to(new, hits, 0)?;
        let gone = concat(&[&difference.before, &difference.deleted])?;
        let gone = KeySet::of(&gone, &self.definition.key)?;
        let mut rewritten = Vec::new();
        for hit in hits {
            if gone.matches(&hit.rows)?.iter().any(|matched| *matched) {
                rewritten.push(hit.file.clone());
            }
        }
        Ok((difference.counts(), rewritten))
    }

    pub(super) fn difference_to(&self, new: &RecordBatch, hits: &[Hit], write_time: i64) -> Result<Difference, Error> {
        let stored = hits.iter().map(|hit| hit.rows.clone()).collect::<Vec<_>>();
        let stored = concat_batches(self.table.schema(), &stored).map_err(Error::arrow("put rows together"))?;
        self.difference(new, &stored, write_time)
    }

    /// Sets new rows beside stored ones: came, changed, went, or as it was.
    #[tracing::instrument(target = "profile", level = "trace", name = "compare rows", skip_all)]
    fn difference(&self, new: &RecordBatch, stored: &RecordBatch, write_time: i64) -> Result<Difference, Error> {
        let content = new.schema();
        let names: Vec<String> = content.fields().iter().map(|field| field.name().clone()).collect();
        let keys = converter(&content, &self.key_columns).map_err(Error::arrow("compare keys"))?;
        let stored_at = RowKeys::all(converted(&keys, &self.definition.key, stored)?);
        let mut new_keys = RowKeys::new(converted(&keys, &self.definition.key, new)?);
        let mut is_stored_still = vec![true; stored.num_rows()];
        let (mut came, mut met, mut stored_met) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..new.num_rows() {
            let number = u32::try_from(row).expect("a batch has fewer rows");
            if new_keys.put_if_new(row).is_some() {
                return Err(self.repeated_key(new, number));
            }
            match stored_at.with(new_keys.keys().row(row).as_ref()).next() {
                None => came.push(number),
                Some(at) => {
                    is_stored_still[at] = false;
                    met.push(number);
                    stored_met.push(u32::try_from(at).expect("a batch has fewer rows"));
                }
            }
        }
        let is_same = same_rows(new, &met, stored, &stored_met, &names)?;
        let unchanged = is_same.true_count() as u64;
        let differing =
            |rows: Vec<u32>| rows.into_iter().zip(is_same.values()).filter(|(_, same)| !same).map(|(row, _)| row).collect();
        let (changed, replaced): (Vec<u32>, Vec<u32>) = (differing(met), differing(stored_met));
        let went: Vec<u32> = (0_u32..).zip(is_stored_still).filter(|(_, still)| *still).map(|(row, _)| row).collect();

        let taken =
            |rows: &RecordBatch, at: Vec<u32>| take_record_batch(rows, &UInt32Array::from(at)).map_err(Error::arrow("take rows"));
        let (before, deleted) = (taken(stored, replaced)?, taken(stored, went)?);
        let schema = with_load_times(&content);
        let inserted = taken(new, came)?;
        let now =
            |count: usize| Arc::new(TimestampMicrosecondArray::from(vec![write_time; count]).with_timezone("UTC")) as ArrayRef;
        let since = before.column_by_name(super::INSERTED_AT).expect("stored rows have load times").clone();
        let inserted_now = now(inserted.num_rows());
        let inserted = with_columns(&inserted, &schema, [inserted_now.clone(), inserted_now])?;
        let after = taken(new, changed)?;
        let changed_now = now(after.num_rows());
        let after = with_columns(&after, &schema, [since, changed_now])?;
        Ok(Difference { inserted, before, after, deleted, unchanged, write_time })
    }

    fn repeated_key(&self, rows: &RecordBatch, row: u32) -> Error {
        let value = |index: &usize| {
            let value = arrow::util::display::array_value_to_string(rows.column(*index), row as usize);
            format!("{} = {}", rows.schema_ref().field(*index).name(), value.unwrap_or_default())
        };
        Error::KeyRepeated {
            table: self.table.name().to_owned(),
            key: self.key_columns.iter().map(value).collect::<Vec<_>>().join(", "),
            sql_file: self.definition.sql_file.clone(),
        }
    }

    /// Writes the data files and change files of the difference. Files that hold a row that changed or went are written anew
    /// without it.
    #[tracing::instrument(target = "profile", level = "trace", name = "rewrite files", skip_all, fields(files = hits.len()))]
    async fn written(&self, difference: &Difference, hits: Vec<Hit>) -> Result<Commit, Error> {
        let gone = concat(&[&difference.before, &difference.deleted])?;
        let gone = KeySet::of(&gone, &self.definition.key)?;
        let mut rewritten = Vec::new();
        for hit in hits {
            if gone.matches(&hit.rows)?.contains(&true) {
                rewritten.push(hit);
            }
        }
        let removes = rewritten.iter().map(|hit| hit.file.clone()).collect();
        // A commit that only adds files needs no change files: its files are the inserts (Delta protocol).
        let has_feed = !rewritten.is_empty();
        let feed = async || if has_feed { self.change_files(difference).await } else { Ok(Vec::new()) };
        let (adds, change_files) = both(self.data_files(difference, &gone, rewritten), feed).await;
        Ok(Commit { adds: adds?, removes, change_files: change_files?, ..Commit::default() })
    }

    /// Files with what is left of the rewritten ones, and with what came.
    async fn data_files(&self, difference: &Difference, gone: &KeySet, rewritten: Vec<Hit>) -> Result<Vec<Add>, Error> {
        let mut adds = Vec::new();
        let more = difference.inserted.num_rows() < difference.after.num_rows();
        let mut writer = self.table.data_writer(Some(if more { &difference.after } else { &difference.inserted }))?;
        let in_table = |source| Error::delta("write", self.table.name())(source);
        let left = |rows: &RecordBatch| {
            let stays: BooleanArray = gone.matches(rows)?.into_iter().map(|matched| Some(!matched)).collect();
            filter_record_batch(rows, &stays).map_err(Error::arrow("leave out rows"))
        };
        let whole = ReadPlan::all(&self.table);
        for Hit { file, rows, others } in rewritten {
            let mut rows = if let Some(others) = others {
                stream::iter(others.into_iter().map(Ok).chain([left(&rows)])).boxed()
            } else {
                let rows = self.table.read_file(&file.path, &file.partition, &whole).await?;
                rows.map(|rows| left(&rows?)).boxed()
            };
            while let Some(rows) = rows.try_next().await? {
                if rows.num_rows() > 0 {
                    writer.write(rows).await.map_err(in_table)?;
                }
            }
            // The writer holds its open files in memory: what a batch touches must not add up there.
            if writer.buffer_len() > OPEN_FILES_BYTES {
                adds.extend(self.table.flushed(&mut writer).await?);
            }
        }
        for rows in [&difference.inserted, &difference.after] {
            if rows.num_rows() > 0 {
                writer.write(rows.clone()).await.map_err(in_table)?;
            }
        }
        adds.extend(self.table.flushed(&mut writer).await?);
        Ok(adds)
    }

    async fn change_files(&self, difference: &Difference) -> Result<Vec<AddCDCFile>, Error> {
        let mut feed = FeedWriter::new(&self.table);
        let Difference { inserted, before, after, deleted, .. } = difference;
        for (change, rows) in [(INSERT, inserted), (BEFORE, before), (AFTER, after), (DELETE, deleted)] {
            feed.write(change, rows).await?;
        }
        feed.finish().await
    }
}

fn with_columns(rows: &RecordBatch, schema: &SchemaRef, more: [ArrayRef; 2]) -> Result<RecordBatch, Error> {
    let mut columns = rows.columns().to_vec();
    columns.extend(more);
    RecordBatch::try_new(schema.clone(), columns).map_err(Error::arrow("put rows together"))
}

/// Whether rows are the same in these columns as those of another batch at the same place of the list.
fn same_rows(
    left: &RecordBatch,
    left_rows: &[u32],
    right: &RecordBatch,
    right_rows: &[u32],
    columns: &[String],
) -> Result<BooleanArray, Error> {
    let taken = |rows: &RecordBatch, name: &String, at: &[u32]| {
        let column = rows.column_by_name(name).expect("both have the table's columns");
        take(column, &UInt32Array::from(at.to_vec()), None)
    };
    let mut is_same = BooleanArray::from(vec![true; left_rows.len()]);
    for name in columns {
        let same = taken(left, name, left_rows)
            .and_then(|left| same_values(&left, &taken(right, name, right_rows)?))
            .and_then(|same| and(&is_same, &same));
        is_same = same.map_err(Error::arrow("compare rows"))?;
    }
    Ok(is_same)
}

/// Values of two columns side by side; two that are missing are the same.
fn same_values(left: &ArrayRef, right: &ArrayRef) -> Result<BooleanArray, ArrowError> {
    if !left.data_type().is_nested() {
        return not_distinct(left, right);
    }
    let compare = make_comparator(left, right, SortOptions::default())?;
    Ok((0..left.len()).map(|row| Some(compare(row, row).is_eq())).collect())
}

fn concat(batches: &[&RecordBatch]) -> Result<RecordBatch, Error> {
    concat_batches(batches[0].schema_ref(), batches.iter().copied()).map_err(Error::arrow("put rows together"))
}
