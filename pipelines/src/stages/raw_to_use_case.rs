//! raw → use case.
//!
//! Guarantee: after a run, a merged table equals the definition's SQL folded over every raw version up to the recorded one, and
//! a view equals its SQL over its inputs at the recorded versions, however often and wherever this stage was interrupted. The
//! positions travel in the same commit as the rows. Never: rewrites a file that holds none of the batch's changed keys. A merge
//! reads no version that it has seen, unless a snapshot took rows away.

use std::time::Instant;

use model::definition::{RawTable, UseCaseTable};
use model::plan::Known;
use model::position::TableVersion;
use model::report::{Beside, Outcome, StageName, StageReport};
use tracing::Instrument;
use zones::beside::both;
use zones::changes::{Group, changes_of, grouped};
use zones::delta::{CommitContent, ReadPlan, Since, Table};
use zones::query::Input;
use zones::use_case::{Footprint, Merged, Prepared, RawChanges, Selected, Touched, UseCase, Versions, query};
use zones::{Error as LakeError, raw};

use super::{ATTEMPTS, contended, open_table, pause};
use crate::context::Context;
use crate::error::Error;

/// Brings one use-case table up to date.
#[tracing::instrument(target = "profile", level = "trace", name = "stage", skip_all, fields(of = format!("raw-to-use-case {}", table.name)))]
pub async fn run(context: &Context, table: &UseCaseTable) -> Result<StageReport, Error> {
    let started = Instant::now();
    let mut report = StageReport::new(StageName::RawToUseCase, &table.name);
    match table.merge() {
        Some(merge) => {
            let name = table.input().table();
            let raw = context.pipeline.raw_table(name).expect("a validated definition");
            fold(context, table, raw, merge.batch_rows, &mut report).await?;
        }
        None => refresh(context, table, &mut report).await?,
    }
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

/// Folds every raw version that is not in the table yet.
async fn fold(
    context: &Context,
    table: &UseCaseTable,
    definition: &RawTable,
    batch_rows: u64,
    report: &mut StageReport,
) -> Result<(), Error> {
    let raw = raw::open(&context.lake, definition).await?;
    let input = Input { origin: table.input().clone(), schema: raw.schema().clone(), table: Some(raw.clone()) };
    let mut target = UseCase::open(&context.lake, table, &[input]).await?;

    let position = target.position().await?;
    target.expect_input(&raw, position).await?;
    let progress = context.watch.start(StageName::RawToUseCase, &table.name);
    let commits = match raw.since(position).await? {
        Since::Commits(commits) => commits,
        Since::Gone { reason } => {
            context.shutdown.check()?;
            progress.expect(raw.row_count()?);
            let (merged, read) = whole(context, &raw, &mut target, &reason).await?;
            add(report, merged, read);
            report.notes.push(format!("folded the whole of {} anew: {reason}", table.input()));
            report.position = Some(target.table().version().0);
            return Ok(());
        }
    };
    let groups = grouped(commits, batch_rows);
    let planned: Option<u64> = groups.iter().flat_map(|group| &group.commits).map(rows_changed).sum();
    progress.expect(groups.iter().map(|group| group.rows).sum());
    let merging = Merging { context, raw: &raw, columns: target.input_columns(&raw) };
    let mut ahead = match groups.first() {
        Some(first) => Some(merging.look_ahead(&target, first, None).await),
        None => None,
    };
    for (number, group) in groups.iter().enumerate() {
        context.shutdown.check()?;
        let looked = ahead.take().expect("looked at while the group before was written")?;
        let merged = Box::pin(merging.merge(&mut target, group, looked, groups.get(number + 1))).await?;
        add(report, merged.merged, merged.read);
        progress.advance(group.rows);
        ahead = merged.ahead;
    }
    if let Some(planned) = planned.filter(|_| !groups.is_empty()) {
        report.planned.rows = Some(Beside::new(planned, Known::Exact, report.counts.read));
    }
    if !groups.is_empty() {
        report.planned.commits = Some(Beside::new(groups.len() as u64, Known::Exact, report.commits));
    }
    report.position = Some(target.table().version().0);
    Ok(())
}

/// Raw versions on their way into a table, a group of them after the other: while the files of one are written, the next one is read and
/// prepared as far as it does not depend on them.
struct Merging<'m> {
    context: &'m Context,
    raw: &'m Table,
    columns: ReadPlan,
}

