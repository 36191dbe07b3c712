//! One request, from its parameters to its answer.
//!
//! What is asked is known before rows are read: parameters, bounds, the table's checkpoint. From these comes the `ETag`, so an
//! answer that the caller has already costs no rows. Every answer says as of which version and event time it is.

mod parameters;

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::RawPathParams;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LINK, VARY};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use cassandra::lookup::{self, Freshness, KeyValue, timestamp_text};
use chrono::Utc;
use model::failure::with_causes;
use model::{Classify, Failure};
use serde_json::json;
use tokio::time::Instant;

pub(crate) use self::parameters::names;
use self::parameters::{Given, fault};
use crate::ask::{Asked, Asker, Page};
use crate::cursor::{Fingerprint, Position};
use crate::endpoint::{Answer, Bounds, Endpoint};
use crate::format::{Format, Rows};
use crate::freshness;
use crate::keys::Caller;
use crate::problem::{Code, Problem};
use crate::service::{Connected, Service};

/// What an answer is of: everything that decides it but the rows.
struct Resolved {
    asked: Asked,
    format: Format,
    given: Given,
    question: Fingerprint,
    freshness: Option<Arc<Freshness>>,
    now: i64,
}

impl Service {
    /// Answers a request that came by one of the endpoint's paths.
    pub(crate) async fn answer(
        &self,
        endpoint: &Arc<Endpoint>,
        path: usize,
        values: &RawPathParams,
        caller: &Caller,
        request: &Parts,
    ) -> Result<Response, Problem> {
        let connected = self.connected()?;
        let deadline = Instant::now() + self.deadline;
        let asker = connected.asker(&endpoint.name);
        let values = values.iter().map(|(_, value)| value.to_owned()).collect();
        let resolved = self.resolve(endpoint, path, values, &caller.key_id, request, &connected, deadline).await?;
        let etag = etag(endpoint, &resolved);
        let mut headers = headers(endpoint, &resolved, &etag);
        if holds(&request.headers, &etag) {
            return Ok(response(StatusCode::NOT_MODIFIED, headers, Vec::new()));
        }
        let (body, next) = rows_of(asker, &resolved, deadline).await?;
        let cursor = next.map(|next| self.signer().sign(&resolved.question, &next, Utc::now().timestamp()));
        if let Some(cursor) = &cursor {
            let query = resolved.given.next_query(&endpoint.paths[path], cursor);
            let link = format!("<{}?{query}>; rel=\"next\"", request.uri.path());
            headers.insert(LINK, header(&link));
        }
        let body = match resolved.format {
            Format::Json => envelope(endpoint, &resolved, &body, cursor.as_deref()),
            Format::Ndjson | Format::Csv => body.finish(),
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(resolved.format.content_type()));
        Ok(response(StatusCode::OK, headers, body))
    }

    #[expect(clippy::too_many_arguments, reason = "a request is all of these")]
    async fn resolve(
        &self,
        endpoint: &Endpoint,
        path: usize,
        values: Vec<String>,
        caller: &str,
        request: &Parts,
        connected: &Connected,
        deadline: Instant,
    ) -> Result<Resolved, Problem> {
        let accept = request.headers.get(ACCEPT).map(|accept| accept.to_str().unwrap_or("?"));
        let format = Format::accepted(accept).ok_or_else(|| {
            let formats = Format::ALL.map(Format::media_type).join(", ");
            Problem::new(Code::NotAcceptable, format!("there are: {formats}"))
        })?;
        let query = request.uri.query().unwrap_or_default();
        let given = Given::read(&endpoint.paths[path], values.into_iter(), query).map_err(Problem::parameters)?;
        let mut faults = given.unknown(endpoint);
        let filters = given.filters(endpoint).unwrap_or_else(|found| {
            faults.extend(found);
            Vec::new()
        });
        let limit = given.limit(endpoint).unwrap_or_else(|found| {
            faults.push(found);
            1
        });
        let freshness = connected.freshness.of(&endpoint.table, deadline).await.map_err(|error| problem(&error))?;
        let now = freshness::now(self.clock, freshness.as_deref());
        let bounds = endpoint.range.as_ref().map_or(Ok(Bounds::default()), |range| range.bounds(given.range(), now));
        let bounds = bounds.unwrap_or_else(|found| {
            faults.push(fault(found.parameter, found.detail));
            Bounds::default()
        });
        if !faults.is_empty() {
            return Err(Problem::parameters(faults));
        }
        let question = question(endpoint, &given, &filters, caller);
        let after = match given.get("cursor") {
            None => None,
            Some(cursor) => {
                let read = self.signer().read(cursor, &question, endpoint.clustering.len(), Utc::now().timestamp());
                Some(read.map_err(|refused| Problem::new(Code::InvalidCursor, format!("the cursor {refused}")))?)
            }
        };
        let limit = if matches!(endpoint.answer, Answer::Newest) { 1 } else { limit };
        let bounds = after.as_ref().map_or(bounds, |after| after.bounds);
        let asked = Asked { filters, bounds, after, limit };
        Ok(Resolved { asked, format, given, question, freshness, now })
    }
}

