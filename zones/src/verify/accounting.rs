//! The sums: what the commits of a raw table and of the quarantine say of each receipt, against the rows that are there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use deltalake::kernel::Action;
use futures::TryStreamExt;
use model::Receipt;
use model::counts::Counts;
use model::position::{FilePosition, TableVersion};
use model::verify::{Check, Subject};

use super::files::first_commit;
use super::{Looking, found};
use crate::delta::{CommitContent, CommitNote, PartitionValue, ReadPlan, Table, partition_of};
use crate::error::Error;
use crate::load::RECEIPT;

/// What the log says of one receipt.
#[derive(Debug, Clone, Default)]
pub struct Account {
    pub counts: Counts,
    /// Rows that should be there, by date; `""` where the table has no dates, or where the dates are not known.
    pub rows: BTreeMap<String, u64>,
    /// How its rows can be counted.
    pub counted: Counted,
    /// The definitions under which it was loaded.
    pub definitions: BTreeSet<String>,
    /// Records that came out of the quarantine later.
    pub replayed: u64,
    /// Whether its last batch is in the table.
    pub is_finished: bool,
    /// Whether a newer snapshot took the place of its rows.
    pub is_superseded: bool,
    /// Whether it may have been superseded: the url that it came from is not one of a newer file's.
    pub may_be_superseded: bool,
    /// The write times of its commits, of which its rows have one each.
    pub write_times: BTreeSet<i64>,
    /// When it was decoded anew last; rows that came out as they were have kept their times.
    rebuilt: Option<i64>,
    /// The newest event before it.
    pub newest_before: Option<i64>,
}

/// What the log says of the rows of a receipt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Counted {
    #[default]
    ByDate,
    /// The table was made anew since: how many rows it has of the receipt in all.
    InAll,
    /// Some dates were made anew since.
    NotAnyMore,
}

/// What the log of a raw table says.
#[derive(Debug, Default)]
pub struct Accounts {
    pub receipts: BTreeMap<u64, Account>,
    /// The first version that was looked at; receipts of earlier ones are not here.
    pub first: u64,
    /// Dates that were taken away as a whole since, by maintenance.
    pub gone: BTreeSet<PartitionValue>,
    /// Versions that changed rows and say nothing of themselves.
    foreign: Vec<String>,
    broken: Vec<String>,
}

/// Reads the log of a raw table, as far back as it goes.
pub async fn accounts(table: &Table, receipts: &[Receipt], looking: &Looking) -> Result<Accounts, Error> {
    let first = first_commit(table).await?;
    let mut accounts = Accounts { first, ..Accounts::default() };
    let mut newest_event = None;
    for version in effective(table, first, looking).await? {
        let commit = table.commit_content(TableVersion(version)).await?;
        match commit.note() {
            Some(note) => {
                accounts.add(&commit, &note, newest_event, receipts, table.partition_column());
                newest_event = note.newest_event.or(newest_event);
            }
            None if commit.changes_data() => accounts.foreign.push(foreign(&commit)),
            None => {}
        }
    }
    if first > 0 {
        // The log may begin in the middle of a load.
        accounts.receipts.pop_first();
    }
    Ok(accounts)
}

/// The versions that made the table what it is, in order: none that a restored version left behind.
async fn effective(table: &Table, first: u64, looking: &Looking) -> Result<Vec<u64>, Error> {
    let mut versions = Vec::new();
    let mut next = Some(table.version().0);
    while let Some(version) = next.filter(|version| *version >= first) {
        looking.shutdown.check()?;
        let restored = table.commit_content(TableVersion(version)).await?.note().and_then(|note| note.restored);
        if restored.is_none() {
            versions.push(version);
        }
        next = restored.or(version.checked_sub(1));
    }
    versions.reverse();
    Ok(versions)
}

/// A commit of another writer, for people.
fn foreign(commit: &CommitContent) -> String {
    let operation = commit.actions.iter().find_map(|action| match action {
        Action::CommitInfo(info) => info.operation.clone(),
        _ => None,
    });
    format!("version {}: {}", commit.version, operation.unwrap_or_else(|| "unknown operation".to_owned()))
}

