//! The runner: chains the stages, runs those at the same time that do not depend on each other.
//!
//! Guarantee: every stage runs after the stages that it reads from; when one fails, those that do not depend on it still end,
//! and the first error is returned. Run again, it goes on where it stopped: how far a table is stands in the table.

use std::collections::HashMap;
use std::pin::pin;
use std::time::Instant;

use cassandra::Store;
use chrono::DateTime;
use futures::future::{Either, select};
use model::definition::{CassandraTable, Origin, Pipeline, UseCaseTable};
use model::failure::{Classify, Failure, with_causes};
use model::report::{REPORT_SCHEMA, RunReport, StageName, StageReport};
use tokio::sync::{Notify, watch};
use zones::beside::{both, side_by_side};

use crate::context::Context;
use crate::download::{self, Options};
use crate::error::{Boxed, Error};
use crate::memory;
use crate::stages::{create_tables, landing_to_raw, raw_to_use_case, to_cassandra, url_to_landing};

/// What became of the stages that follow each other.
type Chain = Result<Vec<StageReport>, Error>;

/// Each holds a micro-batch in memory: of those that send, the one that is on its way and the next.
const CHAINS_AT_A_TIME: usize = 4;

/// Runs one stage over everything in the pipeline that it is for.
///
/// `store` is needed by the stages that touch Cassandra.
pub async fn stage(context: &Context, store: Option<&Store>, stage: StageName) -> Result<Vec<StageReport>, Error> {
    let pipeline = &context.pipeline;
    let mut reports = Vec::new();
    match stage {
        StageName::CreateTables => {
            reports.push(create_tables::in_lake(context).await?);
            if let Some(store) = store {
                reports.push(create_tables::in_cassandra(context, store).await?);
            }
            context.remaining.done(stage, &context.pipeline.name);
        }
        StageName::UrlToLanding => {
            for source in &pipeline.sources {
                reports.push(ended(context, url_to_landing(context, &source.name).await?));
            }
        }
        StageName::LandingToRaw => {
            for table in &pipeline.raw {
                let loaded = landing_to_raw::run(context, table).await;
                reports.push(ended(context, loaded.map_err(Error::in_stage(stage, &table.name))?));
            }
        }
        StageName::RawToUseCase => {
            for table in in_order(pipeline) {
                let merged = raw_to_use_case::run(context, table).await;
                reports.push(ended(context, merged.map_err(Error::in_stage(stage, &table.name))?));
            }
        }
        StageName::RawToCassandra | StageName::UseCaseToCassandra => {
            let store = store.expect("the stages to Cassandra are given a store");
            for table in pipeline.cassandra.iter().filter(|table| to_cassandra::stage_of(table) == stage) {
                let sent = to_cassandra::run(context, store, table).await;
                reports.push(ended(context, sent.map_err(Error::in_stage(stage, &table.name))?));
            }
        }
    }
    Ok(reports)
}

async fn url_to_landing(context: &Context, source: &str) -> Result<StageReport, Error> {
    let source = context.pipeline.source(source).expect("a validated definition");
    let zone = context.lake.landing(&source.name);
    let progress = context.watch.start(StageName::UrlToLanding, &source.name);
    let options = Options::default();
    let fetched = url_to_landing::run(&context.request(source, &zone, progress.as_ref(), &options)).await;
    fetched.map_err(|error| match error {
        download::Error::Interrupted(interrupted) => interrupted.into(),
        error => Error::Landing { step: format!("url-to-landing {}", source.name), source: Boxed::new(error) },
    })
}

