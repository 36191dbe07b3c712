//! The crash proof: the real program is killed at every step that leaves a trace, and at any time, runs again to its end, and
//! must have come to where it comes undisturbed.
//!
//! The scenario (tests/crash) is a pipeline in four generations: first files; files that changed, one that is empty, a snapshot
//! that is replaced; late rows and a snapshot in another order; a definition that takes what it set aside before, which is replayed.
//! After the first, another writer has every table's log
//! checkpointed at each third commit. All runs of a generation have the same clock, so that load times, write times and receipts
//! can be compared. A [`Trial`] takes a lake from nothing through all generations; in each, the program is killed as the trial says,
//! also while it gets over a kill, and then runs to its end. After each generation everything that is left is compared with what an
//! undisturbed program left ([`State`]: what is compared, and the little that is not); in the end one more run must find nothing to
//! do.
//!
//! SIGKILL ends a process, not a machine: what the kernel had taken is written. That files are synced before they are named is
//! not seen here.

pub mod program;
mod schedule;
mod source;
mod state;

pub use program::Kill;
pub use schedule::{Passes, Planned, Trial, every_pass, every_point, one_point, random};
pub use state::State;

use std::collections::{BTreeMap, BTreeSet, HashMap};
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
use source::Source;

/// Of sources and definition.
pub const GENERATIONS: usize = 4;
/// The sources do not change after this one.
const LAST_SOURCES: usize = 3;
const PIPELINE: &str = "crossing";
const CHECKPOINT_INTERVAL: &str = "3";
/// What the last generation changes in the definition: more is taken.
const TAKES_MORE: [(&str, &str); 2] =
    [("kind <> 'start' or who is not null", "kind is not null"), ("\"cancel\"]", "\"cancel\", \"pause\"]")];

/// What all trials share, and what an undisturbed program left.
pub struct Proof {
    source: Source,
    base: TempDir,
    program: PathBuf,
    cassandra: String,
    session: Session,
    undisturbed: Vec<State>,
    took: Vec<Duration>,
    passes: Passes,
}

/// Where a worker's trials take place, one after the other.
struct Place {
    lake: PathBuf,
    keyspace: String,
}

/// What came of one trial.
#[derive(Debug, Default)]
pub struct Outcomes {
    pub runs: usize,
    pub kills: usize,
    /// The points at which the program died.
    pub met: BTreeSet<String>,
    /// What was left otherwise than undisturbed, or how a start failed. Empty: nothing.
    pub differences: Vec<String>,
}

/// What came of many trials.
#[derive(Debug, Default)]
pub struct Summary {
    pub trials: usize,
    pub total: Outcomes,
    /// The trials that ended otherwise, by their number, with the trial.
    pub failed: Vec<(usize, String, Vec<String>)>,
    /// Lines of state that were compared with undisturbed ones.
    pub compared: usize,
}

impl Proof {
    /// Starts the source, and takes an undisturbed `program` through all generations.
    pub async fn new(program: PathBuf) -> Self {
        let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("crash");
        let mut proof = Self {
            source: Source::start(&scenario.join("files")).await,
            base: TempDir::with_prefix("sluice crash ").expect("a temporary folder can be made"),
            program,
            cassandra: cassandra_node::hosts().await.to_string(),
            session: kit::plain_session().await,
            undisturbed: Vec::new(),
            took: Vec::new(),
            passes: Passes::default(),
        };
        proof.write_definitions(&scenario.join(PIPELINE));
        let place = proof.place("undisturbed");
        for generation in 0..GENERATIONS {
            let log = proof.base.path().join(format!("passes-{generation}"));
            let started = Instant::now();
            let start = proof.start(&place, generation, Some(log.clone()));
            for command in commands(generation) {
                let ended = start.run(command, &Kill::Never).await;
                assert!(matches!(ended, Ended::Done(_)), "undisturbed, generation {}: {ended:?}", generation + 1);
            }
            proof.took.push(started.elapsed());
            for point in std::fs::read_to_string(log).expect("the program lists what it passes").lines() {
                *proof.passes[generation].entry(point.to_owned()).or_default() += 1;
            }
            let state = proof.state(&place).await;
            proof.undisturbed.push(state);
            proof.between(&place, generation).await;
        }
        dismiss(place);
        proof
    }

    pub fn passes(&self) -> &Passes {
        &self.passes
    }

