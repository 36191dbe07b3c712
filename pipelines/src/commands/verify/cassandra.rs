//! Cassandra tables against the lake, both ways and value by value; and what is wrong written anew.
//!
//! Compared are the rows that the table's SQL yields over its origin at the checkpoint's version, encoded as they are sent, with
//! the bytes that Cassandra gives back. A row that is missing may have outlived its time to live; that is no finding.
//!
//! A repair writes with a later time than all that is there, so that it also wins over what was written or deleted by hand, in
//! the future even. Before it writes, a commit without rows puts that time into the origin's log: every later version then has a
//! later one, so what comes afterwards wins over the repair, and a repair that was killed is simply made again.

use std::collections::{BTreeMap, HashMap};

use arrow::array::RecordBatch;
use cassandra::compare::settled;
use cassandra::{Nulls, Sink, Store, TableDesign, WireRows, WriteTimes};
use futures::TryStreamExt;
use model::Share;
use model::crash;
use model::definition::{CassandraTable, Origin};
use model::failure::{Classify, Failure, with_causes};
use model::progress::Silent;
use model::verify::{Check, Repair, Subject};
use zones::delta::{ReadPlan, Table};
use zones::use_case::UPDATED_AT;
use zones::verify::compare::{Comparison, Differences, Side, Wrong, digest};
use zones::verify::{Looking, as_read};

use super::Mending;
use crate::context::Context;
use crate::error::Error;
use crate::stages::create_tables::{design, statement};
use crate::stages::whole_table::{LOADED_AT, by_time, later_time};
use crate::stages::{open_table, to_cassandra};

/// Rows that the SQL is run over at a time.
const CHUNK_ROWS: usize = 131_072;
/// Rows that are sent at a time when they are put right.
const REPAIR_ROWS: usize = 20_000;
/// A table of many differences is put right in so many goes at most.
const GOES: u32 = 1_000;
/// No write time can be this late: nothing could be written after it.
const LATEST: i64 = i64::MAX - 1_000_000_000;

/// One table to be compared.
pub(super) struct Compare<'c> {
    pub(super) context: &'c Context,
    pub(super) store: &'c Store,
    pub(super) table: &'c CassandraTable,
    pub(super) looking: &'c Looking,
}

/// What both sides have of the keys that differ.
#[derive(Default)]
struct Suspects {
    /// Each row that was sent for a key, with its write time where the origin has it.
    wanted: HashMap<u128, Vec<(i64, Vec<u8>)>>,
    found: HashMap<u128, (Vec<u8>, Option<i64>)>,
}

/// One key that differs.
struct Wronged {
    wrong: Wrong,
    text: String,
    should_be: Option<Vec<u8>>,
    is: Option<Vec<u8>>,
    newest_write: Option<i64>,
}

/// One side by side.
struct Outcome {
    wronged: Vec<Wronged>,
    check: Check,
}

