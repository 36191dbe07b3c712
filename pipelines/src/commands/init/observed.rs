//! Records as columns of observed values: what types are inferred from.

use std::collections::HashMap;
use std::fmt;

use model::definition::{ColumnType, FieldPath, Step};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// One value of one field, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// Not there, or a null, or a word that stands for no value.
    Missing,
    Text(String),
    /// A JSON number, as it is written.
    Number(String),
    Boolean(bool),
    /// A list or an object.
    Nested,
}

/// What kind of file the values are from: that decides what fits what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Csv,
    Json,
    Parquet,
}

/// The values of one field, one a record.
#[derive(Debug)]
pub(super) struct Observed {
    /// As a definition writes it: a path, or a name in a header.
    pub(super) field: String,
    /// The steps of the path, for a name.
    pub(super) words: Vec<String>,
    pub(super) kind: Kind,
    pub(super) values: Vec<Seen>,
    /// The type that the file itself states, where it has types.
    pub(super) stated: Option<ColumnType>,
}

/// An object with more different fields than this is not taken apart if its records have few of them: its names are data.
const MOST_FIELDS: usize = 40;

/// The columns of CSV records. Words of `null_values` stand for no value.
pub(super) fn of_csv(names: &[String], records: &[Vec<String>], null_values: &[String]) -> Vec<Observed> {
    let seen = |record: &Vec<String>, place: usize| match record.get(place) {
        Some(text) if !null_values.contains(text) => Seen::Text(text.clone()),
        _ => Seen::Missing,
    };
    let column = |(place, name): (usize, &String)| Observed {
        field: name.clone(),
        words: vec![name.clone()],
        kind: Kind::Csv,
        values: records.iter().map(|record| seen(record, place)).collect(),
        stated: None,
    };
    names.iter().enumerate().map(column).collect()
}

/// The columns of JSON records, and how many of them are no objects. Objects in objects are taken apart, lists are not.
pub(super) fn of_json<'r>(records: impl IntoIterator<Item = &'r str>, kind: Kind) -> (Vec<Observed>, usize) {
    let (mut root, mut count, mut wrong) = (Node::default(), 0, 0);
    for record in records {
        match serde_json::from_str::<Members<'_>>(record) {
            Ok(members) => {
                root.add_members(count, members);
                count += 1;
            }
            Err(_) => wrong += 1,
        }
    }
    let mut columns = Vec::new();
    for (name, child) in root.children {
        child.flatten(vec![name], count, kind, &mut columns);
    }
    (columns, wrong)
}

/// A place in the records.
#[derive(Debug, Default)]
struct Node {
    children: Vec<(String, Node)>,
    places: HashMap<String, usize>,
    /// Values that are there, by record.
    values: Vec<(usize, Seen)>,
    objects: usize,
    members: usize,
}

impl Node {
    fn add(&mut self, record: usize, token: &str) {
        let seen = match token.as_bytes().first() {
            Some(b'{') => {
                self.objects += 1;
                if let Ok(members) = serde_json::from_str(token) {
                    self.add_members(record, members);
                }
                Seen::Nested
            }
            Some(b'[') => Seen::Nested,
            Some(b'"') => serde_json::from_str(token).map_or(Seen::Nested, Seen::Text),
            Some(b't') => Seen::Boolean(true),
            Some(b'f') => Seen::Boolean(false),
            Some(b'n') => return,
            _ => Seen::Number(token.to_owned()),
        };
        self.values.push((record, seen));
    }

    fn add_members(&mut self, record: usize, members: Members<'_>) {
        for (name, value) in members.0 {
            self.members += 1;
            let place = *self.places.entry(name.clone()).or_insert_with(|| {
                self.children.push((name, Self::default()));
                self.children.len() - 1
            });
            self.children[place].1.add(record, value.get());
        }
    }

    fn is_taken_apart(&self) -> bool {
        let is_object = self.objects > 0 && self.objects == self.values.len();
        let names_are_data = self.children.len() > MOST_FIELDS && self.members < self.children.len() * self.objects / 2;
        is_object && !self.children.is_empty() && !names_are_data
    }

    fn flatten(self, words: Vec<String>, count: usize, kind: Kind, columns: &mut Vec<Observed>) {
        if self.is_taken_apart() {
            for (name, child) in self.children {
                let mut words = words.clone();
                words.push(name);
                child.flatten(words, count, kind, columns);
            }
            return;
        }
        let mut values = vec![Seen::Missing; count];
        for (record, seen) in self.values {
            values[record] = seen;
        }
        let steps = words.iter().map(|word| Step::Field(word.clone())).collect();
        columns.push(Observed { field: FieldPath { steps }.to_string(), words, kind, values, stated: None });
    }
}

/// The members of an object in order, their values as they stand.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_taken_apart_and_lists_are_kept() {
        let records = [
            r#"{"id":1,"user":{"name":"ann","home.town":{"zip":"00501"}},"tags":["a"],"mixed":{"x":1}}"#,
            r#"{"id":2,"user":{"name":null},"mixed":3}"#,
            r#"{"id":1.50,"user":null,"ok":true}"#,
            "[1]",
            "nonsense",
        ];
        let (columns, wrong) = of_json(records, Kind::Json);
        assert_eq!(wrong, 2);
        let fields: Vec<_> = columns.iter().map(|column| column.field.as_str()).collect();
        assert_eq!(fields, ["id", "user.name", "user.\"home.town\".zip", "tags", "mixed", "ok"]);
        let text = |text: &str| Seen::Text(text.to_owned());
        let number = |text: &str| Seen::Number(text.to_owned());
        assert_eq!(columns[0].values, [number("1"), number("2"), number("1.50")]);
        assert_eq!(columns[1].values, [text("ann"), Seen::Missing, Seen::Missing]);
        assert_eq!(columns[2].values, [text("00501"), Seen::Missing, Seen::Missing]);
        assert_eq!(columns[4].values, [Seen::Nested, number("3"), Seen::Missing]);
        assert_eq!(columns[5].values, [Seen::Missing, Seen::Missing, Seen::Boolean(true)]);
    }

    #[test]
    fn an_object_whose_names_are_data_is_one_value() {
        let records: Vec<String> = (0..100).map(|n| format!("{{\"scores\":{{\"player{n}\":1}}}}")).collect();
        let (columns, _) = of_json(records.iter().map(String::as_str), Kind::Json);
        assert_eq!((columns.len(), columns[0].field.as_str()), (1, "scores"));
    }
}
