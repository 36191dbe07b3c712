//! How a source answers one request: rightly, or with one of the faults that sources in the wild have.

use chrono::{DateTime, Utc};
use std::time::Duration;

/// One answer. [`Reply::normal`] serves the file as it should be; what follows makes it worse, and faults can be combined.
///
/// Counts of bytes are of this answer's body: a `cut_after(10)` on the answer to `Range: bytes=90-` ends at byte 100.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub(super) answer: Answer,
    pub(super) headers: Vec<(String, String)>,
    pub(super) validators: Validators,
    pub(super) ranges: Ranges,
    pub(super) length: Length,
    pub(super) ending: Ending,
    pub(super) pace: Option<Pace>,
    pub(super) encoding: Encoding,
    pub(super) then_holds: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Answer {
    File,
    Status(u16),
    /// The connection is closed before a byte was sent.
    HangUp,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Validators {
    /// `ETag` of the content's hash, and `Last-Modified`.
    Strong,
    /// The same hash as a weak `ETag`, and `Last-Modified`.
    Weak,
    OnlyLastModified,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Ranges {
    Honoured,
    Ignored,
    /// A part is sent even where `If-Range` names another version.
    HonouredWithoutIfRange,
    /// Any range is answered with the part from here on.
    AlwaysFrom(u64),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Length {
    True,
    /// `Transfer-Encoding: chunked`, no length.
    Chunked,
    /// This `Content-Length`, whatever is sent.
    Claimed(u64),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Ending {
    Whole,
    CutAfter(u64),
    StallAfter(u64),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pace {
    pub(super) bytes: usize,
    pub(super) pause: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
}

impl Reply {
    /// The file with strong `ETag`, `Last-Modified`, `Content-Length`, ranges and conditions as RFC 9110 has them; 404 where
    /// the path holds none.
    pub fn normal() -> Self {
        Self::of(Answer::File)
    }

    /// This status, whatever the path holds, with a short text.
    pub fn status(status: u16) -> Self {
        Self::of(Answer::Status(status))
    }

    /// A redirect (301, 302, 303, 307, 308). A path that redirects to itself is a loop.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).header("Location", location)
    }

    /// The connection is closed before a byte was sent.
    pub fn hang_up() -> Self {
        Self::of(Answer::HangUp)
    }

    fn of(answer: Answer) -> Self {
        Self {
            answer,
            headers: Vec::new(),
            validators: Validators::Strong,
            ranges: Ranges::Honoured,
            length: Length::True,
            ending: Ending::Whole,
            pace: None,
            encoding: Encoding::Identity,
            then_holds: None,
        }
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn retry_after_seconds(self, seconds: u64) -> Self {
        self.header("Retry-After", &seconds.to_string())
    }

    #[must_use]
    pub fn retry_after_date(self, date: DateTime<Utc>) -> Self {
        self.header("Retry-After", &crate::http::format_date(date))
    }

    /// Neither `ETag` nor `Last-Modified`: nobody can tell whether the file changed.
    #[must_use]
    pub fn without_validators(self) -> Self {
        Self { validators: Validators::None, ..self }
    }

    /// `Last-Modified`, but no `ETag`.
    #[must_use]
    pub fn without_etag(self) -> Self {
        Self { validators: Validators::OnlyLastModified, ..self }
    }

    /// A weak `ETag`, which no range may be asked with.
    #[must_use]
    pub fn weak_etag(self) -> Self {
        Self { validators: Validators::Weak, ..self }
    }

    /// The whole file (200) to whoever asks for a range.
    #[must_use]
    pub fn without_ranges(self) -> Self {
        Self { ranges: Ranges::Ignored, ..self }
    }

    /// A faulty server: a part is sent even where `If-Range` names another version.
    #[must_use]
    pub fn ignoring_if_range(self) -> Self {
        Self { ranges: Ranges::HonouredWithoutIfRange, ..self }
    }

    /// A faulty server: whatever range is asked for, the part from `first` on is sent (and `Content-Range` says so).
    #[must_use]
    pub fn always_from(self, first: u64) -> Self {
        Self { ranges: Ranges::AlwaysFrom(first), ..self }
    }

    /// Chunked, without a length.
    #[must_use]
    pub fn chunked(self) -> Self {
        Self { length: Length::Chunked, ..self }
    }

    /// This `Content-Length`, true or not. The connection is closed afterwards.
    #[must_use]
    pub fn claim_length(self, bytes: u64) -> Self {
        Self { length: Length::Claimed(bytes), ..self }
    }

    /// The connection breaks off in the body: after so many bytes it is closed, whatever length was promised. A chunked
    /// body lacks its last chunk.
    #[must_use]
    pub fn cut_after(self, bytes: u64) -> Self {
        Self { ending: Ending::CutAfter(bytes), ..self }
    }

    /// After so many bytes nothing more comes; the connection stays open until the client gives up.
    #[must_use]
    pub fn stall_after(self, bytes: u64) -> Self {
        Self { ending: Ending::StallAfter(bytes), ..self }
    }

    /// So many bytes at a time, with a pause after each.
    #[must_use]
    pub fn slow(self, bytes: usize, pause: Duration) -> Self {
        Self { pace: Some(Pace { bytes: bytes.max(1), pause }), ..self }
    }

    /// `Content-Encoding: gzip`, whether or not the client accepts it. Lengths, ranges and tags are of the gzip bytes.
    #[must_use]
    pub fn gzip(self) -> Self {
        Self { encoding: Encoding::Gzip, ..self }
    }

    /// Once this answer's head was made, the path holds another file.
    #[must_use]
    pub fn then_holds(self, bytes: impl Into<Vec<u8>>) -> Self {
        Self { then_holds: Some(bytes.into()), ..self }
    }
}
