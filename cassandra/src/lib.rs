//! The serving store: Cassandra tables made from a pipeline's definition and kept as the lake says.

pub mod checkpoint;
pub mod connect;
mod cql;
pub mod encode;
pub mod request;
pub mod schema;
pub mod settings;

pub use checkpoint::{Checkpoint, CheckpointTimes};
pub use connect::Store;
pub use cql::CqlType;
pub use encode::Nulls;
pub use schema::{Made, TableDesign};
pub use settings::Settings;
