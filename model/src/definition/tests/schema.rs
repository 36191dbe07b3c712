//! The JSON Schema takes every definition that is right, and refuses what a schema can refuse.
//!
//! The validator here knows the words of JSON Schema that our schema uses, and fails on any other: so it cannot take something
//! for right that it does not understand.

use serde_json::{Map, Value};

use super::broken::cases;
use super::shipped::{OULAD, SESSION_EVENTS};
use super::{WHOLE, errors};
use crate::definition::reference::{self, SECTIONS};

/// What a schema cannot see, by what is said about it: names that refer to something, texts that must parse, numbers within a
/// text, keys that go together across tables, and what is no TOML at all.
const BEYOND_A_SCHEMA: &[&str] = &[
    "is the name of a file, and this is a statement",
    "is not a path",
    "is not a format of dates",
    "strftime does not know",
    "has no year",
    "the name of a zone",
    "is about local times",
    "there is no zone",
    "are the same character",
    "is about quotes",
    "not TOML",
    "is defined twice",
    "there is no [",
    "there is no table",
    "there is no file",
    "there is no column",
    "there is no folded column",
    "holds no statement",
    "there are two tables",
    "cannot read itself",
    "read each other in a circle",
    "is in `key`",
    "is in `partition_key` already",
    "is in `unique_key` twice",
    "is in `clustering` twice",
    "is in `checks` twice",
    "is in `from` twice",
    "must be of type",
    "is nullable",
    "and this table has none",
    "needs a raw table",
    "counts wall time",
    "is for timestamps only",
    "is for strings",
    "says how text is read",
    "first or last by what",
    "goes with `first` and `last` only",
    "is by a column with fold",
    "is merged from",
    "every column is computed",
    "variable `",
    "does not hold a variable",
    "is not closed",
    "scheme",
    "has a space",
    "is empty once",
    "`url` ",
    "control character",
    "header",
    "is too large",
    "is too long",
    "at most",
    "at least 1 byte",
    "must be between",
    "whole days",
    "is not between",
    "is not a decimal",
    "is not a CQL type",
    "begins with `_`",
    "`${date",
    "`dates`",
    "days, more than",
    "`to` is before",
    "is not a date",
    "is in `url` twice",
    "is for a single url",
    "sha256",
    "asking for it would read all of it",
    "it would be a scan",
    "before it in the order",
    "nothing says what the parameter",
    "has a meaning of its own",
    "cannot be left out",
    "is bound to",
    "is given already",
    "has this path",
    "is answered by the program itself",
    "is not in the partition key",
    "partitions for one request",
    "is more than `max`",
    "does not divide the bucket",
    "is less than `page_size`",
    "an answer of totals needs",
    "this page has no picker",
    "is not a picker of kind",
    "] has no parameter",
    "] has no picker",
    "] has no range",
    "] needs ",
    "is not one of `choices`",
];

/// Why a value is not what the schema asks for, if it is not.
fn refused(schema: &Value, value: &Value) -> Option<String> {
    let Value::Object(schema) = schema else {
        return (*schema == Value::Bool(false)).then(|| "may not be here".to_owned());
    };
    schema.iter().find_map(|(word, rule)| refused_by(word, rule, schema, value))
}

