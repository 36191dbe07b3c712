//! Whether a keyspace's replicas can ever answer as the consistency wants, or only seem to be down.
//!
//! A keyspace may ask for more replicas than its cluster has nodes. Cassandra makes it with a warning that nobody sees, and
//! then answers every request as if nodes were down. Nodes that are down are known to the cluster all the same, so counting
//! those that are known tells the two apart.

use std::collections::HashMap;

use model::{Classify, Failure};
use scylla::client::session::Session;
use scylla::cluster::metadata::Strategy;

use crate::settings::{Consistency, Replication};

/// More replicas have to answer than there are nodes for them.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "keyspace {keyspace} has {replicas} replicas of each row{} on {nodes} nodes: {needed} have to answer for consistency {consistency}",
    datacenter.as_ref().map_or_else(String::new, |name| format!(" in datacenter {name}"))
)]
pub struct TooFewNodes {
    pub keyspace: String,
    pub datacenter: Option<String>,
    pub replicas: usize,
    pub nodes: usize,
    pub needed: usize,
    pub consistency: Consistency,
}

impl Classify for TooFewNodes {
    fn failure(&self) -> Failure {
        Failure::Definition
    }

    fn hint(&self) -> Option<String> {
        Some(format!(
            "set CASSANDRA_REPLICATION to what the cluster has nodes for; a keyspace that is there already is changed with \
             `ALTER KEYSPACE {} WITH replication = ...`, followed by a repair; or lower CASSANDRA_CONSISTENCY",
            self.keyspace
        ))
    }
}

/// Looks at a keyspace that is there; at one that is not, nothing can be wrong.
pub(crate) fn check_existing(
    session: &Session,
    keyspace: &str,
    datacenter: Option<&str>,
    consistency: Consistency,
) -> Result<(), TooFewNodes> {
    let state = session.get_cluster_state();
    let Some(existing) = state.get_keyspace(keyspace) else { return Ok(()) };
    check(keyspace, &existing.strategy, &nodes_of(session), datacenter, consistency)
}

/// Looks at a keyspace before it is made. Of a map only Cassandra knows what it means.
pub(crate) fn check_wanted(
    session: &Session,
    keyspace: &str,
    replication: &Replication,
    datacenter: Option<&str>,
    consistency: Consistency,
) -> Result<(), TooFewNodes> {
    let Replication::Factor(factor) = replication else { return Ok(()) };
    let factor = usize::try_from(*factor).unwrap_or(usize::MAX);
    let strategy = match datacenter {
        None => Strategy::SimpleStrategy { replication_factor: factor },
        Some(name) => Strategy::NetworkTopologyStrategy { datacenter_repfactors: HashMap::from([(name.to_owned(), factor)]) },
    };
    check(keyspace, &strategy, &nodes_of(session), datacenter, consistency)
}

/// How many nodes each datacenter has, those that are down included.
type Nodes = HashMap<String, usize>;

fn nodes_of(session: &Session) -> Nodes {
    let mut nodes = Nodes::new();
    for node in session.get_cluster_state().get_nodes_info() {
        *nodes.entry(node.datacenter.clone().unwrap_or_default()).or_default() += 1;
    }
    nodes
}

fn check(
    keyspace: &str,
    strategy: &Strategy,
    nodes: &Nodes,
    local: Option<&str>,
    consistency: Consistency,
) -> Result<(), TooFewNodes> {
    // Each group of nodes that has to answer by itself: its datacenter, its replicas, its nodes.
    let groups: Vec<(Option<String>, usize, usize)> = match strategy {
        Strategy::SimpleStrategy { replication_factor } => vec![(None, *replication_factor, nodes.values().sum())],
        Strategy::NetworkTopologyStrategy { datacenter_repfactors } => {
            let of = |name: &str| datacenter_repfactors.get(name).copied().unwrap_or(0);
            let count = |name: &str| nodes.get(name).copied().unwrap_or(0);
            let all = || datacenter_repfactors.iter().map(|(name, replicas)| (Some(name.clone()), *replicas, count(name)));
            match consistency {
                Consistency::LocalOne | Consistency::LocalQuorum => {
                    let only = || nodes.keys().next().filter(|_| nodes.len() == 1).map(String::as_str);
                    // Which of several is local depends on who is asked.
                    let Some(name) = local.or_else(only) else { return Ok(()) };
                    vec![(Some(name.to_owned()), of(name), count(name))]
                }
                Consistency::EachQuorum => all().collect(),
                _ => {
                    let can_answer = all().map(|(_, replicas, nodes)| nodes.min(replicas)).sum();
                    vec![(None, datacenter_repfactors.values().sum(), can_answer)]
                }
            }
        }
        _ => return Ok(()),
    };
    for (datacenter, replicas, nodes) in groups {
        let needed = match consistency {
            Consistency::One | Consistency::LocalOne => 1,
            Consistency::Two => 2,
            Consistency::Three => 3,
            Consistency::Quorum | Consistency::LocalQuorum | Consistency::EachQuorum => replicas / 2 + 1,
            Consistency::All => replicas,
        };
        if nodes.min(replicas) < needed {
            return Err(TooFewNodes { keyspace: keyspace.to_owned(), datacenter, replicas, nodes, needed, consistency });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Consistency::{All, EachQuorum, LocalOne, LocalQuorum, Quorum};

    #[test]
    fn replicas_that_cannot_answer_are_told_from_those_that_are_down() {
        let simple = |factor| Strategy::SimpleStrategy { replication_factor: factor };
        let by_datacenter = |factors: &[(&str, usize)]| Strategy::NetworkTopologyStrategy {
            datacenter_repfactors: factors.iter().map(|(name, factor)| ((*name).to_owned(), *factor)).collect(),
        };
        let nodes = |counts: &[(&str, usize)]| counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let fits = |strategy: &Strategy, counts: &[(&str, usize)], local, consistency| {
            check("k", strategy, &nodes(counts), local, consistency).map_err(|error| error.needed)
        };

        assert_eq!(fits(&simple(1), &[("a", 1)], None, LocalQuorum), Ok(()));
        assert_eq!(fits(&simple(3), &[("a", 1)], None, LocalQuorum), Err(2));
        assert_eq!(fits(&simple(3), &[("a", 1)], None, LocalOne), Ok(()));
        assert_eq!(fits(&simple(3), &[("a", 2)], None, LocalQuorum), Ok(()), "one replica is missing, a quorum is there");
        assert_eq!(fits(&simple(3), &[("a", 2)], None, All), Err(3));

        let both = by_datacenter(&[("a", 3), ("b", 3)]);
        assert_eq!(fits(&both, &[("a", 3), ("b", 1)], Some("a"), LocalQuorum), Ok(()));
        assert_eq!(fits(&both, &[("a", 3), ("b", 1)], Some("b"), LocalQuorum), Err(2));
        assert_eq!(fits(&both, &[("a", 3), ("b", 1)], None, LocalQuorum), Ok(()), "which one is local is not known");
        assert_eq!(fits(&both, &[("a", 3), ("b", 1)], None, EachQuorum), Err(2));
        assert_eq!(fits(&both, &[("a", 3), ("b", 1)], None, Quorum), Ok(()));
        assert_eq!(fits(&by_datacenter(&[("b", 1)]), &[("a", 1)], None, LocalOne), Err(1), "no replica is local");
    }
}
