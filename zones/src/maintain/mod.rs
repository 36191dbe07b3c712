//! Maintenance of the tables of a lake: what is put together, let go of, and removed.
//!
//! A table is looked at once ([`TableCare::look`], which writes nothing), and what is found then is what is done
//! ([`TableCare::run`]): a dry run foretells exactly what a real one does. Guarantee: nothing that a reader of changes has still to
//! read goes, whatever the rules say, nor anything that a version younger than the keeping time names; rows go only in whole dates
//! past the retention, and only after every reader has taken them in. Each step can be stopped anywhere and done again: what it
//! did stays right, and what it did not do is found again. The lake must be held ([`crate::lake::Lake::hold`]): compaction
//! beside a merge would fail one of them.
//! Never: touches a table of another pipeline; changes rows.

mod compaction;
mod files;
mod leftovers;
mod log;
mod retention;

use std::path::PathBuf;

use deltalake::kernel::Add;
use model::definition::{PipelineClock, RawTable};
use model::maintenance::{FileSum, MaintenanceStep, StepReport};
use model::position::{FilePosition, TableVersion};
use model::shutdown::Shutdown;
use object_store::path::Path;

use crate::delta::{CommitContent, Table, stored_path};
use crate::error::Error;

pub use compaction::{COMPACTED_FILE_BYTES, MIN_FILES, RECENT_COMMITS, SMALL_FILE_BYTES};
pub use leftovers::Leftovers;
pub use log::MIN_COMMITS;
pub use retention::Archive;

use compaction::Rewrite;
use files::Unneeded;
use log::LogCare;
use retention::Forgetting;

/// What is kept, and for how long. Times are in microseconds.
#[derive(Debug, Clone)]
pub struct Rules {
    pub now: i64,
    /// Versions younger than this stay readable.
    pub keep: i64,
    /// Files that nothing names must be older than this: a writer that is no run of ours may be about to name them.
    pub orphan_age: i64,
    pub steps: Vec<MaintenanceStep>,
    /// Where dates go before they are removed.
    pub archive: Option<Archive>,
}

impl Rules {
    fn has(&self, step: MaintenanceStep) -> bool {
        self.steps.contains(&step)
    }

    fn kept_since(&self) -> i64 {
        self.now.saturating_sub(self.keep)
    }
}

/// Who reads a table's changes, and how far it has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// `use_case.NAME` or `cassandra.NAME`.
    pub name: String,
    /// `None`: it has not begun, or has to begin anew, or cannot be asked. All is kept for it.
    pub position: Option<TableVersion>,
}

/// What a raw table's definition says about its age.
#[derive(Debug, Clone, Copy)]
pub struct Retention<'d> {
    pub table: &'d RawTable,
    pub clock: PipelineClock,
}

/// A table that is to be looked after.
#[derive(Debug)]
pub struct Subject<'d> {
    /// Its name for people: `raw.NAME`, `use_case.NAME`, `quarantine`.
    pub target: String,
    pub table: Table,
    pub readers: Vec<Reader>,
    pub retention: Option<Retention<'d>>,
    /// Of a use-case table: the folder of its key directory.
    pub keys: Option<PathBuf>,
    /// Files in its folder that a commit of another table says it will name: see [`promised`].
    pub promised: Vec<Path>,
}

/// The files that the newest replay into `raw` leaves to the quarantine, whether or not they have got there.
pub async fn promised(raw: &Table) -> Result<Vec<Path>, Error> {
    if raw.input_number(crate::raw::REPLAYS).await?.is_none() {
        return Ok(Vec::new());
    }
    for version in (0..=raw.version().0).rev() {
        let note = match raw.commit_content(TableVersion(version)).await {
            Err(Error::CommitGone { .. }) => break,
            content => content?.note(),
        };
        if let Some(note) = note.filter(|note| note.replayed.is_some()) {
            let files = note.left_in_quarantine.unwrap_or_default();
            let files = files.into_iter().filter_map(|file| serde_json::from_value::<Add>(file).ok());
            return Ok(files.map(|file| stored_path(&file.path)).collect());
        }
    }
    Ok(Vec::new())
}

