//! The routes of a service: each path of each endpoint, the document that describes them, and the page that shows it.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Extension;
use axum::extract::RawPathParams;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::routing::{MethodRouter, get};
use model::definition::endpoints::{PathTemplate, Segment};

use crate::endpoint::Endpoint;
use crate::keys::Caller;
use crate::layers::{Access, Route, RoutePath};
use crate::server::App;
use crate::service::Service;
use crate::{dashboard, page};

impl Service {
    /// What a server is to answer; the pages for people, `/` and `/docs`, only where they are wanted.
    pub fn app(self: &Arc<Self>, with_pages: bool) -> App {
        let paths = self.endpoints.iter().flat_map(|endpoint| (0..endpoint.paths.len()).map(move |path| (endpoint, path)));
        let mut routes: Vec<Route> = paths
            .map(|(endpoint, path)| {
                let declared = &endpoint.paths[path];
                let route = RoutePath { pattern: pattern(declared), declared: declared.to_string() };
                Route::endpoint(endpoint.name.to_string(), vec![route], self.handler(endpoint, path))
            })
            .collect();
        let document = self.openapi().to_string();
        let answer = async move || ([(CONTENT_TYPE, "application/json")], document.clone());
        let paths = vec!["/openapi.json".into()];
        routes.push(Route { name: "openapi".to_owned(), access: Access::AnyKey, paths, handler: get(answer) });
        let service = Arc::clone(self);
        let pages = get(move |Extension(caller): Extension<Caller>, request: Parts| {
            let service = Arc::clone(&service);
            async move { service.pages(&caller, &request) }
        });
        let paths = vec![page::PATH.into()];
        routes.push(Route { name: "pages".to_owned(), access: Access::AnyKey, paths, handler: pages });
        routes.extend(self.operations_routes());
        if with_pages {
            routes.extend(dashboard::routes());
            routes.extend(crate::docs::routes());
        }
        App { pipeline: self.pipeline.clone(), routes }
    }

    fn handler(self: &Arc<Self>, endpoint: &Arc<Endpoint>, path: usize) -> MethodRouter {
        let (service, endpoint) = (Arc::clone(self), Arc::clone(endpoint));
        get(move |values: RawPathParams, Extension(caller): Extension<Caller>, request: Parts| {
            let (service, endpoint) = (Arc::clone(&service), Arc::clone(&endpoint));
            async move { service.answer(&endpoint, path, &values, &caller, &request).await }
        })
    }
}

/// A path as the router takes it: parameters by their place, so that paths may name them differently.
fn pattern(path: &PathTemplate) -> String {
    let mut pattern = String::new();
    for (index, segment) in path.segments.iter().enumerate() {
        pattern.push('/');
        match segment {
            Segment::Literal(text) => pattern.push_str(text),
            Segment::Parameter(_) => {
                let _ = write!(pattern, "{{p{index}}}");
            }
        }
    }
    pattern
}
