//! Stages, runner and binaries of Sluice.

pub mod download;
pub mod stages;
