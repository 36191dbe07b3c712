//! What is wrong with a definition: every problem of the folder at once, each at its place.
//!
//! No message and no text in here shows a secret: values of headers, and user names, passwords and queries of urls, are masked
//! before an error leaves this module's parent.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::Serialize;

use crate::failure::{Classify, Failure};

/// One thing that is wrong, where it is, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub message: String,
    /// The file as it was named by the caller.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// In bytes from the beginning of the file.
    pub offset: usize,
    /// In bytes; 0 where something is missing at `offset`.
    pub length: usize,
    pub hint: Option<String>,
    pub severity: Severity,
}

/// Whether a problem stops a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    /// It may be what the author wants.
    Warning,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// All problems of a definition, in the order of the file. Displayed, it is one line for each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct DefinitionErrors {
    /// The file as it was named by the caller.
    pub path: String,
    /// The file's text with secrets masked, byte for byte as long as the file: offsets of problems fit both.
    pub text: String,
    /// The texts of the other files by their paths, named as `path` is.
    pub files: BTreeMap<String, String>,
    /// Never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for DefinitionErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl Classify for DefinitionErrors {
    fn failure(&self) -> Failure {
        Failure::Definition
    }
}

/// A range of bytes of the file.
pub(super) type Span = Range<usize>;

/// A value and where it was written.
#[derive(Debug, Clone)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) place: Span,
}

/// What is wrong with a piece of text, before it is known where that text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Complaint {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        self.maybe_hint(Some(hint.into()))
    }

    pub(super) fn maybe_hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }
}

/// Collects problems while reading goes on.
pub(super) struct Problems<'t> {
    path: &'t str,
    text: &'t str,
    found: RefCell<Vec<Problem>>,
}

impl<'t> Problems<'t> {
    pub(super) fn new(path: &'t str, text: &'t str) -> Self {
        Self { path, text, found: RefCell::default() }
    }

    pub(super) fn add(&self, place: &Span, complaint: Complaint) {
        let (line, column) = line_and_column(self.text, place.start);
        self.found.borrow_mut().push(Problem {
            message: complaint.message,
            file: self.path.to_owned(),
            line,
            column,
            offset: place.start,
            length: place.end.saturating_sub(place.start),
            hint: complaint.hint,
            severity: Severity::Error,
        });
    }

    /// How many problems were noted until now.
    pub(super) fn count(&self) -> usize {
        self.found.borrow().len()
    }

    /// What was written at a place, as written.
    pub(super) fn written_at(&self, place: &Span) -> &'t str {
        self.text.get(place.clone()).unwrap_or_default()
    }

    /// Whether a place is in a line such as `[source.events]`.
    pub(super) fn is_header(&self, place: &Span) -> bool {
        let before = self.text.get(..place.start).unwrap_or_default();
        before.rsplit('\n').next().is_some_and(|line| line.trim_start_matches('\u{feff}').starts_with('['))
    }

    /// In the order of the file.
    pub(super) fn into_sorted(self) -> Vec<Problem> {
        let mut problems = self.found.into_inner();
        problems.sort_by_key(|problem| problem.offset);
        problems.dedup();
        problems
    }
}

pub(super) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let mut before = text.get(..offset).unwrap_or(text);
    // A byte order mark takes no column in any editor.
    before = before.strip_prefix('\u{feff}').unwrap_or(before);
    let line_start = before.rfind('\n').map_or(0, |end_of_line| end_of_line + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_begin_at_one() {
        assert_eq!(line_and_column("", 0), (1, 1));
        assert_eq!(line_and_column("ab\ncd", 2), (1, 3));
        assert_eq!(line_and_column("ab\ncd", 3), (2, 1));
        assert_eq!(line_and_column("é = x", 5), (1, 5));
        assert_eq!(line_and_column("\u{feff}ab", 3), (1, 1));
    }
}
