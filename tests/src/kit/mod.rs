//! A pipeline of its own for each test: a lake in a temporary folder, a keyspace on the real node, a source over real HTTP.
//!
//! What a test asserts is read back by other means than those that wrote it: Delta tables by deltalake's own provider and SQL,
//! Cassandra by plain CQL.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail a test as the tests themselves do")]

pub(crate) mod lake_sql;
mod program;

pub use lake_sql::rows as lake_rows;
pub use program::program;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use model::clock::Clock;
use model::failure::Classify;
use model::plan::RunPlan;
use model::report::{RunReport, StageName, StageReport};
use model::shutdown::Shutdown;
use model::slice::Slice;
use model::verify::Verification;
use pipelines::commands::plan::{self, Serving};
use pipelines::commands::verify::{self, Choice, Mending};
use pipelines::context::Context;
use pipelines::{Error, folder, runner};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::value::CqlValue;
use tempfile::TempDir;
use zones::lake::Lake;
use zones::verify::Sample;

use crate::cassandra_node;
use crate::source_server::SourceServer;

/// Where the source of a test pipeline is served.
const SOURCE: &str = "/events.jsonl";

/// One pipeline, its source, its lake and its keyspace; all of it goes when the value goes.
pub struct TestPipeline {
    pub name: String,
    pub server: SourceServer,
    pub keyspace: String,
    pub slice: Option<Slice>,
    definition: PathBuf,
    base: TempDir,
    session: Session,
}

impl TestPipeline {
    /// The shipped session events.
    pub async fn session_events() -> Self {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines/session_events");
        Self::of(&shipped).await
    }

