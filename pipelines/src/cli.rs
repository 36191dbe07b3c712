//! The command line: flags, definition, lake, work, report, exit code, in that order.

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use model::failure::Classify;
use model::report::StageName;

use crate::commands;
use crate::commands::check::CheckArgs;
use crate::commands::completions::CompletionsArgs;
use crate::commands::explore::{ShowArgs, SqlArgs};
use crate::commands::history::HistoryArgs;
use crate::commands::init::InitArgs;
use crate::commands::keys::KeysArgs;
use crate::commands::maintain::MaintainArgs;
use crate::commands::node::{self, NodeArgs};
use crate::commands::plan::PlanArgs;
use crate::commands::rebuild::RebuildArgs;
use crate::commands::rejects::RejectsArgs;
use crate::commands::replay::ReplayArgs;
use crate::commands::restore::RestoreArgs;
use crate::commands::schema::SchemaArgs;
use crate::commands::serve::ServeArgs;
use crate::commands::verify::VerifyArgs;
use crate::commands::why::WhyArgs;
use crate::error::Error;
use crate::settings::RunArgs;

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
    /// Write a pipeline's folder that runs: an example, or a proposal from a file of your own
    #[command(after_help = "Example: sluice init orders --from https://example.org/orders.csv.gz")]
    Init(InitArgs),
    /// Run the whole chain: URL to landing, raw, use case and Cassandra; run again, it goes on where it stopped
    #[command(after_help = "Example: sluice run orders --lake /data/lake --output json > report.json")]
    Run(RunArgs),
    /// Check a pipeline's folder without running it: definition, SQL, tables
    #[command(after_help = "Example: sluice check pipelines/orders --output json | jq '.problems[]'")]
    Check(CheckArgs),
    /// Say what a run would do now, and do none of it: files, rows, merges, views, rows to Cassandra, DDL
    #[command(after_help = "Example: sluice plan orders --output json | jq '.merges[].batches[]'")]
    Plan(PlanArgs),
    /// Show rows of one table: of any zone, as it is or as it was
    #[command(after_help = SHOW_EXAMPLES)]
    Show(ShowArgs),
    /// Query the tables of all zones with SQL; reads only
    #[command(after_help = SQL_EXAMPLES)]
    Sql(SqlArgs),
    /// List what was set aside: grouped by what is wrong, or the records as they were received
    #[command(after_help = REJECTS_EXAMPLES)]
    Rejects(RejectsArgs),
    /// Feed what was set aside through the present definition, and move what passes to its raw table
    #[command(
        after_help = "Example: after a check was loosened\n  sluice replay orders --reason check_failed --dry-run\n  sluice replay orders --reason check_failed\n  sluice run orders"
    )]
    Replay(ReplayArgs),
    /// Tell a row's whole history: the line of its source, batches, versions, rejects, Cassandra's rows
    #[command(
        after_help = "Examples:\n  sluice why orders customer_id=17\n  sluice why orders 17 --output json\n  sluice why orders order_id=4711 --table raw.orders --bytes"
    )]
    Why(WhyArgs),
    /// Print the JSON Schema of pipeline.toml, for editors
    #[command(
        after_help = "Example: sluice schema > pipeline.schema.json\n\nEditors that use it are named in docs/definition.md."
    )]
    Schema(SchemaArgs),
    /// Make the Delta tables, the keyspace and the Cassandra tables
    #[command(after_help = "Example: sluice create-tables orders --cassandra-host db1,db2 --cassandra-replication 3")]
    CreateTables(RunArgs),
    /// Fetch the sources that have changed into the landing zone
    #[command(after_help = "Example: sluice url-to-landing orders")]
    UrlToLanding(RunArgs),
    /// Load landed files into the raw tables, one micro-batch per event date
    #[command(after_help = "Example: sluice landing-to-raw orders")]
    LandingToRaw(RunArgs),
    /// Merge new raw versions into the use-case tables
    #[command(after_help = "Example: sluice raw-to-use-case orders")]
    RawToUseCase(RunArgs),
    /// Send new raw rows to Cassandra
    #[command(after_help = "Example: sluice raw-to-cassandra orders --cassandra-host db1")]
    RawToCassandra(RunArgs),
    /// Send changed use-case rows to Cassandra
    #[command(after_help = "Example: sluice use-case-to-cassandra orders --cassandra-host db1")]
    UseCaseToCassandra(RunArgs),
    /// Compute tables anew from the zone before them, in place: readers see the old rows or the new ones, never none
    #[command(after_help = REBUILD_EXAMPLES)]
    Rebuild(RebuildArgs),
    /// Compact, shorten logs, remove what is past its time and what crashes left; rows change in no table
    #[command(after_help = MAINTAIN_EXAMPLES)]
    Maintain(MaintainArgs),
    /// Prove that nothing is lost and nothing is there twice: files, sums, and every row from landing zone to Cassandra
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(VerifyArgs),
    /// Give a table of the lake the rows that it had at an earlier version, and its positions with them
    #[command(after_help = "Example: sluice restore orders use_case.customers --to 41")]
    Restore(RestoreArgs),
    /// Tell what happened to the tables, run by run: commits, rows, bytes, and who wrote them
    #[command(after_help = "Example: sluice history orders raw.orders --limit 5 --output json | jq '.runs[].batches[]'")]
    History(HistoryArgs),
    /// Serve the pipeline's endpoints as a REST API, until a signal ends it
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Keys of the REST API: make, list, rotate, revoke
    #[command(after_help = KEYS_EXAMPLES)]
    Keys(KeysArgs),
    /// A real Cassandra on this machine, without Docker
    #[command(after_help = "Example: sluice node up && sluice run orders && sluice node down")]
    Node(NodeArgs),
    /// Print the script with which a shell completes `sluice`
    #[command(after_help = "Example: sluice completions bash > ~/.local/share/bash-completion/completions/sluice")]
    Completions(CompletionsArgs),
}

