//! Lines that no reader of the contract can accept, one kind of fault each.
//!
//! A bad line has a session of its own that no event has, so that whoever accepts it all the same is found out.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::io::Write;
use uuid::Uuid;

/// What is wrong with a line. Everything else about the line is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RejectKind {
    /// Not JSON, though whole: a comma too many, single quotes, a bare word.
    MalformedJson,
    /// JSON, but a number, a list or an object where the contract has text; or no object at all.
    WrongType,
    /// An `event` that is neither start nor end.
    UnknownEvent,
    /// A time that no calendar or clock has.
    ImpossibleTime,
    /// A time far after any clock's now.
    FutureTime,
    /// A `session_id` that is no UUID.
    SessionIdNoUuid,
    /// `event`, `player_id`, `session_id` or `ts` is not there, or a start has no `country`.
    MissingField,
    /// Cut in the middle, as by a writer that died.
    TruncatedLine,
    /// Bytes in a text that are not UTF-8.
    InvalidUtf8,
    /// A record longer than any cap.
    Oversized,
}

impl RejectKind {
    pub const ALL: [Self; 10] = [
        Self::MalformedJson,
        Self::WrongType,
        Self::UnknownEvent,
        Self::ImpossibleTime,
        Self::FutureTime,
        Self::SessionIdNoUuid,
        Self::MissingField,
        Self::TruncatedLine,
        Self::InvalidUtf8,
        Self::Oversized,
    ];

    /// The kinds that a percentage of bad lines is made of: all whose lines are of usual length.
    pub const OF_USUAL_LENGTH: [Self; 9] = [
        Self::MalformedJson,
        Self::WrongType,
        Self::UnknownEvent,
        Self::ImpossibleTime,
        Self::FutureTime,
        Self::SessionIdNoUuid,
        Self::MissingField,
        Self::TruncatedLine,
        Self::InvalidUtf8,
    ];
}

/// One bad line.
pub(super) struct Reject {
    pub(super) kind: RejectKind,
    /// Counts the lines of its kind and picks one of the kind's variants.
    pub(super) number: usize,
    pub(super) player_id: Uuid,
    pub(super) session_id: Uuid,
    /// A time stamp within the period.
    pub(super) ts: String,
}

impl Reject {
    /// Appends the line, with its line break.
    pub(super) fn append_to(&self, text: &mut Vec<u8>, oversized_bytes: usize) {
        let line = self.line(oversized_bytes);
        text.write_all(&line).expect("memory takes any bytes");
        text.push(b'\n');
    }

    fn line(&self, oversized_bytes: usize) -> Vec<u8> {
        let right = Fields {
            event: r#""start""#.to_owned(),
            country: r#""FI""#.to_owned(),
            player_id: format!("\"{}\"", self.player_id.simple()),
            session_id: format!("\"{}\"", self.session_id.hyphenated()),
            ts: format!("\"{}\"", self.ts),
        };
        match self.kind {
            RejectKind::MalformedJson => match self.number % 3 {
                0 => right.json().replace("\",\"", "\",,\""),
                1 => right.json().replace('"', "'"),
                _ => Fields { event: "start".to_owned(), ..right }.json(),
            },
            RejectKind::WrongType => match self.number % 4 {
                0 => Fields { ts: r#"{"seconds":1478000000}"#.to_owned(), ..right }.json(),
                1 => Fields { session_id: format!("[{}]", right.session_id), ..right }.json(),
                2 => Fields { player_id: "42".to_owned(), ..right }.json(),
                _ => format!("[{}]", right.json()),
            },
            RejectKind::UnknownEvent => {
                let event = ["\"pause\"", "\"START\"", "\"\""][self.number % 3].to_owned();
                Fields { event, ..right }.json()
            }
            RejectKind::ImpossibleTime => {
                let ts = ["2016-11-31T10:00:00", "2016-11-04T24:61:00.5", "2016-13-01T00:00:00", "yesterday"][self.number % 4];
                Fields { ts: format!("\"{ts}\""), ..right }.json()
            }
            RejectKind::FutureTime => Fields { ts: self.ts_in_year("2999"), ..right }.json(),
            RejectKind::SessionIdNoUuid => {
                let session_id = match self.number % 3 {
                    0 => format!("session-{}", self.number),
                    1 => format!("{}g", &self.session_id.to_string()[..35]),
                    _ => self.session_id.to_string()[..35].to_owned(),
                };
                Fields { session_id: format!("\"{session_id}\""), ..right }.json()
            }
            RejectKind::MissingField => {
                let missing = ["event", "player_id", "session_id", "ts", "country"][self.number % 5];
                right.json_without(missing)
            }
            RejectKind::TruncatedLine => {
                let mut line = right.json();
                line.truncate(20 + self.number % (line.len() - 20));
                line
            }
            RejectKind::InvalidUtf8 => {
                let line = Fields { country: "\"\u{1}\"".to_owned(), ..right }.json();
                let invalid: &[u8] = [&b"\xff\xfe"[..], &b"\xc3"[..], &b"\xed\xa0\x80"[..]][self.number % 3];
                return replace_byte(line.as_bytes(), 1, invalid);
            }
            RejectKind::Oversized => {
                let line = Fields { country: "\"\u{1}\"".to_owned(), ..right }.json();
                let padding = vec![b'A'; oversized_bytes.saturating_sub(line.len() - 1)];
                return replace_byte(line.as_bytes(), 1, &padding);
            }
        }
        .into_bytes()
    }

    fn ts_in_year(&self, year: &str) -> String {
        format!("\"{year}{}\"", &self.ts[4..])
    }
}

/// The values of a line as JSON texts.
struct Fields {
    event: String,
    country: String,
    player_id: String,
    session_id: String,
    ts: String,
}

impl Fields {
    fn json(&self) -> String {
        self.json_without("")
    }

    fn json_without(&self, missing: &str) -> String {
        let fields = [
            ("event", &self.event),
            ("country", &self.country),
            ("player_id", &self.player_id),
            ("session_id", &self.session_id),
            ("ts", &self.ts),
        ];
        let present = fields.iter().filter(|(name, _)| *name != missing);
        let texts: Vec<String> = present.map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", texts.join(","))
    }
}

fn replace_byte(line: &[u8], byte: u8, with: &[u8]) -> Vec<u8> {
    let at = line.iter().position(|&found| found == byte).expect("the line was made with this byte");
    [&line[..at], with, &line[at + 1..]].concat()
}
