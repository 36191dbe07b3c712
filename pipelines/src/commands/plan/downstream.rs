//! What would be merged, computed anew and sent on.

use cassandra::sink::rehearse;
use model::definition::{CassandraTable, Origin, UseCaseTable};
use model::plan::{Amount, MergePlan, RunPlan, SendPlan, ViewPlan};
use model::position::TableVersion;
use zones::delta::{CommitContent, Table};
use zones::plan;
use zones::query::Input;

use super::{Serving, or_problem};
use crate::context::Context;
use crate::error::Error;
use crate::runner::in_order;
use crate::stages::create_tables::{design, statement};
use crate::stages::to_cassandra::{self, Waiting};

/// What raw-to-use-case would do, in the order of the tables.
pub(super) async fn use_cases(context: &Context, plan: &mut RunPlan) -> Result<(), Error> {
    for table in in_order(&context.pipeline) {
        let to_come = table.from.iter().find_map(|origin| pending(plan, origin));
        let place = format!("raw-to-use-case {}", table.name);
        if table.merge().is_some() {
            let merge = merge(context, table).await;
            if let Some(merge) = or_problem(plan, &place, merge)? {
                plan.merges.push(MergePlan { to_come, ..merge });
            }
        } else {
            let view = view(context, table).await;
            if let Some(view) = or_problem(plan, &place, view)? {
                plan.views.push(ViewPlan { to_come, ..view });
            }
        }
    }
    Ok(())
}

async fn open(context: &Context, origin: &Origin) -> Result<Option<Table>, Error> {
    let folder = match origin {
        Origin::Raw(name) => context.lake.raw_folder(name),
        Origin::UseCase(name) => context.lake.use_case_folder(name),
    };
    Ok(Table::open(&folder, &context.lake.table_name(origin.table())).await?)
}

async fn merge(context: &Context, table: &UseCaseTable) -> Result<MergePlan, Error> {
    let Some(raw) = open(context, table.input()).await? else {
        let from = table.input().table().to_owned();
        return Ok(MergePlan { table: table.name.clone(), from, batches: Vec::new(), to_come: None });
    };
    if open(context, &Origin::UseCase(table.name.clone())).await?.is_none() {
        return Ok(plan::first_merge(table, &raw).await?);
    }
    Ok(plan::merge(&context.lake, table, &raw).await?)
}

async fn view(context: &Context, table: &UseCaseTable) -> Result<ViewPlan, Error> {
    let mut inputs = Vec::new();
    for origin in &table.from {
        let Some(input) = open(context, origin).await? else {
            return Ok(plan::new_view(table, &format!("{origin} is still to be made")));
        };
        inputs.push(Input { origin: origin.clone(), schema: input.schema().clone(), table: Some(input) });
    }
    if open(context, &Origin::UseCase(table.name.clone())).await?.is_none() {
        return Ok(plan::new_view(table, "it is still to be made"));
    }
    Ok(plan::view(&context.lake, table, inputs).await?)
}

/// Why a table may get versions that it does not have yet.
fn pending(plan: &RunPlan, origin: &Origin) -> Option<String> {
    let name = origin.table();
    match origin {
        Origin::Raw(_) => {
            let load = plan.loads.iter().find(|load| load.table == name)?;
            let loads = (!load.files.is_empty()).then(|| format!("known after landing-to-raw of {name}"));
            loads.or_else(|| load.to_come.clone())
        }
        Origin::UseCase(_) => {
            if let Some(merge) = plan.merges.iter().find(|merge| merge.table == name) {
                let merges = (!merge.batches.is_empty()).then(|| format!("known after raw-to-use-case of {name}"));
                return merges.or_else(|| merge.to_come.clone());
            }
            let view = plan.views.iter().find(|view| view.table == name)?;
            let computes = (!view.changed_inputs.is_empty() || view.all_because.is_some())
                .then(|| format!("known after raw-to-use-case of {name}"));
            computes.or_else(|| view.to_come.clone())
        }
    }
}

