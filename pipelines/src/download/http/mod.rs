//! A source behind HTTP: attempts, until one brings the whole content or shows that it did not change.
//!
//! One attempt is one GET (after redirects). If there is a part and its content had a strong `ETag`, or else a `Last-Modified`,
//! the GET asks for the rest with `Range` and `If-Range`; any answer but exactly that rest starts afresh. Without a part it
//! asks with `If-None-Match`; for a source with only date and length a HEAD goes before the first GET.

mod exchange;
mod headers;
mod look;

use std::ops::ControlFlow;

use model::failure::with_causes;
use model::receipt::Validators;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue, IF_NONE_MATCH, IF_RANGE, RANGE};
use reqwest::{Client, Method, Response, StatusCode};
use url::Url;
use zones::landing::{Incoming, Latest, Part, PartNote};

use super::address::Address;
use super::error::Trouble;
use super::retry::{Woken, blocking, patiently, pause};
use super::{Error, Evidence, Request, Trip, Yield};
use exchange::Exchange;
pub(super) use exchange::{Tls, client};
pub(super) use look::look;

/// Why an attempt did not bring the whole content.
enum Stop {
    Again(Trouble),
    For(Error),
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::For(error.into())
    }
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Self::Again(trouble)
    }
}

/// A download: what survives from attempt to attempt.
struct Download<'a> {
    request: &'a Request<'a>,
    address: &'a Address,
    exchange: Exchange<'a>,
    /// The newest content, if its validators were given for this URL.
    known: Option<&'a Latest>,
    incoming: Incoming,
    part: Option<Part>,
    asks_head_first: bool,
    transferred: u64,
    /// The farthest byte that was ever reached: only beyond it there is progress.
    farthest: u64,
    notes: Vec<String>,
}

pub(super) async fn fetch(
    request: &Request<'_>,
    client: &Client,
    address: &Address,
    url: &Url,
    latest: Option<&Latest>,
) -> Result<Trip, Error> {
    let incoming = request.zone.incoming(&address.location, &address.file_name);
    let part = left_part(&incoming, address).await?;
    let known = latest.filter(|latest| latest.validators.url_sha256.as_ref() == Some(&address.sha256));
    let mut download = Download {
        request,
        address,
        exchange: Exchange::new(request, client, address, url)?,
        known,
        incoming,
        farthest: part.as_ref().map_or(0, Part::length),
        part,
        asks_head_first: known.is_some_and(|known| can_only_be_dated(&known.validators)),
        transferred: 0,
        notes: Vec::new(),
    };
    request.progress.advance(download.farthest);
    let result = download.run().await?;
    Ok(Trip { result, transferred: download.transferred, notes: download.notes })
}

/// The part that an earlier run left, if it belongs to this URL and the server can be asked for the rest.
async fn left_part(incoming: &Incoming, address: &Address) -> Result<Option<Part>, Error> {
    let note = incoming.note()?.filter(|note| {
        note.validators.url_sha256.as_ref() == Some(&address.sha256) && range_validator(&note.validators).is_some()
    });
    let Some(note) = note else { return Ok(None) };
    let incoming = incoming.clone();
    let part = blocking(move || incoming.resume(note)).await?;
    Ok(Some(part).filter(|part| part.length() > 0))
}

/// What `If-Range` takes: a strong tag, else the date.
fn range_validator(validators: &Validators) -> Option<&str> {
    validators.strong_etag().or(validators.last_modified.as_deref())
}

fn can_only_be_dated(validators: &Validators) -> bool {
    validators.strong_etag().is_none() && validators.last_modified.is_some() && validators.content_length.is_some()
}