const SERVE_EXAMPLES: &str = "Examples:
  sluice keys make --name me && sluice serve orders
  sluice serve orders --listen 0.0.0.0:8443 --tls-cert server.pem --tls-key server.key
  curl -H \"Authorization: Bearer $KEY\" http://127.0.0.1:8080/openapi.json";

const KEYS_EXAMPLES: &str = "Examples:
  KEY=$(sluice keys make --name shop-front)
  curl -H \"Authorization: Bearer $KEY\" http://127.0.0.1:8080/v1/...
  sluice keys list
  sluice keys rotate abc23defgh --grace '2 hours'";

const MAINTAIN_EXAMPLES: &str = "Examples:
  sluice maintain orders --dry-run
  sluice maintain orders --archive /data/archive
  sluice maintain orders --only vacuum,orphans --keep '1 day' --output json

It needs the lake for itself: while a run holds it, it ends with exit code 75. docs/operations.md says what to schedule.";
const VERIFY_EXAMPLES: &str = "Examples:
  sluice verify orders
  sluice verify orders --sample 1% --output json | jq '.checks[].findings[]'
  sluice verify orders cassandra.orders_by_day --repair

Exit codes: 0 all is as it should be, 1 something is not (with --repair: and could not be put right).";
const REBUILD_EXAMPLES: &str = "Examples:
  after a change of customers.sql:      sluice rebuild orders use_case.customers --downstream
  two days of a table, as they should be: sluice rebuild orders raw.orders --from 2024-01-30 --to 2024-01-31
  a Cassandra table changed by hand:    sluice rebuild orders cassandra.customers";

const SHOW_EXAMPLES: &str = "Examples:
  sluice show orders customers --where \"country = 'FI'\" --columns customer_id,latest
  sluice show orders raw.orders --at 2024-01-31 --limit 0 --output csv > day.csv
  sluice show orders quarantine --columns position,reason,detail";

const SQL_EXAMPLES: &str = "Examples:
  sluice sql orders \"SELECT day, count(*) FROM raw.orders GROUP BY 1 ORDER BY 1\"
  sluice sql orders --file report.sql --output ndjson
  sluice sql orders - < report.sql

