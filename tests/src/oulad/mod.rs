//! A small archive of the Open University data set's shape: the same seven tables, made from a seed.
//!
//! The real archive (CC BY 4.0, doi 10.1038/sdata.2017.171) has ten million interactions and is not part of this repository.
//! [`Archive::generate`] makes one with the same columns, the same sets of values and the same peculiarities: every value
//! quoted and nothing between two commas where a value is missing, repeated interactions that no key tells apart, students who
//! unregister, banked assessments, offsets from 25 days before a presentation's start on. [`Truth::of`] says what the tables
//! of the `oulad` pipeline hold after it was loaded, computed here without any part of the engine.
//!
//! Guarantees:
//! - the same options give the same bytes, on every machine (the random numbers are `ChaCha8`, the versions are locked);
//! - a [`later`](Archive::later) delivery depends on nothing but the archive that it follows, and differs from it in each of
//!   the ways that [`later`] lists;
//! - [`bad`](Archive::with_bad_rows) rows are added between the others and change none of them.

mod bad;
mod draw;
mod later;
mod options;
mod presentations;
mod tables;
mod truth;
mod write;

pub use bad::{BadKind, BadRow};
pub use options::{Options, OptionsError};
pub use presentations::Presentation;
pub use tables::{Assessment, Interaction, Item, Registration, Student, Submission, Tables};
pub use truth::{Cell, Table, Truth};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What one delivery holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Archive {
    pub tables: Tables,
    /// In the file of interactions, beside the good rows.
    pub bad: Vec<BadRow>,
    seed: u64,
}

impl Archive {
    pub fn generate(options: &Options) -> Result<Self, OptionsError> {
        options.validate()?;
        let tables = draw::tables(options);
        Ok(Self { tables, bad: Vec::new(), seed: options.seed })
    }

    /// The next delivery of the same archive: corrected, with rows gone, with more interactions.
    #[must_use]
    pub fn later(&self) -> Self {
        let tables = later::delivery(&self.tables, &mut stream(self.seed, "later"));
        Self { tables, bad: Vec::new(), seed: self.seed }
    }

    /// The same with this many rows of each bad kind in the file of interactions.
    #[must_use]
    pub fn with_bad_rows(&self, of_each_kind: usize) -> Self {
        let bad = bad::draw(&self.tables, of_each_kind, &mut stream(self.seed, "bad"));
        Self { tables: self.tables.clone(), bad, seed: self.seed }
    }

    pub fn truth(&self) -> Truth {
        Truth::of(&self.tables)
    }
}

/// Random numbers by purpose, so that what one purpose uses does not move the others.
fn stream(seed: u64, purpose: &str) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(purpose.bytes().fold(0, |stream, byte| stream << 8 | u64::from(byte)));
    rng
}
