//! The demonstration file: a million session events that nobody had to send us.
//!
//! The original file of the exercise is not public, its shape and its counts are. [`Dataset::generate`] makes a file of that
//! shape from a seed; with default [`Options`] it has all of the published figures ([`golden`]). [`Dataset::truth`] says what
//! a reader of the file has to find.
//!
//! Guarantees:
//! - the same options give the same bytes, on every machine (the random numbers are `ChaCha8`, the versions are locked);
//! - the events do not depend on what is done to the lines: shuffled, repeated, late and bad lines leave every event as it is;
//! - [`Dataset::checked_truth`] counts the lines themselves and compares with what was asked for, and for a whole file
//!   with the published figures: a file that is not as it should be is an error, never a surprise to its reader.
//!
//! The file is never there by half: [`archive::write_file`] makes it beside its place and renames it.

pub mod archive;
mod countries;
mod event;
pub mod golden;
mod lines;
mod options;
mod players;
mod rejects;
mod sessions;
mod truth;

pub use event::{Event, EventKind};
pub use options::{Options, OptionsError, Order};
pub use rejects::RejectKind;
pub use truth::{CountryCount, Spread, Truth};

use lines::Line;
use players::Player;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rejects::Reject;
use sessions::{Received, Session};
use std::io::{self, Write};
use truth::Tally;

/// Everything that is in one file.
pub struct Dataset {
    options: Options,
    players: Vec<Player>,
    sessions: Vec<Session>,
    lines: Vec<Line>,
    rejects: Vec<Reject>,
}

/// The file does not hold what it was made to hold. This is a bug of the generator.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum CheckError {
    #[error("generated {found} {what} instead of {wanted}")]
    Count { what: &'static str, found: u64, wanted: u64 },
    #[error("the generated file differs from the published figures")]
    Golden(#[from] golden::NotGolden),
}

/// Random numbers by purpose, so that what one purpose uses does not move the others.
struct Streams {
    seed: u64,
}

impl Streams {
    fn of(&self, purpose: &str) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(purpose.bytes().fold(0, |stream, byte| stream << 8 | u64::from(byte)));
        rng
    }
}

impl Dataset {
    pub fn generate(options: &Options) -> Result<Self, OptionsError> {
        options.validate()?;
        let streams = Streams { seed: options.seed };
        let players = players::draw(options.complete(), &mut streams.of("players"));
        let sessions = sessions::draw(options, &players, &mut streams.of("sessions"));
        let (lines, rejects) = lines::arrange(options, &sessions, &streams);
        Ok(Self { options: options.clone(), players, sessions, lines, rejects })
    }

    /// Writes the lines, uncompressed, and returns the number of bytes.
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<u64> {
        const BUFFER: usize = 256 * 1024;
        let mut bytes = 0;
        let mut text = Vec::with_capacity(BUFFER + 1024);
        for line in &self.lines {
            match *line {
                Line::Event { session, kind, spelling, .. } => self.event(session, kind).append_to(&mut text, spelling),
                Line::Reject(reject) => self.rejects[reject as usize].append_to(&mut text, self.options.oversized_bytes),
            }
            if text.len() >= BUFFER {
                out.write_all(&text)?;
                bytes += text.len() as u64;
                text.clear();
            }
        }
        out.write_all(&text)?;
        Ok(bytes + text.len() as u64)
    }

    /// The lines in memory, uncompressed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes).expect("memory takes any bytes");
        bytes
    }

    /// The distinct events, session by session (not in the order of the file, and whether or not `lines` cut them off).
    pub fn events(&self) -> impl Iterator<Item = Event> + '_ {
        self.sessions.iter().zip(0..).flat_map(|(session, index)| {
            let start = (session.received != Received::OnlyEnd).then(|| self.event(index, EventKind::Start));
            let end = (session.received != Received::OnlyStart).then(|| self.event(index, EventKind::End));
            start.into_iter().chain(end)
        })
    }

    /// What a reader of the file has to find.
    pub fn truth(&self) -> Truth {
        self.truth_of(|_| true)
    }

    /// What a reader has to find who takes only some events, for instance those of three dates. Bad lines are counted all.
    pub fn truth_of(&self, takes: impl Fn(&Event) -> bool) -> Truth {
        let mut tally = Tally::new(self.sessions.len(), self.players.len());
        for line in &self.lines {
            match *line {
                Line::Event { session, kind, late, .. } => {
                    let event = self.event(session, kind);
                    if takes(&event) {
                        tally.event(session, self.sessions[session as usize].player, &event, late);
                    }
                }
                Line::Reject(reject) => tally.reject(self.rejects[reject as usize].kind),
            }
        }
        tally.finish()
    }

    /// The truth, once it was found to be what was asked for. Of a file cut off by `lines`, only their number can be checked.
    pub fn checked_truth(&self) -> Result<Truth, CheckError> {
        let truth = self.truth();
        let asked = &self.options;
        if let Some(most) = asked.lines {
            let all = asked.events() + asked.share_of_events(asked.duplicate_percent) + self.rejects.len();
            same("lines", truth.lines, all.min(most) as u64)?;
            return Ok(truth);
        }
        same("starts", truth.starts, asked.starts().into())?;
        same("ends", truth.ends, asked.ends().into())?;
        same("sessions", truth.sessions, asked.sessions.into())?;
        same("complete sessions", truth.complete, asked.complete().into())?;
        same("duplicates", truth.duplicates, asked.share_of_events(asked.duplicate_percent) as u64)?;
        same("late events", truth.late, asked.share_of_events(asked.late_percent) as u64)?;
        same("bad lines", truth.rejected(), lines::reject_counts(asked).into_values().sum::<usize>() as u64)?;
        same("lines", truth.lines, truth.events + truth.duplicates + truth.rejected())?;
        if asked.is_whole() {
            golden::check(&truth)?;
        }
        Ok(truth)
    }

    fn event(&self, session: u32, kind: EventKind) -> Event {
        let session = &self.sessions[session as usize];
        let player = &self.players[session.player as usize];
        let (country, at) = match kind {
            EventKind::Start => (Some(player.country), session.start),
            EventKind::End => (None, session.end),
        };
        Event { kind, country, player_id: player.id, session_id: session.id, at }
    }
}

fn same(what: &'static str, found: u64, wanted: u64) -> Result<(), CheckError> {
    if found == wanted { Ok(()) } else { Err(CheckError::Count { what, found, wanted }) }
}
