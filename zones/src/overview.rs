//! The tables of a lake as they are, from their logs alone: for whoever looks on.
//!
//! Reads only, locks nothing, and opens no data file. A table whose log has no newer version than the last time is not read again;
//! nor is a receipt, which never changes.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use model::definition::{Origin, Pipeline, RawTable, UseCaseTable};
use model::operations::{LandedFile, LandingState, Reading, TableState};
use model::position::{FilePosition, TableVersion};

use crate::delta::{CommitNote, Table};
use crate::error::Error;
use crate::lake::Lake;
use crate::use_case;

/// More commits than this are not looked into one by one.
const MOST_COMMITS: u64 = 200;

/// Tables as they were when they were looked at last.
pub struct Onlooker {
    lake: Lake,
    known: HashMap<PathBuf, Known>,
    /// Of each source: the bytes of its files, by receipt.
    landed: HashMap<String, BTreeMap<u64, u64>>,
}

struct Known {
    /// By which a newer one is told: the newest version in the log, and when it came.
    seen: Seen,
    table: Table,
    state: TableState,
    /// What the last merge or view noted.
    last: Option<CommitNote>,
}

type Seen = (u64, Option<std::time::SystemTime>);

impl Onlooker {
    pub fn new(lake: Lake) -> Self {
        Self { lake, known: HashMap::new(), landed: HashMap::new() }
    }

    pub fn lake(&self) -> &Lake {
        &self.lake
    }

    /// The landed files of each source.
    pub fn landings(&mut self, pipeline: &Pipeline) -> Result<Vec<LandingState>, Error> {
        let mut states = Vec::new();
        for source in &pipeline.sources {
            let landed = self.landed(&source.name)?;
            let (files, bytes) = (landed.len() as u64, landed.values().sum());
            let newest = landed.keys().next_back().copied();
            let newest = newest.map(|newest| self.lake.landing(&source.name).receipt(newest)).transpose()?.flatten();
            let landings = pipeline.landings.iter().filter(|landing| landing.source == source.name);
            states.push(LandingState {
                source: source.name.clone(),
                landings: landings.map(|landing| landing.name.clone()).collect(),
                files,
                bytes,
                newest: newest.map(|receipt| LandedFile {
                    receipt: receipt.sequence,
                    file_name: receipt.file_name,
                    bytes: receipt.size,
                    received_at: receipt.received_at,
                }),
            });
        }
        Ok(states)
    }

    /// The files of a source by receipt; reads the receipts that are new.
    fn landed(&mut self, source: &str) -> Result<&BTreeMap<u64, u64>, Error> {
        let zone = self.lake.landing(source);
        let sequences = zone.sequences()?;
        let landed = self.landed.entry(source.to_owned()).or_default();
        landed.retain(|sequence, _| sequences.binary_search(sequence).is_ok());
        for sequence in sequences {
            if !landed.contains_key(&sequence)
                && let Some(receipt) = zone.receipt(sequence)?
            {
                landed.insert(sequence, receipt.size);
            }
        }
        Ok(landed)
    }

    /// A raw table, beside the landed files of its landing.
    pub async fn raw(&mut self, pipeline: &Pipeline, definition: &RawTable) -> Result<TableState, Error> {
        let folder = self.lake.raw_folder(&definition.name);
        let mut state = TableState { name: definition.name.clone(), ..TableState::default() };
        let mut position = None;
        if let Some(known) = self.look(&folder, &definition.name).await? {
            state = known.state.clone();
            let number = known.table.input_number(&definition.from).await?;
            position = number.map(FilePosition::from_number);
        }
        let (version, waiting) = match pipeline.landing(&definition.from) {
            Some(landing) => {
                let landed = self.landed(&landing.source)?;
                let waits = |receipt: &&u64| position.is_none_or(|position| !position.has_finished(**receipt));
                (landed.keys().next_back().copied(), landed.keys().filter(waits).count())
            }
            None => (None, 0),
        };
        state.reads = vec![Reading {
            from: format!("landing.{}", definition.from),
            position: position.map(|position| position.receipt),
            version,
            behind: Some(waiting as u64),
        }];
        Ok(state)
    }

