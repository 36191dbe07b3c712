//! Values inside of JSON values, found in their text.

use std::borrow::Cow;
use std::fmt;

use model::definition::{FieldPath, Step};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A step that paths have in common, and what is wanted of the value there.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The columns whose paths end here.
    pub(super) columns: Vec<usize>,
    fields: Vec<(String, Node)>,
    elements: Vec<(usize, Node)>,
}

/// A value on the way that is not what the paths lead through.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotThere {
    pub(super) column: usize,
    pub(super) found: &'static str,
}

impl Node {
    /// The paths as a tree; the columns are their places in the list.
    pub(super) fn tree(paths: &[FieldPath]) -> Self {
        let mut root = Self::default();
        for (column, path) in paths.iter().enumerate() {
            let mut node = &mut root;
            for step in &path.steps {
                node = match step {
                    Step::Field(name) => child(&mut node.fields, name),
                    Step::Index(index) => child(&mut node.elements, index),
                };
            }
            node.columns.push(column);
        }
        root
    }

    pub(super) fn field(&self, place: usize) -> &Self {
        &self.fields[place].1
    }

    fn is_leaf(&self) -> bool {
        self.fields.is_empty() && self.elements.is_empty()
    }

    fn any_column(&self) -> usize {
        let below = || self.fields.iter().map(|(_, node)| node).chain(self.elements.iter().map(|(_, node)| node));
        self.columns.first().copied().unwrap_or_else(|| below().map(Self::any_column).min().expect("a path ends somewhere"))
    }

    /// Fills in the texts of the columns below a value. What is not there stays `None`; below a null everything is null.
    pub(super) fn find<'a>(
        &self,
        token: &'a str,
        found: &mut [Option<&'a str>],
    ) -> Result<(), Result<NotThere, serde_json::Error>> {
        for column in &self.columns {
            found[*column] = Some(token);
        }
        if self.is_leaf() {
            return Ok(());
        }
        let is_wrong = |found| Err(Ok(NotThere { column: self.any_below(), found }));
        match token.as_bytes().first() {
            Some(b'{') if self.elements.is_empty() => {
                let names: Vec<&str> = self.fields.iter().map(|(name, _)| name.as_str()).collect();
                let mut json = serde_json::Deserializer::from_str(token);
                let tokens = Members(&names).deserialize(&mut json).map_err(Err)?;
                self.fields
                    .iter()
                    .zip(tokens)
                    .try_for_each(|((_, node), token)| token.map_or(Ok(()), |token| node.find(token, found)))
            }
            Some(b'[') if self.fields.is_empty() => {
                let mut json = serde_json::Deserializer::from_str(token);
                let last = self.elements.iter().map(|(index, _)| *index).max().unwrap_or(0);
                let tokens = Elements(last).deserialize(&mut json).map_err(Err)?;
                self.elements
                    .iter()
                    .try_for_each(|(index, node)| tokens.get(*index).map_or(Ok(()), |token| node.find(token, found)))
            }
            Some(b'n') => {
                self.mark_null(found);
                Ok(())
            }
            Some(b'{') => is_wrong("a list that is an object"),
            Some(b'[') => is_wrong("an object that is a list"),
            _ => is_wrong("a value that is neither an object nor a list"),
        }
    }

    fn any_below(&self) -> usize {
        let below = self.fields.iter().map(|(_, node)| node).chain(self.elements.iter().map(|(_, node)| node));
        below.map(Self::any_column).min().expect("it is no leaf")
    }

    fn mark_null(&self, found: &mut [Option<&str>]) {
        for column in &self.columns {
            found[*column] = Some("null");
        }
        for node in self.fields.iter().map(|(_, node)| node).chain(self.elements.iter().map(|(_, node)| node)) {
            node.mark_null(found);
        }
    }
}

fn child<'n, K: PartialEq + Clone>(children: &'n mut Vec<(K, Node)>, key: &K) -> &'n mut Node {
    let place = children.iter().position(|(found, _)| found == key).unwrap_or_else(|| {
        children.push((key.clone(), Node::default()));
        children.len() - 1
    });
    &mut children[place].1
}

/// Reads an object's wanted members as raw JSON text, in the order of the names.
struct Members<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = Vec<Option<&'de str>>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Vec<Option<&'de str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut tokens = vec![None; self.0.len()];
        while let Some(name) = map.next_key_seed(Name)? {
            let Some(place) = self.0.iter().position(|wanted| *wanted == name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let token = map.next_value::<&RawValue>()?.get();
            if tokens[place].replace(token).is_some() {
                return Err(serde::de::Error::custom(format_args!("the field {name} is there twice")));
            }
        }
        Ok(tokens)
    }
}

/// Reads the first elements of a list, up to this one, as raw JSON text.
struct Elements(usize);

impl<'de> DeserializeSeed<'de> for Elements {
    type Value = Vec<&'de str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut tokens = Vec::new();
        while tokens.len() <= self.0 {
            let Some(token) = list.next_element::<&RawValue>()? else { return Ok(tokens) };
            tokens.push(token.get());
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(tokens)
    }
}

/// Reads a key; one with escapes is not borrowed.
pub(super) struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(paths: &[&str], json: &'a str) -> Result<Vec<Option<&'a str>>, String> {
        let paths: Vec<FieldPath> = paths.iter().map(|path| FieldPath::parse(path).unwrap()).collect();
        let mut found = vec![None; paths.len()];
        match Node::tree(&paths).find(json, &mut found) {
            Ok(()) => Ok(found),
            Err(Ok(wrong)) => Err(format!("{}: {}", wrong.column, wrong.found)),
            Err(Err(error)) => Err(error.to_string()),
        }
    }

    #[test]
    fn values_are_found_by_their_paths_as_they_were_written() {
        let json = r#"{"user": {"name": "Ann", "address": {"city": "Oulu", "zip": null}}, "items": [{"sku": 1}, {"sku": [2, 3]}], "a.b": {"c": 1.50}}"#;
        let paths =
            ["user.address.city", "items[1].sku[0]", "\"a.b\".c", "user.address", "user.address.zip", "items[2].sku", "user.age"];
        let found = find(&paths, json).unwrap();
        let address = r#"{"city": "Oulu", "zip": null}"#;
        assert_eq!(found, [Some("\"Oulu\""), Some("2"), Some("1.50"), Some(address), Some("null"), None, None]);
    }

    #[test]
    fn below_a_null_everything_is_null_and_nothing_is_below_a_plain_value() {
        assert_eq!(find(&["user.address.city"], r#"{"user": null}"#), Ok(vec![Some("null")]));
        assert_eq!(find(&["user.city"], r#"{"user": "Ann"}"#), Err("0: a value that is neither an object nor a list".into()));
        assert_eq!(find(&["x", "user.city"], r#"{"user": [1]}"#), Err("1: an object that is a list".into()));
        assert_eq!(find(&["user[0]"], r#"{"user": {"0": 1}}"#), Err("0: a list that is an object".into()));
        assert!(find(&["a.b"], r#"{"a": {"b": 1, "b": 2}}"#).unwrap_err().starts_with("the field b is there twice"));
    }
}
