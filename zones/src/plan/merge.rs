//! raw → use case: the merges of the raw versions that a table has not taken in.
//!
//! Each merge is rehearsed: the changed rows are folded with the stored rows of their keys, and nothing is written. The first
//! one comes out just as it would; so does a later one that has neither keys nor files in common with those before it.

use std::collections::{BTreeSet, HashSet};

use model::definition::UseCaseTable;
use model::plan::{Amount, MergeBatch, MergePlan};
use model::position::TableVersion;

use super::{MOST_ROWS, bytes, bytes_in, files_in, rows};
use crate::changes::{Group, changes_of, grouped};
use crate::delta::{DataFile, PartitionValue, Since, Table};
use crate::error::Error;
use crate::lake::Lake;
use crate::query::Input;
use crate::use_case::{RawChanges, Rehearsal, UseCase};

/// What a run would merge into a table from `raw` as it is. The table must be there, and must have been folded from this raw
/// table by this definition.
pub async fn merge(lake: &Lake, definition: &UseCaseTable, raw: &Table) -> Result<MergePlan, Error> {
    let input = Input { origin: definition.input().clone(), schema: raw.schema().clone(), table: Some(raw.clone()) };
    let target = UseCase::look(lake, definition, &[input]).await?;
    let position = target.position().await?;
    target.expect_input(raw, position).await?;
    let batch_rows = definition.merge().map_or(u64::MAX, |merge| merge.batch_rows);
    let commits = match raw.since(position).await? {
        Since::Commits(commits) => commits,
        Since::Gone { reason } => {
            let batches = vec![whole(raw, position, &target.table().files(None)?, &reason)?];
            return Ok(planned(definition, batches));
        }
    };
    let groups = grouped(commits, batch_rows);
    let waiting: u64 = groups.iter().map(|group| group.rows).sum();
    let mut earlier = Earlier::default();
    let basis = format!("more than {MOST_ROWS} rows are waiting: their keys are not looked up");
    let mut batches = Vec::new();
    for group in groups {
        batches.push(if waiting > MOST_ROWS {
            let files = if batches.is_empty() { target.table().files(None)? } else { Vec::new() };
            estimated(&group, &files, batches.is_empty(), &basis)
        } else {
            rehearsed(&target, raw, &group, &mut earlier).await?
        });
    }
    Ok(planned(definition, batches))
}

/// What a run would merge into a table that is still to be made.
pub async fn first_merge(definition: &UseCaseTable, raw: &Table) -> Result<MergePlan, Error> {
    let batch_rows = definition.merge().map_or(u64::MAX, |merge| merge.batch_rows);
    let commits = match raw.since(None).await? {
        Since::Commits(commits) => commits,
        Since::Gone { reason } => {
            let batches = vec![whole(raw, None, &[], &reason)?];
            return Ok(planned(definition, batches));
        }
    };
    let groups = grouped(commits, batch_rows);
    let basis = "the table is new: rows come together in the fold";
    let batches = (0..).zip(&groups).map(|(at, group)| estimated(group, &[], at == 0, basis)).collect();
    Ok(planned(definition, batches))
}

fn planned(definition: &UseCaseTable, batches: Vec<MergeBatch>) -> MergePlan {
    MergePlan { table: definition.name.clone(), from: definition.input().table().to_owned(), batches, to_come: None }
}

async fn rehearsed(target: &UseCase<'_>, raw: &Table, group: &Group, earlier: &mut Earlier) -> Result<MergeBatch, Error> {
    let mut changes = RawChanges::default();
    let columns = target.input_columns(raw);
    for commit in &group.commits {
        let of_commit = changes_of(raw, commit, &columns).await?;
        changes.added.extend(of_commit.upserts);
        changes.removed.extend(of_commit.deletes);
    }
    let read: u64 = changes.added.iter().chain(&changes.removed).map(|rows| rows.num_rows() as u64).sum();
    let raw_then = if changes.removed.is_empty() { raw.clone() } else { raw.at(group.last()).await? };
    let found = target.rehearse(changes, &raw_then).await?;
    let sure = earlier.sureness(&found);
    earlier.add(&found);
    let Rehearsal { to_rows, partitions, looked_into, rewritten, .. } = found;
    Ok(MergeBatch {
        first_version: group.first().0,
        last_version: group.last().0,
        rows: Amount::exact(read),
        partitions: sure.keys(partitions.len() as u64),
        files_read: sure.looked_into(looked_into.len() as u64),
        bytes_read: sure.looked_into(bytes(&looked_into)),
        files_rewritten: sure.files(rewritten.len() as u64),
        bytes_rewritten: sure.files(bytes(&rewritten)),
        rows_rewritten: sure.files(rows(&rewritten)),
        inserted: sure.keys(to_rows.inserted),
        updated: sure.keys(to_rows.updated),
        deleted: sure.keys(to_rows.deleted),
    })
}

