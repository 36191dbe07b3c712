//! The batches of a load: written as data files, then committed.
//!
//! Guarantee: a batch is one commit of its rows, its position and its counts, whatever was prepared before. Preparing names nothing
//! that others see; it may go on while the batch before is committed, where no row of the one can be a duplicate of the other's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::NaiveDate;
use deltalake::kernel::Add;
use model::counts::Counts;
use model::definition::OnChange;
use model::position::BatchNumber;

use super::{FilePlace, LoadedBatch, Raw, Sifted, decided_before, read_batch};
use crate::beside::{both, cores, side_by_side};
use crate::delta::{Commit, CommitNote};
use crate::error::Error;
use crate::load::{Batch, LoadPlan, Segment};

/// A batch whose rows are in data files that no commit names yet.
#[derive(Debug)]
pub struct PreparedBatch {
    index: usize,
    /// The write time that its rows carry: the commit must have the same.
    write_time: i64,
    adds: Vec<Add>,
    by_date: BTreeMap<String, Counts>,
}

impl Raw<'_> {
    /// Commits the batch at `index` of the plan: what is already there stays out, position and counts go in with the rows.
    ///
    /// Takes what was prepared for it, and prepares what comes next beside: yields that.
    #[tracing::instrument(target = "profile", level = "trace", name = "micro-batch", skip_all, fields(of = plan.batches[index].to_string(), rows = plan.batches[index].rows()))]
    pub async fn commit_batch(
        &mut self,
        plan: &LoadPlan,
        (index, prepared): (usize, Option<PreparedBatch>),
        spill: &Path,
        now: i64,
    ) -> Result<(LoadedBatch, Option<PreparedBatch>), Error> {
        let write_time = self.table.next_write_time(now).await?;
        let prepared = match prepared {
            Some(prepared) if prepared.index == index && prepared.write_time == write_time => prepared,
            other => {
                self.drop_prepared(other).await;
                self.prepare_batch(plan, index, spill, write_time).await?
            }
        };
        let number = BatchNumber::of(index, plan.batches.len()).ok_or_else(|| self.too_many(plan))?;
        let decided = if index + 1 == plan.batches.len() { decided_before(plan) } else { Counts::default() };
        let note = CommitNote { run: Some(now), ..self.note(plan, number, prepared.by_date, decided, write_time) };
        let commit = Commit { adds: prepared.adds, note, ..Commit::default() };
        if !self.may_prepare_beside(plan, index) {
            return Ok((self.commit(commit, plan, number, 0).await?, None));
        }
        let beside = self.clone();
        let (committed, next) = both(
            self.commit(commit, plan, number, 0),
            // Commits of one load count their write times up.
            async || beside.prepare_batch(plan, index + 1, spill, write_time + 1).await,
        )
        .await;
        match (committed, next) {
            // What went wrong with the next one is said when its turn comes: this one is in the table.
            (Ok(committed), next) => Ok((committed, next.ok())),
            (Err(error), next) => {
                beside.drop_prepared(next.ok()).await;
                Err(error)
            }
        }
    }

    /// Removes the files of a batch that will not be committed. Where that fails, only space is lost.
    pub async fn drop_prepared(&self, prepared: Option<PreparedBatch>) {
        if let Some(prepared) = prepared {
            self.table.remove_unnamed(prepared.adds.into_iter().map(|add| add.path)).await;
        }
    }

    /// Whether the batch behind `index` can be prepared before that one is committed.
    fn may_prepare_beside(&self, plan: &LoadPlan, index: usize) -> bool {
        let Some(next) = plan.batches.get(index + 1) else { return false };
        // Equal rows have an equal date.
        self.definition.unique_key.is_empty()
            || self.definition.partition_by.is_some() && plan.batches[index].dates().is_disjoint(&next.dates())
    }

    /// Writes the rows of a batch as data files, each date by itself.
    #[tracing::instrument(target = "profile", level = "trace", name = "prepare", skip_all, fields(of = plan.batches[index].to_string(), rows = plan.batches[index].rows()))]
    async fn prepare_batch(&self, plan: &LoadPlan, index: usize, spill: &Path, write_time: i64) -> Result<PreparedBatch, Error> {
        let stored = self.files_with_duplicates(plan, index).await?;
        let mut by_date: BTreeMap<Option<NaiveDate>, Vec<Segment>> = BTreeMap::new();
        for segment in &plan.batches[index].segments {
            by_date.entry(segment.date).or_default().push(segment.clone());
        }
        let write = async |(date, segments): (Option<NaiveDate>, Vec<Segment>)| {
            let partition = date.map(|date| date.to_string());
            let is_of_date = |(_, of): &&FilePlace| self.definition.partition_by.is_none() || *of == partition;
            let stored: Vec<FilePlace> = stored.iter().filter(is_of_date).cloned().collect();
            self.write_part(plan, &Batch { segments }, spill, (&stored, write_time)).await
        };
        let mut prepared = PreparedBatch { index, write_time, adds: Vec::new(), by_date: BTreeMap::new() };
        let mut failed = None;
        for part in side_by_side(by_date.into_iter().collect(), cores(), write).await {
            match part {
                Ok((adds, counts)) => {
                    prepared.adds.extend(adds);
                    for (date, counts) in counts {
                        *prepared.by_date.entry(date).or_default() += counts;
                    }
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if let Some(error) = failed {
            self.drop_prepared(Some(prepared)).await;
            return Err(error);
        }
        Ok(prepared)
    }

    /// Writes the rows of one date of a batch: the files, and the fates by date.
    async fn write_part(
        &self,
        plan: &LoadPlan,
        part: &Batch,
        spill: &Path,
        (stored, write_time): (&[FilePlace], i64),
    ) -> Result<(Vec<Add>, BTreeMap<String, Counts>), Error> {
        let Some(rows) = read_batch(spill, part, plan)? else { return Ok(<_>::default()) };
        let Sifted { rows, by_date } = self.sift(&rows, stored).await?;
        let adds = match rows {
            Some(rows) => self.written(&rows, plan.receipt, write_time).await?,
            None => Vec::new(),
        };
        Ok((adds, by_date))
    }

    /// The stored files in which duplicates of a batch's rows are looked for.
    ///
    /// Of a snapshot these are its own: a row that another url's snapshot has as well must stay when that one goes.
    async fn files_with_duplicates(&self, plan: &LoadPlan, index: usize) -> Result<Vec<FilePlace>, Error> {
        if self.definition.unique_key.is_empty() {
            return Ok(Vec::new());
        }
        let files = self.files_of(&plan.batches[index])?;
        if self.definition.on_change == OnChange::Append {
            return Ok(files);
        }
        if index == 0 {
            return Ok(Vec::new());
        }
        let own = self.files_of_receipts(&BTreeSet::from([i64::try_from(plan.receipt).unwrap_or(i64::MAX)])).await?;
        Ok(files.into_iter().filter(|(path, _)| own.iter().any(|(file, _)| file.path == *path)).collect())
    }
}
