//! The dashboard: files that were built by npm and are part of the program.
//!
//! Contract: they hold nothing of a pipeline, so they are open; what they show they ask for with a key. They load nothing from
//! anywhere else. Where they were not built, `/` says how to.

use std::path::Path;

use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, VARY};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use sha2::{Digest as _, Sha256};

use crate::answer::holds;
use crate::layers::{Access, Route};

struct File {
    /// As it is asked for, with its `/`.
    path: &'static str,
    bytes: &'static [u8],
    brotli: Option<&'static [u8]>,
}

static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/dashboard.rs"));

/// Scripts are files of this origin alone. Charts set styles on their elements.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const UNBUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Sluice</title>\
    <main><h1>The dashboard is not part of this program</h1>\
    <p>It is built by npm: <code>make dashboard</code>, then <code>make build</code>. The API answers all the same: \
    <a href=\"/openapi.json\">/openapi.json</a> describes it.</p></main></html>";

/// The routes of the dashboard.
pub(crate) fn routes() -> Vec<Route> {
    let mut routes: Vec<Route> = FILES
        .iter()
        .map(|file| route(if file.path == "/index.html" { "/" } else { file.path }, move |request| answer(file, request)))
        .collect();
    if !FILES.iter().any(|file| file.path == "/index.html") {
        routes.push(route("/", |_| (html_headers(), UNBUILT).into_response()));
    }
    routes
}

fn route(path: &'static str, answer: impl Fn(&Parts) -> Response + Clone + Send + Sync + 'static) -> Route {
    let handler = get(move |request: Parts| {
        let answer = answer.clone();
        async move { answer(&request) }
    });
    Route { name: "dashboard".to_owned(), access: Access::Open, paths: vec![path.into()], handler }
}

fn html_headers() -> [(axum::http::HeaderName, HeaderValue); 3] {
    [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ]
}

fn answer(file: &File, request: &Parts) -> Response {
    let mut headers = HeaderMap::from_iter(html_headers());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(file.path)));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if file.path.starts_with("/assets/") {
        // Their names hold a hash of their content.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    } else {
        let digest = Sha256::digest(file.bytes);
        let tag = format!("W/\"{:016x}\"", u64::from_be_bytes(digest[..8].try_into().expect("it has 32 bytes")));
        headers.insert(ETAG, HeaderValue::from_str(&tag).expect("it is of hexadecimal digits"));
        if holds(&request.headers, &tag) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
    }
    match file.brotli.filter(|_| takes_brotli(&request.headers)) {
        Some(brotli) => {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
            (headers, brotli).into_response()
        }
        None => (headers, file.bytes).into_response(),
    }
}

fn takes_brotli(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim().eq_ignore_ascii_case("br") && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}

fn content_type(path: &str) -> &'static str {
    match Path::new(path).extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_files_go_to_those_who_take_them() {
        let takes =
            |value: &'static str| takes_brotli(&HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]));
        assert!(takes("gzip, deflate, br, zstd") && takes("BR;q=0.5"));
        assert!(!takes("gzip") && !takes("br;q=0") && !takes("brotli"));
    }

    #[test]
    fn what_was_built_or_not_there_is_something_at_the_root() {
        let roots = routes().into_iter().filter(|route| route.paths[0].declared == "/").count();
        assert_eq!(roots, 1);
    }
}
