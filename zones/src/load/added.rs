//! Columns that files add: one for each field that the contract does not name.
//!
//! While a file is read, a record's unknown fields are one JSON object; the plan says which columns they become, and each batch
//! is given them when it is committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema};
use model::definition::contract::UNKNOWN;
use model::definition::{MAX_NAME_LENGTH, RawTable};
use serde_json::value::RawValue;

use super::contract::raw_schema;
use crate::decode::Drift;
use crate::error::Error;

/// Names of columns by the fields that they hold, or why a field cannot become a column.
pub(super) fn columns_for(drift: &Drift, table: &RawTable) -> Result<BTreeMap<String, String>, String> {
    if drift.has_more_unknown_than_names() {
        return Err(format!("it has more than {} fields that the contract does not name", drift.unknown.len() - 1));
    }
    let schema = raw_schema(table);
    let mut columns: BTreeMap<String, String> = BTreeMap::new();
    for field in drift.unknown.keys() {
        let why = |why: String| Err(format!("the unknown field `{field}` cannot become a column: {why}"));
        let name = snake_case(field);
        if !name.starts_with(|first: char| first.is_ascii_lowercase()) || name.len() > MAX_NAME_LENGTH {
            return why(format!("no name of a-z, 0-9 and _, with at most {MAX_NAME_LENGTH} characters, can be made of it"));
        }
        if schema.field_with_name(&name).is_ok() {
            return why(format!("the table has a column `{name}` already"));
        }
        if let Some((other, _)) = columns.iter().find(|(_, column)| **column == name) {
            return why(format!("`{other}` would become `{name}`, too"));
        }
        columns.insert(field.clone(), name);
    }
    Ok(columns)
}

/// `Unit Price (EUR)` as `unit_price_eur`, `userID` as `user_id`.
fn snake_case(field: &str) -> String {
    let mut name = String::new();
    let mut before = ' ';
    let mut letters = field.chars().peekable();
    while let Some(letter) = letters.next() {
        let next_is_lower = letters.peek().is_some_and(char::is_ascii_lowercase);
        let begins_word = letter.is_ascii_uppercase()
            && (before.is_ascii_lowercase() || before.is_ascii_digit() || (before.is_ascii_uppercase() && next_is_lower));
        if begins_word || !letter.is_alphanumeric() {
            name.push('_');
        }
        if letter.is_ascii_alphanumeric() {
            name.push(letter.to_ascii_lowercase());
        } else if letter.is_alphanumeric() {
            return String::new();
        }
        before = letter;
    }
    name.split('_').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_")
}

/// The rows with a column for each added field in the place of the object that held them.
pub(crate) fn expand(rows: &RecordBatch, added: &BTreeMap<String, String>) -> Result<RecordBatch, Error> {
    let Some((place, _)) = rows.schema_ref().column_with_name(UNKNOWN) else { return Ok(rows.clone()) };
    let objects = rows.column(place).as_string::<i32>();
    let mut builders: BTreeMap<&str, StringBuilder> = added.keys().map(|field| (field.as_str(), StringBuilder::new())).collect();
    for row in 0..objects.len() {
        let members: BTreeMap<String, &RawValue> = if objects.is_valid(row) {
            serde_json::from_str(objects.value(row)).expect("the decoder wrote an object")
        } else {
            BTreeMap::new()
        };
        for (field, builder) in &mut builders {
            builder.append_option(members.get(*field).and_then(|value| text_of(value.get())));
        }
    }
    let mut fields: Vec<Field> = rows.schema_ref().fields().iter().map(|field| field.as_ref().clone()).collect();
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    fields.remove(place);
    columns.remove(place);
    for (field, mut builder) in builders {
        fields.push(Field::new(&added[field], DataType::Utf8, true));
        let column: StringArray = builder.finish();
        columns.push(Arc::new(column));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(Error::arrow("add columns"))
}

/// A string's content, and any other value as its JSON text.
fn text_of(json: &str) -> Option<String> {
    match json {
        "null" => None,
        text if text.starts_with('"') => serde_json::from_str(text).ok(),
        other => Some(other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fields_become_names_of_columns() {
        for (field, name) in [
            ("mood", "mood"),
            ("userID", "user_id"),
            ("HTTPStatus", "http_status"),
            ("Unit Price (EUR)", "unit_price_eur"),
            ("geo.lat", "geo_lat"),
            ("_id", "id"),
            ("x2Y", "x2_y"),
            ("größe", ""),
            ("", ""),
        ] {
            assert_eq!(snake_case(field), name, "{field}");
        }
    }

    #[test]
    fn values_become_text_and_what_is_not_there_is_null() {
        let objects = StringArray::from(vec![Some(r#"{"Mood":"a\"b","n":1.50,"l":[1]}"#), None, Some(r#"{"n":null,"Mood":7}"#)]);
        let rows = RecordBatch::try_from_iter([(UNKNOWN, Arc::new(objects) as ArrayRef)]).unwrap();
        let added = [("Mood", "mood"), ("n", "n"), ("l", "l")].map(|(field, name)| (field.to_owned(), name.to_owned())).into();
        let rows = expand(&rows, &added).unwrap();
        let column = |name: &str| rows.column_by_name(name).unwrap().as_string::<i32>().iter().collect::<Vec<_>>();
        assert_eq!(column("mood"), [Some("a\"b"), None, Some("7")]);
        assert_eq!(column("n"), [Some("1.50"), None, None]);
        assert_eq!((column("l"), rows.num_columns()), (vec![Some("[1]"), None, None], 3));
    }
}
