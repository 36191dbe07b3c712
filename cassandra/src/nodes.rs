//! The nodes, as the driver sees them.

use model::operations::NodeState;

use crate::connect::Store;

impl Store {
    /// The nodes of the cluster, by address; up are those to which there is a connection.
    pub fn nodes(&self) -> Vec<NodeState> {
        let cluster = self.session.get_cluster_state();
        let mut nodes: Vec<NodeState> = cluster
            .get_nodes_info()
            .iter()
            .map(|node| NodeState {
                address: node.address.to_string(),
                datacenter: node.datacenter.clone(),
                rack: node.rack.clone(),
                // Of other datacenters the driver keeps none.
                is_up: node.is_connected() || !node.is_enabled(),
            })
            .collect();
        nodes.sort_by(|a, b| a.address.cmp(&b.address));
        nodes
    }
}
