//! One hold on disk: a file that its process keeps locked and touched.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use model::shutdown::Shutdown;
use serde::{Deserialize, Serialize};

use super::{SIGNS, Terms, number_of};
use crate::error::Error;

/// Who holds a lake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub command: String,
    pub process: u32,
    pub host: String,
    /// Names this start of this machine, where that can be known: only there does a free lock prove that its holder is dead.
    machine: Option<String>,
    pub since: DateTime<Utc>,
    /// A sign of life counts for so long.
    silence_millis: u64,
}

/// What the newest hold looks like.
pub(super) enum Sign {
    /// Its process is dead, or has let it go.
    Dead,
    /// Its process may live, but gave no sign of it for as long as it said it would.
    Silent(Option<Holder>),
    Alive(Option<Holder>),
    /// The file went while it was looked at.
    Gone,
}

impl Holder {
    pub(super) fn this(terms: &Terms) -> Self {
        Self {
            command: terms.command.clone(),
            process: std::process::id(),
            host: host(),
            machine: boot_id(),
            since: Utc::now(),
            silence_millis: u64::try_from(terms.silence.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let since = self.since.format("%Y-%m-%d %H:%M:%S");
        write!(f, "{} (process {} on {}, since {since} UTC)", self.command, self.process, self.host)
    }
}

pub(super) fn described(holder: Option<&Holder>) -> String {
    holder.map_or_else(|| "a process that does not say who it is".to_owned(), ToString::to_string)
}

pub(super) fn file_of(folder: &Path, epoch: u64) -> PathBuf {
    folder.join(format!("{epoch:06}.json"))
}

/// The numbers of all holds that are there.
pub(super) fn epochs(folder: &Path) -> Result<Vec<u64>, Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", folder)(error)),
    };
    let mut epochs = Vec::new();
    for entry in entries {
        let name = entry.map_err(Error::io("list", folder))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".json"));
        epochs.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    Ok(epochs)
}

/// Makes the file of a hold, locked and whole from its first moment; `None` where another process was first.
pub(super) fn make(folder: &Path, epoch: u64, holder: &Holder) -> Result<Option<File>, Error> {
    let beside = folder.join(format!("{}.new", uuid::Uuid::new_v4()));
    let mut file = File::options().read(true).write(true).create_new(true).open(&beside).map_err(Error::io("create", &beside))?;
    let json = serde_json::to_vec_pretty(holder).expect("only string keys");
    let linked = file.write_all(&json).map_err(Error::io("write", &beside)).and_then(|()| {
        // A file system without locks has the signs of life.
        let _ = file.try_lock();
        let path = file_of(folder, epoch);
        match fs::hard_link(&beside, &path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(Error::io("create", &path)(error)),
        }
    });
    let _ = fs::remove_file(&beside);
    Ok(linked?.then_some(file))
}

/// Removes the holds before `epoch`, and what was left by a process that ended while it made one. Only space is at stake.
pub(super) fn remove_older(folder: &Path, epoch: u64) {
    for older in epochs(folder).unwrap_or_default().into_iter().filter(|older| *older < epoch) {
        let _ = fs::remove_file(file_of(folder, older));
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_left = path.extension().is_some_and(|extension| extension == "new")
            && File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
        if is_left {
            let _ = fs::remove_file(path);
        }
    }
}

/// Marks the file as let go. Its lock may be held on to by clones of the handle, so both are said.
pub(super) fn let_go(file: &File) {
    let _ = file.set_modified(SystemTime::UNIX_EPOCH);
    let _ = file.unlock();
}

pub(super) fn read(path: &Path) -> Option<Holder> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

pub(super) fn is_same(path: &Path, file: &File) -> Result<bool, Error> {
    let there = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::io("look at", path)(error)),
    };
    Ok(number_of(&there) == number_of(&file.metadata().map_err(Error::io("look at", path))?))
}

/// Whether whoever made this file lives. A holder that may be silent is looked at for a while.
pub(super) fn state(path: &Path, shutdown: &Shutdown) -> Result<Sign, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Sign::Gone),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let touched = || file.metadata().and_then(|metadata| metadata.modified()).map_err(Error::io("look at", path));
    let last = touched()?;
    if last == SystemTime::UNIX_EPOCH {
        return Ok(Sign::Dead);
    }
    let holder = read(path);
    let is_free = match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
    };
    let machine = holder.as_ref().and_then(|holder| holder.machine.as_ref());
    if is_free && machine.is_some() && machine == boot_id().as_ref() {
        return Ok(Sign::Dead);
    }
    drop(file.unlock());
    let silence = holder.as_ref().map_or(super::DEFAULT_SILENCE, |holder| Duration::from_millis(holder.silence_millis));
    // In the future: the clock was set back since.
    if SystemTime::now().duration_since(last).is_ok_and(|age| age < silence) {
        return Ok(Sign::Alive(holder));
    }
    // The clock may have been set, here or there: what counts is whether the file is touched while somebody looks. A holder
    // that was stopped and goes on is given the time for a sign.
    let (look, pause) = (silence / 4, (silence / (SIGNS * 4)).min(Duration::from_millis(100)));
    let started = std::time::Instant::now();
    while started.elapsed() < look {
        shutdown.check()?;
        std::thread::sleep(pause);
        if touched()? != last {
            return Ok(Sign::Alive(holder));
        }
    }
    Ok(Sign::Silent(holder))
}

/// The holder, where it gave a sign of life within the time of three.
pub(super) fn living(path: &Path) -> Option<Holder> {
    let last = fs::metadata(path).and_then(|metadata| metadata.modified()).ok()?;
    let holder = read(path)?;
    let sign = Duration::from_millis(holder.silence_millis) / SIGNS;
    // In the future: the clock was set back since.
    let is_living = last != SystemTime::UNIX_EPOCH && SystemTime::now().duration_since(last).map_or(true, |age| age < sign * 3);
    is_living.then_some(holder)
}

/// As holds and records of runs name this machine.
pub(super) fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "this machine".to_owned() } else { name.trim().to_owned() }
}

/// Names the machine's last start (Linux). Containers of one machine share it; elsewhere it is unknown.
fn boot_id() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}
