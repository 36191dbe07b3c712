//! A source's contents, fetched into the landing zone.
//!
//! A source has one url or several (a list, a range of dates, files that match a pattern): its *locations*. Each is decided on
//! by itself. Whether one changed is decided in this order: the pinned sha256 against its newest receipt's; a strong `ETag`;
//! `Last-Modified` and length (a file's time and length); else the content is fetched and its sha256 compared. Validators are
//! only believed for the URL, query included, that they were given for.
//!
//! Guarantee: what lands has the length that the server stated and the sha256 that the definition pins. A download that broke
//! off or was stopped at any point goes on where it was, if the server says that the content is still the same; else it starts
//! afresh. A part is never mixed from two contents. Receipts are written in the order of the locations, whichever of them
//! arrived first; a location that fails keeps no other from landing, and is an error in the end.
//! Never: sends the definition's headers to another host than the definition's; shows them, or a URL's credentials and query;
//! unpacks anything.
//!
//! What cannot be seen: a body without any stated length that is cut (noted in the report), and a server that states a shorter
//! length than its file has. A pinned sha256 sees both.

mod address;
mod error;
mod http;
mod local;
mod locations;
mod look;
mod one;
mod retry;
mod several;
mod share;

pub use error::{Error, Trouble};
pub use locations::known_locations;
pub use look::look;
pub use retry::Options;
pub use several::fetch;

use chrono::NaiveDate;
use model::definition::Source;
use model::{Clock, Progress, Shutdown};
use zones::landing::{LandingZone, Part};

/// What is to be fetched, and what it needs.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub source: &'a Source,
    pub zone: &'a LandingZone,
    pub clock: &'a Clock,
    /// The day of the run, in UTC.
    pub today: NaiveDate,
    pub shutdown: &'a Shutdown,
    /// Told bytes, over all locations.
    pub progress: &'a dyn Progress,
    pub options: &'a Options,
}

/// What came of it, over all locations.
#[derive(Debug, Default)]
pub struct Fetched {
    /// How many locations the source has.
    pub locations: usize,
    pub landed: usize,
    pub unchanged: usize,
    /// Among the unchanged: those that had to be fetched to see that.
    pub compared: usize,
    /// Locations where there is nothing, by their date or else their url.
    pub missing: Vec<String>,
    /// The newest receipt of the source.
    pub sequence: Option<u64>,
    /// Bytes of content that were sent to us, repetitions included.
    pub transferred: u64,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// How it is known that a location did not change, from the cheapest to the dearest.
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
