//! raw → use case.
//!
//! Guarantee: after a run, the use-case table equals the definition's SQL folded over every raw version up to the recorded
//! one, however often and wherever this stage was interrupted. The position (raw version) travels in the same commit as the
//! rows. Never: reads more than the versions it has not seen; rewrites a file that holds none of the batch's changed keys.

use std::time::Instant;

use model::definition::UseCaseTable;
use model::position::TableVersion;
use model::report::{Outcome, StageName, StageReport};
use zones::changes::{Group, changes_of, grouped};
use zones::delta::Table;
use zones::use_case::{Merged, UseCase, Versions};
use zones::{Error as LakeError, raw};

use crate::context::Context;
use crate::error::Error;

/// Another writer (compaction, say) may get in between; a batch is done again this often.
const ATTEMPTS: u32 = 5;

/// Folds every raw version that is not in the table yet.
pub async fn run(context: &Context, table: &UseCaseTable) -> Result<StageReport, Error> {
    let started = Instant::now();
    let mut report = StageReport::new(StageName::RawToUseCase, &table.name);
    let definition = context.pipeline.raw_table(&table.from).expect("a validated definition");
    let raw = raw::open(&context.lake, definition).await?;
    let mut target = UseCase::open(&context.lake, table, raw.schema()).await?;

    let position = target.position().await?;
    expect_not_ahead(&raw, &target, position)?;
    if let Some(last) = target.last_merge().await? {
        let table_name = target.table().name().to_owned();
        if last.definition != table.fold_hash() {
            return Err(LakeError::FoldChanged { table: table_name }.into());
        }
        if last.input_id.is_some_and(|id| id != raw.id()) {
            return Err(LakeError::InputReplaced { table: table_name, input: raw.name().to_owned() }.into());
        }
    }
    let groups = grouped(raw.commits_after(position).await?, table.batch_rows);
    let progress = context.watch.start(StageName::RawToUseCase, &table.name);
    progress.expect(groups.iter().map(|group| group.rows).sum());
    for group in &groups {
        context.shutdown.check()?;
        let merged = merge(context, &raw, &mut target, group).await?;
        report.outcome = Outcome::Done;
        report.counts.read += group.rows;
        report.counts.accepted += group.rows;
        report.written += merged.inserted + merged.updated;
        report.commits += 1;
        progress.advance(group.rows);
    }
    report.position = Some(target.table().version().0);
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

async fn merge(context: &Context, raw: &Table, target: &mut UseCase<'_>, group: &Group) -> Result<Merged, Error> {
    let mut rows = Vec::new();
    for commit in &group.commits {
        rows.extend(changes_of(raw, commit).await?.upserts);
    }
    let versions = Versions { input_id: raw.id(), first: group.first(), last: group.last() };
    for _ in 1..ATTEMPTS {
        match target.merge(rows.clone(), versions, context.now).await {
            Err(error) if error.is_conflict() => target.refresh().await?,
            merged => return Ok(merged?),
        }
    }
    match target.merge(rows, versions, context.now).await {
        Err(error) if error.is_conflict() => {
            let table = target.table().name().to_owned();
            Err(LakeError::Contended { table, step: "merging", attempts: ATTEMPTS }.into())
        }
        merged => Ok(merged?),
    }
}

fn expect_not_ahead(raw: &Table, target: &UseCase<'_>, position: Option<TableVersion>) -> Result<(), Error> {
    match position {
        Some(position) if position > raw.version() => Err(LakeError::PositionAhead {
            table: target.table().name().to_owned(),
            input: raw.name().to_owned(),
            position: position.0,
            available: raw.version().0,
        }
        .into()),
        _ => Ok(()),
    }
}
