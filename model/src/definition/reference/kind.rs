//! What can be written under a key: in words for people, as JSON Schema for editors.

use serde_json::{Value, json};

use crate::definition::MAX_NAME_LENGTH;

/// The type of a key's value.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Name,
    /// The name of something else in the file: what.
    NameOf(&'static str),
    Names,
    Text,
    Texts,
    TextOrTexts,
    Words(&'static [&'static str]),
    Flag,
    Count,
    /// At most this many, in words.
    Size(Option<&'static str>),
    Duration(Option<&'static str>),
    Percent,
    Sql,
    Condition,
    SqlFile,
    /// The type of a column.
    ColumnType,
    /// A table of texts by name.
    TextTable,
    /// A table whose own keys are a section of the reference.
    Tables,
    /// Anything else: in words, and as JSON Schema.
    Other(&'static str, fn() -> Value),
}

impl Kind {
    /// For people, in Markdown.
    pub fn text(&self) -> String {
        match self {
            Self::Name => "name".to_owned(),
            Self::NameOf(what) => format!("name of {what}"),
            Self::Names => "list of columns".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Texts => "list of texts".to_owned(),
            Self::TextOrTexts => "text or list of texts".to_owned(),
            Self::Words(words) => either(words),
            Self::Flag => "true or false".to_owned(),
            Self::Count => "whole number".to_owned(),
            Self::Size(most) => limited("size", *most),
            Self::Duration(most) => limited("duration", *most),
            Self::Percent => "share in percent".to_owned(),
            Self::Sql => "SQL expression".to_owned(),
            Self::Condition => "SQL condition".to_owned(),
            Self::SqlFile => "file in the folder".to_owned(),
            Self::ColumnType => "see below".to_owned(),
            Self::TextTable => "table".to_owned(),
            Self::Tables => "tables, see below".to_owned(),
            Self::Other(text, _) => (*text).to_owned(),
        }
    }

    pub(super) fn schema(&self) -> Value {
        match self {
            Self::Name => json!({ "type": "string", "pattern": NAME, "maxLength": MAX_NAME_LENGTH }),
            Self::Names => {
                json!({ "type": "array", "items": { "type": "string", "pattern": NAME }, "minItems": 1, "uniqueItems": true })
            }
            Self::NameOf(_) | Self::Text | Self::Sql | Self::Condition | Self::SqlFile => text(),
            Self::Texts => texts(),
            Self::TextOrTexts => json!({ "anyOf": [text(), texts()] }),
            Self::Words(words) => json!({ "type": "string", "enum": words }),
            Self::Flag => json!({ "type": "boolean" }),
            Self::Count => json!({ "type": "integer", "minimum": 1 }),
            Self::Size(_) => json!({ "anyOf": [
                { "type": "integer", "minimum": 1 },
                { "type": "string", "pattern": "^\\s*[0-9]+\\s*(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB)\\s*$" },
            ] }),
            Self::Duration(_) => {
                json!({ "type": "string", "pattern": "^\\s*[0-9]+\\s*(second|minute|hour|day|week|year)s?\\s*$" })
            }
            Self::Percent => json!({ "type": "string", "pattern": "^\\s*[0-9]+(\\.[0-9]+)?\\s*%\\s*$" }),
            Self::ColumnType => json!({ "anyOf": [
                { "type": "string", "enum": super::keys::TYPES },
                { "type": "string", "pattern": "^\\s*decimal\\s*\\(\\s*[0-9]+\\s*,\\s*[0-9]+\\s*\\)\\s*$" },
            ] }),
            Self::TextTable => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
            Self::Tables => json!({ "type": "object", "minProperties": 1 }),
            Self::Other(_, schema) => schema(),
        }
    }
}

/// Of the author's names.
pub(super) const NAME: &str = "^[a-z][a-z0-9_]*$";

pub(super) fn text() -> Value {
    json!({ "type": "string", "pattern": "\\S" })
}

pub(super) fn texts() -> Value {
    json!({ "type": "array", "items": text(), "minItems": 1, "uniqueItems": true })
}

fn limited(what: &str, most: Option<&str>) -> String {
    most.map_or(what.to_owned(), |most| format!("{what}, {most}"))
}

fn either(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