impl Account {
    /// The write time of the first commit since it was decoded.
    pub fn first_write(&self) -> i64 {
        self.rebuilt.or_else(|| self.write_times.first().copied()).unwrap_or_default()
    }
}

impl Accounts {
    fn add(
        &mut self,
        commit: &CommitContent,
        note: &CommitNote,
        newest_before: Option<i64>,
        receipts: &[Receipt],
        partition_column: Option<&str>,
    ) {
        let version = commit.version;
        let by_date: Counts = note.by_date.values().copied().sum();
        // What a replay brings was read when its file was loaded.
        let whole = Counts { read: note.counts.read + note.replayed.unwrap_or(0), ..note.counts };
        let is_replay = note.replayed.is_some();
        if !whole.closes() || (!is_replay && note.by_date.values().any(|counts| !counts.closes())) {
            self.broken.push(format!("version {version}: {}", note.counts));
        } else if !note.by_date.is_empty()
            && (by_date.accepted, by_date.duplicate) != (note.counts.accepted, note.counts.duplicate)
        {
            self.broken
                .push(format!("version {version}: {} accepted by date, {} in all", by_date.accepted, note.counts.accepted));
        }
        let removed = commit.actions.iter().filter_map(|action| match action {
            Action::Remove(remove) if remove.data_change => {
                Some(partition_of(remove.partition_values.as_ref().unwrap_or(&HashMap::default()), partition_column))
            }
            _ => None,
        });
        let removed: BTreeSet<PartitionValue> = removed.collect();
        if let Some(forgotten) = &note.forgotten {
            self.gone.extend(forgotten.rows.keys().map(|date| Some(date.to_string())));
        }
        if let Some(span) = note.rebuilt {
            self.rebuild(note, span.is_all());
        }
        let Some(receipt) = note.receipt else { return };
        if !removed.is_empty() && note.replayed.is_none() {
            self.supersede(receipt, receipts);
        }
        let is_replay = note.replayed.is_some();
        let account = self.receipts.entry(receipt).or_insert_with(|| Account { newest_before, ..Account::default() });
        account.write_times.insert(note.write_time);
        let number = note.batch.map(|batch| (receipt << 20) | u64::from(batch));
        let position = number.and_then(|number| i64::try_from(number).ok()).map(FilePosition::from_number);
        account.is_finished |= position.is_some_and(|position| position.has_finished(receipt));
        account.counts += note.counts;
        account.replayed += note.replayed.unwrap_or(0);
        if !is_replay {
            account.definitions.insert(note.definition.clone());
        }
        if note.by_date.is_empty() && note.counts.accepted > 0 {
            *account.rows.entry(String::new()).or_default() += note.counts.accepted;
        }
        for (date, counts) in &note.by_date {
            *account.rows.entry(date.clone()).or_default() += counts.accepted;
        }
    }

    /// The table, or some dates of it, were decoded anew from the landed files.
    fn rebuild(&mut self, note: &CommitNote, is_all: bool) {
        if !is_all {
            for account in self.receipts.values_mut() {
                account.counted = Counted::NotAnyMore;
                account.write_times.insert(note.write_time);
                account.definitions.insert(note.definition.clone());
            }
            return;
        }
        // Nothing is left of what others did before.
        self.foreign.clear();
        let mut earlier = std::mem::take(&mut self.receipts);
        for (receipt, counts) in &note.by_receipt {
            let before = earlier.remove(receipt).unwrap_or_default();
            let mut write_times = before.write_times;
            write_times.insert(note.write_time);
            let account = Account {
                counts: *counts,
                rows: [(String::new(), counts.accepted)].into(),
                counted: Counted::InAll,
                definitions: [note.definition.clone()].into(),
                write_times,
                rebuilt: Some(note.write_time),
                is_finished: true,
                newest_before: before.newest_before,
                ..Account::default()
            };
            self.receipts.insert(*receipt, account);
        }
    }

