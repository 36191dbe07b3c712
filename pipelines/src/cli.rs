//! The command line: flags, definition, lake, work, report, exit code, in that order.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cassandra::Store;
use cassandra::connect::Waiting;
use clap::{Parser, Subcommand};
use model::clock::Clock;
use model::definition::Pipeline;
use model::failure::Classify;
use model::report::{RunReport, StageName};
use model::shutdown::Shutdown;
use zones::lake::Lake;

use crate::commands::node::{self, NodeArgs};
use crate::commands::plan::{self, PlanArgs, Serving};
use crate::context::Context;
use crate::error::Error;
use crate::settings::{Output, RunArgs};
use crate::{commands, folder, logs, report, runner, signals, slicing, ui};

/// Event files into Delta Lake and on into Cassandra: each event once, whatever happens on the way.
///
/// A pipeline is a folder with a pipeline.toml and SQL files. Exit codes: 0 done, 1 failed, 2 usage or definition, 3 the data
/// broke a limit, 75 temporary failure, try again later.
#[derive(Debug, Parser)]
#[command(name = "sluice", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole chain: URL to landing, raw, use case and Cassandra; run again, it goes on where it stopped
    Run(RunArgs),
    /// Check a pipeline's folder without running it: definition, SQL, tables
    Check(RunArgs),
    /// Say what a run would do now, and do none of it: files, rows, merges, views, rows to Cassandra, DDL
    Plan(PlanArgs),
    /// Make the Delta tables, the keyspace and the Cassandra tables
    CreateTables(RunArgs),
    /// Fetch the sources that have changed into the landing zone
    UrlToLanding(RunArgs),
    /// Load landed files into the raw tables, one micro-batch per event date
    LandingToRaw(RunArgs),
    /// Merge new raw versions into the use-case tables
    RawToUseCase(RunArgs),
    /// Send new raw rows to Cassandra
    RawToCassandra(RunArgs),
    /// Send changed use-case rows to Cassandra
    UseCaseToCassandra(RunArgs),
    /// A real Cassandra on this machine, without Docker
    Node(NodeArgs),
}

/// The program `sluice`.
pub fn main() -> ExitCode {
    let (arguments, stage) = match Cli::parse().command {
        Command::Node(arguments) => return runtime().block_on(async { commands::exit(node::run(arguments).await) }),
        Command::Check(arguments) => return runtime().block_on(check(arguments)),
        Command::Plan(arguments) => return runtime().block_on(plan(arguments)),
        Command::Run(arguments) => (arguments, None),
        Command::CreateTables(arguments) => (arguments, Some(StageName::CreateTables)),
        Command::UrlToLanding(arguments) => (arguments, Some(StageName::UrlToLanding)),
        Command::LandingToRaw(arguments) => (arguments, Some(StageName::LandingToRaw)),
        Command::RawToUseCase(arguments) => (arguments, Some(StageName::RawToUseCase)),
        Command::RawToCassandra(arguments) => (arguments, Some(StageName::RawToCassandra)),
        Command::UseCaseToCassandra(arguments) => (arguments, Some(StageName::UseCaseToCassandra)),
    };
    runtime().block_on(execute(arguments, stage))
}

#[derive(Debug, Parser)]
#[command(version)]
struct StageCli {
    #[command(flatten)]
    arguments: RunArgs,
}

/// A binary that runs one stage.
pub fn stage_main(stage: StageName) -> ExitCode {
    let StageCli { arguments } = StageCli::parse();
    runtime().block_on(execute(arguments, Some(stage)))
}

fn runtime() -> tokio::runtime::Runtime {
    // Two TLS providers are in the program; choose one before anything asks. A second call changes nothing.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("the system gives threads")
}

