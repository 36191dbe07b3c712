//! Gathers what lake and Cassandra know of a row.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use cassandra::Store;
use chrono::DateTime;
use model::definition::{CassandraTable, Landing, Origin, RawTable, UseCaseTable};
use model::receipt::Receipt;
use zones::delta::Table;
use zones::rejects::{Filter, held, shown};
use zones::why::{Batch, Condition, Key, Looked, Wanted, batches, find, history, json, lines};
use zones::{Error as LakeError, quarantine};

use super::target::Target;
use super::{Change, LookedAt, RawRow, Row, ServedRow, WHY_SCHEMA, Why};
use crate::context::Context;
use crate::error::Error;
use crate::signals;
use crate::stages::create_tables::{design, statement};
use crate::stages::open_table;

/// A landed file of more bytes is read for its records only when asked.
const SMALL_FILE: u64 = 64 << 20;
/// How long Cassandra is waited for: there is an answer without it.
const CONNECT: Duration = Duration::from_secs(3);
/// Columns that say where a raw row comes from.
const PROVENANCE: [&str; 4] = ["_receipt", "_entry", "_position", "_loaded_at"];

/// What is asked for.
pub struct Asked<'a> {
    /// As it was written: COLUMN=VALUE, or a value.
    pub key: &'a [String],
    pub table: Option<&'a str>,
    /// Records out of landed files of any size.
    pub bytes: bool,
    pub limit: usize,
}

/// Finds the history of a row. Cassandra is asked where there are settings.
pub async fn why(context: &Context, asked: &Asked<'_>, cassandra: Option<&cassandra::Settings>) -> Result<Why, Error> {
    let target = Target::of(&context.pipeline, asked.table, asked.key)?;
    let table = open_table(context, &target.origin).await?;
    let key = Key::parse(table.schema(), &target.pairs)?;
    let answer = Why {
        schema: WHY_SCHEMA,
        pipeline: context.pipeline.name.clone(),
        table: target.origin.to_string(),
        key: first(json(key.rows())?).unwrap_or_default(),
        row: None,
        changes: Vec::new(),
        known_since: None,
        raw: Vec::new(),
        inputs: Vec::new(),
        computed: Vec::new(),
        rejects: Vec::new(),
        cassandra: Vec::new(),
        looked: Vec::new(),
        notes: Vec::new(),
    };
    let mut gathering = Gathering { context, asked, answer, seen: BTreeMap::new() };
    match &target.origin {
        Origin::UseCase(name) => {
            let definition = context.pipeline.use_case(name).expect("a validated definition");
            gathering.use_case(definition, &table, &key).await?;
        }
        Origin::Raw(_) => {
            let condition = Condition::of_columns(target.origin.clone(), table.schema(), &key)?;
            gathering.rows(&table, &condition, None).await?;
        }
    }
    gathering.rejects(&target).await?;
    match cassandra {
        Some(settings) => gathering.cassandra(settings).await?,
        None if context.pipeline.cassandra.is_empty() => {}
        None => gathering.answer.notes.push("Cassandra was not asked".to_owned()),
    }
    let duplicates = "a record that equals one that is there was counted when it came, and not written: it cannot be shown";
    gathering.answer.notes.push(duplicates.to_owned());
    Ok(gathering.answer)
}

/// Rows that were found, by the table that they are of: what Cassandra was filled from.
pub(super) type Seen = BTreeMap<String, (SchemaRef, Vec<RecordBatch>)>;

pub(super) struct Gathering<'a> {
    pub(super) context: &'a Context,
    pub(super) asked: &'a Asked<'a>,
    pub(super) answer: Why,
    pub(super) seen: Seen,
}