/// What would be sent to each Cassandra table.
pub(super) async fn sends(context: &Context, serving: Serving<'_>, plan: &mut RunPlan) -> Result<(), Error> {
    let has_checkpoints = match serving {
        Serving::Read(store) => {
            let missing = store.missing(&[]).await.map_err(Error::cassandra("look for checkpoints"))?;
            missing.has_checkpoints
        }
        _ => false,
    };
    for table in &context.pipeline.cassandra {
        let to_come = pending(plan, &table.from);
        let send = send(context, serving, table, has_checkpoints).await;
        let place = format!("{} {}", to_cassandra::stage_of(table).name(), table.name);
        if let Some(send) = or_problem(plan, &place, send)? {
            plan.sends.push(SendPlan { to_come, ..send });
        }
    }
    Ok(())
}

async fn send(context: &Context, serving: Serving<'_>, table: &CassandraTable, has_checkpoints: bool) -> Result<SendPlan, Error> {
    let nothing = Amount::exact(0);
    let mut send = SendPlan {
        table: table.name.clone(),
        from: table.from.to_string(),
        checkpoint: None,
        version: None,
        upserts: nothing.clone(),
        deletes: nothing,
        to_come: None,
    };
    let Some(origin) = open(context, &table.from).await? else { return Ok(send) };
    send.version = Some(origin.version().0);
    let position = match serving {
        Serving::NotRead { .. } => {
            let unread = Amount::later("Cassandra was not read: its checkpoint is not known");
            return Ok(SendPlan { upserts: unread.clone(), deletes: unread, ..send });
        }
        Serving::Read(store) if has_checkpoints => to_cassandra::position(store, &context.pipeline.name, table, &origin).await?,
        Serving::Read(_) | Serving::NotNeeded => None,
    };
    send.checkpoint = position.map(|position| position.0);
    let (upserts, deletes) = changes(context, table, &origin, position).await?;
    Ok(SendPlan { upserts, deletes, ..send })
}

/// The rows that the versions after a position change, as they would be sent.
async fn changes(
    context: &Context,
    table: &CassandraTable,
    origin: &Table,
    position: Option<TableVersion>,
) -> Result<(Amount, Amount), Error> {
    let groups = match to_cassandra::waiting(context, origin, position).await? {
        Waiting::Groups(groups) => groups,
        Waiting::Gone { reason } => {
            let basis = format!("the whole of {} is compared with what is there: {reason}", table.from);
            return Ok((Amount::at_most(origin.row_count()?, &basis), Amount::later(&basis)));
        }
    };
    let counted: Option<Vec<_>> = groups.iter().flat_map(|group| &group.commits).map(CommitContent::changed_rows).collect();
    let changed: u64 = match &counted {
        Some(counted) => counted.iter().map(|rows| rows.inserted + rows.updated + rows.deleted).sum(),
        None => groups.iter().map(|group| group.rows).sum(),
    };
    if changed > plan::MOST_ROWS {
        let basis = format!("rows of {} that changed; those that the SQL leaves out are among them", table.from);
        let upserts = counted.iter().flatten().map(|rows| rows.inserted + rows.updated).sum::<u64>();
        let deletes = counted.iter().flatten().map(|rows| rows.updated + rows.deleted).sum::<u64>();
        return Ok(match counted {
            Some(_) => (Amount::at_most(upserts, &basis), Amount::at_most(deletes, &basis)),
            None => (Amount::estimated(changed, &basis), Amount::later(&basis)),
        });
    }
    let design = design(&context.pipeline, table).await?;
    let (statement, input) = (statement(table), origin.schema().clone());
    let (mut upserts, mut deletes) = (0, 0);
    let nulls = to_cassandra::nulls(&context.pipeline, table, &groups);
    for group in &groups {
        context.shutdown.check()?;
        let computed = to_cassandra::changes(origin, &statement, &input, group).await?;
        let written = rehearse(&design, nulls, &computed.changes)
            .map_err(Error::cassandra(format!("count the rows for {}", table.name)))?;
        upserts += written.rows;
        deletes += written.deletes;
    }
    Ok((Amount::exact(upserts), Amount::exact(deletes)))
}
