//! What the integration tests of Sluice, `make pipeline` and the benchmark share.
//!
//! - [`session_events`]: the demonstration file, generated from a seed, and the truth about what is in it
//! - [`oulad`]: a small archive of the Open University data set's shape, and the truth about the tables made of it
//! - [`source_server`]: an HTTP source for tests that fails on demand
//! - [`file_server`]: an HTTP source that serves a folder
//! - [`guide`]: the pages of docs, followed as a reader would
//! - [`http`]: the little HTTP/1.1 that both servers speak
//! - [`bare_driver`]: what the programs share that only use the driver, to be compared with
//! - [`cassandra_node`]: the real Cassandra that all tests share
//! - [`kit`]: a pipeline of its own for each test
//! - [`others`]: programs of others, that read and write the lake or judge what Sluice says
//! - [`proxy`]: a connection that can be cut
//! - [`crash`]: the real program, killed at every step and at any time, and compared with one that was not
//! - [`digest`]: the sha256 of things
//! - [`new_file`]: files that are there whole or not at all

pub mod bare_driver;
pub mod cassandra_node;
pub mod crash;
pub mod digest;
pub mod file_server;
pub mod guide;
pub mod http;
pub mod kit;
pub mod new_file;
pub mod others;
pub mod oulad;
pub mod proxy;
pub mod session_events;
pub mod source_server;
