//! The store under a table's log: what it puts there outlives a loss of power.
//!
//! Guarantee: a file of a log is whole on disk before it has its name, and its name is on disk before the writer goes on. So a
//! commit is there or not, also after the machine lost its power, and never empty. Data files are written as they come and synced
//! together, before the commit that names them: [`sync_named`].
//! Never: syncs what is not named yet; reads in another way than the store beneath.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

/// Files that are synced at a time: a file system writes its journal once for those that wait together.
const AT_A_TIME: usize = 16;

/// A file system whose logs of tables are durable.
#[derive(Debug, Default)]
pub(super) struct DurableLogs(LocalFileSystem);

impl std::fmt::Display for DurableLogs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} with durable logs", self.0)
    }
}

impl DurableLogs {
    /// Where a file of a log is; `None` for any other file.
    fn place_in_log(&self, location: &Path) -> Result<Option<PathBuf>> {
        let is_in_log = location.parts().rev().nth(1).is_some_and(|folder| folder.as_ref() == "_delta_log");
        if is_in_log { self.0.path_to_filesystem(location).map(Some) } else { Ok(None) }
    }
}

#[async_trait]
impl ObjectStore for DurableLogs {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let place = match self.place_in_log(location)? {
            Some(place) if !matches!(opts.mode, PutMode::Update(_)) => place,
            _ => return self.0.put_opts(location, payload, opts).await,
        };
        let is_new = opts.mode == PutMode::Create;
        blocking(move || put_durably(&place, &payload, is_new)).await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.0.put_multipart_opts(location, opts).await?;
        Ok(match self.place_in_log(location)? {
            Some(place) => Box::new(DurableUpload { upload, place }),
            None => upload,
        })
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.0.rename_opts(from, to, options).await?;
        match self.place_in_log(to)? {
            Some(place) => blocking(move || sync_with_folder(&place)).await,
            None => Ok(()),
        }
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await?;
        match self.place_in_log(to)? {
            Some(place) => blocking(move || sync_with_folder(&place)).await,
            None => Ok(()),
        }
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[std::ops::Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.0.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }
}

/// A large file of a log (a checkpoint): nothing names it before it is done.
#[derive(Debug)]
struct DurableUpload {
    upload: Box<dyn MultipartUpload>,
    place: PathBuf,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let put = self.upload.complete().await?;
        let place = self.place.clone();
        blocking(move || sync_with_folder(&place)).await?;
        Ok(put)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    done.map_err(|source| match source.kind() {
        ErrorKind::AlreadyExists => object_store::Error::AlreadyExists { path: source.to_string(), source: Box::new(source) },
        _ => object_store::Error::Generic { store: "durable logs", source: Box::new(source) },
    })
}

/// Beside its place first, as the store beneath names such files: readers pass over them.
fn put_durably(place: &FsPath, payload: &PutPayload, is_new: bool) -> std::io::Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let folder = place.parent().expect("a file of a log is in its folder");
    std::fs::create_dir_all(folder)?;
    let (file, beside) = loop {
        let mut name = place.as_os_str().to_owned();
        name.push(format!("#{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        match File::create_new(&name) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            file => break (file?, PathBuf::from(name)),
        }
    };
    let put = write_synced(file, payload).and_then(|()| {
        synced(&beside);
        if is_new { std::fs::hard_link(&beside, place) } else { std::fs::rename(&beside, place) }
    });
    if is_new || put.is_err() {
        // It has its name, or none at all: only space is at stake.
        let _ = std::fs::remove_file(&beside);
    }
    put?;
    sync(folder)
}

fn write_synced(mut file: File, payload: &PutPayload) -> std::io::Result<()> {
    for bytes in payload {
        file.write_all(bytes)?;
    }
    file.sync_all()
}

fn sync_with_folder(place: &FsPath) -> std::io::Result<()> {
    sync(place)?;
    place.parent().map_or(Ok(()), sync)
}

fn sync(path: &FsPath) -> std::io::Result<()> {
    File::open(path)?.sync_all()?;
    synced(path);
    Ok(())
}

