//! A pipeline's definition: what `pipeline.toml` and its SQL files say, checked.
//!
//! A [`Pipeline`] value cannot be wrong in itself: names resolve, keys exist, limits are in range. What needs an engine to be
//! seen (that the SQL plans and yields the columns) is checked where the engine is.

pub mod contract;
mod contract_record;
pub mod defaults;
pub mod endpoints;
mod error;
mod hash;
mod names;
pub mod pages;
mod parse;
mod path;
mod places;
mod reader;
pub mod reference;
mod secrets;
pub mod sources;
pub mod tables;
#[cfg(test)]
mod tests;
mod units;
mod variables;

pub use contract::{
    Ambiguous, BinaryEncoding, Check, Column, ColumnSource, ColumnType, EpochUnit, MissingFields, OnFailure, OnNull, Reading,
    TimeFormat, UnknownFields,
};
pub use contract_record::{ContractChange, ContractChangeKind, ContractRecord};
pub use endpoints::Endpoint;
pub use error::{DefinitionErrors, Problem, Severity};
pub use hash::load_hash;
pub use names::{MAX_NAME_LENGTH, nearest, suggest};
pub use pages::Page;
pub use parse::{DefinitionText, Reading as DefinitionReading, URL_SCHEMES, read, read_all};
pub use path::{FieldPath, Step};
pub use places::{Places, Spot};
pub use sources::{Dates, LastDate, Location, OnMissing, Source, TooManyDates, UrlTemplate};
pub use tables::{
    CassandraColumn, CassandraTable, Compression, Csv, Fold, Format, Header, Landing, Merge, Mode, OnChange, Order, Origin,
    RawTable, SmallDate, TextEncoding, UseCaseColumn, UseCaseTable,
};
pub use units::{parse_duration, parse_size};

use serde::{Deserialize, Serialize};

/// A whole pipeline. Tables are in the order of the file.
#[derive(Debug, Clone)]
pub struct Pipeline {
    pub name: String,
    pub description: Option<String>,
    pub clock: PipelineClock,
    pub sources: Vec<Source>,
    pub landings: Vec<Landing>,
    pub raw: Vec<RawTable>,
    pub use_cases: Vec<UseCaseTable>,
    pub cassandra: Vec<CassandraTable>,
    /// What the REST API answers.
    pub endpoints: Vec<Endpoint>,
    /// What the dashboard shows of the data.
    pub pages: Vec<Page>,
    /// SHA-256 (hex) over everything that decides what a load yields; a half-done load is only resumed under the same one.
    pub hash: String,
}

/// What "now" is for retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PipelineClock {
    Wall,
    /// The newest event that was accepted.
    NewestEvent,
    Fixed(chrono::DateTime<chrono::Utc>),
}

impl Pipeline {
    pub fn source(&self, name: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.name == name)
    }

    pub fn landing(&self, name: &str) -> Option<&Landing> {
        self.landings.iter().find(|landing| landing.name == name)
    }

    pub fn raw_table(&self, name: &str) -> Option<&RawTable> {
        self.raw.iter().find(|table| table.name == name)
    }

    pub fn cassandra_table(&self, name: &str) -> Option<&CassandraTable> {
        self.cassandra.iter().find(|table| table.name == name)
    }

    pub fn use_case(&self, name: &str) -> Option<&UseCaseTable> {
        self.use_cases.iter().find(|table| table.name == name)
    }
}