/// Runs the whole chain.
///
/// `connect` is awaited beside the download: a Cassandra that is still starting holds nothing else up.
pub async fn run(
    context: &Context,
    connect: impl Future<Output = Result<Store, Error>> + Send,
) -> Result<Vec<StageReport>, Error> {
    let mut reports = vec![create_tables::in_lake(context).await?];
    let connected = async {
        if context.pipeline.cassandra.is_empty() {
            return Ok::<_, Error>(None);
        }
        // Whoever has to act need not wait for the end of a long load to hear of it.
        let store = connect.await.inspect_err(|error| {
            if error.failure() == Failure::Definition {
                context.watch.say(&format!("{}; the load goes on, and the run fails after it", with_causes(error)));
            }
        })?;
        let report = create_tables::in_cassandra(context, &store).await?;
        Ok(Some((store, report)))
    };
    // A load that fails need not wait for a Cassandra that is still starting; one that goes well still ends if Cassandra does
    // not come.
    let load_failed = Notify::new();
    let loaded = async {
        let mut reports = stage(context, None, StageName::UrlToLanding).await?;
        reports.extend(stage(context, None, StageName::LandingToRaw).await?);
        Ok::<_, Error>(reports)
    };
    let loaded = async { loaded.await.inspect_err(|_| load_failed.notify_one()) };
    let connected = async || match select(pin!(connected), pin!(load_failed.notified())).await {
        Either::Left((connected, _)) => connected,
        Either::Right(_) => Ok(None),
    };
    let (loaded, connected) = both(loaded, connected).await;
    let loaded = loaded?;
    reports.extend(loaded);
    let store = connected?.map(|(store, report)| {
        reports.insert(1, report);
        store
    });
    context.remaining.done(StageName::CreateTables, &context.pipeline.name);

    let (merged, views): (Vec<_>, Vec<_>) = in_order(&context.pipeline).into_iter().partition(|table| table.merge().is_some());
    let made = Made::default();
    let mut works: Vec<Work<'_>> = merged.into_iter().map(Work::Merged).collect();
    // Behind all that views wait for, so that these have their threads.
    if !views.is_empty() {
        works.push(Work::Views(views));
    }
    works.extend(store.is_some().then_some(Work::Raw));
    let store = store.as_ref();
    let chains = side_by_side(works, CHAINS_AT_A_TIME, async |work: Work<'_>| match work {
        Work::Merged(table) => use_case_chain(context, store, table, made.promise(table)).await,
        Work::Raw => stage(context, store, StageName::RawToCassandra).await,
        Work::Views(tables) => views_chain(context, store, tables, &made).await,
    });
    let mut failed: Option<Error> = None;
    for chain in chains.await {
        match chain {
            Ok(of_chain) => reports.extend(of_chain),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    reports.sort_by_key(|report| report.stage);
    Ok(reports)
}

/// One that nobody who stops the run has to be told of.
fn ended(context: &Context, report: StageReport) -> StageReport {
    context.remaining.done(report.stage, &report.target);
    context.recording.stage_ended(context, &report);
    report
}

/// The use-case tables, each after those that it reads.
pub(crate) fn in_order(pipeline: &Pipeline) -> Vec<&UseCaseTable> {
    let mut ordered: Vec<&UseCaseTable> = Vec::new();
    while ordered.len() < pipeline.use_cases.len() {
        let is_in = |name: &String| ordered.iter().any(|table| table.name == *name);
        let is_ready = |table: &&UseCaseTable| {
            !is_in(&table.name) && table.from.iter().all(|origin| !matches!(origin, Origin::UseCase(name) if !is_in(name)))
        };
        let next = pipeline.use_cases.iter().find(is_ready).expect("a validated definition has no circles");
        ordered.push(next);
    }
    ordered
}

/// What goes on at the same time once files are loaded. Merged tables do not depend on each other. Each is sent on while others are
/// merged still; so is what comes from raw, and views are made once what they read is.
enum Work<'p> {
    Merged(&'p UseCaseTable),
    /// Raw tables to Cassandra.
    Raw,
    /// In an order in which each comes after those that it reads.
    Views(Vec<&'p UseCaseTable>),
}

/// Which use-case tables this run has brought up to date, or could not.
#[derive(Default)]
struct Made(watch::Sender<HashMap<String, bool>>);

/// That a table will be made, or not. Also where the work for it panics, nobody waits for ever.
struct Promise<'m> {
    made: &'m Made,
    table: &'m str,
    is_kept: bool,
}

impl Made {
    fn promise<'m>(&'m self, table: &'m UseCaseTable) -> Promise<'m> {
        Promise { made: self, table: &table.name, is_kept: false }
    }

    /// Waits until it is known of all that a table reads; whether all of that is there.
    async fn inputs(&self, table: &UseCaseTable) -> bool {
        let inputs = || table.from.iter().filter(|origin| matches!(origin, Origin::UseCase(_))).map(Origin::table);
        let mut told = self.0.subscribe();
        let known = told.wait_for(|made| inputs().all(|input| made.contains_key(input))).await;
        known.is_ok_and(|made| inputs().all(|input| made[input]))
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        self.made.0.send_modify(|made| {
            made.insert(self.table.to_owned(), self.is_kept);
        });
    }
}

/// Brings a table up to date, then what is sent from it.
async fn use_case_chain(context: &Context, store: Option<&Store>, table: &UseCaseTable, mut promise: Promise<'_>) -> Chain {
    let run = raw_to_use_case::run(context, table).await;
    promise.is_kept = run.is_ok();
    drop(promise);
    let mut reports = vec![ended(context, run.map_err(Error::in_stage(StageName::RawToUseCase, &table.name))?)];
    let Some(store) = store else { return Ok(reports) };
    let filled = |other: &&CassandraTable| other.from == Origin::UseCase(table.name.clone());
    for table in context.pipeline.cassandra.iter().filter(filled) {
        let sent = to_cassandra::run(context, store, table).await;
        reports.push(ended(context, sent.map_err(Error::in_stage(StageName::UseCaseToCassandra, &table.name))?));
    }
    Ok(reports)
}

/// Views once a run, each after all that it reads; one whose input failed waits for the next run.
async fn views_chain(context: &Context, store: Option<&Store>, views: Vec<&UseCaseTable>, made: &Made) -> Chain {
    let mut reports = Vec::new();
    let mut failed: Option<Error> = None;
    for view in views {
        let promise = made.promise(view);
        if !made.inputs(view).await {
            continue;
        }
        match use_case_chain(context, store, view, promise).await {
            Ok(of_view) => reports.extend(of_view),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(reports), Err)
}

/// Puts a run's report together.
pub fn report(context: &Context, keyspace: Option<String>, started: Instant, stages: Vec<StageReport>) -> RunReport {
    let accounting_closes = stages.iter().all(|stage| stage.counts.closes());
    RunReport {
        schema: REPORT_SCHEMA,
        pipeline: context.pipeline.name.clone(),
        started_at: DateTime::from_timestamp_micros(context.now).unwrap_or_default(),
        seconds: started.elapsed().as_secs_f64(),
        slice: context.slice.map(|slice| slice.to_string()),
        lake: context.lake.root().display().to_string(),
        keyspace,
        stages,
        accounting_closes,
        peak_memory_bytes: memory::peak_bytes(),
    }
}
