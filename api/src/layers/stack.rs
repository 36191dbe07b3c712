//! The routes of a server with everything around them.

use std::any::Any;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, LINK,
    REFERRER_POLICY, RETRY_AFTER, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures::FutureExt as _;
use metrics::counter;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::access::{Gate, Passed, Stopped};
use super::bounds::Bounds;
use super::load::Load;
use super::observe::{self, Counted, REQUEST_ID};
use super::{Access, Known, Route};
use crate::answer::FRESHNESS;
use crate::health::{Readiness, live_response};
use crate::metrics::REJECTED;
use crate::problem::{self, Code, Problem};
use crate::server::Settings;

/// From this size on a body is worth compressing: a packet of its own, about.
const COMPRESSED_FROM: u64 = 1024;

/// What a server answers.
#[derive(Debug, Clone)]
pub struct App {
    /// The pipeline that keys are scoped to.
    pub pipeline: String,
    pub routes: Vec<Route>,
}

#[derive(Debug)]
struct Stack {
    /// By the pattern of the path.
    known: HashMap<String, Arc<Known>>,
    /// What is counted where no path matched: what callers make up is no label.
    elsewhere: Arc<Counted>,
    bounds: Bounds,
    gate: Gate,
    load: Load,
}

impl Stack {
    fn known(&self, request: &Request) -> Option<&Arc<Known>> {
        self.known.get(request.extensions().get::<MatchedPath>()?.as_str())
    }
}

/// Puts everything around the routes. Health is beside them: it is answered whatever else is the matter.
pub(crate) fn build(app: App, settings: &Settings, readiness: &Readiness) -> Router {
    let mut known = HashMap::new();
    let mut routes = Router::new();
    for Route { name, access, paths, handler } in app.routes.into_iter().chain(health(readiness)) {
        let name: Arc<str> = name.into();
        let counted = Arc::new(Counted::new(name.clone()));
        for path in paths {
            routes = routes.route(&path.pattern, handler.clone());
            let path_known = Known { name: name.clone(), access, path: path.declared, counted: counted.clone() };
            known.insert(path.pattern, Arc::new(path_known));
        }
    }
    let gate = Gate::new(settings.admission.clone(), app.pipeline, settings.total_rate, settings.failure_rate);
    let load = Load::new(settings.in_flight, settings.request_time);
    let elsewhere = Arc::new(Counted::new("none".into()));
    let stack = Arc::new(Stack { known, elsewhere, bounds: settings.bounds.clone(), gate, load });
    let compression = CompressionLayer::new().gzip(true).zstd(true).compress_when(SizeAbove::new(COMPRESSED_FROM));
    // Of layers, the last is the outermost.
    routes
        .fallback(async || Problem::new(Code::NotFound, "there is no such path"))
        .layer(from_fn_with_state(stack.clone(), dress))
        .layer(compression)
        .layer(tower::util::option_layer(cors(&settings.origins)))
        .layer(from_fn_with_state(stack, observed))
}

fn health(readiness: &Readiness) -> [Route; 3] {
    let open = |name: &str, handler| Route {
        name: name.to_owned(),
        access: Access::Open,
        paths: vec![format!("/{name}").as_str().into()],
        handler,
    };
    let (ready, health) = (readiness.clone(), readiness.clone());
    [
        open("livez", get(async || live_response())),
        open("readyz", get(async move || ready.ready_response())),
        open("health", get(async move || health.health_response())),
    ]
}

fn cors(origins: &[HeaderValue]) -> Option<CorsLayer> {
    let exposed = [ETAG, LINK, RETRY_AFTER, REQUEST_ID, RATE_LIMIT, RATE_LIMIT_POLICY];
    let exposed: Vec<_> = exposed.into_iter().chain(FRESHNESS.map(HeaderName::from_static)).collect();
    let layer = || {
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins.iter().cloned()))
            .allow_methods([Method::GET, Method::HEAD])
            .allow_headers([ACCEPT, AUTHORIZATION, IF_NONE_MATCH, REQUEST_ID, HeaderName::from_static("x-api-key")])
            .expose_headers(exposed)
            .max_age(std::time::Duration::from_mins(10))
    };
    (!origins.is_empty()).then(layer)
}

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

async fn observed(State(stack): State<Arc<Stack>>, mut request: Request, next: Next) -> Response {
    let known = stack.known(&request).cloned();
    let record = observe::begin(&mut request, known.as_ref(), &stack.elsewhere);
    observe::end(record, next.run(request).await)
}

/// The form of refusals, panics among them, and the headers of every answer.
async fn dress(State(stack): State<Arc<Stack>>, request: Request, next: Next) -> Response {
    let id = request.extensions().get::<observe::RequestId>().cloned();
    let is_head = request.method() == Method::HEAD;
    // Where a length stands beside it, a proxy in front may see another end of this request, and another next one.
    let is_last = request.headers().contains_key(TRANSFER_ENCODING);
    let id = id.as_ref().map_or("", |id| &id.0);
    let response =
        AssertUnwindSafe(admit(&stack, request, next)).catch_unwind().await.unwrap_or_else(|panic| panicked(&*panic, id));
    let mut response = problem::named(response, id);
    if is_head {
        // As it would be with its body, which is not nothing.
        if let Some(length) = response.body().size_hint().exact().filter(|_| response.status() != StatusCode::NOT_MODIFIED) {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        *response.body_mut() = Body::empty();
    }
    let headers = response.headers_mut();
    if is_last {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // A page of documents says what it loads; anything else loads nothing.
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
    // Who says nothing about it answers for one caller at one time.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Bounds, key, limits, load: what is refused here no handler sees.
async fn admit(stack: &Stack, request: Request, next: Next) -> Response {
    let known = stack.known(&request);
    match pass(stack, known.map(Arc::as_ref), request, next).await {
        Ok((passed, mut response)) => {
            passed.describe(response.headers_mut());
            response.extensions_mut().insert(passed.caller);
            response
        }
        Err(stopped) => {
            counter!(REJECTED, "reason" => stopped.problem.code.name()).increment(1);
            let mut response = stopped.problem.clone().into_response();
            stopped.describe(response.headers_mut());
            if let Some(caller) = stopped.caller {
                response.extensions_mut().insert(caller);
            }
            response
        }
    }
}

async fn pass(stack: &Stack, known: Option<&Known>, request: Request, next: Next) -> Result<(Passed, Response), Stopped> {
    stack.bounds.check(&request)?;
    if known.is_some_and(|known| known.access == Access::Open) {
        let request = stack.bounds.take_body(request).await?;
        return Ok((Passed::nobody(), next.run(request).await));
    }
    let passed = stack.gate.pass(&request, known)?;
    let with_caller = |problem| Stopped::of(problem, &passed.caller);
    let mut request = stack.bounds.take_body(request).await.map_err(with_caller)?;
    request.extensions_mut().insert(passed.caller.clone());
    let response = stack.load.pass(request, next).await.map_err(with_caller)?;
    Ok((passed, response))
}

/// What a handler held is gone with it; nothing of it is used again.
fn panicked(panic: &(dyn Any + Send), request: &str) -> Response {
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(request, panic = words.unwrap_or("without words"), "a handler panicked");
    Problem::new(Code::Internal, "the server could not answer; its log names this request").into_response()
}