impl Compare<'_> {
    /// Compares, and puts right what differs where that is asked for.
    pub(super) async fn run(&self, mending: Mending) -> Result<(Check, Option<Repair>), Error> {
        if mending == Mending::Repair {
            // What waits to be sent goes first: a repair is later than all that was sent before it.
            if let Err(error) = to_cassandra::run(self.context, self.store, self.table).await {
                return self.refused(error).map(|check| (check, None));
            }
        }
        let Outcome { mut wronged, mut check } = self.compare().await?;
        if mending == Mending::LookOnly || wronged.is_empty() {
            return Ok((check, None));
        }
        let before = check.findings.clone();
        let mut repair = Repair { table: self.table.name.clone(), written: 0, deleted: 0, write_time: 0 };
        let mut left = u64::MAX;
        for _ in 0..GOES {
            let now_left: u64 = check.findings.iter().map(|finding| finding.count).sum();
            if wronged.is_empty() || now_left >= left {
                break;
            }
            left = now_left;
            self.put_right(&wronged, &mut repair).await?;
            Outcome { wronged, check } = self.compare().await?;
        }
        for finding in &before {
            let examples = finding.examples.join("; ");
            check.note(format!("put right: {} ({}), as {examples}", finding.problem, finding.count));
        }
        for finding in &mut check.findings {
            finding.advice = Some(format!(
                "it was written anew and is still so: rows may have been deleted or written with a time that nothing can be later \
                 than; fill the table anew: sluice rebuild {} cassandra.{}",
                self.context.pipeline.name, self.table.name
            ));
        }
        // The commit that holds the repair's time has no rows: it only moves the checkpoint on.
        to_cassandra::run(self.context, self.store, self.table).await?;
        Ok((check, Some(repair)))
    }

    /// A table that cannot be compared as it is: what is wrong with it or with its origin. Other errors go on.
    fn refused(&self, error: Error) -> Result<Check, Error> {
        if matches!(error.failure(), Failure::Transient | Failure::Interrupted) {
            return Err(error);
        }
        let mut check = Check::new(format!("cassandra.{}", self.table.name), Subject::Content);
        check.find(1, "it cannot be compared with the lake", vec![with_causes(&error)], error.hint().as_deref());
        Ok(check)
    }

    async fn compare(&self) -> Result<Outcome, Error> {
        match self.compared().await {
            Ok(outcome) => Ok(outcome),
            Err(error) => Ok(Outcome { wronged: Vec::new(), check: self.refused(error)? }),
        }
    }

    async fn compared(&self) -> Result<Outcome, Error> {
        let (context, table) = (self.context, self.table);
        let mut check = Check::new(format!("cassandra.{}", table.name), Subject::Content);
        let newest = open_table(context, &table.from).await?;
        let position = to_cassandra::position(self.store, &context.pipeline.name, table, &newest).await?;
        let origin = match position {
            None => None,
            Some(position) => match as_read(&newest, position).await {
                Ok(origin) => Some(origin),
                Err(zones::Error::CommitGone { version, .. }) => {
                    check
                        .note(format!("version {version} of {} is no longer in its log: run first, then look again", table.from));
                    return Ok(Outcome { wronged: Vec::new(), check });
                }
                Err(error) => return Err(error.into()),
            },
        };
        let sent = origin.as_ref().map_or(0, |origin| origin.version().0);
        if sent < newest.version().0 {
            let behind = newest.version().0 - sent;
            check.note(format!("compared with {} at version {sent}; {behind} newer ones are not sent yet", table.from));
        }
        let rows = Rows {
            of: self,
            design: design(&context.pipeline, table).await?,
            share: self.looking.sample.of(newest.row_count()?),
            origin,
            timed: match table.from {
                Origin::Raw(_) => LOADED_AT,
                Origin::UseCase(_) => UPDATED_AT,
            },
        };
        let mut differences = rows.compare(&mut check).await?;
        // Rows stay that were sent before their dates left an append-only raw table.
        let is_raw = matches!(table.from, Origin::Raw(_)) && !newest.has_change_feed();
        if let (true, Some(before)) = (is_raw, newest.forgotten_before().await?) {
            check.note(format!(
                "dates before {before} have left {}: rows that only Cassandra has are none of its faults",
                table.from
            ));
            differences.leave_out(Wrong::Extra);
        }
        if differences.is_empty() {
            return Ok(Outcome { wronged: Vec::new(), check });
        }
        let wronged = rows.examine(&differences, &mut check).await?;
        Ok(Outcome { wronged, check })
    }

    /// Writes the rows of these keys anew, and removes those that should not be there.
    async fn put_right(&self, wronged: &[Wronged], repair: &mut Repair) -> Result<(), Error> {
        let step = || format!("put {} right", self.table.name);
        let mut origin = open_table(self.context, &self.table.from).await?;
        let there = wronged.iter().filter_map(|wronged| wronged.newest_write).filter(|time| *time < LATEST).max();
        let input = format!("repair of cassandra.{}", self.table.name);
        let write_time = later_time(self.context, self.store, self.table, &mut origin, input, (there, 1)).await?;

        let design = design(&self.context.pipeline, self.table).await?;
        let sink = Sink::open(self.store, design, Nulls::Write).await.map_err(Error::cassandra(step()))?;
        for wronged in wronged.chunks(REPAIR_ROWS) {
            self.context.shutdown.check()?;
            let rows: Vec<Vec<u8>> = wronged.iter().filter_map(|wronged| wronged.should_be.clone()).collect();
            let gone = wronged.iter().filter(|wronged| wronged.wrong == Wrong::Extra).filter_map(|wronged| wronged.is.clone());
            let group = sink.encoded(&rows, &gone.collect::<Vec<_>>(), write_time);
            crash::point("repair/rows:before");
            let written = sink.send(&group, &Silent, &self.context.shutdown).await.map_err(Error::cassandra(step()))?;
            crash::point("repair/rows:after");
            repair.written += written.rows;
            repair.deleted += written.deletes;
        }
        repair.write_time = write_time;
        Ok(())
    }
}