/// The one merge of an input that can no longer be read version by version.
fn whole(raw: &Table, position: Option<TableVersion>, stored: &[DataFile], reason: &str) -> Result<MergeBatch, Error> {
    let basis = format!("all of the input is folded anew: {reason}");
    let partitions: BTreeSet<&PartitionValue> = stored.iter().map(|file| &file.partition).collect();
    let unknown = || Amount::later(&basis);
    Ok(MergeBatch {
        first_version: position.map_or(0, |position| position.0 + 1),
        last_version: raw.version().0,
        rows: Amount::exact(raw.row_count()?),
        partitions: Amount::exact(partitions.len() as u64),
        files_read: files_in(stored),
        bytes_read: bytes_in(stored),
        files_rewritten: Amount::at_most(stored.len() as u64, &basis),
        bytes_rewritten: Amount::at_most(bytes(stored), &basis),
        rows_rewritten: Amount::at_most(rows(stored), &basis),
        inserted: unknown(),
        updated: unknown(),
        deleted: unknown(),
    })
}

/// What can be said of a merge without reading rows.
fn estimated(group: &Group, files: &[DataFile], is_first: bool, basis: &str) -> MergeBatch {
    let at_most = |amount: Amount| match amount.value {
        Some(0) if is_first => Amount::exact(0),
        Some(value) if is_first => Amount::at_most(value, basis),
        _ => Amount::later("known after the batches before it"),
    };
    let partitions: BTreeSet<&PartitionValue> = files.iter().map(|file| &file.partition).collect();
    let folded = group.commits.iter().filter(|commit| !commit.forgets());
    let counted: Option<Vec<_>> = folded.map(crate::delta::CommitContent::changed_rows).collect();
    let changed = counted.map(|counted| counted.iter().map(|rows| rows.inserted + rows.updated + rows.deleted).sum());
    let rows_changed = match changed {
        Some(changed) => Amount::exact(changed),
        None => Amount::estimated(group.rows, "the rows of the files that were added"),
    };
    let unknown = || Amount::later(basis);
    MergeBatch {
        first_version: group.first().0,
        last_version: group.last().0,
        rows: rows_changed,
        partitions: at_most(Amount::exact(partitions.len() as u64)),
        files_read: at_most(files_in(files)),
        bytes_read: at_most(bytes_in(files)),
        files_rewritten: at_most(files_in(files)),
        bytes_rewritten: at_most(bytes_in(files)),
        rows_rewritten: at_most(Amount::exact(rows(files))),
        inserted: unknown(),
        updated: unknown(),
        deleted: unknown(),
    }
}

/// What the merges before one would touch.
#[derive(Default)]
struct Earlier {
    keys: HashSet<u64>,
    files: HashSet<String>,
    is_any: bool,
}

/// Which numbers of a merge those before it cannot change.
struct Sureness {
    keys: bool,
    files: bool,
    looked_into: bool,
}

impl Earlier {
    fn sureness(&self, found: &Rehearsal) -> Sureness {
        let keys = !found.keys.iter().any(|key| self.keys.contains(key));
        let files = keys && !found.rewritten.iter().any(|file| self.files.contains(file.path.as_ref()));
        // Rows that came before may be in any partition, also in one of these.
        let looked_into = !self.is_any || (found.partitions.is_empty() && keys);
        Sureness { keys, files, looked_into }
    }

    fn add(&mut self, found: &Rehearsal) {
        self.is_any = true;
        self.keys.extend(&found.keys);
        self.files.extend(found.rewritten.iter().map(|file| file.path.to_string()));
    }
}

const AS_IT_IS: &str = "by the table as it is now; the batches before this one change it";

impl Sureness {
    fn keys(&self, value: u64) -> Amount {
        if self.keys { Amount::exact(value) } else { Amount::estimated(value, AS_IT_IS) }
    }

    fn files(&self, value: u64) -> Amount {
        if self.files { Amount::exact(value) } else { Amount::estimated(value, AS_IT_IS) }
    }

    fn looked_into(&self, value: u64) -> Amount {
        if self.looked_into { Amount::exact(value) } else { Amount::estimated(value, AS_IT_IS) }
    }
}
