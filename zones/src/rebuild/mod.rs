//! A table computed anew from the zone before it, in place.
//!
//! Guarantee: what was computed takes the place of what was there in one commit, with the positions that the computation read up
//! to. A reader sees the table as it was or as it became, at any moment. The change feed of that commit is the difference: rows
//! that are equal in content are not in it, so nothing of them travels on. A rebuild that is killed has changed nothing or is
//! done; given again, it ends the same.
//!
//! Where types of columns or the partitions of the table change, or its files cannot be read, rows before and after cannot be
//! compared: the commit then gives the table another id, and what was made from it is made anew as well. Memory is bounded by
//! what the engine may hold for the SQL, a spill budget, and some 60 bytes for each row of one partition.

mod difference;
mod raw;
mod replacement;
mod staged;
mod use_case;

use model::crash;
use model::position::TableVersion;
use model::progress::Progress;
use model::shutdown::Shutdown;

use crate::delta::{ChangedRows, Commit, CommitNote, Table, TableShape};
use crate::error::Error;

pub(crate) use difference::{Difference, Fate, Stamps};
pub use raw::{Landed, raw};
pub use staged::Staged;
pub(crate) use staged::in_columns;
pub use use_case::{left_behind, use_case};

use replacement::{Identity, Plan, Replaced, Replacement};

/// Beneath the state of a pipeline; what a killed rebuild left there is removed by the next one.
pub(crate) const FOLDER: &str = "rebuild";
const STAGED_FILE: &str = "rows.spill";

/// Another writer (compaction, say) may get in between; the difference is then taken again.
const ATTEMPTS: u32 = 5;

/// Under what a rebuild is done.
pub struct Circumstances<'c> {
    /// The clock of the run, in microseconds.
    pub now: i64,
    pub shutdown: &'c Shutdown,
    pub progress: &'c dyn Progress,
    pub forgotten: ForgottenDates,
}

/// What becomes of a use-case table whose raw input no longer has all of its dates: retention removed them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForgottenDates {
    /// It is not computed anew: what these dates gave would be lost.
    #[default]
    Refused,
    /// It is computed from what is left.
    LeftOut,
}

/// What a rebuild did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rebuilt {
    pub version: Option<TableVersion>,
    pub changed: ChangedRows,
    /// Rows that came out as they were.
    pub unchanged: u64,
    /// Rows that were computed.
    pub rows: u64,
    pub files_written: u64,
    pub bytes_written: u64,
    pub files_removed: u64,
    /// Why the table has another id from now on, where it has.
    pub another_table: Option<String>,
    /// For people.
    pub notes: Vec<String>,
}

/// Whether rows before and after can be compared, and why not.
fn identity(table: &Table, wanted: &TableShape) -> (Identity, Option<String>) {
    if table.partition_column() != wanted.partition_column.as_deref() {
        return (Identity::Another, Some("it is partitioned in another way".to_owned()));
    }
    for field in wanted.schema.fields() {
        if let Ok(before) = table.schema().field_with_name(field.name())
            && before.data_type() != field.data_type()
        {
            return (Identity::Another, Some(format!("column {} is of another type", field.name())));
        }
    }
    (Identity::Kept, None)
}

/// The table as it will be; `None` where it stays as it is.
fn reshaped(table: &Table, wanted: &TableShape, identity: Identity) -> Result<Option<Table>, Error> {
    let has_shape = table.expect_shape(wanted).is_ok() && table.schema().fields() == wanted.schema.fields();
    let has_contract = wanted.contract.is_none() || table.contract() == wanted.contract;
    if has_shape && has_contract && identity == Identity::Kept {
        return Ok(None);
    }
    let id = match identity {
        Identity::Kept => table.id().to_owned(),
        Identity::Another => uuid::Uuid::new_v4().to_string(),
    };
    table.drafted(wanted, &id).map(Some)
}

/// Writes the files of a replacement and commits them; again, where another writer came in between.
///
/// Stored files that cannot be read are no obstacle where all of the table is computed anew: nothing is compared then.
async fn replace(
    table: &mut Table,
    circumstances: &Circumstances<'_>,
    plan: Plan<'_>,
    shape: &TableShape,
    note: &CommitNote,
    positions: &[(String, i64)],
) -> Result<Rebuilt, Error> {
    let mut attempt = 1;
    let mut another: Option<(Table, String)> = None;
    loop {
        let write_time = table.next_write_time(circumstances.now).await?;
        let plan = match &another {
            Some((draft, _)) => Plan { draft: Some(draft), identity: Identity::Another, ..plan },
            None => plan,
        };
        let replaced = match Replacement::of(table, write_time, plan).write().await {
            Err(error @ (Error::ReadFile { .. } | Error::DamagedFile { .. }))
                if plan.identity == Identity::Kept && plan.span.is_all() =>
            {
                another = Some((table.drafted(shape, &uuid::Uuid::new_v4().to_string())?, error.to_string()));
                continue;
            }
            written => written?,
        };
        let Replaced { commit, counts, unchanged } = replaced;
        circumstances.shutdown.check()?;
        let rebuilt = Rebuilt {
            changed: counts,
            unchanged,
            files_written: commit.adds.len() as u64,
            bytes_written: commit.adds.iter().map(|add| add.size.unsigned_abs()).sum(),
            files_removed: commit.removes.len() as u64,
            another_table: another.as_ref().map(|(_, why)| format!("could not {why}")),
            ..Rebuilt::default()
        };
        let note = CommitNote { write_time, run: Some(circumstances.now), changed: Some(counts), ..note.clone() };
        let metadata = plan.draft.and_then(Table::draft).cloned();
        let commit = Commit { note, positions: positions.to_vec(), metadata, ..commit };
        crash::point("rebuild/commit:before");
        let committed = table.commit(commit).await;
        crash::point("rebuild/commit:after");
        match committed {
            Err(error) if error.is_conflict() && attempt < ATTEMPTS => table.refresh().await?,
            Err(error) if error.is_conflict() => {
                return Err(Error::Contended { table: table.name().to_owned(), step: "rebuilding", attempts: ATTEMPTS });
            }
            committed => return Ok(Rebuilt { version: Some(committed?), ..rebuilt }),
        }
        attempt += 1;
    }
}
