//! Which dates the debug slice stands for, once they are known.
//!
//! Positions ("the 4th to 6th date") are resolved by the first file that is loaded; later files of the debug lake keep to the
//! same dates.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use chrono::NaiveDate;
use model::slice::Slice;
use serde::{Deserialize, Serialize};
use zones::lake::Lake;

use crate::error::Error;

const FILE: &str = "slice.json";

/// What the debug lake was made with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    slice: String,
    /// Dates by raw table.
    dates: BTreeMap<String, BTreeSet<NaiveDate>>,
}

/// The dates of one raw table in a debug lake.
pub struct SliceMemory {
    path: PathBuf,
    slice: Slice,
    table: String,
    kept: Kept,
}

impl SliceMemory {
    pub fn new(lake: &Lake, slice: Slice, table: &str) -> Self {
        let path = lake.state_folder().join(FILE);
        let kept = read(&path).unwrap_or_default();
        Self { path, slice, table: table.to_owned(), kept }
    }

    /// The dates of `present` that are taken.
    pub fn choose(&self, present: &BTreeSet<NaiveDate>) -> BTreeSet<NaiveDate> {
        match self.kept.dates.get(&self.table) {
            Some(dates) => present.intersection(dates).copied().collect(),
            None => self.slice.choose(present),
        }
    }

    /// Keeps the dates of the first file.
    pub fn keep(&self, dates: &BTreeSet<NaiveDate>) -> Result<(), Error> {
        if dates.is_empty() || self.kept.dates.contains_key(&self.table) {
            return Ok(());
        }
        let mut kept = read(&self.path).unwrap_or_default();
        kept.slice = self.slice.to_string();
        kept.dates.insert(self.table.clone(), dates.clone());
        write(&self.path, &kept)
    }
}

/// The slice that a debug lake was made with; `None` where it is new.
pub fn slice_of(lake: &Lake) -> Option<String> {
    read(&lake.state_folder().join(FILE)).map(|kept| kept.slice)
}

/// Marks a debug lake as made with `slice`.
pub fn mark(lake: &Lake, slice: &Slice) -> Result<(), Error> {
    write(&lake.state_folder().join(FILE), &Kept { slice: slice.to_string(), dates: BTreeMap::new() })
}

fn read(path: &std::path::Path) -> Option<Kept> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn write(path: &std::path::Path, kept: &Kept) -> Result<(), Error> {
    let in_file = |source| Error::State { path: path.display().to_string(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(in_file)?;
    }
    let temporary = path.with_extension("part");
    std::fs::write(&temporary, serde_json::to_vec(kept).expect("plain data")).map_err(in_file)?;
    std::fs::rename(&temporary, path).map_err(in_file)
}
