//! What the integration tests stand on: a real Cassandra, a keyspace for each test, a connection that can be cut.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

pub mod cassandra_node;
pub mod proxy;
