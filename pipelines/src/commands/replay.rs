//! `sluice replay`: feeds what was set aside through the present definition, and moves what passes to its raw table.
//!
//! Guarantee: each record moves once, whenever the replay is stopped; run again, it goes on. A raw table that was loaded under a
//! contract which only admitted other records goes on under the present one from here; one whose rows would look otherwise is
//! refused. Never: tries records of a stopped file, of a load that is not finished, or of a superseded snapshot; says why.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;
use model::definition::{ContractRecord, Landing, OnChange, RawTable};
use model::receipt::Receipt;
use model::report::StageName;
use serde::Serialize;
use zones::delta::{Table, Taking};
use zones::landing::LandingZone;
use zones::raw::{self, Raw};
use zones::rejects::{Filter, Load, loads};
use zones::replay::{self, Mode, Replay, Replayed};
use zones::{Error as LakeError, entries, quarantine};

use crate::commands;
use crate::context::Context;
use crate::error::Error;
use crate::opened::Opened;
use crate::report::{grouped, styled};
use crate::settings::{Output, RunArgs};
use crate::slicing::SliceMemory;
use crate::stages::landing_to_raw::known_locations;
use crate::stages::{ATTEMPTS, contended, pause};

/// The version of the report's shape.
const REPLAY_SCHEMA: u32 = 1;

#[derive(Debug, Args)]
pub struct ReplayArgs {
    #[command(flatten)]
    pub run: RunArgs,

    #[command(flatten)]
    pub chosen: ChosenArgs,

    /// Say what would pass and what would stay, and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Which records of the quarantine.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which records")]
pub struct ChosenArgs {
    /// Only those of this raw table
    #[arg(long, value_name = "raw.NAME")]
    pub table: Option<String>,

    /// Only those with this text in their reason or its detail
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,

    /// Only those for which this SQL condition is true, over the columns of the quarantine (docs/rejects.md)
    #[arg(long = "where", value_name = "SQL")]
    pub filter: Option<String>,
}

impl ChosenArgs {
    /// `raw` are the raw tables that there are.
    pub fn filter(&self, pipeline: &str, raw: &[RawTable]) -> Result<Filter, Error> {
        let table = self.table.as_deref().map(|table| table.strip_prefix("raw.").unwrap_or(table).to_owned());
        if let Some(unknown) = table.as_ref().filter(|table| raw.iter().all(|known| known.name != **table)) {
            let hint = model::definition::suggest(unknown, raw.iter().map(|table| table.name.as_str()), "raw tables");
            let problem = format!("there is no raw table `{unknown}`");
            return Err(Error::Semantics { place: format!("pipeline {pipeline}"), problem, hint });
        }
        Ok(Filter::new(table, self.reason.as_deref(), self.filter.as_deref())?)
    }
}

/// What a replay did, or would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplayReport {
    pub schema: u32,
    pub pipeline: String,
    pub dry_run: bool,
    pub receipts: Vec<ReceiptReplayed>,
    pub not_tried: Vec<NotTried>,
    /// Things a person should know.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReceiptReplayed {
    pub table: String,
    pub receipt: u64,
    pub file: Option<String>,
    #[serde(flatten)]
    pub replayed: Replayed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotTried {
    pub table: String,
    pub receipt: u64,
    pub records: u64,
    pub reason: String,
}

/// Replays and prints what came of it.
pub async fn run(arguments: ReplayArgs) -> ExitCode {
    let replayed = async {
        let opened = Opened::new(&arguments.run).await?;
        let context = &opened.context;
        let filter = arguments.chosen.filter(&context.pipeline.name, &context.pipeline.raw)?;
        let mode = if arguments.dry_run { Mode::DryRun } else { Mode::Commit };
        let _hold = opened.hold().await?;
        let report = replay(context, &filter, mode).await?;
        match arguments.run.talk.output {
            Output::Table => print!("{}", text(&report)),
            Output::Json => println!("{}", serde_json::to_string_pretty(&report).expect("a report is plain data")),
        }
        Ok::<_, Error>(ExitCode::SUCCESS)
    };
    commands::exit(Box::pin(replayed).await)
}

/// Replays what the filter holds, table by table and receipt by receipt.
pub async fn replay(context: &Context, filter: &Filter, mode: Mode) -> Result<ReplayReport, Error> {
    let pipeline = &context.pipeline;
    let mut report = ReplayReport {
        schema: REPLAY_SCHEMA,
        pipeline: pipeline.name.clone(),
        dry_run: mode == Mode::DryRun,
        receipts: Vec::new(),
        not_tried: Vec::new(),
        notes: Vec::new(),
    };
    let mut quarantine = quarantine::open(&context.lake).await?;
    let is_meant = |table: &&RawTable| filter.table.as_ref().is_none_or(|name| *name == table.name);
    for table in pipeline.raw.iter().filter(is_meant) {
        let landing = pipeline.landing(&table.from).expect("a validated definition");
        let mut raw = Raw::open(&context.lake, table).await?;
        let contract = ContractRecord::of(landing, table);
        if mode == Mode::Commit {
            if let Some(records) = replay::finish(raw.table(), &mut quarantine, table, context.now).await? {
                let ended = format!("raw.{}: ended a replay that was stopped: {records} records left the quarantine", table.name);
                report.notes.push(ended);
            }
            raw.take_on(contract, Taking::OnTable).await?;
        } else {
            raw.take_on(contract, Taking::Rehearsed).await?;
        }
        let held: Vec<Load> = loads(&quarantine, filter).await?.into_iter().filter(|load| load.table == table.name).collect();
        let zone = context.lake.landing(&landing.source);
        let mut of_table = OfTable { context, table, landing, zone, filter, raw, mode };
        of_table.replay(held, &mut quarantine, &mut report).await?;
    }
    Ok(report)
}

/// The records of one raw table.
struct OfTable<'c> {
    context: &'c Context,
    table: &'c RawTable,
    landing: &'c Landing,
    zone: LandingZone,
    filter: &'c Filter,
    raw: Raw<'c>,
    mode: Mode,
}

