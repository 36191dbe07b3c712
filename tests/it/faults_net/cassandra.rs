//! Connections that break, freeze or never were, and clusters that cannot do what they are asked.

use std::time::{Duration, Instant};

use tests::cassandra_node;
use tests::proxy::Proxy;

use super::{cells, output, run_through, stderr, undisturbed, until};

/// Stopped before, during and after a batch, as far as a client can tell: connections end in the middle of requests, again and
/// again, also those for checkpoints and tables.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_all_the_time_lose_nothing_and_change_no_cell() {
    let (t, whole) = undisturbed(6_000, 4).await;
    t.cql_by_hand("DROP KEYSPACE {ks}").await;
    let proxy = Proxy::to(cassandra_node::hosts().await.iter().next().unwrap().to_owned()).await;
    proxy.break_after(60_000);
    let started = Instant::now();
    let ended = output(run_through(&t, &proxy).await.spawn().unwrap()).await;
    assert!(ended.status.success(), "{}", stderr(&ended));
    assert!(started.elapsed() < Duration::from_secs(50), "{:?}", started.elapsed());
    assert_eq!(cells(&t).await, whole);
}

/// Nothing gets through for a while in the middle of the send: the run waits, and goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cassandra_that_is_gone_for_a_while_is_waited_for_and_the_rest_is_sent() {
    let (t, whole) = undisturbed(6_000, 4).await;
    t.cql_by_hand("DROP KEYSPACE {ks}").await;
    let proxy = Proxy::to(cassandra_node::hosts().await.iter().next().unwrap().to_owned()).await;
    proxy.slow(Duration::from_millis(40));
    let mut command = run_through(&t, &proxy).await;
    let logged = t.lake().join("log");
    command.env("SLUICE_LOG", "cassandra=debug").stderr(std::fs::File::create(&logged).unwrap());
    let child = command.spawn().unwrap();
    until("rows are on their way", || proxy.sent() > 200_000).await;
    proxy.cut();
    let tries = || std::fs::read_to_string(&logged).unwrap().matches(" again").count();
    until("it tries again", || tries() > 20).await;
    proxy.slow(Duration::ZERO);
    proxy.mend();
    let ended = output(child).await;
    assert!(ended.status.success(), "{}", std::fs::read_to_string(&logged).unwrap());
    assert_eq!(cells(&t).await, whole);
}

/// More replicas than nodes: Cassandra makes such a keyspace, and then answers every request as if nodes were down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_for_which_there_are_no_nodes_are_told_at_once() {
    let (t, whole) = undisturbed(200, 1).await;
    let wanted = |replication: &'static str| {
        let t = &t;
        async move {
            let mut command = t.sluice(&["create-tables", "session_events"]).await;
            command.env("CASSANDRA_REPLICATION", replication);
            let started = Instant::now();
            let ended = command.output().unwrap();
            assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
            let said = stderr(&ended);
            assert_eq!(ended.status.code(), Some(2), "{said}");
            assert!(said.contains("hint: "), "{said}");
            said
        }
    };
    t.cql_by_hand("DROP KEYSPACE {ks}").await;
    let said = wanted("3").await;
    assert!(said.contains("has 3 replicas of each row on 1 nodes: 2 have to answer"), "{said}");
    assert!(said.contains("CASSANDRA_REPLICATION"), "{said}");
    let said = wanted("{'class': 'NetworkTopologyStrategy', 'atlantis': 1}").await;
    assert!(said.contains("atlantis"), "{said}");

    // One that is there already: its way out is another one.
    let replicas = |number| format!("WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': {number}}}");
    t.cql_by_hand(&format!("CREATE KEYSPACE {{ks}} {}", replicas(3))).await;
    let said = wanted("1").await;
    assert!(said.contains(&format!("ALTER KEYSPACE {}", t.keyspace)), "{said}");
    t.cql_by_hand(&format!("ALTER KEYSPACE {{ks}} {}", replicas(1))).await;
    t.run().await;
    assert_eq!(cells(&t).await, whole);
}
