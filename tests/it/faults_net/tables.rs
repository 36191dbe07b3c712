//! Tables and keyspaces that somebody else drops or alters.

use std::process::Output;
use std::time::Duration;

use model::{Classify, Failure};
use tests::cassandra_node;
use tests::kit::{TestPipeline, chain};
use tests::proxy::Proxy;

use super::{cells, output, run_through, stderr, undisturbed, until};

/// A checkpoint that stands for rows which are gone must not keep them from being sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_was_dropped_is_filled_anew_with_the_same_cells() {
    let (t, whole) = undisturbed(2_000, 3).await;
    let ddl = t.cql("DESCRIBE TABLE {ks}.completed_sessions").await.remove(0);
    let ddl = ddl.split(" | ").last().unwrap().to_owned();

    t.cql_by_hand("DROP TABLE {ks}.completed_sessions").await;
    let plan = t.plan().await;
    let send = plan.sends.iter().find(|send| send.table == "completed_sessions").unwrap();
    assert_eq!(send.checkpoint, None, "the plan says that all of it will be sent");
    t.run().await;
    assert_eq!(cells(&t).await, whole);

    // Made again before a run could see that it was gone.
    t.cql_by_hand("DROP TABLE {ks}.completed_sessions").await;
    t.cql_by_hand(&ddl).await;
    t.run().await;
    assert_eq!(cells(&t).await, whole);
    let written = t.run().await.stages.iter().map(|stage| stage.written).sum::<u64>();
    assert_eq!(written, 0, "and then it is up to date");

    t.cql_by_hand("DROP KEYSPACE {ks}").await;
    t.run().await;
    assert_eq!(cells(&t).await, whole);
}

/// In the order in which they can be made: each leaves the table such that the next one can be tried.
const ALTERED: [(&str, &str); 5] = [
    ("ALTER TABLE {ks}.completed_sessions WITH default_time_to_live = 60", "default_time_to_live is 60 s, wanted 0 s"),
    ("ALTER TABLE {ks}.completed_sessions ADD extra int", "column extra int is not wanted"),
    ("ALTER TABLE {ks}.completed_sessions DROP country", "column country text is missing"),
    ("ALTER TABLE {ks}.completed_sessions ADD country text", "column country was dropped and added again"),
    (
        "CREATE TABLE {ks}.completed_sessions (player_id uuid, end_ts timestamp, session_id text, country text, start_ts timestamp, \
         PRIMARY KEY (player_id, end_ts, session_id)) WITH CLUSTERING ORDER BY (end_ts DESC, session_id ASC)",
        "column session_id is text, wanted uuid",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_was_altered_is_told_with_what_differs_and_filled_anew_once_it_is_dropped() {
    let (t, whole) = undisturbed(500, 2).await;
    for (statement, difference) in ALTERED {
        if statement.starts_with("CREATE") {
            t.cql_by_hand("DROP TABLE {ks}.completed_sessions").await;
        }
        t.cql_by_hand(statement).await;
        let error = t.try_run().await.unwrap_err();
        let said = chain(&error);
        assert_eq!(error.failure(), Failure::Definition, "{said}");
        assert!(said.contains(&format!("{}.completed_sessions: ", t.keyspace)) && said.contains(difference), "{said}");
        assert!(said.contains("drop the old table"), "{said}");
    }
    t.cql_by_hand("DROP TABLE {ks}.completed_sessions").await;
    t.run().await;
    assert_eq!(cells(&t).await, whole);
}

async fn sluice(t: &TestPipeline, stage: &str) -> Output {
    t.sluice(&[stage, "session_events"]).await.output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_goes_between_its_making_and_the_send_is_named_with_the_way_out() {
    let (t, whole) = undisturbed(500, 2).await;
    t.cql_by_hand("DROP TABLE {ks}.completed_sessions").await;
    let sent = sluice(&t, "use-case-to-cassandra").await;
    let said = stderr(&sent);
    assert_eq!(sent.status.code(), Some(2), "{said}");
    assert!(
        said.contains("there is no table") && said.contains("completed_sessions") && said.contains("create-tables"),
        "{said}"
    );
    assert!(sluice(&t, "create-tables").await.status.success());
    assert!(sluice(&t, "use-case-to-cassandra").await.status.success());
    assert_eq!(cells(&t).await, whole);
}

/// In the middle of a send, which is slow enough to be hit: the run ends soon with a message, and the next one puts it right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_or_keyspace_that_goes_during_a_send_is_filled_by_the_next_run() {
    let (t, whole) = undisturbed(6_000, 4).await;
    for gone in ["TABLE {ks}.completed_sessions", "KEYSPACE {ks}"] {
        t.cql_by_hand("DROP KEYSPACE {ks}").await;
        let proxy = Proxy::to(cassandra_node::hosts().await.iter().next().unwrap().to_owned()).await;
        proxy.slow(Duration::from_millis(40));
        let child = run_through(&t, &proxy).await.spawn().unwrap();
        until("rows are on their way", || proxy.sent() > 200_000).await;
        t.cql_by_hand(&format!("DROP {gone}")).await;
        proxy.slow(Duration::ZERO);
        let ended = output(child).await;
        let said = stderr(&ended);
        assert_eq!(ended.status.code(), Some(2), "{gone}: {said}");
        assert!(said.contains("_sessions") && said.contains("hint: "), "{said}");

        t.run().await;
        assert_eq!(cells(&t).await, whole, "{gone}");
    }
}
