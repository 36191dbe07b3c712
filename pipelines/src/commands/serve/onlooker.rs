//! Looks on: at the lake, at the records of runs, and at Cassandra, for the operations API.
//!
//! It reads only, and locks nothing. The zones are looked at every few seconds, whoever asks or nobody; what costs more (rejects, a plan)
//! is looked at when it is asked for, by one at a time, and kept until it may have changed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use api::Operations;
use api::operations::{Unanswered, measure};
use cassandra::Store;
use cassandra::lookup::FreshnessLookup;
use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use model::clock::Clock;
use model::definition::{CassandraTable, Pipeline};
use model::failure::with_causes;
use model::operations::{
    HolderState, LakeState, OPERATIONS_SCHEMA, Overview, RejectGroup, RejectSample, Rejects, RunRecord, RunState, RunSummary,
    ServedTable, Serving, ServingState, Severity, TableState, Usual,
};
use model::plan::RunPlan;
use model::position::TableVersion;
use model::shutdown::Shutdown;
use model::slice::Slice;
use zones::lake::Lake;
use zones::rejects::{Filter, Group};
use zones::runs::Runs;
use zones::{hold, overview, quarantine, rejects};

use crate::commands::plan;
use crate::context::Context;
use crate::error::Error;
use crate::runner::in_order;
use crate::ui::Nobody;

/// Between two looks, while a run goes on and while none does.
const LOOK_WHILE_RUNNING: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_secs(3);

/// Within which Cassandra has to say how far a table is.
const ASK: Duration = Duration::from_secs(2);

/// A plan is made at most so often.
const PLAN_AGAIN: Duration = Duration::from_secs(10);

/// So many runs tell how often runs usually begin.
const RUNS_OF_A_HABIT: usize = 20;

pub(super) struct Onlooker {
    pipeline: Arc<Pipeline>,
    lake: Lake,
    slice: Option<Slice>,
    settings: cassandra::Settings,
    /// Why the sources' urls are not known here.
    unknown_sources: Option<String>,
    seen: Mutex<Arc<Overview>>,
    connection: Mutex<Connection>,
    rejects: tokio::sync::Mutex<Option<Arc<Rejects>>>,
    plan: tokio::sync::Mutex<Option<(Instant, Arc<RunPlan>)>>,
}

/// What is known of Cassandra.
struct Connection {
    state: ServingState,
    store: Option<Store>,
    lookup: Option<FreshnessLookup>,
    reason: Option<String>,
    milliseconds: Option<f64>,
}

impl Onlooker {
    /// `unset` are variables of the definition that have no value here.
    pub(super) fn new(
        pipeline: Arc<Pipeline>,
        lake: Lake,
        slice: &str,
        settings: cassandra::Settings,
        unset: &BTreeSet<String>,
    ) -> Result<Self, Error> {
        let names: Vec<&str> = unset.iter().map(String::as_str).collect();
        let unknown_sources = (!names.is_empty()).then(|| {
            let are = if names.len() == 1 { "is" } else { "are" };
            format!("{} {are} not set for this server, so it does not know where the source is", names.join(" and "))
        });
        let overview = nothing_yet(&pipeline, &lake, &settings.keyspace);
        Ok(Self {
            slice: Slice::parse(slice)?,
            seen: Mutex::new(Arc::new(overview)),
            pipeline,
            lake,
            settings,
            unknown_sources,
            connection: Mutex::new(Connection {
                state: ServingState::Waiting,
                store: None,
                lookup: None,
                reason: None,
                milliseconds: None,
            }),
            rejects: tokio::sync::Mutex::default(),
            plan: tokio::sync::Mutex::default(),
        })
    }

    /// Cassandra answers.
    pub(super) fn connected(&self, store: &Store) {
        let mut connection = self.connection();
        if connection.store.is_none() {
            connection.store = Some(store.clone());
        }
        connection.reason = None;
        connection.state = ServingState::Connected;
    }

    /// Cassandra does not answer, or not as it should.
    pub(super) fn disconnected(&self, reason: &str) {
        let mut connection = self.connection();
        connection.reason = Some(reason.to_owned());
        connection.state = if connection.store.is_some() { ServingState::Lost } else { ServingState::Waiting };
    }

