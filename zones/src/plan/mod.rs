//! What the stages of the lake would do now, without doing it.
//!
//! Guarantee: nothing is written and nothing is locked, so that a plan can be made beside a run; each table is looked at in the
//! one version that was its newest. What a number rests on is said with it: *exact* numbers are what a run that began now would
//! come to, as long as nobody else writes. Never: decodes a landed file; reads more rows than [`MOST_ROWS`] for one table.

mod load;
mod merge;
mod retention;
mod view;

pub use load::load;
pub use merge::{first_merge, merge};
pub use retention::retention;
pub use view::{new_view, view};

use model::plan::Amount;

use crate::delta::DataFile;

/// With more changed rows than this waiting, a table's keys are not looked up: it would take minutes.
pub const MOST_ROWS: u64 = 5_000_000;

fn files_in(files: &[DataFile]) -> Amount {
    Amount::exact(files.len() as u64)
}

fn bytes_in(files: &[DataFile]) -> Amount {
    Amount::exact(bytes(files))
}

fn bytes(files: &[DataFile]) -> u64 {
    files.iter().map(|file| file.size).sum()
}

/// From the log's statistics.
fn rows(files: &[DataFile]) -> u64 {
    files.iter().filter_map(|file| file.rows).sum()
}
