//! What maintenance would remove: whole dates that are past a raw table's retention.

use chrono::NaiveDate;
use model::definition::{PipelineClock, RawTable};
use model::plan::RetentionPlan;

use super::{bytes, rows};
use crate::delta::Table;
use crate::error::Error;
use crate::load::oldest_kept;

/// Dates of a raw table that its retention no longer keeps; `None` where it has no retention. `now` is in microseconds.
pub async fn retention(
    table: &RawTable,
    clock: PipelineClock,
    now: i64,
    stored: Option<&Table>,
) -> Result<Option<RetentionPlan>, Error> {
    let Some(retention_days) = table.retention_days else { return Ok(None) };
    let (newest, files) = match stored {
        Some(stored) => (stored.newest_event().await?, stored.files(None)?),
        None => (None, Vec::new()),
    };
    let oldest_kept = oldest_kept(table, clock, now, newest);
    let date_of = |partition: &Option<String>| partition.as_ref().and_then(|date| date.parse::<NaiveDate>().ok());
    let past = |partition: &Option<String>| date_of(partition).filter(|date| oldest_kept.is_some_and(|oldest| *date < oldest));
    let files: Vec<_> = files.into_iter().filter(|file| past(&file.partition).is_some()).collect();
    let mut dates: Vec<NaiveDate> = files.iter().filter_map(|file| past(&file.partition)).collect();
    dates.sort_unstable();
    dates.dedup();
    Ok(Some(RetentionPlan {
        table: table.name.clone(),
        retention_days,
        oldest_kept,
        dates,
        rows: rows(&files),
        files: files.len() as u64,
        bytes: bytes(&files),
    }))
}
