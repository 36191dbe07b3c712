//! The one integration-test binary.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod file_server;
mod generator;
mod landing;
mod node;
mod session_events;
mod source_server;
