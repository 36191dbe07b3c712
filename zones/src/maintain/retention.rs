//! Whole dates of a raw table that are past its retention.
//!
//! Guarantee: all dates go in one commit, and before it every one of their rows is in the archive, where there is one. A commit of an
//! append-only table says that it only lets go of rows ([`Forgotten`]): what was made of them stays. A snapshot loses them as it
//! would by its next file: what was made of them follows. An archive holds each row once, however often this was stopped: files
//! of an attempt that did not get to its commit are removed by the next one.
//! docs/decisions/0006-retention.md says why.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt};
use model::crash;
use model::maintenance::{MaintenanceStep, StepReport};
use model::position::TableVersion;
use object_store::ObjectStoreExt;

use super::{Retention, Rules};
use crate::delta::feed::{DELETE, FeedWriter};
use crate::delta::{ChangedRows, Commit, CommitNote, DataFile, Forgotten, PartitionValue, ReadPlan, Table};
use crate::error::Error;
use crate::load::oldest_kept;

/// A folder outside of the lake, of a pipeline's own.
#[derive(Debug, Clone)]
pub struct Archive {
    folder: PathBuf,
}

impl Archive {
    /// `folder` holds the archives of all pipelines.
    pub fn new(folder: &Path, pipeline: &str) -> Self {
        Self { folder: folder.join(pipeline) }
    }

    /// `TABLE/COLUMN=DATE`, which Parquet readers take for a partition.
    fn of_date(&self, table: &str, column: &str, date: NaiveDate) -> PathBuf {
        self.folder.join(table).join(format!("{column}={date}"))
    }
}

/// Dates that are to go.
#[derive(Debug)]
pub(super) struct Forgetting {
    table: String,
    oldest_kept: NaiveDate,
    files: BTreeMap<NaiveDate, Vec<DataFile>>,
    archive: Option<Archive>,
}

impl Forgetting {
    pub(super) async fn find(table: &Table, retention: Retention<'_>, rules: &Rules) -> Result<Option<Self>, Error> {
        let newest = table.newest_event().await?;
        let Some(oldest_kept) = oldest_kept(retention.table, retention.clock, rules.now, newest) else { return Ok(None) };
        let mut files: BTreeMap<NaiveDate, Vec<DataFile>> = BTreeMap::new();
        for file in table.files(None)? {
            let date = file.partition.as_ref().and_then(|value| value.parse::<NaiveDate>().ok());
            if let Some(date) = date.filter(|date| *date < oldest_kept) {
                files.entry(date).or_default().push(file);
            }
        }
        let (name, archive) = (retention.table.name.clone(), rules.archive.clone());
        Ok((!files.is_empty()).then_some(Self { table: name, oldest_kept, files, archive }))
    }

    pub(super) fn dates(&self) -> impl Iterator<Item = NaiveDate> {
        self.files.keys().copied()
    }

    pub(super) fn partitions(&self) -> BTreeSet<PartitionValue> {
        self.dates().map(|date| Some(date.to_string())).collect()
    }

    fn rows(&self) -> BTreeMap<NaiveDate, u64> {
        self.files.iter().map(|(date, files)| (*date, files.iter().filter_map(|file| file.rows).sum())).collect()
    }

    pub(super) fn report(&self, target: &str) -> StepReport {
        let mut report = StepReport::new(MaintenanceStep::Retention, target);
        for file in self.files.values().flatten() {
            report.before.add(file.size);
            report.paths.push(file.path.to_string());
        }
        report.dates = self.dates().collect();
        report.rows = self.rows().values().sum();
        match &self.archive {
            Some(archive) => {
                report.notes.push(format!("archived in {} before", archive.folder.join(&self.table).display()));
            }
            None => report.notes.push("not archived (no --archive)".to_owned()),
        }
        report
    }

