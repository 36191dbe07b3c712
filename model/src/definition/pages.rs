//! `[page.NAME]`: a page of the dashboard, declared over the endpoints of the pipeline.

use std::collections::BTreeMap;

use serde::Serialize;

/// A page: what can be picked, and its parts in the order in which they are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page {
    pub name: String,
    pub title: String,
    pub description: Option<String>,
    pub parameters: Vec<Picker>,
    pub parts: Vec<Part>,
}

/// Something that the reader of a page chooses; it stands in the page's address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Picker {
    pub name: String,
    pub label: String,
    #[serde(flatten)]
    pub kind: PickerKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PickerKind {
    /// Typed. Without a default the parts that need it wait until it was.
    Text { default: Option<String> },
    /// One of these; the default is one of them.
    Choice { choices: Vec<String>, default: String },
    /// From then to then, or the last so many seconds.
    Range { default_seconds: u64 },
}

impl PickerKind {
    pub fn has_default(&self) -> bool {
        !matches!(self, Self::Text { default: None })
    }
}

/// One tile, chart or table over the rows that an endpoint answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    pub kind: PartKind,
    pub title: String,
    pub description: Option<String>,
    pub endpoint: String,
    /// Values for the endpoint's parameters, by their names.
    pub with: BTreeMap<String, Given>,
    /// For an endpoint with a range.
    pub range: Option<RangeGiven>,
    pub x: Option<String>,
    pub y: Option<String>,
    /// A field by which `y` is divided, once both are summed.
    pub of: Option<String>,
    /// A line for each of its values.
    pub group: Option<String>,
    pub aggregate: Aggregate,
    pub format: NumberFormat,
    /// Columns of a table; empty for all that are answered.
    pub fields: Vec<String>,
    /// Bars or lines that are shown, the largest first; rows of a table before more are asked for.
    pub limit: Option<u64>,
    pub width: Width,
    pub link: Option<Link>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    Tile,
    Lines,
    Bars,
    Distribution,
    Table,
}

impl PartKind {
    pub const WORDS: [(&'static str, Self); 5] = [
        ("tile", Self::Tile),
        ("lines", Self::Lines),
        ("bars", Self::Bars),
        ("distribution", Self::Distribution),
        ("table", Self::Table),
    ];

    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }
}

/// What becomes of rows with the same `x` and `group`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    Sum,
    Count,
}

/// How a figure is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberFormat {
    Number,
    Percent,
    /// Of a number of seconds.
    Duration,
}

/// Of twelve columns: four, six, twelve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Width {
    Third,
    Half,
    Full,
}

/// The value of an endpoint's parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Given {
    Constant(String),
    Picker(String),
}

/// The range that an endpoint is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RangeGiven {
    LastSeconds(u64),
    Picker(String),
}

/// Where a bar or a row leads. Pickers of that page that this one has too keep their value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    pub page: String,
    /// Values for the pickers of that page.
    pub with: BTreeMap<String, LinkValue>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkValue {
    Constant(String),
    /// Of the row.
    Field(String),
}
