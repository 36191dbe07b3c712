//! `sluice rebuild`: tables computed anew from the zone before them, in place.
//!
//! Guarantee: readers of a table see it as it was or as it became, never nothing and never a part; what did not change is not
//! sent on. What was made from a table follows by the difference in the next run, or now with `--downstream`; where it cannot
//! (its own definition changed with that of the table, or the table's types), it is made anew here as well, and named. Killed at
//! any moment and given again, it ends the same.
//! Never: removes a table, unless its log cannot be read; then it is named, and the next run makes it.

mod cassandra;
mod removal;

use std::collections::BTreeSet;
use std::process::ExitCode;

use ::cassandra::Store;
use chrono::NaiveDate;
use clap::Args;
use model::definition::{CassandraTable, Origin, RawTable, UseCaseTable};
use model::report::StageName;
use serde::Serialize;
use zones::Error as LakeError;
use zones::delta::{ChangedRows, Span};
use zones::query::Input;
use zones::rebuild::{self, Circumstances, ForgottenDates, Landed, Rebuilt};

use crate::commands;
use crate::commands::names::{Named, find};
use crate::context::Context;
use crate::error::Error;
use crate::opened::Opened;
use crate::runner::{self, in_order};
use crate::settings::{Output, RunArgs};
use crate::slicing::SliceMemory;
use crate::stages::landing_to_raw::known_locations;
use crate::stages::open_table;

use removal::Removal;

#[derive(Debug, Args)]
pub struct RebuildArgs {
    #[command(flatten)]
    pub run: RunArgs,

    #[arg(required = true, value_name = "TABLE")]
    #[arg(help = "The tables to make anew: raw.NAME, use_case.NAME, cassandra.NAME, or a name that only one table has")]
    pub tables: Vec<String>,

    /// Only rows of this date and later, of tables that are partitioned by a date
    #[arg(long, value_name = "DATE")]
    pub from: Option<NaiveDate>,

    /// Only rows of this date and earlier
    #[arg(long, value_name = "DATE")]
    pub to: Option<NaiveDate>,

    /// Compute use-case tables from what is left where retention removed dates of their raw table, and lose what those gave
    #[arg(long)]
    pub without_forgotten: bool,

    /// Bring what was made from the tables up to date, too, instead of leaving that to the next run
    #[arg(long)]
    pub downstream: bool,
}

/// What became of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableRebuild {
    pub table: String,
    /// All of it, or which dates.
    pub span: String,
    /// Why it was made anew where it was not named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// The Delta version that holds what was computed; of a Cassandra table, the version that it was filled from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Rows that were computed, or sent.
    pub rows: u64,
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
    pub unchanged: u64,
    pub files_written: u64,
    pub bytes_written: u64,
    pub notes: Vec<String>,
}

/// What is to be made anew.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    pub tables: Vec<Named>,
    pub span: Span,
    pub forgotten: ForgottenDates,
}

/// Rebuilds, and says what was done.
pub async fn run(arguments: RebuildArgs) -> ExitCode {
    let rebuilt = async {
        let opened = Opened::new(&arguments.run).await?;
        let context = &opened.context;
        let tables = arguments.tables.iter().map(|name| find(&context.pipeline, name)).collect::<Result<_, _>>()?;
        let forgotten = if arguments.without_forgotten { ForgottenDates::LeftOut } else { ForgottenDates::Refused };
        let wish = Wish { tables, span: Span { from: arguments.from, to: arguments.to }, forgotten };
        let _hold = opened.hold().await?;
        let store = if serves(context, &wish) { Some(opened.connect().await?) } else { None };
        let done = rebuild(context, store.as_ref(), &wish).await?;
        if arguments.downstream {
            follow(context, store.as_ref()).await?;
        }
        match arguments.run.talk.output {
            Output::Table => println!("{}", text(context, &done, arguments.downstream)),
            Output::Json => println!("{}", serde_json::to_string_pretty(&done).expect("a report is plain data")),
        }
        Ok::<_, Error>(ExitCode::SUCCESS)
    };
    commands::exit(Box::pin(rebuilt).await)
}

/// Whether Cassandra tables are named, or may have to follow.
fn serves(context: &Context, wish: &Wish) -> bool {
    let mut touched: Vec<Origin> = Vec::new();
    for named in &wish.tables {
        match named {
            Named::Cassandra(_) => return true,
            Named::Lake(origin) => touched.push(origin.clone()),
        }
    }
    for table in in_order(&context.pipeline) {
        if table.from.iter().any(|from| touched.contains(from)) {
            touched.push(Origin::UseCase(table.name.clone()));
        }
    }
    context.pipeline.cassandra.iter().any(|table| touched.contains(&table.from))
}