/// What is known of a group before its turn.
struct Ahead {
    selected: Selected,
    /// Where it touches nothing of the group before.
    prepared: Option<Prepared>,
}

struct Done {
    merged: Merged,
    /// Raw rows.
    read: u64,
    /// Of the group after it, if there is one.
    ahead: Option<Result<Ahead, Error>>,
}

impl Merging<'_> {
    async fn look_ahead(&self, target: &UseCase<'_>, group: &Group, before: Option<&Footprint>) -> Result<Ahead, Error> {
        let mut changes = RawChanges::default();
        for commit in &group.commits {
            let of_commit = changes_of(self.raw, commit, &self.columns).await?;
            changes.added.extend(of_commit.upserts);
            changes.removed.extend(of_commit.deletes);
        }
        let selected = target.select(changes).await?;
        let prepared = match before {
            Some(before) => target.prepare_beside(&selected, before, self.context.now).await?,
            None => None,
        };
        Ok(Ahead { selected, prepared })
    }

    #[tracing::instrument(target = "profile", level = "trace", name = "micro-batch", skip_all, fields(of = group.to_string(), rows = group.rows))]
    async fn merge(&self, target: &mut UseCase<'_>, group: &Group, looked: Ahead, next: Option<&Group>) -> Result<Done, Error> {
        let now = self.context.now;
        let Ahead { selected, prepared } = looked;
        let raw_then = if selected.folds_anew() { self.raw.at(group.last()).await? } else { self.raw.clone() };
        let versions = Versions { input_id: self.raw.id(), first: group.first(), last: group.last() };
        let before = (target.table().version(), target.position().await?);
        let prepared = match prepared {
            Some(prepared) => prepared,
            None => target.prepare(&selected, &raw_then, now).await?,
        };
        let footprint = prepared.footprint();
        let writing = Box::pin(target.write_prepared(prepared, versions, now));
        let looking = async || match next {
            Some(next) => {
                let ahead = tracing::trace_span!(target: "profile", "look ahead", of = next.to_string());
                Some(self.look_ahead(target, next, Some(&footprint)).instrument(ahead).await)
            }
            None => None,
        };
        let (written, mut ahead) = both(writing, looking).await;
        let merged = match target.commit(written?).await {
            Err(error) if error.is_conflict() => self.merge_again(target, &selected, &raw_then, versions, before.1).await?,
            merged => merged.map_err(|error| contended(error, target.table(), "merging"))?,
        };
        if merged.version.0 != before.0.0 + 1 {
            // Another writer was there: what was prepared, or failed, is of another table than this is now.
            ahead = match (ahead, next) {
                (Some(Ok(Ahead { selected, .. })), _) => Some(Ok(Ahead { selected, prepared: None })),
                (Some(Err(_)), Some(next)) => Some(self.look_ahead(target, next, None).await),
                (ahead, _) => ahead,
            };
        }
        Ok(Done { merged, read: selected.read, ahead })
    }

    /// After another writer's commit.
    async fn merge_again(
        &self,
        target: &mut UseCase<'_>,
        selected: &Selected,
        raw_then: &Table,
        versions: Versions<'_>,
        position: Option<TableVersion>,
    ) -> Result<Merged, Error> {
        for attempt in 1..ATTEMPTS {
            pause(attempt).await;
            target.refresh().await?;
            // Compaction moves no position. Who did, folded these versions already: once more would count them twice.
            if target.position().await? != position {
                return Err(LakeError::Contended { table: target.table().name().to_owned(), step: "merging", attempts: 1 }.into());
            }
            match target.merge(selected, raw_then, versions, self.context.now).await {
                Err(error) if error.is_conflict() && attempt + 1 < ATTEMPTS => {}
                merged => return Ok(merged.map_err(|error| contended(error, target.table(), "merging"))?),
            }
        }
        unreachable!("the last attempt returns")
    }
}

