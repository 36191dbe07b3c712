//! Who played when: the sessions, as they were, whether or not both of their events were received.

use super::options::Options;
use super::players::Player;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

/// Microseconds since the first instant of the file, 1 November 2016, 00:00 UTC.
pub(super) type Micros = i64;

pub(super) const SECOND: Micros = 1_000_000;
pub(super) const DAY: Micros = 24 * 60 * 60 * SECOND;
const LONGEST: Micros = 2 * 60 * 60 * SECOND;

/// One time stamp in a hundred is a whole second and is written without a fraction. The facts say only that there are such.
const ONE_IN_WHOLE_SECONDS: u32 = 100;

pub(super) struct Session {
    pub(super) id: Uuid,
    /// Index of its player.
    pub(super) player: u32,
    pub(super) start: Micros,
    pub(super) end: Micros,
    pub(super) received: Received,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    Both,
    OnlyStart,
    OnlyEnd,
}

/// Starts spread evenly over the days, lengths evenly from nothing to two hours; an end is never before its start.
pub(super) fn draw(options: &Options, players: &[Player], rng: &mut ChaCha8Rng) -> Vec<Session> {
    let period = i64::from(options.days) * DAY;
    let session = |player: usize, received: Received, rng: &mut ChaCha8Rng| {
        let start = stamp(rng.random_range(0..period), rng);
        let end = start + rng.random_range(0..=LONGEST);
        Session {
            id: uuid::Builder::from_random_bytes(rng.random()).into_uuid(),
            player: u32::try_from(player).expect("fewer players than sessions"),
            start,
            end: stamp(end, rng).max(start),
            received,
        }
    };
    let mut sessions = Vec::with_capacity(options.sessions as usize);
    for (index, player) in players.iter().enumerate() {
        for _ in 0..player.completed {
            sessions.push(session(index, Received::Both, rng));
        }
    }
    for (received, orphans) in
        [(Received::OnlyStart, options.starts_without_end), (Received::OnlyEnd, options.ends_without_start)]
    {
        for _ in 0..orphans {
            let player = rng.random_range(0..players.len());
            sessions.push(session(player, received, rng));
        }
    }
    sessions
}

/// Cuts the fraction off some instants.
fn stamp(instant: Micros, rng: &mut ChaCha8Rng) -> Micros {
    if rng.random_ratio(1, ONE_IN_WHOLE_SECONDS) { instant - instant % SECOND } else { instant }
}
