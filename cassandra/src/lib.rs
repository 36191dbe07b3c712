//! The serving store: Cassandra tables made from a pipeline's definition and kept as the lake says.

pub mod connect;
mod cql;
pub mod request;
pub mod settings;

pub use connect::Store;
pub use cql::CqlType;
pub use settings::Settings;
