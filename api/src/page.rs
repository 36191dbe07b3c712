//! A page of the dashboard over the endpoints that it asks: its fields held against what they answer.
//!
//! Contract: what a key may not ask, it does not learn of: [`Service::pages`] leaves out parts whose endpoint the scope does not
//! open, and pages of which nothing is left.

use std::sync::Arc;

use axum::http::request::Parts;
use axum::response::Response;
use cassandra::CqlType;
use model::definition::pages::{LinkValue, Page, Part, PartKind};
use model::definition::{PipelineClock, suggest};
use serde_json::{Value, json};

use crate::answer::names;
use crate::endpoint::{Answer, Endpoint, Mistake, TotalOf};
use crate::keys::Caller;
use crate::openapi::document;
use crate::service::Service;

/// Where it is answered, and its name in logs and metrics.
pub(crate) const PATH: &str = "/v1/_pipeline/pages";

/// What a field holds, for those who write it for people.
fn kind_of(cql_type: CqlType) -> &'static str {
    match cql_type {
        CqlType::Tinyint | CqlType::Smallint | CqlType::Int | CqlType::Bigint | CqlType::Varint => "integer",
        CqlType::Float | CqlType::Double => "number",
        CqlType::Decimal => "decimal",
        CqlType::Date => "date",
        CqlType::Timestamp => "timestamp",
        CqlType::Boolean => "boolean",
        CqlType::Uuid | CqlType::Timeuuid => "uuid",
        CqlType::Ascii | CqlType::Text => "text",
        CqlType::Blob => "bytes",
    }
}

/// The fields of an endpoint's answer, and what each holds.
fn fields(endpoint: &Endpoint) -> Vec<(&str, &'static str)> {
    match &endpoint.answer {
        Answer::Rows | Answer::Newest => {
            endpoint.fields.iter().map(|field| (field.name.as_str(), kind_of(field.cql_type))).collect()
        }
        Answer::Totals(totals) => {
            let kind = |of: &TotalOf| if matches!(of, TotalOf::Floats(_)) { "number" } else { "integer" };
            totals.iter().map(|total| (total.name.as_str(), kind(&total.of))).collect()
        }
    }
}

/// What is wrong with a page over these endpoints, of which those in which something is wrong are not there.
pub fn mistakes(page: &Page, endpoints: &[Endpoint]) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (index, part) in page.parts.iter().enumerate() {
        let Some(endpoint) = endpoints.iter().find(|endpoint| *endpoint.name == *part.endpoint) else { continue };
        let found = part_mistakes(part, endpoint);
        let within = ["parts".to_owned(), index.to_string()];
        mistakes.extend(found.into_iter().map(|mistake| Mistake { at: [within.as_slice(), &mistake.at].concat(), ..mistake }));
    }
    mistakes
}

fn part_mistakes(part: &Part, endpoint: &Endpoint) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let fields = fields(endpoint);
    let mut look = |at: &[&str], name: &str, must_be_number: bool| {
        let at = at.iter().map(|key| (*key).to_owned()).collect();
        let Some((_, kind)) = fields.iter().find(|(known, _)| *known == name) else {
            let message = format!("[endpoint.{}] does not answer a field `{name}`", endpoint.name);
            let hint = suggest(name, fields.iter().map(|(name, _)| *name), "its fields");
            mistakes.push(Mistake { at, message, hint });
            return;
        };
        if must_be_number && !["integer", "number", "decimal"].contains(kind) {
            let message = format!("`{name}` is of kind {kind}, and is to be summed");
            let hint = Some("name a number, or write aggregate = \"count\" for the number of rows".to_owned());
            mistakes.push(Mistake { at, message, hint });
        }
    };
    for (key, field, must_be_number) in
        [("x", &part.x, false), ("y", &part.y, true), ("of", &part.of, true), ("group", &part.group, false)]
    {
        if let Some(field) = field {
            look(&[key], field, must_be_number);
        }
    }
    for (index, field) in part.fields.iter().enumerate() {
        look(&["fields", &index.to_string()], field, false);
    }
    for (name, value) in part.link.iter().flat_map(|link| &link.with) {
        if let LinkValue::Field(field) = value {
            look(&["link", name], field, false);
        }
    }
    if let (PartKind::Bars, Some(link)) = (part.kind, &part.link) {
        for (name, value) in &link.with {
            if let LinkValue::Field(field) = value
                && part.x.as_ref().is_some_and(|x| x != field)
            {
                let message = format!("a bar stands for all rows of its `x`, and `{field}` is another field");
                let hint = part.x.as_ref().map(|x| format!("write {name} = \"{{{x}}}\""));
                mistakes.push(Mistake { at: vec!["link".to_owned(), name.clone()], message, hint });
            }
        }
    }
    if part.range.is_some() && endpoint.range.as_ref().is_some_and(|range| !range.counts_time()) {
        let message = format!("the range of [endpoint.{}] is over numbers, and a page's is of time", endpoint.name);
        mistakes.push(Mistake { at: vec!["range".to_owned()], message, hint: Some("leave `range` out".to_owned()) });
    }
    mistakes
}

