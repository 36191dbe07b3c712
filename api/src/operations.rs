//! The operations API: how the pipeline is, for a dashboard and for whoever watches over it.
//!
//! Contract: a key whose scope names `_pipeline` opens it, and no other does. What it answers is looked at elsewhere ([`Operations`]):
//! this crate reads no lake.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, VARY};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get};
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use metrics::gauge;
use model::operations::{OPERATIONS_SCHEMA, Overview, Reading, Rejects, RunRecord, RunSummary, Severity};
use model::plan::RunPlan;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::answer::holds;
use crate::cursor::Fingerprint;
use crate::keys::Caller;
use crate::layers::{Access, Route};
use crate::metrics::{LAST_RUN, PIPELINE_HEALTH, TABLE_BEHIND, TABLE_NEWEST_EVENT, TABLE_ROWS};
use crate::openapi::document;
use crate::problem::{Code, Problem};
use crate::service::Service;

/// Its name in scopes, logs and metrics.
pub(crate) const NAME: &str = "_pipeline";

/// So many runs are answered where the caller gives no `limit`, and at most.
const RUNS: usize = 50;
const MOST_RUNS: usize = 500;

/// Who looks at the lake and at runs.
pub trait Operations: Send + Sync {
    /// What was seen last.
    fn overview(&self) -> Arc<Overview>;

    /// The newest runs, the newest first.
    fn runs(&self, limit: usize) -> BoxFuture<'_, Result<Vec<RunSummary>, Unanswered>>;

    /// One run; `None` where none of that name is on record.
    fn run(&self, id: String) -> BoxFuture<'_, Result<Option<RunRecord>, Unanswered>>;

    /// What was set aside.
    fn rejects(&self) -> BoxFuture<'_, Result<Arc<Rejects>, Unanswered>>;

    /// What a run would do now.
    fn plan(&self) -> BoxFuture<'_, Result<Arc<RunPlan>, Unanswered>>;
}

/// Why there is no answer, for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered(pub String);

impl From<Unanswered> for Problem {
    fn from(unanswered: Unanswered) -> Self {
        Self::new(Code::Unavailable, unanswered.0).retry_after(Duration::from_secs(5))
    }
}

/// Tells in metrics what was seen.
pub fn measure(overview: &Overview) {
    let health = match overview.health {
        Severity::Ok => 0.0,
        Severity::Attention => 1.0,
        Severity::Failing => 2.0,
    };
    gauge!(PIPELINE_HEALTH).set(health);
    if let Some(run) = &overview.last_run {
        gauge!(LAST_RUN).set(seconds(run.started_at));
    }
    let tables =
        overview.raw.iter().map(|table| ("raw", table)).chain(overview.use_cases.iter().map(|table| ("use_case", table)));
    for (zone, table) in tables.chain(overview.quarantine.iter().map(|table| ("", table))) {
        let name = if zone.is_empty() { table.name.clone() } else { format!("{zone}.{}", table.name) };
        if let Some(rows) = table.rows {
            gauge!(TABLE_ROWS, "table" => name.clone()).set(rows as f64);
        }
        reads(&name, &table.reads, table.newest_event);
    }
    for table in &overview.serving.tables {
        reads(&format!("cassandra.{}", table.name), std::slice::from_ref(&table.reads), table.newest_event);
    }
}

fn reads(table: &str, reads: &[Reading], newest_event: Option<DateTime<Utc>>) {
    if let Some(newest) = newest_event {
        gauge!(TABLE_NEWEST_EVENT, "table" => table.to_owned()).set(seconds(newest));
    }
    for (reading, behind) in reads.iter().filter_map(|reading| Some((reading, reading.behind?))) {
        gauge!(TABLE_BEHIND, "table" => table.to_owned(), "from" => reading.from.clone()).set(behind as f64);
    }
}

fn seconds(instant: DateTime<Utc>) -> f64 {
    instant.timestamp_millis() as f64 / 1000.0
}

impl Service {
    /// Takes who looks at the lake; without anybody there is no operations API. They look in the runtime of the caller: that takes
    /// a thread for long, so it is none of those that answer applications.
    ///
    /// # Panics
    /// Outside a runtime.
    #[must_use]
    pub fn with_operations(mut self, operations: Arc<dyn Operations>) -> Self {
        self.operations = Some((operations, Handle::current()));
        self
    }

    /// Whether a caller sees it.
    pub(crate) fn shows_operations(&self, caller: &Caller) -> bool {
        self.operations.is_some() && caller.may(&self.pipeline, NAME)
    }

