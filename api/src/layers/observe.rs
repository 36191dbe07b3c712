//! The id of a request, its line in the access log, its metrics.
//!
//! Contract: an answer names its request in `X-Request-Id`; an id that came with the request is kept if it is short and plain. The log has
//! one line for each request, written when its answer was sent or given up. The line has the path as it is declared, not as it
//! came, and never a query, a header or a key: what callers put there may be secret.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use metrics::{Counter, Histogram, counter, histogram};
use uuid::fmt::Hyphenated;

use super::{Known, Peer};
use crate::keys::Caller;
use crate::metrics::{REQUEST_SECONDS, REQUESTS, RESPONSE_BYTES};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What takes an id from elsewhere: a proxy's, a trace's.
const LONGEST_ID: usize = 64;

/// Handlers find it in the request's extensions.
#[derive(Debug, Clone)]
pub struct RequestId(pub Arc<str>);

impl RequestId {
    fn of(request: &Request) -> Self {
        let plain = |text: &&str| {
            (1..=LONGEST_ID).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        };
        let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(plain);
        let new = || -> Arc<str> {
            // From the thread's generator: one from the system would be a call of it for each request.
            let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
            Arc::from(&*id.hyphenated().encode_lower(&mut [0; Hyphenated::LENGTH]))
        };
        Self(given.map_or_else(new, Into::into))
    }
}

/// What is counted of an endpoint, looked up once: finding a metric by its labels costs more than counting.
#[derive(Debug)]
pub(crate) struct Counted {
    endpoint: Arc<str>,
    /// Answers to GET with 200.
    ok: Counter,
    seconds: Histogram,
    bytes: Counter,
}

impl Counted {
    pub(crate) fn new(endpoint: Arc<str>) -> Self {
        Self {
            ok: requests(&endpoint, "GET", 200),
            seconds: histogram!(REQUEST_SECONDS, "endpoint" => endpoint.clone()),
            bytes: counter!(RESPONSE_BYTES, "endpoint" => endpoint.clone()),
            endpoint,
        }
    }

    fn request(&self, method: &'static str, status: u16) {
        match (method, status) {
            ("GET", 200) => self.ok.increment(1),
            _ => requests(&self.endpoint, method, status).increment(1),
        }
    }
}

fn requests(endpoint: &Arc<str>, method: &'static str, status: u16) -> Counter {
    counter!(REQUESTS, "endpoint" => endpoint.clone(), "method" => method, "status" => status.to_string())
}

/// Begins the record of a request, and gives the request its id. `elsewhere` counts where no path matched.
pub(crate) fn begin(request: &mut Request, known: Option<&Arc<Known>>, elsewhere: &Arc<Counted>) -> Record {
    let id = RequestId::of(request);
    request.extensions_mut().insert(id.clone());
    Record {
        id: id.0,
        started: Instant::now(),
        method: request.method().clone(),
        known: known.cloned(),
        counted: known.map_or(elsewhere, |known| &known.counted).clone(),
        peer: request.extensions().get::<Peer>().copied(),
        caller: None,
        status: None,
        bytes: 0,
        is_whole: false,
    }
}

/// Ends the record with the answer's body.
pub(crate) fn end(mut record: Record, mut response: Response) -> Response {
    record.status = Some(response.status());
    record.caller = response.extensions_mut().remove::<Caller>().map(|caller| caller.key_id);
    if let Ok(id) = HeaderValue::try_from(&*record.id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    record.is_whole = response.body().is_end_stream() || record.method == Method::HEAD;
    response.map(|body| Body::new(Recorded { body, record }))
}

/// Written when it is dropped: with the body that was sent, or with the work that was given up.
pub(crate) struct Record {
    pub(crate) id: Arc<str>,
    started: Instant,
    method: Method,
    known: Option<Arc<Known>>,
    counted: Arc<Counted>,
    peer: Option<Peer>,
    caller: Option<Arc<str>>,
    status: Option<StatusCode>,
    bytes: u64,
    is_whole: bool,
}

impl Drop for Record {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        let method = match self.method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            Method::OPTIONS => "OPTIONS",
            _ => "OTHER",
        };
        // 499 is what proxies write for a client that left.
        let status = self.status.map_or(499, |status| status.as_u16());
        self.counted.request(method, status);
        self.counted.seconds.record(elapsed.as_secs_f64());
        self.counted.bytes.increment(self.bytes);
        tracing::info!(
            target: "api::access",
            request = &*self.id,
            method,
            route = self.known.as_ref().map_or("", |known| &*known.path),
            endpoint = &*self.counted.endpoint,
            status,
            bytes = self.bytes,
            milliseconds = elapsed.as_secs_f64() * 1_000.0,
            key = self.caller.as_deref().unwrap_or(""),
            peer = self.peer.map(|peer| tracing::field::display(peer.0.ip())),
            whole = self.is_whole,
            "request"
        );
    }
}

/// A body that counts what is taken of it.
struct Recorded {
    body: Body,
    record: Record,
}

impl HttpBody for Recorded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.record.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                self.record.is_whole = self.body.is_end_stream();
            }
            Poll::Ready(None) => self.record.is_whole = true,
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
