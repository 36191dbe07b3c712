//! Rows that were set aside take the place of a table's: files and change feed of the one commit that does it.
//!
//! Guarantee: a partition in which no row is different keeps its files, unless the table's shape changes; the change feed holds
//! the rows that are different and no others; a row that is as it was keeps its stamps. Nothing that a reader sees is touched
//! before the commit.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use deltalake::writer::{DeltaWriter, RecordBatchWriter};
use futures::TryStreamExt;
use model::shutdown::Shutdown;

use super::difference::{Difference, Fate, Stamps, digests};
use super::staged::{Staged, in_columns};
use crate::delta::feed::{AFTER, BEFORE, DELETE, FeedWriter, INSERT};
use crate::delta::{ChangedRows, Commit, DataFile, PartitionValue, ReadPlan, Span, Table};
use crate::error::Error;

/// Files that are written are closed when they take more memory than this.
const OPEN_FILES_BYTES: usize = 64 << 20;

/// Whether what was read from the table before still stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    Kept,
    /// Rows before and after cannot be compared: readers start from nothing.
    Another,
}

/// What takes the place of what.
#[derive(Clone, Copy)]
pub(super) struct Plan<'r> {
    /// The table as it will be, where that is another shape.
    pub draft: Option<&'r Table>,
    pub identity: Identity,
    pub rows: &'r Staged,
    pub span: Span,
    /// Partitions that are left alone, whatever is set aside for them.
    pub spared: &'r BTreeSet<PartitionValue>,
    pub key: &'r [String],
    /// Whether a key could come in two partitions.
    pub key_spans_partitions: bool,
    pub stamps: Stamps,
    pub shutdown: &'r Shutdown,
}

/// A plan, carried out on a table as it is now.
pub(super) struct Replacement<'r> {
    old: &'r Table,
    /// `old` itself, or as it will be.
    new: &'r Table,
    write_time: i64,
    plan: Plan<'r>,
}

/// Files, and what they do to rows.
#[derive(Default)]
pub(super) struct Replaced {
    pub commit: Commit,
    pub counts: ChangedRows,
    pub unchanged: u64,
}

/// How far the writing of one commit has got.
struct Writing<'w> {
    data: RecordBatchWriter,
    feed: FeedWriter<'w>,
    replaced: Replaced,
    seen: HashSet<u128>,
}

impl<'r> Replacement<'r> {
    pub(super) fn of(old: &'r Table, write_time: i64, plan: Plan<'r>) -> Self {
        Self { old, new: plan.draft.unwrap_or(old), write_time, plan }
    }

    /// Writes the files. No commit names them yet.
    pub(super) async fn write(&self) -> Result<Replaced, Error> {
        let mut files: BTreeMap<PartitionValue, Vec<DataFile>> = BTreeMap::new();
        for file in self.old.files(None)? {
            files.entry(file.partition.clone()).or_default().push(file);
        }
        let mut writing = Writing {
            data: self.new.data_writer(None)?,
            feed: FeedWriter::new(self.new),
            replaced: Replaced::default(),
            seen: HashSet::new(),
        };
        if self.plan.identity == Identity::Another {
            writing.replaced.commit.removes = files.into_values().flatten().collect();
            writing.replaced.counts.deleted = self.old.row_count()?;
            for partition in self.in_scope(&BTreeMap::new()) {
                self.plan.shutdown.check()?;
                self.partition(&partition, &[], &mut writing).await?;
            }
            writing.replaced.commit.adds.extend(writing.data.flush().await.map_err(self.in_table())?);
            return Ok(writing.replaced);
        }
        for partition in self.in_scope(&files) {
            self.plan.shutdown.check()?;
            let stored = files.remove(&partition).unwrap_or_default();
            self.partition(&partition, &stored, &mut writing).await?;
        }
        let Writing { mut data, feed, mut replaced, .. } = writing;
        replaced.commit.adds.extend(data.flush().await.map_err(self.in_table())?);
        let touched = replaced.commit.removes.first().map(|file| file.partition.clone());
        if touched.is_some() || !replaced.commit.adds.is_empty() {
            replaced.commit.change_files = feed.finish_with_one(touched.flatten()).await?;
        }
        Ok(replaced)
    }

    fn in_scope(&self, files: &BTreeMap<PartitionValue, Vec<DataFile>>) -> BTreeSet<PartitionValue> {
        let all = files.keys().chain(self.plan.rows.partitions());
        all.filter(|partition| self.plan.span.holds(partition) && !self.plan.spared.contains(*partition)).cloned().collect()
    }

