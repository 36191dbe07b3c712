//! Where a node keeps its things, and the lock that lets one program at a time start or stop it.
//!
//! ```text
//! .sluice/node.json            there exactly while a node that was ready is recorded; for other tools to read
//! .sluice/node/starting.json   the same, of a node that is not ready yet
//! .sluice/node/data            tables and commit log: kept by `down`
//! .sluice/node/logs            system.log (Cassandra's) and console.log (the JVM's own words, of the last start)
//! .sluice/node/conf            written anew by every start
//! .sluice/node/lock
//! ```

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Error, Progress, ProgressFn};

/// How often a program that waits for the lock tries again.
const LOCK_POLL: Duration = Duration::from_millis(200);

#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) node_json: PathBuf,
    pub(super) starting_json: PathBuf,
    pub(super) home: PathBuf,
    pub(super) data: PathBuf,
    pub(super) logs: PathBuf,
    pub(super) conf: PathBuf,
    lock: PathBuf,
}

impl Folder {
    /// The folder as it is, without making anything.
    pub(super) fn look_at(dir: &Path) -> Result<Self, Error> {
        // Two ways of writing the same folder must give the same path: it is how a process is known to be ours.
        let dir = dir.canonicalize().or_else(|_| std::path::absolute(dir)).map_err(Error::file("find the folder", dir))?;
        let home = dir.join("node");
        Ok(Self {
            node_json: dir.join("node.json"),
            starting_json: home.join("starting.json"),
            data: home.join("data"),
            logs: home.join("logs"),
            conf: home.join("conf"),
            lock: home.join("lock"),
            home,
        })
    }

    pub(super) fn create(dir: &Path) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(Error::file("create the folder", dir))?;
        let folder = Self::look_at(dir)?;
        for dir in [&folder.data, &folder.logs, &folder.conf] {
            fs::create_dir_all(dir).map_err(Error::file("create the folder", dir))?;
        }
        Ok(folder)
    }

    pub(super) fn exists(&self) -> bool {
        self.home.is_dir()
    }

    pub(super) async fn lock(&self, progress: ProgressFn<'_>) -> Result<Lock, Error> {
        Lock::acquire(&self.lock, progress).await
    }

    /// Removes what is recorded of a node that no longer runs.
    pub(super) fn forget(&self) -> Result<(), Error> {
        remove_file(&self.node_json)?;
        self.forget_starting()
    }

    /// The node is ready: the other record has taken over.
    pub(super) fn forget_starting(&self) -> Result<(), Error> {
        remove_file(&self.starting_json)
    }
}

fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", path)(e)),
        _ => Ok(()),
    }
}

/// Held until dropped; the kernel drops it with the process, so it is never stale.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl Lock {
    /// Waits without a deadline of its own: whoever holds the lock works under deadlines.
    pub(super) async fn acquire(path: &Path, progress: ProgressFn<'_>) -> Result<Self, Error> {
        let file =
            File::options().create(true).truncate(false).write(true).open(path).map_err(Error::file("open the lock", path))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::Error(e)) => return Err(Error::file("lock", path)(e)),
                Err(TryLockError::WouldBlock) => {}
            }
            if !told {
                progress(Progress::WaitingForOther);
                told = true;
            }
            tokio::time::sleep(LOCK_POLL).await;
        }
    }
}
