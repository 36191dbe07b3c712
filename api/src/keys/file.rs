//! The file of keys: JSON, for its owner only, and what `sluice keys` does to it.
//!
//! Contract: a change is written beside the file, synced and put in its place, so that a reader sees the old keys or the new ones. Who
//! changes holds `FILE.lock`: two changes at once both take effect. A file of a newer format is neither read nor written. What is
//! kept are hashes; the one secret in it signs cursors.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::key::{Hash, new_id, new_secret, random_bytes};
use super::{Error, Rate, Scope};
use crate::watched_file::Fingerprint;

const FORMAT: u64 = 1;
/// Who needs longer does not want a rotation.
const LONGEST_GRACE: Duration = Duration::from_hours(365 * 24);
/// Far more than any number of keys that a person keeps; what is larger is no file of keys.
const MAX_BYTES: u64 = 64 << 20;

#[derive(Serialize, Deserialize)]
pub(super) struct Store {
    format: u64,
    /// 32 bytes, base64url.
    #[serde(with = "bytes_as_text")]
    pub(super) cursor_secret: [u8; 32],
    pub(super) keys: Vec<Record>,
}

/// What every format has.
#[derive(Deserialize)]
struct Head {
    format: u64,
}

/// What is kept of a key. Nothing in it lets anybody in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub id: String,
    /// Whose it is, in the words of who made it.
    pub name: String,
    #[serde(flatten)]
    pub scope: Scope,
    /// `None`: the server's default.
    pub rate: Option<Rate>,
    pub created: DateTime<Utc>,
    pub expires: Option<DateTime<Utc>>,
    pub revoked: Option<DateTime<Utc>>,
    /// The newest last; an older one lives until its `ends`.
    pub secrets: Vec<StoredSecret>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSecret {
    /// base64url.
    #[serde(with = "bytes_as_text")]
    pub(super) sha256: Hash,
    pub made: DateTime<Utc>,
    /// After a rotation.
    pub ends: Option<DateTime<Utc>>,
}

impl Record {
    /// `active`, `revoked` or `expired`.
    pub fn state(&self, now: DateTime<Utc>) -> &'static str {
        match self {
            Self { revoked: Some(_), .. } => "revoked",
            Self { expires: Some(expires), .. } if *expires <= now => "expired",
            _ => "active",
        }
    }
}

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    pub name: String,
    pub scope: Scope,
    pub rate: Option<Rate>,
    pub expires: Option<DateTime<Utc>>,
}

/// A key that was made or rotated. Its text is nowhere else.
#[derive(Debug)]
pub struct Made {
    pub key: SecretString,
    pub record: Record,
}

/// What a call did to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Done,
    /// It was so already.
    None,
}

/// The keys in the order in which they were made; none where there is no file.
pub fn list(file: &Path) -> Result<Vec<Record>, Error> {
    Ok(read(file)?.map(|(store, _)| store.keys).unwrap_or_default())
}

pub fn make(file: &Path, new: NewKey, now: DateTime<Utc>) -> Result<Made, Error> {
    change(file, |store| {
        let id = new_id(|id| store.keys.iter().any(|key| key.id == id))?;
        let (key, sha256) = new_secret(&id)?;
        let NewKey { name, scope, rate, expires } = new;
        let secrets = vec![StoredSecret { sha256, made: now, ends: None }];
        let record = Record { id, name, scope, rate, created: now, expires, revoked: None, secrets };
        store.keys.push(record.clone());
        Ok((Made { key, record }, Change::Done))
    })
}

/// A new secret under the same id. The one before lives on for `grace`.
pub fn rotate(file: &Path, id: &str, grace: Duration, now: DateTime<Utc>) -> Result<Made, Error> {
    change(file, |store| {
        let record = find(store, id, file)?;
        match record.state(now) {
            "revoked" => return Err(Error::Revoked { id: id.to_owned() }),
            "expired" => return Err(Error::Expired { id: id.to_owned() }),
            _ => {}
        }
        let end = now + grace.min(LONGEST_GRACE);
        for secret in &mut record.secrets {
            secret.ends = Some(secret.ends.map_or(end, |earlier| earlier.min(end)));
        }
        record.secrets.retain(|secret| secret.ends.is_none_or(|ends| ends > now));
        let (key, sha256) = new_secret(id)?;
        record.secrets.push(StoredSecret { sha256, made: now, ends: None });
        Ok((Made { key, record: record.clone() }, Change::Done))
    })
}

/// From now on it opens nothing; it stays in the list.
pub fn revoke(file: &Path, id: &str, now: DateTime<Utc>) -> Result<(Record, Change), Error> {
    change(file, |store| {
        let record = find(store, id, file)?;
        let change = if record.revoked.is_some() { Change::None } else { Change::Done };
        record.revoked.get_or_insert(now);
        Ok(((record.clone(), change), change))
    })
}

fn find<'s>(store: &'s mut Store, id: &str, file: &Path) -> Result<&'s mut Record, Error> {
    let known: Vec<_> = store.keys.iter().map(|key| key.id.clone()).collect();
    let missing = || Error::NoKey { id: id.to_owned(), file: file.display().to_string(), known };
    store.keys.iter_mut().find(|key| key.id == id).ok_or_else(missing)
}

/// The file's content and what it looked like; `None` where there is none.
pub(super) fn read(file: &Path) -> Result<Option<(Store, Fingerprint)>, Error> {
    let failed = |source| Error::Read { file: file.display().to_string(), source };
    let damaged = |source| Error::Damaged { file: file.display().to_string(), source };
    let opened = match File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let metadata = opened.metadata().map_err(failed)?;
    let mut text = Vec::new();
    opened.take(MAX_BYTES).read_to_end(&mut text).map_err(failed)?;
    let Head { format } = serde_json::from_slice(&text).map_err(damaged)?;
    if format > FORMAT {
        return Err(Error::Newer { file: file.display().to_string(), found: format, known: FORMAT });
    }
    let store = serde_json::from_slice(&text).map_err(damaged)?;
    Ok(Some((store, Fingerprint::of(&metadata))))
}

/// Reads, changes and writes under the lock. Nothing is written where nothing changed.
fn change<T>(file: &Path, work: impl FnOnce(&mut Store) -> Result<(T, Change), Error>) -> Result<T, Error> {
    let failed = |source| Error::Write { file: file.display().to_string(), source };
    // A link stays a link: what it names is changed.
    let file = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
    let lock = own_file().create(true).truncate(false).open(beside(&file, "lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let mut store = match read(&file)? {
        Some((store, _)) => store,
        None => Store { format: FORMAT, cursor_secret: random_bytes()?, keys: Vec::new() },
    };
    let (made, change) = work(&mut store)?;
    if change == Change::Done {
        write(&file, &folder, &store).map_err(failed)?;
    }
    Ok(made)
}

fn write(file: &Path, folder: &Path, store: &Store) -> std::io::Result<()> {
    let text = serde_json::to_vec_pretty(store)?;
    let new = beside(file, "new");
    // Left by a process that died; whoever is here holds the lock.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut written = own_file().create_new(true).open(&new)?;
    written.write_all(&text)?;
    written.write_all(b"\n")?;
    written.sync_all()?;
    std::fs::rename(&new, file)?;
    File::open(folder)?.sync_all()
}

/// Read and written by its owner only.
fn own_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

mod bytes_as_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| D::Error::custom("not base64url"))?;
        bytes.try_into().map_err(|_| D::Error::custom("not 32 bytes"))
    }
}