    /// A use-case table, beside what it is made from.
    pub async fn use_case(&mut self, definition: &UseCaseTable) -> Result<TableState, Error> {
        let folder = self.lake.use_case_folder(&definition.name);
        let (mut state, taken_in) = match self.look(&folder, &definition.name).await? {
            Some(known) => {
                let mut taken_in = HashMap::new();
                for origin in &definition.from {
                    let position = match definition.merge() {
                        Some(_) => known.table.input_position(origin.table()).await?,
                        None => known.last.as_ref().and_then(|note| {
                            let input = note.inputs.iter().find(|input| input.input == origin.to_string())?;
                            Some(TableVersion(input.version))
                        }),
                    };
                    taken_in.insert(origin.to_string(), position);
                }
                (known.state.clone(), taken_in)
            }
            None => (TableState { name: definition.name.clone(), ..TableState::default() }, HashMap::new()),
        };
        for origin in &definition.from {
            let position = taken_in.get(&origin.to_string()).copied().flatten();
            state.reads.push(self.reading(origin, position).await?);
        }
        Ok(state)
    }

    pub async fn quarantine(&mut self) -> Result<Option<TableState>, Error> {
        let folder = self.lake.quarantine_folder();
        Ok(self.look(&folder, "quarantine").await?.map(|known| known.state.clone()))
    }

    /// How far a reader at `position` has got in a table.
    pub async fn reading(&mut self, origin: &Origin, position: Option<TableVersion>) -> Result<Reading, Error> {
        let folder = match origin {
            Origin::Raw(name) => self.lake.raw_folder(name),
            Origin::UseCase(name) => self.lake.use_case_folder(name),
        };
        let (version, behind) = match self.look(&folder, origin.table()).await? {
            Some(known) => (Some(known.table.version().0), Some(changes_after(&known.table, position).await?)),
            None => (None, None),
        };
        Ok(Reading { from: origin.to_string(), position: position.map(|position| position.0), version, behind })
    }

    /// The table in a folder; `None` where there is none yet.
    async fn look(&mut self, folder: &Path, name: &str) -> Result<Option<&Known>, Error> {
        let Some(seen) = newest(folder) else {
            self.known.remove(folder);
            return Ok(None);
        };
        if self.known.get(folder).is_none_or(|known| known.seen != seen) {
            let full_name = if name == "quarantine" { self.lake.quarantine_name() } else { self.lake.table_name(name) };
            let Some(table) = Table::open(folder, &full_name).await? else { return Ok(None) };
            let last = use_case::last_merge(&table).await.unwrap_or_default();
            let state = state(&table, name).await?;
            self.known.insert(folder.to_owned(), Known { seen, table, state, last });
        }
        Ok(self.known.get(folder))
    }
}

/// The newest version that a log names, and when it was written; `None` without a log.
fn newest(folder: &Path) -> Option<Seen> {
    let mut newest: Option<(u64, PathBuf)> = None;
    for entry in fs::read_dir(folder.join("_delta_log")).ok()?.flatten() {
        let name = entry.file_name();
        let version = name.to_str().and_then(|name| name.strip_suffix(".json")).and_then(|name| name.parse().ok());
        if let Some(version) = version.filter(|version| newest.as_ref().is_none_or(|(newest, _)| newest < version)) {
            newest = Some((version, entry.path()));
        }
    }
    let (version, path) = newest?;
    Some((version, fs::metadata(path).and_then(|metadata| metadata.modified()).ok()))
}

async fn state(table: &Table, name: &str) -> Result<TableState, Error> {
    let files = table.files(None)?;
    let committed_at = match table.commit_content(table.version()).await {
        Err(Error::CommitGone { .. }) => None,
        content => content?.committed_at().and_then(DateTime::<Utc>::from_timestamp_micros),
    };
    Ok(TableState {
        name: name.to_owned(),
        version: Some(table.version().0),
        // Another writer may leave statistics out.
        rows: files.iter().map(|file| file.rows).sum(),
        files: files.len() as u64,
        bytes: files.iter().map(|file| file.size).sum(),
        committed_at,
        newest_event: table.newest_event().await?.and_then(DateTime::from_timestamp_micros),
        reads: Vec::new(),
    })
}

/// How many commits after `position` moved rows. Where they cannot be looked into, all count.
async fn changes_after(table: &Table, position: Option<TableVersion>) -> Result<u64, Error> {
    // Version 0 makes a table.
    let first = position.map_or(1, |position| position.0 + 1);
    let all = (table.version().0 + 1).saturating_sub(first);
    if all > MOST_COMMITS {
        return Ok(all);
    }
    let mut changes = 0;
    for version in first..=table.version().0 {
        match table.commit_content(TableVersion(version)).await {
            Err(Error::CommitGone { .. }) => return Ok(all),
            content => changes += u64::from(content?.changes_data()),
        }
    }
    Ok(changes)
}
