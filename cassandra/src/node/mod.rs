//! A real Cassandra without Docker: one node, for this machine only, from the published jars.
//!
//! Guarantees:
//! - [`up`] returns once a CQL query is answered. Called again it finds the node that runs; called twice at a time, one starts the node
//!   and the other waits for it. What it acknowledged before a [`down`], or before it was killed at whatever moment, is there after
//!   the next `up`: the commit log reaches the disk before the acknowledgement is sent.
//! - `node.json` is there exactly while a node is recorded that was ready; it is written whole. A program that was interrupted
//!   while it waited for the node leaves the node running, and the next `up` or `down` takes it over.
//! - Whatever a record says, only a process whose command line holds our data folder is taken for the node, and only it gets a signal.
//! - A start that fails leaves no process behind, and its error shows the end of the log.
//!
//! Never: listens on anything but this machine's own addresses (127.0.0.1 unless told otherwise); prints; reads the environment (it is handed in: [`Options::new`]).
//! Linux only, for `/proc`.

mod error;
mod folder;
mod heap;
mod jars;
mod java;
mod launch;
mod log;
mod options;
mod ports;
mod probe;
mod process;
mod starting;
mod state;

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

pub use error::Error;
pub use java::Java;
pub use log::LogTail;
pub use options::{Options, Ring};
pub use ports::PortOwner;
pub use state::State;

use folder::Folder;
use heap::Heap;
use ports::Ports;
use process::Ended;
use starting::Starting;

/// Of Cassandra; the same as in `pom.xml`.
pub const VERSION: &str = "5.0.9";

/// A drain of little takes 2 to 3 s; longer where much has to be flushed to a slow disk.
const STOP_TIMEOUT: Duration = Duration::from_mins(1);
/// Free ports are chosen anew as often: somebody else may take one in the seconds before the node does.
const PORT_ATTEMPTS: usize = 3;

/// What happens meanwhile, for whoever waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Another program starts or stops this node, or fetches the jars.
    WaitingForOther,
    /// The record was of a process that is gone or is not ours.
    RemovedStale {
        pid: u32,
    },
    AlreadyRunning {
        pid: u32,
    },
    /// A node that an interrupted `up` had started.
    TakingOver {
        pid: u32,
    },
    InstallingJars {
        folder: PathBuf,
    },
    InstalledJars {
        files: usize,
    },
    Starting {
        pid: u32,
        port: u16,
        log_dir: PathBuf,
    },
    /// A port was taken by another program in the meantime.
    ChoosingOtherPorts,
    WaitingForCql {
        elapsed: Duration,
    },
    Ready {
        elapsed: Duration,
    },
    Draining {
        pid: u32,
        elapsed: Duration,
    },
}

type ProgressFn<'a> = &'a mut (dyn FnMut(Progress) + Send);

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status {
    /// `cql`: a query is answered.
    Running {
        cql: bool,
        #[serde(flatten)]
        state: State,
    },
    Stopped,
    /// Recorded, but the process is gone or is not ours.
    Stale {
        pid: u32,
    },
    /// A node of this folder runs, but its record is gone.
    Unrecorded {
        pid: u32,
    },
}

/// What `down` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "stopped", rename_all = "snake_case")]
pub enum Stopped {
    /// Flushed and ended.
    Drained {
        pid: u32,
    },
    /// Did not drain in time. Nothing is lost: the next start reads the commit log.
    Killed {
        pid: u32,
    },
    WasStale {
        pid: u32,
    },
    WasNotRunning,
}

