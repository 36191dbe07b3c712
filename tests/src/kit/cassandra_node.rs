//! The real Cassandra that all tests share: the one of `CASSANDRA_HOST`, or a local node that is started when first asked for
//! and stays for the next run (`make test` stops it; by hand: `sluice node down --dir .sluice/test-node`).

use std::path::Path;

use cassandra::settings::Hosts;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use tokio::sync::OnceCell;

/// Host and port of the node.
#[derive(Debug, Clone)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

static ADDRESS: OnceCell<Address> = OnceCell::const_new();

/// Starts the node if that is needed, and says where it is.
pub async fn address() -> Address {
    ADDRESS.get_or_init(find_or_start).await.clone()
}

async fn find_or_start() -> Address {
    // A TLS provider must be chosen before anything asks; another test may have done so.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    if let Ok(host) = std::env::var("CASSANDRA_HOST") {
        let port = std::env::var("CASSANDRA_PORT").map_or(9042, |port| port.parse().expect("CASSANDRA_PORT is a port"));
        return Address { host, port };
    }
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.sluice/test-node");
    let options =
        cassandra::node::Options { dir, heap: "768M".to_owned(), ..cassandra::node::Options::new(|name| std::env::var_os(name)) };
    match cassandra::node::up(&options, &mut |_| {}).await {
        Ok(state) => Address { host: state.host.to_string(), port: state.port },
        Err(error) => panic!("the tests need a real Cassandra: {error}; {:?}", model::Classify::hint(&error)),
    }
}

/// A plain session, without anything of ours.
pub(super) async fn session() -> Session {
    let Address { host, port } = address().await;
    SessionBuilder::new().known_node(format!("{host}:{port}")).build().await.unwrap()
}

pub(super) async fn settings(keyspace: &str) -> cassandra::Settings {
    let Address { host, port } = address().await;
    cassandra::Settings {
        hosts: Hosts::parse(&host, port).unwrap(),
        login: None,
        datacenter: None,
        keyspace: keyspace.to_owned(),
        replication: cassandra::settings::Replication::default(),
        consistency: cassandra::settings::Consistency::default(),
        tls: None,
    }
}