impl Service {
    /// Takes the pages of the pipeline.
    #[must_use]
    pub fn with_pages(mut self, pages: Vec<Page>) -> Self {
        self.pages = pages;
        self
    }

    /// The pages that a caller may see.
    pub(crate) fn pages(&self, caller: &Caller, request: &Parts) -> Response {
        crate::operations::answer(request, &self.pages_for(caller))
    }

    fn pages_for(&self, caller: &Caller) -> Value {
        let endpoint = |name: &str| self.endpoints.iter().find(|endpoint| *endpoint.name == *name);
        let seen = |part: &&Part| caller.may(&self.pipeline, &part.endpoint);
        let pages: Vec<Value> = self
            .pages
            .iter()
            .filter_map(|page| {
                let parts: Vec<Value> = page
                    .parts
                    .iter()
                    .filter(seen)
                    .filter_map(|part| endpoint(&part.endpoint).map(|endpoint| part_json(part, endpoint)))
                    .collect();
                let mut page = json!(page);
                page["parts"] = json!(parts);
                (!parts.is_empty()).then_some(page)
            })
            .collect();
        let clock = match self.clock {
            PipelineClock::Wall => "wall",
            PipelineClock::NewestEvent => "newest_event",
            PipelineClock::Fixed(_) => "fixed",
        };
        json!({ "pipeline": self.pipeline, "version": env!("CARGO_PKG_VERSION"), "clock": clock, "operations": self.shows_operations(caller), "pages": pages })
    }
}

/// The part, with how its endpoint is asked in the place of its name.
fn part_json(part: &Part, endpoint: &Arc<Endpoint>) -> Value {
    let mut value = json!(part);
    let fields: Vec<Value> = fields(endpoint).into_iter().map(|(name, kind)| json!({ "name": name, "kind": kind })).collect();
    value["endpoint"] = json!({
        "name": &*endpoint.name,
        "description": endpoint.description,
        "path": endpoint.paths[0].to_string(),
        "parameters": names(endpoint),
        "has_items": matches!(endpoint.answer, Answer::Rows),
        "fields": fields,
        "max_page_size": endpoint.max_page_size,
    });
    value
}

/// For the document of the API.
pub(crate) fn operation() -> Value {
    let pages = json!({ "type": "array", "items": { "type": "object", "required": ["name", "title", "parameters", "parts"] } });
    let schema = json!({
        "type": "object",
        "required": ["pipeline", "version", "clock", "operations", "pages"],
        "properties": {
            "pipeline": { "type": "string" },
            "version": { "type": "string", "description": "Of the program" },
            "clock": { "type": "string", "enum": ["wall", "newest_event", "fixed"] },
            "operations": { "type": "boolean", "description": "Whether the key opens the operations API" },
            "pages": pages,
        },
    });
    document("pipeline_pages", "dashboard", "The pages of the dashboard that the key may see", &json!([]), &schema)
}
