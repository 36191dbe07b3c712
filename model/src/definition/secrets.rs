//! Masks what may be secret in the text that travels with an error: a caret under line 7 shows line 7 and its neighbours.
//!
//! Masked are, always: user name, password and query of anything that looks like a url. In `[source]` and in every section that is
//! not known and not near to another one (it may be a misspelt `[source]`): every string but `url`, `sha256`, `dates` and `on_missing`; `url` too, if it does not
//! look like one.
//! Where the file does not parse: all words of such sections. References to variables stay: they say where the secret is, not what.
//! The masked text is as long as the text, byte for byte.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Span;
use super::names::nearest;
use super::variables::is_variable_name;

/// Sections whose values are no secrets.
const OPEN_SECTIONS: [&str; 7] = ["pipeline", "landing", "raw", "use_case", "cassandra", "endpoint", "page"];

/// What stays visible in a masked line of a file that does not parse: the mistake is often among these.
const STRUCTURE: &str = "\"'{}[],=.";

/// The text with secrets masked, for a file that parses.
pub(super) fn mask_parsed(text: &str, root: &DeTable<'_>) -> String {
    let mut mask = Mask::new(text);
    mask.urls();
    for (key, value) in root {
        let section = key.get_ref().as_ref();
        if section == "source" {
            for (_, source) in value.get_ref().as_table().into_iter().flatten() {
                mask.source(source);
            }
        } else if is_open(section) {
            mask.headers_in(value);
        } else {
            mask.strings_in(value);
        }
    }
    mask.finish()
}

/// The text with secrets masked, for a file that does not parse.
pub(super) fn mask_unparsed(text: &str) -> String {
    let mut mask = Mask::new(text);
    mask.urls();
    let (mut open, mut before_sections) = (false, true);
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start_matches(['\u{feff}', ' ', '\t']);
        let words =
            || trimmed.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').filter(|word| !word.is_empty());
        let has_headers = words().any(is_headers);
        let section = words().next().unwrap_or_default();
        if trimmed.starts_with('[') && (section == "source" || OPEN_SECTIONS.contains(&section)) {
            open = section != "source" && !has_headers;
            before_sections = false;
        } else if before_sections && trimmed.starts_with('#') {
            // What the file is about.
        } else if !open || has_headers || trimmed.starts_with('[') {
            // After a line about headers, what follows may be headers too, up to the next section that is known.
            open = false;
            let key = ["url", "sha256", "dates", "on_missing", "headers"].into_iter().find(|key| trimmed.starts_with(key));
            let key_length = key.map_or(0, |key| line.len() - trimmed.len() + key.len());
            mask.hide_words(offset + key_length..offset + line.len());
        }
        offset += line.len();
    }
    mask.finish()
}

/// Whether a section's values are no secrets: one that is known, or nearest to such a one.
fn is_open(section: &str) -> bool {
    nearest(section, ["source"].into_iter().chain(OPEN_SECTIONS)).is_some_and(|near| OPEN_SECTIONS.contains(&near))
}

fn is_headers(key: &str) -> bool {
    nearest(key, ["headers"]).is_some()
}

struct Mask<'t> {
    text: &'t str,
    hidden: Vec<bool>,
}