    /// A copy of a pipeline's folder, which the test may change.
    pub async fn of(shipped: &Path) -> Self {
        let name = shipped.file_name().unwrap().to_string_lossy().into_owned();
        let pipeline = Self::empty(name).await;
        for file in std::fs::read_dir(shipped).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), pipeline.definition.join(file.file_name())).unwrap();
        }
        pipeline
    }

    /// A folder of these files (name and text). In `pipeline.toml`, `${ORDERS_URL}` is where `serve_at("orders", ...)` serves.
    pub async fn written(name: &str, files: &[(&str, &str)]) -> Self {
        let pipeline = Self::empty(name.to_owned()).await;
        for (file, text) in files {
            std::fs::write(pipeline.definition.join(file), text).unwrap();
        }
        pipeline
    }

    async fn empty(name: String) -> Self {
        let base = TempDir::with_prefix("sluice test ").unwrap();
        let definition = base.path().join("pipelines").join(&name);
        std::fs::create_dir_all(&definition).unwrap();
        let keyspace = new_keyspace();
        let session = plain_session().await;
        Self { name, server: SourceServer::start(), keyspace, slice: None, definition, base, session }
    }

    /// The folder of the definition.
    pub fn definition(&self) -> &Path {
        &self.definition
    }

    /// Replaces text of `pipeline.toml`; what is replaced must be there.
    pub fn edit(&self, from: &str, to: &str) {
        let path = self.definition.join("pipeline.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "`{from}` is not in pipeline.toml");
        std::fs::write(path, text.replace(from, to)).unwrap();
    }

    /// Each event date gets a commit of its own, however few rows it has.
    pub fn one_date_a_commit(&self) -> &Self {
        self.edit("retention = \"365 days\"", "retention = \"365 days\"\nsmall_date_rows = 1");
        self
    }

    /// The lake's folder; a debug run has its own.
    pub fn lake(&self) -> PathBuf {
        self.base.path().join(if self.slice.is_some() { "lake_debug" } else { "lake" })
    }

    /// What the source serves from now on.
    pub fn serve(&self, content: impl Into<Vec<u8>>) -> &Self {
        self.server.put(SOURCE, content.into());
        self
    }

    /// What the source behind `${NAME_URL}` serves from now on.
    pub fn serve_at(&self, name: &str, content: impl Into<Vec<u8>>) -> &Self {
        self.server.put(&format!("/{name}"), content.into());
        self
    }

    pub fn url(&self) -> String {
        self.server.url(SOURCE)
    }

    fn variable(&self, name: &str) -> Option<String> {
        match name.strip_suffix("_URL")? {
            "SESSION_EVENTS" => Some(self.url()),
            other => Some(self.server.url(&format!("/{}", other.to_lowercase()))),
        }
    }

    /// The context of one run, with a clock and a shutdown of its own.
    pub fn context(&self) -> Result<Context, Error> {
        let pipeline = folder::read(&self.definition, &|name| self.variable(name))?;
        let lake = Lake::new(self.lake(), &pipeline.name);
        Ok(Context::new(Arc::new(pipeline), lake, Clock::Wall, self.slice, Shutdown::default(), Arc::new(pipelines::ui::Nobody)))
    }

    pub async fn store(&self) -> cassandra::Store {
        let settings = cassandra_node::settings(&self.keyspace).await;
        cassandra::Store::connect(&settings, std::time::Duration::from_mins(1), |_| {}).await.unwrap()
    }

    /// Runs the whole chain in this process, through the function that the program calls.
    pub async fn try_run(&self) -> Result<RunReport, Error> {
        let started = Instant::now();
        let context = self.context()?;
        let stages = Box::pin(runner::run(&context, async { Ok(self.store().await) })).await?;
        Ok(runner::report(&context, Some(self.keyspace.clone()), started, stages))
    }

    pub async fn run(&self) -> RunReport {
        match self.try_run().await {
            Ok(report) => {
                assert!(report.accounting_closes, "{report:#?}");
                report
            }
            Err(error) => panic!("{}", chain(&error)),
        }
    }

    /// Runs one stage by itself.
    pub async fn stage(&self, stage: StageName) -> Result<Vec<StageReport>, Error> {
        let context = self.context()?;
        let store = self.store().await;
        Box::pin(runner::stage(&context, Some(&store), stage)).await
    }

    /// What a run would do now, read from the lake and from Cassandra.
    pub async fn plan(&self) -> RunPlan {
        let context = self.context().unwrap();
        let store = self.store().await;
        match Box::pin(plan::make(&context, Serving::Read(&store), plan::Sources::Asked)).await {
            Ok(plan) => plan,
            Err(error) => panic!("{}", chain(&error)),
        }
    }

    /// What `sluice verify` finds, or puts right.
    pub async fn verify(&self, sample: Sample, mending: Mending) -> Verification {
        let context = self.context().unwrap();
        let store = self.store().await;
        match Box::pin(verify::verify(&context, Some(&store), &Choice::default(), sample, mending)).await {
            Ok(verification) => verification,
            Err(error) => panic!("{}", chain(&error)),
        }
    }

    /// Rows of the lake, each as its columns parted by ` | `. Tables are named as in the definition; `quarantine` is one.
    pub async fn sql(&self, query: &str) -> Vec<String> {
        lake_sql::rows(&self.lake(), &self.name, query).await
    }

    /// The one value that a query yields.
    pub async fn count(&self, query: &str) -> u64 {
        let rows = self.sql(query).await;
        rows[0].parse().unwrap_or_else(|_| panic!("{query}: {rows:?}"))
    }

    /// The newest version of a Delta table, `raw/session_events` say.
    pub async fn version(&self, zone: &str, table: &str) -> u64 {
        lake_sql::version(&self.lake().join(zone).join(&self.name).join(table)).await
    }

    /// A CQL statement that yields no rows, as somebody else might give it; `{ks}` stands for the keyspace.
    pub async fn cql_by_hand(&self, statement: &str) {
        self.session.query_unpaged(statement.replace("{ks}", &self.keyspace), ()).await.unwrap();
    }

    /// Rows of Cassandra, each as its columns parted by ` | `; `{ks}` in the query stands for the keyspace.
    pub async fn cql(&self, query: &str) -> Vec<String> {
        rows(&self.session, &query.replace("{ks}", &self.keyspace)).await
    }
}

