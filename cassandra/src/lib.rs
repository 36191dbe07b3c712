//! The serving store: Cassandra tables, sink, checkpoints, and a local node.

pub mod node;
