//! `sluice maintain`: small files together, logs short, what is past its time archived and removed, and what crashes left.
//!
//! Guarantee: the lake is held as by a run, so that neither gets in the other's way. Rows change in no table, but for whole dates
//! that are past a raw table's retention. Nothing goes that a use case, a view or a Cassandra table has still to read, whatever was
//! asked for; a Cassandra that cannot be asked counts as one that has read nothing. A stop between any two steps leaves a lake
//! that the next maintenance goes on with. A dry run holds and writes nothing, and foretells what a real one does.

mod print;
mod readers;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cassandra::Store;
use chrono::DateTime;
use clap::{Args, ValueEnum};
use model::definition::{Origin, parse_duration};
use model::maintenance::{FileSum, MAINTENANCE_SCHEMA, MaintenanceMode, MaintenanceReport, MaintenanceStep};
use model::position::FilePosition;
use zones::delta::Table;
use zones::maintain::{self, Archive, Leftovers, Retention, Rules, Subject, TableCare};
use zones::quarantine;

use crate::commands;
use crate::context::Context;
use crate::error::Error;
use crate::opened::Opened;
use crate::settings::{Output, RunArgs};
use crate::signals;
use crate::stages::open_table;

use readers::Checkpoints;

pub use print::text;

#[derive(Debug, Clone, Args)]
pub struct MaintainArgs {
    #[command(flatten)]
    pub run: RunArgs,

    /// Say what would be done, and do none of it
    #[arg(long)]
    pub dry_run: bool,

    /// Only these steps, parted by commas [default: all of them]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STEP,...")]
    pub only: Vec<Step>,

    /// Versions of tables younger than this stay readable (`sluice show --at`), with their files and their log
    #[arg(long, value_parser = parse_duration, default_value = "7 days", value_name = "DURATION")]
    pub keep: u64,

    /// Files that no table names go when they are older than this; another program may be about to name them
    #[arg(long, value_parser = parse_duration, default_value = "1 day", value_name = "DURATION")]
    pub orphan_age: u64,

    /// Copy dates that are past the retention to this folder, as Parquet, before they are removed
    #[arg(long, env = "SLUICE_ARCHIVE", value_name = "FOLDER")]
    pub archive: Option<PathBuf>,
}

/// A step as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Step {
    /// Remove whole dates that are past the retention of a raw table
    Retention,
    /// Put small files of dates together that recent batches no longer touch
    Compaction,
    /// Write log checkpoints, and take old versions out of the log
    Checkpoint,
    /// Remove files that only old versions need
    Vacuum,
    /// Remove files that crashed runs left
    Orphans,
}

impl From<Step> for MaintenanceStep {
    fn from(step: Step) -> Self {
        match step {
            Step::Retention => Self::Retention,
            Step::Compaction => Self::Compaction,
            Step::Checkpoint => Self::Checkpoint,
            Step::Vacuum => Self::Vacuum,
            Step::Orphans => Self::Orphans,
        }
    }
}

/// What is asked of a maintenance.
#[derive(Debug, Clone)]
pub struct Order {
    pub mode: MaintenanceMode,
    pub steps: Vec<MaintenanceStep>,
    pub keep_seconds: u64,
    pub orphan_seconds: u64,
    pub archive: Option<PathBuf>,
}

impl Order {
    fn of(arguments: &MaintainArgs) -> Self {
        let steps: Vec<MaintenanceStep> = arguments.only.iter().map(|step| (*step).into()).collect();
        Self {
            mode: if arguments.dry_run { MaintenanceMode::DryRun } else { MaintenanceMode::Real },
            steps: if steps.is_empty() { MaintenanceStep::ALL.to_vec() } else { steps },
            keep_seconds: arguments.keep,
            orphan_seconds: arguments.orphan_age,
            archive: arguments.archive.clone(),
        }
    }

    fn rules(&self, context: &Context) -> Result<Rules, Error> {
        let micros = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let archive = match &self.archive {
            Some(folder) => Some(Archive::new(&outside(folder, context.lake.root())?, &context.pipeline.name)),
            None => None,
        };
        Ok(Rules {
            now: context.now,
            keep: micros(self.keep_seconds),
            orphan_age: micros(self.orphan_seconds),
            steps: self.steps.clone(),
            archive,
        })
    }
}

/// How long Cassandra is waited for: without its checkpoints, what its tables may need is kept.
const CONNECT: Duration = Duration::from_secs(10);

/// Does it and prints the report.
pub async fn run(arguments: MaintainArgs) -> ExitCode {
    let maintained = async {
        let opened = Opened::new(&arguments.run).await?;
        let order = Order::of(&arguments);
        let _hold = match order.mode {
            MaintenanceMode::Real => Some(opened.hold().await?),
            MaintenanceMode::DryRun => None,
        };
        let store = connected(&opened).await?;
        let report = make(&opened.context, store.as_ref(), &order).await?;
        match arguments.run.talk.output {
            Output::Table => println!("{}", text(&report, arguments.run.talk.detail())),
            Output::Json => println!("{}", serde_json::to_string_pretty(&report).expect("a report is plain data")),
        }
        Ok::<_, Error>(ExitCode::SUCCESS)
    };
    commands::exit(Box::pin(maintained).await)
}

async fn connected(opened: &Opened) -> Result<Option<Store>, Error> {
    if !opened.has_cassandra() {
        return Ok(None);
    }
    let settings = opened.cassandra_settings()?;
    let connecting = Store::connect(&settings, CONNECT, |_| {});
    match signals::unless_stopped(&opened.context.shutdown, connecting).await? {
        Ok(store) => Ok(Some(store)),
        Err(error) => {
            let why = format!("Cassandra cannot be asked how far its tables are, so what they may have to read is kept: {error}");
            opened.context.watch.say(&why);
            Ok(None)
        }
    }
}

