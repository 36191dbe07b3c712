//! All locations of a source: a few at once, landed in order.

use futures::StreamExt;
use futures::stream;
use model::definition::OnMissing;
use model::{Classify, Failure, Interrupted};
use reqwest::Client;
use zones::landing::{Latest, Latests, Lock};

use super::address::{Address, Place};
use super::locations::{self, Locations};
use super::one::{self, Delivered, Delivery};
use super::share::Together;
use super::{Error, Evidence, Fetched, Request, http};

/// Enough to hide the time between a request and its answer; more would only crowd the server.
pub(super) const AT_ONCE: usize = 4;

/// Each took a minute or two of attempts: a server that is down is not asked for the other thousand dates.
const MOST_FAILURES_IN_A_ROW: usize = 8;

/// Fetches what changed at each location since its newest receipt, and lands it.
pub async fn fetch(request: &Request<'_>) -> Result<Fetched, Error> {
    let Locations { mut addresses, unmatched, is_single } = locations::of(request.source, request.today)?;
    let lock = request.zone.lock()?;
    request.zone.clean(&lock)?;
    let mut latests = request.zone.latests_to_add_to(&lock)?;
    if let (true, [address]) = (is_single, addresses.as_mut_slice()) {
        address.location = latests.only_location(&address.location);
    }
    request.zone.clean_incoming(&lock, addresses.iter().map(|address| address.location.as_str()))?;

    let mut arrivals = Arrivals::new(request, addresses.len() + unmatched.len());
    for pattern in unmatched {
        arrivals.unmatched(pattern);
    }
    let client = client_for(request, &addresses)?;
    let work = with_latest(addresses, &latests)?;
    let together = Together::new(request.progress, work.len());
    let mut downloads = stream::iter(&work)
        .map(|(address, latest)| {
            let (together, client) = (&together, client.as_ref());
            async move {
                let share = together.share();
                let request = Request { progress: &share, ..*request };
                let delivery = one::download(&request, client, address, latest.as_ref()).await;
                share.end();
                (address, delivery)
            }
        })
        .buffered(AT_ONCE);
    let mut left = work.len();
    while let Some((address, delivery)) = downloads.next().await {
        left -= 1;
        arrivals.take(address, delivery, (&lock, &mut latests))?;
        if arrivals.failures_in_a_row >= MOST_FAILURES_IN_A_ROW {
            arrivals.not_tried = left;
            break;
        }
    }
    drop(downloads);
    arrivals.end(&latests)
}

pub(super) fn client_for(request: &Request<'_>, addresses: &[Address]) -> Result<Option<Client>, Error> {
    let mut urls = addresses.iter().filter_map(|address| match &address.place {
        Place::Http(url) => Some(url),
        Place::File(_) => None,
    });
    let Some(first) = urls.next() else { return Ok(None) };
    let needs_tls = first.scheme() == "https" || urls.any(|url| url.scheme() == "https");
    let tls = if needs_tls { http::Tls::Needed } else { http::Tls::NotNeeded };
    http::client(request.options, tls).map(Some)
}

fn with_latest(addresses: Vec<Address>, latests: &Latests) -> Result<Vec<(Address, Option<Latest>)>, Error> {
    addresses
        .into_iter()
        .map(|address| {
            let latest = latests.of(&address.location)?;
            Ok((address, latest))
        })
        .collect()
}

/// What has come so far, in the order of the locations.
struct Arrivals<'a> {
    request: &'a Request<'a>,
    fetched: Fetched,
    failed: Vec<Error>,
    failures_in_a_row: usize,
    not_tried: usize,
    is_interrupted: bool,
}

impl<'a> Arrivals<'a> {
    fn new(request: &'a Request<'a>, locations: usize) -> Self {
        let fetched = Fetched { locations, ..Fetched::default() };
        Self { request, fetched, failed: Vec::new(), failures_in_a_row: 0, not_tried: 0, is_interrupted: false }
    }

    fn unmatched(&mut self, pattern: String) {
        if self.request.source.on_missing == OnMissing::Skip {
            self.fetched.missing.push(pattern);
        } else {
            self.failed.push(Error::NoFile { pattern });
        }
    }

    /// Lands what arrived. Fails at once only where the others would fail as well.
    fn take(&mut self, address: &Address, delivery: Result<Delivery, Error>, zone: (&Lock, &mut Latests)) -> Result<(), Error> {
        let delivery = match delivery {
            // The others are heard out, so that they keep what they have; what is whole lands in the next run.
            Err(Error::Interrupted(_)) => {
                self.is_interrupted = true;
                return Ok(());
            }
            _ if self.is_interrupted => return Ok(()),
            // The lake is at fault, not this location.
            Err(error @ Error::Landing(_)) => return Err(error),
            Err(error) => {
                self.failures_in_a_row = if error.failure() == Failure::Transient { self.failures_in_a_row + 1 } else { 0 };
                self.failed.push(error);
                return Ok(());
            }
            Ok(delivery) => delivery,
        };
        self.failures_in_a_row = 0;
        self.fetched.transferred += delivery.transferred;
        let is_one = self.fetched.locations == 1;
        let named = |note: String| if is_one { note } else { format!("{}: {note}", address.label()) };
        self.fetched.notes.extend(delivery.notes.into_iter().map(named));
        match delivery.result {
            Delivered::Missing => self.fetched.missing.push(address.label()),
            Delivered::Unchanged(evidence) => self.unchanged(evidence),
            Delivered::Whole { received, note } => {
                if one::land(self.request, address, zone, *received, note)? {
                    self.fetched.landed += 1;
                } else {
                    self.unchanged(Evidence::Content);
                }
            }
        }
        Ok(())
    }

    fn unchanged(&mut self, evidence: Evidence) {
        self.fetched.unchanged += 1;
        self.fetched.compared += usize::from(evidence == Evidence::Content);
    }

    fn end(mut self, latests: &Latests) -> Result<Fetched, Error> {
        if self.is_interrupted {
            return Err(Interrupted.into());
        }
        if self.fetched.locations == 1
            && let Some(error) = self.failed.pop()
        {
            return Err(error);
        }
        if !self.failed.is_empty() {
            return Err(Error::Several {
                source_name: self.request.source.name.clone(),
                of: self.fetched.locations,
                failed: self.failed,
                not_tried: self.not_tried,
            });
        }
        self.fetched.sequence = Some(latests.highest()).filter(|highest| *highest > 0);
        Ok(self.fetched)
    }
}