    /// What an undisturbed program left, a state a generation.
    pub fn undisturbed(&self) -> &[State] {
        &self.undisturbed
    }

    /// Runs trials, `workers` at a time. `told` is called after each one, with its number and what came of it.
    pub async fn run(&self, trials: &[Trial], workers: usize, told: &(dyn Fn(usize, &Outcomes) + Sync)) -> Summary {
        let next = AtomicUsize::new(0);
        let summary = Mutex::new(Summary::default());
        let work = async |worker: usize| {
            let place = self.place(&format!("worker-{worker}"));
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(trial) = trials.get(number) else { break };
                let outcomes = self.trial(&place, trial).await;
                told(number, &outcomes);
                summary.lock().expect("nobody panics while holding it").add(number, trial, outcomes);
            }
            dismiss(place);
        };
        join_all((0..workers).map(work)).await;
        let mut summary = summary.into_inner().expect("nobody panics while holding it");
        summary.compared = summary.trials * self.undisturbed.iter().map(State::lines).sum::<usize>();
        summary
    }

    async fn trial(&self, place: &Place, trial: &Trial) -> Outcomes {
        let mut outcomes = Outcomes::default();
        self.clear(place, trial.wants_a_new_keyspace()).await;
        for generation in 0..GENERATIONS {
            let kills = trial.kills[generation].iter().map(|planned| self.kill(planned, generation));
            let start = self.start(place, generation, None);
            // The command that was killed is given again, and those after it.
            let mut left = commands(generation);
            for kill in kills.chain([Kill::Never]) {
                if let Err(said) = go_on(&start, &mut left, &kill, &mut outcomes).await {
                    outcomes.differences.push(format!("generation {}, killed {kill}: {said}", generation + 1));
                    return outcomes;
                }
            }
            let differences = self.undisturbed[generation].differences(&self.state(place).await);
            if !differences.is_empty() {
                let shown = |difference| format!("generation {}: {difference}", generation + 1);
                outcomes.differences = differences.into_iter().map(shown).collect();
                return outcomes;
            }
            self.between(place, generation).await;
        }
        outcomes.runs += 1;
        match self.start(place, GENERATIONS - 1, None).run(&RUN, &Kill::Never).await {
            Ended::Done(Some(report)) => outcomes.differences = work_left(&report),
            other => outcomes.differences.push(format!("one more run: {other:?}")),
        }
        outcomes
    }

    fn kill(&self, planned: &Planned, generation: usize) -> Kill {
        match planned {
            Planned::At { point, pass } => Kill::At(point.clone(), *pass),
            Planned::After { thousandths } => Kill::After(self.took[generation] * *thousandths / 1000),
        }
    }

    fn start<'s>(&'s self, place: &'s Place, generation: usize, log: Option<PathBuf>) -> Start<'s> {
        Start {
            program: &self.program,
            pipelines: self.base.path().join(format!("definitions-{generation}")),
            source_url: &self.source.url,
            cassandra: &self.cassandra,
            lake: &place.lake,
            keyspace: &place.keyspace,
            generation: (generation + 1).min(LAST_SOURCES),
            clock: format!("2024-03-{}T12:00:00Z", 20 + generation),
            log,
        }
    }

    /// The definition of each generation, below the folder of the proof.
    fn write_definitions(&self, scenario: &Path) {
        for generation in 0..GENERATIONS {
            let folder = self.base.path().join(format!("definitions-{generation}")).join(PIPELINE);
            std::fs::create_dir_all(&folder).expect("a folder can be made");
            for file in std::fs::read_dir(scenario).expect("the scenario has a definition").flatten() {
                let mut text = std::fs::read_to_string(file.path()).expect("a definition is text");
                if generation + 1 == GENERATIONS && file.file_name() == "pipeline.toml" {
                    for (from, to) in TAKES_MORE {
                        assert!(text.contains(from), "`{from}` is not in the definition");
                        text = text.replace(from, to);
                    }
                }
                std::fs::write(folder.join(file.file_name()), text).expect("a definition can be written");
            }
        }
    }

    async fn state(&self, place: &Place) -> State {
        State::read(&place.lake, PIPELINE, &self.session, &place.keyspace).await
    }

    /// What happens to the lake after a generation: another writer sets how often logs are checkpointed.
    async fn between(&self, place: &Place, generation: usize) {
        if generation > 0 {
            return;
        }
        for (name, folder) in state::tables(&place.lake, PIPELINE) {
            let url = url::Url::from_directory_path(&folder).expect("a temporary folder is absolute");
            let table = deltalake::open_table(url).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            let properties = HashMap::from([("delta.checkpointInterval".to_owned(), CHECKPOINT_INTERVAL.to_owned())]);
            let set = table.set_tbl_properties().with_properties(properties).await;
            set.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    fn place(&self, name: &str) -> Place {
        Place { lake: self.base.path().join(name).join("lake"), keyspace: kit::new_keyspace() }
    }

    /// An empty lake, and tables without rows: the same as new ones, and much quicker to be had.
    async fn clear(&self, place: &Place, wants_a_new_keyspace: bool) {
        match std::fs::remove_dir_all(&place.lake) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{}: {error}", place.lake.display()),
            _ => {}
        }
        let statements = if wants_a_new_keyspace {
            vec![format!("DROP KEYSPACE IF EXISTS {}", place.keyspace)]
        } else {
            let tables = state::cassandra_tables(&self.session, &place.keyspace).await;
            tables.iter().map(|table| format!("TRUNCATE {}.{table}", place.keyspace)).collect()
        };
        for statement in statements {
            let done = self.session.query_unpaged(statement.as_str(), ()).await;
            done.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }
}

fn dismiss(place: Place) {
    kit::drop_keyspaces(vec![place.keyspace]);
}

const RUN: [&str; 4] = ["run", PIPELINE, "--output", "json"];
const REPLAY: [&str; 4] = ["replay", PIPELINE, "--output", "json"];

/// What is done in a generation, one after the other.
fn commands(generation: usize) -> &'static [&'static [&'static str]] {
    if generation + 1 == GENERATIONS { &[&REPLAY, &RUN] } else { &[&RUN] }
}

/// Runs the commands that are left until one is killed or all are done.
async fn go_on(
    start: &Start<'_>,
    left: &mut &'static [&'static [&'static str]],
    kill: &Kill,
    outcomes: &mut Outcomes,
) -> Result<(), String> {
    let started = Instant::now();
    while let [command, others @ ..] = left {
        let now = match kill {
            Kill::After(delay) => Kill::After(delay.saturating_sub(started.elapsed())),
            other => other.clone(),
        };
        outcomes.runs += 1;
        match start.run(command, &now).await {
            Ended::Done(_) if others.is_empty() => return Ok(()),
            Ended::Done(_) => *left = others,
            Ended::Failed(said) => return Err(said),
            Ended::Killed => {
                outcomes.kills += 1;
                if let Kill::At(point, _) = kill {
                    outcomes.met.insert(point.clone());
                }
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Stages that did something.
fn work_left(report: &RunReport) -> Vec<String> {
    let busy = report.stages.iter().filter(|stage| stage.outcome != Outcome::UpToDate || stage.commits > 0);
    busy.map(|stage| format!("one more run had something to do: {stage:?}")).collect()
}

impl Summary {
    fn add(&mut self, number: usize, trial: &Trial, outcomes: Outcomes) {
        self.trials += 1;
        self.total.runs += outcomes.runs;
        self.total.kills += outcomes.kills;
        self.total.met.extend(outcomes.met);
        if !outcomes.differences.is_empty() {
            self.failed.push((number, trial.to_string(), outcomes.differences));
        }
    }

    /// Adds what came of further trials.
    pub fn extend(&mut self, other: Self) {
        self.trials += other.trials;
        self.compared += other.compared;
        self.total.runs += other.total.runs;
        self.total.kills += other.total.kills;
        self.total.met.extend(other.total.met);
        self.failed.extend(other.failed);
    }

    /// The points of the scenario at which no trial died.
    pub fn not_met<'p>(&self, passes: &'p Passes) -> BTreeSet<&'p String> {
        passes.iter().flat_map(BTreeMap::keys).filter(|point| !self.total.met.contains(*point)).collect()
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { trials, total, failed, compared } = self;
        let differences: usize = failed.iter().map(|(_, _, differences)| differences.len()).sum();
        write!(
            f,
            "{trials} trials, {} runs, {} kills at {} points and at random times, {compared} lines compared, differences: {differences}",
            total.runs,
            total.kills,
            total.met.len(),
        )?;
        for (number, trial, differences) in failed {
            write!(f, "\ntrial {number} {trial}")?;
            for difference in differences.iter().take(20) {
                write!(f, "\n  {difference}")?;
            }
        }
        Ok(())
    }
}
