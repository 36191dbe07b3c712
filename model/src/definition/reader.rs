//! A typed reader over one table of the file.
//!
//! Whatever is wrong is noted at its place and then reads as if it were not there, so that one pass finds all problems: a value
//! that was read says nothing before the problems were looked at. A key is known because somebody asked for it: [`Reader::finish`] reports the others.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Complaint, Placed, Problems, Span};
use super::names::{check_identifier, nearest, suggest};

pub(super) struct Reader<'t> {
    pub(super) problems: &'t Problems<'t>,
    /// Where the table is: its header, or all of it if it is written in braces.
    pub(super) place: Span,
    table: &'t DeTable<'t>,
    known: Vec<&'static str>,
    missing: Vec<&'static str>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(table: &'t DeTable<'t>, place: Span, problems: &'t Problems<'t>) -> Self {
        Self { problems, place, table, known: Vec::new(), missing: Vec::new() }
    }

    pub(super) fn complain(&self, place: &Span, complaint: Complaint) {
        self.problems.add(place, complaint);
    }

    /// The value of a key, of whatever type.
    pub(super) fn value(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.table.get(key)
    }

    /// Like another method, but a problem if the key is not there.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Self, &'static str) -> Option<T>,
    ) -> Option<T> {
        if !self.table.contains_key(key) {
            self.missing.push(key);
        }
        read(self, key)
    }

    /// A text that is not empty.
    pub(super) fn string(&mut self, key: &'static str) -> Option<Placed<String>> {
        let value = self.value(key)?;
        self.string_in(key, value)
    }

    pub(super) fn string_in(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Placed<String>> {
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(key, value, "a string");
            return None;
        };
        if text.trim().is_empty() {
            self.complain(&value.span(), Complaint::new(format!("`{key}` is empty")));
            return None;
        }
        Some(Placed { value: text.to_owned(), place: value.span() })
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Option<Placed<bool>> {
        let value = self.value(key)?;
        let Some(flag) = value.get_ref().as_bool() else {
            self.wrong_type(key, value, "true or false");
            return None;
        };
        Some(Placed { value: flag, place: value.span() })
    }

    /// A whole number from 1.
    pub(super) fn count(&mut self, key: &'static str) -> Option<u64> {
        let value = self.value(key)?;
        let Some(count) = whole_number(value.get_ref()) else {
            self.wrong_type(key, value, "a whole number");
            return None;
        };
        if let Ok(count @ 1..) = u64::try_from(count) {
            return Some(count);
        }
        self.complain(&value.span(), Complaint::new(format!("`{key}` must be at least 1")));
        None
    }

    /// A text that `parse` reads as a quantity; `example` is one.
    pub(super) fn quantity<T>(
        &mut self,
        key: &'static str,
        example: &str,
        parse: impl FnOnce(&str) -> Result<T, Complaint>,
    ) -> Option<Placed<T>> {
        let value = self.value(key)?;
        let place = value.span();
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(key, value, &format!("a string such as \"{example}\""));
            return None;
        };
        match parse(text) {
            Ok(value) => Some(Placed { value, place }),
            Err(complaint) => {
                self.complain(&place, complaint);
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&'static str, T)]) -> Option<Placed<T>> {
        let Placed { value: word, place } = self.string(key)?;
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == word) {
            return Some(Placed { value: *value, place });
        }
        let hint = suggest(&word, choices.iter().map(|(name, _)| *name), "one of");
        self.complain(&place, Complaint::new(format!("`{key}` cannot be `{word}`")).maybe_hint(hint));
        None
    }

    /// A list of texts that are not empty, at least one and each once.
    pub(super) fn strings(&mut self, key: &'static str) -> Option<Vec<Placed<String>>> {
        let list = self.list(key, "a list, as in [\"a\", \"b\"]")?;
        let strings: Option<Vec<_>> = list.iter().map(|value| self.string_in(key, value)).collect();
        let strings = strings?;
        self.each_once(key, &strings);
        Some(strings)
    }

    /// A text, or a list of texts.
    pub(super) fn one_or_more(&mut self, key: &'static str) -> Option<Vec<Placed<String>>> {
        if self.value(key)?.get_ref().is_str() {
            return self.string(key).map(|one| vec![one]);
        }
        self.strings(key)
    }

    /// Where the name of a table under a section stands.
    pub(super) fn place_of(&self, section: &str, name: &str) -> Option<Span> {
        let section = self.table.get(section)?.get_ref().as_table()?;
        section.iter().find(|(key, _)| key.get_ref() == name).map(|(key, _)| key.span())
    }

    /// A list of at least one value; `expected` says so to the user.
    pub(super) fn list(&mut self, key: &'static str, expected: &str) -> Option<&'t [Spanned<DeValue<'t>>]> {
        let value = self.value(key)?;
        let Some(list) = value.get_ref().as_array() else {
            self.wrong_type(key, value, expected);
            return None;
        };
        if list.is_empty() {
            self.complain(&value.span(), Complaint::new(format!("`{key}` is an empty list")));
            return None;
        }
        Some(list)
    }

    /// Complains about a text that is in a list twice.
    pub(super) fn each_once(&self, key: &str, strings: &[Placed<String>]) {
        for (index, string) in strings.iter().enumerate() {
            if strings[..index].iter().any(|earlier| earlier.value == string.value) {
                self.complain(&string.place, Complaint::new(format!("`{}` is in `{key}` twice", string.value)));
            }
        }
    }

    /// A list of names of columns.
    pub(super) fn names(&mut self, key: &'static str) -> Option<Vec<Placed<String>>> {
        let names = self.strings(key)?;
        for name in &names {
            self.check_name(name);
        }
        Some(names)
    }

    /// A text that must be a name.
    pub(super) fn name(&mut self, key: &'static str) -> Option<Placed<String>> {
        let name = self.string(key)?;
        self.check_name(&name);
        Some(name)
    }

    pub(super) fn check_name(&self, name: &Placed<String>) {
        if let Err(complaint) = check_identifier(&name.value) {
            self.complain(&name.place, complaint);
        }
    }

    /// A table under a key.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Reader<'t>> {
        let value = self.value(key)?;
        self.table_in(key, value)
    }

    pub(super) fn table_in(&self, key: &str, value: &'t Spanned<DeValue<'t>>) -> Option<Reader<'t>> {
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(key, value, "a table");
            return None;
        };
        Some(Reader::new(table, value.span(), self.problems))
    }

    /// The tables written as `[[key]]`.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Reader<'t>> {
        let expected = format!("a list of tables, each under [[...{key}]]");
        let Some(list) = self.list(key, &expected) else { return Vec::new() };
        list.iter().filter_map(|value| self.table_in(key, value)).collect()
    }

    /// What is under a key whose own keys are names that the user chose, in the order of the file.
    pub(super) fn named(&mut self, key: &'static str) -> Vec<(Placed<String>, &'t Spanned<DeValue<'t>>)> {
        self.named_with(key, |_| String::new())
    }

    /// Like [`Self::named`]; `advice` is added to the hint where a name is none.
    pub(super) fn named_with(
        &mut self,
        key: &'static str,
        advice: impl Fn(&str) -> String,
    ) -> Vec<(Placed<String>, &'t Spanned<DeValue<'t>>)> {
        let Some(table) = self.table(key) else { return Vec::new() };
        let entries = table.entries();
        for (name, _) in &entries {
            if let Err(mut complaint) = check_identifier(&name.value) {
                complaint.hint = complaint.hint.map(|hint| joined(hint, &advice(&name.value)));
                self.complain(&name.place, complaint);
            }
        }
        entries
    }

    /// All keys with their values, in the order of the file.
    pub(super) fn entries(self) -> Vec<(Placed<String>, &'t Spanned<DeValue<'t>>)> {
        let mut entries: Vec<_> = self
            .table
            .iter()
            .map(|(key, value)| (Placed { value: key.get_ref().to_string(), place: key.span() }, value))
            .collect();
        entries.sort_by_key(|(name, _)| name.place.start);
        entries
    }

    /// Whether the user gave a key, a misspelt one included: what follows from its absence is not worth telling then.
    pub(super) fn meant(&self, key: &str) -> bool {
        self.table.contains_key(key) || self.table.keys().any(|found| nearest(found.get_ref(), [key]).is_some())
    }

    /// Reports the keys that nobody asked for, then those that should be there and are not (and were not just misspelt).
    pub(super) fn finish(self) {
        self.finish_as("key");
    }

    /// Like [`Self::finish`], for keys that the user knows by another word.
    pub(super) fn finish_as(self, what: &str) {
        let Self { problems, place, table, known, mut missing } = self;
        let mut unknown: Vec<_> = table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())).collect();
        unknown.sort_by_key(|key| key.span().start);
        for key in unknown {
            let absent = known.iter().copied().filter(|known| !table.contains_key(*known));
            missing.retain(|missing| nearest(key.get_ref(), absent.clone()) != Some(missing));
            let hint = suggest(key.get_ref(), absent, &format!("{what}s that can be added here"));
            problems.add(&key.span(), Complaint::new(format!("unknown {what} `{}`", key.get_ref())).maybe_hint(hint));
        }
        for key in missing {
            let hint = (key == "pipeline").then(|| "add [pipeline] with a `name`".to_owned());
            problems.add(&place, Complaint::new(format!("missing {what} `{key}`")).maybe_hint(hint));
        }
    }

    pub(super) fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.complain(&value.span(), Complaint::new(format!("`{key}` must be {expected}, not {found}")));
    }
}

/// A hint and what else can be said.
fn joined(hint: String, more: &str) -> String {
    match more {
        "" => hint,
        more if hint.ends_with('?') => format!("{hint} {more}"),
        more => format!("{hint}; {more}"),
    }
}

pub(super) fn whole_number(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}
