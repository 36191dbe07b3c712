//! Where things are in the lake.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use model::definition::Origin;

use crate::error::Error;
use crate::landing::LandingZone;

/// Held by a run.
const LOCK: &str = "run.lock";

/// One pipeline's part of a lake.
#[derive(Debug, Clone)]
pub struct Lake {
    root: PathBuf,
    pipeline: String,
}

impl Lake {
    pub fn new(root: impl Into<PathBuf>, pipeline: &str) -> Self {
        Self { root: root.into(), pipeline: pipeline.to_owned() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn landing(&self, source: &str) -> LandingZone {
        LandingZone::new(&self.root, &self.pipeline, source)
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
        let keys = self.keys_folder(origin.table());
        let bin = self.state_folder().join("removed");
        std::fs::create_dir_all(&bin).map_err(Error::io("create", &bin))?;
        for folder in [folder, keys] {
            let gone = bin.join(uuid::Uuid::new_v4().to_string());
            match std::fs::rename(&folder, &gone) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                moved => moved.map_err(Error::io("move away", &folder))?,
            }
        }
        std::fs::remove_dir_all(&bin).map_err(Error::io("remove", &bin))
    }

    /// Where computations go that do not fit into memory. What a killed run left there is removed.
    pub fn spill_folder(&self) -> Result<PathBuf, Error> {
        let folder = self.state_folder().join("spill");
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("remove", &folder)(error)),
            _ => {}
        }
        std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
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
        let lock = self.state_folder().join(LOCK);
        // The state goes first: what is half removed must not look like a whole lake.
        let state = std::fs::read_dir(self.state_folder()).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in state.filter(|path| *path != lock).chain(zones) {
            let removed = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            match removed {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("remove", &path)(error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes the pipeline's lake for one run; a second run on this machine is told who holds it.
    pub fn hold(&self, holder: &str) -> Result<Hold, Error> {
        let folder = self.state_folder();
        std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let path = folder.join(LOCK);
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(Error::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.read_to_string(&mut text).map_err(Error::io("read", &path))?;
                return Err(Error::Held { path: path.display().to_string(), holder: text.trim().to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(holder.as_bytes()))
            .map_err(Error::io("write", &path))?;
        Ok(Hold { _file: file })
    }
}

/// A held lake; let go when dropped, also by a crash.
#[derive(Debug)]
pub struct Hold {
    _file: File,
}
