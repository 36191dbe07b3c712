//! `sluice run` and each stage as a command of its own.

use std::process::ExitCode;
use std::time::Instant;

use model::report::{RunReport, StageName, StageReport};

use crate::commands;
use crate::error::Error;
use crate::opened::Opened;
use crate::settings::{Output, RunArgs};
use crate::{report, runner, slicing};

/// Runs the whole chain, or one stage of it, and prints the report.
pub async fn run(arguments: RunArgs, stage: Option<StageName>) -> ExitCode {
    match Box::pin(work(&arguments, stage)).await {
        Ok(report) => {
            match arguments.talk.output {
                Output::Table => println!("{}", report::table(&report, arguments.talk.detail())),
                Output::Json => println!("{}", serde_json::to_string_pretty(&report).expect("a report is plain data")),
            }
            if report.accounting_closes { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => commands::fail(&error),
    }
}

async fn work(arguments: &RunArgs, stage: Option<StageName>) -> Result<RunReport, Error> {
    let started = Instant::now();
    let opened = Opened::new(arguments).await?;
    let context = &opened.context;
    let _hold = opened.hold().await?;
    prepare_slice(&opened).await?;
    context.remaining.expect(&context.pipeline, stage);
    let keyspace = opened.has_cassandra().then(|| opened.keyspace.clone());
    context.recording.begin(context, started, keyspace.clone(), stage);
    let stages = stages(&opened, stage).await.map_err(|error| match context.lake.confirm_hold() {
        // Whatever failed then: files that it had begun are the other run's now.
        Err(taken @ zones::Error::TakenOver { .. }) => taken.into(),
        _ => error,
    });
    let report = stages.map(|stages| runner::report(context, keyspace, started, stages));
    context.recording.end(context, report.as_ref());
    report
}

async fn stages(opened: &Opened, stage: Option<StageName>) -> Result<Vec<StageReport>, Error> {
    let context = &opened.context;
    let Some(stage) = stage else { return Box::pin(runner::run(context, opened.connect())).await };
    let needs_store = matches!(stage, StageName::CreateTables | StageName::RawToCassandra | StageName::UseCaseToCassandra);
    let store = if needs_store && opened.has_cassandra() { Some(opened.connect().await?) } else { None };
    runner::stage(context, store.as_ref(), stage).await
}

/// A debug run with another slice than the last one starts its lake and its keyspace afresh.
async fn prepare_slice(opened: &Opened) -> Result<(), Error> {
    let context = &opened.context;
    let Some(slice) = &context.slice else { return Ok(()) };
    match slicing::slice_of(&context.lake) {
        Some(kept) if kept == slice.to_string() => return Ok(()),
        Some(kept) => context.watch.say(&format!("the debug lake holds the slice {kept}; starting afresh with {slice}")),
        None => {}
    }
    if opened.has_cassandra() {
        opened.connect().await?.drop_keyspace().await.map_err(Error::cassandra("drop the debug keyspace"))?;
    }
    context.lake.remove()?;
    slicing::mark(&context.lake, slice)
}