/// What is to be done for one table.
#[derive(Debug)]
pub struct TableCare {
    target: String,
    table: Table,
    /// Of a use-case table, to be brought along when its files are put together.
    keys: Option<PathBuf>,
    forgetting: Option<Forgetting>,
    rewrites: Vec<Rewrite>,
    log: LogCare,
    unneeded: Unneeded,
    held_back: Vec<(MaintenanceStep, String)>,
    before: FileSum,
}

impl TableCare {
    /// Looks at a table.
    pub async fn look(subject: Subject<'_>, rules: &Rules) -> Result<Self, Error> {
        let Subject { target, table, readers, retention, keys, promised } = subject;
        let slowest = Slowest::of(&readers);
        let commits = logged_commits(&table).await?;
        let mut held_back = Vec::new();
        let forgetting = match retention.filter(|_| rules.has(MaintenanceStep::Retention)) {
            Some(retention) => Forgetting::find(&table, retention, rules).await?,
            None => None,
        };
        let is_loading = match retention {
            Some(Retention { table: raw, .. }) => {
                let number = table.input_number(&raw.from).await?.unwrap_or(0);
                FilePosition::from_number(number).is_within_a_file()
            }
            None => false,
        };
        let last_change = commits.iter().rev().find(|commit| commit.changes_data()).map(|commit| commit.version);
        let under_way = is_loading.then(|| "the load of a file is under way".to_owned());
        let forgetting = match (forgetting, under_way.or_else(|| slowest.behind(last_change))) {
            (Some(found), Some(who)) => {
                let dates = found.dates().count();
                held_back.push((MaintenanceStep::Retention, format!("{dates} dates are past the retention, and {who}")));
                None
            }
            (found, _) => found,
        };
        let rewrites = if rules.has(MaintenanceStep::Compaction) {
            let gone = forgetting.as_ref().map(retention::Forgetting::partitions).unwrap_or_default();
            compaction::find(&table, &commits, &gone)?
        } else {
            Vec::new()
        };
        let objects = table.stored_objects().await?;
        let log = LogCare::find(&table, &commits, &slowest, rules).await?;
        let unneeded = Unneeded::find(&table, &commits, &objects, (&slowest, &promised), rules).await?;
        if let Some(who) = slowest.who_holds(last_change) {
            let steps = [MaintenanceStep::Checkpoint, MaintenanceStep::Vacuum];
            held_back.extend(
                steps
                    .into_iter()
                    .filter(|step| rules.has(*step))
                    .map(|step| (step, format!("{who}: what it still has to read stays"))),
            );
        }
        let mut before = FileSum::default();
        for object in objects {
            before.add(object.size);
        }
        Ok(Self { target, table, keys, forgetting, rewrites, log, unneeded, held_back, before })
    }

    /// What [`Self::run`] would report. The bytes of files that are still to be written are not known.
    pub fn foretold(&self) -> Vec<StepReport> {
        let mut reports = Vec::new();
        if let Some(forgetting) = &self.forgetting {
            reports.push(forgetting.report(&self.target));
        }
        reports.push(compaction::report(&self.target, &self.rewrites));
        reports.push(self.log.report(&self.target));
        reports.push(files::report(&self.target, MaintenanceStep::Vacuum, &self.unneeded.expired));
        reports.push(files::report(&self.target, MaintenanceStep::Orphans, &self.unneeded.orphans));
        for (step, note) in &self.held_back {
            if let Some(report) = reports.iter_mut().find(|report| report.step == *step) {
                report.notes.push(note.clone());
            } else {
                let mut report = StepReport::new(*step, &self.target);
                report.notes.push(note.clone());
                reports.push(report);
            }
        }
        reports.retain(|report| !report.is_empty());
        reports.sort_by_key(|report| report.step);
        reports
    }

