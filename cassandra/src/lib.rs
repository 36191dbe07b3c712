//! The serving store: Cassandra tables made from a pipeline's definition and kept as the lake says.
//!
//! [`Settings`] say where Cassandra is, [`Store::connect`] waits for it, [`Store::create_keyspace`] and
//! [`Store::create_tables`] make what a [`TableDesign`] asks for, a [`Sink`] writes [`Changes`] there, a [`Checkpoint`] says
//! how far that has got, and [`Store::scan`] reads it back. Rows come and go as Arrow record batches.
//!
//! This is the only crate that knows the driver; it knows nothing of the lake.

pub mod checkpoint;
pub mod compare;
pub mod connect;
mod cql;
mod delivery;
pub mod encode;
mod flow;
mod generations;
#[cfg(test)]
mod instructions;
pub mod lookup;
mod mutations;
pub mod node;
mod nodes;
pub mod read;
pub mod request;
pub mod schema;
pub mod settings;
pub mod sink;
pub mod tls;

pub use checkpoint::{Checkpoint, CheckpointTimes};
pub use compare::{WireRows, WireScan};
pub use connect::Store;
pub use cql::CqlType;
pub use encode::Nulls;
pub use mutations::Changes;
pub use read::{Scan, WriteTimes};
pub use schema::{Made, TableDesign, TableId};
pub use settings::Settings;
pub use sink::{Delivered, EncodedGroup, Sink, Written};
