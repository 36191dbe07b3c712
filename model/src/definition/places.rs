//! Where things stand in the texts of a definition, for what is found wrong after it was read.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{DefinitionErrors, Problem, Severity, Span, line_and_column};
use super::parse::DefinitionText;

/// The places of every key and value of `pipeline.toml`, and the texts of the SQL files.
///
/// A key is named by its path: `["raw", "events", "checks", "0", "sql"]`. Where a key is not in the file, its nearest parent stands for it.
#[derive(Debug, Clone)]
pub struct Places {
    path: String,
    toml: String,
    masked: String,
    /// By their names in the folder.
    files: BTreeMap<String, String>,
    found: BTreeMap<Vec<String>, Place>,
}

#[derive(Debug, Clone)]
struct Place {
    key: Span,
    value: Span,
}

/// A place that something can be said about.
#[derive(Debug, Clone)]
pub enum Spot<'p> {
    Key(&'p [String]),
    Value(&'p [String]),
    /// Bytes of a text in `pipeline.toml`, as it is once its quotes and escapes are read.
    InText(&'p [String], Range<usize>),
    /// Bytes of a file of the folder.
    InFile(&'p str, Range<usize>),
}

impl Places {
    pub(super) fn collect(text: &DefinitionText, masked: String, root: &DeTable<'_>) -> Self {
        let mut places =
            Self { path: text.path.clone(), toml: text.toml.clone(), masked, files: text.files.clone(), found: BTreeMap::new() };
        places.table(&mut Vec::new(), root);
        places
    }

    fn table(&mut self, path: &mut Vec<String>, table: &DeTable<'_>) {
        for (key, value) in table {
            path.push(key.get_ref().to_string());
            self.value(path, key.span(), value);
            path.pop();
        }
    }

    fn value(&mut self, path: &mut Vec<String>, key: Span, value: &Spanned<DeValue<'_>>) {
        self.found.insert(path.clone(), Place { key, value: value.span() });
        match value.get_ref() {
            DeValue::Table(table) => self.table(path, table),
            DeValue::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    path.push(index.to_string());
                    self.value(path, value.span(), value);
                    path.pop();
                }
            }
            _ => {}
        }
    }

    /// `pipeline.toml` as it was named by the caller.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A problem at a place.
    pub fn problem(&self, severity: Severity, spot: &Spot<'_>, message: impl Into<String>, hint: Option<String>) -> Problem {
        let (file, text, place) = match spot {
            Spot::Key(path) => (self.path.clone(), &self.toml, self.place_of(path).key),
            Spot::Value(path) => (self.path.clone(), &self.toml, self.place_of(path).value),
            Spot::InText(path, at) => (self.path.clone(), &self.toml, self.inside(&self.place_of(path).value, at)),
            Spot::InFile(name, at) => match self.files.get(*name) {
                Some(text) => (self.file_path(name), text, at.clone()),
                None => (self.path.clone(), &self.toml, 0..0),
            },
        };
        let (line, column) = line_and_column(text, place.start);
        Problem {
            message: message.into(),
            file,
            line,
            column,
            offset: place.start,
            length: place.end.saturating_sub(place.start),
            hint,
            severity,
        }
    }

    /// These problems as an error, with the texts that they are about.
    pub fn errors(&self, problems: Vec<Problem>) -> DefinitionErrors {
        let files = self.files.iter().map(|(name, text)| (self.file_path(name), text.clone())).collect();
        DefinitionErrors { path: self.path.clone(), text: self.masked.clone(), files, problems }
    }

    fn place_of(&self, path: &[String]) -> Place {
        let nearest = (1..=path.len()).rev().find_map(|length| self.found.get(&path[..length]));
        nearest.cloned().unwrap_or(Place { key: 0..0, value: 0..0 })
    }

    /// A file of the folder, named as `pipeline.toml` is.
    fn file_path(&self, name: &str) -> String {
        match self.path.rfind(['/', '\\']) {
            Some(end) => format!("{}{name}", &self.path[..=end]),
            None => name.to_owned(),
        }
    }

    /// Bytes of a string's value as bytes of the file.
    fn inside(&self, place: &Span, at: &Range<usize>) -> Span {
        let Some(written) = self.toml.get(place.clone()) else { return place.clone() };
        let offsets = written_offsets(written);
        let offset = |wanted: usize| {
            let index = offsets.partition_point(|(value, _)| *value < wanted).min(offsets.len() - 1);
            place.start + offsets[index].1
        };
        offset(at.start)..offset(at.end).max(offset(at.start))
    }
}

/// For each character of a string's value, and for its end: its offset in the value, and in the string as it is written.
fn written_offsets(written: &str) -> Vec<(usize, usize)> {
    let quotes = if ["\"\"\"", "'''"].iter().any(|quotes| written.starts_with(quotes)) { 3 } else { 1 };
    let has_escapes = written.starts_with('"');
    let end = written.len().saturating_sub(quotes);
    let mut offsets = Vec::new();
    let (mut value, mut at) = (0, quotes.min(end));
    if quotes == 3 {
        // A line end right after the quotes is not part of the value.
        let rest = &written[at..end];
        at += if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) };
    }
    while at < end {
        let rest = &written[at..end];
        let (read, length) = if has_escapes && rest.starts_with('\\') { escape(rest) } else { plain(rest) };
        if read > 0 {
            offsets.push((value, at));
        }
        value += read;
        at += length;
    }
    offsets.push((value, end));
    offsets
}

