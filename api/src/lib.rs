//! The REST API over the serving store: endpoints that a pipeline declares, answered from single partitions.
//!
//! [`Endpoint::draw`] proves an endpoint against the table that it asks; a [`Service`] answers them. [`server`] listens and
//! bounds what a client may take; [`layers`] are what every request passes: its id, its key, its limits; [`keys`] are who may;
//! [`health`] and [`metrics`] are for those who operate it. Whatever goes wrong is said as a [`problem`].
//!
//! This crate knows Cassandra and nothing of the lake.

mod answer;
mod ask;
mod cursor;
mod dashboard;
mod docs;
pub mod endpoint;
mod format;
mod freshness;
pub mod health;
pub mod keys;
pub mod layers;
pub mod metrics;
mod openapi;
pub mod operations;
pub mod page;
pub mod problem;
mod routes;
pub mod server;
pub mod service;

#[cfg(test)]
mod tests;
mod watched_file;

pub use endpoint::{Endpoint, Mistake};
pub use operations::Operations;
pub use service::Service;
