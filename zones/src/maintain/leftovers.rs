//! What crashed runs left outside of the tables' own files: spilled rows of loads that are done, downloads that nobody goes on with,
//! files that were never renamed into place, tables that are half removed.
//!
//! Guarantee: a load that is under way keeps its plan and its rows, and a landed file stays. Whatever goes is older than the safe
//! age; the lake is held, so no run of ours writes it. Never: follows a link; leaves the pipeline's part of the lake.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use model::crash;
use model::definition::Pipeline;
use model::maintenance::{MaintenanceStep, StepReport};
use model::position::FilePosition;

use super::Rules;
use crate::error::Error;
use crate::lake::Lake;

/// Files that are to go, with their sizes.
#[derive(Debug, Default)]
pub struct Leftovers {
    root: PathBuf,
    files: Vec<(PathBuf, u64)>,
}

struct Found {
    path: PathBuf,
    bytes: u64,
    modified: i64,
}

impl Leftovers {
    /// `positions` are how far each raw table has got in its landing.
    pub fn find(
        lake: &Lake,
        pipeline: &Pipeline,
        positions: &BTreeMap<String, FilePosition>,
        rules: &Rules,
    ) -> Result<Self, Error> {
        let mut leftovers = Self { root: lake.root().to_owned(), files: Vec::new() };
        if !rules.has(MaintenanceStep::Orphans) {
            return Ok(leftovers);
        }
        let mut found = Vec::new();
        for landing in &pipeline.landings {
            let zone = lake.landing(&landing.source);
            for receipt in zone.receipts()? {
                for table in folders(&zone.loads_folder(&receipt))? {
                    let name = table.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                    let is_of_landing = pipeline.raw_table(&name).is_some_and(|raw| raw.from == landing.name);
                    let is_done = positions.get(&name).is_some_and(|position| position.has_finished(receipt.sequence));
                    let is_other = pipeline.raw_table(&name).is_none();
                    if is_other || (is_of_landing && is_done) {
                        // The plan of a load says what was decided, for as long as its table is there.
                        files(&table, &mut found, &|name| is_other || name != PLAN_FILE)?;
                    }
                }
            }
            files(&zone.incoming_folder(), &mut found, &|_| true)?;
        }
        let state = lake.state_folder();
        for folder in ["spill", "removed", crate::rebuild::FOLDER] {
            files(&state.join(folder), &mut found, &|_| true)?;
        }
        for keys in folders(&state.join("keys"))? {
            let name = keys.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let is_other = pipeline.use_case(&name).is_none();
            files(&keys, &mut found, &|name| is_other || is_unfinished(name))?;
        }
        let raw = pipeline.raw.iter().map(|table| lake.raw_folder(&table.name));
        let use_cases = pipeline.use_cases.iter().map(|table| lake.use_case_folder(&table.name));
        for table in raw.chain(use_cases).chain([lake.quarantine_folder()]) {
            files(&table, &mut found, &is_unfinished)?;
        }
        let before = rules.now.saturating_sub(rules.orphan_age);
        found.retain(|file| file.modified < before);
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found.dedup_by(|a, b| a.path == b.path);
        leftovers.files = found.into_iter().map(|file| (file.path, file.bytes)).collect();
        Ok(leftovers)
    }

    pub fn report(&self) -> StepReport {
        let mut report = StepReport::new(MaintenanceStep::Orphans, "lake");
        for (path, bytes) in &self.files {
            report.before.add(*bytes);
            report.paths.push(path.strip_prefix(&self.root).unwrap_or(path).display().to_string());
        }
        report
    }

    /// Removes them, and the folders that are empty then.
    pub fn remove(&self, lake: &Lake) -> Result<(), Error> {
        lake.confirm_hold()?;
        for (path, _) in &self.files {
            crash::point("maintain/leftover:before");
            let removed = fs::remove_file(path);
            crash::point("maintain/leftover:after");
            match removed {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("remove", path)(error)),
                _ => {}
            }
            // Up to the first folder that holds something else.
            for folder in path.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.root)) {
                if fs::remove_dir(folder).is_err() {
                    break;
                }
            }
        }
        Ok(())
    }
}

const PLAN_FILE: &str = "plan.json";

/// Whether a file was never given its name: written beside it as `NAME.part`, or as `NAME#1` by the object store.
fn is_unfinished(name: &str) -> bool {
    let is_staged =
        name.rsplit_once('#').is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
    is_staged || Path::new(name).extension().is_some_and(|extension| extension == "part")
}

fn entries(folder: &Path) -> Result<Vec<fs::DirEntry>, Error> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io("list", folder)(error)),
        Ok(entries) => entries.collect::<Result<_, _>>().map_err(Error::io("list", folder)),
    }
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = entries(folder)?.into_iter();
    Ok(entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect())
}

/// The files below a folder whose names are wanted.
fn files(folder: &Path, found: &mut Vec<Found>, is_wanted: &dyn Fn(&str) -> bool) -> Result<(), Error> {
    for entry in entries(folder)? {
        let path = entry.path();
        let kind = entry.file_type().map_err(Error::io("look at", &path))?;
        if kind.is_dir() {
            files(&path, found, is_wanted)?;
        } else if kind.is_file() && is_wanted(&entry.file_name().to_string_lossy()) {
            let metadata = entry.metadata().map_err(Error::io("look at", &path))?;
            let modified = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            let modified = modified.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
            found.push(Found { path, bytes: metadata.len(), modified });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_unfinished;

    #[test]
    fn a_file_that_was_never_named_is_known_by_its_name() {
        for name in ["part-1.zstd.parquet#1", "keys.json.part", "x#23"] {
            assert!(is_unfinished(name), "{name}");
        }
        for name in ["part-1.zstd.parquet", "00000000000000000003.json", "a#b", "c#", "parts"] {
            assert!(!is_unfinished(name), "{name}");
        }
    }
}