impl Download<'_> {
    async fn run(&mut self) -> Result<Yield, Error> {
        let mut failures = 0;
        loop {
            let farthest_before = self.farthest;
            let trouble = match self.attempt().await {
                Ok(result) => return Ok(result),
                Err(Stop::For(error)) => {
                    // The error comes first: where the disk is full, keeping fails as well.
                    let _ = self.part.as_mut().map(Part::keep);
                    return Err(error);
                }
                Err(Stop::Again(trouble)) => trouble,
            };
            if let Some(part) = &mut self.part {
                part.keep()?;
            }
            failures = if self.farthest > farthest_before { 1 } else { failures + 1 };
            self.wait(failures, trouble).await?;
        }
    }

    /// Waits before the next attempt, or says that there is none.
    #[tracing::instrument(target = "profile", level = "trace", name = "wait for the server", skip_all)]
    async fn wait(&self, failures: u32, trouble: Trouble) -> Result<(), Error> {
        let options = self.request.options;
        let url = self.address.shown.clone();
        if failures >= options.attempts {
            let kept = self.part.as_ref().map_or(0, Part::length);
            return Err(Error::GaveUp { url, attempts: failures, kept, source: trouble });
        }
        let asked = trouble.retry_after();
        if let Some(wait) = asked.filter(|asked| *asked > options.longest_retry_after) {
            return Err(Error::Postponed { url, wait, source: trouble });
        }
        let wait = options.wait(failures, asked);
        tracing::warn!(
            source = self.request.source.name,
            url,
            failures,
            wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            trouble = with_causes(&trouble),
            "download failed, trying again"
        );
        Ok(pause(wait, self.request.shutdown).await?)
    }

    async fn attempt(&mut self) -> Result<Yield, Stop> {
        // A part whose rest cannot be asked for is worth nothing once its answer broke off.
        self.part.take_if(|part| part.length() == 0 || range_validator(&part.note().validators).is_none());
        if std::mem::take(&mut self.asks_head_first) && self.part.is_none() && self.head_is_known().await? {
            return Ok(Yield::Unchanged(Evidence::DateAndLength));
        }
        let conditions = self.conditions();
        let asks_whether_changed = conditions.contains_key(IF_NONE_MATCH);
        let response = self.send(Method::GET, conditions).await?;
        let asked = self.part.as_ref().map(Part::length);
        match (response.status(), asked) {
            (StatusCode::OK, _) => {
                if let ControlFlow::Break(unchanged) = self.begin(&response)? {
                    return Ok(unchanged);
                }
            }
            (StatusCode::PARTIAL_CONTENT, Some(asked)) => self.go_on(&response, asked)?,
            (StatusCode::NOT_MODIFIED, None) if asks_whether_changed => return Ok(Yield::Unchanged(Evidence::Etag)),
            (status @ (StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT), _) => {
                // It says that something is as it was which it was not asked about: a cache on the way, most likely.
                self.drop_part()?;
                return Err(Trouble::Unasked { status }.into());
            }
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(asked)) => {
                self.drop_part()?;
                return Err(Trouble::NoSuchPart { asked }.into());
            }
            (status, _) => return Err(self.refused(status, &response)),
        }
        self.receive(response).await?;
        let part = self.part.take().expect("`begin` or `go_on` left a part");
        Ok(Yield::Whole(Box::new(part)))
    }

    fn conditions(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let mut insert = |name, value: &str| {
            // Whatever a server sent as a header can be sent back; a note that was tampered with is not worth an error.
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        if let Some(part) = &self.part {
            insert(RANGE, &format!("bytes={}-", part.length()));
            insert(IF_RANGE, range_validator(&part.note().validators).unwrap_or_default());
        } else if let Some(etag) = self.known.and_then(|known| known.validators.strong_etag()) {
            insert(IF_NONE_MATCH, etag);
        }
        headers
    }

    /// Whether a HEAD shows the date and length of the newest content. A server that dislikes HEAD is asked by GET.
    async fn head_is_known(&self) -> Result<bool, Stop> {
        match self.send(Method::HEAD, HeaderMap::new()).await {
            Ok(response) if response.status() == StatusCode::OK => {
                let validators = headers::validators(response.headers(), self.address);
                Ok(self.is_known(&validators) == Some(Evidence::DateAndLength))
            }
            Ok(_) | Err(Stop::Again(_)) => Ok(false),
            Err(stop) => Err(stop),
        }
    }

    fn is_known(&self, found: &Validators) -> Option<Evidence> {
        evidence(&self.known?.validators, found)
    }

    async fn send(&self, method: Method, headers: HeaderMap) -> Result<Response, Stop> {
        self.listen(self.exchange.send(method, headers)).await?
    }

    /// Waits for the server, but not past its patience nor a request to stop.
    async fn listen<T>(&self, work: impl Future<Output = T>) -> Result<T, Stop> {
        let longest = self.request.options.stall_timeout;
        patiently(work, longest, self.request.shutdown).await.map_err(|woken| match woken {
            Woken::Stop(interrupted) => Error::from(interrupted).into(),
            Woken::TimedOut => Trouble::Stalled { silent: longest }.into(),
        })
    }

    /// A whole answer: unchanged after all, or the first byte of a new part.
    fn begin(&mut self, response: &Response) -> Result<ControlFlow<Yield>, Stop> {
        let headers = response.headers();
        let validators = headers::validators(headers, self.address);
        if let Some(evidence) = self.is_known(&validators) {
            self.drop_part()?;
            return Ok(ControlFlow::Break(Yield::Unchanged(evidence)));
        }
        self.check_encoding(response)?;
        let total = validators.content_length;
        if let Some(note) = headers::unbounded_note(response) {
            self.notes.push(note);
        }
        let file_name = headers::file_name(headers).unwrap_or_else(|| self.address.file_name.clone());
        self.part = None;
        self.part = Some(self.incoming.begin(PartNote::new(validators, file_name, total))?);
        if let Some(total) = total {
            self.request.progress.expect(total);
        }
        Ok(ControlFlow::Continue(()))
    }

    /// A partial answer: exactly the rest of the same content, or worth nothing.
    fn go_on(&mut self, response: &Response, asked: u64) -> Result<(), Stop> {
        let part = self.part.as_mut().expect("a part was asked for the rest of");
        let range = headers::content_range(response.headers()).filter(|range| range.is_rest(asked, part.note().total));
        if range.is_none() || headers::name_other_content(response.headers(), &part.note().validators) {
            self.drop_part()?;
            return Err(Trouble::OtherPart { asked }.into());
        }
        if let Some(total) = range.and_then(|range| range.total) {
            part.expect_total(total);
            self.request.progress.expect(total);
        }
        Ok(())
    }

    fn check_encoding(&mut self, response: &Response) -> Result<(), Stop> {
        let Some(encoding) = headers::content_encoding(response.headers()) else { return Ok(()) };
        match encoding.as_str() {
            // Stores that keep files with such a header (S3, GCS) send it whatever is asked. The bytes are what they have,
            // and readers see these two from the first bytes.
            "gzip" | "x-gzip" | "zstd" => {
                let note = format!("the server sent the file as `{encoding}` although asked not to: landed as received");
                self.notes.push(note);
                Ok(())
            }
            _ => Err(Error::Encoding { url: self.address.shown.clone(), encoding }.into()),
        }
    }

    fn refused(&self, status: StatusCode, response: &Response) -> Stop {
        let may_pass = matches!(status.as_u16(), 408 | 425 | 429) || status.is_server_error();
        if may_pass {
            return Trouble::Status { status, retry_after: headers::retry_after(response.headers()) }.into();
        }
        Error::Status { url: self.address.shown.clone(), status }.into()
    }

    async fn receive(&mut self, mut response: Response) -> Result<(), Stop> {
        loop {
            let chunk = self.listen(response.chunk()).await?;
            let part = self.part.as_mut().expect("a body belongs to a part");
            let total = part.note().total;
            let got = part.length();
            let broken = |error: reqwest::Error| Trouble::Broken { got, total, error: error.without_url() };
            let Some(chunk) = chunk.map_err(broken)? else {
                return match total {
                    Some(total) if got != total => Err(Trouble::Short { got, total }.into()),
                    _ => Ok(()),
                };
            };
            part.write(&chunk)?;
            self.transferred += chunk.len() as u64;
            let reached = part.length();
            if reached > self.farthest {
                self.request.progress.advance(reached - self.farthest);
                self.farthest = reached;
            }
        }
    }

    fn drop_part(&mut self) -> Result<(), Error> {
        self.part = None;
        Ok(self.incoming.remove_all()?)
    }
}

/// How it is known that what is found is the content that is known; `None` where it is not known.
fn evidence(known: &Validators, found: &Validators) -> Option<Evidence> {
    if let (Some(known), Some(found)) = (known.strong_etag(), found.strong_etag()) {
        return (known == found).then_some(Evidence::Etag);
    }
    let is_same = found.last_modified.is_some()
        && found.content_length.is_some()
        && (&known.last_modified, known.content_length) == (&found.last_modified, found.content_length);
    is_same.then_some(Evidence::DateAndLength)
}
