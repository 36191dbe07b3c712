//! Runs on record: a file for each, in the folder beside the tables.
//!
//! For people who look on; nothing else reads them, and no run depends on them. A record is replaced whole, so a reader sees one that is
//! whole. Only the newest [`KEPT`] are kept.

use std::fs;
use std::path::{Path, PathBuf};

use model::operations::RunRecord;

use crate::error::Error;
use crate::lake::Lake;

/// So many runs stay on record.
pub const KEPT: usize = 500;

/// In the folder of state.
const FOLDER: &str = "runs";

/// The records of a pipeline's runs.
#[derive(Debug, Clone)]
pub struct Runs {
    folder: PathBuf,
}

impl Runs {
    pub fn of(lake: &Lake) -> Self {
        Self { folder: lake.state_folder().join(FOLDER) }
    }

    /// A name for a run that began then, in microseconds: names are in the order of beginnings.
    pub fn new_id(&self, started_micros: i64) -> String {
        let mut micros = started_micros;
        while self.file(&id_of(micros)).exists() {
            micros += 1;
        }
        id_of(micros)
    }

    /// Puts a record in the place of the one with its name.
    pub fn write(&self, record: &RunRecord) -> Result<(), Error> {
        fs::create_dir_all(&self.folder).map_err(Error::io("create", &self.folder))?;
        let path = self.file(&record.id);
        let beside = self.folder.join(BESIDE);
        let json = serde_json::to_vec(record).expect("a record is plain data");
        let written = fs::write(&beside, &json).or_else(|_| {
            // What little room there is, is for the run: what this one takes the place of makes room for it, or there is none.
            let _ = fs::remove_file(&path);
            fs::write(&beside, &json)
        });
        written.map_err(|error| {
            let _ = fs::remove_file(&beside);
            Error::io("write", &beside)(error)
        })?;
        fs::rename(&beside, &path).map_err(Error::io("rename into place", &path))
    }

    /// Removes all but the newest.
    pub fn prune(&self) -> Result<(), Error> {
        self.ids()?.into_iter().skip(KEPT).try_for_each(|id| self.remove(&id))
    }

    pub fn remove(&self, id: &str) -> Result<(), Error> {
        let path = self.file(id);
        fs::remove_file(&path).map_err(Error::io("remove", &path))
    }

    /// The record of the run before that one, where it can be read.
    pub fn before(&self, id: &str) -> Option<RunRecord> {
        let ids = self.ids().ok()?;
        read(&self.file(ids.iter().find(|other| other.as_str() < id)?))
    }

    /// The names of all that are on record, the newest first.
    pub fn ids(&self) -> Result<Vec<String>, Error> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(Error::io("list", &self.folder))?,
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut ids: Vec<String> = names.filter_map(|name| name.strip_suffix(".json").map(ToOwned::to_owned)).collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        Ok(ids)
    }

    /// One record; `None` where there is none of that name that can be read.
    pub fn read(&self, id: &str) -> Option<RunRecord> {
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        read(&self.file(id))
    }

    /// The newest records that can be read, the newest first.
    pub fn newest(&self, limit: usize) -> Result<Vec<RunRecord>, Error> {
        Ok(self.ids()?.iter().filter_map(|id| read(&self.file(id))).take(limit).collect())
    }

    fn file(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }
}

/// While it is written; a pipeline has one run at a time.
const BESIDE: &str = "record.new";

/// Of one length for as long as this program is used, so that their order by name is that of time.
fn id_of(micros: i64) -> String {
    format!("{:017}", micros.max(0))
}

fn read(path: &Path) -> Option<RunRecord> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
