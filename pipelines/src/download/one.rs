//! One location of a source, fetched if it changed.

use std::io;

use model::definition::OnMissing;
use reqwest::Client;
use tracing::Instrument;
use zones::landing::{About, Latest, Latests, Lock, PartNote, Received};

use super::address::{Address, Place};
use super::{Error, Evidence, Request, Trip, Yield, http, local, retry};

/// What a location holds, not landed yet.
pub(super) enum Delivered {
    Unchanged(Evidence),
    Whole {
        received: Box<Received>,
        note: PartNote,
    },
    /// There is nothing, and the definition says that this may be.
    Missing,
}

/// What came of a location, and what it took.
pub(super) struct Delivery {
    pub(super) result: Delivered,
    pub(super) transferred: u64,
    pub(super) notes: Vec<String>,
}

/// Fetches the location if it changed since its newest receipt.
#[tracing::instrument(target = "profile", level = "trace", name = "download", skip_all, fields(of = address.label()))]
pub(super) async fn download(
    request: &Request<'_>,
    client: Option<&Client>,
    address: &Address,
    latest: Option<&Latest>,
) -> Result<Delivery, Error> {
    request.shutdown.check()?;
    let landed = latest.filter(|latest| latest.is_landed);
    if let (Some(pin), Some(latest)) = (&request.source.sha256, landed)
        && pin.eq_ignore_ascii_case(&latest.sha256)
    {
        return Ok(Delivery { result: Delivered::Unchanged(Evidence::Pinned), transferred: 0, notes: Vec::new() });
    }
    let trip = match &address.place {
        Place::Http(url) => {
            let client = client.expect("made where there is such a location");
            http::fetch(request, client, address, url, landed).await
        }
        Place::File(path) => local::fetch(request, address, path, landed).await,
    };
    let Trip { result, transferred, notes } = match trip {
        Err(error) if request.source.on_missing == OnMissing::Skip && is_missing(&error) => {
            return Ok(Delivery { result: Delivered::Missing, transferred: 0, notes: Vec::new() });
        }
        trip => trip?,
    };
    let result = match result {
        Yield::Unchanged(evidence) => {
            let latest = landed.expect("what never landed has nothing to be equal to");
            check_pin(request, address, &latest.sha256)?;
            Delivered::Unchanged(evidence)
        }
        Yield::Whole(part) => {
            let note = part.note().clone();
            let syncing = tracing::trace_span!(target: "profile", "sync and check");
            let received = retry::blocking(move || part.finish()).instrument(syncing).await?;
            if let Err(error) = check_pin(request, address, &received.sha256) {
                received.discard()?;
                return Err(error);
            }
            Delivered::Whole { received: Box::new(received), note }
        }
    };
    Ok(Delivery { result, transferred, notes })
}

pub(super) fn is_missing(error: &Error) -> bool {
    match error {
        Error::Status { status, .. } => matches!(status.as_u16(), 404 | 410),
        Error::File { source, .. } => source.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// Lands a whole download, unless it is what the newest receipt of the location stands for: then false.
#[tracing::instrument(target = "profile", level = "trace", name = "land", skip_all)]
pub(super) fn land(
    request: &Request<'_>,
    address: &Address,
    (lock, latests): (&Lock, &mut Latests),
    received: Received,
    note: PartNote,
) -> Result<bool, Error> {
    if let Some(latest) = latests.of(&address.location)?.filter(|latest| latest.is_landed && latest.sha256 == received.sha256) {
        received.discard()?;
        request.zone.note_validators(lock, latests, &latest, note.validators)?;
        return Ok(false);
    }
    let about = About {
        url: address.shown.clone(),
        location: address.location.clone(),
        file_name: note.file_name,
        validators: note.validators,
        received_at: request.clock.now(),
    };
    request.zone.land(lock, latests, received, about)?;
    Ok(true)
}

fn check_pin(request: &Request<'_>, address: &Address, found: &str) -> Result<(), Error> {
    match &request.source.sha256 {
        Some(pin) if !pin.eq_ignore_ascii_case(found) => {
            Err(Error::Hash { url: address.shown.clone(), expected: pin.clone(), found: found.to_owned() })
        }
        _ => Ok(()),
    }
}