fn refused_by(word: &str, rule: &Value, schema: &Map<String, Value>, value: &Value) -> Option<String> {
    let fails = |fails: bool| fails.then(|| format!("{word} {rule}: {value}"));
    let each = |rule: &Value| rule.as_array().unwrap().iter().map(|rule| refused(rule, value)).collect::<Vec<_>>();
    match word {
        "$schema" | "title" | "description" | "default" | "examples" | "then" | "else" => None,
        "type" => {
            let is = |name: &Value| match name.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_i64() || value.is_u64(),
                "number" => value.is_number(),
                other => panic!("type {other}"),
            };
            fails(!rule.as_array().map_or_else(|| is(rule), |names| names.iter().any(is)))
        }
        "enum" => fails(!rule.as_array().unwrap().contains(value)),
        "const" => fails(rule != value),
        "pattern" => {
            fails(value.as_str().is_some_and(|text| !regex_lite::Regex::new(rule.as_str().unwrap()).unwrap().is_match(text)))
        }
        "maxLength" => fails(value.as_str().is_some_and(|text| text.chars().count() as u64 > rule.as_u64().unwrap())),
        "minimum" => fails(value.as_i64().is_some_and(|number| number < rule.as_i64().unwrap())),
        "maximum" => fails(value.as_i64().is_some_and(|number| number > rule.as_i64().unwrap())),
        "minProperties" => fails(value.as_object().is_some_and(|object| (object.len() as u64) < rule.as_u64().unwrap())),
        "minItems" => fails(value.as_array().is_some_and(|items| (items.len() as u64) < rule.as_u64().unwrap())),
        "uniqueItems" => fails(value.as_array().is_some_and(|items| (1..items.len()).any(|at| items[..at].contains(&items[at])))),
        "items" => value.as_array()?.iter().find_map(|item| refused(rule, item)),
        "required" => value.as_object().and_then(|object| {
            let missing = rule.as_array().unwrap().iter().find(|key| !object.contains_key(key.as_str().unwrap()));
            missing.map(|key| format!("without {key}"))
        }),
        "properties" => {
            let object = value.as_object()?;
            rule.as_object()
                .unwrap()
                .iter()
                .find_map(|(key, rule)| refused(rule, object.get(key)?).map(|why| format!("{key}: {why}")))
        }
        "additionalProperties" => {
            let known = schema.get("properties").and_then(Value::as_object);
            let mut others = value.as_object()?.iter().filter(|(key, _)| known.is_none_or(|known| !known.contains_key(*key)));
            others.find_map(|(key, value)| refused(rule, value).map(|why| format!("{key}: {why}")))
        }
        "propertyNames" => value.as_object()?.keys().find_map(|key| refused(rule, &Value::String(key.clone()))),
        "anyOf" => fails(each(rule).iter().all(Option::is_some)),
        "oneOf" => fails(each(rule).iter().filter(|refused| refused.is_none()).count() != 1),
        "allOf" => each(rule).into_iter().flatten().next(),
        "not" => fails(refused(rule, value).is_none()),
        "if" => {
            let branch = if refused(rule, value).is_none() { "then" } else { "else" };
            schema.get(branch).and_then(|rule| refused(rule, value))
        }
        other => panic!("the validator does not know {other}"),
    }
}

fn document(toml: &str) -> Option<Value> {
    Some(json(toml::Value::Table(toml::from_str(toml).ok()?)))
}

/// As editors see it: dates and instants are texts.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::Datetime(instant) => Value::String(instant.to_string()),
        toml::Value::Array(items) => items.into_iter().map(json).collect(),
        toml::Value::Table(table) => table.into_iter().map(|(key, value)| (key, json(value))).collect(),
        other => serde_json::to_value(other).unwrap(),
    }
}

#[test]
fn the_schema_takes_definitions_that_are_right() {
    let schema = reference::schema();
    for toml in [WHOLE, SESSION_EVENTS, OULAD] {
        assert_eq!(refused(&schema, &document(toml).unwrap()), None);
    }
}

#[test]
fn the_schema_refuses_what_is_broken_unless_no_schema_could() {
    let schema = reference::schema();
    let (mut taken, mut caught) = (Vec::new(), 0);
    for toml in cases() {
        let is_refused = document(&toml).is_some_and(|document| refused(&schema, &document).is_some());
        caught += u32::from(is_refused);
        let problems = errors(&toml).problems;
        let beyond = |message: &str| BEYOND_A_SCHEMA.iter().any(|beyond| message.contains(beyond));
        if !is_refused && !problems.iter().all(|problem| beyond(&problem.message)) {
            taken.push(problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>());
        }
    }
    assert!(taken.is_empty(), "the schema takes these: {taken:#?}");
    assert!(caught >= 40, "{caught}");
}

#[test]
fn every_key_has_an_example_that_fits_it_and_an_explanation() {
    let schema = reference::schema();
    for key in reference::all() {
        let section = SECTIONS.iter().find(|section| section.header == key.section).unwrap();
        let mut at = &schema;
        for step in section.path {
            at = match *step {
                "*" => &at["additionalProperties"],
                "[]" => &at["items"],
                key => &at["properties"][key],
            };
        }
        let property = &at["properties"][key.name];
        let examples = property["examples"].as_array().unwrap_or_else(|| panic!("{} {}", key.section, key.name));
        assert_eq!(refused(property, &examples[0]), None, "{} {}", key.section, key.name);
        assert!(!key.description.is_empty() && property["description"].is_string());
    }
    assert!(schema.to_string().contains("\"default\":\"16 MiB\""));
}