    /// Cassandra answers, but what is served is not as it should be.
    pub(super) fn unprepared(&self, reason: &str) {
        let mut connection = self.connection();
        connection.reason = Some(reason.to_owned());
        connection.state = ServingState::Unprepared;
    }

    /// It took so long to answer something small.
    pub(super) fn answered(&self, within: Duration) {
        self.connection().milliseconds = Some(rounded(within.as_secs_f64() * 1000.0));
    }

    /// Looks every few seconds, until it is dropped.
    pub(super) async fn look_on(&self) {
        let mut eyes = overview::Onlooker::new(self.lake.clone());
        loop {
            let overview = self.look(&mut eyes).await;
            measure(&overview);
            let pause = if overview.holder.is_some() { LOOK_WHILE_RUNNING } else { LOOK };
            *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(overview);
            tokio::time::sleep(pause).await;
        }
    }

    async fn look(&self, eyes: &mut overview::Onlooker) -> Overview {
        let before = self.overview();
        let mut overview = Overview { findings: Vec::new(), ..(*before).clone() };
        overview.lake.is_there = self.lake.state_folder().is_dir();
        overview.lake.problem = None;
        if let Err(error) = self.look_at_lake(eyes, &mut overview).await {
            overview.lake.problem = Some(with_causes(&error));
        }
        let (runs, usual) = self.newest_runs(overview.holder.as_ref());
        overview.last_run = runs;
        overview.serving = self.look_at_cassandra(eyes, overview.serving).await;
        overview.judge(usual, Utc::now());
        overview
    }

    async fn look_at_lake(&self, eyes: &mut overview::Onlooker, overview: &mut Overview) -> Result<(), Error> {
        self.lake.expect_format()?;
        let holder = hold::look(&self.lake)?;
        overview.holder = holder.map(|holder| HolderState {
            command: holder.command,
            process: holder.process,
            host: holder.host,
            since: holder.since,
        });
        overview.landings = eyes.landings(&self.pipeline)?;
        let mut raw = Vec::new();
        for table in &self.pipeline.raw {
            raw.push(eyes.raw(&self.pipeline, table).await?);
        }
        let mut use_cases = Vec::new();
        for table in in_order(&self.pipeline) {
            use_cases.push(eyes.use_case(table).await?);
        }
        overview.quarantine = eyes.quarantine().await?;
        (overview.raw, overview.use_cases) = (raw, use_cases);
        Ok(())
    }

    /// The newest run, and how often runs usually begin.
    fn newest_runs(&self, holder: Option<&HolderState>) -> (Option<RunSummary>, Option<Usual>) {
        let records = Runs::of(&self.lake).newest(RUNS_OF_A_HABIT).unwrap_or_default();
        let started: Vec<DateTime<Utc>> = records.iter().map(|record| record.started_at).collect();
        let newest = records.into_iter().next().map(|record| settled(record, holder).summary());
        (newest, Usual::of(&started))
    }

    async fn look_at_cassandra(&self, eyes: &mut overview::Onlooker, before: Serving) -> Serving {
        if self.pipeline.cassandra.is_empty() {
            return Serving { state: ServingState::NotNeeded, ..before };
        }
        let (store, lookup, serving) = {
            let connection = self.connection();
            let nodes = connection.store.as_ref().map(Store::nodes).unwrap_or_default();
            let (state, reason, milliseconds) = (connection.state, connection.reason.clone(), connection.milliseconds);
            let serving = Serving { state, reason, nodes, milliseconds, ..before };
            (connection.store.clone(), connection.lookup.clone(), serving)
        };
        let Some(store) = store.filter(|_| serving.state == ServingState::Connected) else { return serving };
        let lookup = match lookup {
            Some(lookup) => lookup,
            None => match store.prepare_freshness().await {
                Ok(lookup) => {
                    self.connection().lookup = Some(lookup.clone());
                    lookup
                }
                Err(error) => {
                    return Serving { state: ServingState::Unprepared, reason: Some(with_causes(&error)), ..serving };
                }
            },
        };
        let mut tables = Vec::new();
        for table in &self.pipeline.cassandra {
            match self.served(eyes, &lookup, table).await {
                Ok(served) => tables.push(served),
                Err(reason) => return Serving { state: ServingState::Lost, reason: Some(reason), ..serving },
            }
        }
        Serving { tables, ..serving }
    }