/// Maintains the lake of a pipeline, table by table. The lake must be held, unless it is a dry run.
///
/// Without a store, what Cassandra tables may have to read is kept.
pub async fn make(context: &Context, store: Option<&Store>, order: &Order) -> Result<MaintenanceReport, Error> {
    let started = Instant::now();
    let rules = order.rules(context)?;
    let checkpoints = match store {
        Some(store) => {
            let missing = store.missing(&[]).await.map_err(Error::cassandra("look for checkpoints"))?;
            if missing.has_checkpoints { Checkpoints::Read(store) } else { Checkpoints::Unknown }
        }
        None => Checkpoints::Unknown,
    };
    let mut report = MaintenanceReport {
        schema: MAINTENANCE_SCHEMA,
        pipeline: context.pipeline.name.clone(),
        mode: order.mode,
        started_at: DateTime::from_timestamp_micros(context.now).unwrap_or_default(),
        seconds: 0.0,
        lake: context.lake.root().display().to_string(),
        keep_seconds: order.keep_seconds,
        steps: Vec::new(),
        lake_before: FileSum::default(),
        lake_after: FileSum::default(),
    };
    for place in tables(context) {
        context.shutdown.check()?;
        let Some(subject) = subject(context, place, &checkpoints).await? else { continue };
        let care = TableCare::look(subject, &rules).await?;
        sum(&mut report.lake_before, care.before());
        match order.mode {
            MaintenanceMode::DryRun => {
                sum(&mut report.lake_after, care.before());
                report.steps.extend(care.foretold());
            }
            MaintenanceMode::Real => {
                let (steps, after) = care.run(&rules, &context.shutdown).await?;
                sum(&mut report.lake_after, after);
                for step in &steps {
                    context.watch.say(&print::line(step));
                }
                report.steps.extend(steps);
            }
        }
    }
    let leftovers = Leftovers::find(&context.lake, &context.pipeline, &positions(context).await?, &rules)?;
    if order.mode == MaintenanceMode::Real {
        context.shutdown.check()?;
        leftovers.remove(&context.lake)?;
    }
    let of_lake = leftovers.report();
    report.steps.extend((!of_lake.is_empty()).then_some(of_lake));
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

fn sum(sum: &mut FileSum, more: FileSum) {
    sum.files += more.files;
    sum.bytes += more.bytes;
}

/// The tables of the lake in the order of the chain, with their folders; the quarantine has no origin.
fn tables(context: &Context) -> Vec<(Option<Origin>, PathBuf)> {
    let (lake, pipeline) = (&context.lake, &context.pipeline);
    let raw = pipeline.raw.iter().map(|table| (Some(Origin::Raw(table.name.clone())), lake.raw_folder(&table.name)));
    let use_cases = pipeline.use_cases.iter();
    let use_cases = use_cases.map(|table| (Some(Origin::UseCase(table.name.clone())), lake.use_case_folder(&table.name)));
    raw.chain(use_cases).chain([(None, lake.quarantine_folder())]).collect()
}

/// A table with those who read it; `None` where it is still to be made.
async fn subject<'c>(
    context: &'c Context,
    (origin, folder): (Option<Origin>, PathBuf),
    checkpoints: &Checkpoints<'_>,
) -> Result<Option<Subject<'c>>, Error> {
    if !folder.join("_delta_log").is_dir() {
        return Ok(None);
    }
    let Some(origin) = origin else {
        let mut promised = Vec::new();
        for raw in &context.pipeline.raw {
            let name = context.lake.table_name(&raw.name);
            if let Some(raw) = Table::open(&context.lake.raw_folder(&raw.name), &name).await? {
                promised.extend(maintain::promised(&raw).await?);
            }
        }
        let table = quarantine::open(&context.lake).await?;
        let target = "quarantine".to_owned();
        return Ok(Some(Subject { target, table, readers: Vec::new(), retention: None, keys: None, promised }));
    };
    let table = open_table(context, &origin).await?;
    let readers = readers::of(context, &origin, &table, checkpoints).await?;
    let clock = context.pipeline.clock;
    let (retention, keys) = match &origin {
        Origin::Raw(name) => (context.pipeline.raw_table(name).map(|table| Retention { table, clock }), None),
        Origin::UseCase(name) => (None, Some(context.lake.keys_folder(name))),
    };
    Ok(Some(Subject { target: origin.to_string(), table, readers, retention, keys, promised: Vec::new() }))
}

/// How far each raw table has got in its landed files.
async fn positions(context: &Context) -> Result<BTreeMap<String, FilePosition>, Error> {
    let mut positions = BTreeMap::new();
    for raw in &context.pipeline.raw {
        let name = context.lake.table_name(&raw.name);
        let Some(table) = Table::open(&context.lake.raw_folder(&raw.name), &name).await? else { continue };
        let number = table.input_number(&raw.from).await?.unwrap_or(0);
        positions.insert(raw.name.clone(), FilePosition::from_number(number));
    }
    Ok(positions)
}

/// An archive within the lake would be taken for a part of it.
fn outside(archive: &Path, lake: &Path) -> Result<PathBuf, Error> {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if absolute(archive).starts_with(absolute(lake)) {
        return Err(Error::Semantics {
            place: format!("archive {}", archive.display()),
            problem: "is within the lake, which is what dates leave".to_owned(),
            hint: Some("give --archive (SLUICE_ARCHIVE) a folder outside of --lake (LAKE_URI)".to_owned()),
        });
    }
    Ok(archive.to_owned())
}
