//! What every request passes, from the outside in, before a handler sees it.
//!
//! 1. [`observe`]: the request's id, the access log, metrics; whatever happens inside is written down once, also a panic.
//! 2. cross origins, compression: as the settings say.
//! 3. headers that every answer has, and the form of a refusal or a panic ([`crate::problem`]).
//! 4. [`bounds`]: length of the address, size of headers, size of the body.
//! 5. [`access`]: the key, its limit, the limit of all, the scope.
//! 6. [`load`]: how many work at a time, and until when.
//!
//! Contract: nothing is done for a request without a key but to refuse it; only what is open is answered: health, and the pages for
//! people, which hold nothing. What a key opens is decided by the endpoint's name alone, before any parameter is looked at, so that a
//! refusal tells nothing about data.

pub(crate) mod access;
pub(crate) mod bounds;
pub(crate) mod limit;
pub(crate) mod load;
pub(crate) mod observe;
pub(crate) mod stack;

use std::sync::Arc;
use std::time::Instant;

use axum::routing::MethodRouter;

use observe::Counted;

pub use observe::RequestId;
pub use stack::App;

/// Until when the answer has to be there. Handlers find it in the request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(pub Instant);

/// The address that sent the request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub std::net::SocketAddr);

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A key whose scope names it.
    Scoped,
    /// Any key that opens something of the pipeline: documents about the API.
    AnyKey,
    /// Everybody.
    Open,
}

/// A path as the router takes it, and as it is declared and written down.
#[derive(Debug, Clone)]
pub struct RoutePath {
    pub pattern: String,
    pub declared: String,
}

impl From<&str> for RoutePath {
    /// A path that the router takes as it is declared.
    fn from(path: &str) -> Self {
        Self { pattern: path.to_owned(), declared: path.to_owned() }
    }
}

/// A handler, its name in scopes, logs and metrics, and its paths.
#[derive(Debug, Clone)]
pub struct Route {
    pub name: String,
    pub access: Access,
    pub paths: Vec<RoutePath>,
    pub handler: MethodRouter,
}

impl Route {
    /// An endpoint of the pipeline.
    pub fn endpoint(name: impl Into<String>, paths: Vec<RoutePath>, handler: MethodRouter) -> Self {
        Self { name: name.into(), access: Access::Scoped, paths, handler }
    }
}

/// What is known of a path that matched.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) name: Arc<str>,
    pub(crate) access: Access,
    /// The path as it is declared.
    pub(crate) path: String,
    pub(crate) counted: Arc<Counted>,
}