    /// A snapshot takes the place of the earlier ones of its url, and of urls that the source no longer had then.
    fn supersede(&mut self, by: u64, receipts: &[Receipt]) {
        let location = |of: u64| receipts.iter().find(|receipt| receipt.sequence == of).map(|receipt| &receipt.location);
        for (earlier, account) in self.receipts.range_mut(..by) {
            if location(*earlier).is_some() && location(*earlier) == location(by) {
                account.is_superseded = true;
            } else {
                account.may_be_superseded = true;
            }
        }
    }

    /// The rows of a receipt that should be there, by date, without those that were taken away since.
    fn expected(&self, receipt: u64) -> BTreeMap<String, u64> {
        let account = &self.receipts[&receipt];
        if account.is_superseded {
            return BTreeMap::new();
        }
        let is_there = |date: &String| !self.gone.contains(&Some(date.clone()).filter(|date| !date.is_empty()));
        account
            .rows
            .iter()
            .filter(|(date, rows)| is_there(date) && **rows > 0)
            .map(|(date, rows)| (date.clone(), *rows))
            .collect()
    }
}

/// The rows of a raw table against its accounts.
pub async fn accounting(table: &Table, target: &str, accounts: &Accounts, looking: &Looking) -> Result<Check, Error> {
    let mut check = Check::new(target, Subject::Accounting);
    check.find(
        accounts.broken.len() as u64,
        "a commit's counts do not close",
        accounts.broken.clone(),
        Some("keep the table's log for whoever looks into it: this is a defect"),
    );
    check.find(
        accounts.foreign.len() as u64,
        "another program changed rows",
        accounts.foreign.clone(),
        Some("only Sluice writes to the zones: what was changed is named below where it differs; `sluice rebuild` makes the table anew"),
    );
    let rows = rows_by_receipt(table, &mut check, looking).await?;
    let (mut wrong, mut examples) = (0, Vec::new());
    for receipt in accounts.receipts.keys() {
        let account = &accounts.receipts[receipt];
        let expected = accounts.expected(*receipt);
        let mut is_there = rows.get(receipt).cloned().unwrap_or_default();
        match account.counted {
            Counted::ByDate => {}
            Counted::InAll if accounts.gone.is_empty() => {
                is_there = [(String::new(), is_there.values().sum())].into_iter().filter(|(_, rows)| *rows > 0).collect();
            }
            Counted::InAll | Counted::NotAnyMore => continue,
        }
        if expected == is_there || (account.may_be_superseded && is_there.is_empty()) {
            continue;
        }
        let dates: BTreeSet<&String> = expected.keys().chain(is_there.keys()).collect();
        for date in dates {
            let (should_be, is) = (expected.get(date).copied().unwrap_or(0), is_there.get(date).copied().unwrap_or(0));
            if should_be != is {
                wrong += 1;
                let of = if date.is_empty() { String::new() } else { format!(" of {date}") };
                examples.push(format!("receipt {receipt}{of}: {is} rows, {should_be} were accepted"));
            }
        }
    }
    check.find(wrong, "the rows of a receipt are not as many as were accepted", examples, None);
    let unknown = rows.keys().filter(|receipt| !accounts.receipts.contains_key(receipt));
    if accounts.first == 0 {
        let unknown: Vec<String> = unknown.map(|receipt| format!("receipt {receipt}")).collect();
        check.find(unknown.len() as u64, "there are rows of receipts that were never loaded", unknown, None);
    } else if let Some(last) = unknown.max() {
        check.note(format!("receipts up to {last} were loaded before version {}, where the log begins now", accounts.first));
    }
    if !accounts.gone.is_empty() {
        check.note(format!("rows of {} dates were taken away since, by a commit that says so", accounts.gone.len()));
    }
    Ok(check)
}

type RowsByReceipt = BTreeMap<u64, BTreeMap<String, u64>>;