/// Makes the tables anew, and those made from them that cannot follow by the difference; in the order in which they read each
/// other. `store` is needed where Cassandra tables are named or fed from these.
pub async fn rebuild(context: &Context, store: Option<&Store>, wish: &Wish) -> Result<Vec<TableRebuild>, Error> {
    check_span(wish)?;
    let mut done = Vec::new();
    let mut made: BTreeSet<String> = BTreeSet::new();
    for table in &context.pipeline.raw {
        let origin = Origin::Raw(table.name.clone());
        if wish.tables.contains(&Named::Lake(origin.clone())) {
            context.shutdown.check()?;
            let rebuilt = raw(context, table, wish.span).await;
            done.push(or_removed(context, store, &origin, wish.span, rebuilt).await?);
            made.insert(origin.to_string());
        }
    }
    for table in in_order(&context.pipeline) {
        let origin = Origin::UseCase(table.name.clone());
        let is_named = wish.tables.contains(&Named::Lake(origin.clone()));
        let because = if is_named || !table.from.iter().any(|from| made.contains(&from.to_string())) {
            None
        } else {
            left_behind(context, table).await?
        };
        if !is_named && because.is_none() {
            continue;
        }
        context.shutdown.check()?;
        let span = if is_named { wish.span } else { Span::default() };
        let rebuilt = use_case(context, table, span, wish.forgotten).await;
        let rebuilt = or_removed(context, store, &origin, span, rebuilt).await?;
        done.push(TableRebuild { because, ..rebuilt });
        made.insert(origin.to_string());
    }
    for table in &context.pipeline.cassandra {
        let is_named = wish.tables.contains(&Named::Cassandra(table.name.clone()));
        if !is_named && !made.contains(&table.from.to_string()) {
            continue;
        }
        context.shutdown.check()?;
        let store = store.expect("a store is given where Cassandra tables may have to follow");
        let because = if is_named { None } else { cassandra::left_behind(context, store, table).await? };
        if is_named || because.is_some() {
            let rebuilt = cassandra_table(context, store, table).await?;
            done.push(TableRebuild { because, ..rebuilt });
        }
    }
    Ok(done)
}

fn check_span(wish: &Wish) -> Result<(), Error> {
    let refuse = |problem: &str, hint: &str| {
        Err(Error::Semantics { place: "rebuild".to_owned(), problem: problem.to_owned(), hint: Some(hint.to_owned()) })
    };
    if wish.span.from.zip(wish.span.to).is_some_and(|(from, to)| from > to) {
        return refuse("--from is later than --to", "both dates are included");
    }
    let is_cassandra = |named: &Named| matches!(named, Named::Cassandra(_));
    if !wish.span.is_all() && wish.tables.iter().any(is_cassandra) {
        return refuse("a Cassandra table has no dates", "leave --from and --to out: all of it is written again");
    }
    Ok(())
}

