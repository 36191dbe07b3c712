//! Which entries of an archive are read, by their names.

use std::path::Path;

use glob::{MatchOptions, Pattern};

use super::error::{Defect, Error};

/// A zip's directory of this many entries takes some 50 MB of memory; real deliveries have a few.
pub(super) const MAX_ENTRIES: u64 = 100_000;

/// How many names an error lists.
const NAMES_IN_ERROR: usize = 20;

/// `*` takes folders too, so that the pattern `*` means every entry; names with a leading dot (as `._x.csv`, which macOS adds)
/// have to be asked for.
const MATCHING: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: false, require_literal_leading_dot: true };

/// A glob, and what it has met so far.
#[derive(Debug)]
pub(super) struct Selection {
    pattern: Pattern,
    has_matched: bool,
    /// The first in order, as many as an error lists.
    names: Vec<String>,
    count: usize,
}

impl Selection {
    pub(super) fn new(path: &Path, pattern: &str) -> Result<Self, Error> {
        let pattern = Pattern::new(pattern).map_err(|error| {
            Error::new(path, None, Defect::Pattern { pattern: pattern.to_owned(), reason: error.msg.to_owned() })
        })?;
        Ok(Self { pattern, has_matched: false, names: Vec::new(), count: 0 })
    }

    /// Whether the entry is to be read. To be asked once for each.
    pub(super) fn takes(&mut self, name: &str) -> bool {
        self.count += 1;
        let takes = self.pattern.matches_with(name, MATCHING);
        self.has_matched |= takes;
        if self.has_matched {
            self.names.clear();
        } else {
            let at = self.names.partition_point(|known| known.as_str() < name);
            self.names.insert(at, name.to_owned());
            self.names.truncate(NAMES_IN_ERROR);
        }
        takes
    }

    /// After the last entry: an archive none of whose entries was taken is an error.
    pub(super) fn finish(&mut self) -> Result<(), Defect> {
        if self.has_matched {
            return Ok(());
        }
        let mut names = std::mem::take(&mut self.names);
        match self.count - names.len() {
            0 if names.is_empty() => names.push("none".to_owned()),
            0 => {}
            more => names.push(format!("and {more} more")),
        }
        Err(Defect::NoMatch { pattern: self.pattern.as_str().to_owned(), names })
    }
}

/// Whether a file written under this name, on any system, could lie outside of its folder.
pub(super) fn escapes(name: &str) -> bool {
    let has_drive = name.as_bytes().get(1) == Some(&b':') && name.as_bytes()[0].is_ascii_alphabetic();
    name.is_empty()
        || has_drive
        || name.starts_with('/')
        || name.contains(['\\', '\0'])
        || name.split('/').any(|part| part == "..")
}