/// Reads all of the input, since it can no longer be read version by version.
async fn whole(context: &Context, raw: &Table, target: &mut UseCase<'_>, reason: &str) -> Result<(Merged, u64), Error> {
    let mut attempt = 1;
    loop {
        match target.merge_whole(raw, reason, context.now).await {
            Err(error) if error.is_conflict() && attempt < ATTEMPTS => pause(attempt).await,
            merged => return Ok(merged.map_err(|error| contended(error, target.table(), "merging"))?),
        }
        attempt += 1;
        target.refresh().await?;
    }
}

/// Refreshes a view once, from all that is new in its inputs.
async fn refresh(context: &Context, table: &UseCaseTable, report: &mut StageReport) -> Result<(), Error> {
    let mut inputs = Vec::new();
    for origin in &table.from {
        let input = open_table(context, origin).await?;
        inputs.push(Input { origin: origin.clone(), schema: input.schema().clone(), table: Some(input) });
    }
    let mut target = UseCase::open(&context.lake, table, &inputs).await?;
    target.expect_definition().await?;
    let query = query(table, inputs, context.lake.room()?);
    let (touched, read) = target.touched(&query).await?;
    report.position = Some(target.table().version().0);
    match &touched {
        Touched::Nothing => return Ok(()),
        Touched::Groups(sets) => {
            let groups: usize = sets.iter().map(|set| set.len()).sum();
            report.notes.push(format!("computed {groups} touched groups anew"));
        }
        Touched::All { reason } => report.notes.push(format!("computed all groups: {reason}")),
    }
    context.shutdown.check()?;
    let progress = context.watch.start(StageName::RawToUseCase, &table.name);
    let mut attempt = 1;
    let merged = loop {
        match target.refresh_view(&query, &touched, read, context.now).await {
            Err(error) if error.is_conflict() && attempt < ATTEMPTS => {
                pause(attempt).await;
                target.refresh().await?;
            }
            merged => break merged.map_err(|error| contended(error, target.table(), "refreshing"))?,
        }
        attempt += 1;
    };
    add(report, merged, read);
    if let Touched::Groups(sets) = &touched {
        // A set over a part of the key stands for more groups than it has members.
        let known = if sets.iter().all(|set| set.columns().len() == table.key.len()) { Known::AtMost } else { Known::Estimated };
        let groups = sets.iter().map(|set| set.len() as u64).sum();
        report.planned.groups = Some(Beside::new(groups, known, report.written));
    }
    progress.advance(merged.inserted + merged.updated + merged.deleted);
    report.position = Some(target.table().version().0);
    Ok(())
}

fn add(report: &mut StageReport, merged: Merged, read: u64) {
    report.outcome = Outcome::Done;
    report.counts.read += read;
    report.counts.accepted += read;
    report.written += merged.inserted + merged.updated + merged.deleted;
    report.deleted += merged.deleted;
    report.commits += 1;
    let planned = &mut report.planned;
    Beside::add(&mut planned.files, Beside::new(merged.files_looked_into, Known::AtMost, merged.files_rewritten));
    Beside::add(&mut planned.bytes, Beside::new(merged.bytes_looked_into, Known::AtMost, merged.bytes_rewritten));
}

fn rows_changed(commit: &CommitContent) -> Option<u64> {
    if commit.forgets() {
        return Some(0);
    }
    commit.changed_rows().map(|rows| rows.inserted + rows.updated + rows.deleted)
}
