//! Where things are in the lake.

use std::path::{Path, PathBuf};

use model::crash;
use model::definition::Origin;

use crate::error::Error;
use crate::format;
use crate::hold::{self, Guard, Hold, Terms};
use crate::landing::LandingZone;
use crate::query::{MEMORY_BYTES, Room};

/// In the folder of what can be derived again; see [`hold`].
const HOLD: &str = "hold";

/// One pipeline's part of a lake. Clones share the hold.
#[derive(Debug, Clone)]
pub struct Lake {
    root: PathBuf,
    pipeline: String,
    guard: Guard,
    statement_memory: usize,
}

impl Lake {
    pub fn new(root: impl Into<PathBuf>, pipeline: &str) -> Self {
        let guard = Guard::default();
        Self { root: root.into(), pipeline: pipeline.to_owned(), guard, statement_memory: MEMORY_BYTES }
    }

    /// With so many bytes of memory for a statement over whole tables, before it goes to disk.
    #[must_use]
    pub fn with_statement_memory(self, bytes: usize) -> Self {
        Self { statement_memory: bytes, ..self }
    }

    pub(crate) fn statement_memory(&self) -> usize {
        self.statement_memory
    }

    /// What a statement over whole tables may take. What a killed run left of its spilled rows is removed.
    pub fn room(&self) -> Result<Room, Error> {
        Ok(self.room_in(self.spill_folder()?))
    }

    /// The same with a folder that is there.
    pub fn room_in(&self, spill: PathBuf) -> Room {
        Room { memory: self.statement_memory, spill: Some(spill) }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn landing(&self, source: &str) -> LandingZone {
        LandingZone::new(&self.root, &self.pipeline, source).guarded(&self.guard)
    }

    pub fn raw_folder(&self, table: &str) -> PathBuf {
        self.root.join("raw").join(&self.pipeline).join(table)
    }

    pub fn use_case_folder(&self, table: &str) -> PathBuf {
        self.root.join("use_case").join(&self.pipeline).join(table)
    }

    pub fn quarantine_folder(&self) -> PathBuf {
        self.root.join("quarantine").join(&self.pipeline)
    }

    /// What can be derived again from the tables.
    pub fn state_folder(&self) -> PathBuf {
        self.root.join("_sluice").join(&self.pipeline)
    }

    pub(crate) fn hold_folder(&self) -> PathBuf {
        self.state_folder().join(HOLD)
    }

    /// The key directory of a use-case table.
    pub fn keys_folder(&self, table: &str) -> PathBuf {
        self.state_folder().join("keys").join(table)
    }

    /// Removes a table that can be derived again, with what was derived from it. It is gone as a whole or not at all.
    pub fn discard(&self, origin: &Origin) -> Result<(), Error> {
        let folder = match origin {
            Origin::Raw(name) => self.raw_folder(name),
            Origin::UseCase(name) => self.use_case_folder(name),
        };
        self.confirm_hold()?;
        let keys = self.keys_folder(origin.table());
        let bin = self.state_folder().join("removed");
        std::fs::create_dir_all(&bin).map_err(Error::io("create", &bin))?;
        for folder in [folder, keys] {
            let gone = bin.join(uuid::Uuid::new_v4().to_string());
            crash::point("lake/discard:before");
            match std::fs::rename(&folder, &gone) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                moved => moved.map_err(Error::io("move away", &folder))?,
            }
            crash::point("lake/discard:after");
        }
        crash::point("lake/bin:before");
        std::fs::remove_dir_all(&bin).map_err(Error::io("remove", &bin))?;
        crash::point("lake/bin:after");
        Ok(())
    }

    /// Where computations go that do not fit into memory. What a killed run left there is removed.
    pub fn spill_folder(&self) -> Result<PathBuf, Error> {
        let folder = self.state_folder().join("spill");
        crash::point("query/spill-folder:before");
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("remove", &folder)(error)),
            _ => {}
        }
        std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        crash::point("query/spill-folder:after");
        Ok(folder)
    }

    /// The name of a table in messages and application transactions: `<pipeline>/<table>`.
    pub fn table_name(&self, table: &str) -> String {
        format!("{}/{table}", self.pipeline)
    }

    pub fn quarantine_name(&self) -> String {
        format!("{}/quarantine", self.pipeline)
    }

    /// Removes everything of the pipeline from the lake. Only debug lakes are ever removed.
    pub fn remove(&self) -> Result<(), Error> {
        let zones = ["landing", "raw", "use_case", "quarantine"].map(|zone| self.root.join(zone).join(&self.pipeline));
        let kept = [HOLD, format::FILE].map(|name| self.state_folder().join(name));
        // The state goes first: what is half removed must not look like a whole lake.
        let state = std::fs::read_dir(self.state_folder()).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in state.filter(|path| !kept.contains(path)).chain(zones) {
            let removed = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            match removed {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("remove", &path)(error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes the pipeline's part of the lake for this process, and brings it to this program's format. Another process that has
    /// it is named in the error. What is opened through this lake or a clone of it asks for the hold before it commits.
    pub fn hold(&self, command: &str) -> Result<Hold, Error> {
        self.hold_on(&Terms::new(command))
    }

    /// The same on other terms.
    pub fn hold_on(&self, terms: &Terms) -> Result<Hold, Error> {
        self.expect_format()?;
        let hold = hold::take(&self.hold_folder(), terms, &self.guard)?;
        format::upgrade(&self.state_folder())?;
        Ok(hold)
    }

    /// Fails where another program's lake would be misread by this one.
    pub fn expect_format(&self) -> Result<(), Error> {
        format::expect_known(&self.state_folder())
    }

    /// Fails once another process has taken over.
    pub fn confirm_hold(&self) -> Result<(), Error> {
        self.guard.confirm()
    }

    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }
}