    async fn served(
        &self,
        eyes: &mut overview::Onlooker,
        lookup: &FreshnessLookup,
        table: &CassandraTable,
    ) -> Result<ServedTable, String> {
        let deadline = tokio::time::Instant::now() + ASK;
        let fresh = lookup.read(&table.name, deadline).await.map_err(|error| with_causes(&error))?;
        let position = fresh.as_ref().map(|fresh| TableVersion(fresh.version));
        // A lake that cannot be read is told elsewhere.
        let reads = eyes.reading(&table.from, position).await.unwrap_or_else(|_| model::operations::Reading {
            from: table.from.to_string(),
            position: position.map(|position| position.0),
            version: None,
            behind: None,
        });
        Ok(ServedTable {
            name: table.name.clone(),
            reads,
            written_at: fresh.as_ref().and_then(|fresh| DateTime::from_timestamp_millis(fresh.updated_at)),
            newest_event: fresh.and_then(|fresh| fresh.newest_event).and_then(DateTime::from_timestamp_millis),
        })
    }

    async fn read_rejects(&self) -> Result<Arc<Rejects>, Unanswered> {
        // The rest wait for the one that reads.
        let mut known = self.rejects.lock().await;
        let version = self.overview().quarantine.as_ref().and_then(|table| table.version);
        if let Some(known) = known.as_ref().filter(|known| known.version == version) {
            return Ok(Arc::clone(known));
        }
        let mut rejects =
            Rejects { schema: OPERATIONS_SCHEMA, pipeline: self.pipeline.name.clone(), version, records: 0, groups: Vec::new() };
        if version.is_some() {
            let table = quarantine::open(&self.lake).await.map_err(unanswered)?;
            let mut groups = rejects::groups(&table, &Filter::default()).await.map_err(unanswered)?;
            groups.sort_by_key(|group| std::cmp::Reverse(group.records));
            rejects.version = Some(table.version().0);
            rejects.records = groups.iter().map(|group| group.records).sum();
            rejects.groups = groups.into_iter().map(|group| self.told(group)).collect();
        }
        let rejects = Arc::new(rejects);
        *known = Some(Arc::clone(&rejects));
        Ok(rejects)
    }

    fn told(&self, group: Group) -> RejectGroup {
        let pipeline = &self.pipeline.name;
        let samples = group.examples.into_iter().map(|example| RejectSample {
            receipt: example.receipt,
            entry: example.entry,
            position: example.position,
            detail: example.detail,
            record: example.record,
        });
        RejectGroup {
            samples: samples.collect(),
            list: format!("sluice rejects {pipeline} --list --where \"{}\"", group.condition),
            replay: if group.is_stopped {
                format!("sluice run {pipeline}")
            } else {
                format!("sluice replay {pipeline} --dry-run --where \"{}\"", group.condition)
            },
            table: group.table,
            reason: group.reason,
            rule: group.rule,
            is_stopped: group.is_stopped,
            records: group.records,
            first: group.first,
            last: group.last,
        }
    }

