//! Small files of dates that are no longer written to become large ones.
//!
//! Which dates these are follows from the log: those that none of the last commits touched. A table without dates has no last one
//! to wait for. Files are put together where at least a handful of them is small, so that each row is written anew a few times at
//! most, however often this runs. Guarantee: the same rows, in commits that every reader of changes steps over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::NaiveDate;
use deltalake::kernel::Action;
use deltalake::writer::DeltaWriter;
use futures::TryStreamExt;
use model::crash;
use model::maintenance::{MaintenanceStep, StepReport};
use model::shutdown::Shutdown;

use super::Rules;
use crate::delta::{Commit, CommitContent, CommitNote, DataFile, Effect, PartitionValue, ReadPlan, Table, partition_of};
use crate::error::Error;
use crate::keys::KeyDirectory;

/// Files up to this size are put together. One whole result is held in memory.
pub const COMPACTED_FILE_BYTES: u64 = 64 << 20;
/// Smaller files than this are small.
pub const SMALL_FILE_BYTES: u64 = COMPACTED_FILE_BYTES / 4;
/// Fewer small files than this in one date are left as they are.
pub const MIN_FILES: usize = 4;
/// Dates that any of the last so many commits with data touched are still open.
pub const RECENT_COMMITS: usize = 8;
/// Rewritten bytes after which a commit is made: what a stop may cost.
const COMMIT_BYTES: u64 = 256 << 20;

/// Files of one date that become one.
#[derive(Debug)]
pub(super) struct Rewrite {
    files: Vec<DataFile>,
}

impl Rewrite {
    fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

/// What can be put together. `gone` are partitions that are about to leave.
pub(super) fn find(table: &Table, commits: &[CommitContent], gone: &BTreeSet<PartitionValue>) -> Result<Vec<Rewrite>, Error> {
    let open = if table.partition_column().is_some() { recently_touched(table, commits) } else { BTreeSet::new() };
    let mut small: BTreeMap<PartitionValue, Vec<DataFile>> = BTreeMap::new();
    for file in table.files(None)? {
        if file.size < SMALL_FILE_BYTES && !open.contains(&file.partition) && !gone.contains(&file.partition) {
            small.entry(file.partition.clone()).or_default().push(file);
        }
    }
    let mut rewrites = Vec::new();
    for mut files in small.into_values() {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let mut bin = Rewrite { files: Vec::new() };
        for file in files {
            if bin.bytes() + file.size > COMPACTED_FILE_BYTES {
                rewrites.push(std::mem::replace(&mut bin, Rewrite { files: Vec::new() }));
            }
            bin.files.push(file);
        }
        rewrites.push(bin);
    }
    rewrites.retain(|rewrite| rewrite.files.len() >= MIN_FILES);
    Ok(rewrites)
}

fn recently_touched(table: &Table, commits: &[CommitContent]) -> BTreeSet<PartitionValue> {
    let recent = commits.iter().rev().filter(|commit| commit.changes_data()).take(RECENT_COMMITS);
    let actions = recent.flat_map(|commit| &commit.actions);
    actions
        .filter_map(|action| match action {
            Action::Add(file) => Some(partition_of(&file.partition_values, table.partition_column())),
            Action::Remove(file) => {
                Some(file.partition_values.as_ref().and_then(|values| partition_of(values, table.partition_column())))
            }
            _ => None,
        })
        .collect()
}

pub(super) fn report(target: &str, rewrites: &[Rewrite]) -> StepReport {
    let mut report = StepReport::new(MaintenanceStep::Compaction, target);
    for file in rewrites.iter().flat_map(|rewrite| &rewrite.files) {
        report.before.add(file.size);
        report.paths.push(file.path.to_string());
        report.dates.extend(file.partition.as_ref().and_then(|value| value.parse::<NaiveDate>().ok()));
    }
    report.dates.dedup();
    report.files_after = rewrites.len() as u64;
    report.bytes_after = if rewrites.is_empty() { Some(0) } else { None };
    report
}

/// Puts the files together; returns the bytes of what they became. A key directory in `keys` that was up to date stays so.
pub(super) async fn run(
    table: &mut Table,
    rewrites: Vec<Rewrite>,
    keys: Option<&Path>,
    rules: &Rules,
    shutdown: &Shutdown,
) -> Result<u64, Error> {
    let mut written = 0;
    let mut commit = Commit { effect: Effect::Rearranges, ..Commit::default() };
    let mut read = 0;
    let mut left = rewrites.into_iter().peekable();
    while let Some(rewrite) = left.next() {
        shutdown.check()?;
        read += rewrite.bytes();
        for add in one_of(table, &rewrite).await? {
            written += add.size.unsigned_abs();
            commit.adds.push(add);
        }
        commit.removes.extend(rewrite.files);
        if read >= COMMIT_BYTES || left.peek().is_none() {
            let made = std::mem::replace(&mut commit, Commit { effect: Effect::Rearranges, ..Commit::default() });
            commit_with_keys(table, made, keys, rules).await?;
            read = 0;
        }
    }
    Ok(written)
}

async fn one_of(table: &Table, rewrite: &Rewrite) -> Result<Vec<deltalake::kernel::Add>, Error> {
    let in_table = |source| Error::delta("put files together", table.name())(source);
    let mut writer = table.data_writer(None)?;
    for file in &rewrite.files {
        let mut rows = table.read_file(&file.path, &file.partition, &ReadPlan::all(table)).await?;
        while let Some(rows) = rows.try_next().await? {
            writer.write(rows).await.map_err(in_table)?;
        }
    }
    table.flushed(&mut writer).await
}

async fn commit_with_keys(table: &mut Table, mut commit: Commit, keys: Option<&Path>, rules: &Rules) -> Result<(), Error> {
    commit.note = CommitNote {
        input: "compaction".to_owned(),
        write_time: table.next_write_time(rules.now).await?,
        run: Some(rules.now),
        ..CommitNote::default()
    };
    let before = table.version();
    crash::point("maintain/compaction:before");
    let after = table.commit(commit).await?;
    crash::point("maintain/compaction:after");
    let Some(folder) = keys.filter(|folder| folder.is_dir()) else { return Ok(()) };
    let mut directory = KeyDirectory::open(folder, table.id(), before)?;
    // No key came and none moved. Behind, or after another writer's commit, it catches up from the log by itself.
    if directory.as_of() == before && after.0 == before.0 + 1 {
        directory.add(&BTreeMap::new(), after)?;
    }
    Ok(())
}
