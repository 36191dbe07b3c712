//! `sluice node up | status | down`: a real Cassandra for this machine, without Docker.
//!
//! What was asked for is on stdout, and only that; what happens meanwhile is on stderr.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use cassandra::node::{self, Error, Options, Progress, State, Status, Stopped};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

/// Between two lines of a wait.
const REMINDER: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub struct NodeArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the node, or find it running; returns once it answers queries
    Up(UpArgs),
    /// Say whether the node runs; exit code 0 if it answers queries, else 1
    Status(CommonArgs),
    /// Stop the node; its data stay
    Down(CommonArgs),
}

#[derive(Debug, Args)]
struct CommonArgs {
    /// Folder of the node's record (node.json), data and logs
    #[arg(long, env = "SLUICE_DIR", default_value = ".sluice", value_name = "FOLDER")]
    dir: PathBuf,

    /// What to print on stdout
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Args)]
struct UpArgs {
    #[command(flatten)]
    common: CommonArgs,

    /// Port for CQL clients [default: a free one]
    #[arg(long, env = "SLUICE_NODE_PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Heap of the JVM; the process takes 0.4 to 0.5 GB more
    #[arg(long, env = "SLUICE_NODE_HEAP", default_value = "1G", value_name = "SIZE")]
    heap: String,

    /// How long the node may take until it answers queries
    #[arg(long, env = "SLUICE_NODE_START_TIMEOUT", default_value_t = 120, value_name = "SECONDS")]
    start_timeout: u64,

    #[arg(long, env = "SLUICE_NODE_JAVA", value_name = "PROGRAM")]
    #[arg(help = "Java program, version 17 or 11 [default: the one of JAVA_HOME, PATH or /usr/lib/jvm]")]
    java: Option<PathBuf>,

    #[arg(long, env = "SLUICE_CACHE_DIR", value_name = "FOLDER")]
    #[arg(help = "Folder of the jars, shared by all nodes of a user [default: sluice in XDG_CACHE_HOME or ~/.cache]")]
    cache_dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Table,
    /// One JSON document: `up` prints what is in node.json
    Json,
}

pub async fn run(args: NodeArgs) -> Result<ExitCode, Error> {
    match args.command {
        Command::Up(args) => up(args).await,
        Command::Status(args) => status(&args).await,
        Command::Down(args) => down(&args).await,
    }
}

async fn up(args: UpArgs) -> Result<ExitCode, Error> {
    let defaults = Options::new(|name| std::env::var_os(name));
    let options = Options {
        dir: args.common.dir,
        port: args.port,
        heap: args.heap,
        start_timeout: Duration::from_secs(args.start_timeout),
        java: args.java,
        cache_dir: args.cache_dir.unwrap_or(defaults.cache_dir),
        ..defaults
    };
    let state = node::up(&options, &mut told(options.dir.clone())).await?;
    match args.common.output {
        Output::Json => print_json(&state),
        Output::Table => print_node("running", &state),
    }
    Ok(ExitCode::SUCCESS)
}

