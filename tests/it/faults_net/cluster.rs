//! Three nodes: one is lost, one does not answer, and what has a quorum goes on.
//!
//! A pipeline that only ever saw one node proves nothing about replicas. The three start at the same time, each with a schema of
//! its own, and agree a minute later or more: so this is `make test-cluster`, with the machine to itself.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::time::Duration;

use cassandra::node::{Ring, State};
use nix::sys::signal::Signal;
use scylla::client::session::Session;
use tests::kit::TestPipeline;
use tests::session_events::{Dataset, Options};

use super::node::{OwnNode, signal};
use super::{cells, cells_in, output, session_with, stderr};

/// Addresses of this machine that nothing else listens on, found by listening on all three.
fn addresses() -> (Vec<Ipv4Addr>, u16, u16) {
    let members = |third: u8| (1..=3).map(move |last| Ipv4Addr::new(127, 0, third, last)).collect::<Vec<_>>();
    for third in 1..250 {
        let free = |port| {
            let all: Result<Vec<_>, _> = members(third).into_iter().map(|host| TcpListener::bind((host, port))).collect();
            all.is_ok()
        };
        let port = || TcpListener::bind((members(third)[0], 0)).unwrap().local_addr().unwrap().port();
        let (cql, storage) = (port(), port());
        if free(cql) && free(storage) && cql != storage {
            return (members(third), cql, storage);
        }
    }
    panic!("no three addresses have two free ports in common");
}

fn ring() -> Vec<OwnNode> {
    let (members, cql, storage) = addresses();
    let rings = Ring::of(&members, storage);
    let node = |(host, ring): (&Ipv4Addr, Ring)| {
        let mut node = OwnNode::new();
        node.options.host = *host;
        node.options.port = Some(cql);
        node.options.ring = Some(ring);
        node
    };
    members.iter().zip(rings).map(node).collect()
}

async fn peers(session: &Session) -> usize {
    tests::kit::rows(session, "SELECT peer, native_port, release_version FROM system.peers_v2").await.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_replica_lost_and_another_asleep_what_has_a_quorum_goes_on() {
    let nodes = ring();
    let up = futures::future::join_all(nodes.iter().map(OwnNode::up));
    let data = Dataset::generate(&Options::small(3_000, 3)).unwrap();
    let undisturbed = async {
        let t = TestPipeline::session_events().await;
        t.one_date_a_commit().serve(data.to_bytes()).run().await;
        let whole = cells(&t).await;
        (t, whole)
    };
    let (states, (t, whole)) = tokio::join!(up, undisturbed);
    let first = session_with(&states[0].address().to_string(), None).await;
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    while peers(&first).await < 2 {
        assert!(std::time::Instant::now() < deadline, "the nodes do not find each other");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    // Whole, then without the third, then with the second asleep as well until it is missed.
    let ended = output(run(&t, &states, "three").await.spawn().unwrap()).await;
    assert!(ended.status.success(), "{}", stderr(&ended));
    assert_eq!(cells_in(states[0].address(), None, "three").await, whole);

    signal(&states[2], Signal::SIGKILL);
    let ended = output(run(&t, &states, "two").await.spawn().unwrap()).await;
    assert!(ended.status.success(), "{}", stderr(&ended));
    assert_eq!(cells_in(states[1].address(), None, "two").await, whole);

    signal(&states[1], Signal::SIGSTOP);
    let log = t.lake().join("log");
    let mut asleep = run(&t, &states, "one").await;
    let child = asleep.env("SLUICE_LOG", "cassandra=debug").stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let text = || std::fs::read_to_string(&log).unwrap();
    super::until("it waits", || text().contains(" again") || text().contains("waiting for Cassandra")).await;
    signal(&states[1], Signal::SIGCONT);
    let ended = output(child).await;
    assert!(ended.status.success(), "{}", text());
    assert_eq!(cells_in(states[0].address(), None, "one").await, whole);
}

/// `sluice run` into a keyspace of three replicas.
async fn run(t: &TestPipeline, states: &[State], keyspace: &str) -> Command {
    let hosts: Vec<_> = states.iter().map(|state| state.address().to_string()).collect();
    let mut command = t.sluice(&["run", "session_events"]).await;
    command
        .env("CASSANDRA_HOST", hosts.join(","))
        .env("CASSANDRA_KEYSPACE", keyspace)
        .env("CASSANDRA_REPLICATION", "3")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    command
}
