//! `sluice plan`: what a run would do now, without doing any of it.
//!
//! Guarantee: nothing is written, to the lake or to Cassandra, and nothing is locked: a plan can be made while a run goes on.
//! Each number says whether it is exact, and if not, what it rests on. Never: fetches a source; waits long for Cassandra.

mod downstream;
mod print;
mod upstream;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cassandra::Store;
use chrono::DateTime;
use clap::Args;
use model::plan::{PLAN_SCHEMA, RunPlan, ServingStore, StoreState};

use crate::commands;
use crate::context::Context;
use crate::error::Error;
use crate::opened::Opened;
use crate::settings::{Output, RunArgs};
use crate::{signals, slicing};

pub(crate) use print::size;
pub use print::text;

#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub run: RunArgs,

    /// Do not ask Cassandra: checkpoints and tables there are unknown then
    #[arg(long)]
    pub offline: bool,
}

/// How long a plan waits for Cassandra: it is made without it then.
const CONNECT: Duration = Duration::from_secs(3);

/// Makes the plan and prints it.
pub async fn run(arguments: PlanArgs) -> ExitCode {
    let planned = async {
        let plan = of(&Opened::new(&arguments.run).await?, arguments.offline).await?;
        match arguments.run.talk.output {
            Output::Table => println!("{}", text(&plan)),
            Output::Json => println!("{}", serde_json::to_string_pretty(&plan).expect("a plan is plain data")),
        }
        Ok::<_, Error>(ExitCode::SUCCESS)
    };
    commands::exit(Box::pin(planned).await)
}

async fn of(opened: &Opened, offline: bool) -> Result<RunPlan, Error> {
    let context = &opened.context;
    if !opened.has_cassandra() {
        return make(context, Serving::NotNeeded, Sources::Asked).await;
    }
    let settings = opened.cassandra_settings()?;
    if offline {
        return make(context, Serving::NotRead { settings: &settings, reason: "not asked (--offline)" }, Sources::Asked).await;
    }
    let connecting = Store::connect(&settings, CONNECT, |_| {});
    match signals::unless_stopped(&context.shutdown, connecting).await? {
        Ok(store) => make(context, Serving::Read(&store), Sources::Asked).await,
        Err(error) => make(context, Serving::NotRead { settings: &settings, reason: &error.to_string() }, Sources::Asked).await,
    }
}

/// What there is of Cassandra.
#[derive(Clone, Copy)]
pub enum Serving<'s> {
    NotNeeded,
    Read(&'s Store),
    NotRead { settings: &'s cassandra::Settings, reason: &'s str },
}

/// Whether sources are asked what they have.
#[derive(Debug, Clone, Copy)]
pub enum Sources<'s> {
    Asked,
    /// Their urls are not known here, and why.
    Unknown(&'s str),
}

/// Makes the plan.
pub async fn make(context: &Context, serving: Serving<'_>, sources: Sources<'_>) -> Result<RunPlan, Error> {
    let started = Instant::now();
    let mut plan = RunPlan {
        schema: PLAN_SCHEMA,
        pipeline: context.pipeline.name.clone(),
        planned_at: DateTime::from_timestamp_micros(context.now).unwrap_or_default(),
        seconds: 0.0,
        slice: context.slice.map(|slice| slice.to_string()),
        lake: shown(context.lake.root()),
        cassandra: store_state(serving),
        tables: Vec::new(),
        sources: Vec::new(),
        loads: Vec::new(),
        merges: Vec::new(),
        views: Vec::new(),
        sends: Vec::new(),
        maintenance: Vec::new(),
        problems: Vec::new(),
        is_up_to_date: false,
    };
    if let (Some(slice), Some(kept)) = (&plan.slice, slicing::slice_of(&context.lake))
        && kept != *slice
    {
        plan.problems
            .push(format!("the debug lake holds the slice {kept}: a run would start it afresh, which this plan does not"));
    }
    upstream::tables(context, serving, &mut plan).await?;
    match sources {
        Sources::Asked => upstream::sources(context, &mut plan).await?,
        Sources::Unknown(reason) => upstream::unknown_sources(context, reason, &mut plan),
    }
    upstream::loads(context, &mut plan).await?;
    downstream::use_cases(context, &mut plan).await?;
    downstream::sends(context, serving, &mut plan).await?;
    plan.is_up_to_date = is_up_to_date(&plan);
    plan.seconds = started.elapsed().as_secs_f64();
    Ok(plan)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn store_state(serving: Serving<'_>) -> ServingStore {
    let (keyspace, state, reason) = match serving {
        Serving::NotNeeded => (None, StoreState::NotNeeded, None),
        Serving::Read(store) => (Some(store.keyspace().to_owned()), StoreState::Read, None),
        Serving::NotRead { settings, reason } => (Some(settings.keyspace.clone()), StoreState::NotRead, Some(reason.to_owned())),
    };
    ServingStore { keyspace, state, reason }
}

fn is_up_to_date(plan: &RunPlan) -> bool {
    let files = plan.sources.iter().flat_map(|source| &source.files);
    let is_sent = |send: &model::plan::SendPlan| send.checkpoint.is_some() && send.checkpoint == send.version;
    plan.problems.is_empty()
        && plan.tables.is_empty()
        && !files.into_iter().any(|file| file.state.is_fetched())
        && plan.loads.iter().all(|load| load.files.is_empty())
        && plan.merges.iter().all(|merge| merge.batches.is_empty())
        && plan.views.iter().all(|view| view.changed_inputs.is_empty())
        && plan.sends.iter().all(is_sent)
}

/// A failure that a run would meet is part of the plan; one of reading what there is ends it.
fn or_problem<T>(plan: &mut RunPlan, place: &str, result: Result<T, Error>) -> Result<Option<T>, Error> {
    use model::failure::{Classify, Failure, with_causes};
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.failure(), Failure::Definition | Failure::Data) => {
            plan.problems.push(format!("{place}: {}", with_causes(&error)));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
