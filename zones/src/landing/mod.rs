//! The landing zone: files exactly as received, and a receipt for each.
//!
//! ```text
//! <lake>/landing/<pipeline>/<source>/000001/events.json.bz2    the bytes as received
//!                                   /000001/receipt.json       written last: without it the folder is not landed
//!                                   /000001/load/<table>/      a half-done load's plan (not of this module)
//!                                   /latest.json               newest content ever landed, and its validators
//!                                   /latest/LOCATION.json      the same for each location
//!                                   /incoming/LOCATION/NAME.part   a download under way, and NAME.part.json beside it
//! ```
//!
//! A *location* is one url of a source. Its receipts, in order, stand for its contents; those of all locations of a source are
//! one growing sequence.
//!
//! Guarantee: a receipt is there only once its file is on disk under its final name, both synced; after a crash at any
//! point a folder is either landed or removed by the next [`LandingZone::clean`]. Sequence numbers grow by one a content
//! and are never given to other bytes, also when somebody deleted the newest folder of a location. One process at a time works on a
//! source ([`Lock`]).
//! Never: changes a landed file or its receipt; guesses what a damaged one held.

mod durable;
mod error;
mod incoming;
mod latest;
mod names;
mod receipts;

pub use error::Error;
pub(crate) use error::failure_of;
pub use incoming::{Incoming, Part, PartNote, Received};
pub use latest::{Latest, Latests};
pub use names::safe_name;

use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use model::Receipt;
use model::crash;
use model::receipt::Validators;
use model::shutdown::Shutdown;

use crate::hold::Guard;
use durable::{create_folder, remove_if_there, sync_folder};

/// The landed files of one source.
#[derive(Debug, Clone)]
pub struct LandingZone {
    source: String,
    folder: PathBuf,
    /// Who holds the lake holds its sources, too.
    guard: Guard,
}

/// The right to change a source's folder; given back when dropped, also by a process that dies.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
    source_name: String,
}

/// What a receipt says beyond the bytes themselves.
#[derive(Debug, Clone)]
pub struct About {
    /// Without user name, password and query.
    pub url: String,
    /// See [`model::receipt::location_of`].
    pub location: String,
    pub file_name: String,
    pub validators: Validators,
    pub received_at: DateTime<Utc>,
}

impl Lock {
    /// Fails once another process has taken the source.
    fn confirm(&self) -> Result<(), Error> {
        let number = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let mine = self.file.metadata().map(number).map_err(Error::io("look at", &self.path))?;
        match std::fs::metadata(&self.path).map(number) {
            Ok(there) if there == mine => Ok(()),
            _ => Err(Error::Locked { source_name: self.source_name.clone(), path: self.path.clone() }),
        }
    }
}

impl LandingZone {
    /// The zone of `source`; creates nothing.
    pub fn new(lake: &Path, pipeline: &str, source: &str) -> Self {
        Self { source: source.to_owned(), folder: lake.join("landing").join(pipeline).join(source), guard: Guard::default() }
    }

