//! What a reader of changes has before it: the versions after its position, or the word that they can no longer be read.

use std::collections::HashSet;

use deltalake::kernel::Action;
use model::position::TableVersion;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::{CommitContent, Table, stored_path};
use crate::error::Error;

/// The versions of a table after a position.
#[derive(Debug)]
pub enum Since {
    Commits(Vec<CommitContent>),
    /// Some of them can no longer be read version by version: the table has to be read as a whole.
    Gone {
        /// What is not there any more, for people.
        reason: String,
    },
}

impl Table {
    /// The commits after `position` up to this snapshot, where each and all that it names can still be read.
    ///
    /// Another writer's cleanup of log or files, or files past their keeping, makes them [`Since::Gone`]; a live file that is lost
    /// does not, since the table as a whole could not be read either.
    pub async fn since(&self, position: Option<TableVersion>) -> Result<Since, Error> {
        if let (None, Some(before)) = (position, self.forgotten_before().await?) {
            // Whether files of these dates are still there must make no difference to a reader that begins.
            return Ok(Since::Gone { reason: format!("dates before {before} have left it") });
        }
        let commits = match self.commits_after(position).await {
            Err(Error::CommitGone { version, .. }) => {
                return Ok(Since::Gone { reason: format!("version {version} is no longer in the log") });
            }
            commits => commits?,
        };
        if commits.is_empty() {
            return Ok(Since::Commits(commits));
        }
        let live: HashSet<Path> = self.files(None)?.into_iter().map(|file| file.path).collect();
        let store = self.inner.object_store();
        for commit in &commits {
            for path in read_by_changes(commit).into_iter().filter(|path| !live.contains(path)) {
                match store.head(&path).await {
                    Err(object_store::Error::NotFound { .. }) => {
                        let reason = format!("a file of version {} has been removed", commit.version);
                        return Ok(Since::Gone { reason });
                    }
                    found => {
                        let wrong = |source| parquet::errors::ParquetError::External(Box::new(source));
                        found.map_err(|source| Error::file(self.name(), path.as_ref())(wrong(source)))?;
                    }
                }
            }
        }
        Ok(Since::Commits(commits))
    }
}

/// The files from which the changes of a commit are read.
pub(crate) fn read_by_changes(commit: &CommitContent) -> Vec<Path> {
    let has_feed = commit.actions.iter().any(|action| matches!(action, Action::Cdc(_)));
    let paths = commit.actions.iter().filter_map(|action| match action {
        Action::Cdc(file) => Some(&file.path),
        Action::Add(file) if !has_feed && file.data_change => Some(&file.path),
        Action::Remove(file) if !has_feed && file.data_change => Some(&file.path),
        _ => None,
    });
    paths.map(|path| stored_path(path)).collect()
}
