//! What the API answers when it does not answer: a problem document of RFC 9457, with a code that stays.
//!
//! Contract: every answer with a status of 400 or more has this form, also where a library refused the request. What is no HTTP at all,
//! and heads larger than the server reads, are answered by a bare status; health tells its parts in a form of its own. A detail is written for the caller and holds nothing
//! of the server's inside; `instance` names the request as the access log does. No problem is ever cached.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What went wrong, in a word that programs may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    InvalidParameter,
    InvalidCursor,
    NotAcceptable,
    RateLimited,
    Overloaded,
    Unavailable,
    Timeout,
    /// The client took too long to send its request.
    RequestTimeout,
    HeaderTooLarge,
    UriTooLong,
    BodyTooLarge,
    /// Refused by a library, with a status that has no code of its own.
    BadRequest,
    Internal,
}

impl Code {
    pub const ALL: [Self; 17] = [
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::InvalidParameter,
        Self::InvalidCursor,
        Self::NotAcceptable,
        Self::RateLimited,
        Self::Overloaded,
        Self::Unavailable,
        Self::Timeout,
        Self::RequestTimeout,
        Self::HeaderTooLarge,
        Self::UriTooLong,
        Self::BodyTooLarge,
        Self::BadRequest,
        Self::Internal,
    ];

    /// As it stands in the document; never changed once released.
    pub fn name(self) -> &'static str {
        self.words().0
    }

    pub fn title(self) -> &'static str {
        self.words().1
    }

    pub fn status(self) -> StatusCode {
        self.words().2
    }

    fn words(self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Self::Unauthorized => ("unauthorized", "No valid key", StatusCode::UNAUTHORIZED),
            Self::Forbidden => ("forbidden", "Not allowed with this key", StatusCode::FORBIDDEN),
            Self::NotFound => ("not-found", "Nothing is here", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => ("method-not-allowed", "Method not allowed", StatusCode::METHOD_NOT_ALLOWED),
            Self::InvalidParameter => ("invalid-parameter", "A parameter is not valid", StatusCode::BAD_REQUEST),
            Self::InvalidCursor => ("invalid-cursor", "The cursor is not valid", StatusCode::BAD_REQUEST),
            Self::NotAcceptable => ("not-acceptable", "No format that the caller accepts", StatusCode::NOT_ACCEPTABLE),
            Self::RateLimited => ("rate-limited", "Too many requests", StatusCode::TOO_MANY_REQUESTS),
            Self::Overloaded => ("overloaded", "Too much to do", StatusCode::SERVICE_UNAVAILABLE),
            Self::Unavailable => ("unavailable", "Not available now", StatusCode::SERVICE_UNAVAILABLE),
            Self::Timeout => ("timeout", "The answer took too long", StatusCode::GATEWAY_TIMEOUT),
            Self::RequestTimeout => ("request-timeout", "The request took too long to arrive", StatusCode::REQUEST_TIMEOUT),
            Self::HeaderTooLarge => {
                ("header-too-large", "Too many or too large headers", StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
            }
            Self::UriTooLong => ("uri-too-long", "The address is too long", StatusCode::URI_TOO_LONG),
            Self::BodyTooLarge => ("body-too-large", "The body is too large", StatusCode::PAYLOAD_TOO_LARGE),
            Self::BadRequest => ("bad-request", "The request is not valid", StatusCode::BAD_REQUEST),
            Self::Internal => ("internal", "An error of the server", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// The code of a status that a library answered with.
    fn of(status: StatusCode) -> Self {
        let same = |code: &Self| code.status() == status && !matches!(code, Self::InvalidParameter | Self::InvalidCursor);
        match Self::ALL.into_iter().find(same) {
            // A library's 503 is no shedding of load.
            Some(Self::Overloaded) => Self::Unavailable,
            Some(code) => code,
            None if status.is_server_error() => Self::Internal,
            None => Self::BadRequest,
        }
    }
}

/// A fault of one parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    pub parameter: String,
    pub detail: String,
}

/// A problem on its way to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub code: Code,
    pub detail: String,
    pub faults: Vec<Fault>,
    pub retry_after: Option<Duration>,
}

impl Problem {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), faults: Vec::new(), retry_after: None }
    }

    /// All faults of a request's parameters; at least one.
    pub fn parameters(faults: Vec<Fault>) -> Self {
        let names: Vec<_> = faults.iter().map(|fault| fault.parameter.as_str()).collect();
        Self { detail: format!("not valid: {}", names.join(", ")), faults, ..Self::new(Code::InvalidParameter, "") }
    }

    pub fn parameter(parameter: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::parameters(vec![Fault { parameter: parameter.into(), detail: detail.into() }])
    }

    /// When the same request may succeed.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The document; `request` is the request's id.
    fn response(&self, request: Option<&str>) -> Response {
        #[derive(Serialize)]
        struct Document<'a> {
            r#type: String,
            title: &'a str,
            status: u16,
            detail: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            instance: Option<String>,
            code: &'a str,
            #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
            errors: &'a [Fault],
        }
        let code = self.code;
        let document = Document {
            r#type: format!("/problems/{}", code.name()),
            title: code.title(),
            status: code.status().as_u16(),
            detail: &self.detail,
            instance: request.map(|id| format!("/requests/{id}")),
            code: code.name(),
            errors: &self.faults,
        };
        let text = serde_json::to_vec(&document).expect("texts and a number always serialise");
        let mut response = (code.status(), Body::from(text)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        if code == Code::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"sluice\""));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.response(None);
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// Rounded up, and never none: who comes again then is not too early.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// Headers of a refusal that stay where its body becomes a problem.
const KEPT: [HeaderName; 3] = [ALLOW, RETRY_AFTER, WWW_AUTHENTICATE];

