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
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use model::Receipt;
use model::receipt::Validators;

use durable::{create_folder, sync_folder};

/// The landed files of one source.
#[derive(Debug, Clone)]
pub struct LandingZone {
    source: String,
    folder: PathBuf,
}

/// The right to change a source's folder; given back when dropped, also by a process that dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
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

impl LandingZone {
    /// The zone of `source`; creates nothing.
    pub fn new(lake: &Path, pipeline: &str, source: &str) -> Self {
        Self { source: source.to_owned(), folder: lake.join("landing").join(pipeline).join(source) }
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

    fn receipt(&self, sequence: u64) -> Result<Option<Receipt>, Error> {
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

    /// Checks that the landed file is there with the size that the receipt states. Reads none of it.
    pub fn verify(&self, receipt: &Receipt) -> Result<(), Error> {
        receipts::verify_size(receipt, &self.file(receipt))
    }

    /// Checks the landed file's SHA-256 as well; reads all of it.
    pub fn verify_content(&self, receipt: &Receipt) -> Result<(), Error> {
        receipts::verify_content(receipt, &self.file(receipt))
    }

    /// What landed so far, by location.
    pub fn latests(&self) -> Result<Latests, Error> {
        Latests::read(&self.folder, &self.receipts()?)
    }

    /// Takes the source for this process, creating its folder.
    ///
    /// Fails with [`Error::Locked`] while another process has it.
    pub fn lock(&self) -> Result<Lock, Error> {
        create_folder(&self.folder)?;
        let path = self.folder.join(".lock");
        let file = File::create(&path).map_err(Error::io("create", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked { source_name: self.source.clone(), path }),
            Err(TryLockError::Error(source)) => Err(Error::io("lock", &path)(source)),
        }
    }

    /// Removes folders that a crash left without a receipt, and says how many.
    pub fn clean(&self, _lock: &Lock) -> Result<usize, Error> {
        let mut removed = 0;
        for sequence in receipts::sequences(&self.folder)? {
            let folder = self.folder_of(sequence);
            if !receipts::is_landed(&folder)? {
                std::fs::remove_dir_all(&folder).map_err(Error::io("remove", &folder))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes downloads of locations that are not among these.
    pub fn clean_incoming<'l>(&self, _lock: &Lock, locations: impl IntoIterator<Item = &'l str>) -> Result<(), Error> {
        let locations: HashSet<&str> = locations.into_iter().collect();
        incoming::remove_others(&self.incoming_folder(), &locations)
    }

    /// Where a download of `name` is kept until it is whole.
    pub fn incoming(&self, location: &str, name: &str) -> Incoming {
        Incoming::new(&self.incoming_folder(), location, name)
    }

    fn incoming_folder(&self) -> PathBuf {
        self.folder.join("incoming")
    }

    /// Makes a whole download the next landed file.
    ///
    /// The bytes of the location's newest receipt again are the caller's business: this always lands. Bytes whose folder (the
    /// newest one of the location) was deleted get their old number back.
    pub fn land(&self, _lock: &Lock, latests: &mut Latests, received: Received, about: About) -> Result<Receipt, Error> {
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
        create_folder(&folder)?;
        std::fs::rename(&received.path, &file).map_err(Error::io("rename the download to", &file))?;
        sync_folder(&folder)?;
        receipts::write(&folder, &receipt)?;
        latests.landed(&receipt)?;
        received.incoming.remove_all()?;
        Ok(receipt)
    }

    /// Notes newer validators for the newest content of a location, so that the next run need not fetch the same bytes again.
    pub fn note_validators(&self, _lock: &Lock, latests: &Latests, latest: &Latest, validators: Validators) -> Result<(), Error> {
        latests.note_location(&Latest { validators, ..latest.clone() })
    }
}

#[cfg(test)]
mod tests;