Tables: raw.NAME, use_case.NAME, quarantine, landing.NAME; a name alone where only one table has it.";

const REJECTS_EXAMPLES: &str = "Examples:
  sluice rejects orders
  sluice rejects orders --list --reason amount --limit 0 --output csv > rejects.csv
  sluice rejects orders --list --where \"receipt = 3 AND reason = 'malformed'\"";

/// The program `sluice`; called by the name of a stage, as by a link to it, that stage as a program of its own.
pub fn main() -> ExitCode {
    if let Some(stage) = std::env::args_os().next().and_then(|called| stage_of_that_name(Path::new(&called))) {
        let StageCli { arguments } = StageCli::parse();
        return block_on(commands::run::run(arguments, Some(stage)));
    }
    let (arguments, stage) = match Cli::parse().command {
        Command::Keys(arguments) => return commands::exit(commands::keys::run(arguments)),
        Command::Serve(arguments) => return block_on(commands::serve::run(arguments)),
        Command::Node(arguments) => return block_on(async { commands::exit(node::run(arguments).await) }),
        Command::Init(arguments) => {
            return block_on(async { commands::exit(Box::pin(commands::init::run(arguments)).await) });
        }
        Command::Restore(arguments) => return block_on(commands::restore::run(arguments)),
        Command::History(arguments) => return block_on(commands::history::run(arguments)),
        Command::Rebuild(arguments) => return block_on(commands::rebuild::run(arguments)),
        Command::Verify(arguments) => return block_on(commands::verify::run(arguments)),
        Command::Maintain(arguments) => return block_on(commands::maintain::run(arguments)),
        Command::Check(arguments) => return block_on(commands::check::run(&arguments)),
        Command::Plan(arguments) => return block_on(commands::plan::run(arguments)),
        Command::Show(arguments) => return read_only(commands::explore::show(arguments)),
        Command::Sql(arguments) => return read_only(commands::explore::sql(arguments)),
        Command::Rejects(arguments) => return read_only(commands::rejects::run(arguments)),
        Command::Replay(arguments) => return block_on(commands::replay::run(arguments)),
        Command::Why(arguments) => return block_on(commands::why::run(arguments)),
        Command::Schema(arguments) => return commands::schema::run(&arguments),
        Command::Completions(arguments) => {
            return commands::completions::run(&arguments, <Cli as clap::CommandFactory>::command());
        }
        Command::Run(arguments) => (arguments, None),
        Command::CreateTables(arguments) => (arguments, Some(StageName::CreateTables)),
        Command::UrlToLanding(arguments) => (arguments, Some(StageName::UrlToLanding)),
        Command::LandingToRaw(arguments) => (arguments, Some(StageName::LandingToRaw)),
        Command::RawToUseCase(arguments) => (arguments, Some(StageName::RawToUseCase)),
        Command::RawToCassandra(arguments) => (arguments, Some(StageName::RawToCassandra)),
        Command::UseCaseToCassandra(arguments) => (arguments, Some(StageName::UseCaseToCassandra)),
    };
    block_on(commands::run::run(arguments, stage))
}

#[derive(Debug, Parser)]
#[command(version)]
struct StageCli {
    #[command(flatten)]
    arguments: RunArgs,
}

fn stage_of_that_name(program: &Path) -> Option<StageName> {
    let name = program.file_name()?;
    StageName::ALL.into_iter().find(|stage| name == stage.name())
}

/// Runs a command. What still blocks a thread when it has ended, after a request to stop, is left to the end of the process.
fn block_on<T>(command: impl Future<Output = T>) -> T {
    // Two TLS providers are in the program; choose one before anything asks. A second call changes nothing.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("the system gives threads");
    let ended = runtime.block_on(command);
    runtime.shutdown_background();
    ended
}

/// A command whose output is all that it does.
fn read_only(command: impl Future<Output = Result<(), Error>>) -> ExitCode {
    block_on(async { commands::exit(Box::pin(command).await.map(|()| ExitCode::SUCCESS)) })
}

impl From<&Error> for ExitCode {
    fn from(error: &Error) -> Self {
        Self::from(error.failure().exit_code())
    }
}
