//! One Cassandra for all tests of a run, and a keyspace of its own for each test.
//!
//! `CASSANDRA_HOST` and `CASSANDRA_PORT` name one that runs; without them a local node is started at the first need, in
//! `.sluice/test-node` of the workspace. It outlives the tests and serves the next run: `sluice node down --dir
//! .sluice/test-node` ends it. Keyspaces are dropped when their test is over, however it ends.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail a test as the tests themselves do")]

use std::path::Path;
use std::time::Duration;

use arrow::array::{Array, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use cassandra::node::{self, Options};
use cassandra::settings::{Consistency, Hosts, Replication, Settings};
use cassandra::{Store, WriteTimes};
use tokio::sync::OnceCell;

static HOSTS: OnceCell<Hosts> = OnceCell::const_new();

const DEADLINE: Duration = Duration::from_mins(2);

/// Where Cassandra is for the tests; starts it where it is not there yet.
pub async fn hosts() -> Hosts {
    HOSTS.get_or_init(find_or_start).await.clone()
}

async fn find_or_start() -> Hosts {
    if let Ok(host) = std::env::var("CASSANDRA_HOST") {
        let port = std::env::var("CASSANDRA_PORT").ok().and_then(|port| port.parse().ok());
        return Hosts::parse(&host, port.unwrap_or(cassandra::settings::DEFAULT_PORT)).expect("CASSANDRA_HOST names a host");
    }
    let mut options = Options::new(|name| std::env::var_os(name));
    options.dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.sluice/test-node");
    "768M".clone_into(&mut options.heap);
    let state =
        node::up(&options, &mut |_| {}).await.expect("start a node for the tests, or set CASSANDRA_HOST to one that runs");
    Hosts::parse(&state.host.to_string(), state.port).expect("an address is a host")
}

/// Settings for a keyspace on the Cassandra of the tests.
pub async fn settings(keyspace: &str) -> Settings {
    Settings {
        hosts: hosts().await,
        login: None,
        datacenter: None,
        keyspace: keyspace.to_owned(),
        replication: Replication::default(),
        consistency: Consistency::default(),
        tls: None,
    }
}

/// A keyspace of one test, dropped with this value.
pub struct Keyspace {
    pub store: Store,
    pub settings: Settings,
}

impl Keyspace {
    /// An empty keyspace whose name starts with `name`.
    pub async fn new(name: &str) -> Self {
        let settings = settings(&format!("{name}_{}", &uuid::Uuid::new_v4().simple().to_string()[..12])).await;
        let store = Store::connect(&settings, DEADLINE, |_| {}).await.expect("the Cassandra of the tests answers");
        store.create_keyspace().await.expect("a keyspace of a new name can be made");
        Self { store, settings }
    }

    /// All rows of a table as text, columns parted by ` | `, in the order of their text.
    pub async fn rows(&self, table: &str, write_times: WriteTimes) -> Vec<String> {
        let batches = self.store.scan(table, write_times).await.unwrap().collect().await.unwrap();
        let mut rows: Vec<_> = batches.iter().flat_map(text_rows).collect();
        rows.sort();
        rows
    }
}

fn text_rows(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::new().with_null("null");
    let columns: Vec<_> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column as &dyn Array, &options).unwrap()).collect();
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join(" | "))
        .collect()
}

impl Drop for Keyspace {
    /// A session lives on the runtime that made it, and that is blocked here: the keyspace is dropped through another one.
    fn drop(&mut self) {
        let settings = self.settings.clone();
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let store = Store::connect(&settings, DEADLINE, |_| {}).await.map_err(std::io::Error::other)?;
                store.drop_keyspace().await.map_err(std::io::Error::other)
            })
        });
        let dropped = dropping.join().expect("dropping a keyspace does not panic");
        if !std::thread::panicking() {
            dropped.expect("the keyspace of a test can be dropped");
        }
    }
}
