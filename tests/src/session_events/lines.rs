//! Which lines the file has, and in what order.
//!
//! Every line has an instant of arrival; the file is the lines sorted by it. An event arrives at its own time, a late one some
//! days later, a repetition after its first appearance, a bad line anywhere.

use super::event::{EventKind, Spelling};
use super::options::{Options, Order};
use super::rejects::{Reject, RejectKind};
use super::sessions::{DAY, Micros, Received, Session};
use super::{Streams, event};
use chrono::Days;
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

#[derive(Clone, Copy)]
pub(super) enum Line {
    Event {
        session: u32,
        kind: EventKind,
        spelling: Spelling,
        late: bool,
    },
    /// Index of the reject.
    Reject(u32),
}

struct Arrival {
    at: Micros,
    line: Line,
}

/// The lines in their order, and the rejects that some of them name.
pub(super) fn arrange(options: &Options, sessions: &[Session], streams: &Streams) -> (Vec<Line>, Vec<Reject>) {
    let mut arrivals = on_time(options, sessions);
    delay(&mut arrivals, options.share_of_events(options.late_percent), &mut streams.of("late"));
    repeat(&mut arrivals, options.share_of_events(options.duplicate_percent), &mut streams.of("duplicates"));
    let rejects = add_rejects(&mut arrivals, options, &mut streams.of("rejects"));
    match options.order {
        // The sort is stable: of one instant, starts stand before ends and events before their repetitions.
        Order::ByTime => arrivals.sort_by_key(|arrival| arrival.at),
        Order::Shuffled => arrivals.shuffle(&mut streams.of("order")),
    }
    let mut lines: Vec<Line> = arrivals.into_iter().map(|arrival| arrival.line).collect();
    lines.truncate(options.lines.unwrap_or(usize::MAX));
    (lines, rejects)
}

fn on_time(options: &Options, sessions: &[Session]) -> Vec<Arrival> {
    let mut arrivals = Vec::with_capacity(options.events());
    for (index, session) in sessions.iter().enumerate() {
        let index = u32::try_from(index).expect("sessions are counted in 32 bits");
        let mut arrive = |kind, at| {
            let line = Line::Event { session: index, kind, spelling: Spelling::Usual, late: false };
            arrivals.push(Arrival { at, line });
        };
        if session.received != Received::OnlyEnd {
            arrive(EventKind::Start, session.start);
        }
        if session.received != Received::OnlyStart {
            arrive(EventKind::End, session.end);
        }
    }
    arrivals
}

fn delay(arrivals: &mut [Arrival], late_events: usize, rng: &mut ChaCha8Rng) {
    for index in rand::seq::index::sample(rng, arrivals.len(), late_events) {
        let arrival = &mut arrivals[index];
        arrival.at += rng.random_range(DAY..5 * DAY);
        if let Line::Event { late, .. } = &mut arrival.line {
            *late = true;
        }
    }
}

fn repeat(arrivals: &mut Vec<Arrival>, duplicates: usize, rng: &mut ChaCha8Rng) {
    let events = arrivals.len();
    for (number, index) in rand::seq::index::sample(rng, events, duplicates).into_iter().enumerate() {
        let Arrival { at, line: Line::Event { session, kind, .. } } = arrivals[index] else {
            continue;
        };
        let spelling = if number % 2 == 0 { Spelling::Usual } else { Spelling::Other };
        let line = Line::Event { session, kind, spelling, late: false };
        // Half of them soon after, as by a sender that tries again; half up to three days later.
        let delay = if number % 4 < 2 { rng.random_range(0..DAY / 24) } else { rng.random_range(0..3 * DAY) };
        arrivals.push(Arrival { at: at + delay, line });
    }
}

fn add_rejects(arrivals: &mut Vec<Arrival>, options: &Options, rng: &mut ChaCha8Rng) -> Vec<Reject> {
    let period = i64::from(options.days) * DAY;
    let mut rejects: Vec<Reject> = Vec::new();
    for (kind, count) in reject_counts(options) {
        for number in 0..count {
            let at = rng.random_range(0..period);
            let date = event::first_date() + Days::new((at / DAY).unsigned_abs());
            arrivals.push(Arrival { at, line: Line::Reject(u32::try_from(rejects.len()).expect("far fewer bad lines")) });
            rejects.push(Reject {
                kind,
                number,
                player_id: uuid::Builder::from_random_bytes(rng.random()).into_uuid(),
                session_id: uuid::Builder::from_random_bytes(rng.random()).into_uuid(),
                ts: format!("{date}T12:00:00"),
            });
        }
    }
    rejects
}

/// How many bad lines of each kind: those asked for by kind, and an equal part of the percentage.
pub(super) fn reject_counts(options: &Options) -> BTreeMap<RejectKind, usize> {
    let mut counts: BTreeMap<RejectKind, usize> = options.rejects.iter().map(|(kind, count)| (*kind, *count as usize)).collect();
    let usual = RejectKind::OF_USUAL_LENGTH;
    for number in 0..options.share_of_events(options.reject_percent) {
        *counts.entry(usual[number % usual.len()]).or_default() += 1;
    }
    counts.retain(|_, count| *count > 0);
    counts
}
