//! What is known of the newest content of each location, beyond its receipt.
//!
//! `latest/LOCATION.json` and `latest.json` (the same for the whole source) can be derived from the receipts and are, where they
//! are missing, unreadable or older. They hold two things more: validators that a server gave later for the same bytes (a
//! receipt never changes), and the highest number ever given, which survives the deletion of the folder, so that no position
//! downstream comes to mean other bytes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use model::Receipt;
use model::receipt::Validators;
use serde::{Deserialize, Serialize};

use super::Error;
use super::durable::{create_folder, read_if_there, write_whole};

const FILE: &str = "latest.json";
const FOLDER: &str = "latest";

/// The newest content of a location that ever landed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest {
    pub sequence: u64,
    /// Lower-case hex.
    pub sha256: String,
    pub validators: Validators,
    /// Empty in a file of before there were several in a source.
    #[serde(default)]
    pub location: String,
    /// Whether its receipt is there. If not, whatever the source serves has to be fetched.
    #[serde(skip)]
    pub is_landed: bool,
}

/// What landed so far in a source, read once for a run that adds to it.
#[derive(Debug)]
pub struct Latests {
    folder: PathBuf,
    /// The newest receipt of each location.
    receipts: HashMap<String, Latest>,
    /// The newest content of the source.
    noted: Option<Latest>,
    highest: u64,
}

impl Latest {
    fn of(receipt: &Receipt) -> Self {
        Self {
            sequence: receipt.sequence,
            sha256: receipt.sha256.clone(),
            validators: receipt.validators.clone(),
            location: receipt.location.clone(),
            is_landed: true,
        }
    }
}

impl Latests {
    /// `receipts` are all of the source, oldest first.
    pub(super) fn read(folder: &Path, receipts: &[Receipt]) -> Result<Self, Error> {
        let mut noted = read_note(&folder.join(FILE))?;
        let newest = receipts.last();
        if let Some(noted) = noted.as_mut().filter(|noted| noted.location.is_empty()) {
            // A source that had one url only: all receipts of before belong to it.
            let same = receipts.iter().find(|receipt| receipt.sequence == noted.sequence);
            noted.location = same.or(newest).map(|receipt| receipt.location.clone()).unwrap_or_default();
        }
        let highest = noted.as_ref().map_or(0, |noted| noted.sequence).max(newest.map_or(0, |newest| newest.sequence));
        let receipts = receipts.iter().map(|receipt| (receipt.location.clone(), Latest::of(receipt))).collect();
        Ok(Self { folder: folder.to_owned(), receipts, noted, highest })
    }

    /// The newest content of a location, also where its folder was deleted since.
    pub fn of(&self, location: &str) -> Result<Option<Latest>, Error> {
        let of_source = self.noted.clone().filter(|noted| noted.location == location || noted.location.is_empty());
        let noted = read_note(&self.note(location))?.or(of_source);
        let landed = self.receipts.get(location).cloned();
        Ok(match (noted, landed) {
            (Some(noted), Some(landed)) if noted.sequence == landed.sequence && noted.sha256 == landed.sha256 => {
                Some(Latest { is_landed: true, location: landed.location, ..noted })
            }
            (Some(noted), Some(landed)) if noted.sequence <= landed.sequence => Some(landed),
            (Some(noted), _) => Some(Latest { is_landed: false, location: location.to_owned(), ..noted }),
            (None, landed) => landed,
        })
    }

    /// The location of a source that has one url and no more. Where all that landed belongs to one location, it is that one:
    /// the url of such a source may move.
    pub fn only_location(&self, of_url: &str) -> String {
        if self.receipts.contains_key(of_url) {
            return of_url.to_owned();
        }
        let noted = self.noted.as_ref().map(|noted| &noted.location).filter(|location| !location.is_empty());
        let mut known: Vec<&String> = self.receipts.keys().chain(noted).collect();
        known.sort_unstable();
        known.dedup();
        match known.as_slice() {
            [only] => (*only).clone(),
            _ => of_url.to_owned(),
        }
    }

    /// The newest number that ever was given; 0 if there is none.
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// The number for the next content: its old one where it is the newest of its location, whose folder was deleted.
    pub(super) fn sequence_for(&self, location: &str, sha256: &str) -> Result<u64, Error> {
        let lost = self.of(location)?.filter(|latest| !latest.is_landed && latest.sha256 == sha256);
        Ok(lost.map_or(self.highest + 1, |latest| latest.sequence))
    }

    /// Notes a receipt that was written.
    pub(super) fn landed(&mut self, receipt: &Receipt) -> Result<(), Error> {
        let latest = Latest::of(receipt);
        self.note_location(&latest)?;
        if receipt.sequence >= self.highest {
            self.highest = receipt.sequence;
            write_note(&self.folder.join(FILE), &latest)?;
            self.noted = Some(latest.clone());
        }
        self.receipts.insert(receipt.location.clone(), latest);
        Ok(())
    }

    /// Writes what is missing or older than the receipts: a run may have ended between a receipt and its note.
    pub(super) fn catch_up(&mut self) -> Result<(), Error> {
        let mut newest: Option<&Latest> = None;
        for latest in self.receipts.values() {
            if read_note(&self.note(&latest.location))?.is_none_or(|noted| noted.sequence < latest.sequence) {
                self.note_location(latest)?;
            }
            newest = newest.filter(|newest| newest.sequence > latest.sequence).or(Some(latest));
        }
        let Some(newest) = newest.filter(|newest| self.noted.as_ref().is_none_or(|noted| noted.sequence < newest.sequence))
        else {
            return Ok(());
        };
        write_note(&self.folder.join(FILE), newest)?;
        self.noted = Some(newest.clone());
        Ok(())
    }

    pub(super) fn note_location(&self, latest: &Latest) -> Result<(), Error> {
        create_folder(&self.folder.join(FOLDER))?;
        write_note(&self.note(&latest.location), latest)
    }

    fn note(&self, location: &str) -> PathBuf {
        self.folder.join(FOLDER).join(format!("{location}.json"))
    }
}

fn read_note(path: &Path) -> Result<Option<Latest>, Error> {
    Ok(read_if_there(path)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

fn write_note(path: &Path, latest: &Latest) -> Result<(), Error> {
    let json = serde_json::to_vec_pretty(latest).expect("only string keys");
    write_whole(path, &json)
}
