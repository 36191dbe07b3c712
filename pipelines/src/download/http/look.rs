//! One HEAD instead of a download.

use reqwest::header::{HeaderMap, HeaderValue, IF_NONE_MATCH};
use reqwest::{Client, Method, StatusCode};
use url::Url;
use zones::landing::Latest;

use super::exchange::Exchange;
use super::{Stop, evidence, headers};
use crate::download::address::Address;
use crate::download::error::Trouble;
use crate::download::look::Seen;
use crate::download::retry::{Woken, patiently};
use crate::download::{Error, Evidence, Request};

/// What a server says of a location without sending it.
pub(in crate::download) async fn look(
    request: &Request<'_>,
    client: &Client,
    address: &Address,
    url: &Url,
    landed: Option<&Latest>,
) -> Result<Seen, Error> {
    let known = landed.map(|landed| &landed.validators).filter(|known| known.url_sha256.as_ref() == Some(&address.sha256));
    let mut conditions = HeaderMap::new();
    // A tag that is no header value was not sent by a server.
    if let Some(tag) = known.and_then(|known| known.strong_etag()).and_then(|tag| HeaderValue::from_str(tag).ok()) {
        conditions.insert(IF_NONE_MATCH, tag);
    }
    let asks_whether_changed = !conditions.is_empty();
    let exchange = Exchange::new(request, client, address, url)?;
    let longest = request.options.stall_timeout;
    let sent = match patiently(exchange.send(Method::HEAD, conditions), longest, request.shutdown).await {
        Ok(sent) => sent,
        Err(Woken::Stop(interrupted)) => return Err(interrupted.into()),
        Err(Woken::TimedOut) => Err(Trouble::Stalled { silent: longest }.into()),
    };
    let gave_up = |source| Error::GaveUp { url: address.shown.clone(), attempts: 1, kept: 0, source };
    let response = match sent {
        Ok(response) => response,
        Err(Stop::For(error)) => return Err(error),
        Err(Stop::Again(trouble)) => return Err(gave_up(trouble)),
    };
    let status = response.status();
    if status == StatusCode::NOT_MODIFIED && asks_whether_changed {
        return Ok(Seen::Unchanged(Evidence::Etag));
    }
    if matches!(status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED) {
        return Ok(Seen::CannotTell { bytes: None, because: "the server takes no HEAD: known after fetching" });
    }
    if status.is_server_error() {
        return Err(gave_up(Trouble::Status { status, retry_after: None }));
    }
    if status != StatusCode::OK {
        return Err(Error::Status { url: address.shown.clone(), status });
    }
    let found = headers::validators(response.headers(), address);
    let bytes = found.content_length;
    let Some(known) = known else {
        return Ok(Seen::CannotTell { bytes, because: "another url than the one that was fetched: known after fetching" });
    };
    if let Some(evidence) = evidence(known, &found) {
        return Ok(Seen::Unchanged(evidence));
    }
    Ok(match (known.strong_etag().zip(found.strong_etag()), found.last_modified.as_ref().zip(known.last_modified.as_ref())) {
        (Some(_), _) => Seen::Differs { bytes, because: "another ETag" },
        (None, Some(_)) => Seen::Differs { bytes, because: "another Last-Modified or length" },
        (None, None) => Seen::CannotTell { bytes, because: "the server shows neither ETag nor date: known after fetching" },
    })
}
