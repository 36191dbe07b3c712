//! A source that is a file of this machine: copied, so that what landed stays as it was.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use model::receipt::Validators;
use zones::landing::{Latest, PartNote};

use super::address::Address;
use super::{Error, Evidence, Request, Trip, Yield};

const CHUNK_BYTES: usize = 256 * 1024;

/// A file changed as shortly before it is read as this may change again without its time showing it: some file systems keep
/// times only to two seconds (FAT).
const TIME_GRAIN: TimeDelta = TimeDelta::seconds(2);

pub(super) async fn fetch(request: &Request<'_>, address: &Address, path: &Path, latest: Option<&Latest>) -> Result<Trip, Error> {
    let mut file = File::open(path).map_err(failed("open", path))?;
    let before = file.metadata().map_err(failed("look at", path))?;
    if !before.is_file() {
        return Err(Error::NotAFile { path: path.to_owned() });
    }
    let validators = validators(address, &before, Utc::now());
    if latest.is_some_and(|latest| validators.last_modified.is_some() && latest.validators == validators) {
        return Ok(Trip { result: Yield::Unchanged(Evidence::DateAndLength), transferred: 0, notes: Vec::new() });
    }

    request.progress.expect(before.len());
    let note = PartNote::new(validators, address.file_name.clone(), Some(before.len()));
    let mut part = request.zone.incoming(&address.location, &address.file_name).begin(note)?;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        request.shutdown.check()?;
        // Chunks are small enough to be read here: a thread of its own would cost more than it frees.
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed("read", path)(error)),
        };
        part.write(&buffer[..read])?;
        request.progress.advance(read as u64);
        tokio::task::yield_now().await;
    }

    let after = file.metadata().map_err(failed("look at", path))?;
    if part.length() != before.len() || after.len() != before.len() || after.modified().ok() != before.modified().ok() {
        return Err(Error::ChangedWhileRead { path: path.to_owned() });
    }
    Ok(Trip { transferred: part.length(), result: Yield::Whole(Box::new(part)), notes: Vec::new() })
}

/// Time and length, the time only where it can be relied on.
pub(super) fn validators(address: &Address, metadata: &Metadata, now: DateTime<Utc>) -> Validators {
    let modified = metadata.modified().ok().map(DateTime::<Utc>::from).filter(|modified| now - modified > TIME_GRAIN);
    Validators {
        url_sha256: Some(address.sha256.clone()),
        etag: None,
        last_modified: modified.map(|modified| modified.to_rfc3339_opts(SecondsFormat::Nanos, true)),
        content_length: Some(metadata.len()),
    }
}

fn failed(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path: PathBuf = path.to_owned();
    move |source| Error::File { step, path, source }
}