async fn raw(context: &Context, table: &RawTable, span: Span) -> Result<TableRebuild, Error> {
    let landing = context.pipeline.landing(&table.from).expect("a validated definition");
    let zone = context.lake.landing(&landing.source);
    let known = known_locations(context, landing)?;
    let memory = context.slice.map(|slice| SliceMemory::new(&context.lake, slice, &table.name));
    let choose = memory.as_ref().map(|memory| move |present: &BTreeSet<NaiveDate>| memory.choose(present));
    let landed = Landed {
        zone: &zone,
        landing,
        table,
        clock: context.pipeline.clock,
        choose: choose.as_ref().map(|choose| choose as &zones::load::DateChoice<'_>),
        known: known.as_ref(),
    };
    let progress = context.watch.start(StageName::LandingToRaw, &table.name);
    let forgotten = ForgottenDates::default();
    let circumstances = Circumstances { now: context.now, shutdown: &context.shutdown, progress: progress.as_ref(), forgotten };
    let rebuilt = rebuild::raw(&context.lake, &landed, span, &circumstances).await?;
    Ok(told(Origin::Raw(table.name.clone()).to_string(), span, rebuilt))
}

async fn use_case(context: &Context, table: &UseCaseTable, span: Span, forgotten: ForgottenDates) -> Result<TableRebuild, Error> {
    let inputs = inputs(context, table).await?;
    let progress = context.watch.start(StageName::RawToUseCase, &table.name);
    let circumstances = Circumstances { now: context.now, shutdown: &context.shutdown, progress: progress.as_ref(), forgotten };
    let rebuilt = rebuild::use_case(&context.lake, table, inputs, span, &circumstances).await?;
    Ok(told(Origin::UseCase(table.name.clone()).to_string(), span, rebuilt))
}

async fn cassandra_table(context: &Context, store: &Store, table: &CassandraTable) -> Result<TableRebuild, Error> {
    let filled = cassandra::fill(context, store, table).await?;
    Ok(TableRebuild {
        table: format!("cassandra.{}", table.name),
        span: Span::default().to_string(),
        because: None,
        version: Some(filled.version),
        rows: filled.rows,
        inserted: 0,
        updated: filled.rows,
        deleted: filled.deleted,
        unchanged: 0,
        files_written: 0,
        bytes_written: 0,
        notes: filled.notes,
    })
}

async fn inputs(context: &Context, table: &UseCaseTable) -> Result<Vec<Input>, Error> {
    let mut inputs = Vec::new();
    for origin in &table.from {
        let input = open_table(context, origin).await?;
        inputs.push(Input { origin: origin.clone(), schema: input.schema().clone(), table: Some(input) });
    }
    Ok(inputs)
}

/// Why a use-case table cannot follow its inputs by the difference; `None` where it can, or is still to be made.
async fn left_behind(context: &Context, table: &UseCaseTable) -> Result<Option<String>, Error> {
    for origin in &table.from {
        match open_table(context, origin).await {
            Err(Error::Lake(LakeError::NoTable { .. })) => return Ok(None),
            opened => opened.map(|_| ())?,
        }
    }
    Ok(rebuild::left_behind(&context.lake, table, &inputs(context, table).await?).await?)
}

/// A table whose log cannot be read is removed, with what was made from it; one that is gone is for the next run to make.
async fn or_removed(
    context: &Context,
    store: Option<&Store>,
    origin: &Origin,
    span: Span,
    rebuilt: Result<TableRebuild, Error>,
) -> Result<TableRebuild, Error> {
    let problem = match rebuilt {
        Err(Error::Lake(error @ LakeError::NoTable { .. })) if span.is_all() => {
            // An input that is not there is another matter.
            if open_table(context, origin).await.is_ok() {
                return Err(error.into());
            }
            // A removal may have been killed when the table was gone, and what was derived from it was not.
            context.lake.discard(origin)?;
            let note = "it is not there: the next run makes it".to_owned();
            return Ok(TableRebuild { notes: vec![note], ..told(origin.to_string(), span, Rebuilt::default()) });
        }
        Err(Error::Lake(error @ (LakeError::Delta { step: "open", .. } | LakeError::DamagedCommit { .. }))) if span.is_all() => {
            // Only the table's own log is a reason to remove it.
            if open_table(context, origin).await.is_ok() {
                return Err(error.into());
            }
            error.to_string()
        }
        rebuilt => return rebuilt,
    };
    let removal = Removal::of(&context.pipeline, origin);
    removal.run(context, store).await?;
    let note = format!("{problem}: removed {}; the next run makes them anew", removal.names().join(", "));
    Ok(TableRebuild { notes: vec![note], ..told(origin.to_string(), span, Rebuilt::default()) })
}

/// What was made from the tables, brought up to date.
async fn follow(context: &Context, store: Option<&Store>) -> Result<(), Error> {
    runner::stage(context, None, StageName::RawToUseCase).await?;
    if let Some(store) = store {
        for stage in [StageName::RawToCassandra, StageName::UseCaseToCassandra] {
            runner::stage(context, Some(store), stage).await?;
        }
    }
    Ok(())
}

fn told(table: String, span: Span, rebuilt: Rebuilt) -> TableRebuild {
    let ChangedRows { inserted, updated, deleted } = rebuilt.changed;
    let mut notes = rebuilt.notes;
    if let Some(why) = rebuilt.another_table {
        notes.push(format!("what was made from it is made anew as well: {why}"));
    }
    TableRebuild {
        table,
        span: span.to_string(),
        because: None,
        version: rebuilt.version.map(|version| version.0),
        rows: rebuilt.rows,
        inserted,
        updated,
        deleted,
        unchanged: rebuilt.unchanged,
        files_written: rebuilt.files_written,
        bytes_written: rebuilt.bytes_written,
        notes,
    }
}

fn text(context: &Context, done: &[TableRebuild], downstream: bool) -> String {
    let mut lines = Vec::new();
    for table in done {
        let TableRebuild { table: name, span, rows, inserted, updated, deleted, unchanged, .. } = table;
        let is_lake = !name.starts_with("cassandra.");
        let did = if is_lake {
            format!("{rows} rows computed: {inserted} came, {updated} changed, {deleted} went, {unchanged} as they were")
        } else {
            format!("{rows} rows written, {deleted} removed")
        };
        let version = table.version.map(|version| format!(", version {version}")).unwrap_or_default();
        let because = table.because.as_ref().map(|because| format!(" (because {because})")).unwrap_or_default();
        lines.push(format!("rebuilt {name} ({span}{version}){because}: {did}"));
        lines.extend(table.notes.iter().map(|note| format!("  {note}")));
    }
    if !downstream {
        lines.push(format!("what was made from them follows by the difference: `sluice run {}`", context.pipeline.name));
    }
    lines.join("\n")
}
