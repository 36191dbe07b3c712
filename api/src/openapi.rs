//! The OpenAPI 3.1 document of a pipeline's endpoints, made from the same declarations that answer.

use cassandra::CqlType;
use model::definition::endpoints::PathTemplate;
use serde_json::{Map, Value, json};

use crate::answer::names;
use crate::ask::order_text;
use crate::endpoint::{Answer, Column, Endpoint, Filter, FilterValue, TotalOf};
use crate::format::Format;
use crate::problem::Code;
use crate::service::Service;

impl Service {
    /// The document.
    pub fn openapi(&self) -> Value {
        let mut paths = Map::new();
        for endpoint in &self.endpoints {
            for (index, path) in endpoint.paths.iter().enumerate() {
                paths.insert(path.to_string(), json!({ "get": operation(endpoint, path, index) }));
            }
        }
        let health = |id: &str, summary: &str| {
            json!({ "get": {
                "operationId": id,
                "summary": summary,
                "security": [],
                "tags": ["health"],
                "responses": {
                    "200": { "description": "Yes", "content": { "application/json": { "schema": { "type": "object" } } } },
                    "503": { "description": "No, and why", "content": { "application/json": { "schema": { "type": "object" } } } },
                },
            } })
        };
        paths.insert(crate::page::PATH.to_owned(), crate::page::operation());
        if self.operations.is_some() {
            paths.extend(crate::operations::paths());
        }
        paths.insert("/livez".to_owned(), health("livez", "Whether the program runs"));
        paths.insert("/readyz".to_owned(), health("readyz", "Whether it can answer, part by part"));
        paths.insert("/health".to_owned(), health("health", "Whether it can answer"));
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": self.pipeline,
                "version": env!("CARGO_PKG_VERSION"),
                "description": DESCRIPTION,
            },
            "paths": paths,
            "components": {
                "schemas": { "Problem": problem_schema(), "AsOf": as_of_schema() },
                "securitySchemes": {
                    "bearer": { "type": "http", "scheme": "bearer", "description": "A key as `sluice keys make` prints it" },
                    "header": { "type": "apiKey", "in": "header", "name": "X-API-Key" },
                },
            },
            "security": [{ "bearer": [] }, { "header": [] }],
            "tags": [{ "name": self.pipeline }, { "name": "dashboard" }, { "name": "operations" }, { "name": "health" }],
        })
    }
}

const DESCRIPTION: &str = "Times are RFC 3339 in UTC with milliseconds. Decimals are texts, bytes are base64. Pages are followed by the cursor in `next` or by the `Link` header; a cursor lasts an hour and belongs to its question and key. An answer that did not change is a 304 to `If-None-Match`.";

fn operation(endpoint: &Endpoint, path: &PathTemplate, index: usize) -> Value {
    let id = if index == 0 { endpoint.name.to_string() } else { format!("{}_{}", endpoint.name, index + 1) };
    let in_path: Vec<&str> = path.parameters().collect();
    let parameters: Vec<Value> =
        names(endpoint).into_iter().map(|name| parameter(endpoint, name, in_path.contains(&name))).collect();
    let mut responses = responses(found(endpoint));
    responses.insert(Code::NotAcceptable.status().as_str().to_owned(), problem(Code::NotAcceptable));
    let mut operation = json!({
        "operationId": id,
        "summary": endpoint.description.clone().unwrap_or_else(|| endpoint.name.to_string()),
        "parameters": parameters,
        "responses": responses,
    });
    let description = description(endpoint);
    if !description.is_empty() {
        operation["description"] = json!(description);
    }
    operation
}

