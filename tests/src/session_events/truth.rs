//! What a reader of the file has to find: counted over the lines as they are written.

use super::event::{Event, EventKind};
use super::rejects::RejectKind;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The counts of a file, or of those of its events that were asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// Lines of any kind. `lines = events + duplicates + all of rejects`.
    pub lines: u64,
    /// Distinct events.
    pub events: u64,
    pub starts: u64,
    pub ends: u64,
    /// Distinct sessions. `sessions = complete + starts_without_end + ends_without_start`.
    pub sessions: u64,
    /// Sessions with both events.
    pub complete: u64,
    pub starts_without_end: u64,
    pub ends_without_start: u64,
    /// Complete sessions that end on another date than they started.
    pub crossing_midnight: u64,
    /// Countries with a complete session.
    pub countries: u64,
    /// Players with a complete session.
    pub players: u64,
    /// The ten countries with the most complete sessions; of equals, the first by name.
    pub top_countries: Vec<CountryCount>,
    pub completed_per_country: Spread,
    pub completed_per_player: Spread,
    /// Distinct events by the date of their time stamp.
    pub events_per_date: BTreeMap<NaiveDate, u64>,
    /// Lines that repeat an event.
    pub duplicates: u64,
    /// Events whose line stands days further down than their time says.
    pub late: u64,
    /// Lines that are to be rejected, by kind.
    pub rejects: BTreeMap<RejectKind, u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountryCount {
    pub country: String,
    pub completed: u64,
}

/// Extremes and middle of some counts; all zero where there are none.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Spread {
    pub min: u64,
    pub median: f64,
    pub mean: f64,
    pub max: u64,
}

impl Truth {
    /// Lines that are to be rejected, of whatever kind.
    pub fn rejected(&self) -> u64 {
        self.rejects.values().sum()
    }
}

/// Counts line by line.
pub(super) struct Tally {
    sessions: Vec<Seen>,
    completed_per_player: Vec<u64>,
    lines: u64,
    duplicates: u64,
    late: u64,
    events_per_day: BTreeMap<i64, (NaiveDate, u64)>,
    rejects: BTreeMap<RejectKind, u64>,
}

/// What was seen of one session.
#[derive(Clone, Default)]
struct Seen {
    start_day: Option<i64>,
    end_day: Option<i64>,
    country: &'static str,
    player: u32,
}

impl Tally {
    pub(super) fn new(sessions: usize, players: usize) -> Self {
        Self {
            sessions: vec![Seen::default(); sessions],
            completed_per_player: vec![0; players],
            lines: 0,
            duplicates: 0,
            late: 0,
            events_per_day: BTreeMap::new(),
            rejects: BTreeMap::new(),
        }
    }

    pub(super) fn event(&mut self, session: u32, player: u32, event: &Event, late: bool) {
        self.lines += 1;
        self.late += u64::from(late);
        let seen = &mut self.sessions[session as usize];
        seen.player = player;
        let known = match event.kind {
            EventKind::Start => {
                seen.country = event.country.expect("a start has a country");
                seen.start_day.replace(event.days())
            }
            EventKind::End => seen.end_day.replace(event.days()),
        };
        if known.is_some() {
            self.duplicates += 1;
        } else {
            self.events_per_day.entry(event.days()).or_insert_with(|| (event.date(), 0)).1 += 1;
        }
    }

    pub(super) fn reject(&mut self, kind: RejectKind) {
        self.lines += 1;
        *self.rejects.entry(kind).or_default() += 1;
    }

    pub(super) fn finish(mut self) -> Truth {
        let mut truth = Truth {
            lines: self.lines,
            duplicates: self.duplicates,
            late: self.late,
            rejects: self.rejects,
            events_per_date: self.events_per_day.into_values().collect(),
            ..Truth::nothing()
        };
        let mut per_country: BTreeMap<&str, u64> = BTreeMap::new();
        for seen in &self.sessions {
            match (seen.start_day, seen.end_day) {
                (Some(start), Some(end)) => {
                    truth.complete += 1;
                    truth.crossing_midnight += u64::from(start != end);
                    *per_country.entry(seen.country).or_default() += 1;
                    self.completed_per_player[seen.player as usize] += 1;
                }
                (Some(_), None) => truth.starts_without_end += 1,
                (None, Some(_)) => truth.ends_without_start += 1,
                (None, None) => {}
            }
        }
        let per_player: Vec<u64> = self.completed_per_player.into_iter().filter(|&completed| completed > 0).collect();
        truth.starts = truth.complete + truth.starts_without_end;
        truth.ends = truth.complete + truth.ends_without_start;
        truth.events = truth.starts + truth.ends;
        truth.sessions = truth.starts + truth.ends_without_start;
        truth.countries = per_country.len() as u64;
        truth.players = per_player.len() as u64;
        truth.completed_per_country = Spread::of(per_country.values().copied().collect());
        truth.completed_per_player = Spread::of(per_player);
        truth.top_countries = top_ten(per_country);
        truth
    }
}

impl Truth {
    fn nothing() -> Self {
        Self {
            lines: 0,
            events: 0,
            starts: 0,
            ends: 0,
            sessions: 0,
            complete: 0,
            starts_without_end: 0,
            ends_without_start: 0,
            crossing_midnight: 0,
            countries: 0,
            players: 0,
            top_countries: Vec::new(),
            completed_per_country: Spread::default(),
            completed_per_player: Spread::default(),
            events_per_date: BTreeMap::new(),
            duplicates: 0,
            late: 0,
            rejects: BTreeMap::new(),
        }
    }
}

fn top_ten(per_country: BTreeMap<&str, u64>) -> Vec<CountryCount> {
    let mut counts: Vec<(&str, u64)> = per_country.into_iter().collect();
    counts.sort_by_key(|&(country, completed)| (std::cmp::Reverse(completed), country));
    counts.truncate(10);
    counts.into_iter().map(|(country, completed)| CountryCount { country: country.to_owned(), completed }).collect()
}

impl Spread {
    fn of(mut counts: Vec<u64>) -> Self {
        if counts.is_empty() {
            return Self::default();
        }
        counts.sort_unstable();
        let number = counts.len();
        let median = (counts[(number - 1) / 2] + counts[number / 2]) as f64 / 2.0;
        let mean = counts.iter().sum::<u64>() as f64 / number as f64;
        Self { min: counts[0], median, mean, max: counts[number - 1] }
    }
}