/// Syncs files of a table and their names, up to the table's folder: after it a commit may name them.
pub(super) async fn sync_named(table: &FsPath, files: &[Path]) -> std::io::Result<()> {
    let folder: Arc<FsPath> = table.into();
    let sync_below = |path: PathBuf| {
        let folder = folder.clone();
        async move { tokio::task::spawn_blocking(move || sync(&folder.join(path))).await.map_err(std::io::Error::other)? }
    };
    let files: Vec<PathBuf> = files.iter().map(|file| PathBuf::from(file.as_ref())).collect();
    let folders: BTreeSet<PathBuf> = files.iter().flat_map(|file| file.ancestors().skip(1)).map(FsPath::to_owned).collect();
    for paths in [files, folders.into_iter().collect()] {
        let syncing = futures::stream::iter(paths.into_iter().map(sync_below)).buffer_unordered(AT_A_TIME);
        syncing.try_for_each(async |()| Ok(())).await?;
    }
    Ok(())
}

/// Told of each path that is on disk from now on.
#[cfg(not(test))]
fn synced(_path: &FsPath) {}

#[cfg(test)]
fn synced(path: &FsPath) {
    tests::SYNCED.lock().unwrap().push(path.to_owned());
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;
    use crate::delta::{Commit, CommitNote, Table, TableShape};

    pub(super) static SYNCED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

    fn synced_below(folder: &FsPath) -> Vec<String> {
        let name = |path: &PathBuf| path.strip_prefix(folder).ok().map(|path| path.display().to_string());
        SYNCED.lock().unwrap().iter().filter_map(name).collect()
    }

    async fn days(folder: &FsPath) -> (Table, RecordBatch) {
        let fields = vec![Field::new("n", DataType::Int64, true), Field::new("day", DataType::Utf8, true)];
        let shape = TableShape {
            schema: Arc::new(Schema::new(fields)),
            partition_column: Some("day".to_owned()),
            change_feed: false,
            may_grow: false,
            takes_strings: false,
            contract: None,
            description: "numbers".to_owned(),
        };
        let (table, _) = Table::open_or_create(folder, "p/numbers", &shape).await.unwrap();
        let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![1, 2])), Arc::new(StringArray::from(vec!["a", "b"]))];
        let rows = RecordBatch::try_new(table.schema().clone(), columns).unwrap();
        (table, rows)
    }

    fn noted(write_time: i64) -> CommitNote {
        CommitNote { input: "landing".to_owned(), receipt: Some(1), write_time, ..CommitNote::default() }
    }

    /// What a commit names, then the commit before it has its name, then its name.
    #[tokio::test]
    async fn data_files_are_on_disk_before_the_commit_and_the_commit_before_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let (mut table, rows) = days(folder.path()).await;
        let first = synced_below(folder.path());
        assert!(first[0].starts_with("_delta_log/00000000000000000000.json#") && first[1] == "_delta_log", "{first:?}");
        let adds = table.write_files(vec![rows]).await.unwrap();
        assert_eq!(synced_below(folder.path()).len(), first.len(), "nothing names them yet");
        let named: BTreeSet<String> = adds.iter().map(|add| add.path.clone()).collect();
        table.commit(Commit { adds, note: noted(1), ..Commit::default() }).await.unwrap();

        let then = synced_below(folder.path()).split_off(first.len());
        let (files, behind) = then.split_at(named.len());
        assert_eq!(files.iter().cloned().collect::<BTreeSet<_>>(), named);
        let (folders, log) = behind.split_at(3);
        assert_eq!(folders.iter().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(["", "day=a", "day=b"]));
        assert!(log[0].starts_with("_delta_log/00000000000000000001.json#") && log[1] == "_delta_log", "{log:?}");
        let left = std::fs::read_dir(folder.path().join("_delta_log")).unwrap().flatten();
        assert!(left.into_iter().all(|file| !file.file_name().to_string_lossy().contains('#')));
    }

    /// A file that cannot be synced is in no commit; of two commits of one version the first counts.
    #[tokio::test]
    async fn a_commit_names_no_file_that_is_not_on_disk_and_takes_nobodys_place() {
        let folder = tempfile::tempdir().unwrap();
        let (mut table, rows) = days(folder.path()).await;
        let adds = table.write_files(vec![rows.clone()]).await.unwrap();
        std::fs::remove_file(folder.path().join(&adds[0].path)).unwrap();
        let refused = table.commit(Commit { adds, note: noted(1), ..Commit::default() }).await;
        assert!(refused.is_err() && !folder.path().join("_delta_log/00000000000000000001.json").exists());

        let mut late = table.clone();
        for (table, is_first) in [(&mut table, true), (&mut late, false)] {
            let adds = table.write_files(vec![rows.clone()]).await.unwrap();
            let done = table.commit(Commit { adds, note: noted(2), ..Commit::default() }).await;
            assert_eq!(done.is_ok(), is_first, "{done:?}");
        }
    }
}
