//! The ledger: what each commit of a table did, read from the table's own log, newest first.
//!
//! Guarantee: a batch says what its commit says, and nothing else: there is no second record that could disagree. One commit is
//! held at a time, whatever the length of the log. Commits of other writers are batches without a note; a commit that cannot be
//! read is an error, never passed over. What the log no longer holds is not guessed: [`Ledger::horizon`] says where it begins.
//! Never: reads a data file; writes.

use deltalake::kernel::{Action, CommitInfo};
use model::position::TableVersion;

use crate::delta::{ChangedRows, CommitContent, CommitNote, Span, Table};
use crate::error::Error;

/// The batches of a table from a version backwards.
#[derive(Debug, Clone)]
pub struct Ledger {
    table: Table,
    /// The version that is read next.
    next: Option<u64>,
    horizon: Option<TableVersion>,
    /// A restore took back what is newer than this.
    undone_after: Option<u64>,
    /// A rebuild of the whole table came after what is read now.
    is_superseded: bool,
}

/// Whether what a batch did to rows still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Counts,
    /// A later restore went back to a version before it.
    TakenBack,
    /// All of the table was computed anew since.
    Superseded,
}

/// One commit of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerBatch {
    pub version: TableVersion,
    /// By the writer's clock, in microseconds since the epoch.
    pub committed_at: Option<i64>,
    /// What cells in Cassandra carry that come from this commit, in microseconds; commits of other writers have none.
    pub write_time: Option<i64>,
    /// As the log has it: `WRITE`, `MERGE`, `OPTIMIZE`, `CREATE TABLE`, ...
    pub operation: String,
    /// The program that wrote it, as it named itself.
    pub writer: Option<String>,
    pub note: Option<CommitNote>,
    pub added: FileSum,
    pub removed: FileSum,
    /// Files of the change feed.
    pub feed: FileSum,
    /// Whether rows came or went: compaction writes files and changes none.
    pub changes_data: bool,
    /// Whether the table's columns or properties were set.
    pub sets_metadata: bool,
    /// Rows that came, changed and went, where the commit tells.
    pub changed: Option<ChangedRows>,
    /// Sums over batches (of the accounting, say) are over those that count.
    pub standing: Standing,
}

/// Files of a commit, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileSum {
    pub files: u64,
    pub bytes: u64,
    /// `None` where not all of the files tell.
    pub rows: Option<u64>,
}

impl Ledger {
    /// From the version that `table` is open at.
    pub fn of(table: &Table) -> Self {
        Self { table: table.clone(), next: Some(table.version().0), horizon: None, undone_after: None, is_superseded: false }
    }

    /// The next older batch; `None` after the oldest that the log holds.
    pub async fn older(&mut self) -> Result<Option<LedgerBatch>, Error> {
        let Some(version) = self.next else { return Ok(None) };
        let content = match self.table.commit_content(TableVersion(version)).await {
            Err(Error::CommitGone { .. }) => {
                self.next = None;
                self.horizon = Some(TableVersion(version + 1));
                return Ok(None);
            }
            content => content?,
        };
        self.next = version.checked_sub(1);
        let batch = LedgerBatch::of(&content);
        let standing = if self.undone_after.is_some_and(|after| version > after) {
            Standing::TakenBack
        } else if self.is_superseded {
            Standing::Superseded
        } else {
            Standing::Counts
        };
        if let Some(note) = batch.note.as_ref().filter(|_| standing != Standing::TakenBack) {
            self.undone_after = note.restored.or(self.undone_after);
            self.is_superseded |= note.rebuilt.is_some_and(Span::is_all);
        }
        Ok(Some(LedgerBatch { standing, ..batch }))
    }

    /// The oldest version whose commit is still there, where that is not the table's first; known once [`Self::older`] has come to
    /// it. The log cleanup of another writer, or `maintain`, took what was before.
    pub fn horizon(&self) -> Option<TableVersion> {
        self.horizon
    }
}

impl LedgerBatch {
    pub fn of(content: &CommitContent) -> Self {
        let info = content.actions.iter().find_map(|action| match action {
            Action::CommitInfo(info) => Some(info),
            _ => None,
        });
        let mut batch = Self {
            version: content.version,
            committed_at: content.committed_at(),
            write_time: content.write_time(),
            operation: info.and_then(|info| info.operation.clone()).unwrap_or_else(|| "unknown".to_owned()),
            writer: info.and_then(writer),
            note: content.note(),
            added: FileSum { rows: Some(0), ..FileSum::default() },
            removed: FileSum::default(),
            feed: FileSum::default(),
            changes_data: content.changes_data(),
            sets_metadata: false,
            changed: content.changed_rows(),
            standing: Standing::Counts,
        };
        for action in &content.actions {
            match action {
                Action::Add(add) => {
                    batch.added.add(add.size);
                    let rows = add.stats.as_deref().and_then(crate::delta::recorded_rows);
                    batch.added.rows = batch.added.rows.zip(rows).map(|(sum, rows)| sum + rows);
                }
                Action::Remove(remove) => batch.removed.add(remove.size.unwrap_or(0)),
                Action::Cdc(file) => batch.feed.add(file.size),
                Action::Metadata(_) | Action::Protocol(_) => batch.sets_metadata = true,
                _ => {}
            }
        }
        batch
    }
}

