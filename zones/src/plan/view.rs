//! Views: which groups the new versions of the inputs touched, and what computing these anew reads.

use std::sync::Arc;

use model::definition::UseCaseTable;
use model::plan::{Amount, ChangedInput, InputRead, ViewPlan};

use super::{MOST_ROWS, bytes_in, files_in};
use crate::delta::{CommitContent, DataFile, Since};
use crate::error::Error;
use crate::lake::Lake;
use crate::query::{GroupSet, Input, Query, Room};
use crate::use_case::{Touched, UseCase, query};

/// What a run would compute anew of a view over its inputs as they are. The view must be there, under this definition.
pub async fn view(lake: &Lake, definition: &UseCaseTable, inputs: Vec<Input>) -> Result<ViewPlan, Error> {
    let target = UseCase::look(lake, definition, &inputs).await?;
    target.expect_definition().await?;
    let query = query(definition, inputs, Room::default());
    let changed_inputs = changed(&target, &query).await?;
    let mut plan = ViewPlan {
        table: definition.name.clone(),
        groups: Amount::exact(0),
        all_because: None,
        reads: Vec::new(),
        files_read: Amount::exact(0),
        bytes_read: Amount::exact(0),
        to_come: None,
        changed_inputs,
    };
    if plan.changed_inputs.is_empty() {
        return Ok(plan);
    }
    if let Some(waiting) = too_many(&plan.changed_inputs, &query).await? {
        let basis = format!("{waiting} changed rows of the inputs were not looked at; at most all groups");
        plan.groups = Amount::later(&basis);
        let at_most = |amount: Amount| amount.value.map_or(amount, |value| Amount::at_most(value, &basis));
        plan.reads = reads(&query.reads(None).await?, &at_most);
        let stored = target.table().files(None)?;
        (plan.files_read, plan.bytes_read) = (at_most(files_in(&stored)), at_most(bytes_in(&stored)));
        return Ok(plan);
    }
    let (touched, _) = target.touched(&query).await?;
    let sets: Option<Vec<Arc<GroupSet>>> = match &touched {
        Touched::Nothing => Some(Vec::new()),
        Touched::Groups(sets) => Some(sets.clone()),
        Touched::All { .. } => None,
    };
    plan.groups = match &touched {
        Touched::Nothing => Amount::exact(0),
        Touched::Groups(sets) => Amount::exact(sets.iter().map(|set| set.len() as u64).sum()),
        Touched::All { .. } => Amount::later("all groups there are"),
    };
    if let Touched::All { reason } = &touched {
        plan.all_because = Some(reason.clone());
    }
    let restricted = sets.as_ref().map(|sets| (definition.key.as_slice(), sets.as_slice()));
    if sets.as_ref().is_none_or(|sets| !sets.is_empty()) {
        plan.reads = reads(&query.reads(restricted).await?, &|amount| amount);
    }
    let partitions = target.partitions_of_groups(&touched)?;
    let stored = target.table().files(partitions.as_ref())?;
    (plan.files_read, plan.bytes_read) = (files_in(&stored), bytes_in(&stored));
    Ok(plan)
}

/// What a run would compute of a view for which there is nothing to compare with: `reason` says why.
pub fn new_view(definition: &UseCaseTable, reason: &str) -> ViewPlan {
    let all = || Amount::later("all groups there are");
    ViewPlan {
        table: definition.name.clone(),
        changed_inputs: Vec::new(),
        groups: all(),
        all_because: Some(reason.to_owned()),
        reads: Vec::new(),
        files_read: Amount::exact(0),
        bytes_read: Amount::exact(0),
        to_come: None,
    }
}

async fn changed(target: &UseCase<'_>, query: &Query) -> Result<Vec<ChangedInput>, Error> {
    let last = target.last_merge().await?;
    let mut changed = Vec::new();
    for input in &query.inputs {
        let Some(table) = &input.table else { continue };
        let known = last.as_ref().and_then(|note| note.inputs.iter().find(|known| known.input == input.origin.to_string()));
        let known = known.filter(|known| known.id == table.id() && known.version <= table.version().0);
        if known.is_none_or(|known| known.version < table.version().0) {
            let taken_in = known.map(|known| known.version);
            changed.push(ChangedInput { input: input.origin.to_string(), taken_in, version: table.version().0 });
        }
    }
    Ok(changed)
}

/// The changed rows of the inputs, where these are more than are looked at. An input that was never read is not: all groups
/// are computed then.
async fn too_many(changed: &[ChangedInput], query: &Query) -> Result<Option<u64>, Error> {
    let mut rows = 0;
    for changed in changed {
        let Some(since) = changed.taken_in else { return Ok(None) };
        let input = query.inputs.iter().find(|input| input.origin.to_string() == changed.input);
        let Some(table) = input.and_then(|input| input.table.as_ref()) else { continue };
        match table.since(Some(model::TableVersion(since))).await? {
            Since::Commits(commits) => rows += commits.iter().map(rows_of).sum::<u64>(),
            Since::Gone { .. } => return Ok(None),
        }
    }
    Ok((rows > MOST_ROWS).then_some(rows))
}

fn rows_of(commit: &CommitContent) -> u64 {
    commit.changed_rows().map_or(0, |rows| rows.inserted + rows.updated + rows.deleted)
}

fn reads(files: &[(model::definition::Origin, Vec<DataFile>)], sure: &dyn Fn(Amount) -> Amount) -> Vec<InputRead> {
    let read = |(origin, files): &(model::definition::Origin, Vec<DataFile>)| InputRead {
        input: origin.to_string(),
        files: sure(files_in(files)),
        bytes: sure(bytes_in(files)),
    };
    files.iter().map(read).collect()
}
