//! The lake: landing, raw and use-case zones over Delta Lake.
//!
//! The only crate that knows Delta, DataFusion and Parquet. It takes definitions and Arrow batches and gives Arrow batches and
//! reports; it never prints, exits, or reads the environment.

pub mod beside;
pub mod changes;
pub mod decode;
pub mod delta;
pub mod derive;
pub mod entries;
pub mod error;
pub mod explore;
pub mod format;
pub mod hold;
pub mod inspect;
pub mod keys;
pub mod lake;
pub mod landing;
pub mod ledger;
pub mod load;
pub mod maintain;
pub mod overview;
pub mod plan;
pub mod quarantine;
pub mod query;
pub mod raw;
pub mod rebuild;
pub mod rejects;
pub mod replay;
pub mod restore;
mod row_keys;
pub mod runs;
pub mod sql;
mod sync_beside;
pub mod use_case;
pub mod verify;
pub mod why;

pub use error::Error;
