//! From a landed file to a load plan, and from the plan to commits.
//!
//! Guarantee: nothing of a file is committed before its end has been read and its limits hold; the commits then follow the
//! plan in order of date, each with its position, so that a load that was stopped anywhere goes on with the next batch of the
//! same plan. Memory is bounded by the spill budget and one micro-batch, whatever the size and the order of the file.

mod added;
mod computed;
mod contract;
mod dedupe;
#[cfg(test)]
mod instructions;
mod plan;
mod prepare;
mod refeed;
mod spill;
mod split;
mod stop;

pub(crate) use added::expand;
pub use contract::{CompiledContract, provenance_fields, raw_schema};
pub(crate) use contract::{ENTRY, LOADED_AT, POSITION, RECEIPT};
pub use dedupe::{Fate, RowIndex};
pub use plan::{Batch, LoadPlan, Segment, UNNAMED_PLAN_FILE};
pub use prepare::{Bounds, DateChoice, REJECTS_FILE, ROWS_FILE, oldest_kept, prepare};
pub(crate) use refeed::{Feeding, Layouts, Refed, Stays};
pub use spill::{SpillReader, SpillWriter};
pub use stop::Stop;
