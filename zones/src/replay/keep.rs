//! What a replay leaves in the quarantine: written before the raw commit, committed after it.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use deltalake::kernel::Add;
use deltalake::writer::DeltaWriter;
use futures::TryStreamExt;
use model::crash;
use model::definition::RawTable;

use super::Replay;
use super::feed::Choice;
use crate::delta::{ChangedRows, Commit, CommitNote, ReadPlan, Table};
use crate::error::Error;
use crate::load::Stays;
use crate::quarantine::{files_of_load, load_name, shape};
use crate::raw::{newest_replay, replay_of};
use crate::rejects::{numbers, text};

/// Writes the records of the receipt that stay, with the reasons that they have now, into files that no commit names yet.
///
/// `None` where the quarantine is as it should be already. Fails where other records leave it than `left`.
pub(super) async fn write(
    replay: &Replay<'_>,
    quarantine: &Table,
    stays: &Stays,
    definition: &str,
    left: u64,
) -> Result<Option<Vec<Add>>, Error> {
    let plan = ReadPlan::all(quarantine);
    let mut writer = quarantine.data_writer(None)?;
    let (mut gone, mut changed) = (0, 0);
    for file in replay.files(quarantine)? {
        let mut batches = quarantine.read_file(&file.path, &file.partition, &plan).await?;
        while let Some(rows) = batches.try_next().await? {
            let judged = judged(replay, &rows, stays, definition)?;
            (gone, changed) = (gone + judged.gone, changed + judged.changed);
            writer.write(judged.rows).await.map_err(Error::delta("write", quarantine.name()))?;
        }
    }
    if gone != left {
        let what = format!("receipt {} of {} ({left} records are to leave the quarantine)", replay.receipt, replay.table.name);
        return Err(Error::Accounting { what, counts: format!("{gone} would") });
    }
    if gone == 0 && changed == 0 {
        return Ok(None);
    }
    crash::point("quarantine/stays:before");
    let written = quarantine.flushed(&mut writer).await?;
    // The raw table's commit names them before the quarantine's does.
    quarantine.sync_files(written.iter().map(|file| &file.path)).await?;
    crash::point("quarantine/stays:after");
    Ok(Some(written))
}

/// Rows of the quarantine after the replay.
struct Judged {
    rows: RecordBatch,
    gone: u64,
    changed: u64,
}

fn judged(replay: &Replay<'_>, rows: &RecordBatch, stays: &Stays, definition: &str) -> Result<Judged, Error> {
    let choices = replay.choices(rows)?;
    let (entries, positions) = (text(rows, "entry"), numbers(rows, "position"));
    let (reasons, details, definitions) = (text(rows, "reason"), text(rows, "detail"), text(rows, "definition"));
    let (mut gone, mut changed) = (0, 0);
    let mut kept = Vec::with_capacity(rows.num_rows());
    let mut judgements: [Vec<&str>; 3] = Default::default();
    for (row, choice) in choices.iter().enumerate() {
        let is_fed = *choice == Choice::Fed;
        let stay = if is_fed { stays.get(entries.value(row), positions.value(row).unsigned_abs()) } else { None };
        let before = [reasons.value(row), details.value(row), definitions.value(row)];
        let now = stay.map_or(before, |(reason, detail)| [reason.name(), detail.as_str(), definition]);
        let leaves = is_fed && stay.is_none();
        gone += u64::from(leaves);
        changed += u64::from(now != before);
        kept.push(!leaves);
        for (column, value) in judgements.iter_mut().zip(now) {
            column.push(value);
        }
    }
    let schema = shape("").schema;
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    for (name, values) in ["reason", "detail", "definition"].into_iter().zip(judgements) {
        columns[schema.index_of(name).expect("a column of the quarantine")] = Arc::new(StringArray::from(values));
    }
    let in_quarantine = || Error::arrow("rewrite the quarantine");
    let rows = RecordBatch::try_new(schema, columns).map_err(in_quarantine())?;
    let rows = filter_record_batch(&rows, &BooleanArray::from(kept)).map_err(in_quarantine())?;
    Ok(Judged { rows, gone, changed })
}

/// Ends a replay of the table that was stopped between its two commits. Says how many records it took out of the quarantine;
/// `None` where there was nothing to end.
pub async fn finish(raw: &Table, quarantine: &mut Table, table: &RawTable, now: i64) -> Result<Option<u64>, Error> {
    let (done, committed) = (quarantine.input_number(&replays_of(raw)).await?.unwrap_or(0), newest_replay(raw).await?);
    if done >= committed {
        return Ok(None);
    }
    let damaged = |problem: &str| Error::Damaged { path: raw.name().to_owned(), problem: problem.to_owned() };
    let note = replay_of(raw, committed).await?.ok_or_else(|| damaged("the commit of its last replay is not in its log"))?;
    let (Some(receipt), Some(files)) = (note.receipt, note.left_in_quarantine) else {
        return Err(damaged("the commit of its last replay does not say what it left in the quarantine"));
    };
    let files: Result<Vec<Add>, _> = files.into_iter().map(serde_json::from_value).collect();
    let files = files.map_err(|_| damaged("the commit of its last replay names files in a way that is not known"))?;
    let end = End { raw, number: committed, replayed: note.replayed.unwrap_or(0) };
    commit_load(quarantine, &load_name(&table.name, receipt), receipt, &note.definition, files, Some(end), now).await?;
    Ok(note.replayed)
}

/// The other half of a replay.
pub(super) struct End<'r> {
    raw: &'r Table,
    number: i64,
    replayed: u64,
}

pub(super) async fn commit(
    quarantine: &mut Table,
    replay: &Replay<'_>,
    definition: &str,
    files: Vec<Add>,
    end: Option<End<'_>>,
) -> Result<(), Error> {
    let load = load_name(&replay.table.name, replay.receipt);
    commit_load(quarantine, &load, replay.receipt, definition, files, end, replay.now).await
}

/// Puts the files in the place of all that the quarantine holds of the load.
async fn commit_load(
    quarantine: &mut Table,
    load: &str,
    receipt: u64,
    definition: &str,
    adds: Vec<Add>,
    end: Option<End<'_>>,
    now: i64,
) -> Result<(), Error> {
    let removes = files_of_load(quarantine, load)?;
    let version = i64::try_from(quarantine.version().0 + 1).unwrap_or(i64::MAX);
    let mut positions = vec![(load.to_owned(), version)];
    let mut changed = ChangedRows::default();
    if let Some(End { raw, number, replayed }) = end {
        positions.push((replays_of(raw), number));
        changed.deleted = replayed;
    }
    let note = CommitNote {
        input: load.to_owned(),
        receipt: Some(receipt),
        // Another mark than that of a load: who loads the file anew puts all of its rejects here again.
        definition: format!("{definition} replayed"),
        replayed: Some(changed.deleted),
        changed: Some(changed),
        write_time: quarantine.next_write_time(now).await?,
        run: Some(now),
        ..CommitNote::default()
    };
    crash::point("quarantine/replay:before");
    quarantine.commit(Commit { adds, removes, positions, note, ..Commit::default() }).await?;
    crash::point("quarantine/replay:after");
    Ok(())
}

/// Says, in the quarantine, which replay of a raw table it has followed; a table that was made anew begins anew.
fn replays_of(raw: &Table) -> String {
    format!("#replays of {}", raw.id())
}
