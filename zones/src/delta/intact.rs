//! A table's log, looked at before it is believed.
//!
//! A commit that is empty (a machine lost its power), cut at a line, missing or changed would be read as one that did less: rows
//! would be gone or come twice, and nobody would know. So each commit of Sluice carries a checksum of what it does, and whoever
//! opens a table looks at every commit since the last checkpoint.

use std::path::Path;

use bytes::Bytes;
use deltalake::kernel::Action;
use deltalake::logstore::get_actions;

use super::commit::FENCE_SUFFIX;
use super::{CommitContent, Table};
use crate::error::Error;

const COMMIT: &str = ".json";
const CHECKPOINT: &str = ".checkpoint.";

/// Looks at all commits in `folder` that a reader of the table needs.
pub(super) fn check(folder: &Path, table: &str) -> Result<(), Error> {
    let (mut commits, mut checkpoint) = (Vec::new(), None);
    for entry in std::fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let name = entry.map_err(Error::io("list", folder))?.file_name();
        let Some((version, ending)) = name.to_str().and_then(|name| name.split_at_checked(20)) else { continue };
        let Ok(version) = version.parse::<u64>() else { continue };
        match ending {
            COMMIT => commits.push(version),
            ending if ending.starts_with(CHECKPOINT) => checkpoint = checkpoint.max(Some(version)),
            _ => {}
        }
    }
    commits.retain(|version| checkpoint.is_none_or(|checkpoint| *version > checkpoint));
    commits.sort_unstable();
    let first = checkpoint.map_or(0, |checkpoint| checkpoint + 1);
    for (expected, version) in (first..).zip(commits) {
        if version != expected {
            return Err(damaged(table, expected, "it is not there, and later ones are"));
        }
        let path = folder.join(format!("{version:020}{COMMIT}"));
        match std::fs::read(&path) {
            // Whoever cleans the log up has made a checkpoint first.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            bytes => content(version, &bytes.map_err(Error::io("read", &path))?.into(), table)?,
        };
    }
    Ok(())
}

/// What a commit did, if it is as it was written.
pub(super) fn content(version: u64, bytes: &Bytes, table: &str) -> Result<CommitContent, Error> {
    if bytes.is_empty() {
        return Err(damaged(table, version, "it is empty"));
    }
    let actions = get_actions(version, bytes).map_err(|error| damaged(table, version, &error.to_string()))?;
    let content = CommitContent { version: model::position::TableVersion(version), actions };
    let is_ours = content.actions.iter().any(|action| matches!(action, Action::Txn(txn) if txn.app_id.ends_with(FENCE_SUFFIX)));
    match content.note() {
        Some(note) if note.checksum.is_some_and(|checksum| checksum != checksum_of(&content.actions)) => {
            Err(damaged(table, version, "what it does is not what its checksum stands for"))
        }
        None if is_ours => Err(damaged(table, version, "the note that belongs to it is gone")),
        _ => Ok(content),
    }
}

fn damaged(table: &str, version: u64, problem: &str) -> Error {
    Error::DamagedCommit { table: table.to_owned(), version, problem: problem.to_owned() }
}

/// Stands for the files and numbers of a commit, in whatever order they are written.
pub(super) fn checksum_of<'a>(actions: impl IntoIterator<Item = &'a Action>) -> u32 {
    let mut lines: Vec<String> = actions.into_iter().filter_map(line_of).collect();
    lines.sort_unstable();
    crc32fast::hash(lines.join("\n").as_bytes())
}

fn line_of(action: &Action) -> Option<String> {
    Some(match action {
        Action::Add(add) => {
            let mut values: Vec<_> = add.partition_values.iter().collect();
            values.sort_unstable();
            format!("add {} {} {values:?} {} {:?}", add.path, add.size, add.data_change, add.stats)
        }
        Action::Remove(remove) => format!("remove {} {}", remove.path, remove.data_change),
        Action::Cdc(file) => format!("cdc {} {}", file.path, file.size),
        Action::Txn(transaction) => format!("txn {} {}", transaction.app_id, transaction.version),
        _ => return None,
    })
}

impl Table {
    /// Compares every live file with the checksum in its name; yields how many files and bytes that were.
    pub async fn check_files(&self) -> Result<(u64, u64), Error> {
        let files = self.files(None)?;
        for file in &files {
            self.check_file(&file.path).await?;
        }
        Ok((files.len() as u64, files.iter().map(|file| file.size).sum()))
    }
}