impl OfTable<'_> {
    async fn replay(&mut self, held: Vec<Load>, quarantine: &mut Table, report: &mut ReplayReport) -> Result<(), Error> {
        if held.is_empty() {
            return Ok(());
        }
        let table = format!("raw.{}", self.table.name);
        let receipts = self.zone.receipts().map_err(LakeError::from)?;
        let superseded = self.superseded(&receipts).await?;
        for load in held {
            self.context.shutdown.check()?;
            let reason = if load.is_stopped {
                "its file was stopped by its limits, and is loaded as a whole once they hold"
            } else if !self.raw.position().await?.has_finished(load.receipt) {
                "the load of its file is not finished: run first"
            } else if superseded.contains(&load.receipt) {
                "a newer snapshot took the place of its file"
            } else {
                let file = receipts.iter().find(|receipt| receipt.sequence == load.receipt);
                let replayed = self.receipt(load.receipt, file, quarantine).await?;
                let file = file.map(|receipt| receipt.file_name.clone());
                report.receipts.push(ReceiptReplayed { table: table.clone(), receipt: load.receipt, file, replayed });
                continue;
            };
            let (receipt, records, reason) = (load.receipt, load.records, reason.to_owned());
            report.not_tried.push(NotTried { table: table.clone(), receipt, records, reason });
        }
        Ok(())
    }

    /// The receipts whose rows are not in a table of snapshots any more.
    async fn superseded(&self, receipts: &[Receipt]) -> Result<BTreeSet<u64>, Error> {
        let mut gone = BTreeSet::new();
        if self.table.on_change == OnChange::Replace {
            let position = self.raw.position().await?;
            let known = known_locations(self.context, self.landing)?;
            for receipt in receipts.iter().filter(|receipt| position.has_finished(receipt.sequence)) {
                let by_this = raw::superseded(receipts, receipt.sequence, known.as_ref());
                gone.extend(by_this.into_iter().map(i64::unsigned_abs));
            }
        }
        Ok(gone)
    }

    async fn receipt(&mut self, sequence: u64, receipt: Option<&Receipt>, quarantine: &mut Table) -> Result<Replayed, Error> {
        let context = self.context;
        let progress = context.watch.start(StageName::LandingToRaw, &self.table.name);
        let memory = context.slice.map(|slice| SliceMemory::new(&context.lake, slice, &self.table.name));
        let choose = memory.as_ref().map(|memory| move |present: &BTreeSet<chrono::NaiveDate>| memory.choose(present));
        let landed = || {
            let receipt = receipt.ok_or_else(|| LakeError::Damaged {
                path: format!("the landed file of receipt {sequence} of {}", self.landing.source),
                problem: "its folder is gone, and its records cannot be read without it".to_owned(),
            })?;
            self.zone.verify_content_unless(receipt, &context.shutdown)?;
            entries::open(&self.zone.file(receipt), self.landing).map_err(LakeError::entry)
        };
        let folder = context.lake.spill_folder()?;
        let replay = Replay {
            table: self.table,
            landing: self.landing,
            clock: context.pipeline.clock,
            now: context.now,
            filter: self.filter,
            receipt: sequence,
            landed: &landed,
            choose: choose.as_ref().map(|choose| choose as &zones::load::DateChoice<'_>),
            shutdown: &context.shutdown,
            progress: progress.as_ref(),
            folder: &folder,
        };
        let mut attempt = 1;
        let replayed = loop {
            match replay.run(&mut self.raw, quarantine, self.mode).await {
                // Nothing is committed yet: another writer of the raw table got in between.
                Err(error) if error.is_conflict() && attempt < ATTEMPTS => pause(attempt).await,
                Err(error) => return Err(contended(error, self.raw.table(), "replaying").into()),
                Ok(replayed) => break replayed,
            }
            attempt += 1;
            self.raw.refresh().await?;
            quarantine.refresh().await?;
        };
        // Only space is at stake.
        let _ = std::fs::remove_dir_all(&folder);
        Ok(replayed)
    }
}

