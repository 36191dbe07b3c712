//! The one integration-test binary.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod api;
mod bad_input;
mod broken;
mod cassandra_connect;
mod cassandra_store;
mod change_stream;
mod command_line;
mod commands;
mod crash;
mod faults;
mod faults_net;
mod file_server;
mod formats;
mod generator;
mod guides;
mod history;
mod init;
mod interruption;
mod landing;
mod maintain;
mod node;
mod oulad;
mod plan;
mod profile;
mod properties;
mod rebuild;
mod rejects;
mod session_events;
mod sessions;
mod several_files;
mod source_server;
mod stages;
mod verify;
mod views;