    async fn make_plan(&self) -> Result<Arc<RunPlan>, Unanswered> {
        let mut known = self.plan.lock().await;
        if let Some((_, plan)) = known.as_ref().filter(|(made, _)| made.elapsed() < PLAN_AGAIN) {
            return Ok(Arc::clone(plan));
        }
        let (lake, shutdown) = (self.lake.clone(), Shutdown::default());
        let context = Context::new(Arc::clone(&self.pipeline), lake, Clock::Wall, self.slice, shutdown, Arc::new(Nobody));
        let (store, reason) = {
            let connection = self.connection();
            (connection.store.clone(), connection.reason.clone())
        };
        let reason = reason.unwrap_or_else(|| "it is not connected yet".to_owned());
        let serving = match &store {
            _ if self.pipeline.cassandra.is_empty() => plan::Serving::NotNeeded,
            Some(store) => plan::Serving::Read(store),
            None => plan::Serving::NotRead { settings: &self.settings, reason: &reason },
        };
        let sources = self.unknown_sources.as_deref().map_or(plan::Sources::Asked, plan::Sources::Unknown);
        let plan = Box::pin(plan::make(&context, serving, sources)).await.map_err(unanswered)?;
        let plan = Arc::new(plan);
        *known = Some((Instant::now(), Arc::clone(&plan)));
        Ok(plan)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Operations for Onlooker {
    fn overview(&self) -> Arc<Overview> {
        Arc::clone(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn runs(&self, limit: usize) -> BoxFuture<'_, Result<Vec<RunSummary>, Unanswered>> {
        let (runs, holder) = (Runs::of(&self.lake), self.overview().holder.clone());
        let read = tokio::task::spawn_blocking(move || {
            let records = runs.newest(limit).map_err(unanswered)?;
            Ok(records.into_iter().map(|record| settled(record, holder.as_ref()).summary()).collect())
        });
        read.map(|ended| ended.unwrap_or_else(|error| Err(unanswered(error)))).boxed()
    }

    fn run(&self, id: String) -> BoxFuture<'_, Result<Option<RunRecord>, Unanswered>> {
        let (runs, holder) = (Runs::of(&self.lake), self.overview().holder.clone());
        let read = tokio::task::spawn_blocking(move || Ok(runs.read(&id).map(|record| settled(record, holder.as_ref()))));
        read.map(|ended| ended.unwrap_or_else(|error| Err(unanswered(error)))).boxed()
    }

    fn rejects(&self) -> BoxFuture<'_, Result<Arc<Rejects>, Unanswered>> {
        self.read_rejects().boxed()
    }

    fn plan(&self) -> BoxFuture<'_, Result<Arc<RunPlan>, Unanswered>> {
        self.make_plan().boxed()
    }
}

fn unanswered(error: impl std::error::Error) -> Unanswered {
    Unanswered(with_causes(&error))
}

/// A run that says it goes on does so only while its process holds the lake.
fn settled(mut record: RunRecord, holder: Option<&HolderState>) -> RunRecord {
    let holds = holder.is_some_and(|holder| holder.process == record.process && holder.host == record.host);
    if record.state == RunState::Running && !holds {
        record.state = RunState::CutOff;
    }
    record
}

/// To 1, 2 or 5 of a power of ten, upwards: what is told to people need not change at each look.
fn rounded(milliseconds: f64) -> f64 {
    let mut step = 0.1;
    loop {
        for factor in [1.0, 2.0, 5.0] {
            if milliseconds <= step * factor {
                return step * factor;
            }
        }
        step *= 10.0;
    }
}

/// Before the first look.
fn nothing_yet(pipeline: &Pipeline, lake: &Lake, keyspace: &str) -> Overview {
    let table = |name: &String| TableState { name: name.clone(), ..TableState::default() };
    Overview {
        schema: OPERATIONS_SCHEMA,
        pipeline: pipeline.name.clone(),
        lake: LakeState { path: shown(lake.root().to_owned()), is_there: true, problem: None },
        health: Severity::Ok,
        findings: Vec::new(),
        holder: None,
        last_run: None,
        landings: Vec::new(),
        raw: pipeline.raw.iter().map(|one| table(&one.name)).collect(),
        quarantine: None,
        use_cases: pipeline.use_cases.iter().map(|one| table(&one.name)).collect(),
        serving: Serving {
            keyspace: Some(keyspace.to_owned()),
            state: ServingState::Waiting,
            reason: None,
            nodes: Vec::new(),
            milliseconds: None,
            tables: Vec::new(),
        },
    }
}

/// Whole, so that it says which folder it is wherever the server was started.
fn shown(lake: PathBuf) -> String {
    std::path::absolute(&lake).unwrap_or(lake).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_rounded_upwards_to_a_plain_number() {
        for (milliseconds, expected) in [(0.02, 0.1), (0.11, 0.2), (0.9, 1.0), (1.2, 2.0), (43.0, 50.0), (501.0, 1000.0)] {
            assert!((rounded(milliseconds) - expected).abs() < 1e-9, "{milliseconds}: {}", rounded(milliseconds));
        }
    }
}
