//! Tables as a person names them: `raw.NAME`, `use_case.NAME`, `cassandra.NAME`, or a name that only one table has.

use model::definition::{Origin, Pipeline, nearest, suggest};

use crate::error::Error;

/// A table of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    Lake(Origin),
    Cassandra(String),
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lake(origin) => origin.fmt(f),
            Self::Cassandra(table) => write!(f, "cassandra.{table}"),
        }
    }
}

/// The table of this name.
pub fn find(pipeline: &Pipeline, name: &str) -> Result<Named, Error> {
    let raw = pipeline.raw.iter().map(|table| Named::Lake(Origin::Raw(table.name.clone())));
    let use_cases = pipeline.use_cases.iter().map(|table| Named::Lake(Origin::UseCase(table.name.clone())));
    let cassandra = pipeline.cassandra.iter().map(|table| Named::Cassandra(table.name.clone()));
    let all: Vec<(String, Named)> = raw.chain(use_cases).chain(cassandra).map(|named| (named.to_string(), named)).collect();
    let bare = |full: &str| full.split_once('.').map_or_else(|| full.to_owned(), |(_, table)| table.to_owned());
    let found: Vec<&(String, Named)> = all.iter().filter(|(full, _)| *full == name || bare(full) == name).collect();
    match found.as_slice() {
        [(_, named)] => Ok(named.clone()),
        [] => {
            let names: Vec<String> = all.iter().map(|(full, _)| bare(full)).collect();
            let near = nearest(name, names.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?"));
            let hint = near.or_else(|| suggest(name, all.iter().map(|(full, _)| full.as_str()), "tables"));
            Err(unclear(pipeline, format!("there is no table `{name}`"), hint))
        }
        several => {
            let names: Vec<&str> = several.iter().map(|(full, _)| full.as_str()).collect();
            let hint = format!("say which: {}", names.join(", "));
            Err(unclear(pipeline, format!("there are {} tables `{name}`", several.len()), Some(hint)))
        }
    }
}

fn unclear(pipeline: &Pipeline, problem: String, hint: Option<String>) -> Error {
    Error::Semantics { place: format!("pipeline {}", pipeline.name), problem, hint }
}
