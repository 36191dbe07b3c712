//! A source's content, fetched into the landing zone.
//!
//! Whether a source changed is decided in this order: the pinned sha256 against the newest receipt's; a strong `ETag`;
//! `Last-Modified` and length (a file's time and length); else the content is fetched and its sha256 compared. Validators are
//! only believed for the URL, query included, that they were given for.
//!
//! Guarantee: what lands has the length that the server stated and the sha256 that the definition pins. A download that broke
//! off or was stopped at any point goes on where it was, if the server says that the content is still the same; else it starts
//! afresh. A part is never mixed from two contents.
//! Never: sends the definition's headers to another host than the definition's; shows them, or a URL's credentials and query;
//! unpacks anything.
//!
//! What cannot be seen: a body without any stated length that is cut (noted in the report), and a server that states a shorter
//! length than its file has. A pinned sha256 sees both.

mod address;
mod error;
mod http;
mod local;
mod retry;

pub use error::{Error, Trouble};
pub use retry::Options;

use model::definition::Source;
use model::{Clock, Progress, Receipt, Shutdown};
use zones::landing::{About, LandingZone, Latest, Lock, Part, Received};

use address::{Address, Place};

/// What is to be fetched, and what it needs.
pub struct Request<'a> {
    pub source: &'a Source,
    pub zone: &'a LandingZone,
    pub clock: &'a Clock,
    pub shutdown: &'a Shutdown,
    /// Told bytes.
    pub progress: &'a dyn Progress,
    pub options: &'a Options,
}

/// What came of it.
#[derive(Debug)]
pub struct Fetched {
    pub arrival: Arrival,
    /// Bytes of content that were sent to us, repetitions included.
    pub transferred: u64,
    /// What a person should know.
    pub notes: Vec<String>,
}

#[derive(Debug)]
pub enum Arrival {
    /// The newest receipt still stands for the source.
    Unchanged {
        sequence: u64,
        evidence: Evidence,
    },
    Landed(Box<Receipt>),
}

/// How it is known that a source did not change, from the cheapest to the dearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// The newest receipt has the pinned sha256: nothing was asked.
    Pinned,
    /// The server said so (304), or named the same strong `ETag`.
    Etag,
    DateAndLength,
    /// Fetched, and the same bytes.
    Content,
}

/// What one way of fetching yields.
enum Yield {
    Unchanged(Evidence),
    Whole(Box<Part>),
}

/// The outcome of a way of fetching, and what it took.
struct Trip {
    result: Yield,
    transferred: u64,
    notes: Vec<String>,
}

/// Fetches the source if it changed since the newest receipt.
pub async fn fetch(request: &Request<'_>) -> Result<Fetched, Error> {
    let address = Address::parse(&request.source.url)?;
    let lock = request.zone.lock()?;
    request.zone.clean(&lock)?;
    let latest = request.zone.latest()?;
    let landed = latest.as_ref().filter(|latest| latest.is_landed);

    if let (Some(pin), Some(latest)) = (&request.source.sha256, landed)
        && pin.eq_ignore_ascii_case(&latest.sha256)
    {
        let arrival = Arrival::Unchanged { sequence: latest.sequence, evidence: Evidence::Pinned };
        return Ok(Fetched { arrival, transferred: 0, notes: Vec::new() });
    }

    let trip = match &address.place {
        Place::Http(url) => http::fetch(request, &address, url, landed).await?,
        Place::File(path) => local::fetch(request, &address, path, landed).await?,
    };
    let arrival = match (trip.result, landed) {
        (Yield::Unchanged(evidence), Some(latest)) => {
            check_pin(request, &address, &latest.sha256)?;
            Arrival::Unchanged { sequence: latest.sequence, evidence }
        }
        (Yield::Unchanged(_), None) => unreachable!("what never landed has nothing to be equal to"),
        (Yield::Whole(part), landed) => land(request, &address, &lock, *part, landed).await?,
    };
    Ok(Fetched { arrival, transferred: trip.transferred, notes: trip.notes })
}

/// Compares a whole download with the pin and with the newest receipt, and lands it if it is new.
async fn land(
    request: &Request<'_>,
    address: &Address,
    lock: &Lock,
    part: Part,
    latest: Option<&Latest>,
) -> Result<Arrival, Error> {
    let note = part.note().clone();
    let received: Received = retry::blocking(move || part.finish()).await?;
    if let Err(error) = check_pin(request, address, &received.sha256) {
        received.discard()?;
        return Err(error);
    }
    if let Some(latest) = latest
        && latest.sha256 == received.sha256
    {
        received.discard()?;
        request.zone.note_validators(lock, latest, note.validators)?;
        return Ok(Arrival::Unchanged { sequence: latest.sequence, evidence: Evidence::Content });
    }
    let about = About {
        url: address.shown.clone(),
        file_name: note.file_name,
        validators: note.validators,
        received_at: request.clock.now(),
    };
    Ok(Arrival::Landed(Box::new(request.zone.land(lock, received, about)?)))
}

fn check_pin(request: &Request<'_>, address: &Address, found: &str) -> Result<(), Error> {
    match &request.source.sha256 {
        Some(pin) if !pin.eq_ignore_ascii_case(found) => {
            Err(Error::Hash { url: address.shown.clone(), expected: pin.clone(), found: found.to_owned() })
        }
        _ => Ok(()),
    }
}