    /// The same, of a lake that is held.
    pub(crate) fn guarded(self, guard: &Guard) -> Self {
        Self { guard: guard.clone(), ..self }
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// All receipts, oldest first.
    pub fn receipts(&self) -> Result<Vec<Receipt>, Error> {
        let sequences = receipts::sequences(&self.folder)?;
        sequences.into_iter().filter_map(|sequence| self.receipt(sequence).transpose()).collect()
    }

    /// Every receipt by itself, oldest first: one that cannot be read does not hide the others.
    pub fn each_receipt(&self) -> Result<Vec<Result<Receipt, Error>>, Error> {
        let sequences = receipts::sequences(&self.folder)?;
        Ok(sequences.into_iter().filter_map(|sequence| self.receipt(sequence).transpose()).collect())
    }

    /// The newest receipt; reads one file whatever the number of receipts.
    pub fn newest(&self) -> Result<Option<Receipt>, Error> {
        for sequence in receipts::sequences(&self.folder)?.into_iter().rev() {
            if let Some(receipt) = self.receipt(sequence)? {
                return Ok(Some(receipt));
            }
        }
        Ok(None)
    }

    /// The numbers of all folders, in order; one of them may have no receipt yet.
    pub(crate) fn sequences(&self) -> Result<Vec<u64>, Error> {
        receipts::sequences(&self.folder)
    }

    pub(crate) fn receipt(&self, sequence: u64) -> Result<Option<Receipt>, Error> {
        receipts::read(&self.folder_of(sequence), &self.source, sequence)
    }

    fn folder_of(&self, sequence: u64) -> PathBuf {
        self.folder.join(format!("{sequence:06}"))
    }

    /// Where the landed file is.
    pub fn file(&self, receipt: &Receipt) -> PathBuf {
        self.folder_of(receipt.sequence).join(&receipt.file_name)
    }

    /// Where a load of the file into `table` keeps its plan.
    pub fn plan_folder(&self, receipt: &Receipt, table: &str) -> PathBuf {
        self.folder_of(receipt.sequence).join(names::PLAN_FOLDER).join(table)
    }

    /// Where the loads of the file keep their plans, a folder for each table.
    pub(crate) fn loads_folder(&self, receipt: &Receipt) -> PathBuf {
        self.folder_of(receipt.sequence).join(names::PLAN_FOLDER)
    }

    /// Checks that the landed file is there with the size that the receipt states. Reads none of it.
    pub fn verify(&self, receipt: &Receipt) -> Result<(), Error> {
        receipts::verify_size(receipt, &self.file(receipt))
    }

    /// Checks the landed file's SHA-256 as well; reads all of it.
    pub fn verify_content(&self, receipt: &Receipt) -> Result<(), Error> {
        self.verify_content_unless(receipt, &Shutdown::default())
    }

    /// The same, and ends early with [`Error::Interrupted`] when it is asked to.
    pub fn verify_content_unless(&self, receipt: &Receipt, shutdown: &Shutdown) -> Result<(), Error> {
        receipts::verify_content(receipt, &self.file(receipt), shutdown)
    }

    /// What landed so far, by location.
    pub fn latests(&self) -> Result<Latests, Error> {
        Latests::read(&self.folder, &self.receipts()?)
    }

    /// The same for who adds to it: what a killed run did not note any more is noted first.
    pub fn latests_to_add_to(&self, _lock: &Lock) -> Result<Latests, Error> {
        let mut latests = self.latests()?;
        latests.catch_up()?;
        Ok(latests)
    }

    /// Takes the source for this process, creating its folder.
    ///
    /// Fails with [`Error::Locked`] while another process has it. A process that holds the lake took over from one that gives no
    /// sign of life: it takes the source from that one, too, and leaves it the unfinished downloads that it may yet write to.
    pub fn lock(&self) -> Result<Lock, Error> {
        create_folder(&self.folder)?;
        let path = self.folder.join(".lock");
        if let Some(lock) = self.try_lock(&path)? {
            return Ok(lock);
        }
        if self.guard.is_held() {
            remove_if_there(&path)?;
            incoming::remove_others(&self.incoming_folder(), &HashSet::new())?;
            if let Some(lock) = self.try_lock(&path)? {
                return Ok(lock);
            }
        }
        Err(Error::Locked { source_name: self.source.clone(), path })
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Lock>, Error> {
        let file = File::create(path).map_err(Error::io("create", path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { file, path: path.to_owned(), source_name: self.source.clone() })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(Error::io("lock", path)(source)),
        }
    }

    /// Removes folders that a crash left without a receipt, and says how many.
    pub fn clean(&self, _lock: &Lock) -> Result<usize, Error> {
        let mut removed = 0;
        for sequence in receipts::sequences(&self.folder)? {
            let folder = self.folder_of(sequence);
            if !receipts::is_landed(&folder)? {
                crash::point("landing/clean:before");
                std::fs::remove_dir_all(&folder).map_err(Error::io("remove", &folder))?;
                crash::point("landing/clean:after");
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes downloads of locations that are not among these, and what is left of those that landed.
    pub fn clean_incoming<'l>(&self, _lock: &Lock, locations: impl IntoIterator<Item = &'l str>) -> Result<(), Error> {
        let locations: HashSet<&str> = locations.into_iter().collect();
        incoming::remove_others(&self.incoming_folder(), &locations)
    }

    /// Where a download of `name` is kept until it is whole.
    pub fn incoming(&self, location: &str, name: &str) -> Incoming {
        Incoming::new(&self.incoming_folder(), location, name)
    }

    /// Downloads under way, a folder for each location.
    pub(crate) fn incoming_folder(&self) -> PathBuf {
        self.folder.join("incoming")
    }

    /// Makes a whole download the next landed file.
    ///
    /// The bytes of the location's newest receipt again are the caller's business: this always lands. Bytes whose folder (the
    /// newest one of the location) was deleted get their old number back.
    pub fn land(&self, lock: &Lock, latests: &mut Latests, received: Received, about: About) -> Result<Receipt, Error> {
        lock.confirm()?;
        let sequence = latests.sequence_for(&about.location, &received.sha256)?;
        let receipt = Receipt {
            source: self.source.clone(),
            sequence,
            url: about.url,
            location: about.location,
            file_name: safe_name(&about.file_name),
            size: received.size,
            sha256: received.sha256,
            validators: about.validators,
            received_at: about.received_at,
        };
        let folder = self.folder_of(sequence);
        let file = self.file(&receipt);
        crash::point("landing/folder:before");
        create_folder(&folder)?;
        crash::point("landing/folder:after");
        crash::point("landing/rename:before");
        std::fs::rename(&received.path, &file).map_err(Error::io("rename the download to", &file))?;
        sync_folder(&folder)?;
        crash::point("landing/rename:after");
        crash::point("landing/receipt:before");
        receipts::write(&folder, &receipt)?;
        crash::point("landing/receipt:after");
        crash::point("landing/latest:before");
        latests.landed(&receipt)?;
        crash::point("landing/latest:after");
        crash::point("landing/tidy:before");
        received.incoming.remove_all()?;
        crash::point("landing/tidy:after");
        Ok(receipt)
    }

    /// Notes newer validators for the newest content of a location, so that the next run need not fetch the same bytes again.
    pub fn note_validators(&self, lock: &Lock, latests: &Latests, latest: &Latest, validators: Validators) -> Result<(), Error> {
        lock.confirm()?;
        latests.note_location(&Latest { validators, ..latest.clone() })
    }
}

#[cfg(test)]
mod tests;
