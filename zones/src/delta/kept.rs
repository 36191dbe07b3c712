//! What is kept of commits that leave the log: the ledger of a table beyond its log.
//!
//! Files in `_ledger/` beside the table, `FIRST-LAST.jsonl.zst`, one line a commit with its actions as the log had them; of a
//! file's statistics only the number of rows. Guarantee: a commit is on disk here before it leaves the log, so what a version
//! was (its note, its positions, its files) can be read from [`Table::commit_content`] wherever it is. Readers of Delta pass over
//! folders that begin with `_`, and so does every vacuum. Never: changes a file that is there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use deltalake::kernel::{Action, Add};
use futures::TryStreamExt;
use model::position::TableVersion;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::{CommitContent, Table, recorded_rows};
use crate::error::Error;

const FOLDER: &str = "_ledger";
const SUFFIX: &str = ".jsonl.zst";
/// Commits in one file: one of them is held in memory to look a commit up.
const COMMITS_IN_FILE: usize = 1_000;

/// The file that was read last; clones of a table share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Cache(Arc<Mutex<HashMap<u64, Vec<Action>>>>);

#[derive(Serialize, Deserialize)]
struct Line {
    version: u64,
    actions: Vec<Action>,
}

impl Table {
    /// A commit that is no longer in the log, where it was kept.
    pub(super) async fn kept_commit(&self, version: TableVersion) -> Result<Option<CommitContent>, Error> {
        let known = || {
            let cache = self.kept.0.lock().unwrap_or_else(PoisonError::into_inner);
            cache.get(&version.0).map(|actions| CommitContent { version, actions: actions.clone() })
        };
        if let Some(content) = known() {
            return Ok(Some(content));
        }
        for (first, last, path) in self.kept_files().await? {
            if (first..=last).contains(&version.0) {
                let lines = self.read_kept(&path).await?;
                let actions = lines.into_iter().map(|line| (line.version, line.actions)).collect();
                *self.kept.0.lock().unwrap_or_else(PoisonError::into_inner) = actions;
                if let Some(content) = known() {
                    return Ok(Some(content));
                }
            }
        }
        Ok(None)
    }

    /// Keeps these commits; returns the bytes that they take. Those that are kept already are left out.
    pub(crate) async fn keep_commits(&self, versions: std::ops::Range<u64>) -> Result<u64, Error> {
        let there = self.kept_files().await?;
        let is_kept = |version: u64| there.iter().any(|(first, last, _)| (*first..=*last).contains(&version));
        let mut written = 0;
        let mut lines: Vec<Line> = Vec::new();
        for version in versions.filter(|version| !is_kept(*version)) {
            let Some(content) = self.logged_commit(TableVersion(version)).await? else { continue };
            // A file stands for all versions from its first to its last.
            if lines.last().is_some_and(|line| line.version + 1 != version) || lines.len() >= COMMITS_IN_FILE {
                written += self.write_kept(&std::mem::take(&mut lines)).await?;
            }
            lines.push(Line { version, actions: content.actions.into_iter().map(shortened).collect() });
        }
        Ok(written + self.write_kept(&lines).await?)
    }

    async fn write_kept(&self, lines: &[Line]) -> Result<u64, Error> {
        let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return Ok(0) };
        let mut text = Vec::new();
        for line in lines {
            text.extend(serde_json::to_vec(line).expect("actions are plain data"));
            text.push(b'\n');
        }
        let name = format!("{FOLDER}/{:020}-{:020}{SUFFIX}", first.version, last.version);
        let packed = zstd::encode_all(text.as_slice(), 3).map_err(|source| self.damaged(&name, &source))?;
        let bytes = packed.len() as u64;
        self.put_durably(&name, packed).await?;
        Ok(bytes)
    }

    /// First and last version of each file, and its path.
    async fn kept_files(&self) -> Result<Vec<(u64, u64, Path)>, Error> {
        let folder = Path::from(FOLDER);
        let listed: Vec<_> = self.inner.object_store().list(Some(&folder)).try_collect().await.map_err(self.listing())?;
        let mut files = Vec::new();
        for object in listed {
            let name = object.location.filename().and_then(|name| name.strip_suffix(SUFFIX));
            let versions = name.and_then(|name| name.split_once('-'));
            if let Some((Ok(first), Ok(last))) = versions.map(|(first, last)| (first.parse(), last.parse())) {
                files.push((first, last, object.location));
            }
        }
        Ok(files)
    }

    async fn read_kept(&self, path: &Path) -> Result<Vec<Line>, Error> {
        let store = self.inner.object_store();
        let read = async { store.get(path).await?.bytes().await };
        let packed: Bytes = read.await.map_err(|source| self.damaged(path.as_ref(), &source))?;
        let text = zstd::decode_all(packed.as_ref()).map_err(|source| self.damaged(path.as_ref(), &source))?;
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).map_err(|source| self.damaged(path.as_ref(), &source))).collect()
    }

    fn damaged(&self, path: &str, source: &dyn std::error::Error) -> Error {
        Error::Damaged { path: format!("{path} of {}", self.name()), problem: source.to_string() }
    }
}

/// The action without what only a reader of its file needs.
fn shortened(action: Action) -> Action {
    match action {
        Action::Add(add) => {
            let rows = add.stats.as_deref().and_then(recorded_rows);
            let stats = rows.map(|rows| format!("{{\"numRecords\":{rows}}}"));
            Action::Add(Add { stats, ..add })
        }
        other => other,
    }
}
