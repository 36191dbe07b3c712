//! Every key of `pipeline.toml`, once: from this come the JSON Schema that editors use and the tables of docs/definition.md.
//!
//! A key is one of [`all`]. Defaults are those of [`super::defaults`]; tests hold the keys and words against the reader.

mod endpoint_keys;
mod keys;
mod kind;
mod page_keys;
mod schema;
mod sections;

use serde_json::Value;

pub use kind::Kind;
pub use schema::schema;
pub use sections::SECTIONS;

use super::units;

/// A section of the file.
#[derive(Debug)]
pub struct Section {
    /// As it is written, `NAME` being the author's: `[raw.NAME.columns]` holds tables that are themselves named.
    pub header: &'static str,
    /// Where its tables are in the file; `*` is a name of the author's, `[]` an entry of a list.
    pub path: &'static [&'static str],
    pub description: &'static str,
    /// What its keys must be together, as JSON Schema, beyond what each must be by itself.
    pub together: Option<fn() -> Value>,
}

/// A key of a section.
#[derive(Debug)]
pub struct Key {
    pub section: &'static str,
    pub name: &'static str,
    pub kind: Kind,
    pub required: bool,
    pub default: Default,
    pub description: &'static str,
    /// A line of a definition.
    pub example: &'static str,
}

/// What holds where nothing is said.
#[derive(Debug, Clone, Copy)]
pub enum Default {
    None,
    /// Said in words: it depends on something else.
    Words(&'static str),
    Value(fn() -> Value),
}

/// All keys, in the order of the page.
pub fn all() -> impl Iterator<Item = &'static Key> {
    keys::KEYS.iter().chain(endpoint_keys::KEYS).chain(page_keys::KEYS)
}

/// The tables of docs/definition.md, one for each section, in its order.
pub fn tables() -> String {
    SECTIONS
        .iter()
        .flat_map(|section| [section.header.to_owned(), "\n\n".to_owned(), table(section.header), "\n".to_owned()])
        .collect()
}

/// The page with the tables between its marks (`<!-- keys: [pipeline] -->` to `<!-- end of keys -->`) made anew.
pub fn page(page: &str) -> String {
    let (begin, end) = ("<!-- keys: ", "<!-- end of keys -->");
    let mut made = String::new();
    let mut rest = page;
    while let Some(start) = rest.find(begin) {
        let header_start = start + begin.len();
        let Some(header_end) = rest[header_start..].find(" -->") else { break };
        let header = &rest[header_start..header_start + header_end];
        let Some(table_end) = rest[header_start..].find(end) else { break };
        made.push_str(&rest[..header_start + header_end]);
        made.push_str(" -->\n");
        made.push_str(&table(header));
        rest = &rest[header_start + table_end..];
    }
    made + rest
}

fn table(header: &str) -> String {
    let mut table = "| key | type | default | meaning | example |\n|---|---|---|---|---|\n".to_owned();
    for key in all().filter(|key| key.section == header) {
        let name = if key.required { format!("**`{}`**", key.name) } else { format!("`{}`", key.name) };
        let default = match key.default {
            Default::None => String::new(),
            Default::Words(words) => words.to_owned(),
            Default::Value(value) => format!("`{}`", value()),
        };
        let cells = [name, key.kind.text(), default, key.description.to_owned(), format!("`{}`", key.example)];
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        table.push_str(&format!("| {} |\n", cells.join(" | ")).replace("|  |", "| |"));
    }
    table
}

/// A size in the largest unit in which it is whole.
fn size(bytes: u64) -> Value {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];
    let (unit, shift) =
        units.into_iter().find(|(_, shift)| bytes.is_multiple_of(1 << shift)).expect("every number is whole in bytes");
    Value::String(format!("{} {unit}", bytes >> shift))
}

fn duration(seconds: u64) -> Value {
    let days = seconds / units::SECONDS_PER_DAY;
    let text = if seconds.is_multiple_of(units::SECONDS_PER_DAY) { (days, "day") } else { (seconds, "second") };
    Value::String(format!("{} {}{}", text.0, text.1, if text.0 == 1 { "" } else { "s" }))
}

fn percent(share: f64) -> Value {
    Value::String(format!("{} %", share * 100.0))
}

/// A word of the definition, from the value that it stands for.
fn word(value: impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("a plain value")
}
