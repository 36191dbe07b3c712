//! The crash proof: the real program is killed at every step that leaves a trace, and at any time, runs again to its end, and
//! must have come to where it comes undisturbed.
//!
//! The scenario ([`scenario`], with the pipeline in tests/crash) is a list of starts: runs on new, changed and late files, a replay,
//! tables that go back, are computed anew, filled anew, put right, discarded, maintained, and a look at everything; between them
//! others do harm. All starts for one step have the same clock, so that load times, write times and receipts can be compared.
//! A [`Trial`] takes a lake from nothing through the steps; in each, the program is killed as the trial says, also while it gets
//! over a kill, and is then given the same command again until it ends. Where the scenario says so, everything that is left is
//! compared with what an undisturbed program left ([`State`]: what is compared, and the little that is not); behind the last
//! kill one more run must find nothing to do. Every step of [`model::crash::STEPS`] is passed by the scenario: a point that no
//! trial can reach fails the proof before it begins.
//!
//! SIGKILL ends a process, not a machine: what the kernel had taken is written. That files are synced before they are named is
//! not seen here.

mod before;
mod log;
pub mod program;
pub mod scenario;
mod schedule;
mod source;
mod state;
mod summary;

pub use program::Kill;
pub use schedule::{Passes, Planned, Trial, each_alone, every_pass, every_point, random};
pub use state::State;
pub use summary::{Outcomes, Summary};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use model::report::{Outcome, RunReport};
use scylla::client::session::Session;
use tempfile::TempDir;

use crate::cassandra_node;
use crate::kit;
use program::{Ended, Start};
use scenario::{ALL_CHANGES, ANOTHER_SHAPE, CHANGES, Look, STEPS, Step, WITHOUT_HISTORY, place_of};
use source::Source;
use state::Places;

const PIPELINE: &str = "crossing";
/// A Cassandra that does not answer the driver of the proof for so long is down.
const PATIENCE: Duration = Duration::from_mins(5);

/// What all trials share, and what an undisturbed program left.
pub struct Proof {
    source: Source,
    base: TempDir,
    program: PathBuf,
    cassandra: String,
    session: Session,
    /// By step, where it is looked at.
    undisturbed: BTreeMap<usize, State>,
    took: Vec<Duration>,
    passes: Passes,
}

/// Where a worker's trials take place, one after the other.
struct Place {
    lake: PathBuf,
    archive: PathBuf,
    keyspace: String,
    /// Whether a table of Cassandra has another shape than in the beginning.
    is_reshaped: bool,
}

impl Proof {
    /// Starts the source, and takes an undisturbed `program` through all steps.
    pub async fn new(program: PathBuf) -> Self {
        let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("crash");
        let mut proof = Self {
            source: Source::start(&scenario.join("files")).await,
            base: TempDir::with_prefix("sluice crash ").expect("a temporary folder can be made"),
            program,
            cassandra: cassandra_node::hosts().await.to_string(),
            session: kit::plain_session().await,
            undisturbed: BTreeMap::new(),
            took: Vec::new(),
            passes: Passes::new(),
        };
        proof.write_definitions(&scenario.join(PIPELINE));
        let place = proof.place("undisturbed");
        for (number, step) in STEPS.iter().enumerate() {
            proof.before(&place, step).await;
            let log = proof.base.path().join(format!("passes-{number}"));
            let started = Instant::now();
            let ended = proof.start(&place, step, Some(log.clone())).run(&Self::arguments(&place, step), &Kill::Never).await;
            assert!(matches!(ended, Ended::Done(_)), "undisturbed, {}: {ended:?}", step.name);
            proof.took.push(started.elapsed());
            let mut passes = BTreeMap::new();
            for point in std::fs::read_to_string(log).expect("the program lists what it passes").lines() {
                *passes.entry(point.to_owned()).or_default() += 1;
            }
            proof.passes.push(passes);
            if step.look != Look::No {
                let state = proof.state(&place, step.look).await;
                proof.undisturbed.insert(number, state);
            }
        }
        dismiss(place);
        let unreached = schedule::unreached(&proof.passes);
        assert!(unreached.is_empty(), "no trial can reach {unreached:?}");
        proof
    }

    pub fn passes(&self) -> &Passes {
        &self.passes
    }

    /// How long a step takes undisturbed.
    pub fn took(&self, step: usize) -> Duration {
        self.took[step]
    }

    /// What an undisturbed program left, by step.
    pub fn undisturbed(&self) -> &BTreeMap<usize, State> {
        &self.undisturbed
    }