async fn rows_by_receipt(table: &Table, check: &mut Check, looking: &Looking) -> Result<RowsByReceipt, Error> {
    let plan = ReadPlan::columns(table, &[RECEIPT.to_owned()]);
    let mut rows = RowsByReceipt::new();
    for file in table.files(None)? {
        looking.shutdown.check()?;
        let date = file.partition.clone().unwrap_or_default();
        let counted = async {
            let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
            let mut batches = table.read_file(&file.path, &file.partition, &plan).await?;
            while let Some(batch) = batches.try_next().await? {
                for receipt in batch.column(0).as_primitive::<Int64Type>().values() {
                    *counts.entry(receipt.unsigned_abs()).or_default() += 1;
                }
            }
            Ok::<_, Error>(counts)
        };
        match counted.await {
            Ok(counts) => {
                for (receipt, count) in counts {
                    check.rows += count;
                    *rows.entry(receipt).or_default().entry(date.clone()).or_default() += count;
                }
            }
            Err(error) => found(check, "the rows of a data file cannot be counted", error)?,
        }
    }
    Ok(rows)
}

/// Rows of the quarantine against what the loads set aside. `raw` are the raw tables by name, with their accounts.
pub async fn quarantine_accounting(
    quarantine: &Table,
    raw: &BTreeMap<String, Accounts>,
    looking: &Looking,
) -> Result<Check, Error> {
    let mut check = Check::new("quarantine", Subject::Accounting);
    let mut rejected: BTreeMap<String, u64> = BTreeMap::new();
    let mut foreign_versions = Vec::new();
    let first = first_commit(quarantine).await?;
    for version in first..=quarantine.version().0 {
        looking.shutdown.check()?;
        let commit = quarantine.commit_content(TableVersion(version)).await?;
        match commit.note() {
            Some(note) if note.receipt.is_some() && note.replayed.is_none() => {
                rejected.insert(note.input.clone(), note.counts.rejected);
            }
            None if commit.changes_data() => foreign_versions.push(foreign(&commit)),
            _ => {}
        }
    }
    check.find(foreign_versions.len() as u64, "another program changed rows", foreign_versions, None);
    let mut rows: BTreeMap<String, u64> = BTreeMap::new();
    for file in quarantine.files(None)? {
        let counted: Result<u64, Error> = async {
            let plan = ReadPlan::columns(quarantine, &[RECEIPT.trim_start_matches('_').to_owned()]);
            let batches = quarantine.read_file(&file.path, &file.partition, &plan).await?;
            batches.try_fold(0, |sum, rows| async move { Ok(sum + rows.num_rows() as u64) }).await
        }
        .await;
        match counted {
            Ok(count) => {
                check.rows += count;
                *rows.entry(file.partition.unwrap_or_default()).or_default() += count;
            }
            Err(error) => found(&mut check, "the rows of a data file cannot be counted", error)?,
        }
    }
    let mut wrong = Vec::new();
    let mut known = BTreeSet::new();
    for (table, accounts) in raw {
        for (receipt, account) in accounts.receipts.iter().filter(|(_, account)| account.is_finished) {
            let load = crate::quarantine::load_name(table, *receipt);
            let (should_be, is) =
                (account.counts.rejected.saturating_sub(account.replayed), rows.get(&load).copied().unwrap_or(0));
            if should_be != is {
                let replayed = account.replayed;
                let text = format!("{load}: {is} rows, {} were rejected", account.counts.rejected);
                wrong.push(if replayed > 0 { format!("{text} and {replayed} replayed since") } else { text });
            }
            known.insert(load);
        }
    }
    // Loads that were stopped have no commit in the raw table, and those that are half done none of their end.
    for (load, should_be) in &rejected {
        if !known.insert(load.clone()) {
            continue;
        }
        let is = rows.get(load).copied().unwrap_or(0);
        if *should_be != is {
            wrong.push(format!("{load}: {is} rows, {should_be} were rejected"));
        }
    }
    let is_known = |load: &String| known.contains(load) || first > 0 || raw.values().any(|accounts| accounts.first > 0);
    wrong.extend(rows.iter().filter(|(load, _)| !is_known(load)).map(|(load, is)| format!("{load}: {is} rows of no load")));
    check.find(wrong.len() as u64, "the rejects of a load are not as many as were set aside", wrong, None);
    Ok(check)
}