/// Of an answer that is no problem, whatever its status.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsItIs;

/// Gives an answer that is a refusal, whoever refused, the form of a problem that names its request.
pub(crate) fn named(response: Response, request: &str) -> Response {
    let status = response.status();
    let is_refusal = status.is_client_error() || status.is_server_error();
    if !is_refusal || response.extensions().get::<AsItIs>().is_some() {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    let problem = parts.extensions.remove::<Arc<Problem>>();
    let keep = |headers: &HeaderMap, into: &mut HeaderMap| {
        for name in KEPT {
            if let Some(value) = headers.get(&name) {
                into.insert(name, value.clone());
            }
        }
    };
    if let Some(problem) = problem {
        // What layers added meanwhile (limits, cors) stays; what describes the body is written anew.
        let (document, body) = problem.response(Some(request)).into_parts();
        parts.headers.remove(axum::http::header::CONTENT_LENGTH);
        parts.headers.extend(document.headers);
        return Response::from_parts(parts, body);
    }
    let code = Code::of(status);
    let mut response = Problem::new(code, detail_of(status)).response(Some(request));
    *response.status_mut() = status;
    keep(&parts.headers, response.headers_mut());
    *response.extensions_mut() = parts.extensions;
    response
}

fn detail_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "there is no such path",
        StatusCode::METHOD_NOT_ALLOWED => "the header Allow names the methods of this path",
        status if status.is_server_error() => "the server could not answer; its log names this request",
        _ => "the request could not be understood",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_a_name_of_its_own() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }

    #[test]
    fn a_wait_is_rounded_up() {
        let seconds = [0, 1, 999, 1000, 1001, 2000].map(|millis| whole_seconds(Duration::from_millis(millis)));
        assert_eq!(seconds, [1, 1, 1, 1, 2, 2]);
    }

    #[test]
    fn a_librarys_refusal_keeps_its_status_and_loses_its_words() {
        let foreign = (StatusCode::IM_A_TEAPOT, "short and stout").into_response();
        let response = named(foreign, "r1");
        assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
        assert_eq!(response.headers()[CONTENT_TYPE], MEDIA_TYPE);
    }
}
