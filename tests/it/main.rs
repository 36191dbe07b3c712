//! The integration tests, one binary.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail a test as the tests themselves do")]

mod file_server;
mod generator;
mod landing;
mod source_server;
