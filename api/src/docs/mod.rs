//! The page at `/docs`: Swagger UI over the API's document, with all that it needs, so that it works without the internet.
//!
//! Contract: the page and its files hold nothing of the pipeline and are the same for everybody, so they are open
//! ([why](../../../docs/decisions/0008-docs-page.md)). The page asks for a key, sends it with each request, and writes it nowhere.
//! It runs no script and loads no file but its own, and speaks to no other server.

use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::layers::{Access, Route};

/// A file of the page.
struct File {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    is_gzip: bool,
}

const FILES: [File; 5] = [
    File { path: "/docs", content_type: "text/html; charset=utf-8", bytes: include_bytes!("page.html"), is_gzip: false },
    File { path: "/docs/page.css", content_type: "text/css", bytes: include_bytes!("page.css"), is_gzip: false },
    File { path: "/docs/page.js", content_type: "text/javascript", bytes: include_bytes!("page.js"), is_gzip: false },
    File {
        path: "/docs/swagger-ui.css",
        content_type: "text/css",
        bytes: include_bytes!("swagger-ui/swagger-ui.css.gz"),
        is_gzip: true,
    },
    File {
        path: "/docs/swagger-ui-bundle.js",
        content_type: "text/javascript",
        bytes: include_bytes!("swagger-ui/swagger-ui-bundle.js.gz"),
        is_gzip: true,
    },
];

/// Its own files and the API beside it; images that the style sheet holds. No script and no style within the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A new program has new files.
const KEPT: &str = "public, max-age=3600";

impl File {
    fn response(&self) -> Response {
        let header = |name: HeaderName, value| (name, HeaderValue::from_static(value));
        let headers =
            [header(CONTENT_TYPE, self.content_type), header(CACHE_CONTROL, KEPT), header(CONTENT_SECURITY_POLICY, POLICY)];
        let mut response = (headers, self.bytes).into_response();
        if self.is_gzip {
            // Packed once, when the program was made. Every browser takes it, and who says nothing takes anything.
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

/// The routes of the page.
pub(crate) fn routes() -> impl Iterator<Item = Route> {
    FILES.iter().map(|file| Route {
        name: "docs".to_owned(),
        access: Access::Open,
        paths: vec![file.path.into()],
        handler: get(async || file.response()),
    })
}
