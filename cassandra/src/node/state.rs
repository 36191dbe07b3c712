//! What is recorded of a node: `node.json`, for ourselves and for other tools.

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Error;

/// `host`, `port`, `jmx_port` and `pid` are a promise to other tools; the rest is for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Where CQL clients connect, with `port`.
    pub host: IpAddr,
    pub port: u16,
    pub jmx_port: u16,
    pub pid: u32,
    /// The version of Cassandra.
    pub version: String,
    pub started_at: DateTime<Utc>,
    pub data_dir: PathBuf,
    pub log_dir: PathBuf,
}

impl State {
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    pub(super) fn read(path: &Path) -> Result<Option<Self>, Error> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::file("read", path)(e)),
        };
        serde_json::from_slice(&text).map(Some).map_err(|source| Error::Record { path: path.to_owned(), source })
    }

    /// A reader sees the whole record or none.
    pub(super) fn write(&self, path: &Path) -> Result<(), Error> {
        let mut text = serde_json::to_vec_pretty(self).expect("plain fields always serialise");
        text.push(b'\n');
        let part = path.with_extension("json.part");
        let write = || {
            let mut file = fs::File::create(&part)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&part, path)
        };
        write().map_err(Error::file("write", path))
    }
}
