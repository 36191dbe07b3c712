//! landing → raw: the files that are landed and not finished.
//!
//! A file with a load plan is known to the row. One without is known after it is read; how many rows it may have is estimated
//! from the files before it.

use std::collections::BTreeSet;

use model::definition::{Landing, OnChange, RawTable, load_hash};
use model::plan::{Amount, BatchToCommit, FileToLoad, RawPlan, Superseded};
use model::position::{BatchNumber, FilePosition};
use model::receipt::Receipt;

use super::{bytes_in, files_in, rows};
use crate::delta::Table;
use crate::error::Error;
use crate::lake::Lake;
use crate::landing::LandingZone;
use crate::load::LoadPlan;
use crate::raw::{self, Mixed, files_of_receipts};

/// What a run would load into a raw table. `stored` is the table, where it is there; `to_fetch` are the bytes of files that
/// would land before; `known` are the urls that the source has, where it may have several.
pub async fn load(
    lake: &Lake,
    landing: &Landing,
    table: &RawTable,
    stored: Option<&Table>,
    to_fetch: &Amount,
    known: Option<&BTreeSet<String>>,
) -> Result<RawPlan, Error> {
    let zone = lake.landing(&landing.source);
    let receipts = zone.receipts()?;
    let position = match stored {
        Some(stored) => FilePosition::from_number(stored.input_number(&table.from).await?.unwrap_or(0)),
        None => FilePosition::from_number(0),
    };
    let definition = load_hash(landing, table);
    let rate = Rate::of(&zone, &receipts, table, position)?;
    let mut files: Vec<FileToLoad> = Vec::new();
    for receipt in receipts.iter().filter(|receipt| !position.has_finished(receipt.sequence)) {
        let is_under_way = position > FilePosition::new(receipt.sequence, BatchNumber::NONE);
        let found = LoadPlan::read(&zone.plan_folder(receipt, &table.name))?;
        if is_under_way && found.as_ref().is_some_and(|plan| plan.definition != definition) {
            return Err(Error::DefinitionChanged { table: table.name.clone(), file: receipt.file_name.clone() });
        }
        let planned = found.filter(|plan| plan.definition == definition);
        let supersedes = match table.on_change {
            OnChange::Replace if !is_under_way => {
                superseded(stored, &raw::superseded(&receipts, receipt.sequence, known), &files).await?
            }
            _ => None,
        };
        files.push(match planned {
            Some(plan) => of_plan(receipt, &plan, position, is_under_way, supersedes),
            None => FileToLoad {
                receipt: receipt.sequence,
                file_name: receipt.file_name.clone(),
                bytes: receipt.size,
                is_under_way,
                rows: rate.rows_of(receipt.size, AFTER_READING),
                commits: if supersedes.is_some() { Amount::exact(1) } else { Amount::later(AFTER_READING) },
                batches: Vec::new(),
                supersedes,
            },
        });
    }
    Ok(RawPlan {
        table: table.name.clone(),
        rows: Amount::sum(files.iter().map(|file| &file.rows)),
        commits: Amount::sum(files.iter().map(|file| &file.commits)),
        files,
        rows_to_come: match to_fetch.value {
            Some(0) => Amount::exact(0),
            Some(bytes) => rate.rows_of(bytes, AFTER_LANDING),
            None => Amount::later(AFTER_LANDING),
        },
        to_come: None,
    })
}

const AFTER_READING: &str = "known after the file is read";
const AFTER_LANDING: &str = "known after landing";

fn of_plan(
    receipt: &Receipt,
    plan: &LoadPlan,
    position: FilePosition,
    is_under_way: bool,
    supersedes: Option<Superseded>,
) -> FileToLoad {
    let is_left = |index: usize| {
        BatchNumber::of(index, plan.batches.len()).is_some_and(|number| position < FilePosition::new(receipt.sequence, number))
    };
    let left = plan.batches.iter().enumerate().filter(|(index, _)| is_left(*index));
    let batches: Vec<BatchToCommit> = left
        .map(|(_, batch)| BatchToCommit { dates: batch.dates().into_iter().flatten().collect(), rows: batch.rows() })
        .collect();
    // A file without rows, and one that replaces a snapshot, are one commit.
    let commits = if supersedes.is_some() { 1 } else { batches.len().max(1) as u64 };
    FileToLoad {
        receipt: receipt.sequence,
        file_name: receipt.file_name.clone(),
        bytes: receipt.size,
        is_under_way,
        rows: Amount::exact(batches.iter().map(|batch| batch.rows).sum()),
        commits: Amount::exact(commits),
        batches,
        supersedes,
    }
}

/// The snapshot that a new file takes the place of; `None` where it is the first.
async fn superseded(
    stored: Option<&Table>,
    receipts: &BTreeSet<i64>,
    before: &[FileToLoad],
) -> Result<Option<Superseded>, Error> {
    let is_one = |file: &&FileToLoad| i64::try_from(file.receipt).is_ok_and(|receipt| receipts.contains(&receipt));
    if let Some(before) = before.iter().rfind(is_one) {
        let later = || Amount::later(format!("known after receipt {} is loaded", before.receipt));
        return Ok(Some(Superseded { rows: later(), files: later(), bytes: later() }));
    }
    let found = match stored {
        Some(stored) if !receipts.is_empty() => files_of_receipts(stored, receipts).await?,
        _ => Vec::new(),
    };
    let is_mixed = found.iter().any(|(_, mixed)| *mixed == Mixed::WithOthers);
    let files: Vec<_> = found.into_iter().map(|(file, _)| file).collect();
    let rows = match rows(&files) {
        rows if is_mixed => Amount::at_most(rows, "some of the files hold rows of other urls as well"),
        rows => Amount::exact(rows),
    };
    let superseded = Superseded { rows, files: files_in(&files), bytes: bytes_in(&files) };
    Ok((!files.is_empty()).then_some(superseded))
}

/// Rows that a table took from the bytes of earlier files.
struct Rate {
    rows: u128,
    bytes: u128,
    files: usize,
}

impl Rate {
    fn of(zone: &LandingZone, receipts: &[Receipt], table: &RawTable, position: FilePosition) -> Result<Self, Error> {
        let mut rate = Self { rows: 0, bytes: 0, files: 0 };
        for receipt in receipts.iter().filter(|receipt| position.has_finished(receipt.sequence)) {
            if let Some(plan) = LoadPlan::read(&zone.plan_folder(receipt, &table.name))? {
                rate.rows += plan.batches.iter().map(|batch| u128::from(batch.rows())).sum::<u128>();
                rate.bytes += u128::from(receipt.size);
                rate.files += 1;
            }
        }
        Ok(rate)
    }

    fn rows_of(&self, bytes: u64, unknown: &str) -> Amount {
        let Some(rows) = (self.rows * u128::from(bytes)).checked_div(self.bytes) else {
            return Amount::later(unknown);
        };
        let basis = match self.files {
            1 => "as many rows a byte as in the file before".to_owned(),
            files => format!("as many rows a byte as in the {files} files before"),
        };
        Amount::estimated(u64::try_from(rows).unwrap_or(u64::MAX), basis)
    }
}