async fn execute(arguments: RunArgs, stage: Option<StageName>) -> ExitCode {
    logs::start(&arguments.talk);
    let shutdown = Shutdown::default();
    signals::listen(shutdown.clone());
    let output = arguments.talk.output;
    match Box::pin(work(&arguments, stage, shutdown)).await {
        Ok(report) => {
            match output {
                Output::Table => println!("{}", report::table(&report, arguments.talk.detail())),
                Output::Json => println!("{}", serde_json::to_string_pretty(&report).expect("a report is plain data")),
            }
            if report.accounting_closes { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => commands::fail(&error),
    }
}

async fn work(arguments: &RunArgs, stage: Option<StageName>, shutdown: Shutdown) -> Result<RunReport, Error> {
    let started = Instant::now();
    let pipeline = Arc::new(read(arguments)?);
    let slice = arguments.slice()?;
    let lake = Lake::new(arguments.lake_folder()?, &pipeline.name);
    let keyspace = arguments.keyspace(&pipeline.name)?;
    let context = Context::new(pipeline, lake, Clock::Wall, slice, shutdown, ui::for_stderr());
    let _hold = context.lake.hold(&format!("process {}", std::process::id()))?;
    let connect = || connect(arguments, &context, keyspace.clone());
    prepare_slice(&context, &connect).await?;

    let has_cassandra = !context.pipeline.cassandra.is_empty();
    let stages = match stage {
        None => Box::pin(runner::run(&context, connect())).await?,
        Some(stage) => {
            let needs_store =
                matches!(stage, StageName::CreateTables | StageName::RawToCassandra | StageName::UseCaseToCassandra);
            let store = if needs_store && has_cassandra { Some(connect().await?) } else { None };
            runner::stage(&context, store.as_ref(), stage).await?
        }
    };
    Ok(runner::report(&context, has_cassandra.then_some(keyspace), started, stages))
}

fn read(arguments: &RunArgs) -> Result<Pipeline, Error> {
    let folder = folder::find(&arguments.pipeline, &arguments.pipelines)?;
    folder::read(&folder, &|name| std::env::var(name).ok())
}

async fn connect(arguments: &RunArgs, context: &Context, keyspace: String) -> Result<Store, Error> {
    let settings = arguments.cassandra.settings(keyspace, commands::node::recorded())?;
    let watch = context.watch.clone();
    let waiting = move |waiting: Waiting<'_>| {
        let (waited, deadline) = (waiting.waited.as_secs(), waiting.deadline.as_secs());
        watch.say(&format!("waiting for Cassandra at {} ({waited} of {deadline} s): {}", waiting.hosts, waiting.reason));
    };
    let connecting = Store::connect(&settings, arguments.cassandra.wait(), waiting);
    let connected = signals::unless_stopped(&context.shutdown, connecting).await?;
    connected.map_err(Error::cassandra("connect to Cassandra"))
}

/// A debug run with another slice than the last one starts its lake and its keyspace afresh.
async fn prepare_slice<F>(context: &Context, connect: &impl Fn() -> F) -> Result<(), Error>
where
    F: Future<Output = Result<Store, Error>>,
{
    let Some(slice) = &context.slice else { return Ok(()) };
    match slicing::slice_of(&context.lake) {
        Some(kept) if kept == slice.to_string() => return Ok(()),
        Some(kept) => context.watch.say(&format!("the debug lake holds the slice {kept}; starting afresh with {slice}")),
        None => {}
    }
    if !context.pipeline.cassandra.is_empty() {
        connect().await?.drop_keyspace().await.map_err(Error::cassandra("drop the debug keyspace"))?;
    }
    context.lake.remove()?;
    slicing::mark(&context.lake, slice)
}

async fn check(arguments: RunArgs) -> ExitCode {
    logs::start(&arguments.talk);
    let checked = async {
        let pipeline = read(&arguments)?;
        commands::check::run(&pipeline).await
    };
    match checked.await {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => commands::fail(&error),
    }
}

/// How long a plan waits for Cassandra: it is made without it then.
const PLAN_CONNECT: Duration = Duration::from_secs(3);

async fn plan(arguments: PlanArgs) -> ExitCode {
    let run = &arguments.run;
    logs::start(&run.talk);
    let shutdown = Shutdown::default();
    signals::listen(shutdown.clone());
    let planned = async {
        let pipeline = Arc::new(read(run)?);
        let lake = Lake::new(run.lake_folder()?, &pipeline.name);
        let keyspace = run.keyspace(&pipeline.name)?;
        let context = Context::new(pipeline, lake, Clock::Wall, run.slice()?, shutdown, ui::for_stderr());
        if context.pipeline.cassandra.is_empty() {
            return plan::make(&context, Serving::NotNeeded).await;
        }
        let settings = run.cassandra.settings(keyspace, commands::node::recorded())?;
        if arguments.offline {
            return plan::make(&context, Serving::NotRead { settings: &settings, reason: "not asked (--offline)" }).await;
        }
        let connecting = Store::connect(&settings, PLAN_CONNECT, |_| {});
        match signals::unless_stopped(&context.shutdown, connecting).await? {
            Ok(store) => plan::make(&context, Serving::Read(&store)).await,
            Err(error) => {
                let reason = error.to_string();
                plan::make(&context, Serving::NotRead { settings: &settings, reason: &reason }).await
            }
        }
    };
    match Box::pin(planned).await {
        Ok(plan) => {
            match run.talk.output {
                Output::Table => println!("{}", plan::text(&plan)),
                Output::Json => println!("{}", serde_json::to_string_pretty(&plan).expect("a plan is plain data")),
            }
            ExitCode::SUCCESS
        }
        Err(error) => commands::fail(&error),
    }
}

impl From<&Error> for ExitCode {
    fn from(error: &Error) -> Self {
        Self::from(error.failure().exit_code())
    }
}
