//! Who plays, where, and how often.
//!
//! Each player has one country and 1 to 50 completed sessions, flat. Countries are drawn at random (equal numbers of players
//! would give too narrow a spread of sessions per country). For the whole file the countries are then named by rank and moved
//! by a few sessions each, so that the published figures hold exactly: total, top ten, minimum, median.

use super::countries::CODES;
use super::golden;
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::ops::RangeInclusive;
use uuid::Uuid;

pub(super) struct Player {
    pub(super) id: Uuid,
    pub(super) country: &'static str,
    /// Completed sessions.
    pub(super) completed: u32,
}

/// Draws the players of `completed` sessions; their sessions add up to exactly that.
pub(super) fn draw(completed: u32, rng: &mut ChaCha8Rng) -> Vec<Player> {
    let mut players = if completed == golden::COMPLETE {
        let mut players = draw_flat(golden::PLAYERS, rng);
        settle_countries(&mut players, rng);
        players
    } else {
        let mut players = draw_flat(players_of(completed), rng);
        let surplus = i64::from(completed) - total(&players);
        let everybody: Vec<usize> = (0..players.len()).collect();
        shift(&mut players, &everybody, surplus, |_| golden::SESSIONS_PER_PLAYER, rng);
        players
    };
    players.shuffle(rng);
    players
}

/// Players in the proportion of the original: 19,615 to 500,582 sessions.
fn players_of(completed: u32) -> u32 {
    let players = u64::from(completed) * u64::from(golden::PLAYERS) / u64::from(golden::COMPLETE);
    let fewest = completed.div_ceil(*golden::SESSIONS_PER_PLAYER.end());
    u32::try_from(players).expect("fewer players than sessions").max(fewest)
}

/// As many players of one session as of two, ... as of fifty; a remainder has the most.
fn draw_flat(players: u32, rng: &mut ChaCha8Rng) -> Vec<Player> {
    let most = *golden::SESSIONS_PER_PLAYER.end();
    (0..players)
        .map(|number| Player {
            id: uuid::Builder::from_random_bytes(rng.random()).into_uuid(),
            country: CODES[rng.random_range(0..CODES.len())],
            completed: most - number % most,
        })
        .collect()
}

/// Names the countries by rank and brings each to the figure that is known of it.
fn settle_countries(players: &mut [Player], rng: &mut ChaCha8Rng) {
    let mut by_rank: Vec<Vec<usize>> =
        CODES.iter().map(|code| (0..players.len()).filter(|&player| players[player].country == *code).collect()).collect();
    let sum = |of: &[usize], players: &[Player]| of.iter().map(|&p| i64::from(players[p].completed)).sum::<i64>();
    by_rank.sort_by_cached_key(|of| sum(of, players));

    let names = names_by_rank(rng);
    let now: Vec<i64> = by_rank.iter().map(|of| sum(of, players)).collect();
    let wanted = wanted_by_rank(&now);
    for (rank, of) in by_rank.iter().enumerate() {
        for &player in of {
            players[player].country = names[rank];
        }
        shift(players, of, wanted[rank] - now[rank], same_half, rng);
    }
}

/// The names from the country with the fewest sessions to the one with the most.
fn names_by_rank(rng: &mut ChaCha8Rng) -> Vec<&'static str> {
    let is_placed = |code: &str| code == golden::FEWEST.0 || golden::TOP_TEN.iter().any(|(top, _)| *top == code);
    let mut names = vec![golden::FEWEST.0];
    let mut others: Vec<&str> = CODES.into_iter().filter(|code| !is_placed(code)).collect();
    others.shuffle(rng);
    names.extend(others);
    names.extend(golden::TOP_TEN.iter().rev().map(|(code, _)| *code));
    names
}

/// The completed sessions of each rank: as published where that is known, else as drawn, moved evenly to close the total.
fn wanted_by_rank(drawn: &[i64]) -> Vec<i64> {
    let ranks = drawn.len();
    let (below, above) = golden::MIDDLE_COUNTRIES;
    let limits: Vec<RangeInclusive<i64>> = (0..ranks)
        .map(|rank| {
            if rank == 0 {
                golden::FEWEST.1..=golden::FEWEST.1
            } else if rank >= ranks - golden::TOP_TEN.len() {
                let top = golden::TOP_TEN[ranks - 1 - rank].1;
                top..=top
            } else if rank == ranks / 2 - 1 {
                below..=below
            } else if rank == ranks / 2 {
                above..=above
            } else if rank < ranks / 2 {
                golden::FEWEST.1 + 1..=below
            } else {
                above..=golden::TOP_TEN[golden::TOP_TEN.len() - 1].1 - 1
            }
        })
        .collect();
    let mut wanted: Vec<i64> = drawn.iter().zip(&limits).map(|(&sum, limit)| sum.clamp(*limit.start(), *limit.end())).collect();
    let mut missing = i64::from(golden::COMPLETE) - wanted.iter().sum::<i64>();
    while missing != 0 {
        for (sum, limit) in wanted.iter_mut().zip(&limits) {
            let moved = *sum + missing.signum();
            if limit.contains(&moved) {
                *sum = moved;
                missing -= missing.signum();
            }
        }
    }
    wanted
}

/// Keeps a player in its half of the range, and so the median of all players where it is.
fn same_half(completed: u32) -> RangeInclusive<u32> {
    let (fewest, most) = (*golden::SESSIONS_PER_PLAYER.start(), *golden::SESSIONS_PER_PLAYER.end());
    if completed <= most / 2 { fewest..=most / 2 } else { most / 2 + 1..=most }
}

/// Adds `surplus` sessions to (or takes them from) players picked at random among `of`, one at a time.
fn shift(
    players: &mut [Player],
    of: &[usize],
    mut surplus: i64,
    limits: impl Fn(u32) -> RangeInclusive<u32>,
    rng: &mut ChaCha8Rng,
) {
    while surplus != 0 {
        let player = &mut players[of[rng.random_range(0..of.len())]];
        let moved = if surplus > 0 { player.completed + 1 } else { player.completed - 1 };
        if limits(player.completed).contains(&moved) {
            player.completed = moved;
            surplus -= surplus.signum();
        }
    }
}

fn total(players: &[Player]) -> i64 {
    players.iter().map(|player| i64::from(player.completed)).sum()
}
