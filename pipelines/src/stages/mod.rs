//! The stages, one file each. A stage can be stopped at any instruction and started again: the end state is the same.

pub mod create_tables;
pub mod landing_to_raw;
pub mod raw_to_use_case;
pub mod to_cassandra;
pub mod url_to_landing;
mod whole_table;

use model::definition::Origin;
use zones::delta::Table;
use zones::{raw, use_case};

use crate::context::Context;
use crate::error::Error;

/// Opens a table of the lake at its newest version; it must exist.
pub(crate) async fn open_table(context: &Context, origin: &Origin) -> Result<Table, Error> {
    let (lake, pipeline) = (&context.lake, &context.pipeline);
    Ok(match origin {
        Origin::Raw(name) => raw::open(lake, pipeline.raw_table(name).expect("a validated definition")).await?,
        Origin::UseCase(name) => use_case::open(lake, pipeline.use_case(name).expect("a validated definition")).await?,
    })
}
