//! The vocabulary of Sluice: what a pipeline is, how far it has got, what a run did, how it can fail.
//!
//! No IO happens here (texts and variables are handed in), there is no async runtime and no engine: every other crate may
//! depend on this one, and it depends on none of them.

pub mod clock;
pub mod counts;
pub mod crash;
pub mod definition;
pub mod failure;
pub mod maintenance;
pub mod operations;
pub mod plan;
pub mod position;
pub mod progress;
pub mod receipt;
pub mod reject;
pub mod report;
pub mod share;
pub mod shutdown;
pub mod slice;
pub mod verify;

pub use clock::Clock;
pub use counts::Counts;
pub use failure::{Classify, Failure};
pub use position::{BatchNumber, FilePosition, TableVersion};
pub use progress::Progress;
pub use receipt::Receipt;
pub use share::Share;
pub use shutdown::{Interrupted, Shutdown};
pub use slice::Slice;