async fn status(args: &CommonArgs) -> Result<ExitCode, Error> {
    let status = node::status(&options_at(&args.dir)).await?;
    match (args.output, &status) {
        (Output::Json, status) => print_json(status),
        (Output::Table, Status::Running { cql: true, state }) => print_node("running", state),
        (Output::Table, Status::Running { cql: false, state }) => print_node("running, but does not answer queries (yet)", state),
        (Output::Table, Status::Stopped) => println!("not running"),
        (Output::Table, Status::Stale { pid }) => println!("not running: process {pid} of its record is gone"),
        (Output::Table, Status::Unrecorded { pid }) => println!("running as process {pid}, but its record is gone"),
    }
    Ok(match status {
        Status::Running { cql: true, .. } => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

async fn down(args: &CommonArgs) -> Result<ExitCode, Error> {
    let stopped = node::down(&options_at(&args.dir), &mut told(args.dir.clone())).await?;
    match (args.output, stopped) {
        (Output::Json, stopped) => print_json(&stopped),
        (Output::Table, Stopped::Drained { pid }) => println!("stopped process {pid}; its data stay in {}", args.dir.display()),
        (Output::Table, Stopped::Killed { pid }) => println!("killed process {pid}, which did not end by itself; its data stay"),
        (Output::Table, Stopped::WasStale { pid }) => println!("not running: process {pid} of its record was gone"),
        (Output::Table, Stopped::WasNotRunning) => println!("not running"),
    }
    Ok(ExitCode::SUCCESS)
}

fn options_at(dir: &Path) -> Options {
    Options { dir: dir.to_owned(), ..Options::new(|name| std::env::var_os(name)) }
}

/// Writes a line for each thing that happens, and a reminder for each [`REMINDER`] of waiting.
fn told(dir: PathBuf) -> impl FnMut(Progress) + Send {
    let mut next_reminder = REMINDER;
    let mut due = move |elapsed: Duration| {
        let due = elapsed >= next_reminder;
        if due {
            next_reminder = elapsed + REMINDER;
        }
        due
    };
    move |progress| match progress {
        Progress::WaitingForOther => eprintln!("another program starts or stops the node of {}: waiting for it", dir.display()),
        Progress::RemovedStale { pid } => eprintln!("removed the record of process {pid}, which is gone"),
        Progress::AlreadyRunning { pid } => eprintln!("the node runs already, as process {pid}"),
        Progress::TakingOver { pid } => {
            eprintln!("the node was started already, as process {pid}, and does not answer yet: waiting for it");
        }
        Progress::InstallingJars { folder } => {
            eprintln!("fetching the jars of Cassandra {} into {} (67 MB, once)", node::VERSION, folder.display());
        }
        Progress::InstalledJars { files } => eprintln!("fetched {files} jars"),
        Progress::Starting { pid, port, log_dir } => {
            eprintln!("starting Cassandra {} on port {port} as process {pid}; logs in {}", node::VERSION, log_dir.display());
        }
        Progress::ChoosingOtherPorts => eprintln!("another program took one of the ports: starting on others"),
        Progress::WaitingForCql { elapsed } if due(elapsed) => eprintln!("waiting for the node ({} s)", elapsed.as_secs()),
        Progress::Draining { pid, elapsed } if elapsed.is_zero() => eprintln!("stopping process {pid}"),
        Progress::Draining { elapsed, .. } if due(elapsed) => {
            eprintln!("waiting for its tables to be flushed ({} s)", elapsed.as_secs());
        }
        Progress::Ready { elapsed } => eprintln!("ready after {:.1} s", elapsed.as_secs_f64()),
        Progress::WaitingForCql { .. } | Progress::Draining { .. } => {}
    }
}

fn print_json(document: &impl Serialize) {
    let text = serde_json::to_string_pretty(document).expect("plain fields always serialise");
    println!("{text}");
}

fn print_node(status: &str, state: &State) {
    println!("Cassandra {}: {status}", state.version);
    println!("  host      {}", state.host);
    println!("  port      {}", state.port);
    println!("  JMX port  {}", state.jmx_port);
    println!("  process   {}", state.pid);
    println!("  started   {}", state.started_at.format("%Y-%m-%d %H:%M:%S UTC"));
    println!("  data      {}", state.data_dir.display());
    println!("  logs      {}", state.log_dir.display());
}

/// Where the node of `sluice node up` listens, if one is recorded in the usual folder.
pub fn recorded() -> Option<(String, u16)> {
    #[derive(serde::Deserialize)]
    struct Record {
        host: String,
        port: u16,
    }
    let folder = std::env::var_os("SLUICE_DIR").map_or_else(|| PathBuf::from(".sluice"), PathBuf::from);
    let record: Record = serde_json::from_slice(&std::fs::read(folder.join("node.json")).ok()?).ok()?;
    Some((record.host, record.port))
}
