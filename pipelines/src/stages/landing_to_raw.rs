//! landing → raw.
//!
//! Guarantee: after a run, every landed file is in the raw table up to its last batch, each record once, or it was stopped by
//! its limits and nothing but its rejects is there. Each batch's position travels in the commit of its rows, so a load that
//! was interrupted anywhere goes on with the next batch of the same plan. A file that replaces a snapshot is one commit. Never: commits a row before the end of its file was
//! read and its limits hold; holds more in memory than the spill budget and one batch.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

use chrono::NaiveDate;
use model::crash;
use model::definition::{ContractRecord, Landing, OnChange, OnFailure, RawTable, UnknownFields, load_hash};
use model::failure::{Classify, Failure, with_causes};
use model::plan::Known;
use model::position::{BatchNumber, FilePosition};
use model::receipt::Receipt;
use model::report::{Beside, CheckReport, DriftKind, DriftReport, Outcome, StageName, StageReport};
use zones::delta::Table;
use zones::landing::LandingZone;
use zones::load::{Batch, Bounds, DateChoice, LoadPlan, REJECTS_FILE, ROWS_FILE, Stop, UNNAMED_PLAN_FILE, prepare};
use zones::raw::{self, LoadedBatch, Raw};
use zones::{Error as LakeError, entries, quarantine, replay};

use crate::context::Context;
use crate::download;
use crate::error::{Boxed, Error};
use crate::slicing::SliceMemory;
use crate::stages::{ATTEMPTS, contended, pause};

/// Loads every landed file that is not in the table yet.
#[tracing::instrument(target = "profile", level = "trace", name = "stage", skip_all, fields(of = format!("landing-to-raw {}", table.name)))]
pub async fn run(context: &Context, table: &RawTable) -> Result<StageReport, Error> {
    let started = Instant::now();
    let landing = context.pipeline.landing(&table.from).expect("a validated definition");
    let zone = context.lake.landing(&landing.source);
    let raw = Raw::open(&context.lake, table).await?;
    raw.table().expect_contract(&ContractRecord::of(landing, table))?;
    let mut load = Load {
        raw,
        quarantine: quarantine::open(&context.lake).await?,
        report: StageReport::new(StageName::LandingToRaw, &table.name),
        context,
        table,
        landing,
        zone,
    };
    if let Some(records) = replay::finish(load.raw.table(), &mut load.quarantine, table, context.now).await? {
        load.report.notes.push(format!("ended a replay that was stopped: {records} records left the quarantine"));
    }
    let receipts = load.zone.receipts().map_err(LakeError::from)?;
    let position = load.raw.position().await?;
    for (at, receipt) in receipts.iter().enumerate() {
        if load.raw.position().await?.has_finished(receipt.sequence) {
            if position.receipt == receipt.sequence {
                load.end(receipt).await?;
            }
            continue;
        }
        context.shutdown.check()?;
        match load.file(receipt).await {
            Err(error) if has_newer(receipt, &receipts[at + 1..]) && load.may_pass_over(receipt, &error).await? => {
                let file = format!("{} (receipt {})", receipt.file_name, receipt.sequence);
                load.report.notes.push(format!("{file} stays out: {}; a newer file has come since", with_causes(&error)));
            }
            done => done?,
        }
    }
    load.report.position = Some(load.raw.table().version().0);
    load.report.seconds = started.elapsed().as_secs_f64();
    Ok(load.report)
}

/// Whether the same url has been fetched again since, with other content.
fn has_newer(receipt: &Receipt, later: &[Receipt]) -> bool {
    later.iter().any(|later| later.location == receipt.location)
}

/// The urls that a landing's source has today; `None` where it has one, which may move.
pub(crate) fn known_locations(context: &Context, landing: &Landing) -> Result<Option<BTreeSet<String>>, Error> {
    let source = context.pipeline.source(&landing.source).expect("a validated definition");
    let step = || format!("find the urls of {}", source.name);
    let known = download::known_locations(source, context.today());
    known.map_err(|error| Error::Landing { step: step(), source: Boxed::new(error) })
}

/// The state of one run over the files of one landing.
struct Load<'c> {
    context: &'c Context,
    table: &'c RawTable,
    landing: &'c Landing,
    zone: LandingZone,
    raw: Raw<'c>,
    quarantine: Table,
    report: StageReport,
}

