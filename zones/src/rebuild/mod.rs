//! A table computed anew from the zone before it, in place.
//!
//! Guarantee: what was computed takes the place of what was there in one commit, with the positions that the computation read up
//! to. A reader sees the table as it was or as it became, at any moment. The change feed of that commit is the difference: rows
//! that are equal in content are not in it, so nothing of them travels on. A rebuild that is killed has changed nothing or is
//! done; given again, it ends the same.
//!
//! Where the columns' types or the partitions of the table change, rows before and after cannot be compared: the commit then gives
//! the table another id, and what was made from it is made anew as well. Memory is bounded by what the engine may hold for the
//! SQL, a spill budget, and some 60 bytes for each row of one partition.

mod difference;
mod replacement;
mod staged;

use crate::delta::{ChangedRows, Table, TableShape};
use crate::error::Error;

pub(crate) use difference::Stamps;
pub use staged::Staged;
