//! The published figures of the original file, which the whole demonstration file reproduces.
//!
//! They were read in public solutions of the exercise that the original file belongs to. Orphans are inferred: sessions with
//! a start, with an end and with both leave no other numbers.

use super::truth::Truth;
use std::ops::RangeInclusive;

pub const EVENTS: u64 = 1_001_169;
pub const SESSIONS: u32 = 500_587;
pub const COMPLETE: u32 = 500_582;
pub const STARTS: u32 = 500_584;
pub const ENDS: u32 = 500_585;
pub const STARTS_WITHOUT_END: u32 = 2;
pub const ENDS_WITHOUT_START: u32 = 3;
pub const COUNTRIES: u64 = 246;
pub const PLAYERS: u32 = 19_615;
/// 30 days on which sessions start, and the day after, on which the last ones end.
pub const EVENT_DATES: usize = 31;
pub const SESSIONS_PER_PLAYER: RangeInclusive<u32> = 1..=50;
pub const MEDIAN_SESSIONS_PER_PLAYER: f64 = 26.0;

/// The ten countries with the most completed sessions.
pub const TOP_TEN: [(&str, i64); 10] = [
    ("IT", 2839),
    ("SH", 2672),
    ("AZ", 2670),
    ("AT", 2655),
    ("WF", 2616),
    ("VA", 2602),
    ("HU", 2584),
    ("IL", 2563),
    ("RO", 2550),
    ("KR", 2535),
];

/// The country with the fewest completed sessions.
pub const FEWEST: (&str, i64) = ("JE", 1317);

/// The two countries in the middle: the published median of completed sessions is 2,024.5.
pub const MIDDLE_COUNTRIES: (i64, i64) = (2024, 2025);

/// A figure of the whole file that is not what was published.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{figure} is {found}, not {published}")]
pub struct NotGolden {
    pub figure: &'static str,
    pub found: String,
    pub published: String,
}

/// Compares the truth about a whole file with every published figure.
///
/// Repeated, late and bad lines do not count: they change no event.
pub fn check(truth: &Truth) -> Result<(), NotGolden> {
    let top_ten: Vec<_> = truth.top_countries.iter().map(|top| (top.country.as_str(), top.completed)).collect();
    let published_top_ten: Vec<_> = TOP_TEN.iter().map(|(country, completed)| (*country, completed.unsigned_abs())).collect();
    same("events", &truth.events, &EVENTS)?;
    same("sessions", &truth.sessions, &u64::from(SESSIONS))?;
    same("complete sessions", &truth.complete, &u64::from(COMPLETE))?;
    same("starts", &truth.starts, &u64::from(STARTS))?;
    same("ends", &truth.ends, &u64::from(ENDS))?;
    same("starts without end", &truth.starts_without_end, &u64::from(STARTS_WITHOUT_END))?;
    same("ends without start", &truth.ends_without_start, &u64::from(ENDS_WITHOUT_START))?;
    same("countries", &truth.countries, &COUNTRIES)?;
    same("players", &truth.players, &u64::from(PLAYERS))?;
    same("event dates", &truth.events_per_date.len(), &EVENT_DATES)?;
    same("the top ten", &top_ten, &published_top_ten)?;
    let per_country = &truth.completed_per_country;
    same("the fewest completed sessions of a country", &per_country.min, &FEWEST.1.unsigned_abs())?;
    let median = (MIDDLE_COUNTRIES.0 + MIDDLE_COUNTRIES.1) as f64 / 2.0;
    same("the median of completed sessions per country", &per_country.median, &median)?;
    let per_player = &truth.completed_per_player;
    same("the fewest completed sessions of a player", &per_player.min, &u64::from(*SESSIONS_PER_PLAYER.start()))?;
    same("the most completed sessions of a player", &per_player.max, &u64::from(*SESSIONS_PER_PLAYER.end()))?;
    same("the median of completed sessions per player", &per_player.median, &MEDIAN_SESSIONS_PER_PLAYER)
}

fn same<T: PartialEq + std::fmt::Debug>(figure: &'static str, found: &T, published: &T) -> Result<(), NotGolden> {
    if found == published {
        return Ok(());
    }
    Err(NotGolden { figure, found: format!("{found:?}"), published: format!("{published:?}") })
}