impl FileSum {
    fn add(&mut self, bytes: i64) {
        self.files += 1;
        self.bytes += bytes.unsigned_abs();
    }
}

/// Programs name themselves in different places.
fn writer(info: &CommitInfo) -> Option<String> {
    let text = |name: &str| info.info.get(name).and_then(|value| value.as_str()).map(ToOwned::to_owned);
    text("clientVersion").or_else(|| info.engine_info.clone()).or_else(|| text("engineInfo"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use arrow::datatypes::{DataType, Field, Schema};
    use model::counts::Counts;

    use super::*;
    use crate::delta::{Commit, TableShape};

    fn shape() -> TableShape {
        TableShape {
            schema: Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)])),
            partition_column: None,
            change_feed: false,
            may_grow: false,
            takes_strings: false,
            contract: None,
            description: "numbers".to_owned(),
        }
    }

    fn numbers(table: &Table, numbers: &[i64]) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from(numbers.to_vec()));
        RecordBatch::try_new(table.schema().clone(), vec![column]).unwrap()
    }

    async fn all(table: &Table) -> (Vec<LedgerBatch>, Option<TableVersion>) {
        let mut ledger = Ledger::of(table);
        let mut batches = Vec::new();
        while let Some(batch) = ledger.older().await.unwrap() {
            batches.push(batch);
        }
        (batches, ledger.horizon())
    }

    #[tokio::test]
    async fn the_log_tells_each_batch_also_of_others_and_where_it_begins() {
        let folder = tempfile::tempdir().unwrap();
        let (mut table, _) = Table::open_or_create(folder.path(), "p/numbers", &shape()).await.unwrap();
        let adds = table.write_files(vec![numbers(&table, &[1, 2, 3])]).await.unwrap();
        let bytes = adds[0].size.unsigned_abs();
        let note = CommitNote {
            input: "landing".to_owned(),
            receipt: Some(4),
            counts: Counts { read: 3, accepted: 3, ..Counts::default() },
            write_time: 77,
            run: Some(70),
            ..CommitNote::default()
        };
        table.commit(Commit { adds, note: note.clone(), ..Commit::default() }).await.unwrap();
        let rows = numbers(&table, &[4]);
        let mut other = deltalake::DeltaTable::new(table.log_store());
        other.load().await.unwrap();
        other.write(vec![rows]).await.unwrap();
        table.refresh().await.unwrap();

        let (batches, horizon) = all(&table).await;
        assert_eq!(horizon, None);
        let [theirs, ours, made] = batches.as_slice() else { panic!("{batches:#?}") };
        assert_eq!((theirs.version.0, &theirs.note, theirs.write_time), (2, &None, None));
        assert_eq!((theirs.operation.as_str(), theirs.added.rows, theirs.changes_data), ("WRITE", Some(1), true));
        assert!(theirs.writer.as_ref().is_some_and(|writer| writer.starts_with("delta-rs")), "{theirs:#?}");
        let written = ours.note.clone().map(|written| CommitNote { checksum: None, ..written });
        assert_eq!((written.as_ref(), ours.write_time), (Some(&note), Some(77)));
        assert_eq!(ours.added, FileSum { files: 1, bytes, rows: Some(3) });
        assert!(ours.writer.as_ref().is_some_and(|writer| writer.starts_with("sluice ")), "{ours:#?}");
        assert!(made.sets_metadata && !made.changes_data && made.version.0 == 0, "{made:#?}");

        // What a restore took back counts no more, nor does what is older than a rebuild; the restore itself does.
        let adds = table.write_files(vec![numbers(&table, &[5])]).await.unwrap();
        table.commit(Commit { adds, note: CommitNote { write_time: 80, ..note.clone() }, ..Commit::default() }).await.unwrap();
        let restored = CommitNote { write_time: 81, restored: Some(1), ..CommitNote::default() };
        table.commit(Commit { note: restored, ..Commit::default() }).await.unwrap();
        let standing = |batches: &[LedgerBatch]| batches.iter().map(|batch| batch.standing).collect::<Vec<_>>();
        let (counts, taken) = (Standing::Counts, Standing::TakenBack);
        assert_eq!(standing(&all(&table).await.0), [counts, taken, taken, counts, counts]);
        let rebuilt = CommitNote { write_time: 82, rebuilt: Some(Span::default()), ..CommitNote::default() };
        table.commit(Commit { note: rebuilt, ..Commit::default() }).await.unwrap();
        let before = Standing::Superseded;
        assert_eq!(standing(&all(&table).await.0), [counts, before, taken, taken, before, before]);

        // The log is cleaned up behind a checkpoint; what is left is told, and that it is not all.
        std::fs::remove_file(folder.path().join("_delta_log/00000000000000000000.json")).unwrap();
        let (batches, horizon) = all(&table).await;
        assert_eq!((batches.len(), horizon), (5, Some(TableVersion(1))));
    }
}
