//! Faults of Cassandra, and signals: whatever happens, the end state is the right one, or a message says what to do and the same
//! command gets there. Against real servers; what is cut, frozen or slow is so for real. Faults of sources are in `landing`.

mod cassandra;
#[cfg(feature = "cluster")]
mod cluster;
pub(crate) mod node;
mod signals;
mod tables;

use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use tests::kit::TestPipeline;
use tests::proxy::Proxy;
use tests::session_events::{Dataset, Options};

/// All that Cassandra holds of the session events: every column and the write times of those that have one.
const CELLS: [&str; 2] = [
    "SELECT country, day, ts, session_id, player_id, WRITETIME(player_id) FROM {ks}.started_sessions",
    "SELECT player_id, end_ts, session_id, start_ts, WRITETIME(start_ts), country, WRITETIME(country) FROM {ks}.completed_sessions",
];

/// In an order of their own.
async fn cells(t: &TestPipeline) -> Vec<Vec<String>> {
    let mut tables = Vec::new();
    for query in CELLS {
        let mut rows = t.cql(query).await;
        rows.sort();
        tables.push(rows);
    }
    assert!(tables.iter().all(|rows| !rows.is_empty()), "there is something to compare");
    tables
}

/// The same of another Cassandra, which may not be well yet: a read that fails is done again.
async fn cells_in(address: SocketAddr, login: Option<(&str, &str)>, keyspace: &str) -> Vec<Vec<String>> {
    let session = session_with(&address.to_string(), login).await;
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut tables = Vec::new();
    for query in CELLS {
        let mut rows = loop {
            match tests::kit::try_rows(&session, &query.replace("{ks}", keyspace)).await {
                Ok(rows) => break rows,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
        };
        rows.sort();
        tables.push(rows);
    }
    tables
}

/// Session events that were run once, undisturbed, and what Cassandra holds of them.
async fn undisturbed(sessions: u32, days: u32) -> (TestPipeline, Vec<Vec<String>>) {
    let data = Dataset::generate(&Options::small(sessions, days)).unwrap();
    let t = TestPipeline::session_events().await;
    t.one_date_a_commit().serve(data.to_bytes()).run().await;
    let whole = cells(&t).await;
    (t, whole)
}

/// `sluice run` on this pipeline, its Cassandra reached through the proxy.
async fn run_through(t: &TestPipeline, proxy: &Proxy) -> Command {
    let mut command = t.sluice(&["run", "session_events"]).await;
    command.env("CASSANDRA_HOST", proxy.address().to_string()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits for the end of a program without holding the runtime up.
async fn output(child: Child) -> Output {
    tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !condition() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A session with nothing of ours, tried until there is one.
async fn session_with(address: &str, login: Option<(&str, &str)>) -> Session {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let mut builder = SessionBuilder::new().known_node(address);
        if let Some((user, password)) = login {
            builder = builder.user(user, password);
        }
        match builder.build().await {
            Ok(session) => return session,
            Err(error) => assert!(Instant::now() < deadline, "no session with {address}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
