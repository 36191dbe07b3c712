//! The sections of the file, and what the keys of each must be together.

use serde_json::{Value, json};

use super::Section;

pub(super) const PIPELINE: &str = "[pipeline]";
pub(super) const SOURCE: &str = "[source.NAME]";
pub(super) const LANDING: &str = "[landing.NAME]";
pub(super) const RAW: &str = "[raw.NAME]";
pub(super) const COLUMN: &str = "[raw.NAME.columns]";
pub(super) const CHECK: &str = "[[raw.NAME.checks]]";
pub(super) const USE_CASE: &str = "[use_case.NAME]";
pub(super) const FOLD: &str = "[use_case.NAME.columns]";
pub(super) const CASSANDRA: &str = "[cassandra.NAME]";
pub(super) const ENDPOINT: &str = "[endpoint.NAME]";
pub(super) const RANGE: &str = "[endpoint.NAME.range]";
pub(super) const PAGE: &str = "[page.NAME]";
pub(super) const PICKER: &str = "[[page.NAME.parameters]]";
pub(super) const PART: &str = "[[page.NAME.parts]]";

/// In the order of the page; an outer section comes before those within it.
pub const SECTIONS: &[Section] = &[
    Section { header: PIPELINE, path: &["pipeline"], description: "The pipeline as a whole", together: None },
    Section { header: SOURCE, path: &["source", "*"], description: "Where files come from", together: None },
    Section { header: LANDING, path: &["landing", "*"], description: "How a landed file is read", together: Some(of_csv) },
    Section { header: RAW, path: &["raw", "*"], description: "The typed log of all records", together: None },
    Section {
        header: COLUMN,
        path: &["raw", "*", "columns", "*"],
        description: "The contract: one line a column, in the order of the table",
        together: Some(of_columns),
    },
    Section { header: CHECK, path: &["raw", "*", "checks", "[]"], description: "A condition on each row", together: None },
    Section {
        header: USE_CASE,
        path: &["use_case", "*"],
        description: "One row per business key",
        together: Some(|| {
            json!({
                "if": { "properties": { "mode": { "const": "view" } }, "required": ["mode"] },
                "then": { "properties": { "columns": false, "batch_rows": false, "delete_when": false, "order_dependent": false } },
                "else": { "required": ["columns"] },
            })
        }),
    },
    Section {
        header: FOLD,
        path: &["use_case", "*", "columns", "*"],
        description: "Every column but the key: folded, or computed from folded ones",
        together: Some(|| json!({ "oneOf": [{ "required": ["fold"] }, { "required": ["sql"], "properties": { "by": false } }] })),
    },
    Section { header: CASSANDRA, path: &["cassandra", "*"], description: "A table to be queried", together: None },
    Section {
        header: ENDPOINT,
        path: &["endpoint", "*"],
        description: "A question that the REST API answers",
        together: Some(|| {
            json!({
                "if": { "required": ["answer"], "properties": { "answer": { "enum": ["rows", "newest"] } } },
                "then": { "properties": { "totals": false } },
            })
        }),
    },
    Section {
        header: RANGE,
        path: &["endpoint", "*", "range"],
        description: "Rows between two bounds",
        together: Some(
            || json!({ "if": { "required": ["bucket"] }, "then": { "required": ["max"] }, "else": { "properties": { "bucket_width": false } } }),
        ),
    },
    Section {
        header: PAGE,
        path: &["page", "*"],
        description: "A page of the dashboard",
        together: Some(|| json!({ "required": ["parts"] })),
    },
    Section {
        header: PICKER,
        path: &["page", "*", "parameters", "[]"],
        description: "What the reader of a page chooses",
        together: Some(|| {
            json!({ "allOf": [
                {
                    "if": { "properties": { "kind": { "const": "choice" } } },
                    "then": { "required": ["choices"] },
                    "else": { "properties": { "choices": false } },
                },
                { "if": { "properties": { "kind": { "const": "range" } } }, "then": { "required": ["default"] } },
            ] })
        }),
    },
    Section {
        header: PART,
        path: &["page", "*", "parts", "[]"],
        description: "A tile, a chart or a table over what an endpoint answers",
        together: Some(of_parts),
    },
];

/// Keys that only some kinds of parts have, and those that they need.
fn of_parts() -> Value {
    let of = |kind: &str, needed: &[&str], refused: &[&str]| {
        let refused: serde_json::Map<String, Value> = refused.iter().map(|key| ((*key).to_owned(), json!(false))).collect();
        let mut then = json!({ "required": needed, "properties": refused });
        if kind != "table" {
            then["anyOf"] = json!([
                { "required": ["y"], "not": { "required": ["aggregate"], "properties": { "aggregate": { "const": "count" } } } },
                { "required": ["aggregate"], "properties": { "aggregate": { "const": "count" }, "y": false } },
            ]);
        }
        json!({ "if": { "properties": { "kind": { "const": kind } } }, "then": then })
    };
    json!({ "allOf": [
        of("tile", &[], &["x", "group", "fields", "link"]),
        of("lines", &["x"], &["fields", "link"]),
        of("bars", &["x"], &["group", "fields"]),
        of("distribution", &["x"], &["of", "group", "fields", "link"]),
        of("table", &[], &["x", "y", "of", "group", "aggregate", "format"]),
    ] })
}

/// Keys that only one format has.
fn of_csv() -> Value {
    let refused: serde_json::Map<String, Value> = ["delimiter", "quote", "escape", "header", "null_values", "encoding"]
        .map(|key| (key.to_owned(), json!(false)))
        .into_iter()
        .collect();
    json!({ "if": { "properties": { "format": { "const": "csv" } } }, "else": { "properties": refused } })
}

/// Keys that only columns of some types have.
fn of_columns() -> Value {
    json!({ "allOf": [
        { "not": { "required": ["field", "sql"] } },
        {
            "if": { "properties": { "type": { "enum": ["date", "timestamp"] } } },
            "else": { "properties": { "format": false, "zone": false, "ambiguous": false } },
        },
        { "if": { "properties": { "type": { "const": "binary" } } }, "else": { "properties": { "encoding": false } } },
    ] })
}
