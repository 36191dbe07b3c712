//! Whether the nodes are still those that acknowledged.
//!
//! A node that synchronises its commit log in the background (`commitlog_sync: periodic`, as Cassandra is shipped) has what it
//! acknowledged in the log at once, but replays the log only up to its last marker when it was killed: markers are set each
//! 100 ms (`AbstractCommitLogService.DEFAULT_MARKER_INTERVAL_MILLIS` of 5.0.9). So what was acknowledged longer ago than
//! [`SETTLE`] outlives a kill, provided that the node that acknowledged is the one that runs then: each start of a node has a
//! generation of its own, which it keeps in `system.local`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use scylla::client::session::Session;
use scylla::errors::ExecutionError;
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::statement::Statement;
use tokio::time::Instant;
use uuid::Uuid;

use crate::flow;
use crate::request::{self, PATIENCE};

/// Between the last acknowledgement and the question whether all nodes are the same: twice what lies between two markers.
pub(crate) const SETTLE: Duration = Duration::from_millis(200);
/// A node that does not say so soon is left out, as one that is down.
const ONE_NODE: Duration = Duration::from_secs(5);

/// The nodes that answered, each with the number of its last start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Generations(BTreeMap<Uuid, Option<i32>>);

impl Generations {
    /// Asks every node that there is a connection to; waits for one while there is none.
    pub(crate) async fn of(session: &Session) -> Result<Self, ExecutionError> {
        let started = Instant::now();
        for attempt in 1.. {
            let (known, last) = Self::ask(session).await?;
            if !known.0.is_empty() {
                return Ok(known);
            }
            if started.elapsed() >= PATIENCE {
                return Err(last.unwrap_or(ExecutionError::EmptyPlan));
            }
            tokio::time::sleep(flow::pause(attempt, 0)).await;
        }
        unreachable!("attempts do not end")
    }

    async fn ask(session: &Session) -> Result<(Self, Option<ExecutionError>), ExecutionError> {
        let cluster = session.get_cluster_state();
        let nodes = cluster.get_nodes_info().iter().filter(|node| node.is_connected());
        let asked = futures::future::join_all(nodes.map(async |node| {
            let mut statement = Statement::new("SELECT gossip_generation FROM system.local WHERE key = 'local'");
            let only = SingleTargetLoadBalancingPolicy::new(NodeIdentifier::Node(Arc::clone(node)), None);
            statement.set_load_balancing_policy(Some(only));
            statement.set_request_timeout(Some(ONE_NODE));
            statement.set_is_idempotent(true);
            (node.host_id, session.query_unpaged(statement, ()).await)
        }));
        let (mut known, mut last) = (BTreeMap::new(), None);
        for (host, answer) in asked.await {
            match answer {
                Ok(rows) => {
                    // Something else than Cassandra may have no such number: it is then told apart by being there.
                    let row = rows.into_rows_result().ok().and_then(|rows| rows.single_row::<(Option<i32>,)>().ok());
                    known.insert(host, row.and_then(|(generation,)| generation));
                }
                Err(error) if request::of_execution(&error) == model::Failure::Transient => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Ok((Self(known), last))
    }

    /// Whether every node that was there is there, and was not started anew since.
    pub(crate) fn still(&self, now: &Self) -> bool {
        self.0.iter().all(|(host, generation)| now.0.get(host) == Some(generation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_began_anew_or_went_away_is_not_the_same() {
        let nodes = |of: &[(u128, i32)]| {
            Generations(of.iter().map(|(host, generation)| (Uuid::from_u128(*host), Some(*generation))).collect())
        };
        let before = nodes(&[(1, 7), (2, 7)]);
        assert!(before.still(&before));
        assert!(before.still(&nodes(&[(1, 7), (2, 7), (3, 9)])), "one that came acknowledged nothing before");
        assert!(!before.still(&nodes(&[(1, 7), (2, 8)])));
        assert!(!before.still(&nodes(&[(1, 7)])));
    }
}
