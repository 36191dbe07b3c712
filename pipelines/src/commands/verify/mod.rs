//! `sluice verify`: proves that what is in the lake and in Cassandra is what landed, and that nothing is there twice.
//!
//! Guarantee: only `--repair` changes anything, and only rows of Cassandra tables that differ from the lake (see
//! [`cassandra`]). The lake is held meanwhile, as by a run, so that nothing moves under the eyes. Each zone is set beside what it
//! was made from, so what is found is found where it went wrong. docs/verify.md says what is looked at and what is not found.

mod cassandra;
mod choice;
mod print;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use ::cassandra::Store;
use chrono::DateTime;
use clap::Args;
use model::definition::{Origin, RawTable};
use model::verify::{Check, Subject, VERIFICATION_SCHEMA, Verification};
use zones::delta::Table;
use zones::query::Input;
use zones::verify::{
    Accounts, Looking, Sample, Source, UseCaseCheck, accounting, accounts, contents, derived_content, files, key_directory,
    landed, quarantine_accounting,
};
use zones::{quarantine, raw};

use crate::commands;
use crate::context::Context;
use crate::error::Error;
use crate::memory;
use crate::opened::Opened;
use crate::runner::in_order;
use crate::settings::{Output, RunArgs};
use crate::stages::open_table;

pub use choice::Choice;
pub use print::text;

#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub run: RunArgs,

    #[arg(value_name = "TABLE")]
    #[arg(
        help = "Only these: landing.NAME, raw.NAME, quarantine, use_case.NAME, cassandra.NAME, or a name alone [default: all]"
    )]
    pub tables: Vec<String>,

    /// Look at a part of the rows only, `1%` or about so many rows of each table; the keys of the part are the same on both sides
    /// of each comparison, and sizes of files are looked at all the same
    #[arg(long, value_parser = choice::sample, value_name = "SHARE|ROWS")]
    pub sample: Option<Sample>,

    /// Write anew from the lake what Cassandra has wrong
    #[arg(long)]
    pub repair: bool,
}

/// Whether Cassandra is put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mending {
    LookOnly,
    Repair,
}

/// Looks at everything and prints what was found.
pub async fn run(arguments: VerifyArgs) -> ExitCode {
    let verified = async {
        let opened = Opened::new(&arguments.run).await?;
        let choice = Choice::of(&opened.context.pipeline, &arguments.tables)?;
        let _hold = opened.hold().await?;
        let needs_store = opened.context.pipeline.cassandra.iter().any(|table| choice.takes("cassandra", &table.name));
        let store = if needs_store { Some(opened.connect().await?) } else { None };
        let mending = if arguments.repair { Mending::Repair } else { Mending::LookOnly };
        let sample = arguments.sample.unwrap_or(Sample::All);
        let verification = verify(&opened.context, store.as_ref(), &choice, sample, mending).await?;
        match arguments.run.talk.output {
            Output::Table => println!("{}", text(&verification)),
            Output::Json => println!("{}", serde_json::to_string_pretty(&verification).expect("it is plain data")),
        }
        Ok::<_, Error>(if verification.is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    };
    commands::exit(Box::pin(verified).await)
}

/// Looks at what was chosen. `store` is needed where Cassandra tables are among it.
pub async fn verify(
    context: &Context,
    store: Option<&Store>,
    choice: &Choice,
    sample: Sample,
    mending: Mending,
) -> Result<Verification, Error> {
    let started = Instant::now();
    let spill = context.lake.spill_folder()?;
    let room = context.lake.room_in(spill.clone());
    let looking = Looking { sample, room, spill, shutdown: context.shutdown.clone() };
    let mut look = Look { context, choice, looking, checks: Vec::new() };
    look.raw_and_before().await?;
    look.use_cases().await?;
    let mut repairs = Vec::new();
    if let Some(store) = store {
        for table in context.pipeline.cassandra.iter().filter(|table| choice.takes("cassandra", &table.name)) {
            let compare = cassandra::Compare { context, store, table, looking: &look.looking };
            let began = Instant::now();
            let (check, repair) = Box::pin(compare.run(mending)).await?;
            repairs.extend(repair);
            look.done(began, check);
        }
    }
    // What was spilled is gone with what spilled it; the folder itself is made anew when it is needed.
    let _ = std::fs::remove_dir(&look.looking.spill);
    let is_right = look.checks.iter().all(|check| check.findings.is_empty());
    Ok(Verification {
        schema: VERIFICATION_SCHEMA,
        pipeline: context.pipeline.name.clone(),
        started_at: DateTime::from_timestamp_micros(context.now).unwrap_or_default(),
        seconds: started.elapsed().as_secs_f64(),
        lake: context.lake.root().display().to_string(),
        keyspace: store.map(|store| store.keyspace().to_owned()),
        sample: choice::written(sample),
        checks: look.checks,
        repairs,
        is_right,
        peak_memory_bytes: memory::peak_bytes(),
    })
}

/// One look at a pipeline.
struct Look<'c> {
    context: &'c Context,
    choice: &'c Choice,
    looking: Looking,
    checks: Vec<Check>,
}

