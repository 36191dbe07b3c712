//! Several nodes: one is lost, one does not answer, one is behind in its schema.
//!
//! A pipeline that only ever saw one node proves nothing about replicas. Five nodes at a time, and a wait of a minute, are too much
//! beside all other tests: so this is `make test-cluster`.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cassandra::node::{Ring, State};
use nix::sys::signal::Signal;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use tests::kit::TestPipeline;
use tests::session_events::{Dataset, Options};

use super::node::{OwnNode, signal};
use super::{cells, cells_in, output, session_with, stderr, undisturbed, until};

/// Addresses of this machine that nothing else listens on, found by listening on all three. Tests that look at the same time look
/// at others.
fn addresses() -> (Vec<Ipv4Addr>, u16, u16) {
    let members = |third: u8| (1..=3).map(move |last| Ipv4Addr::new(127, 0, third, last)).collect::<Vec<_>>();
    for third in std::iter::repeat_with(|| rand::random_range(1..250)).take(100) {
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

fn ring(nodes: usize) -> Vec<OwnNode> {
    let (mut members, cql, storage) = addresses();
    members.truncate(nodes);
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

/// Starts one after another, and waits until the first knows the others and all have one schema: a session with the first.
///
/// All at once they have a schema each to begin with, and two of them have been seen not to find each other within a minute.
async fn start(nodes: &[OwnNode]) -> (Vec<State>, Session) {
    let mut states = Vec::new();
    for node in nodes {
        states.push(node.up().await);
    }
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let first = session_with(&states[0].address().to_string(), None).await;
        let known = first.get_cluster_state().get_nodes_info().len();
        if known == nodes.len() && matches!(first.check_schema_agreement().await, Ok(Some(_))) {
            return (states, first);
        }
        assert!(Instant::now() < deadline, "{known} nodes know each other, or they do not agree");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_replica_lost_and_another_asleep_what_has_a_quorum_goes_on() {
    let nodes = ring(3);
    let data = Dataset::generate(&Options::small(3_000, 3)).unwrap();
    let undisturbed = async {
        let t = TestPipeline::session_events().await;
        t.one_date_a_commit().serve(data.to_bytes()).run().await;
        let whole = cells(&t).await;
        (t, whole)
    };
    let ((states, _), (t, whole)) = tokio::join!(start(&nodes), undisturbed);

    // Whole, then without the third, then with the second asleep as well until it is missed.
    let run = async |keyspace| sluice("run", &t, &states, keyspace).await;
    let ended = output(run("three").await.spawn().unwrap()).await;
    assert!(ended.status.success(), "{}", stderr(&ended));
    assert_eq!(cells_in(states[0].address(), None, "three").await, whole);

    signal(&states[2], Signal::SIGKILL);
    let ended = output(run("two").await.spawn().unwrap()).await;
    assert!(ended.status.success(), "{}", stderr(&ended));
    assert_eq!(cells_in(states[1].address(), None, "two").await, whole);

    signal(&states[1], Signal::SIGSTOP);
    let log = t.lake().join("log");
    let mut asleep = run("one").await;
    let child = asleep.env("SLUICE_LOG", "cassandra=debug").stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let text = || std::fs::read_to_string(&log).unwrap();
    until("it waits", || text().contains(" again") || text().contains("waiting for Cassandra")).await;
    signal(&states[1], Signal::SIGCONT);
    let ended = output(child).await;
    assert!(ended.status.success(), "{}", text());
    assert_eq!(cells_in(states[0].address(), None, "one").await, whole);
}

/// `sluice STAGE` into a keyspace with a replica on each node.
async fn sluice(stage: &str, t: &TestPipeline, states: &[State], keyspace: &str) -> Command {
    let hosts: Vec<_> = states.iter().map(|state| state.address().to_string()).collect();
    let mut command = t.sluice(&[stage, "session_events"]).await;
    command
        .env("CASSANDRA_HOST", hosts.join(","))
        .env("CASSANDRA_KEYSPACE", keyspace)
        .env("CASSANDRA_REPLICATION", states.len().to_string())
        .env("SLUICE_LOG", "cassandra=debug")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Cassandra's own tool, run as the node itself runs.
fn nodetool(state: &State, told: &str) {
    let line = std::fs::read(format!("/proc/{}/cmdline", state.pid)).unwrap();
    let line: Vec<_> = line.split(|&byte| byte == 0).map(|part| String::from_utf8(part.to_vec()).unwrap()).collect();
    let needed = |part: &str| part.starts_with("--add-") || part == "-cp" || part.starts_with("-Dcassandra.config=");
    let mut command = Command::new(std::fs::read_link(format!("/proc/{}/exe", state.pid)).unwrap());
    for (at, part) in line.iter().enumerate() {
        if needed(part) || at > 0 && !line[at - 1].contains('=') && needed(&line[at - 1]) {
            command.arg(part);
        }
    }
    let port = state.jmx_port.to_string();
    let ended = command.args(["org.apache.cassandra.tools.NodeTool", "-p", &port, told]).output().unwrap();
    assert!(ended.status.success(), "nodetool {told}: {}", stderr(&ended));
}

/// A statement that only this node is asked for, and no other is waited for.
async fn at_node(state: &State, statement: &str) {
    let node = NodeIdentifier::NodeAddress(state.address());
    let profile = ExecutionProfile::builder().load_balancing_policy(SingleTargetLoadBalancingPolicy::new(node, None)).build();
    let builder = SessionBuilder::new().known_node_addr(state.address()).default_execution_profile_handle(profile.into_handle());
    let session = builder.auto_await_schema_agreement(false).build().await.unwrap();
    session.query_unpaged(statement, ()).await.unwrap();
}

const WAITS: &str = "wait until the nodes agree";

/// The second node hears and tells nothing of the ring for a while, and answers clients all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_behind_in_its_schema_is_waited_for_and_no_table_is_made_twice() {
    let nodes = ring(2);
    let (states, first) = start(&nodes).await;
    let (t, whole) = undisturbed(2_000, 2).await;
    // Of two replicas one has to answer, so that only the schema is in the way.
    let stage = async |name: &str, states: &[State], keyspace: &str| {
        let mut command = sluice(name, &t, states, keyspace).await;
        command.env("CASSANDRA_REPLICATION", "2").env("CASSANDRA_CONSISTENCY", "local_one");
        command
    };
    let log = t.lake().join("log");
    let text = || std::fs::read_to_string(&log).unwrap();
    let waiting = async |mut command: Command| {
        let child = command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
        until("it waits", || text().contains(WAITS)).await;
        child
    };

    nodetool(&states[1], "disablegossip");
    at_node(&states[0], "CREATE KEYSPACE apart WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 2}").await;
    let started = Instant::now();
    let ended = output(stage("run", &states, "behind").await.spawn().unwrap()).await;
    assert_eq!(ended.status.code(), Some(75), "{}", stderr(&ended));
    assert!(stderr(&ended).contains("their versions of it differ"), "{}", stderr(&ended));
    assert!(started.elapsed() < Duration::from_secs(90), "{:?}", started.elapsed());
    let made = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'behind'";
    assert!(tests::kit::rows(&first, made).await.is_empty(), "nothing was made");

    // The next one waits too, and gets there when they agree.
    let child = waiting(stage("run", &states, "behind").await).await;
    nodetool(&states[1], "enablegossip");
    let ended = output(child).await;
    assert!(ended.status.success(), "{}", text());
    assert_eq!(cells_in(states[0].address(), None, "behind").await, whole);

    // Asleep while the tables are made, so that it is not waited for; awake but still behind while they are filled.
    nodetool(&states[1], "disablegossip");
    signal(&states[1], Signal::SIGSTOP);
    let ended = output(stage("create-tables", &states[..1], "asleep").await.spawn().unwrap()).await;
    signal(&states[1], Signal::SIGCONT);
    assert!(ended.status.success(), "{}", stderr(&ended));
    let child = waiting(stage("run", &states, "asleep").await).await;
    nodetool(&states[1], "enablegossip");
    let ended = output(child).await;
    assert!(ended.status.success(), "{}", text());
    assert_eq!(cells_in(states[0].address(), None, "asleep").await, whole);
}
