//! Does the node answer a query?

use std::net::SocketAddr;
use std::time::Duration;

use scylla::client::session_builder::SessionBuilder;
use tokio::net::TcpStream;

use crate::connect;

/// A node that takes longer than this for one row of a system table does not answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// True once a client can connect and read a system table: not only that the port is open. A node that asks who it is answers too.
pub(super) async fn answers(node: SocketAddr) -> bool {
    // A refused connection costs nothing, while a driver that is refused logs warnings.
    if TcpStream::connect(node).await.is_err() {
        return false;
    }
    tokio::time::timeout(TIMEOUT, query(node)).await.unwrap_or(false)
}

async fn query(node: SocketAddr) -> bool {
    let session = SessionBuilder::new().known_node_addr(node).fetch_schema_metadata(false).build().await;
    let session = match session {
        Ok(session) => session,
        Err(error) => return connect::wants_log_in(&error),
    };
    session.query_unpaged("SELECT release_version FROM system.local", ()).await.is_ok()
}
