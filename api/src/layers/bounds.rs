//! How large a request may be. Its head was read whole, within the larger bounds of the connection; here it is refused with words.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::problem::{Code, Problem};

/// Sizes in bytes.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Of path and query. What browsers and proxies agree on.
    pub uri: usize,
    /// Names and values together.
    pub headers: usize,
    /// How many headers.
    pub header_count: usize,
    /// Reading needs no body; a small one is read and passed over.
    pub body: usize,
    /// How long a body may take to arrive.
    pub body_time: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { uri: 8 << 10, headers: 16 << 10, header_count: 64, body: 16 << 10, body_time: Duration::from_secs(10) }
    }
}

impl Bounds {
    /// Looks at what is there already.
    pub(crate) fn check(&self, request: &Request) -> Result<(), Problem> {
        let uri = request.uri();
        let length = uri.path_and_query().map_or(0, |text| text.as_str().len());
        if length > self.uri {
            let detail = format!("path and query have {length} bytes, and {} are read", self.uri);
            return Err(Problem::new(Code::UriTooLong, detail));
        }
        let headers = request.headers();
        let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if headers.len() > self.header_count || size > self.headers {
            let detail = format!("at most {} headers of {} bytes together are read", self.header_count, self.headers);
            return Err(Problem::new(Code::HeaderTooLarge, detail));
        }
        if request.body().size_hint().lower() > self.body as u64 {
            return Err(self.body_too_large());
        }
        is_text(uri.path())
    }

    /// Reads a body to its end, so that none is left on the connection, and gives the request an empty one.
    pub(crate) async fn take_body(&self, request: Request) -> Result<Request, Problem> {
        if request.body().is_end_stream() {
            return Ok(request);
        }
        let (parts, body) = request.into_parts();
        match tokio::time::timeout(self.body_time, Limited::new(body, self.body).collect()).await {
            Ok(Ok(_)) => Ok(Request::from_parts(parts, Body::empty())),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(self.body_too_large()),
            Ok(Err(_)) => Err(Problem::new(Code::BadRequest, "the body could not be read")),
            Err(_) => Err(Problem::new(Code::RequestTimeout, "the body did not arrive in time")),
        }
    }

    fn body_too_large(&self) -> Problem {
        Problem::new(Code::BodyTooLarge, format!("no request here needs a body; at most {} bytes are read", self.body))
    }
}

/// A path is text, without control characters, once its escapes are undone.
fn is_text(path: &str) -> Result<(), Problem> {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8();
    match decoded {
        Ok(text) if !has_broken_escape(path) && !text.chars().any(char::is_control) => Ok(()),
        _ => Err(Problem::parameter("path", "not UTF-8 text without control characters")),
    }
}

/// A `%` without two digits behind it.
pub(crate) fn has_broken_escape(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_escape = |at: usize| bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    bytes.iter().enumerate().any(|(at, byte)| *byte == b'%' && !is_escape(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_text() {
        for right in ["/", "/v1/players/a%20b", "/v1/%C3%A4", "/v1/..", "//", "/a%2Fb"] {
            assert_eq!(is_text(right), Ok(()), "{right}");
        }
        for wrong in ["/%00", "/a%0d%0aSet-Cookie:x", "/%ff", "/%", "/%4", "/%zz", "/%c3", "/%c2%85"] {
            assert!(is_text(wrong).is_err(), "{wrong}");
        }
    }
}
