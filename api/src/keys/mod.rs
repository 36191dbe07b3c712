//! Who may: API keys, from the file in which `sluice keys` keeps them to the answer whether a presented key opens a door.
//!
//! Contract: the file holds hashes; a key is shown once, when it is made or rotated, and cannot be got back. A key is 256 random bits,
//! so a plain SHA-256 is as hard to turn around as a slow hash and costs a request nothing. Comparing takes the same time wherever the
//! first difference is, and an unknown id costs what a known one costs. A change of the file is seen by a running server within two
//! seconds; a file that cannot be read any more changes nothing, and is told ([`live`]).

mod book;
mod error;
mod file;
mod key;
pub mod live;
mod rate;
mod scope;

pub use book::{Book, Caller, Refusal};
pub use error::Error;
pub use file::{Change, Made, NewKey, Record, StoredSecret, list, make, revoke, rotate};
pub use key::Presented;
pub use live::Keys;
pub use rate::{Rate, RateError};
pub use scope::{Scope, ScopeError};

/// 32 bytes that nobody can guess.
pub(crate) fn random_secret() -> Result<[u8; 32], Error> {
    key::random_bytes()
}
