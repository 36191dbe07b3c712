//! Records that left the quarantine, appended to the table under the receipt that they came with.
//!
//! Guarantee: the rows of one receipt, their counts and the number of the replay are one commit, whatever their number; the
//! commit also says what is to be left in the quarantine, so that the other half can be done after a crash from it alone.
//! The position of the source does not move.

use std::collections::BTreeMap;
use std::path::Path;

use deltalake::kernel::Add;
use model::counts::Counts;
use model::crash;
use model::position::TableVersion;

use super::{FilePlace, LoadedBatch, Raw, Sifted, place_of, read_batch};
use crate::delta::{Commit, CommitNote, PartitionValue};
use crate::error::Error;
use crate::load::{Batch, LoadPlan};

/// The application transaction that counts the replays of a table.
pub(crate) const REPLAYS: &str = "#replays";

/// What is left in the quarantine of a load once its replay is done.
pub(crate) struct Left {
    /// Records that leave.
    pub(crate) replayed: u64,
    /// Files that are written there and not committed.
    pub(crate) files: Vec<Add>,
}

impl Raw<'_> {
    /// How many replays were committed.
    pub(crate) async fn replays(&self) -> Result<i64, Error> {
        Ok(self.table.input_number(REPLAYS).await?.unwrap_or(0))
    }

    /// What the newest replay noted.
    pub(crate) async fn last_replay(&self) -> Result<Option<CommitNote>, Error> {
        for version in (0..=self.table.version().0).rev() {
            let note = self.table.commit_content(TableVersion(version)).await?.note();
            if let Some(note) = note.filter(|note| note.replayed.is_some()) {
                return Ok(Some(note));
            }
        }
        Ok(None)
    }

    /// What would become of the rows of the plan; writes nothing.
    pub(crate) async fn rehearse_replayed(&self, plan: &LoadPlan, spill: &Path) -> Result<Counts, Error> {
        let mut counts = decided(plan);
        for batch in &plan.batches {
            counts += self.sifted(plan, batch, spill, &[]).await?.by_date.into_values().sum::<Counts>();
        }
        Ok(Counts { read: 0, ..counts })
    }

    /// Commits the rows of the plan.
    pub(crate) async fn commit_replayed(
        &mut self,
        plan: &LoadPlan,
        spill: &Path,
        left: Left,
        now: i64,
    ) -> Result<LoadedBatch, Error> {
        let write_time = self.table.next_write_time(now).await?;
        let partition_column = self.table.partition_column().map(ToOwned::to_owned);
        let mut adds: Vec<Add> = Vec::new();
        let mut by_date: BTreeMap<String, Counts> = BTreeMap::new();
        for batch in &plan.batches {
            let written: Vec<FilePlace> = adds.iter().map(|add| place_of(add, partition_column.as_deref())).collect();
            let sifted = self.sifted(plan, batch, spill, &written).await?;
            for (date, counts) in sifted.by_date {
                *by_date.entry(date).or_default() += Counts { read: 0, ..counts };
            }
            if let Some(rows) = sifted.rows {
                adds.extend(self.written(&rows, plan.receipt, write_time).await?);
            }
        }
        let mut counts: Counts = by_date.values().copied().sum();
        counts += decided(plan);
        let in_files = |file: &Add| serde_json::to_value(file).expect("an action of the log is plain data");
        let note = CommitNote {
            input: self.definition.from.clone(),
            receipt: Some(plan.receipt),
            by_date: by_date.into_iter().filter(|(date, _)| !date.is_empty()).collect(),
            counts,
            replayed: Some(left.replayed),
            left_in_quarantine: Some(left.files.iter().map(in_files).collect()),
            definition: plan.definition.clone(),
            write_time,
            run: Some(now),
            newest_event: plan.newest_event,
            ..CommitNote::default()
        };
        let number = self.replays().await? + 1;
        let positions = vec![(REPLAYS.to_owned(), number)];
        crash::point("raw/replay:before");
        let version = self.table.commit(Commit { adds, positions, note, ..Commit::default() }).await?;
        crash::point("raw/replay:after");
        Ok(LoadedBatch { version, counts, deleted: 0, superseded: (0, 0) })
    }

    /// The rows of a batch that neither the table nor the files that were just `written` have already.
    async fn sifted(&self, plan: &LoadPlan, batch: &Batch, spill: &Path, written: &[FilePlace]) -> Result<Sifted, Error> {
        let Some(rows) = read_batch(spill, batch, plan)? else { return Ok(Sifted::default()) };
        let mut stored = Vec::new();
        if !self.definition.unique_key.is_empty() {
            let dates: Vec<PartitionValue> = batch.dates().into_iter().map(|date| date.map(|date| date.to_string())).collect();
            stored = self.files_of(batch)?;
            stored.extend(written.iter().filter(|(_, partition)| dates.contains(partition)).cloned());
        }
        self.sift(&rows, &stored).await
    }
}

/// The fates that were decided before the commit, without what stays aside.
fn decided(plan: &LoadPlan) -> Counts {
    let Counts { dropped, sliced_off, too_old, .. } = plan.counts;
    Counts { dropped, sliced_off, too_old, ..Counts::default() }
}
