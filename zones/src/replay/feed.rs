//! The quarantined records of one receipt, out of the quarantine and through the contract.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use model::definition::Format;

use super::Replay;
use crate::decode::again::{self, Needs, RowsAgain};
use crate::delta::{DataFile, ReadPlan, Table};
use crate::error::Error;
use crate::load::{Bounds, Feeding, Layouts, Refed};
use crate::quarantine::{files_of_load, load_name};
use crate::rejects::{numbers, records, stopped, text};

/// Positions by entry, ascending.
type Places = BTreeMap<Arc<str>, Vec<u64>>;

/// What is to become of a row of the quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Fed,
    /// It is meant, and only its beginning is there.
    Cut,
    NotMeant,
}

impl Replay<'_> {
    /// The files that hold the records of the receipt.
    pub(super) fn files(&self, quarantine: &Table) -> Result<Vec<DataFile>, Error> {
        files_of_load(quarantine, &load_name(&self.table.name, self.receipt))
    }

    /// Which rows of the quarantine are fed: both passes over them ask here.
    pub(super) fn choices(&self, rows: &RecordBatch) -> Result<Vec<Choice>, Error> {
        let holds = self.filter.holds(rows)?;
        let (reasons, records, stopped) = (text(rows, "reason"), records(rows), stopped(rows));
        // Rows of Parquet are read from their file, whatever of them is here.
        let may_be_cut = self.landing.format != Format::Parquet;
        let choice = |row: usize| {
            if !holds[row] || stopped.value(row) {
                Choice::NotMeant
            } else if may_be_cut && reasons.value(row) == "too_large" && !again::is_whole(records.value(row)) {
                Choice::Cut
            } else {
                Choice::Fed
            }
        };
        Ok((0..rows.num_rows()).map(choice).collect())
    }
}

/// Feeds the records that are meant; also says how many of them could not be, because they are not whole.
pub(super) async fn feed(replay: &Replay<'_>, quarantine: &Table, bounds: &Bounds<'_>) -> Result<(Refed, u64), Error> {
    let mut feeding = Feeding::start(replay.folder, bounds)?;
    let needs = Needs::of(bounds.format);
    let (places, cut) = places(replay, quarantine).await?;
    replay.progress.expect(places.values().map(|positions| positions.len() as u64).sum());
    if places.is_empty() {
        return Ok((feeding.finish()?, cut));
    }
    if needs == Needs::Rows {
        rows(replay, &mut feeding, places)?;
        return Ok((feeding.finish()?, cut));
    }
    let layouts = layouts(replay, &feeding, needs, &places)?;
    let plan = ReadPlan::all(quarantine);
    for file in replay.files(quarantine)? {
        let mut batches = quarantine.read_file(&file.path, &file.partition, &plan).await?;
        while let Some(rows) = batches.try_next().await? {
            bounds.shutdown.check()?;
            let choices = replay.choices(&rows)?;
            let mut by_entry: HashMap<&str, Vec<(u64, &[u8])>> = HashMap::new();
            let (entries, positions, records) = (text(&rows, "entry"), numbers(&rows, "position"), records(&rows));
            for row in (0..rows.num_rows()).filter(|row| choices[*row] == Choice::Fed) {
                let record = (positions.value(row).unsigned_abs(), records.value(row));
                by_entry.entry(entries.value(row)).or_default().push(record);
            }
            for (entry, records) in by_entry {
                let (entry, _) = places.get_key_value(entry).expect("a record that was seen before");
                feeding.records(entry, &records, &layouts)?;
            }
        }
    }
    Ok((feeding.finish()?, cut))
}

async fn places(replay: &Replay<'_>, quarantine: &Table) -> Result<(Places, u64), Error> {
    let mut places = Places::new();
    let mut cut = 0;
    let plan = ReadPlan::all(quarantine);
    for file in replay.files(quarantine)? {
        let mut batches = quarantine.read_file(&file.path, &file.partition, &plan).await?;
        while let Some(rows) = batches.try_next().await? {
            let (entries, positions) = (text(&rows, "entry"), numbers(&rows, "position"));
            for (row, choice) in replay.choices(&rows)?.into_iter().enumerate() {
                cut += u64::from(choice == Choice::Cut);
                if choice == Choice::Fed {
                    let entry = entries.value(row);
                    let known = places.get_key_value(entry).map(|(entry, _)| entry.clone());
                    places.entry(known.unwrap_or_else(|| entry.into())).or_default().push(positions.value(row).unsigned_abs());
                }
            }
        }
    }
    for positions in places.values_mut() {
        positions.sort_unstable();
        positions.dedup();
    }
    Ok((places, cut))
}

/// How the entries of CSV are laid out, as far as records of them are fed.
fn layouts(replay: &Replay<'_>, feeding: &Feeding<'_>, needs: Needs, places: &Places) -> Result<Layouts, Error> {
    let mut layouts = Layouts::new();
    let Format::Csv(csv) = &replay.landing.format else { return Ok(layouts) };
    if needs == Needs::Nothing {
        for entry in places.keys() {
            layouts.extend(again::named_layout(entry, csv, feeding.decoder())?.map(|layout| (entry.clone(), layout)));
        }
        return Ok(layouts);
    }
    let mut wanted = places.len();
    for entry in (replay.landed)()? {
        replay.shutdown.check()?;
        let entry = entry.map_err(Error::entry)?;
        let Some((name, _)) = places.get_key_value(entry.name.as_str()) else { continue };
        let layout = again::csv_layout(entry, csv, feeding.decoder(), replay.landing.max_record_bytes)?;
        layouts.extend(layout.map(|layout| (name.clone(), layout)));
        wanted -= 1;
        if wanted == 0 {
            break;
        }
    }
    Ok(layouts)
}

/// Feeds rows of Parquet from where they lie.
fn rows(replay: &Replay<'_>, feeding: &mut Feeding<'_>, mut places: Places) -> Result<(), Error> {
    for entry in (replay.landed)()? {
        let entry = entry.map_err(Error::entry)?;
        let Some((name, positions)) = places.remove_entry(entry.name.as_str()) else { continue };
        let mut reader = RowsAgain::open(entry, replay.folder, &positions)?;
        let (mut first, mut rest) = (1, positions.as_slice());
        while let Some(block) = reader.next_block()? {
            replay.shutdown.check()?;
            let (these, later) = rest.split_at(block.records().min(rest.len()));
            feeding.block(&block, first, these)?;
            (first, rest) = (first + these.len() as u64, later);
        }
        if !rest.is_empty() {
            return Err(gone(&name, rest.len()));
        }
        if places.is_empty() {
            return Ok(());
        }
    }
    places.first_key_value().map_or(Ok(()), |(name, positions)| Err(gone(name, positions.len())))
}

fn gone(entry: &str, rows: usize) -> Error {
    Error::Unreadable {
        entry: entry.to_owned(),
        problem: format!("{rows} of its rows that were set aside are not in it"),
        hint: Some("the landing's `entries` may leave them out now: replay the others with `--where`".to_owned()),
    }
}
