//! The log of a table: a checkpoint where many commits came since the last one, and what lies before an older one removed.
//!
//! Guarantee: a commit leaves the log only after it is kept in the table's `_ledger/`, only below a checkpoint from which the table
//! can be opened, and only where every reader has passed it, no version younger than the keeping time needs it, and the newest
//! merge is not among it.

use model::crash;
use model::maintenance::{MaintenanceStep, StepReport};
use model::position::TableVersion;

use super::{Rules, Slowest};
use crate::delta::log::{LogFile, LogKind};
use crate::delta::{CommitContent, Table};
use crate::error::Error;

/// After fewer commits than this a checkpoint is not worth its file. (A run writes one by itself each hundred commits.)
pub const MIN_COMMITS: u64 = 10;

#[derive(Debug)]
pub(super) struct LogCare {
    /// Commits that are read when the table is opened.
    commits_to_read: u64,
    writes_checkpoint: bool,
    /// Oldest first.
    removes: Vec<LogFile>,
    first_kept: u64,
}

impl LogCare {
    pub(super) async fn find(table: &Table, commits: &[CommitContent], slowest: &Slowest, rules: &Rules) -> Result<Self, Error> {
        let mut care = Self { commits_to_read: 0, writes_checkpoint: false, removes: Vec::new(), first_kept: 0 };
        if !rules.has(MaintenanceStep::Checkpoint) {
            return Ok(care);
        }
        let files = table.log_files().await?;
        let newest = Table::newest_checkpoint(&files, table.version());
        care.commits_to_read = newest.map_or(table.version().0 + 1, |newest| table.version().0 - newest);
        care.writes_checkpoint = care.commits_to_read >= MIN_COMMITS;
        let limit = limit(table, commits, slowest, rules);
        if let Some(first_kept) = Table::newest_checkpoint(&files, limit) {
            care.first_kept = first_kept;
            care.removes = files.into_iter().filter(|file| file.version < first_kept).collect();
        }
        Ok(care)
    }

    pub(super) fn report(&self, target: &str) -> StepReport {
        let mut report = StepReport::new(MaintenanceStep::Checkpoint, target);
        for file in &self.removes {
            report.before.add(file.bytes);
            report.paths.push(file.path.to_string());
        }
        let has_commits = self.removes.iter().any(|file| file.kind == LogKind::Commit);
        report.bytes_after = if self.writes_checkpoint || has_commits { None } else { Some(0) };
        if has_commits {
            report.files_after += 1;
            report.notes.push(format!("versions before {} leave the log; what they were is kept in the ledger", self.first_kept));
        }
        if self.writes_checkpoint {
            report.files_after += 1;
            report.notes.push(format!("a checkpoint stands for {} commits when the table is opened", self.commits_to_read));
        }
        report
    }

    /// Returns the bytes of what was written in the ledger.
    pub(super) async fn run(&self, table: &Table) -> Result<u64, Error> {
        if self.writes_checkpoint {
            crash::point("maintain/checkpoint:before");
            table.write_checkpoint().await?;
            crash::point("maintain/checkpoint:after");
        }
        let commits = || self.removes.iter().filter(|file| file.kind == LogKind::Commit).map(|file| file.version);
        let mut kept = 0;
        if let (Some(first), Some(last)) = (commits().min(), commits().max()) {
            crash::point("maintain/ledger:before");
            kept = table.keep_commits(first..last + 1).await?;
            crash::point("maintain/ledger:after");
        }
        for file in &self.removes {
            crash::point("maintain/log:before");
            table.remove_object(&file.path).await?;
            crash::point("maintain/log:after");
        }
        Ok(kept)
    }
}

/// The version up to which the table need not be opened, nor its commits be read one by one, any more.
fn limit(table: &Table, commits: &[CommitContent], slowest: &Slowest, rules: &Rules) -> TableVersion {
    let unread = slowest.first_unread().unwrap_or(TableVersion(table.version().0 + 1));
    // The version before the first young one was the newest when the keeping time began.
    let is_young = |commit: &&CommitContent| commit.committed_at().is_none_or(|at| at >= rules.kept_since());
    let young = commits.iter().find(is_young).map(|commit| TableVersion(commit.version.0.saturating_sub(1)));
    let is_merge = |commit: &&CommitContent| commit.note().is_some_and(|note| note.versions.is_some() || !note.inputs.is_empty());
    let merge = commits.iter().rev().find(is_merge).map(|commit| commit.version);
    [Some(unread), young, merge, Some(table.version())].into_iter().flatten().min().unwrap_or(TableVersion(0))
}