fn headers(endpoint: &Endpoint, resolved: &Resolved, etag: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ETAG, header(etag));
    let cache = match endpoint.cache_seconds {
        0 => "private, no-cache".to_owned(),
        seconds => format!("private, max-age={seconds}"),
    };
    headers.insert(CACHE_CONTROL, header(&cache));
    headers.insert(VARY, HeaderValue::from_static("accept, authorization, x-api-key"));
    let as_of = resolved.freshness.as_deref();
    let version = as_of.map(|as_of| as_of.version.to_string());
    let event_time = as_of.and_then(|as_of| as_of.newest_event).and_then(timestamp_text);
    let named = [("sluice-version", version), ("sluice-event-time", event_time), ("sluice-now", timestamp_text(resolved.now))];
    for (name, value) in named {
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), header(&value));
        }
    }
    headers
}

/// What was asked, whatever page and limit: a cursor is of this.
fn question(endpoint: &Endpoint, given: &Given, filters: &[KeyValue], caller: &str) -> Fingerprint {
    let said = given.range();
    let range = [said.from, said.to, said.hours, said.days].map(|text| text.map_or(String::new(), |text| format!("={text}")));
    let parts = [endpoint.name.as_bytes(), endpoint.hash.as_bytes(), caller.as_bytes()];
    Fingerprint::of(parts.into_iter().chain(range.iter().map(String::as_bytes)).chain(filters.iter().map(KeyValue::bytes)))
}

/// Over whatever decides an answer. It is weak: compression makes other bytes of the same answer.
fn etag(endpoint: &Endpoint, resolved: &Resolved) -> String {
    let Resolved { asked, format, given, question, freshness, .. } = resolved;
    let mut text = format!("{} {format:?} {:?} {} {:?}", question.text(), asked.bounds, asked.limit, given.get("cursor"));
    if let Some(freshness) = freshness {
        let Freshness { version, source_id, definition_hash, table_id, write_time, updated_at, newest_event } = &**freshness;
        let _ = write!(text, " {version} {source_id} {definition_hash} {table_id:?} {write_time} {updated_at} {newest_event:?}");
    }
    if endpoint.has_ttl {
        // Rows leave without a trace.
        let _ = write!(text, " {}", Utc::now().timestamp() / 60);
    }
    format!("W/\"{}\"", Fingerprint::of([text.as_bytes()]).text())
}

/// Whether the caller has the answer.
pub(crate) fn holds(headers: &HeaderMap, etag: &str) -> bool {
    let weak = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let sent = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    sent.flat_map(|value| value.split(',')).any(|tag| tag.trim() == "*" || weak(tag) == weak(etag))
}

/// Reads the rows; also where the next page begins.
async fn rows_of(asker: &Asker, resolved: &Resolved, deadline: Instant) -> Result<(Rows, Option<Position>), Problem> {
    let endpoint = &asker.endpoint;
    let request = &resolved.asked;
    match &endpoint.answer {
        Answer::Totals(totals) => {
            let mut rows = Rows::new(resolved.format, totals.iter().map(|total| total.name.as_str()));
            asker.totals(request, &mut rows, deadline).await.map_err(|error| problem(&error))?;
            Ok((rows, None))
        }
        Answer::Rows | Answer::Newest => {
            let rows = Rows::new(resolved.format, endpoint.fields.iter().map(|field| field.name.as_str()));
            let Page { rows, next } = asker.page(request, rows, deadline).await.map_err(|error| problem(&error))?;
            if !matches!(endpoint.answer, Answer::Newest) {
                return Ok((rows, next));
            }
            if rows.count() == 0 {
                return Err(Problem::new(Code::NotFound, "there is no row of these parameters"));
            }
            Ok((rows, None))
        }
    }
}

/// `{"items": [...], "count": 2, "next": null, ...}`; of one row `{"item": {...}, ...}`.
fn envelope(endpoint: &Endpoint, resolved: &Resolved, rows: &Rows, cursor: Option<&str>) -> Vec<u8> {
    let mut out = Vec::with_capacity(rows.written().len() + 512);
    if matches!(endpoint.answer, Answer::Rows) {
        out.extend(b"{\"items\":[");
        out.extend(rows.written());
        out.extend(format!("],\"count\":{},\"next\":{}", rows.count(), json!(cursor)).into_bytes());
    } else {
        out.extend(b"{\"item\":");
        out.extend(rows.written());
    }
    if let Some(range) = &endpoint.range {
        let text = |bound: Option<i64>| json!(bound.and_then(|bound| range.text(bound)));
        let bounds = resolved.asked.bounds;
        out.extend(format!(",\"from\":{},\"to\":{}", text(bounds.from), text(bounds.to)).into_bytes());
    }
    let as_of = resolved.freshness.as_deref().map(|as_of| {
        json!({
            "version": as_of.version,
            "event_time": as_of.newest_event.and_then(timestamp_text),
            "written_at": timestamp_text(as_of.updated_at),
        })
    });
    out.extend(format!(",\"now\":{},\"as_of\":{}}}", json!(timestamp_text(resolved.now)), json!(as_of)).into_bytes());
    out
}

/// What a read failed with, for the caller; the rest is logged.
fn problem(error: &lookup::Error) -> Problem {
    match (error, error.failure()) {
        (lookup::Error::TooLate { .. }, _) => {
            Problem::new(Code::Timeout, "the store did not answer in time").retry_after(std::time::Duration::from_secs(1))
        }
        (_, Failure::Transient) => {
            tracing::warn!(error = %with_causes(error), "a read failed");
            Problem::new(Code::Unavailable, "the store cannot be reached").retry_after(std::time::Duration::from_secs(2))
        }
        _ => {
            tracing::error!(error = %with_causes(error), "a read failed");
            Problem::new(Code::Internal, "the store refused the read")
        }
    }
}

fn response(status: StatusCode, headers: HeaderMap, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
