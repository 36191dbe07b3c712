//! The newest event that is in a table: how fresh it is, and what ages are counted back from where the clock is that.

use model::definition::Origin;
use zones::delta::Table;
use zones::why::as_computed;

use super::open_table;
use crate::context::Context;
use crate::error::Error;

/// In microseconds; `None` where no input has event times. An input that is ahead of the table counts as it was read, or, where
/// that version is gone, as it is.
pub(super) async fn newest_event(context: &Context, origin: &Origin, table: &Table) -> Result<Option<i64>, Error> {
    let Origin::UseCase(name) = origin else { return Ok(table.newest_event().await?) };
    let definition = context.pipeline.use_case(name).expect("a validated definition");
    let mut newest = None;
    for input in &definition.from {
        let read = as_computed(table, definition, input, open_table(context, input).await?).await?;
        newest = newest.max(Box::pin(newest_event(context, input, &read)).await?);
    }
    Ok(newest)
}
