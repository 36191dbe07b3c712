//! Stages, runner and binaries of Sluice.

pub mod commands;