/// The report for people.
fn text(report: &ReplayReport) -> String {
    let mut text = String::new();
    let shown = |count: u64| if count > 0 { grouped(count) } else { "-".to_owned() };
    if !report.receipts.is_empty() {
        let passes = if report.dry_run { "would pass" } else { "passed" };
        let header = ["table", "receipt", "file", "tried", passes, "accepted", "duplicate", "dropped", "too old", "stay", "why"];
        let rows = report.receipts.iter().map(|one| {
            let Replayed { tried, left, accepted, duplicate, dropped, too_old, stays, .. } = &one.replayed;
            let why: Vec<String> = stays.iter().map(|(reason, records)| format!("{reason} {records}")).collect();
            let mut row = vec![one.table.clone(), one.receipt.to_string(), one.file.clone().unwrap_or_default()];
            row.extend([*tried, *left, *accepted, *duplicate, *dropped, *too_old, tried - left].map(shown));
            row.push(why.join(", "));
            row
        });
        let _ = writeln!(text, "{}", styled(&header, rows.collect()));
    }
    for NotTried { table, receipt, records, reason } in &report.not_tried {
        let _ = writeln!(text, "{table} receipt {receipt}: {} not tried: {reason}", counted(*records));
    }
    let cut: u64 = report.receipts.iter().map(|one| one.replayed.cut).sum();
    if cut > 0 {
        let _ = writeln!(text, "{} not tried: only the beginning was kept; `sluice rebuild` reads their file anew", counted(cut));
    }
    for note in &report.notes {
        let _ = writeln!(text, "{note}");
    }
    let (tried, left) =
        report.receipts.iter().fold((0, 0), |(tried, left), one| (tried + one.replayed.tried, left + one.replayed.left));
    let _ = match (report.dry_run, left) {
        _ if report.receipts.is_empty() => writeln!(text, "no records to replay"),
        (true, _) => writeln!(text, "{} of {} would leave the quarantine; nothing was written", grouped(left), counted(tried)),
        (false, 0) => writeln!(text, "none of {} left the quarantine", counted(tried)),
        (false, _) => writeln!(
            text,
            "{} of {} left the quarantine; `sluice run {}` merges them and sends them on",
            grouped(left),
            counted(tried),
            report.pipeline
        ),
    };
    text
}

fn counted(records: u64) -> String {
    format!("{} record{}", grouped(records), if records == 1 { "" } else { "s" })
}