    async fn partition(&self, partition: &PartitionValue, stored: &[DataFile], writing: &mut Writing<'_>) -> Result<(), Error> {
        let content = self.content();
        let mut difference = Difference::new(self.plan.key, &content, self.plan.stamps);
        for file in stored {
            let mut rows = self.stored(file).await?;
            while let Some(rows) = rows.try_next().await? {
                difference.stored(&in_columns(&rows, self.new.schema())?)?;
            }
        }
        self.plan.rows.read(partition, self.new.schema(), |rows| {
            if let Some(at) = difference.new_rows(&rows)? {
                return Err(self.repeated(&rows, at));
            }
            if self.plan.key_spans_partitions {
                for (at, digest) in digests(&rows, self.plan.key)?.into_iter().enumerate() {
                    if !writing.seen.insert(digest) {
                        return Err(self.repeated(&rows, at));
                    }
                }
            }
            Ok(())
        })?;
        writing.replaced.unchanged += difference.unchanged;
        // A contract may change where no column does.
        let is_reshaped = self.new.schema().fields() != self.old.schema().fields();
        if difference.is_empty() && !is_reshaped {
            return Ok(());
        }
        add(&mut writing.replaced.counts, difference.counts);
        for piece in 0..self.plan.rows.pieces_of(partition) {
            for rows in self.plan.rows.piece(partition, piece)? {
                let rows = in_columns(&rows, self.new.schema())?;
                let fates = difference.fates(&rows)?;
                let rows = self.stamped(&rows, &fates)?;
                writing.data.write(rows.clone()).await.map_err(self.in_table())?;
                if self.plan.identity == Identity::Kept {
                    let came: BooleanArray = fates.iter().map(|fate| Some(*fate == Fate::Came)).collect();
                    let after: BooleanArray = fates.iter().map(|fate| Some(matches!(fate, Fate::Changed { .. }))).collect();
                    writing.tell(INSERT, &rows, &came).await?;
                    writing.tell(AFTER, &rows, &after).await?;
                }
                if writing.data.buffer_len() > OPEN_FILES_BYTES {
                    let adds = writing.data.flush().await.map_err(self.in_table())?;
                    writing.replaced.commit.adds.extend(adds);
                }
            }
        }
        if difference.counts.updated + difference.counts.deleted > 0 {
            for file in stored {
                let mut rows = self.stored(file).await?;
                while let Some(rows) = rows.try_next().await? {
                    let rows = in_columns(&rows, self.new.schema())?;
                    let (changed, gone) = difference.changed_and_gone(&rows)?;
                    writing.tell(BEFORE, &rows, &changed).await?;
                    writing.tell(DELETE, &rows, &gone).await?;
                }
            }
        }
        writing.replaced.commit.removes.extend(stored.iter().cloned());
        writing.feed.flush().await
    }

    async fn stored(&self, file: &DataFile) -> Result<futures::stream::BoxStream<'static, Result<RecordBatch, Error>>, Error> {
        self.old.read_file(&file.path, &file.partition, &ReadPlan::all(self.old)).await
    }

    /// What makes two rows of a key the same.
    fn content(&self) -> Vec<String> {
        let names = self.new.schema().fields().iter().map(|field| field.name());
        names.filter(|name| !self.plan.stamps.are(name)).cloned().collect()
    }

    /// Rows with the stamps that their fates give them, in the table's own schema.
    fn stamped(&self, rows: &RecordBatch, fates: &[Fate]) -> Result<RecordBatch, Error> {
        let now = self.write_time;
        let created = |fate: &Fate| match fate {
            Fate::Same { created, .. } | Fate::Changed { created } => *created,
            Fate::Came => now,
        };
        let changed = |fate: &Fate| match fate {
            Fate::Same { changed, .. } => *changed,
            Fate::Changed { .. } | Fate::Came => now,
        };
        let schema: &SchemaRef = self.new.schema();
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        for (name, stamp) in [
            (self.plan.stamps.created, &created as &dyn Fn(&Fate) -> i64),
            (self.plan.stamps.changed, &changed as &dyn Fn(&Fate) -> i64),
        ] {
            let Some(name) = name else { continue };
            let at = schema.index_of(name).expect("a table has its stamps");
            columns[at] = Arc::new(TimestampMicrosecondArray::from_iter_values(fates.iter().map(stamp)).with_timezone("UTC"));
        }
        RecordBatch::try_new(schema.clone(), columns).map_err(Error::arrow("put rows together"))
    }

    fn repeated(&self, rows: &RecordBatch, row: usize) -> Error {
        let value = |name: &String| {
            let column = rows.column_by_name(name).expect("a table has its key");
            format!("{name} = {}", arrow::util::display::array_value_to_string(column, row).unwrap_or_default())
        };
        Error::KeyRepeated {
            table: self.old.name().to_owned(),
            key: self.plan.key.iter().map(value).collect::<Vec<_>>().join(", "),
            sql_file: "its definition".to_owned(),
        }
    }

    fn in_table(&self) -> impl FnOnce(deltalake::DeltaTableError) -> Error {
        Error::delta("write", self.old.name())
    }
}

impl Writing<'_> {
    /// Puts the chosen rows into the change feed.
    async fn tell(&mut self, change: &str, rows: &RecordBatch, chosen: &BooleanArray) -> Result<(), Error> {
        if chosen.true_count() == 0 {
            return Ok(());
        }
        let rows = filter_record_batch(rows, chosen).map_err(Error::arrow("put changes together"))?;
        self.feed.write(change, &rows).await
    }
}

pub(super) fn add(sum: &mut ChangedRows, more: ChangedRows) {
    sum.inserted += more.inserted;
    sum.updated += more.updated;
    sum.deleted += more.deleted;
}