/// Starts the node, or finds it running.
pub async fn up(options: &Options, progress: ProgressFn<'_>) -> Result<State, Error> {
    let heap = Heap::parse(&options.heap)?;
    let folder = Folder::create(&options.dir)?;
    let _lock = folder.lock(progress).await?;
    match look(&folder)? {
        Found::Ready(state) => {
            refuse_other_port(&state, options.port)?;
            if probe::answers(state.address()).await {
                progress(Progress::AlreadyRunning { pid: state.pid });
                return Ok(state);
            }
            return Starting::taken_over(&folder, state, progress).ready(options, progress).await;
        }
        Found::Starting(state) => {
            refuse_other_port(&state, options.port)?;
            return Starting::taken_over(&folder, state, progress).ready(options, progress).await;
        }
        Found::Unrecorded { pid } => {
            let data = folder.data;
            return Err(Error::Unrecorded { pid, data });
        }
        Found::Stale { pid } => {
            folder.forget()?;
            progress(Progress::RemovedStale { pid });
        }
        Found::Nothing => {}
    }

    let java = java::find(options).await?;
    let jars = jars::install(options, &java, progress).await?;
    let mut attempt = 1;
    loop {
        let ports = Ports::choose(options.host, options.port, options.ring.as_ref().map(|ring| ring.storage_port))?;
        let starting = Starting::start(&folder, (&java, &jars, heap), ports, options, progress).await?;
        match starting.ready(options, progress).await {
            Err(error) if error.is_port_clash() && attempt < PORT_ATTEMPTS => {
                attempt += 1;
                progress(Progress::ChoosingOtherPorts);
            }
            result => return result,
        }
    }
}

/// Looks, and changes nothing.
pub async fn status(options: &Options) -> Result<Status, Error> {
    let folder = Folder::look_at(&options.dir)?;
    Ok(match look(&folder)? {
        Found::Ready(state) | Found::Starting(state) => Status::Running { cql: probe::answers(state.address()).await, state },
        Found::Stale { pid } => Status::Stale { pid },
        Found::Unrecorded { pid } => Status::Unrecorded { pid },
        Found::Nothing => Status::Stopped,
    })
}

/// Stops the node, whose data stay. Nothing to stop is no error.
pub async fn down(options: &Options, progress: ProgressFn<'_>) -> Result<Stopped, Error> {
    let folder = Folder::look_at(&options.dir)?;
    if !folder.exists() {
        return Ok(Stopped::WasNotRunning);
    }
    let _lock = folder.lock(progress).await?;
    let pid = match look(&folder)? {
        Found::Ready(state) | Found::Starting(state) => state.pid,
        Found::Unrecorded { pid } => {
            let data = folder.data;
            return Err(Error::Unrecorded { pid, data });
        }
        Found::Stale { pid } => {
            folder.forget()?;
            return Ok(Stopped::WasStale { pid });
        }
        Found::Nothing => return Ok(Stopped::WasNotRunning),
    };
    let ended = process::end_node(pid, &folder.data, STOP_TIMEOUT, |elapsed| {
        progress(Progress::Draining { pid, elapsed });
    })
    .await?;
    // Only now: had we been interrupted, the next `down` would still know the process.
    folder.forget()?;
    Ok(match ended {
        Ended::Drained => Stopped::Drained { pid },
        Ended::Killed => Stopped::Killed { pid },
    })
}

enum Found {
    Ready(State),
    Starting(State),
    Stale { pid: u32 },
    Unrecorded { pid: u32 },
    Nothing,
}

/// What the records say, held against the processes that there are.
fn look(folder: &Folder) -> Result<Found, Error> {
    let ready = State::read(&folder.node_json)?;
    let starting = State::read(&folder.starting_json)?;
    let stale = ready.as_ref().or(starting.as_ref()).map(|state| state.pid);
    let ours = |state: &State| process::runs_node(state.pid, &folder.data);
    if let Some(state) = ready.filter(ours) {
        return Ok(Found::Ready(state));
    }
    if let Some(state) = starting.filter(ours) {
        return Ok(Found::Starting(state));
    }
    if let Some(pid) = process::find_node(&folder.data) {
        return Ok(Found::Unrecorded { pid });
    }
    Ok(stale.map_or(Found::Nothing, |pid| Found::Stale { pid }))
}

fn refuse_other_port(state: &State, wanted: Option<u16>) -> Result<(), Error> {
    match wanted {
        Some(wanted) if wanted != state.port => Err(Error::OtherPort { port: state.port, wanted }),
        _ => Ok(()),
    }
}