/// What the form of the document has no word for.
fn description(endpoint: &Endpoint) -> String {
    let mut said = Vec::new();
    let order = order_text(endpoint);
    if matches!(endpoint.answer, Answer::Rows) && !order.is_empty() {
        said.push(format!("Ordered by {order}."));
    }
    if let Some(range) = &endpoint.range {
        let ages: Vec<&str> = names(endpoint).into_iter().filter(|name| matches!(*name, "hours" | "days")).collect();
        if !ages.is_empty() {
            said.push(format!("Give {}, or `from` and `to`, and not both.", listed(&ages)));
        }
        if range.bucket.is_some() && range.default.is_none() {
            said.push("One of them is needed.".to_owned());
        }
        if let Some(max) = range.max {
            said.push(format!("At most {} are read.", range.length_text(max)));
        }
    }
    said.join(" ")
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
}

/// Optional filters are left out from the last on.
fn company(endpoint: &Endpoint, filter: &Filter) -> String {
    let before = endpoint.filters.iter().take_while(|other| other.column != filter.column);
    let needed = before.filter(|other| other.is_optional()).last();
    match needed.map(|other| &other.value) {
        Some(FilterValue::Parameter { name, .. }) => format!("Only together with `{name}`"),
        _ => String::new(),
    }
}

fn parameter(endpoint: &Endpoint, name: &str, is_in_path: bool) -> Value {
    let filter = endpoint
        .filters
        .iter()
        .find(|filter| matches!(&filter.value, FilterValue::Parameter { name: known, .. } if known == name));
    let (schema, required, description) = match (filter, name) {
        (Some(filter), _) => (given_schema(&filter.column, is_in_path), !filter.is_optional(), company(endpoint, filter)),
        (None, "from") => (bound_schema(endpoint), false, "The earliest that is included".to_owned()),
        (None, "to") => (bound_schema(endpoint), false, "The first that is not included any more".to_owned()),
        (None, "hours") => {
            (ago_schema(endpoint, name), false, "How far back from the pipeline's clock, instead of `from` and `to`".to_owned())
        }
        (None, "days") => (ago_schema(endpoint, name), false, "How far back from the pipeline's clock, in days".to_owned()),
        (None, "limit") => {
            let mut schema = whole_number(1, endpoint.max_page_size.into());
            schema["default"] = json!(endpoint.page_size);
            (schema, false, "Rows of a page".to_owned())
        }
        (None, _) => (json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]+$" }), false, "`next` of the page before".to_owned()),
    };
    let mut parameter = json!({
        "name": name,
        "in": if is_in_path { "path" } else { "query" },
        "required": is_in_path || required,
        "schema": schema,
    });
    if !description.is_empty() {
        parameter["description"] = json!(description);
    }
    parameter
}

fn whole_number(least: i64, most: i64) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}

fn ago_schema(endpoint: &Endpoint, parameter: &str) -> Value {
    whole_number(1, endpoint.range.as_ref().map_or(1, |range| range.most_ago(parameter)))
}