impl Load<'_> {
    #[tracing::instrument(target = "profile", level = "trace", name = "load", skip_all, fields(of = receipt.file_name))]
    async fn file(&mut self, receipt: &Receipt) -> Result<(), Error> {
        let folder = self.zone.plan_folder(receipt, &self.table.name);
        let plan = match self.plan(receipt, &folder).await {
            Ok(plan) => plan,
            Err(error) => {
                // Without a plan what was put aside is of no use: the file is read anew next time, or passed over.
                if LoadPlan::read(&folder).is_ok_and(|plan| plan.is_none()) {
                    tidy(&folder);
                }
                return Err(error);
            }
        };
        self.report.bytes += receipt.size;
        self.set_aside(&plan, &folder.join(REJECTS_FILE)).await?;
        if let Some(Stop { reason, advice }) = &plan.stopped {
            // The rejects are in the quarantine, and the file is read again next time.
            tidy(&folder);
            let file = format!("{} (receipt {})", receipt.file_name, receipt.sequence);
            let mut advice = advice.clone();
            if plan.counts.rejected > 0 {
                let _ = write!(advice, "; what was rejected: `sluice show {} quarantine`", self.context.pipeline.name);
            }
            return Err(LakeError::Stopped { file, reason: reason.clone(), advice }.into());
        }
        let added = self.raw.add_columns(&plan).await?;
        if !added.is_empty() {
            self.report.notes.push(format!("columns added for unknown fields: {}", added.join(", ")));
        }
        self.follow(&plan, &folder).await?;
        self.check_accounting(&plan).await?;
        self.note(&plan);
        tidy(&folder);
        Ok(())
    }

    /// Ends a load of which everything is committed: a run may have been killed before it had done so itself.
    async fn end(&self, receipt: &Receipt) -> Result<(), Error> {
        let folder = self.zone.plan_folder(receipt, &self.table.name);
        if !folder.join(ROWS_FILE).exists() && !folder.join(REJECTS_FILE).exists() {
            return Ok(());
        }
        if let Some(plan) = LoadPlan::read(&folder)? {
            self.check_accounting(&plan).await?;
        }
        tidy(&folder);
        Ok(())
    }

    /// Commits the rejects; again where another writer got in between.
    async fn set_aside(&mut self, plan: &LoadPlan, rejects: &Path) -> Result<(), Error> {
        let mut attempt = 1;
        loop {
            let committed =
                quarantine::commit_rejects(&mut self.quarantine, &self.table.name, plan, rejects, self.context.now).await;
            match committed {
                Err(error) if error.is_conflict() && attempt < ATTEMPTS => {
                    pause(attempt).await;
                    self.quarantine.refresh().await?;
                }
                committed => {
                    committed.map_err(|error| contended(error, &self.quarantine, "setting records aside"))?;
                    return Ok(());
                }
            }
            attempt += 1;
        }
    }

    /// The plan of a load that is under way, or a new one.
    async fn plan(&self, receipt: &Receipt, folder: &Path) -> Result<LoadPlan, Error> {
        let definition = load_hash(self.landing, self.table);
        let position = self.raw.position().await?;
        let is_under_way = position > FilePosition::new(receipt.sequence, BatchNumber::NONE);
        let mut under = (self.context.now, self.raw.newest_event().await?);
        let changed = || LakeError::DefinitionChanged { table: self.table.name.clone(), file: receipt.file_name.clone() };
        match LoadPlan::read(folder)? {
            Some(plan) if plan.definition == definition => {
                if plan.has_its_spill(&folder.join(ROWS_FILE), &folder.join(REJECTS_FILE)) {
                    return Ok(plan);
                }
                // The rows are gone, the load is not: read the file again just as it was read for the plan.
                under = (plan.planned_at, plan.newest_before);
            }
            Some(_) if is_under_way => return Err(changed().into()),
            // The plan is gone, or of another program's shape: the commits say under what it was made.
            None if is_under_way => {
                if let Some(begun) = self.raw.begun(receipt.sequence).await? {
                    if begun.definition != definition {
                        return Err(changed().into());
                    }
                    under = (begun.planned.at, begun.planned.newest_before);
                }
            }
            _ => {}
        }
        // What is loaded is what landed: a file that is not is never read.
        tokio::task::block_in_place(|| self.zone.verify_content_unless(receipt, &self.context.shutdown))
            .map_err(LakeError::from)?;
        let forgotten_before = self.raw.table().forgotten_before().await?;
        let plan = self.read(receipt, folder, definition, under, forgotten_before)?;
        // A file that was stopped is read again next time: the limit may be another one then.
        if plan.stopped.is_none() {
            self.context.lake.confirm_hold()?;
            plan.write(folder)?;
        }
        Ok(plan)
    }

    #[tracing::instrument(target = "profile", level = "trace", name = "read the file", skip_all, fields(of = receipt.file_name, bytes = receipt.size))]
    fn read(
        &self,
        receipt: &Receipt,
        folder: &Path,
        definition: String,
        under: (i64, Option<i64>),
        forgotten_before: Option<NaiveDate>,
    ) -> Result<LoadPlan, Error> {
        let (now, newest_before) = under;
        let progress = self.context.watch.start(StageName::LandingToRaw, &self.table.name);
        let input = entries::open(&self.zone.file(receipt), self.landing).map_err(LakeError::entry)?;
        let memory = self.context.slice.map(|slice| SliceMemory::new(&self.context.lake, slice, &self.table.name));
        let choose = memory.as_ref().map(|memory| move |present: &BTreeSet<NaiveDate>| memory.choose(present));
        let bounds = Bounds {
            table: self.table,
            clock: self.context.pipeline.clock,
            definition,
            receipt: receipt.sequence,
            now,
            newest_before,
            forgotten_before,
            format: &self.landing.format,
            max_record_bytes: self.landing.max_record_bytes,
            choose: choose.as_ref().map(|choose| choose as &DateChoice<'_>),
            shutdown: &self.context.shutdown,
            file_bytes: receipt.size,
            progress: progress.as_ref(),
        };
        let plan = tokio::task::block_in_place(|| prepare(input, folder, &bounds))?;
        if plan.stopped.is_none()
            && let Some(memory) = &memory
        {
            memory.keep(&plan.dates())?;
        }
        Ok(plan)
    }

    /// Commits the batches that are not in the table yet, in order. A batch that another writer got in between of is done again
    /// from what is there then.
    async fn follow(&mut self, plan: &LoadPlan, folder: &Path) -> Result<(), Error> {
        let (mut attempt, mut position) = (1, self.raw.position().await?);
        loop {
            match self.follow_on(plan, folder).await {
                Err(Error::Lake(error)) if error.is_conflict() && attempt < ATTEMPTS => pause(attempt).await,
                Err(Error::Lake(error)) => return Err(contended(error, self.raw.table(), "loading").into()),
                done => return done,
            }
            self.raw.refresh().await?;
            // What counts as one more attempt is one without any batch in between.
            attempt = if self.raw.position().await? > position { 1 } else { attempt + 1 };
            position = self.raw.position().await?;
        }
    }

    async fn follow_on(&mut self, plan: &LoadPlan, folder: &Path) -> Result<(), Error> {
        let spill = folder.join(ROWS_FILE);
        let superseded = self.superseded(plan).await?;
        if !superseded.is_empty() {
            let files = self.raw.files_of_receipts(&superseded).await?;
            // The first snapshot goes in batch by batch, as any file.
            if !files.is_empty() {
                self.context.shutdown.check()?;
                let (count, bytes) = (files.len() as u64, files.iter().map(|(file, _)| file.size).sum());
                let batch = self.raw.commit_replacing(plan, (&superseded, files), &spill, self.context.now).await?;
                self.add(&batch, plan.batches.iter().map(Batch::rows).sum());
                let planned = &mut self.report.planned;
                Beside::add(&mut planned.files, Beside::new(count, Known::Exact, batch.superseded.0));
                Beside::add(&mut planned.bytes, Beside::new(bytes, Known::Exact, batch.superseded.1));
                return Ok(());
            }
        }
        if plan.batches.is_empty() && !self.raw.position().await?.has_finished(plan.receipt) {
            let batch = self.raw.commit_nothing(plan, self.context.now).await?;
            self.add(&batch, 0);
        }
        let mut prepared = None;
        for index in 0..plan.batches.len() {
            let number = BatchNumber::of(index, plan.batches.len())
                .ok_or_else(|| LakeError::TooManyBatches { file: format!("receipt {}", plan.receipt) })?;
            if self.raw.position().await? >= FilePosition::new(plan.receipt, number) {
                continue;
            }
            if let Err(stopped) = self.context.shutdown.check() {
                self.raw.drop_prepared(prepared).await;
                return Err(stopped.into());
            }
            let batch;
            let committing = self.raw.commit_batch(plan, (index, prepared), &spill, self.context.now);
            (batch, prepared) = Box::pin(committing).await?;
            self.add(&batch, plan.batches[index].rows());
        }
        Ok(())
    }

    /// The receipts whose rows a snapshot takes the place of: those of the same url, and of urls that the source no longer has.
    /// None of them while the snapshot is going in batch by batch.
    async fn superseded(&self, plan: &LoadPlan) -> Result<BTreeSet<i64>, Error> {
        let is_under_way = self.raw.position().await? > FilePosition::new(plan.receipt, BatchNumber::NONE);
        if self.table.on_change == OnChange::Append || is_under_way {
            return Ok(BTreeSet::new());
        }
        let receipts = self.zone.receipts().map_err(LakeError::from)?;
        let known = known_locations(self.context, self.landing)?;
        Ok(raw::superseded(&receipts, plan.receipt, known.as_ref()))
    }

    fn add(&mut self, batch: &LoadedBatch, planned_rows: u64) {
        // Which of the rows are duplicates is seen when they are committed.
        let known = if self.table.unique_key.is_empty() { Known::Exact } else { Known::AtMost };
        let planned = &mut self.report.planned;
        Beside::add(&mut planned.rows, Beside::new(planned_rows, known, batch.counts.accepted));
        self.report.outcome = Outcome::Done;
        self.report.counts += batch.counts;
        self.report.written += batch.counts.accepted;
        self.report.deleted += batch.deleted;
        self.report.commits += 1;
    }

    /// Whether a file that could not be loaded may be left behind for a newer one: only for what is in its data, and only while
    /// nothing of it is in the table.
    async fn may_pass_over(&self, receipt: &Receipt, error: &Error) -> Result<bool, Error> {
        let is_under_way = self.raw.position().await? > FilePosition::new(receipt.sequence, BatchNumber::NONE);
        Ok(error.failure() == Failure::Data && !is_under_way)
    }

    /// The sum over the commits of the file must be what was read.
    #[tracing::instrument(target = "profile", level = "trace", name = "check the accounting", skip_all)]
    async fn check_accounting(&self, plan: &LoadPlan) -> Result<(), Error> {
        let committed = self.raw.committed_counts(plan.receipt).await?;
        if committed.read != plan.counts.read || !committed.closes() {
            let what = format!("receipt {} of {} (read {} records)", plan.receipt, self.table.name, plan.counts.read);
            return Err(LakeError::Accounting { what, counts: committed.to_string() }.into());
        }
        Ok(())
    }

    fn note(&mut self, plan: &LoadPlan) {
        let listed = |counts: &BTreeMap<String, u64>| {
            counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
        };
        if !plan.rejects_by_reason.is_empty() {
            self.report.notes.push(format!("rejected: {}", listed(&plan.rejects_by_reason)));
        }
        let mut warnings = BTreeMap::new();
        for check in &self.table.checks {
            let Some(failed) = plan.checks.get(&check.name) else { continue };
            if check.on_failure == OnFailure::Warn {
                warnings.insert(check.name.clone(), *failed);
            }
            if let Some(report) = self.report.checks.iter_mut().find(|report| report.name == check.name) {
                report.failed += failed;
            } else {
                let (name, on_failure) = (check.name.clone(), check.on_failure);
                self.report.checks.push(CheckReport { name, on_failure, failed: *failed });
            }
        }
        if !warnings.is_empty() {
            self.report.notes.push(format!("checks that warn: {}", listed(&warnings)));
        }
        self.note_drift(plan);
        if let (Some((first, _)), Some((last, _))) = (plan.too_old.first_key_value(), plan.too_old.last_key_value()) {
            self.report.notes.push(format!("too old: {} dates from {first} to {last}", plan.too_old.len()));
        }
    }

    /// Counts how the file differs from the contract, and says what a person should look at: fields that are unknown, and fields
    /// that no record has. Others may be left out by their writer, as usual.
    fn note_drift(&mut self, plan: &LoadPlan) {
        let drift = &plan.drift;
        let kinds = [(DriftKind::Unknown, &drift.unknown), (DriftKind::Missing, &drift.missing)];
        for (kind, field, records) in
            kinds.iter().flat_map(|(kind, fields)| fields.iter().map(|(name, records)| (*kind, name, *records)))
        {
            let reports = &mut self.report.drift;
            if let Some(report) = reports.iter_mut().find(|report| report.kind == kind && report.field == *field) {
                report.records += records;
            } else {
                let column = if kind == DriftKind::Unknown { plan.added.get(field).cloned() } else { None };
                reports.push(DriftReport { field: field.clone(), kind, records, column });
            }
        }
        let mut say = |what: &str, fields: Vec<String>| {
            let more = fields.len().saturating_sub(FIELDS_SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            if !fields.is_empty() {
                self.report.notes.push(format!("{what}: {}{more}", fields[..fields.len().min(FIELDS_SHOWN)].join(", ")));
            }
        };
        let what = match self.table.unknown_fields {
            UnknownFields::Ignore => "unknown fields, ignored",
            UnknownFields::Keep => "unknown fields, kept in _unknown",
            UnknownFields::Add => "unknown fields, columns of their own",
            UnknownFields::Fail => "unknown fields",
        };
        say(what, drift.unknown.iter().map(|(field, records)| format!("{field} ({records} records)")).collect());
        let nowhere = drift.missing.iter().filter(|(_, records)| **records >= plan.counts.read).map(|(field, _)| field.clone());
        say("fields of the contract that no record has", nowhere.collect());
    }
}

/// Removes the rows and rejects of a load, which are in the tables now. The plan stays: it says what was decided.
fn tidy(folder: &Path) {
    for file in [UNNAMED_PLAN_FILE, ROWS_FILE, REJECTS_FILE] {
        crash::point("load/tidy:before");
        let _ = std::fs::remove_file(folder.join(file));
        crash::point("load/tidy:after");
    }
}

/// Notes do not grow with the number of fields.
const FIELDS_SHOWN: usize = 10;
