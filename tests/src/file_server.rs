//! Serves the files of one folder, read only.
//!
//! Files are streamed (64 KiB of memory a connection) with `ETag` and `Last-Modified` from the file system, ranges, conditions
//! and HEAD. `/` lists the names of the folder's files. Names that start with a dot, and whatever lies outside of the folder
//! once links are followed, are not there (404). A file that shrinks while it is sent breaks the connection off, so that its reader
//! notices; one that is replaced by a rename is sent as it was opened.

use crate::http::{self, Connection, Entity, Handler, Head, Next, Request, Selection, format_date, select};
use chrono::{DateTime, Utc};
use std::convert::Infallible;
use std::fs::Metadata;
use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::net::TcpListener;

const BUFFER: usize = 64 * 1024;

/// The folder that is served.
pub struct FileServer {
    /// Absolute, links resolved.
    root: PathBuf,
}

impl FileServer {
    /// Fails if the folder is not there.
    pub fn new(folder: &Path) -> io::Result<Self> {
        let root = folder.canonicalize()?;
        if root.is_dir() { Ok(Self { root }) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    /// Serves until the future is dropped.
    pub async fn serve(self, listener: TcpListener) -> Infallible {
        http::serve(listener, Arc::new(self)).await
    }

    /// The open file that a request names, if there is such a file.
    async fn open(&self, path: &str) -> io::Result<Option<(File, Metadata)>> {
        let Some(name) = decode_path(path) else {
            return Ok(None);
        };
        let is_hidden = name.split('/').any(|part| part.starts_with('.'));
        let resolved = match tokio::fs::canonicalize(self.root.join(name)).await {
            Ok(resolved) if !is_hidden && resolved.starts_with(&self.root) => resolved,
            Err(failure) if failure.kind() == io::ErrorKind::PermissionDenied => {
                return Err(failure);
            }
            Ok(_) | Err(_) => return Ok(None),
        };
        let file = File::open(resolved).await?;
        let metadata = file.metadata().await?;
        Ok(metadata.is_file().then_some((file, metadata)))
    }

    async fn listing(&self) -> io::Result<String> {
        let mut names = Vec::new();
        let mut entries = tokio::fs::read_dir(&self.root).await?;
        while let Some(entry) = entries.next_entry().await? {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') && entry.metadata().await.is_ok_and(|metadata| metadata.is_file()) {
                names.push(name + "\n");
            }
        }
        names.sort();
        Ok(names.concat())
    }

    async fn send_file(mut file: File, metadata: &Metadata, request: &Request, connection: &mut Connection) -> io::Result<Next> {
        let entity = entity(metadata)?;
        let selection = select(request, &entity);
        let status = match selection {
            Selection::Whole => 200,
            Selection::Part(_) => 206,
            Selection::NotModified => 304,
            Selection::Unsatisfiable => 416,
        };
        let mut head = Head::new(status)
            .with_if_some("ETag", entity.etag.as_ref())
            .with_if_some("Last-Modified", entity.last_modified.map(format_date).as_ref())
            .with("Accept-Ranges", &"bytes")
            .with("Content-Type", &"application/octet-stream");
        let selected = match selection {
            Selection::Whole => 0..entity.length,
            Selection::Part(part) => {
                head = head.with("Content-Range", &format!("bytes {}-{}/{}", part.start, part.end - 1, entity.length));
                part
            }
            Selection::Unsatisfiable => {
                head = head.with("Content-Range", &format!("bytes */{}", entity.length));
                0..0
            }
            Selection::NotModified => 0..0,
        };
        let mut left = selected.end - selected.start;
        if status != 304 {
            head = head.with("Content-Length", &left);
        }
        head.send(connection).await?;
        if request.method == "HEAD" {
            return Ok(request.next());
        }
        file.seek(SeekFrom::Start(selected.start)).await?;
        let mut buffer = vec![0; BUFFER];
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
            let read = file.read(&mut buffer[..wanted]).await?;
            if read == 0 {
                return Ok(Next::Close);
            }
            connection.write_all(&buffer[..read]).await?;
            left -= read as u64;
        }
        Ok(request.next())
    }
}

impl Handler for FileServer {
    async fn answer(&self, request: Request, connection: &mut Connection) -> io::Result<Next> {
        if !matches!(request.method.as_str(), "GET" | "HEAD") {
            let head = Head::new(405).with("Allow", &"GET, HEAD");
            return head.send_last_text(connection, "this server only hands out files\n").await;
        }
        if request.path() == "/" {
            let listing = self.listing().await?;
            return Head::new(200).send_text(connection, &request, &listing).await;
        }
        match self.open(request.path()).await {
            Ok(Some((file, metadata))) => Self::send_file(file, &metadata, &request, connection).await,
            Ok(None) => Head::new(404).send_text(connection, &request, "there is no such file\n").await,
            Err(_) => Head::new(403).send_text(connection, &request, "the server may not read this file\n").await,
        }
    }
}

/// Modification time in nanoseconds and length stand for the content, as web servers usually have it.
fn entity(metadata: &Metadata) -> io::Result<Entity> {
    let modified = metadata.modified()?;
    let nanos = modified.duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos());
    let length = metadata.len();
    let last_modified = Some(DateTime::<Utc>::from(modified));
    Ok(Entity { etag: Some(format!("\"{nanos:x}-{length:x}\"")), last_modified, length })
}

/// The name below the root that a path stands for; none if it is no sane name.
fn decode_path(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.strip_prefix('/')?.as_bytes();
    while let [byte, tail @ ..] = rest {
        if *byte == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*byte);
            rest = tail;
        }
    }
    let name = String::from_utf8(bytes).ok()?;
    let is_sane = !name.starts_with('/') && !name.contains(['\0', '\\']);
    is_sane.then_some(name)
}
