//! What a raw table cannot go back over: records and dates that another place has taken in since.
//!
//! Rows that a replay moved are in the raw table and no longer in the quarantine; dates that retention removed are in the archive,
//! or meant to be nowhere. Both are two commits or two places for one set of records, and a restore is one commit of one table:
//! going back over them, records would be in neither, or in both. Such a version is refused.

use std::collections::BTreeMap;

use model::position::TableVersion;

use crate::delta::{CommitNote, Span, Table};
use crate::error::Error;
use crate::ledger::{Ledger, Standing};

/// Fails where going back from `table` to `then` would leave records in neither of two places, or in both.
pub(super) async fn expect_none_moved(table: &Table, then: &Table) -> Result<(), Error> {
    let mut ledger = Ledger::of(table);
    while let Some(batch) = ledger.older().await?.filter(|batch| batch.version > then.version()) {
        if batch.standing == Standing::TakenBack {
            continue;
        }
        let Some(note) = &batch.note else { continue };
        if let Some(problem) = problem(note, batch.standing, batch.version, then).await? {
            return Err(Error::NotRestorable { table: table.name().to_owned(), version: then.version().0, problem });
        }
    }
    Ok(())
}

async fn problem(note: &CommitNote, standing: Standing, by: TableVersion, then: &Table) -> Result<Option<String>, Error> {
    if let Some(forgotten) = note.forgotten.as_ref().filter(|forgotten| !forgotten.rows.is_empty()) {
        let dates = forgotten.rows.len();
        return Ok(Some(format!("version {by} removed {dates} dates that are past their retention, and they would come back")));
    }
    // A table that was made anew since has taken in what was replayed before.
    if standing != Standing::Counts {
        return Ok(None);
    }
    if let Some(replayed) = note.replayed.filter(|replayed| *replayed > 0) {
        let problem = format!("version {by} took {replayed} records out of the quarantine, and they would be in neither table");
        return Ok(Some(problem));
    }
    if note.rebuilt.is_some_and(Span::is_all) {
        let before = set_aside(then).await?;
        let after = |receipt: &u64| note.by_receipt.get(receipt).map_or(0, |counts| counts.rejected);
        let is_as_before = |(receipt, aside): (&u64, &SetAside)| {
            aside.records == after(receipt) && (aside.records == 0 || aside.definition == note.definition)
        };
        if !before.iter().all(is_as_before) {
            let problem = format!("version {by} computed it anew, and the quarantine with it, which has other records since");
            return Ok(Some(problem));
        }
    }
    Ok(None)
}

/// Records of a receipt that were in the quarantine as of a version, and the definition that they were judged under.
#[derive(Debug, Default)]
struct SetAside {
    records: u64,
    definition: String,
}

async fn set_aside(then: &Table) -> Result<BTreeMap<u64, SetAside>, Error> {
    let mut receipts: BTreeMap<u64, SetAside> = BTreeMap::new();
    let mut replayed: BTreeMap<u64, u64> = BTreeMap::new();
    let mut ledger = Ledger::of(then);
    while let Some(batch) = ledger.older().await? {
        let Some(note) = batch.note.filter(|_| batch.standing == Standing::Counts) else { continue };
        for (receipt, counts) in &note.by_receipt {
            *receipts.entry(*receipt).or_default() = SetAside { records: counts.rejected, definition: note.definition.clone() };
        }
        let Some(receipt) = note.receipt else { continue };
        if let Some(records) = note.replayed {
            *replayed.entry(receipt).or_default() += records;
            continue;
        }
        let aside = receipts.entry(receipt).or_default();
        aside.records += note.counts.rejected;
        aside.definition.clone_from(&note.definition);
    }
    for (receipt, records) in replayed {
        let aside = receipts.entry(receipt).or_default();
        aside.records = aside.records.saturating_sub(records);
    }
    Ok(receipts)
}
