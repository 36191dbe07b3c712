//! Who works on a pipeline's part of a lake: one process at a time.
//!
//! `_sluice/<pipeline>/hold/000007.json` is the seventh hold. It names its process, is locked by it (an operating system's lock,
//! let go however the process ends), and is touched while the process lives. A hold is never given back in the folder: the next
//! one has the next number, its *epoch*, and is made in a way that only one process can.
//!
//! Guarantee: a dead holder on the same machine is followed at once. One that is there but gives no sign of life (stopped, or on
//! a machine that cannot be seen) is followed after as long as its hold said. A holder that was followed knows it: whoever
//! commits asks [`Guard::confirm`] first, and it fails for good. What slips between that question and the commit collides in the
//! table's log (its fence).
//! Never: trusts the clock of another machine to say that somebody is dead; only that a file was not touched while it looked.

mod file;

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use model::crash;
use model::shutdown::Shutdown;

pub use file::Holder;

use crate::error::Error;
use crate::lake::Lake;
use file::{Sign, epochs, file_of, remove_older, state};

/// How long a sign of life counts where nobody says otherwise: a machine may be out of breath for that long.
pub const DEFAULT_SILENCE: Duration = Duration::from_mins(1);

/// A sign of life is given this many times in the time for which one counts.
const SIGNS: u32 = 12;

/// Losing a race for the next hold this often is no race any more.
const ATTEMPTS: u32 = 20;

/// On what terms a hold is taken.
#[derive(Debug, Clone)]
pub struct Terms {
    /// What the holder does, for the message that others get.
    pub command: String,
    /// Without a sign of life for so long, others may take over.
    pub silence: Duration,
    /// Ends the look at a holder that gives no sign of life.
    pub shutdown: Shutdown,
}

impl Terms {
    pub fn new(command: &str) -> Self {
        Self { command: command.to_owned(), silence: DEFAULT_SILENCE, shutdown: Shutdown::default() }
    }
}

/// A held lake; let go when dropped, also by a crash.
#[derive(Debug)]
pub struct Hold {
    held: Arc<Held>,
    shared: Guard,
    stop: Option<Sender<()>>,
    beat: Option<JoinHandle<()>>,
    replaced: Option<Holder>,
}

/// Asks whether a hold is still one's own. Clones share what they know; one that was never taken has nothing against anything.
#[derive(Debug, Clone, Default)]
pub struct Guard(Arc<Mutex<Option<Arc<Held>>>>);

#[derive(Debug)]
struct Held {
    folder: PathBuf,
    epoch: u64,
    /// Kept open: no other file can get its number while it is.
    file: File,
}

/// Takes the next hold in `folder`, and makes `guard` ask for it.
pub(crate) fn take(folder: &Path, terms: &Terms, guard: &Guard) -> Result<Hold, Error> {
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let mine = Holder::this(terms);
    for _ in 0..ATTEMPTS {
        let newest = epochs(folder)?.into_iter().max();
        let mut replaced = None;
        if let Some(epoch) = newest {
            match state(&file_of(folder, epoch), &terms.shutdown)? {
                Sign::Dead => {}
                Sign::Silent(holder) => replaced = holder,
                Sign::Gone => continue,
                Sign::Alive(holder) => {
                    return Err(Error::Held { path: shown(folder), holder: file::described(holder.as_ref()) });
                }
            }
        }
        let epoch = newest.unwrap_or(0) + 1;
        crash::point("hold/take:before");
        let Some(file) = file::make(folder, epoch, &mine)? else { continue };
        crash::point("hold/take:after");
        // Between the look and the making others may have come and gone.
        if epochs(folder)?.into_iter().max() != Some(epoch) {
            let _ = fs::remove_file(file_of(folder, epoch));
            continue;
        }
        remove_older(folder, epoch);
        return Ok(start(Held { folder: folder.to_owned(), epoch, file }, terms.silence, guard, replaced));
    }
    Err(Error::Held { path: shown(folder), holder: file::described(None) })
}

/// Who holds the lake, as far as signs of life tell: one that died a moment ago is still named.
///
/// For onlookers: it touches no lock, which would be in the way of whoever takes the hold.
pub fn look(lake: &Lake) -> Result<Option<Holder>, Error> {
    let folder = lake.hold_folder();
    let Some(epoch) = epochs(&folder)?.into_iter().max() else { return Ok(None) };
    Ok(file::living(&file_of(&folder, epoch)))
}

/// This machine, as a [`Holder`] names it.
pub fn host() -> String {
    file::host()
}

/// The pipeline's folder, of which a hold's folder is a part.
fn shown(folder: &Path) -> String {
    folder.parent().unwrap_or(folder).display().to_string()
}

fn start(held: Held, silence: Duration, guard: &Guard, replaced: Option<Holder>) -> Hold {
    let held = Arc::new(held);
    *guard.lock() = Some(Arc::clone(&held));
    let (stop, stopped) = channel();
    let living = Arc::clone(&held);
    let beat = std::thread::spawn(move || {
        while matches!(stopped.recv_timeout(silence / SIGNS), Err(RecvTimeoutError::Timeout)) {
            // Where that fails, others see silence and take over: nothing is lost by it.
            let _ = living.file.set_modified(SystemTime::now());
        }
    });
    Hold { held, shared: guard.clone(), stop: Some(stop), beat: Some(beat), replaced }
}

impl Hold {
    /// Whom this one took over from, because there was no sign of life.
    pub fn replaced(&self) -> Option<&Holder> {
        self.replaced.as_ref()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(beat) = self.beat.take() {
            let _ = beat.join();
        }
        let mut shared = self.shared.lock();
        if shared.as_ref().is_some_and(|held| Arc::ptr_eq(held, &self.held)) {
            *shared = None;
        }
        file::let_go(&self.held.file);
    }
}

impl Guard {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Held>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is a hold to ask for.
    pub(crate) fn is_held(&self) -> bool {
        self.lock().is_some()
    }

    /// Fails once another process has taken over. Costs a look at a small folder.
    pub fn confirm(&self) -> Result<(), Error> {
        let Some(held) = self.lock().clone() else { return Ok(()) };
        let newest = epochs(&held.folder)?.into_iter().max();
        let path = file_of(&held.folder, newest.unwrap_or(held.epoch));
        let is_same = newest == Some(held.epoch) && file::is_same(&path, &held.file)?;
        if is_same {
            return Ok(());
        }
        let holder = file::described(file::read(&path).as_ref());
        Err(Error::TakenOver { path: shown(&held.folder), holder })
    }
}

/// The number of a file on its disk; two files that are open at once have two.
fn number_of(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests;
