//! Asks whether a source changed, and fetches nothing.
//!
//! A pinned sha256, and a file's time and length, are looked at as they are by a download. Behind HTTP one HEAD is sent to each
//! location, with `If-None-Match` where an `ETag` is known; a server that does not show what it would send is one of which it is
//! known only after fetching. Never: takes the source's lock; writes; tries a second time.

use std::path::Path;

use chrono::Utc;
use futures::StreamExt;
use futures::stream;
use model::definition::OnMissing;
use model::failure::with_causes;
use model::plan::{Amount, FileAtSource, SourceState};
use reqwest::Client;
use zones::landing::Latest;

use super::address::{Address, Place};
use super::locations::{self, Locations};
use super::several::{AT_ONCE, client_for};
use super::{Error, Evidence, Request, http, local, one};

/// What was seen of a location without fetching it.
pub(super) enum Seen {
    Unchanged(Evidence),
    Differs { bytes: Option<u64>, because: &'static str },
    CannotTell { bytes: Option<u64>, because: &'static str },
}

/// Looks at every location of a source, in order.
pub async fn look(request: &Request<'_>) -> Result<Vec<FileAtSource>, Error> {
    let Locations { mut addresses, unmatched, is_single } = locations::of(request.source, request.today)?;
    let latests = request.zone.latests()?;
    if let (true, [address]) = (is_single, addresses.as_mut_slice()) {
        address.location = latests.only_location(&address.location);
    }
    let client = client_for(request, &addresses)?;
    let skips = request.source.on_missing == OnMissing::Skip;
    let mut files: Vec<FileAtSource> = Vec::new();
    for pattern in unmatched {
        let state = if skips { SourceState::Missing } else { SourceState::Failing };
        files.push(file(pattern, state, "no file matches", Amount::exact(0)));
    }
    let mut work = Vec::new();
    for address in addresses {
        let latest = latests.of(&address.location)?;
        work.push((address, latest));
    }
    let client = client.as_ref();
    let looks =
        stream::iter(work).map(|(address, latest)| async move { of_one(request, client, &address, latest.as_ref()).await });
    files.extend(looks.buffered(AT_ONCE).collect::<Vec<_>>().await);
    Ok(files)
}

async fn of_one(request: &Request<'_>, client: Option<&Client>, address: &Address, latest: Option<&Latest>) -> FileAtSource {
    let landed = latest.filter(|latest| latest.is_landed);
    let url = address.shown.clone();
    if let (Some(pin), Some(landed)) = (&request.source.sha256, landed)
        && pin.eq_ignore_ascii_case(&landed.sha256)
    {
        return file(url, SourceState::Unchanged, shown(Evidence::Pinned), Amount::exact(0));
    }
    let seen = match &address.place {
        Place::Http(place) => {
            let client = client.expect("made where there is such a location");
            http::look(request, client, address, place, landed).await
        }
        Place::File(path) => at_path(address, path, landed),
    };
    let size = |bytes: Option<u64>| bytes.map_or_else(|| Amount::later("known after fetching"), Amount::exact);
    match seen {
        Ok(Seen::Unchanged(evidence)) => file(url, SourceState::Unchanged, shown(evidence), Amount::exact(0)),
        Ok(Seen::Differs { bytes, .. } | Seen::CannotTell { bytes, .. }) if landed.is_none() => {
            file(url, SourceState::New, "never landed", size(bytes))
        }
        Ok(Seen::Differs { bytes, because }) => file(url, SourceState::Changed, because, size(bytes)),
        Ok(Seen::CannotTell { bytes, because }) => file(url, SourceState::Unknown, because, size(bytes)),
        Err(error) if one::is_missing(&error) && request.source.on_missing == OnMissing::Skip => {
            file(url, SourceState::Missing, "nothing is there", Amount::exact(0))
        }
        Err(error) => file(url, SourceState::Failing, &with_causes(&error), Amount::later("known after fetching")),
    }
}

fn at_path(address: &Address, path: &Path, landed: Option<&Latest>) -> Result<Seen, Error> {
    let failed = |source| Error::File { step: "look at", path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::NotAFile { path: path.to_owned() });
    }
    let validators = local::validators(address, &metadata, Utc::now());
    if landed.is_some_and(|landed| validators.last_modified.is_some() && landed.validators == validators) {
        return Ok(Seen::Unchanged(Evidence::DateAndLength));
    }
    let bytes = Some(metadata.len());
    if landed.is_some_and(|landed| landed.validators.url_sha256 != validators.url_sha256) {
        return Ok(Seen::CannotTell { bytes, because: "another path than the one that was fetched: known after fetching" });
    }
    Ok(Seen::Differs { bytes, because: "another time or length" })
}

fn file(url: String, state: SourceState, because: &str, bytes: Amount) -> FileAtSource {
    FileAtSource { url, state, because: because.to_owned(), bytes }
}

fn shown(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Pinned => "its sha256 is pinned",
        Evidence::Etag => "the same ETag",
        Evidence::DateAndLength => "the same time and length",
        Evidence::Content => "the same bytes",
    }
}