impl Drop for TestPipeline {
    fn drop(&mut self) {
        drop_keyspaces(vec![self.keyspace.clone(), format!("{}_debug", self.keyspace)]);
    }
}

/// The node outlives a test; its keyspaces must not. Dropping needs a runtime of its own here.
pub(crate) fn drop_keyspaces(keyspaces: Vec<String>) {
    let dropped = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let session = plain_session().await;
            for keyspace in keyspaces {
                let _ = session.query_unpaged(format!("DROP KEYSPACE IF EXISTS {keyspace}"), ()).await;
            }
        });
    });
    let _ = dropped.join();
}

/// A name for a keyspace, and a session with it; the keyspace goes when the value goes.
pub struct KeyspaceSession {
    pub keyspace: String,
    session: Session,
}

impl KeyspaceSession {
    pub async fn new() -> Self {
        Self { keyspace: new_keyspace(), session: plain_session().await }
    }

    /// Rows, each as its columns parted by ` | `; the error where the keyspace is not there.
    pub async fn rows(&self, query: &str) -> Result<Vec<String>, String> {
        self.session.use_keyspace(self.keyspace.as_str(), false).await.map_err(|error| error.to_string())?;
        Ok(rows(&self.session, query).await)
    }
}

impl Drop for KeyspaceSession {
    fn drop(&mut self) {
        drop_keyspaces(vec![self.keyspace.clone()]);
    }
}

pub(crate) fn new_keyspace() -> String {
    format!("t{}", uuid::Uuid::new_v4().simple())
}

/// Rows of any Cassandra, each as its columns parted by ` | `.
pub async fn rows(session: &Session, query: &str) -> Vec<String> {
    try_rows(session, query).await.unwrap()
}

/// The same of a Cassandra that may not be well.
pub async fn try_rows(session: &Session, query: &str) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut pager = session.query_iter(query, ()).await?.rows_stream::<scylla::value::Row>()?;
    let mut rows = Vec::new();
    while let Some(row) = futures::StreamExt::next(&mut pager).await {
        let columns: Vec<String> = row?.columns.iter().map(|value| shown(value.as_ref())).collect();
        rows.push(columns.join(" | "));
    }
    Ok(rows)
}

/// An error with its causes and its hint, as a user would see it.
pub fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    if let Some(hint) = error.hint() {
        text.push_str(" | hint: ");
        text.push_str(&hint);
    }
    text
}

fn shown(value: Option<&CqlValue>) -> String {
    match value {
        None => "null".to_owned(),
        Some(CqlValue::Timestamp(instant)) => {
            chrono::DateTime::from_timestamp_millis(instant.0).unwrap().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
        }
        Some(CqlValue::Date(date)) => {
            let days = i64::from(date.0) - (1 << 31);
            (chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap() + chrono::TimeDelta::days(days)).to_string()
        }
        Some(CqlValue::Text(text)) => text.clone(),
        Some(CqlValue::BigInt(number)) => number.to_string(),
        Some(CqlValue::Int(number)) => number.to_string(),
        Some(CqlValue::SmallInt(number)) => number.to_string(),
        Some(CqlValue::TinyInt(number)) => number.to_string(),
        // As Arrow shows it: a whole number keeps its point.
        Some(CqlValue::Double(number)) => format!("{number:?}"),
        Some(CqlValue::Boolean(flag)) => flag.to_string(),
        Some(CqlValue::Uuid(id)) => id.to_string(),
        Some(other) => format!("{other:?}"),
    }
}

/// A plain session, without anything of ours.
pub(crate) async fn plain_session() -> Session {
    // A TLS provider must be chosen before anything asks; another test may have done so.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    SessionBuilder::new().known_nodes(cassandra_node::hosts().await.iter()).build().await.unwrap()
}
