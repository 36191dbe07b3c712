//! Replay: records that were set aside go through the present definition once more, and those that pass into the raw table.
//!
//! Guarantee: a record is in the quarantine or has left it, never both and never neither, whenever the replay is stopped. The
//! rows of one receipt, with what is to be left in the quarantine, are one commit to the raw table; the quarantine follows with a
//! commit that carries the number of that replay. A replay that was stopped between the two is ended by the next one, or by the
//! next load, from the raw commit alone: no record is decided twice. Rows keep the receipt, entry and position of their record.
//! Never: replays records of a file that was stopped, which is loaded as a whole; those of a snapshot that was superseded; those
//! of which only the beginning was kept; reads a landed file for more than headers of CSV and rows of Parquet.

mod feed;
mod keep;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use model::counts::Counts;
use model::definition::{Landing, PipelineClock, RawTable, load_hash};
use model::progress::Progress;
use model::shutdown::Shutdown;
use serde::Serialize;

use crate::delta::Table;
use crate::entries::Entries;
use crate::error::Error;
use crate::load::{Bounds, DateChoice, ROWS_FILE, Refed};
use crate::raw::{Left, Raw};
use crate::rejects::Filter;

pub use keep::finish;

/// Another writer of the quarantine (compaction, say) may get in between; its half is done again this often.
const ATTEMPTS: u32 = 5;

/// What a replay of one receipt needs.
pub struct Replay<'a> {
    pub table: &'a RawTable,
    pub landing: &'a Landing,
    pub clock: PipelineClock,
    /// The wall clock of this run, in microseconds.
    pub now: i64,
    pub filter: &'a Filter,
    pub receipt: u64,
    /// Opens the landed file of the receipt.
    pub landed: &'a dyn Fn() -> Result<Entries, Error>,
    /// See [`Bounds::choose`].
    pub choose: Option<&'a DateChoice<'a>>,
    pub shutdown: &'a Shutdown,
    pub progress: &'a dyn Progress,
    /// A folder for rows that wait for their commit.
    pub folder: &'a std::path::Path,
}

/// Whether it is done, or only said what it would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Commit,
    DryRun,
}

/// What became of the records of one receipt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Records that were fed.
    pub tried: u64,
    /// Records that left the quarantine: `accepted + duplicate + dropped + too_old + sliced_off`.
    pub left: u64,
    pub accepted: u64,
    pub duplicate: u64,
    pub dropped: u64,
    pub too_old: u64,
    pub sliced_off: u64,
    /// Records that stay, by the reason that they have now.
    pub stays: BTreeMap<String, u64>,
    /// Records that could not be tried because only their beginning was kept.
    pub cut: u64,
    /// Dates (and rows) of what is new in the raw table.
    pub dates: BTreeMap<NaiveDate, u64>,
    /// Failures of checks that only warn, or drop.
    pub checks: BTreeMap<String, u64>,
    /// The raw version with the rows; `None` where no record left.
    pub version: Option<u64>,
}

impl Replay<'_> {
    /// Feeds the records and, unless it is a dry run, commits what became of them.
    pub async fn run(&self, raw: &mut Raw<'_>, quarantine: &mut Table, mode: Mode) -> Result<Replayed, Error> {
        let bounds = Bounds {
            table: self.table,
            clock: self.clock,
            definition: load_hash(self.landing, self.table),
            receipt: self.receipt,
            now: self.now,
            newest_before: raw.newest_event().await?,
            forgotten_before: raw.table().forgotten_before().await?,
            format: &self.landing.format,
            max_record_bytes: self.landing.max_record_bytes,
            choose: self.choose,
            shutdown: self.shutdown,
            file_bytes: 0,
            progress: self.progress,
        };
        let (Refed { plan, stays }, cut) = feed::feed(self, quarantine, &bounds).await?;
        if let Some(stop) = &plan.stopped {
            let (file, reason, advice) = (format!("receipt {}", self.receipt), stop.reason.clone(), stop.advice.clone());
            return Err(Error::Stopped { file, reason, advice });
        }
        let left = plan.counts.read - stays.count;
        let checks = plan.checks.clone();
        let mut replayed =
            Replayed { tried: plan.counts.read, left, stays: stays.by_reason.clone(), cut, checks, ..Replayed::default() };
        let spill = self.folder.join(ROWS_FILE);
        if mode == Mode::DryRun {
            replayed.count(raw.rehearse_replayed(&plan, &spill).await?);
            return Ok(replayed);
        }
        let Some(kept) = keep::write(self, quarantine, &stays, &bounds.definition, left).await? else { return Ok(replayed) };
        self.shutdown.check()?;
        if left == 0 {
            // Only reasons changed: one commit, of the quarantine alone.
            keep::commit(quarantine, self, &bounds.definition, kept, None).await?;
            return Ok(replayed);
        }
        if !plan.batches.is_empty() {
            raw.add_columns(&plan).await?;
        }
        let batch = raw.commit_replayed(&plan, &spill, Left { replayed: left, files: kept }, self.now).await?;
        replayed.version = Some(batch.version.0);
        replayed.count(batch.counts);
        let mut attempt = 1;
        while let Err(error) = finish(raw, quarantine, self.table, self.now).await {
            if !error.is_conflict() || attempt == ATTEMPTS {
                return Err(error);
            }
            attempt += 1;
            quarantine.refresh().await?;
        }
        Ok(replayed)
    }
}

impl Replayed {
    fn count(&mut self, counts: Counts) {
        let Counts { accepted, duplicate, dropped, too_old, sliced_off, .. } = counts;
        (self.accepted, self.duplicate, self.dropped) = (accepted, duplicate, dropped);
        (self.too_old, self.sliced_off) = (too_old, sliced_off);
    }
}
