//! The stages, one file each. A stage can be stopped at any instruction and started again: the end state is the same.

pub mod create_tables;
pub mod landing_to_raw;
mod newest_event;
pub mod raw_to_use_case;
pub mod to_cassandra;
pub mod url_to_landing;
pub(crate) mod whole_table;

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use model::definition::Origin;
use zones::delta::Table;
use zones::{Error as LakeError, raw, use_case};

use crate::context::Context;
use crate::error::Error;

/// Another writer (compaction, say) may get in between; a batch is done again this often.
pub(crate) const ATTEMPTS: u32 = 6;

/// Before a batch is done again: from some hundredths of a second to two seconds in all, never the same for two that collide.
#[tracing::instrument(target = "profile", level = "trace", name = "wait for another writer", skip_all)]
pub(crate) async fn pause(attempt: u32) {
    let jitter = RandomState::new().hash_one(attempt) % 50;
    tokio::time::sleep(Duration::from_millis((25 << attempt.min(5)) + jitter)).await;
}

/// A conflict that is left after all attempts.
pub(crate) fn contended(error: LakeError, table: &Table, step: &'static str) -> LakeError {
    if !error.is_conflict() {
        return error;
    }
    LakeError::Contended { table: table.name().to_owned(), step, attempts: ATTEMPTS }
}

/// Opens a table of the lake at its newest version; it must exist.
pub(crate) async fn open_table(context: &Context, origin: &Origin) -> Result<Table, Error> {
    let (lake, pipeline) = (&context.lake, &context.pipeline);
    Ok(match origin {
        Origin::Raw(name) => raw::open(lake, pipeline.raw_table(name).expect("a validated definition")).await?,
        Origin::UseCase(name) => use_case::open(lake, pipeline.use_case(name).expect("a validated definition")).await?,
    })
}
