//! Which table's row is meant by a key as it was written.

use model::definition::{Origin, Pipeline, suggest};

use crate::error::Error;

/// A table, and the columns and values that its row is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) origin: Origin,
    pub(super) pairs: Vec<(String, String)>,
}

impl Target {
    pub(super) fn of(pipeline: &Pipeline, table: Option<&str>, written: &[String]) -> Result<Self, Error> {
        let keys = keys(pipeline);
        let pairs = pairs(written);
        let unclear = |problem: String, hint: String| Error::Semantics {
            place: format!("pipeline {}", pipeline.name),
            problem,
            hint: Some(hint),
        };
        let listed = || {
            let named = keys.iter().filter(|(_, key)| !key.is_empty());
            let listed: Vec<String> = named.map(|(origin, key)| format!("{origin} ({})", key.join(", "))).collect();
            format!("keys: {}", listed.join("; "))
        };
        let Some(table) = table else {
            let fitting = keys.iter().find_map(|(origin, key)| fitted(origin, key, &pairs));
            return fitting.ok_or_else(|| unclear("no table has a key of such columns".to_owned(), listed()));
        };
        let is_it = |origin: &Origin| origin.to_string() == table || origin.table() == table;
        let Some((origin, key)) = keys.iter().find(|(origin, _)| is_it(origin)) else {
            let names: Vec<String> = keys.iter().map(|(origin, _)| origin.to_string()).collect();
            let hint = suggest(table, names.iter().map(String::as_str), "tables").unwrap_or_else(listed);
            return Err(unclear(format!("there is no table `{table}`"), hint));
        };
        if let Some(target) = fitted(origin, key, &pairs) {
            return Ok(target);
        }
        // Rows of a raw table can be asked for by any of its columns.
        match (origin, pairs.iter().map(|(name, value)| Some((name.clone()?, value.clone()))).collect()) {
            (Origin::Raw(_), Some(pairs)) => Ok(Self { origin: origin.clone(), pairs }),
            _ if key.is_empty() => Err(unclear(format!("{origin} has no key"), "name columns: COLUMN=VALUE".to_owned())),
            _ => Err(unclear(
                format!("the key of {origin} is {}", key.join(", ")),
                format!("write {}", key.iter().map(|name| format!("{name}=...")).collect::<Vec<_>>().join(" ")),
            )),
        }
    }
}

/// Every table with its key, use cases first.
fn keys(pipeline: &Pipeline) -> Vec<(Origin, &[String])> {
    let use_cases = pipeline.use_cases.iter().map(|table| (Origin::UseCase(table.name.clone()), table.key.as_slice()));
    let raw = pipeline.raw.iter().map(|table| (Origin::Raw(table.name.clone()), table.unique_key.as_slice()));
    use_cases.chain(raw).collect()
}

/// `COLUMN=VALUE`, or a value alone.
fn pairs(written: &[String]) -> Vec<(Option<String>, String)> {
    let is_name = |text: &str| !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) if is_name(name) => (Some(name.to_owned()), value.to_owned()),
        _ => (None, text.clone()),
    };
    written.iter().map(pair).collect()
}

/// The values in the order of the key, where they are just its columns.
fn fitted(origin: &Origin, key: &[String], pairs: &[(Option<String>, String)]) -> Option<Target> {
    if key.is_empty() || key.len() != pairs.len() {
        return None;
    }
    let value = |name: &String| {
        let found = pairs.iter().find(|(column, _)| column.as_ref().is_none_or(|column| column == name));
        found.filter(|(column, _)| column.is_some() || key.len() == 1).map(|(_, value)| (name.clone(), value.clone()))
    };
    let pairs = key.iter().map(value).collect::<Option<Vec<_>>>()?;
    Some(Target { origin: origin.clone(), pairs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_columns_in_any_order_or_one_value_alone() {
        let origin = Origin::UseCase("days".into());
        let fit = |key: &[&str], written: &[&str]| {
            let key: Vec<String> = key.iter().map(|name| (*name).to_owned()).collect();
            let written: Vec<String> = written.iter().map(|text| (*text).to_owned()).collect();
            fitted(&origin, &key, &pairs(&written))
                .map(|target| target.pairs.into_iter().map(|(_, value)| value).collect::<Vec<_>>())
        };
        assert_eq!(fit(&["a", "b"], &["b=2", "a=1"]).unwrap(), ["1", "2"]);
        assert_eq!(fit(&["a"], &["x=y"]), None);
        assert_eq!(fit(&["a"], &["17 = x"]).unwrap(), ["17 = x"]);
        assert_eq!(fit(&["a"], &["a==="]).unwrap(), ["=="]);
        assert_eq!((fit(&["a", "b"], &["1", "2"]), fit(&["a", "b"], &["a=1"])), (None, None));
    }
}
