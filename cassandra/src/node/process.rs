//! Processes: which are ours, and how one is ended. Reads `/proc`, so Linux only.
//!
//! A pid alone proves nothing: after a crash or a reboot the number belongs to somebody else. A process is ours when its command line
//! holds our data folder. Nothing else is ever sent a signal.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Error;

const POLL: Duration = Duration::from_millis(100);
/// After SIGKILL the kernel only has to free the memory.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// The argument that a node of this data folder is started with, and known by.
pub(super) fn storage_argument(data: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from("-Dcassandra.storagedir=");
    argument.push(data);
    argument
}

/// A process that has ended but was not waited for (a zombie) has no command line, so it counts as gone.
pub(super) fn runs_node(pid: u32, data: &Path) -> bool {
    let Ok(command) = fs::read(format!("/proc/{pid}/cmdline")) else {
        return false;
    };
    let wanted = storage_argument(data);
    command.split(|&byte| byte == 0).any(|argument| argument == wanted.as_encoded_bytes())
}

/// A node of this data folder that runs whatever the records say.
pub(super) fn find_node(data: &Path) -> Option<u32> {
    fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .find(|&pid| runs_node(pid, data))
}

/// How a node was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Drained,
    Killed,
}

/// SIGTERM, upon which Cassandra drains: it flushes its tables and ends. SIGKILL if that takes longer than `patience`.
pub(super) async fn end_node(
    pid: u32,
    data: &Path,
    patience: Duration,
    mut waiting: impl FnMut(Duration),
) -> Result<Ended, Error> {
    signal(pid, Signal::SIGTERM)?;
    if gone(pid, data, patience, &mut waiting).await {
        return Ok(Ended::Drained);
    }
    signal(pid, Signal::SIGKILL)?;
    if gone(pid, data, KILL_TIMEOUT, &mut waiting).await {
        return Ok(Ended::Killed);
    }
    Err(Error::Unstoppable { pid })
}

async fn gone(pid: u32, data: &Path, patience: Duration, waiting: &mut impl FnMut(Duration)) -> bool {
    let since = Instant::now();
    let mut elapsed = Duration::ZERO;
    while runs_node(pid, data) {
        if elapsed > patience {
            return false;
        }
        waiting(elapsed);
        tokio::time::sleep(POLL).await;
        elapsed = since.elapsed();
    }
    true
}

fn signal(pid: u32, signal: Signal) -> Result<(), Error> {
    let target = Pid::from_raw(pid.cast_signed());
    match kill(target, signal) {
        // It ended between the look and the signal.
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(source) => Err(Error::Signal { pid, source }),
    }
}