    /// Runs trials, `workers` at a time. `told` is called after each one, with its number and what came of it.
    pub async fn run(&self, trials: &[Trial], workers: usize, told: &(dyn Fn(usize, &Outcomes) + Sync)) -> Summary {
        let next = AtomicUsize::new(0);
        let summary = Mutex::new(Summary::default());
        let work = async |worker: usize| {
            let mut place = self.place(&format!("worker-{worker}"));
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(trial) = trials.get(number) else { break };
                let outcomes = self.trial(&mut place, trial).await;
                told(number, &outcomes);
                summary.lock().expect("nobody panics while holding it").add(number, trial, outcomes);
            }
            dismiss(place);
        };
        join_all((0..workers).map(work)).await;
        summary.into_inner().expect("nobody panics while holding it")
    }

    async fn trial(&self, place: &mut Place, trial: &Trial) -> Outcomes {
        let mut outcomes = Outcomes::default();
        self.clear(place, trial.wants_a_new_keyspace()).await;
        let last = trial.last().max(place_of(WITHOUT_HISTORY));
        for (number, step) in STEPS.iter().enumerate() {
            place.is_reshaped |= step.name == ANOTHER_SHAPE;
            self.before(place, step).await;
            let start = self.start(place, step, None);
            let arguments = Self::arguments(place, step);
            let kills = trial.kills[number].iter().map(|planned| self.kill(planned, number));
            for kill in kills.chain([Kill::Never]) {
                outcomes.runs += 1;
                match start.run(&arguments, &kill).await {
                    // It was through before its time.
                    Ended::Done(_) => break,
                    Ended::Killed => outcomes.killed(&kill),
                    Ended::Failed(said) => {
                        outcomes.differences.push(format!("{}, killed {kill}: {said}", step.name));
                        return outcomes;
                    }
                }
            }
            if let Some(undisturbed) = self.undisturbed.get(&number) {
                let differences = undisturbed.differences(&self.state(place, step.look).await);
                outcomes.compared += undisturbed.lines();
                if !differences.is_empty() {
                    let shown = |difference| format!("{}: {difference}", step.name);
                    outcomes.differences = differences.into_iter().map(shown).collect();
                    return outcomes;
                }
            }
            let is_end = number + 1 == STEPS.len() || (step.is_run() && number >= last);
            if is_end {
                outcomes.runs += 1;
                match start.run(&strings(scenario::one_more()), &Kill::Never).await {
                    Ended::Done(Some(report)) => outcomes.differences = work_left(&report),
                    other => outcomes.differences.push(format!("one more run: {other:?}")),
                }
                break;
            }
        }
        outcomes
    }

    fn kill(&self, planned: &Planned, step: usize) -> Kill {
        match planned {
            Planned::At { point, pass } => Kill::At(point.clone(), *pass),
            Planned::After { thousandths } => Kill::After(self.took[step] * *thousandths / 1000),
        }
    }

    fn start<'s>(&'s self, place: &'s Place, step: &Step, log: Option<PathBuf>) -> Start<'s> {
        Start {
            program: &self.program,
            pipelines: self.base.path().join(format!("definitions-{}", step.changes)),
            source_url: &self.source.url,
            cassandra: &self.cassandra,
            lake: &place.lake,
            archive: &place.archive,
            keyspace: &place.keyspace,
            sources: step.sources,
            old_versions: step.old_versions,
            clock: step.clock,
            log,
        }
    }

    /// The arguments of a step: `{version after N}` is the version that the table named before had after the step of that number.
    fn arguments(place: &Place, step: &Step) -> Vec<String> {
        let mut arguments = strings(step.arguments);
        for at in 0..arguments.len() {
            let number =
                arguments[at].strip_prefix("{version after ").and_then(|rest| rest.trim_end_matches('}').parse::<usize>().ok());
            if let Some(number) = number {
                let table = place.lake.join(arguments[2].replacen('.', &format!("/{PIPELINE}/"), 1));
                let version = log::Log::read(&table, &log::Numbers::new()).version_at(STEPS[number - 1].micros());
                arguments[at] = version.expect("the table was there then").to_string();
            }
        }
        arguments
    }

    /// The definition after each of its changes, below the folder of the proof.
    fn write_definitions(&self, scenario: &Path) {
        for changes in 0..=ALL_CHANGES {
            let folder = self.base.path().join(format!("definitions-{changes}")).join(PIPELINE);
            std::fs::create_dir_all(&folder).expect("a folder can be made");
            for file in std::fs::read_dir(scenario).expect("the scenario has a definition").flatten() {
                let mut text = std::fs::read_to_string(file.path()).expect("a definition is text");
                for (number, name, from, to) in CHANGES {
                    if number <= changes && file.file_name() == name {
                        assert!(text.contains(from), "`{from}` is not in {name}");
                        text = text.replace(from, to);
                    }
                }
                std::fs::write(folder.join(file.file_name()), text).expect("a definition can be written");
            }
        }
    }

    async fn state(&self, place: &Place, look: Look) -> State {
        let Place { lake, archive, keyspace, .. } = place;
        State::read(&Places { lake, archive, pipeline: PIPELINE, session: &self.session, keyspace }, look).await
    }

    fn place(&self, name: &str) -> Place {
        let folder = self.base.path().join(name);
        Place { lake: folder.join("lake"), archive: folder.join("archive"), keyspace: kit::new_keyspace(), is_reshaped: false }
    }

    /// An empty lake, and tables without rows: the same as new ones, and much quicker to be had.
    async fn clear(&self, place: &mut Place, wants_a_new_keyspace: bool) {
        for folder in [&place.lake, &place.archive] {
            match std::fs::remove_dir_all(folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{}: {error}", folder.display()),
                _ => {}
            }
        }
        let statements = if wants_a_new_keyspace || std::mem::take(&mut place.is_reshaped) {
            place.is_reshaped = false;
            vec![format!("DROP KEYSPACE IF EXISTS {}", place.keyspace)]
        } else {
            let tables = state::cassandra_tables(&self.session, &place.keyspace).await;
            tables.iter().map(|table| format!("TRUNCATE {}.{table}", place.keyspace)).collect()
        };
        for statement in statements {
            self.cql(&statement).await;
        }
    }

    /// A statement that may be given twice: a node that is busy answers too late at times.
    async fn cql(&self, statement: &str) {
        let begun = Instant::now();
        while let Err(error) = self.session.query_unpaged(statement, ()).await {
            assert!(begun.elapsed() < PATIENCE, "{statement}: {error}");
        }
    }
}

fn dismiss(place: Place) {
    kit::drop_keyspaces(vec![place.keyspace]);
}

fn strings(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|argument| (*argument).to_owned()).collect()
}

/// Stages that did something.
fn work_left(report: &RunReport) -> Vec<String> {
    let busy = report.stages.iter().filter(|stage| stage.outcome != Outcome::UpToDate || stage.commits > 0);
    busy.map(|stage| format!("one more run had something to do: {stage:?}")).collect()
}
