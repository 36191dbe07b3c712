//! A download under way: `NAME.part` in the folder of its location, and `NAME.part.json` beside it that says what the bytes
//! belong to.
//!
//! Guarantee: the hash of a [`Part`] is over exactly the bytes in the file. After a crash only bytes that are known to be on
//! disk are gone on with: all of them if the machine has not been started anew since (the kernel still had them), else those
//! up to the last sync.
//! Never: goes on with a file whose note is missing or damaged.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use model::crash;
use model::receipt::Validators;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Error;
use super::durable::{create_folder, read_if_there, remove_if_there, write_whole};
use super::names::safe_name;
use super::receipts::{hash_into, hex};
use crate::sync_beside::SyncBeside;

/// The place of one download.
#[derive(Debug, Clone)]
pub struct Incoming {
    folder: PathBuf,
    part: PathBuf,
    note: PathBuf,
}

/// What the bytes of a part belong to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartNote {
    /// Of the content that the bytes are the beginning of.
    pub validators: Validators,
    pub file_name: String,
    /// The size of the whole, where the server said it.
    pub total: Option<u64>,
    /// Bytes that are on disk for certain.
    synced: u64,
    /// The machine's start that the other bytes were written under.
    boot: Option<String>,
}

impl PartNote {
    pub fn new(validators: Validators, file_name: String, total: Option<u64>) -> Self {
        Self { validators, file_name, total, synced: 0, boot: boot_id() }
    }
}

/// A file that grows, and the hash of what it holds.
#[derive(Debug)]
pub struct Part {
    incoming: Incoming,
    note: PartNote,
    file: File,
    hasher: Sha256,
    length: u64,
    syncing: SyncBeside,
}

/// A whole download: synced, hashed, and not yet landed.
#[derive(Debug)]
pub struct Received {
    pub size: u64,
    /// Lower-case hex.
    pub sha256: String,
    pub(super) path: PathBuf,
    pub(super) incoming: Incoming,
}

impl Incoming {
    /// `all` is the folder of all downloads of the source.
    pub(super) fn new(all: &Path, location: &str, name: &str) -> Self {
        let name = safe_name(name);
        let folder = all.join(location);
        Self { part: folder.join(format!("{name}.part")), note: folder.join(format!("{name}.part.json")), folder }
    }

    /// Starts afresh; whatever was incoming before is removed.
    pub fn begin(&self, note: PartNote) -> Result<Part, Error> {
        crash::point("landing/part-begin:before");
        self.remove_all()?;
        create_folder(&self.folder)?;
        let file = File::create(&self.part).map_err(Error::io("create", &self.part))?;
        let part = Part { incoming: self.clone(), note, file, hasher: Sha256::new(), length: 0, syncing: SyncBeside::default() };
        part.write_note()?;
        crash::point("landing/part-begin:after");
        Ok(part)
    }

    /// The note of a part that was left, if there is one that can be read.
    pub fn note(&self) -> Result<Option<PartNote>, Error> {
        let noted = read_if_there(&self.note)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(noted.filter(|_| self.part.is_file()))
    }

    /// Goes on with a part that was left: its bytes are read and hashed. Blocks for as long as that takes.
    pub fn resume(&self, note: PartNote) -> Result<Part, Error> {
        let open = OpenOptions::new().read(true).write(true).open(&self.part);
        let mut file = open.map_err(Error::io("open", &self.part))?;
        let there = file.metadata().map_err(Error::io("look at", &self.part))?.len();
        let is_same_boot = note.boot.is_some() && note.boot == boot_id();
        let mut usable = if is_same_boot { there } else { there.min(note.synced) };
        if let Some(total) = note.total {
            // One byte is always asked for again, so that the server confirms that the content is still the same.
            usable = usable.min(total.saturating_sub(1));
        }
        file.set_len(usable).map_err(Error::io("shorten", &self.part))?;
        let mut hasher = Sha256::new();
        let length = hash_into(&mut hasher, (&file).take(usable)).map_err(Error::io("read", &self.part))?;
        file.seek(SeekFrom::Start(length)).map_err(Error::io("seek in", &self.part))?;
        let syncing = SyncBeside::from(note.synced.min(length));
        let mut part = Part { incoming: self.clone(), note, file, hasher, length, syncing };
        part.note.synced = part.note.synced.min(length);
        part.note.boot = boot_id();
        part.write_note()?;
        Ok(part)
    }