/// How many bytes of the value a character is, and how many bytes it takes as it is written.
fn plain(rest: &str) -> (usize, usize) {
    let length = rest.chars().next().map_or(1, char::len_utf8);
    (length, length)
}

fn escape(rest: &str) -> (usize, usize) {
    let coded = |digits: usize| {
        let code = rest.get(2..2 + digits).and_then(|code| u32::from_str_radix(code, 16).ok()).and_then(char::from_u32);
        (code.map_or(1, char::len_utf8), 2 + digits)
    };
    match rest.as_bytes().get(1) {
        Some(b'u') => coded(4),
        Some(b'U') => coded(8),
        Some(b'x') => coded(2),
        // The line goes on: line end and indentation are not part of the value.
        Some(b'\n' | b'\r' | b' ' | b'\t') => (0, 1 + rest[1..].len() - rest[1..].trim_start().len()),
        _ => (1, 2.min(rest.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(toml: &str) -> Places {
        let text = DefinitionText {
            path: "folder/pipeline.toml".into(),
            toml: toml.into(),
            files: BTreeMap::from([("a.sql".into(), "select\n x".into())]),
        };
        Places::collect(&text, toml.to_owned(), DeTable::parse(toml).unwrap().get_ref())
    }

    fn underlined(toml: &str, spot: &Spot<'_>) -> String {
        let problem = places(toml).problem(Severity::Error, spot, "x", None);
        toml[problem.offset..problem.offset + problem.length].to_owned()
    }

    fn path(keys: &str) -> Vec<String> {
        keys.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn keys_values_and_parts_of_texts_are_found() {
        let toml = "[raw.a]\nfrom = \"b\"\n[[raw.a.checks]]\nname = 'n'\nsql = \"a = \\\"é\\\" and bad\"\n";
        assert_eq!(underlined(toml, &Spot::Key(&path("raw a from"))), "from");
        assert_eq!(underlined(toml, &Spot::Value(&path("raw a from"))), "\"b\"");
        assert_eq!(underlined(toml, &Spot::Key(&path("raw a nothing here"))), "a", "the nearest parent");
        let value = "a = \"é\" and bad";
        let bad = value.find("bad").unwrap();
        let sql = path("raw a checks 0 sql");
        assert_eq!(underlined(toml, &Spot::InText(&sql, bad..bad + 3)), "bad");
        assert_eq!(underlined(toml, &Spot::InText(&sql, 4..8)), "\\\"é\\\"");
        assert_eq!(underlined(toml, &Spot::InText(&sql, value.len()..value.len())), "");
    }

    #[test]
    fn texts_of_several_lines_are_found_too() {
        for quotes in ["\"\"\"", "'''"] {
            let toml = format!("sql = {quotes}\n  a\n  and bad{quotes}\n");
            assert_eq!(underlined(&toml, &Spot::InText(&path("sql"), 10..13)), "bad");
        }
        let toml = "sql = \"\"\"a \\\n   and \\u0062ad\"\"\"\n";
        assert_eq!(underlined(toml, &Spot::InText(&path("sql"), 6..9)), "\\u0062ad");
    }

    #[test]
    fn files_are_named_beside_the_definition() {
        let problem = places("a = 1").problem(Severity::Warning, &Spot::InFile("a.sql", 8..9), "x", None);
        assert_eq!((problem.file.as_str(), problem.line, problem.column, problem.length), ("folder/a.sql", 2, 2, 1));
        assert!(places("a = 1").errors(vec![problem]).files.contains_key("folder/a.sql"));
    }
}
