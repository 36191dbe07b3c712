//! Stages, runner and binaries of Sluice.
//!
//! The only crate that talks to sources, reads the environment, prints, and decides exit codes.

pub mod checking;
pub mod cli;
pub mod commands;
pub mod context;
mod crash;
pub mod download;
pub mod error;
pub mod folder;
pub mod logs;
pub mod memory;
pub mod opened;
pub mod profile;
pub mod recording;
pub mod remaining;
pub mod report;
pub mod runner;
pub mod settings;
pub mod signals;
pub mod slicing;
pub mod stages;
pub mod ui;

pub use context::Context;
pub use error::Error;
