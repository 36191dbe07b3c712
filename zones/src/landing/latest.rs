//! What is known of the newest content, beyond its receipt.
//!
//! `latest.json` can be derived from the newest receipt and is, where it is missing, unreadable or older. It holds two things
//! more: validators that a server gave later for the same bytes (a receipt never changes), and the highest number ever given,
//! which survives the deletion of the folder, so that no position downstream comes to mean other bytes.

use std::path::Path;

use model::Receipt;
use model::receipt::Validators;
use serde::{Deserialize, Serialize};

use super::Error;
use super::durable::{read_if_there, write_whole};

const FILE: &str = "latest.json";

/// The newest content that ever landed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest {
    pub sequence: u64,
    /// Lower-case hex.
    pub sha256: String,
    pub validators: Validators,
    /// Whether its receipt is there. If not, whatever the source serves has to be fetched.
    #[serde(skip)]
    pub is_landed: bool,
}

impl Latest {
    pub(super) fn of(receipt: &Receipt) -> Self {
        Self {
            sequence: receipt.sequence,
            sha256: receipt.sha256.clone(),
            validators: receipt.validators.clone(),
            is_landed: true,
        }
    }

    /// The number for the next content: its old one where it is this content, whose folder was deleted.
    pub(super) fn sequence_for(&self, sha256: &str) -> u64 {
        if !self.is_landed && self.sha256 == sha256 { self.sequence } else { self.sequence + 1 }
    }
}

pub(super) fn read(folder: &Path, newest: Option<&Receipt>) -> Result<Option<Latest>, Error> {
    let noted = read_if_there(&folder.join(FILE))?.and_then(|bytes| serde_json::from_slice::<Latest>(&bytes).ok());
    let landed = newest.map(Latest::of);
    Ok(match (noted, landed) {
        (Some(noted), Some(landed)) if noted.sequence == landed.sequence && noted.sha256 == landed.sha256 => {
            Some(Latest { is_landed: true, ..noted })
        }
        (Some(noted), Some(landed)) if noted.sequence <= landed.sequence => Some(landed),
        (Some(noted), _) => Some(Latest { is_landed: false, ..noted }),
        (None, landed) => landed,
    })
}

pub(super) fn write(folder: &Path, latest: &Latest) -> Result<(), Error> {
    let json = serde_json::to_vec_pretty(latest).expect("only string keys");
    write_whole(&folder.join(FILE), &json)
}
