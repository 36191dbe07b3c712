//! Looks at a definition's SQL without data: everything that is wrong with a table's statements, or doubtful, each finding
//! with its place.
//!
//! A place is a path of keys below the table's section, or a piece of its SQL; who read the definition's text can tell the line.
//! Nothing is opened and nothing is written. A table whose input is wrong is not looked at: its findings would be about that.

mod cassandra;
mod raw;
#[cfg(test)]
mod tests;
mod use_case;

use std::collections::BTreeSet;
use std::ops::Range;

use arrow::datatypes::SchemaRef;
use model::definition::{Severity, suggest};

use crate::sql::{Facts, Mistake};

pub use cassandra::cassandra;
pub use raw::raw;
pub use use_case::use_case;

/// Something about a table that its author should know.
#[derive(Debug, Clone)]
pub struct Finding {
    pub at: Part,
    pub severity: Severity,
    pub message: String,
    pub hint: Option<String>,
}

/// Where a finding is: below the table's section, or in its SQL file.
#[derive(Debug, Clone)]
pub enum Part {
    Key(Vec<String>),
    Value(Vec<String>),
    /// Bytes of a text in the definition.
    InText(Vec<String>, Range<usize>),
    /// Bytes of the table's SQL file.
    InSql(Range<usize>),
}

/// What is known about a table after looking at it.
#[derive(Debug, Clone, Default)]
pub struct Inspection {
    /// The table's columns, nullable where they may be null; `None` where that cannot be told.
    pub schema: Option<SchemaRef>,
    pub findings: Vec<Finding>,
    /// Columns that have a few values at most.
    few_values: BTreeSet<String>,
    facts: Facts,
}

impl Inspection {
    fn find(&mut self, severity: Severity, at: Part, message: impl Into<String>, hint: Option<String>) {
        self.findings.push(Finding { at, severity, message: message.into(), hint });
    }

    fn error(&mut self, at: Part, message: impl Into<String>, hint: Option<String>) {
        self.find(Severity::Error, at, message, hint);
    }

    fn warn(&mut self, at: Part, message: impl Into<String>, hint: Option<String>) {
        self.find(Severity::Warning, at, message, hint);
    }

    fn mistakes(&mut self, mistakes: Vec<Mistake>, at: impl Fn(Range<usize>) -> Part) {
        for mistake in mistakes {
            self.error(at(mistake.at), mistake.message, mistake.hint);
        }
    }

    /// Whether anything is wrong, beyond what is doubtful.
    pub fn is_wrong(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

fn path<const N: usize>(keys: [&str; N]) -> Vec<String> {
    keys.map(str::to_owned).to_vec()
}

/// What to do about a column that a statement should yield and does not.
fn not_yielded(name: &str, schema: &SchemaRef) -> Option<String> {
    suggest(name, schema.fields().iter().map(|field| field.name().as_str()), "it yields")
}