    /// Files of the table before, the log among them.
    pub fn before(&self) -> FileSum {
        self.before
    }

    /// Does what was found, step by step; between two steps and two rewrites the request to stop is looked at.
    pub async fn run(self, rules: &Rules, shutdown: &Shutdown) -> Result<(Vec<StepReport>, FileSum), Error> {
        let table = self.table.name().to_owned();
        let run = self.steps(rules, shutdown).await;
        // Another program wrote to the table meanwhile: what was found is to be looked for again.
        run.map_err(
            |error| if error.is_conflict() { Error::Contended { table, step: "maintaining", attempts: 1 } } else { error },
        )
    }

    async fn steps(mut self, rules: &Rules, shutdown: &Shutdown) -> Result<(Vec<StepReport>, FileSum), Error> {
        let mut reports = self.foretold();
        let mut amend = |step: MaintenanceStep, bytes: u64| {
            if let Some(report) = reports.iter_mut().find(|report| report.step == step) {
                report.bytes_after = Some(bytes);
            }
        };
        if let Some(forgetting) = self.forgetting.take() {
            shutdown.check()?;
            forgetting.run(&mut self.table, rules).await?;
        }
        let keys = self.keys.take();
        let bytes =
            compaction::run(&mut self.table, std::mem::take(&mut self.rewrites), keys.as_deref(), rules, shutdown).await?;
        amend(MaintenanceStep::Compaction, bytes);
        shutdown.check()?;
        amend(MaintenanceStep::Checkpoint, self.log.run(&self.table).await?);
        for object in self.unneeded.expired.iter().chain(&self.unneeded.orphans) {
            shutdown.check()?;
            self.table.remove_object(&object.location).await?;
        }
        let mut after = FileSum::default();
        self.table.stored_objects().await?.iter().for_each(|object| after.add(object.size));
        Ok((reports, after))
    }
}

/// The reader that is furthest behind.
struct Slowest {
    reader: Option<Reader>,
}

impl Slowest {
    fn of(readers: &[Reader]) -> Self {
        Self { reader: readers.iter().min_by_key(|reader| reader.position).cloned() }
    }

    /// The first version that has still to be read; `None` where there is none to come but those that are not made yet.
    fn first_unread(&self) -> Option<TableVersion> {
        let reader = self.reader.as_ref()?;
        Some(reader.position.map_or(TableVersion(0), |position| TableVersion(position.0 + 1)))
    }

    /// Whether a version has still to be read by someone.
    fn needs(&self, version: TableVersion) -> bool {
        self.first_unread().is_some_and(|first| version >= first)
    }

    /// Who has not taken in a version.
    fn behind(&self, version: Option<TableVersion>) -> Option<String> {
        let reader = self.reader.as_ref().filter(|_| version.is_some_and(|version| self.needs(version)))?;
        Some(match reader.position {
            Some(position) => format!("{} has only got to version {position}", reader.name),
            None => format!("{} has not begun to read them", reader.name),
        })
    }

    fn who_holds(&self, newest: Option<TableVersion>) -> Option<String> {
        let newest = newest?;
        let reader = self.reader.as_ref().filter(|_| self.needs(newest))?;
        Some(match reader.position {
            Some(position) => format!("{} is at version {position} of {newest}", reader.name),
            None => format!("{} has not begun", reader.name),
        })
    }
}

/// The commits that the log itself holds, oldest first.
async fn logged_commits(table: &Table) -> Result<Vec<CommitContent>, Error> {
    let mut commits = Vec::new();
    for version in (0..=table.version().0).rev() {
        let Some(content) = table.logged_commit(TableVersion(version)).await? else { break };
        commits.push(content);
    }
    commits.reverse();
    Ok(commits)
}