impl<'t> Mask<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, hidden: vec![false; text.len()] }
    }

    /// User names, passwords and queries of urls, wherever they are, comments included.
    fn urls(&mut self) {
        for (scheme_end, _) in self.text.match_indices("://") {
            let start = scheme_end + 3;
            let rest = &self.text[start..];
            let url = &rest[..rest.find(['"', '\'', ' ', '\t', '\r', '\n']).unwrap_or(rest.len())];
            if let Some(at) = url.rfind('@') {
                self.hide(start..start + at);
            }
            if let Some(query) = url.find('?') {
                self.hide(start + query + 1..start + url.len());
            }
        }
    }

    fn source(&mut self, source: &Spanned<DeValue<'_>>) {
        let Some(table) = source.get_ref().as_table() else { return self.strings_in(source) };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "sha256" | "dates" | "on_missing" => {}
                "url" => {
                    let urls: &[_] = match value.get_ref().as_array() {
                        Some(urls) => urls,
                        None => std::slice::from_ref(value),
                    };
                    for url in urls.iter().filter(|url| !url.get_ref().as_str().is_some_and(|url| url.contains("://"))) {
                        self.strings_in(url);
                    }
                }
                _ => self.strings_in(value),
            }
        }
    }

    /// Headers that stand where they do not belong.
    fn headers_in(&mut self, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => {
                for (key, value) in table {
                    let key = key.get_ref();
                    if is_headers(key) || (key == "source" && value.get_ref().is_table()) {
                        self.strings_in(value);
                    } else {
                        self.headers_in(value);
                    }
                }
            }
            DeValue::Array(values) => values.iter().for_each(|value| self.headers_in(value)),
            _ => {}
        }
    }

    fn strings_in(&mut self, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::String(_) => self.hide_between_quotes(value.span()),
            DeValue::Array(values) => values.iter().for_each(|value| self.strings_in(value)),
            DeValue::Table(table) => {
                for (key, value) in table {
                    // `"Authorization: Bearer ..." = ""` is a mistake that happens.
                    if !key.get_ref().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
                        self.hide_between_quotes(key.span());
                    }
                    self.strings_in(value);
                }
            }
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        }
    }

    fn hide_between_quotes(&mut self, span: Span) {
        let written = self.text.get(span.clone()).unwrap_or_default();
        let quotes = if ["\"\"\"", "'''"].iter().any(|quotes| written.starts_with(quotes)) { 3 } else { 1 };
        let quotes = if written.starts_with(['"', '\'']) && written.len() >= 2 * quotes { quotes } else { 0 };
        self.hide(span.start + quotes..span.end - quotes);
    }

    fn hide_words(&mut self, span: Span) {
        self.hide(span.clone());
        for (at, _) in self.text[span.clone()].match_indices(|c| STRUCTURE.contains(c)) {
            self.hidden[span.start + at] = false;
        }
    }

    /// Hides all but references to variables.
    fn hide(&mut self, span: Span) {
        self.hidden[span.clone()].fill(true);
        let written = &self.text[span.clone()];
        for (dollar, _) in written.match_indices("${") {
            let name_and_rest = &written[dollar + 2..];
            let Some(end) = name_and_rest.find('}') else { continue };
            let name = name_and_rest[..end].split(":-").next().unwrap_or_default();
            if is_variable_name(name) {
                let start = span.start + dollar;
                self.hidden[start..start + 2 + name.len()].fill(false);
                self.hidden[start + 2 + end] = false;
            }
        }
    }

    fn finish(self) -> String {
        let mut masked = String::with_capacity(self.text.len());
        for (offset, c) in self.text.char_indices() {
            if self.hidden[offset] && !c.is_whitespace() {
                masked.extend(std::iter::repeat_n('*', c.len_utf8()));
            } else {
                masked.push(c);
            }
        }
        masked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        mask_parsed(text, DeTable::parse(text).unwrap().get_ref())
    }

    #[test]
    fn a_source_shows_where_it_is_and_no_secret() {
        let text = r#"
[source.a]
url = "https://me:hunter2@example.org/f.gz?key=hunter2"   # was https://me:hunter2@old.example.org/
sha256 = "abc"
headers = { Authorization = "Bearer ${TOKEN:-hünter2}", "X-Key" = """hunter2""", "X: hunter2" = "" }
heders = "hunter2"
"#;
        let shown = r#"
[source.a]
url = "https://**********@example.org/f.gz?***********"   # was https://**********@old.example.org/
sha256 = "abc"
headers = { Authorization = "****** ${TOKEN**********}", "X-Key" = """*******""", "** *******" = "" }
heders = "*******"
"#;
        assert_eq!(masked(text), shown);
    }

    #[test]
    fn a_misspelt_or_misplaced_section_shows_no_secret() {
        assert_eq!(masked("[sorce.a]\ntoken = 'hunter2'"), "[sorce.a]\ntoken = '*******'");
        assert_eq!(masked("[source.a]\nurl = 'me:hunter2'"), "[source.a]\nurl = '**********'");
        let list = "[source.a]\nurl = ['me:hunter2', 'http://hunter2@h/']\ndates = { from = '2024' }\non_missing = 'no'";
        assert_eq!(masked(list), list.replace("me:hunter2", "**********").replace("hunter2", "*******"));
        assert_eq!(masked("[landing.a]\nheader = ['hunter2']"), "[landing.a]\nheader = ['*******']");
        assert_eq!(masked("[pipeline]\nsource.a.x = 'hunter2'"), "[pipeline]\nsource.a.x = '*******'");
        assert_eq!(masked("[landing.a]\nsource = 'b'"), "[landing.a]\nsource = 'b'");
    }

    #[test]
    fn a_file_that_does_not_parse_shows_its_structure_and_no_secret() {
        let text = "# About it\ntoken = 'hunter2'\n[pipeline]\nname = 'a'\n[source.a]\nurl = https://hunter2@h/\nhunter2\nX = \"${T:-hunter2}\n[sorce.b]\nX = 'hunter2'\n[raw.b]\nfrom = 'a'\nheaders = {\nX = 'hunter2'}";
        let shown = "# About it\n***** = '*******'\n[pipeline]\nname = 'a'\n[source.a]\nurl = ******************\n*******\n* = \"${T*********}\n[*****.*]\n* = '*******'\n[raw.b]\nfrom = 'a'\nheaders = {\n* = '*******'}";
        assert_eq!(mask_unparsed(text), shown);
    }
}