    pub(crate) fn operations_routes(&self) -> Vec<Route> {
        let Some((operations, home)) = &self.operations else { return Vec::new() };
        let of = || Arc::clone(operations);
        let seen = of();
        let status = get(async move |request: Parts| answer(&request, &*seen.overview()));
        let seen = of();
        let runs = get(async move |request: Parts| -> Result<Response, Problem> {
            let runs = seen.runs(limit(&request)?).await?;
            Ok(answer(&request, &json!({ "schema": OPERATIONS_SCHEMA, "runs": runs })))
        });
        let seen = of();
        let run = get(async move |Path(id): Path<String>, request: Parts| -> Result<Response, Problem> {
            let found = seen.run(id).await?.ok_or_else(|| Problem::new(Code::NotFound, "no run of that name is on record"))?;
            Ok(answer(&request, &found))
        });
        let (seen, there) = (of(), home.clone());
        let rejects = get(async move |request: Parts| -> Result<Response, Problem> {
            let seen = Arc::clone(&seen);
            Ok(answer(&request, &*looked(&there, async move { seen.rejects().await }).await?))
        });
        let (seen, there) = (of(), home.clone());
        let plan = get(async move |request: Parts| -> Result<Response, Problem> {
            let seen = Arc::clone(&seen);
            Ok(answer(&request, &*looked(&there, async move { seen.plan().await }).await?))
        });
        [("status", status), ("runs", runs), ("runs/{id}", run), ("rejects", rejects), ("plan", plan)].map(route).into()
    }
}

/// What came of looking elsewhere; it ends with the request.
async fn looked<T: Send + 'static>(
    there: &Handle,
    looking: impl Future<Output = Result<T, Unanswered>> + Send + 'static,
) -> Result<T, Unanswered> {
    let mut alone = JoinSet::new();
    alone.spawn_on(looking, there);
    let came = alone.join_next().await.expect("it was begun");
    came.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Err(Unanswered("the server is ending".to_owned())),
    })
}

fn route((path, handler): (&str, MethodRouter)) -> Route {
    let paths = vec![format!("/v1/_pipeline/{path}").as_str().into()];
    Route { name: NAME.to_owned(), access: Access::Scoped, paths, handler }
}

/// A document, or that it is the one which the caller has.
pub(crate) fn answer(request: &Parts, document: &impl Serialize) -> Response {
    let body = serde_json::to_vec(document).expect("a document is plain data");
    let etag = format!("W/\"{}\"", Fingerprint::of([body.as_slice()]).text());
    let mut headers = HeaderMap::new();
    headers.insert(ETAG, HeaderValue::from_str(&etag).expect("a fingerprint is of hexadecimal digits"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(VARY, HeaderValue::from_static("authorization, x-api-key"));
    if holds(&request.headers, &etag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (headers, body).into_response()
}

fn limit(request: &Parts) -> Result<usize, Problem> {
    let mut limit = None;
    for pair in request.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name != "limit" {
            return Err(Problem::parameter(name, "is not known; there is: limit"));
        }
        if limit.is_some() {
            return Err(Problem::parameter(name, "is given twice"));
        }
        let number = value.parse().ok().filter(|number| (1..=MOST_RUNS).contains(number) && value.as_bytes()[0] != b'+');
        limit = Some(number.ok_or_else(|| Problem::parameter(name, format!("is not a whole number from 1 to {MOST_RUNS}")))?);
    }
    Ok(limit.unwrap_or(RUNS))
}

/// For the document of the API: paths and their operations.
pub(crate) fn paths() -> Vec<(String, Value)> {
    let limit = json!([{ "name": "limit", "in": "query", "required": false, "description": "So many runs",
        "schema": { "type": "integer", "minimum": 1, "maximum": MOST_RUNS, "default": RUNS } }]);
    let id = json!([{ "name": "id", "in": "path", "required": true, "description": "As the list of runs has it",
        "schema": { "type": "string", "pattern": "^[0-9]{17}$" } }]);
    let documents: [(&str, &str, &str, Value, &[&str]); 5] = [
        (
            "status",
            "pipeline_status",
            "What each zone holds, how far each table is behind, and what is wrong",
            json!([]),
            &["schema", "pipeline", "health", "findings", "lake", "landings", "raw", "use_cases", "serving"],
        ),
        ("runs", "pipeline_runs", "The newest runs, the newest first", limit, &["schema", "runs"]),
        (
            "runs/{id}",
            "pipeline_run",
            "One run: its stages, its accounting, what was planned beside what came",
            id,
            &["schema", "id", "state", "report"],
        ),
        (
            "rejects",
            "pipeline_rejects",
            "Records that were set aside, in groups of what is wrong with them",
            json!([]),
            &["schema", "records", "groups"],
        ),
        ("plan", "pipeline_plan", "What a run would do now", json!([]), &["schema", "is_up_to_date", "problems"]),
    ];
    let described = |(path, id, summary, parameters, required): (&str, &str, &str, Value, &[&str])| {
        let schema = json!({ "type": "object", "required": required });
        (format!("/v1/_pipeline/{path}"), document(id, "operations", summary, &parameters, &schema))
    };
    documents.into_iter().map(described).collect()
}