    pub(super) async fn run(self, table: &mut Table, rules: &Rules) -> Result<(), Error> {
        if let Some(archive) = &self.archive {
            for (date, files) in &self.files {
                self.archive_date(table, archive, *date, files).await?;
            }
        }
        let rows = self.rows();
        let has_feed = table.has_change_feed();
        let mut feed = FeedWriter::new(table);
        if has_feed {
            for file in self.files.values().flatten() {
                let mut rows = table.read_file(&file.path, &file.partition, &ReadPlan::all(table)).await?;
                while let Some(rows) = rows.try_next().await? {
                    feed.write(DELETE, &rows).await?;
                }
            }
        }
        let change_files = feed.finish().await?;
        let archive = self.archive.as_ref().map(|archive| archive.folder.join(&self.table).display().to_string());
        let deleted = rows.values().sum();
        let note = CommitNote {
            input: "retention".to_owned(),
            changed: Some(ChangedRows { deleted, ..ChangedRows::default() }),
            write_time: table.next_write_time(rules.now).await?,
            run: Some(rules.now),
            forgotten: Some(Forgotten { before: self.oldest_kept, rows, archive }),
            ..CommitNote::default()
        };
        let removes = self.files.into_values().flatten().collect();
        crash::point("maintain/retention:before");
        table.commit(Commit { removes, change_files, note, ..Commit::default() }).await?;
        crash::point("maintain/retention:after");
        Ok(())
    }

    /// Copies the date's files as they are. Their names say from which version they came, so that an attempt can be told apart.
    async fn archive_date(&self, table: &Table, archive: &Archive, date: NaiveDate, files: &[DataFile]) -> Result<(), Error> {
        let column = table.partition_column().expect("a table with dates has a date column");
        let folder = archive.of_date(&self.table, column, date);
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        remove_attempts(table, &folder, date).await?;
        for (index, file) in files.iter().enumerate() {
            let target = folder.join(format!("{}-{:020}-{index:05}.parquet", short_id(table), table.version().0 + 1));
            // A damaged file is said to be one while the rows can still be mended.
            table.check_file(&file.path).await?;
            crash::point("maintain/archive:before");
            copy(table, &file.path, &target).await?;
            crash::point("maintain/archive:after");
        }
        // The names below the archive's folder, up to the one that was there before.
        for folder in folder.ancestors().take(4) {
            if folder.as_os_str().is_empty() {
                break;
            }
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", folder))?;
        }
        Ok(())
    }
}

/// Eight characters of the table's id: another table of that name has others.
fn short_id(table: &Table) -> String {
    table.id().chars().filter(char::is_ascii_alphanumeric).take(8).collect()
}

/// Removes what an attempt left that did not get to its commit: the date's rows are still in the table.
async fn remove_attempts(table: &Table, folder: &Path, date: NaiveDate) -> Result<(), Error> {
    let ours = format!("{}-", short_id(table));
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let path = entry.map_err(Error::io("list", folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(&ours));
        let version = name.and_then(|name| name.split('-').next()).and_then(|version| version.parse::<u64>().ok());
        let Some(version) = version else { continue };
        let was_committed = version <= table.version().0 && {
            let note = table.commit_content(TableVersion(version)).await?.note();
            note.and_then(|note| note.forgotten).is_some_and(|forgotten| forgotten.rows.contains_key(&date))
        };
        if !was_committed {
            crash::point("maintain/archive-attempt:before");
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            crash::point("maintain/archive-attempt:after");
        }
    }
    Ok(())
}

async fn copy(table: &Table, from: &object_store::path::Path, to: &Path) -> Result<(), Error> {
    let beside = to.with_added_extension("part");
    let mut file = File::create(&beside).map_err(Error::io("create", &beside))?;
    let lost = |source| table.store_error("read a file to archive it", source);
    let mut bytes = table.object_store().get(from).await.map_err(lost)?.into_stream();
    while let Some(bytes) = bytes.next().await {
        file.write_all(&bytes.map_err(lost)?).map_err(Error::io("write", &beside))?;
    }
    file.sync_all().map_err(Error::io("write", &beside))?;
    crash::point("maintain/archive-rename:before");
    fs::rename(&beside, to).map_err(Error::io("rename into place", to))?;
    crash::point("maintain/archive-rename:after");
    Ok(())
}
