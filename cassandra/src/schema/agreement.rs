//! Waiting until the nodes have one schema.
//!
//! A node that was away while tables were made takes for missing what is there, until it has asked another one. A table that it
//! made again would be another one, of another id, which Cassandra cannot bring together. So nothing is made, dropped, or said to
//! be missing or different, before all nodes that can be reached agree. Nodes that are down are not waited for.

use std::time::Duration;

use model::{Classify, Failure};
use scylla::client::session::Session;
use tokio::time::Instant;

use crate::request::{Answer, PATIENCE};

/// Between two looks.
const POLL: Duration = Duration::from_millis(200);

#[derive(Debug, thiserror::Error)]
#[error("wait until all nodes of Cassandra have the same schema, for {} s", waited.as_secs())]
pub struct Disagreement {
    waited: Duration,
    source: Answer,
}

impl Classify for Disagreement {
    fn failure(&self) -> Failure {
        Failure::Transient
    }

    fn hint(&self) -> Option<String> {
        Some("see which node is behind or hangs (`nodetool describecluster` lists them by schema), then run again".to_owned())
    }
}

/// Waits for it, [`PATIENCE`] at most.
pub(crate) async fn agree(session: &Session) -> Result<(), Disagreement> {
    let started = Instant::now();
    let mut last = Answer::silence();
    loop {
        let left = PATIENCE.saturating_sub(started.elapsed());
        // A node that hangs answers nothing, not even with an error.
        let looked = tokio::time::timeout(left, session.check_schema_agreement()).await;
        match looked {
            Ok(Ok(Some(_))) => return Ok(()),
            Ok(Ok(None)) => last = Answer::said("their versions of it differ"),
            Ok(Err(error)) => last = Answer::of(&error),
            Err(_) => return Err(Disagreement { waited: started.elapsed(), source: last }),
        }
        tracing::debug!(reason = %last, waited = ?started.elapsed(), "wait until the nodes agree");
        tokio::time::sleep(POLL.min(left)).await;
    }
}
