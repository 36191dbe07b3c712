//! One event, and its line of JSON.

use super::sessions::{DAY, Micros, SECOND};
use chrono::{Days, NaiveDate};
use serde::Serialize;
use std::io::Write;
use uuid::Uuid;

/// An event as it stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    pub kind: EventKind,
    /// Only starts carry one.
    pub country: Option<&'static str>,
    pub player_id: Uuid,
    pub session_id: Uuid,
    /// Microseconds since 1 November 2016, 00:00 UTC.
    pub(super) at: Micros,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    Start,
    End,
}

impl EventKind {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::End => "end",
        }
    }
}

/// How an event is written: two texts of equal value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// As in the original: no spaces, no fraction on a whole second, no country on an end.
    Usual,
    /// Keys in another order, spaces, `.000000`, and a country of null on an end.
    Other,
}

/// The first instant of the file.
pub(super) fn first_date() -> NaiveDate {
    NaiveDate::from_ymd_opt(2016, 11, 1).expect("a date of the calendar")
}

impl Event {
    /// The date of its time stamp, in UTC.
    pub fn date(&self) -> NaiveDate {
        first_date() + Days::new(self.days().unsigned_abs())
    }

    /// Its time stamp in microseconds since 1970, in UTC.
    pub fn unix_micros(&self) -> i64 {
        let midnight = first_date().and_hms_opt(0, 0, 0).expect("midnight exists");
        midnight.and_utc().timestamp_micros() + self.at
    }

    /// Its time stamp as the file has it.
    pub fn ts(&self) -> String {
        let fraction = self.at % SECOND;
        let ts = self.whole_seconds();
        if fraction == 0 { ts } else { format!("{ts}.{fraction:06}") }
    }

    pub(super) fn days(&self) -> i64 {
        self.at / DAY
    }

    fn whole_seconds(&self) -> String {
        let seconds = self.at % DAY / SECOND;
        format!("{}T{:02}:{:02}:{:02}", self.date(), seconds / 3600, seconds / 60 % 60, seconds % 60)
    }

    /// Appends the event as one line, with its line break.
    pub(super) fn append_to(&self, text: &mut Vec<u8>, spelling: Spelling) {
        let event = self.kind.name();
        let player_id = self.player_id.simple();
        let session_id = self.session_id.hyphenated();
        let written = match (spelling, self.country) {
            (Spelling::Usual, Some(country)) => write!(
                text,
                r#"{{"event":"{event}","country":"{country}","player_id":"{player_id}","session_id":"{session_id}","ts":"{}"}}"#,
                self.ts()
            ),
            (Spelling::Usual, None) => write!(
                text,
                r#"{{"event":"{event}","player_id":"{player_id}","session_id":"{session_id}","ts":"{}"}}"#,
                self.ts()
            ),
            (Spelling::Other, country) => {
                let country = country.map_or_else(|| "null".to_owned(), |code| format!("\"{code}\""));
                write!(
                    text,
                    r#"{{ "ts": "{}.{:06}", "session_id": "{session_id}", "player_id": "{player_id}", "event": "{event}", "country": {country} }}"#,
                    self.whole_seconds(),
                    self.at % SECOND
                )
            }
        };
        written.expect("memory takes any text");
        text.push(b'\n');
    }
}