impl Look<'_> {
    /// Keeps a check, and says that it is done.
    fn done(&mut self, began: Instant, mut check: Check) {
        check.seconds = began.elapsed().as_secs_f64();
        let Check { target, subject, rows, seconds, findings, .. } = &check;
        let outcome = if findings.is_empty() { "right" } else { "NOT RIGHT" };
        self.context.watch.say(&format!("{target} {}: {outcome}, {rows} rows in {seconds:.1} s", subject.name()));
        self.checks.push(check);
    }

    /// Landed files, raw tables and the quarantine.
    async fn raw_and_before(&mut self) -> Result<(), Error> {
        let (pipeline, lake) = (&self.context.pipeline, &self.context.lake);
        let mut receipts = BTreeMap::new();
        for source in &pipeline.sources {
            let began = Instant::now();
            let zone = lake.landing(&source.name);
            let takes = self.choice.takes("landing", &source.name);
            let feeds = pipeline.raw.iter().any(|table| {
                let landing = pipeline.landing(&table.from);
                landing.is_some_and(|landing| landing.source == source.name) && self.choice.takes("raw", &table.name)
            });
            if takes || feeds || self.choice.takes("quarantine", "quarantine") {
                let (check, sound) = landed(&zone, &self.looking)?;
                receipts.insert(source.name.clone(), sound);
                self.done(began, check);
            }
        }
        if pipeline.raw.is_empty() {
            return Ok(());
        }
        let set_aside = quarantine::open(lake).await?;
        let takes_quarantine = self.choice.takes("quarantine", "quarantine");
        if takes_quarantine {
            let began = Instant::now();
            let check = files(&set_aside, "quarantine", &self.looking).await?;
            self.done(began, check);
        }
        let mut all_accounts = BTreeMap::new();
        let mut rejects = Check::new("quarantine", Subject::Content);
        let mut in_rejects = 0.0;
        for table in &pipeline.raw {
            let takes = self.choice.takes("raw", &table.name);
            if !takes && !takes_quarantine {
                continue;
            }
            let accounts = self.raw_table(table, takes).await?;
            let landing = pipeline.landing(&table.from).expect("a validated definition");
            let zone = lake.landing(&landing.source);
            let began = Instant::now();
            let source = Source {
                zone: &zone,
                landing,
                table,
                clock: pipeline.clock,
                raw: &raw::open(lake, table).await?,
                quarantine: &set_aside,
                accounts: &accounts,
                receipts: receipts.get(&landing.source).map_or(&[], Vec::as_slice),
            };
            let [content, of_rejects] = Box::pin(contents(&source, &self.looking)).await?;
            if takes {
                self.done(began, content);
            }
            in_rejects += began.elapsed().as_secs_f64();
            rejects.rows += of_rejects.rows;
            rejects.findings.extend(of_rejects.findings);
            rejects.notes.extend(of_rejects.notes);
            all_accounts.insert(table.name.clone(), accounts);
        }
        if takes_quarantine {
            let began = Instant::now();
            let check = quarantine_accounting(&set_aside, &all_accounts, &self.looking).await?;
            self.done(began, check);
            // It was looked at beside the raw tables, in the same time.
            let _ = in_rejects;
            self.done(Instant::now(), rejects);
        }
        Ok(())
    }

    async fn raw_table(&mut self, table: &RawTable, takes: bool) -> Result<Accounts, Error> {
        let (pipeline, lake) = (&self.context.pipeline, &self.context.lake);
        let target = format!("raw.{}", table.name);
        let opened = raw::open(lake, table).await?;
        if takes {
            let began = Instant::now();
            let check = files(&opened, &target, &self.looking).await?;
            self.done(began, check);
        }
        let began = Instant::now();
        let landing = pipeline.landing(&table.from).expect("a validated definition");
        let receipts = lake.landing(&landing.source).each_receipt().map_err(zones::Error::from)?;
        let receipts: Vec<_> = receipts.into_iter().flatten().collect();
        let accounts = accounts(&opened, &receipts, &self.looking).await?;
        if takes {
            let check = accounting(&opened, &target, &accounts, &self.looking).await?;
            self.done(began, check);
        }
        Ok(accounts)
    }

    async fn use_cases(&mut self) -> Result<(), Error> {
        for table in in_order(&self.context.pipeline) {
            if !self.choice.takes("use_case", &table.name) {
                continue;
            }
            let lake = &self.context.lake;
            let target = format!("use_case.{}", table.name);
            let began = Instant::now();
            let opened: Table = open_table(self.context, &Origin::UseCase(table.name.clone())).await?;
            let check = files(&opened, &target, &self.looking).await?;
            self.done(began, check);
            let mut inputs = Vec::new();
            for origin in &table.from {
                let input = open_table(self.context, origin).await?;
                inputs.push(Input { origin: origin.clone(), schema: input.schema().clone(), table: Some(input) });
            }
            let of = UseCaseCheck { definition: table, inputs, target };
            let began = Instant::now();
            let check = key_directory(lake, &of, &self.looking).await?;
            self.done(began, check);
            let began = Instant::now();
            let check = Box::pin(derived_content(lake, &of, &self.looking)).await?;
            self.done(began, check);
        }
        Ok(())
    }
}