/// What a caller gives for a column.
fn given_schema(column: &Column, is_in_path: bool) -> Value {
    match column.cql_type {
        // In a path no control characters are taken.
        CqlType::Text if is_in_path => json!({ "type": "string", "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]+$" }),
        CqlType::Text => json!({ "type": "string", "minLength": 1 }),
        CqlType::Ascii if is_in_path => json!({ "type": "string", "pattern": "^[ -~]+$" }),
        CqlType::Ascii => json!({ "type": "string", "pattern": "^[\\u0000-\\u007f]+$" }),
        CqlType::Tinyint => whole_number(i8::MIN.into(), i8::MAX.into()),
        CqlType::Smallint => whole_number(i16::MIN.into(), i16::MAX.into()),
        CqlType::Int => whole_number(i32::MIN.into(), i32::MAX.into()),
        CqlType::Bigint => whole_number(i64::MIN, i64::MAX),
        CqlType::Timeuuid => {
            let pattern = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-1[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$";
            json!({ "type": "string", "pattern": pattern, "description": "A UUID of version 1" })
        }
        _ => type_schema(column.cql_type),
    }
}

fn bound_schema(endpoint: &Endpoint) -> Value {
    match &endpoint.range {
        Some(range) if range.column.cql_type == CqlType::Timestamp => {
            json!({
                "type": "string",
                "anyOf": [{ "format": "date-time" }, { "format": "date" }],
                "description": "An instant with its offset, or a date",
                "examples": ["2024-01-31T10:00:00Z", "2024-01-31"],
            })
        }
        Some(range) => given_schema(&range.column, false),
        None => json!({ "type": "string" }),
    }
}

/// What an answer holds of a type.
fn type_schema(cql_type: CqlType) -> Value {
    match cql_type {
        CqlType::Ascii | CqlType::Text => json!({ "type": "string" }),
        CqlType::Uuid | CqlType::Timeuuid => json!({ "type": "string", "format": "uuid" }),
        CqlType::Boolean => json!({ "type": "boolean" }),
        CqlType::Tinyint | CqlType::Smallint | CqlType::Varint => json!({ "type": "integer" }),
        CqlType::Int => json!({ "type": "integer", "format": "int32" }),
        CqlType::Bigint => json!({ "type": "integer", "format": "int64" }),
        CqlType::Decimal => json!({ "type": "string", "description": "A decimal number" }),
        CqlType::Float | CqlType::Double => json!({ "type": "number" }),
        CqlType::Date => json!({ "type": "string", "format": "date" }),
        CqlType::Timestamp => json!({ "type": "string", "format": "date-time" }),
        CqlType::Blob => json!({ "type": "string", "contentEncoding": "base64" }),
    }
}

/// What may be null: every column outside the key.
fn column_schema(endpoint: &Endpoint, column: &Column) -> Value {
    let mut schema = type_schema(column.cql_type);
    let is_key = endpoint.partition.contains(column) || endpoint.clustering.iter().any(|(key, _)| key == column);
    if !is_key {
        schema["type"] = json!([schema["type"], "null"]);
    }
    schema
}

fn row_schema(endpoint: &Endpoint) -> Value {
    let fields: Map<String, Value> = match &endpoint.answer {
        Answer::Totals(totals) => {
            let of = |of: &TotalOf| match of {
                TotalOf::Rows | TotalOf::Integers(_) => json!({ "type": "integer" }),
                TotalOf::Floats(_) => json!({ "type": ["number", "null"] }),
            };
            totals.iter().map(|total| (total.name.clone(), of(&total.of))).collect()
        }
        Answer::Rows | Answer::Newest => {
            endpoint.fields.iter().map(|column| (column.name.clone(), column_schema(endpoint, column))).collect()
        }
    };
    let required: Vec<&String> = fields.keys().collect();
    json!({ "type": "object", "required": required, "properties": fields, "additionalProperties": false })
}

fn found(endpoint: &Endpoint) -> Value {
    let row = row_schema(endpoint);
    let mut properties = Map::new();
    if matches!(endpoint.answer, Answer::Rows) {
        properties.insert("items".to_owned(), json!({ "type": "array", "items": row, "maxItems": endpoint.max_page_size }));
        properties.insert("count".to_owned(), json!({ "type": "integer", "description": "Rows of this page" }));
        properties.insert(
            "next".to_owned(),
            json!({ "type": ["string", "null"], "description": "The cursor of the next page, if there is one" }),
        );
    } else {
        properties.insert("item".to_owned(), row.clone());
    }
    if endpoint.range.is_some() {
        let bound = json!({ "type": ["string", "null"], "description": "As it was resolved" });
        properties.insert("from".to_owned(), bound.clone());
        properties.insert("to".to_owned(), bound);
    }
    properties.insert(
        "now".to_owned(),
        json!({ "type": ["string", "null"], "description": "What ages are counted back from: the pipeline's clock" }),
    );
    properties.insert("as_of".to_owned(), json!({ "anyOf": [{ "$ref": "#/components/schemas/AsOf" }, { "type": "null" }] }));
    let required: Vec<&String> = properties.keys().collect();
    let whole = json!({ "type": "object", "required": required, "properties": properties });
    let text = json!({ "type": "string" });
    json!({
        "description": "Found",
        "headers": {
            "ETag": { "description": "Names this answer", "schema": text },
            "Link": { "description": "The next page, if there is one", "schema": text },
            "Sluice-Version": { "description": "The version of the table's source that is in the answer", "schema": text },
            "Sluice-Event-Time": { "description": "The newest event that is in the answer", "schema": text },
            "Sluice-Now": { "description": "What ages are counted back from", "schema": text },
        },
        "content": {
            Format::Json.media_type(): { "schema": whole },
            Format::Ndjson.media_type(): { "schema": { "type": "string", "description": "A row a line" } },
            Format::Csv.media_type(): { "schema": { "type": "string", "description": "A header and a row a line" } },
        },
    })
}

/// A document that the program answers by itself: no endpoint of the pipeline.
pub(crate) fn document(id: &str, tag: &str, summary: &str, parameters: &Value, schema: &Value) -> Value {
    let found = json!({
        "description": "Found",
        "headers": { "ETag": { "description": "Names this answer", "schema": { "type": "string" } } },
        "content": { "application/json": { "schema": schema } },
    });
    let responses = responses(found);
    json!({ "get": { "operationId": id, "summary": summary, "tags": [tag], "parameters": parameters, "responses": responses } })
}

/// What every operation with a key may answer, besides what was `found`.
fn responses(found: Value) -> Map<String, Value> {
    let unchanged = json!({ "description": "The answer that the caller has, by its `ETag`, is the present one" });
    let mut responses = Map::from_iter([("200".to_owned(), found), ("304".to_owned(), unchanged)]);
    let codes = [
        Code::InvalidParameter,
        Code::Unauthorized,
        Code::Forbidden,
        Code::NotFound,
        Code::RateLimited,
        Code::Internal,
        Code::Unavailable,
        Code::Timeout,
        Code::UriTooLong,
        Code::HeaderTooLarge,
        Code::BodyTooLarge,
        Code::RequestTimeout,
    ];
    responses.extend(codes.map(|code| (code.status().as_str().to_owned(), problem(code))));
    responses
}

fn problem(code: Code) -> Value {
    let text = |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    let mut headers = json!({ "X-Request-Id": text("The request's id, as the server's log has it") });
    if matches!(code, Code::RateLimited | Code::Unavailable | Code::Timeout) {
        let seconds = whole_number(1, u32::MAX.into());
        headers["Retry-After"] = json!({ "description": "Seconds after which the same request may succeed", "schema": seconds });
    }
    if code == Code::Unauthorized {
        headers["WWW-Authenticate"] = text("How to send a key");
    }
    json!({
        "description": code.title(),
        "headers": headers,
        "content": { crate::problem::MEDIA_TYPE: { "schema": { "$ref": "#/components/schemas/Problem" } } },
    })
}

fn problem_schema() -> Value {
    let codes: Vec<&str> = Code::ALL.into_iter().map(Code::name).collect();
    json!({
        "type": "object",
        "description": "RFC 9457",
        "required": ["type", "title", "status", "code"],
        "properties": {
            "type": { "type": "string", "format": "uri-reference" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "instance": { "type": "string", "description": "The request's id" },
            "code": { "type": "string", "enum": codes },
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["parameter", "detail"],
                    "properties": { "parameter": { "type": "string" }, "detail": { "type": "string" } },
                },
            },
        },
    })
}

fn as_of_schema() -> Value {
    json!({
        "type": "object",
        "required": ["version", "event_time", "written_at"],
        "properties": {
            "version": { "type": "integer", "description": "Of the Delta table that the rows come from" },
            "event_time": { "type": ["string", "null"], "format": "date-time", "description": "The newest event that it holds" },
            "written_at": { "type": ["string", "null"], "format": "date-time", "description": "When the run was that sent it" },
        },
    })
}
