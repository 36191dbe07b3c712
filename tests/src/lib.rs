//! What the integration tests of Sluice, `make pipeline` and the benchmark share.
//!
//! - [`session_events`]: the demonstration file, generated from a seed, and the truth about what is in it
//! - [`digest`]: the sha256 of things
//! - [`new_file`]: files that are there whole or not at all

pub mod digest;
pub mod new_file;
pub mod session_events;
