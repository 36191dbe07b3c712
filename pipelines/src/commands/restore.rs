//! `sluice restore`: a table of the lake gets the rows that it had at an earlier version.

use std::process::ExitCode;

use clap::Args;
use model::definition::Origin;
use model::position::TableVersion;
use model::report::StageName;
use serde::Serialize;
use zones::Error as LakeError;
use zones::delta::Table;
use zones::explore::At;
use zones::rebuild::Circumstances;
use zones::restore::restore as restore_table;

use super::explore::at;
use super::names::{Named, find};
use crate::commands;
use crate::context::Context;
use crate::error::Error;
use crate::opened::Opened;
use crate::settings::{Output, RunArgs};
use crate::stages::open_table;

#[derive(Debug, Args)]
pub struct RestoreArgs {
    #[command(flatten)]
    pub run: RunArgs,

    /// raw.NAME, use_case.NAME, or a name that only one table has
    pub table: String,

    /// The version whose rows it gets, or the time at which it had them: a date, or an instant such as 2024-01-31T12:00:00Z
    #[arg(long, value_parser = at, value_name = "VERSION|TIME")]
    pub to: At,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableRestore {
    pub table: String,
    /// The version whose rows the table has.
    pub restored: u64,
    /// The version that was the newest before: restore it to undo this.
    pub before: u64,
    pub version: u64,
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
    pub files_back: u64,
    pub files_out: u64,
}

pub async fn run(arguments: RestoreArgs) -> ExitCode {
    let restored = async {
        let opened = Opened::new(&arguments.run).await?;
        let named = find(&opened.context.pipeline, &arguments.table)?;
        let _hold = opened.hold().await?;
        let done = restore(&opened.context, &named, arguments.to).await?;
        match arguments.run.talk.output {
            Output::Table => println!("{}", text(&opened.context, &done)),
            Output::Json => println!("{}", serde_json::to_string_pretty(&done).expect("a report is plain data")),
        }
        Ok::<_, Error>(ExitCode::SUCCESS)
    };
    commands::exit(Box::pin(restored).await)
}

/// Restores a table of the lake.
pub async fn restore(context: &Context, named: &Named, at: At) -> Result<TableRestore, Error> {
    let Named::Lake(origin) = named else {
        let hint = "restore the table that it is filled from; the next run changes Cassandra by the difference";
        let problem = "a Cassandra table has no versions".to_owned();
        return Err(Error::Semantics { place: named.to_string(), problem, hint: Some(hint.to_owned()) });
    };
    let mut table = open_table(context, origin).await?;
    let before = table.version();
    let version = version(&table, origin, at).await?;
    let (key, inputs) = key_and_inputs(context, origin);
    let progress = context.watch.start(StageName::RawToUseCase, origin.table());
    let circumstances = Circumstances { now: context.now, shutdown: &context.shutdown, progress: progress.as_ref() };
    let restored = restore_table(&mut table, version, &key, &inputs, &circumstances).await?;
    Ok(TableRestore {
        table: origin.to_string(),
        restored: version.0,
        before: before.0,
        version: restored.version.0,
        inserted: restored.changed.inserted,
        updated: restored.changed.updated,
        deleted: restored.changed.deleted,
        files_back: restored.files_back,
        files_out: restored.files_out,
    })
}

async fn version(table: &Table, origin: &Origin, at: At) -> Result<TableVersion, Error> {
    let newest = table.version();
    Ok(match at {
        At::Newest => newest,
        At::Version(version) if version > newest.0 => {
            let asked = format!("version {version}");
            return Err(LakeError::NoVersion { table: origin.to_string(), asked, newest: newest.0 }.into());
        }
        At::Version(version) => TableVersion(version),
        At::Time(instant) => table.as_of(instant).await?.version(),
    })
}

/// What tells the rows of a table apart, and what it reads, as its positions name it.
fn key_and_inputs(context: &Context, origin: &Origin) -> (Vec<String>, Vec<String>) {
    match origin {
        Origin::Raw(name) => {
            let table = context.pipeline.raw_table(name).expect("a validated definition");
            (zones::raw::row_key(), vec![table.from.clone()])
        }
        Origin::UseCase(name) => {
            let table = context.pipeline.use_case(name).expect("a validated definition");
            let inputs = match table.merge() {
                Some(_) => vec![table.input().table().to_owned()],
                None => table.from.iter().map(ToString::to_string).collect(),
            };
            (table.key.clone(), inputs)
        }
    }
}

fn text(context: &Context, done: &TableRestore) -> String {
    let TableRestore { table, restored, before, version, inserted, updated, deleted, .. } = done;
    let pipeline = &context.pipeline.name;
    format!(
        "{table} has the rows of version {restored} again, as version {version}: {inserted} came, {updated} changed, {deleted} went\n\
         its positions went back with its rows: `sluice run {pipeline}` takes in again what came after, and sends the difference\n\
         to undo this: `sluice restore {pipeline} {table} --to {before}`"
    )
}