impl Gathering<'_> {
    async fn use_case(&mut self, definition: &UseCaseTable, table: &Table, key: &Key) -> Result<(), Error> {
        let inputs = self.inputs(definition, table).await?;
        let history = history(&self.context.lake, definition, &inputs, key).await?;
        self.looked(format!("changes of use_case.{}", definition.name), history.looked);
        self.answer.known_since = history.horizon;
        let mut rows = Vec::new();
        for change in history.changes {
            let row = first(json(&change.row)?).unwrap_or_default();
            self.answer.changes.push(Change {
                version: change.version,
                write_time: change.write_time,
                change: change.change,
                row,
            });
            rows.push(change.row);
        }
        if rows.is_empty() && history.horizon.is_some() {
            // Its last change is older than the log.
            let condition = Condition::of_columns(Origin::UseCase(definition.name.clone()), table.schema(), key)?;
            let found = find(table, &condition, 1).await?;
            self.looked(format!("use_case.{}", definition.name), found.looked);
            self.answer.row = found.rows.first().map(json).transpose()?.and_then(first);
            rows = found.rows;
        } else {
            let last = self.answer.changes.last().filter(|change| change.change != "delete");
            self.answer.row = last.map(|change| change.row.clone());
        }
        self.seen.insert(format!("use_case.{}", definition.name), (table.schema().clone(), rows));
        self.descend(definition, key).await
    }

    pub(super) async fn raw_rows(&mut self, raw: &RawTable, table: &Table, found: &[RecordBatch]) -> Result<Vec<RawRow>, Error> {
        let landing = self.context.pipeline.landing(&raw.from).expect("a validated definition");
        let receipts = self.context.lake.landing(&landing.source).receipts().map_err(LakeError::from)?;
        let receipts: BTreeMap<i64, Receipt> =
            receipts.into_iter().map(|receipt| (i64::try_from(receipt.sequence).unwrap_or(i64::MAX), receipt)).collect();
        let mut rows = Vec::new();
        for row in found.iter().map(json).collect::<Result<Vec<_>, _>>()?.concat() {
            let number = |name: &str| row.get(name).and_then(serde_json::Value::as_i64).unwrap_or_default();
            let text = |name: &str| row.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
            let receipt = receipts.get(&number("_receipt"));
            rows.push(RawRow {
                receipt: number("_receipt"),
                source: landing.source.clone(),
                url: receipt.map(|receipt| receipt.url.clone()),
                file: receipt.map(|receipt| receipt.file_name.clone()),
                received_at: receipt.map(|receipt| receipt.received_at),
                entry: text("_entry"),
                position: number("_position"),
                loaded_at: text("_loaded_at").parse().unwrap_or_default(),
                version: None,
                batch: None,
                is_replayed: false,
                row: row.into_iter().filter(|(name, _)| !PROVENANCE.contains(&name.as_str())).collect(),
                record: None,
            });
        }
        self.commits(table, &mut rows).await?;
        self.records(raw, landing, &receipts, &mut rows)?;
        Ok(rows)
    }

    /// With which commits the rows came.
    async fn commits(&mut self, table: &Table, rows: &mut [RawRow]) -> Result<(), Error> {
        let times: BTreeSet<i64> = rows.iter().map(|row| row.loaded_at.timestamp_micros()).collect();
        let batches = batches(table, &times).await?;
        for row in rows {
            if let Some(Batch { version, batch, is_replay, .. }) = batches.get(&row.loaded_at.timestamp_micros()) {
                (row.version, row.batch, row.is_replayed) = (Some(*version), *batch, *is_replay);
            }
        }
        Ok(())
    }

    /// The records of the rows as they stand in their files.
    fn records(
        &mut self,
        raw: &RawTable,
        landing: &Landing,
        receipts: &BTreeMap<i64, Receipt>,
        rows: &mut [RawRow],
    ) -> Result<(), Error> {
        let mut wanted: BTreeMap<i64, Wanted> = BTreeMap::new();
        for row in rows.iter() {
            let of_entry = wanted.entry(row.receipt).or_default().entry(row.entry.clone()).or_default();
            of_entry.insert(row.position.unsigned_abs());
        }
        let zone = self.context.lake.landing(&landing.source);
        for (number, wanted) in wanted {
            let Some(receipt) = receipts.get(&number) else { continue };
            let file = zone.file(receipt);
            if receipt.size > SMALL_FILE && !self.asked.bytes {
                let note = format!("{} is large: --bytes reads it for the records as they came", receipt.file_name);
                self.answer.notes.push(note);
                continue;
            }
            let folder = std::env::temp_dir();
            let read = || lines(&file, (landing, raw), wanted, &folder, &self.context.shutdown);
            let found = match tokio::task::block_in_place(read) {
                Err(LakeError::Interrupted(interrupted)) => return Err(interrupted.into()),
                Err(error) => {
                    self.answer.notes.push(format!("{}: {error}", receipt.file_name));
                    continue;
                }
                Ok(found) => found,
            };
            self.looked(format!("landed {}", receipt.file_name), Looked { files: 1, bytes: receipt.size, versions: 0 });
            for row in rows.iter_mut().filter(|row| row.receipt == number) {
                let bytes = found.get(&(row.entry.clone(), row.position.unsigned_abs()));
                row.record = bytes.map(|bytes| shown(bytes, usize::MAX));
            }
        }
        Ok(())
    }

    async fn rejects(&mut self, target: &Target) -> Result<(), Error> {
        let quarantine = quarantine::open(&self.context.lake).await?;
        let containing = target.pairs.iter().map(|(_, value)| value.clone().into_bytes()).collect();
        let filter = Filter::containing(containing);
        self.answer.rejects = held(&quarantine, &filter, Some(self.asked.limit)).await?;
        let files = quarantine.files(None)?;
        let bytes = files.iter().map(|file| file.size).sum();
        self.looked("quarantine".to_owned(), Looked { files: files.len() as u64, bytes, versions: 0 });
        Ok(())
    }

    async fn cassandra(&mut self, settings: &cassandra::Settings) -> Result<(), Error> {
        let connecting = Store::connect(settings, CONNECT, |_| {});
        let store = match signals::unless_stopped(&self.context.shutdown, connecting).await? {
            Ok(store) => store,
            Err(error) => {
                self.answer.notes.push(format!("Cassandra was not asked: {error}"));
                return Ok(());
            }
        };
        for table in &self.context.pipeline.cassandra {
            let Some((schema, rows)) = self.seen.get(&table.from.to_string()) else { continue };
            let rows = statement(table).run(schema, rows.clone()).await?;
            self.served(&store, table, &rows).await?;
        }
        Ok(())
    }

    /// What Cassandra has under each primary key that the rows have, or had.
    async fn served(&mut self, store: &Store, table: &CassandraTable, rows: &[RecordBatch]) -> Result<(), Error> {
        design(&self.context.pipeline, table).await?;
        let mut asked: BTreeSet<String> = BTreeSet::new();
        let is_key = |name: &str| {
            let clustering = table.clustering.iter().map(|(column, _)| column);
            table.partition_key.iter().chain(clustering).any(|column| column == name)
        };
        for batch in rows {
            for (index, row) in json(batch)?.into_iter().enumerate() {
                let key: Row = row.into_iter().filter(|(name, _)| is_key(name)).collect();
                let is_new = asked.insert(serde_json::to_string(&key).expect("plain data"));
                if !is_new || asked.len() > self.asked.limit {
                    continue;
                }
                let found = match store.find(&table.name, batch, index).await {
                    Err(cassandra::read::Error::NoTable(_)) => {
                        self.answer.notes.push(format!("Cassandra has no table {}.{}", store.keyspace(), table.name));
                        return Ok(());
                    }
                    found => found.map_err(Error::cassandra(format!("look up a row of {}", table.name)))?,
                };
                let row = found.as_ref().map(json).transpose()?.and_then(first);
                self.answer.cassandra.push(ServedRow { table: table.name.clone(), key, row });
            }
        }
        if asked.len() > self.asked.limit {
            self.answer.notes.push(format!(
                "{}: {} of {} keys were asked for (--limit)",
                table.name,
                self.asked.limit,
                asked.len()
            ));
        }
        Ok(())
    }

    pub(super) fn looked(&mut self, what: String, looked: Looked) {
        self.answer.looked.push(LookedAt { what, looked });
    }
}

fn first(rows: Vec<Row>) -> Option<Row> {
    rows.into_iter().next()
}

/// Microseconds as people read them.
pub(super) fn instant(micros: i64) -> String {
    let time = DateTime::from_timestamp_micros(micros).unwrap_or_default();
    time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}
