//! Interactions that no reader can accept.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::tables::{Interaction, Tables};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BadKind {
    /// Clicks that are no number.
    NotANumber,
    /// A module that there is not.
    UnknownModule,
    /// No student.
    MissingStudent,
}

impl BadKind {
    pub const ALL: [Self; 3] = [Self::NotANumber, Self::UnknownModule, Self::MissingStudent];
}

/// A bad row and where it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BadRow {
    pub kind: BadKind,
    /// How many good rows stand before it.
    pub after: usize,
    /// What it would be if it were good.
    pub like: Interaction,
}

/// In the order in which they stand in the file.
pub(super) fn draw(tables: &Tables, of_each_kind: usize, rng: &mut ChaCha8Rng) -> Vec<BadRow> {
    let mut rows = Vec::new();
    for kind in BadKind::ALL {
        for _ in 0..of_each_kind {
            let after = rng.random_range(0..tables.interactions.len());
            rows.push(BadRow { kind, after, like: tables.interactions[after] });
        }
    }
    rows.sort_by_key(|row| row.after);
    rows
}
