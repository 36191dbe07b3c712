//! Which files of a table nobody needs any more.
//!
//! A file is needed by the newest version; by versions younger than the keeping time; and by readers that have not got past the
//! commits that name it. That holds for data files, for the change feed, and for tombstones, which the notes of merges name.
//! What no commit names was left by a writer that crashed, or by one that is still at work: it goes when it is old enough.

use std::collections::{HashMap, HashSet};

use deltalake::kernel::Action;
use model::maintenance::{MaintenanceStep, StepReport};
use model::position::TableVersion;
use object_store::ObjectMeta;
use object_store::path::Path;

use super::{Rules, Slowest};
use crate::delta::{CommitContent, Table, stored_path};
use crate::error::Error;

/// Folders of a table that are looked after elsewhere.
const OTHERS: [&str; 2] = ["_delta_log", "_ledger"];

#[derive(Debug, Default)]
pub(super) struct Unneeded {
    /// Only versions past the keeping time name them.
    pub(super) expired: Vec<ObjectMeta>,
    /// Nothing names them.
    pub(super) orphans: Vec<ObjectMeta>,
}

/// What the log says of a file.
#[derive(Default)]
struct Named {
    is_unread: bool,
    /// When the last version that names it was superseded, in microseconds; `None` while that is not known to have been.
    until: Option<i64>,
}

impl Unneeded {
    pub(super) async fn find(
        table: &Table,
        commits: &[CommitContent],
        objects: &[ObjectMeta],
        (slowest, promised): (&Slowest, &[Path]),
        rules: &Rules,
    ) -> Result<Self, Error> {
        let mut unneeded = Self::default();
        if !rules.has(MaintenanceStep::Vacuum) && !rules.has(MaintenanceStep::Orphans) {
            return Ok(unneeded);
        }
        let live: HashSet<Path> = table.files(None)?.into_iter().map(|file| file.path).collect();
        let named = named(table, commits, slowest).await?;
        for object in objects {
            let is_elsewhere = object.location.parts().next().is_some_and(|first| OTHERS.contains(&first.as_ref()));
            if is_elsewhere || live.contains(&object.location) || promised.contains(&object.location) {
                continue;
            }
            if let Some(named) = named.get(&object.location) {
                let is_old = named.until.is_some_and(|until| until < rules.kept_since());
                if is_old && !named.is_unread && rules.has(MaintenanceStep::Vacuum) {
                    unneeded.expired.push(object.clone());
                }
            } else {
                // What else another engine keeps here (deletion vectors, say) is its own.
                let is_parquet = object.location.extension() == Some("parquet");
                let is_old = is_parquet && object.last_modified.timestamp_micros() < rules.now.saturating_sub(rules.orphan_age);
                if is_old && rules.has(MaintenanceStep::Orphans) {
                    unneeded.orphans.push(object.clone());
                }
            }
        }
        unneeded.expired.sort_by(|a, b| a.location.cmp(&b.location));
        unneeded.orphans.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(unneeded)
    }
}

async fn named(table: &Table, commits: &[CommitContent], slowest: &Slowest) -> Result<HashMap<Path, Named>, Error> {
    let mut named: HashMap<Path, Named> = HashMap::new();
    // The tombstones that count at the commit that is looked at; at first those that the commits before the log's left.
    let mut tombstones: Vec<Path> = tombstones_before(table, commits).await?;
    for path in &tombstones {
        named.entry(path.clone()).or_default();
    }
    for commit in commits {
        let at = commit.committed_at();
        let is_unread = slowest.needs(commit.version);
        let mut say = |path: Path, until: Option<i64>| {
            let file = named.entry(path).or_default();
            file.is_unread |= is_unread;
            file.until = until;
        };
        for action in &commit.actions {
            match action {
                Action::Add(file) => say(stored_path(&file.path), None),
                Action::Remove(file) => {
                    let until = file.deletion_timestamp.map(|millis| millis * 1000).or(at);
                    say(stored_path(&file.path), until);
                }
                // The change feed of a version is read for as long as the version is.
                Action::Cdc(file) => say(stored_path(&file.path), at),
                _ => {}
            }
        }
        let Some(note) = commit.note().filter(|note| note.versions.is_some()) else { continue };
        let count = paths(&note.tombstones);
        for past in tombstones.iter().filter(|past| !count.contains(past)) {
            say(past.clone(), at);
        }
        for path in &count {
            say(path.clone(), None);
        }
        tombstones = count;
    }
    Ok(named)
}

fn paths(names: &[String]) -> Vec<Path> {
    names.iter().map(|name| Path::from(name.as_str())).collect()
}

/// The tombstones that the last merge before these commits named.
async fn tombstones_before(table: &Table, commits: &[CommitContent]) -> Result<Vec<Path>, Error> {
    let names_any = |commit: &CommitContent| commit.note().is_some_and(|note| !note.tombstones.is_empty());
    let first = commits.first().map_or(0, |commit| commit.version.0);
    if !commits.iter().any(names_any) {
        return Ok(Vec::new());
    }
    for version in (0..first).rev() {
        match table.commit_content(TableVersion(version)).await {
            Err(Error::CommitGone { .. }) => break,
            content => {
                if let Some(note) = content?.note().filter(|note| note.versions.is_some()) {
                    return Ok(paths(&note.tombstones));
                }
            }
        }
    }
    Ok(Vec::new())
}

/// What is removed in a step.
pub(super) fn report(target: &str, step: MaintenanceStep, objects: &[ObjectMeta]) -> StepReport {
    let mut report = StepReport::new(step, target);
    for object in objects {
        report.before.add(object.size);
        report.paths.push(object.location.to_string());
    }
    report
}
