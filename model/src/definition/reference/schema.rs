//! The JSON Schema of `pipeline.toml`.

use serde_json::{Map, Value, json};

use super::kind::NAME;
use super::{Default, Key, SECTIONS, Section, all};
use crate::definition::MAX_NAME_LENGTH;

/// JSON Schema, draft 2020-12. What one text refers to in another (a table, a column, a file, SQL) is beyond a schema.
pub fn schema() -> Value {
    let mut root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pipeline.toml",
        "description": "The definition of a Sluice pipeline",
        "type": "object",
        "properties": {},
        "required": ["pipeline", "source"],
        "additionalProperties": false,
    });
    // Outer sections come before those that are within them.
    for section in SECTIONS {
        put(&mut root, section.path, section);
    }
    root
}

/// Puts a section's schema where its path leads.
fn put(at: &mut Value, path: &[&str], section: &Section) {
    match path {
        [] => {
            let examples = at.get_mut("examples").map(Value::take);
            *at = object(section);
            if let Some(examples) = examples {
                at["examples"] = examples;
            }
        }
        ["*", rest @ ..] => {
            at["propertyNames"] = json!({ "pattern": NAME, "maxLength": MAX_NAME_LENGTH });
            put(member(at, "additionalProperties"), rest, section);
        }
        ["[]", rest @ ..] => {
            at["type"] = json!("array");
            at["minItems"] = json!(1);
            put(member(at, "items"), rest, section);
        }
        [key, rest @ ..] => {
            let member = member(member(at, "properties"), key);
            if member.get("type").is_none() {
                member["type"] = json!("object");
            }
            if member.get("description").is_none() && rest != ["[]"] {
                member["description"] = json!(section.description);
            }
            put(member, rest, section);
        }
    }
}

fn member<'v>(at: &'v mut Value, key: &str) -> &'v mut Value {
    let members = at.as_object_mut().expect("a schema is an object");
    let member = members.entry(key).or_insert_with(|| json!({}));
    if !member.is_object() {
        *member = json!({});
    }
    member
}

fn object(section: &Section) -> Value {
    let keys: Vec<&Key> = all().filter(|key| key.section == section.header).collect();
    let properties: Map<String, Value> = keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let mut object = json!({
        "type": "object",
        "description": section.description,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    if let Some(together) = section.together {
        object["allOf"] = json!([together()]);
    }
    object
}

fn property(key: &Key) -> Value {
    let mut property = key.kind.schema();
    property["description"] = json!(key.description.replace('`', ""));
    if let Default::Value(value) = key.default {
        property["default"] = value();
    }
    if let Some(example) = example(key) {
        property["examples"] = json!([example]);
    }
    property
}

/// The value of the example.
pub(super) fn example(key: &Key) -> Option<Value> {
    let table: toml::Table = toml::from_str(key.example).ok()?;
    serde_json::to_value(table.get(key.name)?).ok()
}
