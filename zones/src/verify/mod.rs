//! Proofs about the lake: landed files, the accounting of loads, data files, and rows against what they should be.
//!
//! Guarantee: nothing is believed that can be looked at. Landed files are hashed, every data file is read to its end, landed
//! files are decoded anew and set beside raw table and quarantine, use-case tables are computed anew from their inputs. What is
//! wrong becomes a finding, also where a file cannot be read at all; an error is only what keeps the looking itself from going
//! on. What could not be looked at is a note. Nothing of the lake is changed; the caller holds it, so that nothing moves.
//! Memory is bounded by [`compare::Comparison`] and the engine's own limits.
//!
//! docs/verify.md says what is not found.

mod accounting;
pub mod compare;
mod files;
mod landing;
mod rows;
mod source;
mod use_case;

use std::path::PathBuf;

use model::failure::{Classify, Failure, with_causes};
use model::position::TableVersion;
use model::verify::Check;
use model::{Share, Shutdown};

use crate::delta::Table;
use crate::error::Error;
use crate::query::Room;

pub use accounting::{Account, Accounts, Counted, accounting, accounts, quarantine_accounting};
pub use files::files;
pub use landing::landed;
pub use source::{Source, contents};
pub use use_case::{UseCaseCheck, derived_content, key_directory};

/// What every check is handed.
#[derive(Debug, Clone)]
pub struct Looking {
    /// How much is looked at where that can be chosen.
    pub sample: Sample,
    /// What statements over whole tables may take.
    pub room: Room,
    /// Where what is compared lies meanwhile.
    pub spill: PathBuf,
    pub shutdown: Shutdown,
}

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sample {
    All,
    /// Of the keys of each table.
    Share(Share),
    /// About as many rows of each table.
    Rows(u64),
}

impl Sample {
    /// The share of `rows` rows; `None` for all of them.
    pub fn of(self, rows: u64) -> Option<Share> {
        match self {
            Self::Share(share) => Some(share).filter(|share| share.fraction() < 1.0),
            Self::Rows(wanted) if wanted < rows => Share::of(wanted.max(1) as f64 / rows as f64),
            Self::All | Self::Rows(_) => None,
        }
    }
}

/// Turns what is wrong with the data into a finding; other errors go on.
///
/// An unknown failure of reading is what damaged files look like. Only a request to stop, what may pass by itself and what
/// needs a person's hand elsewhere are none of the data's faults.
pub(crate) fn found(check: &mut Check, what: &str, error: Error) -> Result<(), Error> {
    match error.failure() {
        failure if error.is_damage() || matches!(failure, Failure::Bug | Failure::Data) => {
            check.find(1, what, vec![with_causes(&error)], error.hint().as_deref());
            Ok(())
        }
        _ => Err(error),
    }
}

/// The table as it was at `version`, or at a newer version with the same rows: then files that compaction has taken away since
/// are not needed.
pub async fn as_read(table: &Table, version: TableVersion) -> Result<Table, Error> {
    let mut same = version;
    for commit in table.commits_after(Some(version)).await? {
        if commit.changes_data() {
            break;
        }
        same = commit.version;
    }
    table.at(same).await
}
