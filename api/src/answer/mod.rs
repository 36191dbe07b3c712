//! One request, from its parameters to its answer.
//!
//! What is asked is known before rows are read: parameters, bounds, the table's checkpoint. From these comes the `ETag`, so an
//! answer that the caller has already costs no rows. Every answer says as of which version and event time it is.

mod parameters;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::RawPathParams;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LINK, VARY};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use cassandra::lookup::{self, KeyValue, timestamp_text, write_timestamp};
use chrono::Utc;
use model::failure::with_causes;
use model::{Classify, Failure};
use serde_json::json;
use tokio::time::Instant;

pub(crate) use self::parameters::names;
use self::parameters::{Given, fault};
use crate::ask::{Asked, Asker, Page};
use crate::cursor::{Fingerprint, LIFETIME_SECONDS, Position};
use crate::endpoint::{Answer, Bounds, Endpoint};
use crate::format::{Format, Rows};
use crate::freshness::{self, Fresh};
use crate::keys::Caller;
use crate::problem::{Code, Problem};
use crate::service::{Connected, Service};

/// What an answer is of: everything that decides it but the rows.
struct Resolved {
    asked: Asked,
    format: Format,
    given: Given,
    question: Fingerprint,
    fresh: Option<Arc<Fresh>>,
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
        let (body, next) = match self.rows_of(asker, &resolved, deadline).await {
            Ok(found) => found,
            // As fresh as an answer with a row. Its tag is of that: the row may come without a later version, so it is no tag of this.
            Err(problem) if problem.code == Code::NotFound => {
                headers.remove(ETAG);
                return Ok(with_headers(problem.into_response(), &headers));
            }
            Err(problem) => return Err(problem),
        };
        let sign = |next: Position| {
            let signed = self.signer().sign(&resolved.question, &next, Utc::now().timestamp());
            signed.ok_or_else(|| {
                let detail = "the key of the last row of this page is too long for a cursor; ask with another limit or range";
                Problem::new(Code::Internal, detail)
            })
        };
        let cursor = next.map(sign).transpose()?;
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
        let (given, mut faults) = Given::read(&endpoint.paths[path], values.into_iter(), query);
        faults.extend(given.unknown(endpoint));
        let filters = given.filters(endpoint).unwrap_or_else(|found| {
            faults.extend(found);
            Vec::new()
        });
        let limit = given.limit(endpoint).unwrap_or_else(|found| {
            faults.push(found);
            1
        });
        let fresh = connected.freshness.of(&endpoint.table, deadline).await.map_err(|error| self.problem(&error))?;
        let now = freshness::now(self.clock, fresh.as_deref());
        let bounds = endpoint.range.as_ref().map_or(Ok(Bounds::default()), |range| range.bounds(given.range(), now));
        let bounds = bounds.unwrap_or_else(|found| {
            faults.push(fault(found.parameter, found.detail));
            Bounds::default()
        });
        if !faults.is_empty() {
            // What is wrong with a value hides that it is missing.
            let mut named = BTreeSet::new();
            faults.retain(|fault| named.insert(fault.parameter.clone()));
            return Err(Problem::parameters(faults));
        }
        let question = question(endpoint, &given, &filters, caller);
        let after = match given.get("cursor") {
            None => None,
            Some(cursor) => {
                let read = self.signer().read(cursor, &question, endpoint.clustering.len(), Utc::now().timestamp());
                Some(read.map_err(|refused| Problem {
                    faults: vec![fault("cursor", refused.to_string())],
                    ..Problem::new(Code::InvalidCursor, format!("the cursor {refused}"))
                })?)
            }
        };
        let limit = if matches!(endpoint.answer, Answer::Newest) { 1 } else { limit };
        let bounds = after.as_ref().map_or(bounds, |after| after.bounds);
        let asked = Asked { filters, bounds, after, limit };
        Ok(Resolved { asked, format, given, question, fresh, now })
    }

    /// Reads the rows; also where the next page begins.
    async fn rows_of<'a>(
        &self,
        asker: &'a Asker,
        resolved: &Resolved,
        deadline: Instant,
    ) -> Result<(Rows<'a>, Option<Position>), Problem> {
        let endpoint = &asker.endpoint;
        let request = &resolved.asked;
        let mut rows = Rows::new(resolved.format, &asker.names);
        match &endpoint.answer {
            Answer::Totals(_) => {
                asker.totals(request, &mut rows, deadline).await.map_err(|error| self.problem(&error))?;
                Ok((rows, None))
            }
            Answer::Rows | Answer::Newest => {
                let Page { rows, next } = asker.page(request, rows, deadline).await.map_err(|error| self.problem(&error))?;
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

    /// What a read failed with, for the caller; the rest is logged.
    fn problem(&self, error: &lookup::Error) -> Problem {
        let unavailable = |detail| {
            tracing::warn!(error = %with_causes(error), "a read failed");
            Problem::new(Code::Unavailable, detail).retry_after(std::time::Duration::from_secs(2))
        };
        match (error, error.failure()) {
            (lookup::Error::TooLate { .. }, _) => {
                Problem::new(Code::Timeout, "the store did not answer in time").retry_after(std::time::Duration::from_secs(1))
            }
            (_, Failure::Transient) => unavailable("the store cannot be reached"),
            _ if error.is_misfit() => {
                self.misfits();
                unavailable("a table of this endpoint is not there, or not as it is declared")
            }
            _ => {
                tracing::error!(error = %with_causes(error), "a read failed");
                Problem::new(Code::Internal, "the store refused the read")
            }
        }
    }
}

/// Headers that say how fresh an answer is, whatever its format: the version and the newest event of its table, and what "now" is.
pub(crate) const FRESHNESS: [&str; 3] = ["sluice-version", "sluice-event-time", "sluice-now"];

fn headers(endpoint: &Endpoint, resolved: &Resolved, etag: &str) -> HeaderMap {
    // With those that are added further out, so that the map is not made anew while it grows.
    let mut headers = HeaderMap::with_capacity(24);
    headers.insert(ETAG, header(etag));
    let cache = match endpoint.cache_seconds {
        0 => HeaderValue::from_static("private, no-cache"),
        seconds => header(&format!("private, max-age={seconds}")),
    };
    headers.insert(CACHE_CONTROL, cache);
    headers.insert(VARY, HeaderValue::from_static("accept, authorization, x-api-key"));
    let fresh = resolved.fresh.as_deref();
    let now = timestamp_text(resolved.now).map(|now| header(&now));
    let values = [fresh.map(|fresh| fresh.version.clone()), fresh.and_then(|fresh| fresh.event_time.clone()), now];
    for (name, value) in FRESHNESS.into_iter().zip(values) {
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers
}

/// What was asked, whatever page and limit: a cursor is of this.
fn question(endpoint: &Endpoint, given: &Given, filters: &[KeyValue], caller: &str) -> Fingerprint {
    let said = given.range();
    let range = [said.from, said.to, said.hours, said.days].map(|text| text.map_or(String::new(), |text| format!("={text}")));
    let parts = [endpoint.name.as_bytes(), endpoint.hash.bytes(), caller.as_bytes()];
    Fingerprint::of(parts.into_iter().chain(range.iter().map(String::as_bytes)).chain(filters.iter().map(KeyValue::bytes)))
}

/// Over whatever decides an answer. It is weak: compression makes other bytes of the same answer.
fn etag(endpoint: &Endpoint, resolved: &Resolved) -> String {
    let Resolved { asked, format, given, question, fresh, .. } = resolved;
    let number = |number: Option<i64>| (u8::from(number.is_some()), number.unwrap_or_default().to_be_bytes());
    let (from, to) = (number(asked.bounds.from), number(asked.bounds.to));
    let (minute, slot) = slots(&endpoint.answer, endpoint.has_ttl, Utc::now().timestamp());
    let kinds = [*format as u8, u8::from(fresh.is_some()), from.0, to.0];
    let parts: [&[u8]; 9] = [
        question.bytes(),
        &kinds,
        &from.1,
        &to.1,
        &asked.limit.to_be_bytes(),
        given.get("cursor").unwrap_or_default().as_bytes(),
        fresh.as_ref().map_or(&[], |fresh| fresh.tag.bytes()),
        &minute.to_be_bytes(),
        &slot.to_be_bytes(),
    ];
    format!("W/\"{}\"", Fingerprint::of(parts).text())
}

/// What of the time decides an answer: the minute where rows leave without a trace, and of a page the half of a cursor's life, so that
/// an answer that is kept has a cursor that can still be used for as long again.
fn slots(answer: &Answer, has_ttl: bool, second: i64) -> (i64, i64) {
    let minute = if has_ttl { second / 60 } else { 0 };
    let slot = if matches!(answer, Answer::Rows) { second / (LIFETIME_SECONDS / 2) } else { 0 };
    (minute, slot)
}

/// Whether the caller has the answer.
pub(crate) fn holds(headers: &HeaderMap, etag: &str) -> bool {
    let weak = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let sent = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    sent.flat_map(|value| value.split(',')).any(|tag| tag.trim() == "*" || weak(tag) == weak(etag))
}

/// `{"items": [...], "count": 2, "next": null, ...}`; of one row `{"item": {...}, ...}`.
fn envelope(endpoint: &Endpoint, resolved: &Resolved, rows: &Rows<'_>, cursor: Option<&str>) -> Vec<u8> {
    let mut out = Vec::with_capacity(rows.written().len() + 512);
    if matches!(endpoint.answer, Answer::Rows) {
        out.extend(b"{\"items\":[");
        out.extend(rows.written());
        // A cursor has no character that JSON escapes.
        let next = cursor.map_or_else(|| "null".to_owned(), |cursor| format!("\"{cursor}\""));
        out.extend(format!("],\"count\":{},\"next\":{next}", rows.count()).into_bytes());
    } else {
        out.extend(b"{\"item\":");
        out.extend(rows.written());
    }
    if let Some(range) = &endpoint.range {
        let text = |bound: Option<i64>| json!(bound.and_then(|bound| range.text(bound)));
        let bounds = resolved.asked.bounds;
        out.extend(format!(",\"from\":{},\"to\":{}", text(bounds.from), text(bounds.to)).into_bytes());
    }
    out.extend(b",\"now\":\"");
    write_timestamp(&mut out, resolved.now);
    out.extend(b"\",\"as_of\":");
    out.extend(resolved.fresh.as_deref().map_or("null", |fresh| &fresh.json).as_bytes());
    out.push(b'}');
    out
}

fn response(status: StatusCode, headers: HeaderMap, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Headers that the answer does not have itself.
fn with_headers(mut response: Response, headers: &HeaderMap) -> Response {
    let there = response.headers_mut();
    for (name, value) in headers {
        there.entry(name).or_insert_with(|| value.clone());
    }
    response
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_page_has_a_cursor_of_half_its_life_and_other_answers_stay_as_long_as_their_rows() {
        let halves = |answer: &Answer| {
            let slots = (0..LIFETIME_SECONDS * 2).map(|second| slots(answer, false, second));
            slots.collect::<BTreeSet<_>>().len()
        };
        assert_eq!((halves(&Answer::Rows), halves(&Answer::Newest), halves(&Answer::Totals(Vec::new()))), (4, 1, 1));
        let first =
            |has_ttl| (0..3_600).find(|second| slots(&Answer::Newest, has_ttl, *second) != slots(&Answer::Newest, has_ttl, 0));
        assert_eq!((first(true), first(false)), (Some(60), None));
    }
}
