//! One start of the real program, and how it ended.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use model::report::RunReport;
use tokio::process::Command;

use super::scenario::OldVersions;

/// A run of the scenario takes about a second; one that takes as long as this hangs.
const DEADLINE: Duration = Duration::from_mins(2);

/// When the program is killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kill {
    Never,
    /// At a pass (from 1) through a point, by itself.
    At(String, u64),
    /// So long after its start, from outside.
    After(Duration),
}

impl std::fmt::Display for Kill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::At(point, pass) => write!(f, "{point}:{pass}"),
            Self::After(delay) => write!(f, "after {} ms", delay.as_millis()),
        }
    }
}

/// How a start ended.
#[derive(Debug)]
pub enum Ended {
    Killed,
    /// With its report, where it is a run.
    Done(Option<Box<RunReport>>),
    /// It failed, or hung: what it said.
    Failed(String),
}

/// What a start needs.
pub struct Start<'s> {
    pub program: &'s Path,
    pub pipelines: PathBuf,
    pub source_url: &'s str,
    pub cassandra: &'s str,
    pub lake: &'s Path,
    /// Where old dates go.
    pub archive: &'s Path,
    pub keyspace: &'s str,
    /// Which files the source has.
    pub sources: usize,
    pub old_versions: OldVersions,
    /// The clock of the run.
    pub clock: &'s str,
    /// Where the passes through points are listed.
    pub log: Option<PathBuf>,
}

impl Start<'_> {
    /// Starts the program with these arguments, and waits for its end.
    pub async fn run(&self, arguments: &[String], kill: &Kill) -> Ended {
        let mut command = Command::new(self.program);
        command
            .args(arguments)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "HOME"))
            .env("SLUICE_PIPELINES", &self.pipelines)
            .env("LAKE_URI", self.lake)
            .env("CASSANDRA_HOST", self.cassandra)
            .env("CASSANDRA_KEYSPACE", self.keyspace)
            .env("CRASH_URL", self.source_url)
            .env("CRASH_GENERATION", self.sources.to_string())
            .env("SLUICE_ARCHIVE", self.archive)
            // A group for each version, so that some are sent while others wait for their checkpoint.
            .env("SLUICE_SEND_ROWS", "1")
            .env("SLUICE_TEST_CLOCK", self.clock)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Kill::At(point, pass) = kill {
            command.env("SLUICE_CRASH_AT", format!("{point}:{pass}"));
        }
        if let Some(log) = &self.log {
            command.env("SLUICE_CRASH_LOG", log);
        }
        let started = Instant::now();
        let child = command.spawn().expect("the program can be started");
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).expect("a child that is not awaited has a pid");
        let output = child.wait_with_output();
        let killer = async {
            match kill {
                Kill::After(delay) => tokio::time::sleep(delay.saturating_sub(started.elapsed())).await,
                Kill::Never | Kill::At(..) => std::future::pending().await,
            }
            // Nothing is to be killed where it has ended: the child is awaited still, so its number is its own.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! {
            output = output => output.expect("a child can be awaited"),
            () = killer => unreachable!("it waits for ever"),
            () = tokio::time::sleep(DEADLINE) => return Ended::Failed(format!("no end after {DEADLINE:?}")),
        };
        if ended.status.signal() == Some(9) {
            return Ended::Killed;
        }
        let text = String::from_utf8_lossy;
        let said = || format!("{}: {} {}", ended.status, text(&ended.stderr), text(&ended.stdout));
        if !ended.status.success() {
            return Ended::Failed(said());
        }
        if arguments.first().map(String::as_str) != Some("run") {
            return Ended::Done(None);
        }
        match serde_json::from_slice::<RunReport>(&ended.stdout) {
            Ok(report) if report.accounting_closes => {
                let mut notes = report.stages.iter().flat_map(|stage| &stage.notes);
                match notes.find(|note| self.old_versions == OldVersions::AreKept && is_too_much(note)) {
                    Some(note) => Ended::Failed(format!("what a table had still to read was gone: {note}")),
                    None => Ended::Done(Some(Box::new(report))),
                }
            }
            Ok(_) => Ended::Failed(format!("the accounting does not close: {}", String::from_utf8_lossy(&ended.stdout))),
            Err(error) => Ended::Failed(format!("no report ({error}): {}", said())),
        }
    }
}

/// Whether a note says that versions which a table had still to read were gone.
fn is_too_much(note: &str) -> bool {
    note.starts_with("compared the whole of") || note.starts_with("folded the whole of")
}
