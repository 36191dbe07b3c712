//! The files of the scenario over HTTP: each request says in its query of which generation it wants them.
//!
//! One server answers all trials, so that all of them fetch from the same url and their receipts can be compared.

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::digest::sha256;
use crate::http::{self, Connection, Entity, Handler, Head, Next, Request, Selection, select};

/// A body is sent in pieces of this size, so that a download is written in several.
const PIECE: usize = 600;

/// Serves until it is dropped.
pub(super) struct Source {
    pub(super) url: String,
    serving: JoinHandle<Infallible>,
}

struct Files(PathBuf);

impl Source {
    /// Serves the folders of all generations in `folder`.
    pub(super) async fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("the loopback interface has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let serving = tokio::spawn(http::serve(listener, Arc::new(Files(folder.to_owned()))));
        Self { url: format!("http://{address}"), serving }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Handler for Files {
    async fn answer(&self, request: Request, connection: &mut Connection) -> io::Result<Next> {
        let generation = request.target.split_once("?generation=").map_or("", |(_, generation)| generation);
        let path = self.0.join(generation).join(request.path().trim_start_matches('/'));
        let Ok(bytes) = tokio::fs::read(path).await else {
            return Head::new(404).send_text(connection, &request, "there is no such file\n").await;
        };
        let entity = Entity { etag: Some(format!("\"{}\"", sha256(&bytes))), last_modified: None, length: bytes.len() as u64 };
        let head = |status| Head::new(status).with_if_some("ETag", entity.etag.as_ref());
        let at = |place: u64| usize::try_from(place).expect("files of the scenario are small");
        let (head, range) = match select(&request, &entity) {
            Selection::NotModified => {
                head(304).send(connection).await?;
                return Ok(request.next());
            }
            Selection::Unsatisfiable => (head(416).with("Content-Range", &format!("bytes */{}", entity.length)), 0..0),
            Selection::Whole => (head(200), 0..bytes.len()),
            Selection::Part(part) => {
                let place = format!("bytes {}-{}/{}", part.start, part.end - 1, entity.length);
                (head(206).with("Content-Range", &place), at(part.start)..at(part.end))
            }
        };
        head.with("Content-Length", &range.len()).send(connection).await?;
        if request.method != "HEAD" {
            for piece in bytes[range].chunks(PIECE) {
                connection.write_all(piece).await?;
                connection.flush().await?;
            }
        }
        Ok(request.next())
    }
}