/// The rows of both sides.
struct Rows<'c> {
    of: &'c Compare<'c>,
    design: TableDesign,
    share: Option<Share>,
    /// As of the checkpoint; `None` where nothing was sent yet.
    origin: Option<Table>,
    /// The column of the origin that says when a row was written.
    timed: &'static str,
}

/// How rows of the lake are told apart by the time at which they were written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Times {
    /// Rows of several times are encoded together, as of time 0.
    Together,
    Apart,
}

impl Rows<'_> {
    async fn compare(&self, check: &mut Check) -> Result<Differences, Error> {
        let mut comparison = Comparison::new(&self.of.looking.spill);
        // Files of a raw table have one time each; only there can rows of several versions have one primary key in Cassandra.
        let times = if matches!(self.of.table.from, Origin::Raw(_)) { Times::Apart } else { Times::Together };
        self.wanted(times, |rows, row, time| {
            check.rows += 1;
            check.bytes += rows.values(row).len() as u64;
            Ok(comparison.add(Side::Wanted, rows.key(row), rows.values(row), time)?)
        })
        .await?;
        self.found(WriteTimes::Omit, |rows, row| {
            check.rows += 1;
            check.bytes += rows.values(row).len() as u64;
            Ok(comparison.add(Side::Found, rows.key(row), rows.values(row), 0)?)
        })
        .await?;
        Ok(comparison.finish()?)
    }

    /// Hands over each row of the lake with its time.
    async fn wanted(&self, times: Times, mut take: impl FnMut(&WireRows, usize, i64) -> Result<(), Error>) -> Result<(), Error> {
        let statement = statement(self.of.table);
        let Some(origin) = &self.origin else { return Ok(()) };
        let plan = ReadPlan::all(origin);
        for file in origin.files(None)? {
            let mut batches = origin.read_file(&file.path, &file.partition, &plan).await?;
            let mut chunk: Vec<RecordBatch> = Vec::new();
            loop {
                self.of.context.shutdown.check()?;
                let batch = batches.try_next().await?;
                let is_end = batch.is_none();
                chunk.extend(batch);
                if !is_end && chunk.iter().map(RecordBatch::num_rows).sum::<usize>() < CHUNK_ROWS {
                    continue;
                }
                for (time, rows) in self.by_time(std::mem::take(&mut chunk), times)? {
                    for yielded in statement.run(origin.schema(), rows).await? {
                        let encoded = WireRows::of(&self.design, &yielded);
                        let encoded = encoded.map_err(Error::cassandra(format!("encode rows of {}", self.of.table.name)))?;
                        for row in 0..encoded.len() {
                            if self.share.is_none_or(|share| encoded.is_in(row, share)) {
                                take(&encoded, row, time)?;
                            }
                        }
                    }
                }
                if is_end {
                    break;
                }
            }
        }
        Ok(())
    }

    fn by_time(&self, batches: Vec<RecordBatch>, times: Times) -> Result<BTreeMap<i64, Vec<RecordBatch>>, Error> {
        if times == Times::Together { Ok([(0, batches)].into()) } else { by_time(batches, self.timed) }
    }

    /// Hands over each row of Cassandra.
    async fn found(
        &self,
        write_times: WriteTimes,
        mut take: impl FnMut(&WireRows, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let in_table = || Error::cassandra(format!("read {}", self.of.table.name));
        let mut scan = self.of.store.wire_scan(&self.design, self.share, write_times).await.map_err(in_table())?;
        while let Some(rows) = scan.next().await.map_err(in_table())? {
            self.of.context.shutdown.check()?;
            for row in 0..rows.len() {
                if self.share.is_none_or(|share| rows.is_in(row, share)) {
                    take(&rows, row)?;
                }
            }
        }
        Ok(())
    }

    /// Looks at the keys that differ themselves, and tells what is wrong with them.
    async fn examine(&self, differences: &Differences, check: &mut Check) -> Result<Vec<Wronged>, Error> {
        let mut suspects = Suspects::default();
        self.wanted(Times::Apart, |rows, row, time| {
            let key = digest(rows.key(row));
            if differences.keys.contains_key(&key) {
                suspects.wanted.entry(key).or_default().push((time, rows.values(row).to_vec()));
            }
            Ok(())
        })
        .await?;
        self.found(WriteTimes::Include, |rows, row| {
            let key = digest(rows.key(row));
            if differences.keys.contains_key(&key) {
                suspects.found.insert(key, (rows.values(row).to_vec(), rows.newest_write(row)));
            }
            Ok(())
        })
        .await?;
        let nulls = to_cassandra::nulls(&self.of.context.pipeline, self.of.table, &[]);
        let (mut wronged, mut expired) = (Vec::new(), 0);
        for key in differences.keys.keys() {
            let sent = suspects.wanted.remove(key).unwrap_or_default();
            let newest = sent.iter().map(|(time, _)| *time).max();
            let should_be = (!sent.is_empty()).then(|| settled(sent, nulls));
            let (is, newest_write) = suspects.found.remove(key).map_or((None, None), |(is, time)| (Some(is), time));
            let (wrong, text) = match (&should_be, &is) {
                (Some(should_be), Some(is)) if should_be == is => continue,
                (Some(_), None) if self.has_expired(newest) => {
                    expired += 1;
                    continue;
                }
                (Some(should_be), Some(is)) => {
                    let key = self.design.key_text(should_be);
                    (Wrong::Different, format!("{key}: {}", self.design.differing(should_be, is).join("; ")))
                }
                (Some(should_be), None) => (Wrong::Missing, self.design.key_text(should_be)),
                (None, Some(is)) => (Wrong::Extra, self.design.key_text(is)),
                (None, None) => continue,
            };
            wronged.push(Wronged { wrong, text, should_be, is, newest_write });
        }
        wronged.sort_by(|a, b| a.text.cmp(&b.text));
        let unnamed = differences.counts.values().sum::<u64>() - differences.keys.len() as u64;
        if unnamed > 0 {
            check.note(format!("{unnamed} more keys differ; the first {} were looked at by name", differences.keys.len()));
        }
        if expired > 0 {
            check.note(format!("{expired} rows are past their time to live and no longer there, as they should be"));
        }
        let (pipeline, table) = (&self.of.context.pipeline.name, &self.of.table.name);
        let advice = format!("write them anew from the lake: sluice verify {pipeline} cassandra.{table} --repair");
        for (wrong, problem) in [
            (Wrong::Missing, "rows are missing that the lake has"),
            (Wrong::Extra, "there are rows that the lake does not have"),
            (Wrong::Different, "rows differ from the lake"),
        ] {
            let of_kind: Vec<&Wronged> = wronged.iter().filter(|wronged| wronged.wrong == wrong).collect();
            let more = if wronged.is_empty() { 0 } else { differences.count(wrong).saturating_sub(named(differences, wrong)) };
            let examples = of_kind.iter().map(|wronged| wronged.text.clone()).collect();
            check.find(of_kind.len() as u64 + more, problem, examples, Some(&advice));
        }
        Ok(wronged)
    }

    /// Whether a row that was written at this time may be gone by itself.
    fn has_expired(&self, written: Option<i64>) -> bool {
        let Some(seconds) = self.of.table.ttl_seconds else { return false };
        let lifetime = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        written.is_some_and(|written| written.saturating_add(lifetime) <= self.of.context.now)
    }
}

/// The keys of a kind that are known by name.
fn named(differences: &Differences, wrong: Wrong) -> u64 {
    differences.keys.values().filter(|of| **of == wrong).count() as u64
}
