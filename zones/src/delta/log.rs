//! The files of a table's log: what there is, a checkpoint made, and what is before a checkpoint removed.

use std::io::Write;

use deltalake::checkpoints::create_checkpoint;
use futures::TryStreamExt;
use model::crash;
use model::position::TableVersion;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};

use super::Table;
use crate::error::Error;

const LOG: &str = "_delta_log";

/// One file of the log that belongs to a version.
#[derive(Debug, Clone)]
pub(crate) struct LogFile {
    pub(crate) version: u64,
    pub(crate) path: Path,
    pub(crate) bytes: u64,
    pub(crate) kind: LogKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogKind {
    Commit,
    Checkpoint,
    /// Checksums and the like.
    Other,
}

impl Table {
    /// Every file below the table's folder.
    pub(crate) async fn stored_objects(&self) -> Result<Vec<ObjectMeta>, Error> {
        self.inner.object_store().list(None).try_collect().await.map_err(self.listing())
    }

    /// The files of the log, by version.
    pub(crate) async fn log_files(&self) -> Result<Vec<LogFile>, Error> {
        let folder = Path::from(LOG);
        let listed: Vec<ObjectMeta> =
            self.inner.object_store().list(Some(&folder)).try_collect().await.map_err(self.listing())?;
        let mut files: Vec<LogFile> = listed.into_iter().filter_map(log_file).collect();
        files.sort_by(|a, b| (a.version, &a.path).cmp(&(b.version, &b.path)));
        Ok(files)
    }

    /// Writes a checkpoint of this version.
    pub(crate) async fn write_checkpoint(&self) -> Result<(), Error> {
        create_checkpoint(&self.inner, None).await.map_err(Error::delta("write a checkpoint", self.name()))
    }

    /// Removes a file that no reader needs; one that is gone already is no error.
    pub(crate) async fn remove_object(&self, path: &Path) -> Result<(), Error> {
        self.confirm_hold()?;
        crash::point("maintain/remove:before");
        let removed = self.inner.object_store().delete(path).await;
        crash::point("maintain/remove:after");
        match removed {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(self.store_error("remove a file", source)),
        }
    }

    /// Stores a file so that it is on disk, whole, before this returns.
    pub(crate) async fn put_durably(&self, path: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let Ok(folder) = self.inner.log_store().root_url().to_file_path() else {
            let stored = self.inner.object_store().put(&Path::from(path), bytes.into()).await;
            return stored.map(|_| ()).map_err(|source| self.store_error("store a file", source));
        };
        let (target, beside) = (folder.join(path), folder.join(format!("{path}.part")));
        let parent = target.parent().expect("a file is in a folder").to_owned();
        std::fs::create_dir_all(&parent).map_err(Error::io("create", &parent))?;
        let mut file = std::fs::File::create(&beside).map_err(Error::io("create", &beside))?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(Error::io("write", &beside))?;
        crash::point("maintain/ledger-rename:before");
        std::fs::rename(&beside, &target).map_err(Error::io("rename into place", &target))?;
        crash::point("maintain/ledger-rename:after");
        for folder in [parent.as_path(), folder.as_path()] {
            std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", folder))?;
        }
        Ok(())
    }

    pub(crate) fn listing(&self) -> impl FnOnce(object_store::Error) -> Error {
        let table = self.clone();
        move |source| table.store_error("list the files", source)
    }

    pub(crate) fn store_error(&self, step: &'static str, source: object_store::Error) -> Error {
        Error::delta(step, self.name())(deltalake::DeltaTableError::ObjectStore { source })
    }

    /// The newest version at or before `limit` from which the table can be opened without older commits.
    pub(crate) fn newest_checkpoint(files: &[LogFile], limit: TableVersion) -> Option<u64> {
        let checkpoints = files.iter().filter(|file| file.kind == LogKind::Checkpoint).map(|file| file.version);
        checkpoints.filter(|version| *version <= limit.0).max()
    }
}

fn log_file(object: ObjectMeta) -> Option<LogFile> {
    let name = object.location.filename()?;
    let (version, rest) = name.split_once('.')?;
    let version = (version.len() == 20).then(|| version.parse().ok())??;
    let kind = match rest {
        "json" => LogKind::Commit,
        rest if rest.starts_with("checkpoint.") => LogKind::Checkpoint,
        _ => LogKind::Other,
    };
    Some(LogFile { version, bytes: object.size, kind, path: object.location })
}