    /// Removes this download and any other of the location.
    pub fn remove_all(&self) -> Result<(), Error> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("remove", &self.folder)(error)),
            _ => {}
        }
        if let Some(all) = self.folder.parent() {
            // Not where there are downloads of other locations; it is in nobody's way then.
            let _ = fs::remove_dir(all);
        }
        Ok(())
    }
}

impl Part {
    pub fn length(&self) -> u64 {
        self.length
    }

    pub fn note(&self) -> &PartNote {
        &self.note
    }

    /// The server said, later than with its first byte, how large the whole is.
    pub fn expect_total(&mut self, total: u64) {
        self.note.total = Some(total);
    }

    /// Appends. Blocks for a copy to the kernel, and for the disk where that is far behind. A crash of the machine costs what was
    /// written since the sync before the last.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        crash::point("landing/part-write:before");
        self.file.write_all(bytes).map_err(Error::io("write", &self.incoming.part))?;
        crash::point("landing/part-write:after");
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        let synced = self.syncing.grown(&self.file, self.length).map_err(Error::io("sync", &self.incoming.part))?;
        if let Some(synced) = synced {
            self.note.synced = synced;
            self.write_note()?;
        }
        Ok(())
    }

    /// Makes what is there durable, to be gone on with later.
    pub fn keep(&mut self) -> Result<(), Error> {
        self.syncing.wait().map_err(Error::io("sync", &self.incoming.part))?;
        self.file.sync_data().map_err(Error::io("sync", &self.incoming.part))?;
        self.note.synced = self.length;
        self.write_note()
    }

    /// Ends the download: everything is on disk.
    pub fn finish(mut self) -> Result<Received, Error> {
        crash::point("landing/part-sync:before");
        self.syncing.wait().map_err(Error::io("sync", &self.incoming.part))?;
        self.file.sync_all().map_err(Error::io("sync", &self.incoming.part))?;
        crash::point("landing/part-sync:after");
        let path = self.incoming.part.clone();
        Ok(Received { size: self.length, sha256: hex(self.hasher), path, incoming: self.incoming })
    }

    fn write_note(&self) -> Result<(), Error> {
        let json = serde_json::to_vec_pretty(&self.note).expect("only string keys");
        write_whole(&self.incoming.note, &json)
    }
}

impl Received {
    /// Removes the bytes: they are not wanted.
    pub fn discard(self) -> Result<(), Error> {
        crash::point("landing/discard:before");
        remove_if_there(&self.path)?;
        self.incoming.remove_all()?;
        crash::point("landing/discard:after");
        Ok(())
    }
}

/// Removes the downloads of locations that are no more, and what a killed run left beside one that had landed; `all` is the folder of all downloads of the source.
pub(super) fn remove_others(all: &Path, locations: &HashSet<&str>) -> Result<(), Error> {
    let entries = match fs::read_dir(all) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("list", all)(error)),
    };
    for entry in entries {
        let path = entry.map_err(Error::io("list", all))?.path();
        let is_wanted = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| locations.contains(name));
        if is_wanted && has_part(&path)? {
            continue;
        }
        // Files lie here from before there were folders for locations.
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(Error::io("remove", &path))?;
    }
    let _ = fs::remove_dir(all);
    Ok(())
}

fn has_part(folder: &Path) -> Result<bool, Error> {
    let entries = fs::read_dir(folder).map_err(Error::io("list", folder))?;
    for entry in entries {
        if entry.map_err(Error::io("list", folder))?.path().extension().is_some_and(|extension| extension == "part") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Names the machine's last start (Linux); elsewhere unknown, and then only synced bytes count.
fn boot_id() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}
