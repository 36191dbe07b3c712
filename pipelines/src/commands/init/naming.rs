//! Names of tables and columns, from whatever a file or a field is called.

use std::collections::HashSet;

use model::definition::MAX_NAME_LENGTH;

/// Names that are taken.
#[derive(Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    pub(super) fn unused(&mut self, text: &str, otherwise: &str) -> String {
        let plain = snake(text);
        let plain = if plain.is_empty() { otherwise.to_owned() } else { plain };
        let mut name = plain.clone();
        for number in 2.. {
            if self.0.insert(name.clone()) {
                break;
            }
            let number = format!("_{number}");
            name = format!("{}{number}", &plain[..plain.len().min(MAX_NAME_LENGTH - number.len())]);
        }
        name
    }
}

/// A name of a-z, 0-9 and `_` that begins with a letter; empty where there is nothing of that.
pub(super) fn snake(text: &str) -> String {
    let mut name = String::new();
    let mut before = ' ';
    for character in text.chars() {
        if character.is_ascii_alphanumeric() {
            if character.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
                name.push('_');
            }
            name.push(character.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
        before = character;
    }
    let name = name.trim_matches('_');
    let name = if name.starts_with(|first: char| first.is_ascii_digit()) { format!("c_{name}") } else { name.to_owned() };
    name[..name.len().min(MAX_NAME_LENGTH)].trim_end_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_from_whatever_a_field_is_called() {
        for (text, name) in [
            ("userId", "user_id"),
            ("Unit Price (EUR)", "unit_price_eur"),
            ("1", "c_1"),
            ("HTTPStatus", "httpstatus"),
            ("_id", "id"),
            ("größe", "gr_e"),
        ] {
            assert_eq!(snake(text), name);
        }
        let mut names = Names::default();
        assert_eq!(
            (names.unused("a b", "x"), names.unused("a_b", "x"), names.unused("!", "x")),
            ("a_b".into(), "a_b_2".into(), "x".into())
        );
    }
}
