//! `sluice serve`: the endpoints of a pipeline as a REST API.
//!
//! It starts whether Cassandra is there or not, says on `/readyz` what it waits for, and answers 503 meanwhile. At the first signal it
//! ends in order: not ready any more, nothing new accepted, what is in flight answered. At the second it ends at once.

mod onlooker;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use api::health::Part;
use api::keys::{Keys, Rate};
use api::server::tls::TlsFiles;
use api::server::{Admission, Origin, Server, Settings, Threads};
use api::{Operations, Service};
use cassandra::Store;
use clap::Args;
use model::failure::{Classify as _, Failure, with_causes};
use tokio::signal::unix::{SignalKind, signal};
use zones::lake::Lake;

use self::onlooker::Onlooker;
use super::keys::DEFAULT_FILE;
use super::{fail, node, say};
use crate::checking::check;
use crate::error::{Boxed, Error};
use crate::settings::{CassandraArgs, LogFormat, debug_keyspace, debug_lake};
use crate::{folder, logs};

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The pipeline: a folder with a pipeline.toml, or its name below the pipelines folder
    pipeline: String,

    /// Folder in which pipelines are looked for by name
    #[arg(long, env = "SLUICE_PIPELINES", default_value = "pipelines", value_name = "FOLDER")]
    pipelines: PathBuf,

    /// Folder of the lake, which the pages about the pipeline look at; what it serves is read from Cassandra alone
    #[arg(long, env = "LAKE_URI", default_value = "./lake", value_name = "FOLDER")]
    lake: PathBuf,

    /// With a slice, the keyspace and the lake of debug runs are served
    #[arg(long, env = "ETL_DEBUG", default_value = "", hide_default_value = true, value_name = "SLICE")]
    debug: String,

    /// Where to listen
    #[arg(long, env = "API_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,

    /// Where metrics are, at /metrics, and /livez and /readyz without TLS; `none` for nowhere
    #[arg(long, env = "API_METRICS_LISTEN", default_value = "127.0.0.1:9464", value_name = "ADDRESS:PORT")]
    metrics_listen: Metrics,

    /// Answer programs alone: without the dashboard at / and the page at /docs
    #[arg(long, env = "API_ONLY", value_parser = clap::builder::FalseyValueParser::new())]
    api_only: bool,

    #[command(flatten)]
    who: WhoArgs,

    #[command(flatten)]
    limits: LimitArgs,

    #[command(flatten)]
    cassandra: CassandraArgs,

    /// Logs on stderr as text or JSON lines
    #[arg(long, env = "SLUICE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,

    /// Which logs: error, warn, info (each request), debug, or a filter such as `api=info`
    #[arg(long, env = "SLUICE_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Who may")]
struct WhoArgs {
    /// File of the keys that `sluice keys` makes; changes are seen within two seconds
    #[arg(long, env = "API_KEYS", default_value = DEFAULT_FILE, value_name = "FILE")]
    keys: PathBuf,

    /// Answer everybody, without keys; also on an address that others can reach
    #[arg(long)]
    allow_anonymous: bool,

    /// Certificate with those that signed it (PEM); turns TLS on
    #[arg(long, env = "API_TLS_CERT", requires = "tls_key", value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// Key of that certificate (PEM)
    #[arg(long, env = "API_TLS_KEY", requires = "tls_cert", value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// An origin whose pages may call; may be repeated [default: none]
    #[arg(long = "cors-origin", env = "API_CORS_ORIGINS", value_delimiter = ',', value_name = "ORIGIN")]
    origins: Vec<Origin>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// Requests of a key that states no rate: `50 per second`, `30 per minute`
    #[arg(long, env = "API_RATE", default_value = "100 per second", value_name = "RATE")]
    rate: Rate,

    /// Requests of all keys together [default: no limit but load]
    #[arg(long, env = "API_TOTAL_RATE", value_name = "RATE")]
    total_rate: Option<Rate>,

    /// Wrong keys from one address before it is told to wait [default: 20 at once, then 1 per second]
    #[arg(long, value_name = "RATE")]
    wrong_keys: Option<Rate>,

    /// Requests that are worked on at a time; more are answered 503
    #[arg(long, env = "API_IN_FLIGHT", default_value_t = 512, value_name = "REQUESTS")]
    in_flight: usize,

    /// Connections at a time; more are closed
    #[arg(long, env = "API_CONNECTIONS", default_value_t = 4096, value_name = "CONNECTIONS")]
    connections: usize,

    /// Within which an answer must be there
    #[arg(long, env = "API_DEADLINE", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..), value_name = "SECONDS")]
    deadline: u64,

    /// From the first signal until nothing is accepted any more: a few rounds of whoever asks /readyz
    #[arg(long, env = "API_LAG", default_value_t = 0, value_name = "SECONDS")]
    lag: u64,

    /// From then on until what is still in flight is cut
    #[arg(long, env = "API_DRAIN", default_value_t = 20, value_name = "SECONDS")]
    drain: u64,
}

/// An address, or none.
#[derive(Debug, Clone, Copy)]
struct Metrics(Option<SocketAddr>);

impl std::str::FromStr for Metrics {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        text.parse().map(|address| Self(Some(address))).map_err(|_| "write ADDRESS:PORT, or none".to_owned())
    }
}

pub async fn run(args: ServeArgs) -> ExitCode {
    match Box::pin(served(args)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

async fn served(args: ServeArgs) -> Result<(), Error> {
    logs::start_as(&args.log, args.log_format);
    let folder = folder::find(&args.pipeline, &args.pipelines)?;
    let unset = Mutex::new(BTreeSet::new());
    let variable = |name: &str| {
        std::env::var(name).ok().or_else(|| {
            unset.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
            Some(NO_SOURCE.to_owned())
        })
    };
    let reading = folder::read_all(&folder, &variable)?;
    let checked = check(&reading).await.into_result(&reading.places)?;
    let pipeline = reading.pipeline;
    let keyspace = args.cassandra.cassandra_keyspace.as_deref().unwrap_or(&pipeline.name);
    let keyspace = debug_keyspace(keyspace, &args.debug)?;
    let cassandra = args.cassandra.settings(keyspace, node::recorded())?;

    let settings = settings(&args)?;
    let admission = settings.admission.clone();
    let has_keys = match &admission {
        Admission::Keys(keys) => !keys.are_none(),
        Admission::Anonymous(_) => true,
    };
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let server = Server::bind(settings).await.map_err(|error| api_error("start the API", error))?;
    let address = server.address().map_err(|error| api_error("start the API", error))?;
    let deadline = Duration::from_secs(args.limits.deadline);
    let has_endpoints = !checked.endpoints.is_empty();
    let service = Service::new(&pipeline.name, checked.endpoints, pipeline.clock, admission, deadline);
    let pipeline = Arc::new(pipeline);
    let lake = Lake::new(debug_lake(&args.lake, &args.debug)?, &pipeline.name);
    let unset = unset.into_inner().unwrap_or_else(PoisonError::into_inner);
    let onlooker = Arc::new(Onlooker::new(Arc::clone(&pipeline), lake, &args.debug, cassandra.clone(), &unset)?);
    let service = service.with_pages(pipeline.pages.clone()).with_operations(Arc::clone(&onlooker) as Arc<dyn Operations>);
    let service = Arc::new(service);
    let readiness = server.readiness();
    let parts = Parts { cassandra: readiness.part("cassandra"), statements: readiness.part("statements") };
    let connecting = if pipeline.cassandra.is_empty() {
        parts.cassandra.ok();
        parts.statements.ok();
        tokio::spawn(std::future::ready(()))
    } else {
        let threads = server.threads();
        let keeping =
            keep_connected(Arc::clone(&service), cassandra, threads, parts, pipeline.name.clone(), Arc::clone(&onlooker));
        tokio::spawn(keeping)
    };
    let looking = tokio::spawn(async move { onlooker.look_on().await });
    let pages = if args.api_only { "what there is, is at /openapi.json" } else { "the dashboard is at /, the API at /docs" };
    say(&format!("{} is served at {scheme}://{address}; {pages}", pipeline.name));
    if let Some(address) = server.metrics_address().map_err(|error| api_error("start the API", error))? {
        say(&format!("metrics are at http://{address}/metrics"));
    }
    if !has_endpoints {
        say("it has no endpoints, so only how the pipeline is is shown: add [endpoint.NAME]; docs/api.md says how");
    }
    if !has_keys {
        say(&format!(
            "there is no key yet, so nobody is answered: `sluice keys make --name NAME --keys {}` makes one",
            args.who.keys.display()
        ));
    }
    let app = service.app(!args.api_only);
    let ended = server.run(app, stopped()).await;
    connecting.abort();
    looking.abort();
    ended.map_err(|error| api_error("serve", error))
}

fn api_error(step: &str, error: impl model::failure::Classify + Send + Sync + 'static) -> Error {
    Error::Cassandra { step: step.to_owned(), source: Boxed::new(error) }
}

fn settings(args: &ServeArgs) -> Result<Settings, Error> {
    let who = &args.who;
    let limits = &args.limits;
    let admission =
        if who.allow_anonymous { Admission::anonymous() } else { Keys::open(&who.keys, Some(limits.rate)).map(Admission::Keys) };
    let admission = admission.map_err(|error| api_error("read the API keys", error))?;
    let tls = who.tls_cert.clone().zip(who.tls_key.clone()).map(|(certificate, key)| TlsFiles { certificate, key });
    let usual = Settings::new(args.listen, admission);
    Ok(Settings {
        tls,
        metrics_address: args.metrics_listen.0,
        total_rate: limits.total_rate,
        failure_rate: limits.wrong_keys.unwrap_or(usual.failure_rate),
        in_flight: limits.in_flight,
        connections: limits.connections,
        // The answer says itself that it took too long; this is for what does not come to that.
        request_time: Duration::from_secs(limits.deadline + 1),
        origins: who.origins.iter().cloned().map(Into::into).collect(),
        lag: Duration::from_secs(limits.lag),
        drain: Duration::from_secs(limits.drain),
        ..usual
    })
}

/// Waits for the first signal; from then on the second ends the process.
async fn stopped() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
        return std::future::pending().await;
    };
    let mut next = async move || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    next().await;
    say("ending: what is in flight is answered; once more to end at once");
    tokio::spawn(async move {
        next().await;
        std::process::exit(crate::signals::ENDED_BY_SIGNAL);
    });
}

/// Stands for a variable that is not set: only sources have any, and nothing is fetched here.
const NO_SOURCE: &str = "http://unset.invalid";

/// What the server tells on `/readyz`.
struct Parts {
    cassandra: Part,
    statements: Part,
}

/// How long one try to connect may take before `/readyz` says what it failed with.
const ONE_TRY: Duration = Duration::from_secs(15);
/// Between two tries, and between two looks whether Cassandra answers.
const PAUSE: Duration = Duration::from_secs(2);

/// Connects, prepares what is asked, and from then on looks whether Cassandra answers; prepares again where a table is gone or
/// another. Never gives up: what has to be put right is said, and may be put right while this runs.
async fn keep_connected(
    service: Arc<Service>,
    settings: cassandra::Settings,
    threads: Threads,
    parts: Parts,
    pipeline: String,
    onlooker: Arc<Onlooker>,
) {
    let mut told = Told { waits_for: Some("its start".to_owned()) };
    let connect = || {
        let settings = settings.clone();
        async move { Store::connect(&settings, ONE_TRY, |_| {}).await }
    };
    let stores = loop {
        match threads.on_each(connect).await.into_iter().collect::<Result<Vec<_>, _>>() {
            Ok(stores) => break stores,
            Err(error) => {
                onlooker.disconnected(&with_causes(&error));
                told.down(&parts.cassandra, shown(error.failure()), with_causes(&error));
            }
        }
        tokio::time::sleep(PAUSE).await;
    };
    parts.cassandra.ok();
    onlooker.connected(&stores[0]);
    let (mut is_prepared, mut answers) = (false, true);
    loop {
        if answers && (!is_prepared || service.is_misfit()) {
            let prepared = service.connect(&stores).await;
            is_prepared = prepared.is_ok();
            match prepared {
                Ok(()) => {
                    parts.cassandra.ok();
                    parts.statements.ok();
                }
                Err(error) if error.failure() == Failure::Transient => {
                    onlooker.disconnected(&with_causes(&error));
                    told.down(&parts.cassandra, NO_ANSWER, with_causes(&error));
                }
                Err(error) => {
                    parts.cassandra.ok();
                    onlooker.unprepared(&with_causes(&error));
                    let reason = format!("{}; `sluice create-tables {pipeline}` makes what is missing", with_causes(&error));
                    told.down(&parts.statements, NO_TABLES, reason);
                }
            }
        }
        if answers && is_prepared {
            onlooker.connected(&stores[0]);
            told.ready();
        }
        tokio::time::sleep(PAUSE).await;
        let asked = Instant::now();
        match service.probe().await {
            None => {}
            Some(Ok(())) => {
                answers = true;
                parts.cassandra.ok();
                onlooker.answered(asked.elapsed());
            }
            // It is there; what is missing shows when statements are prepared.
            Some(Err(error)) if error.is_misfit() => answers = true,
            Some(Err(error)) => {
                answers = false;
                onlooker.disconnected(&with_causes(&error));
                told.down(&parts.cassandra, shown(error.failure()), with_causes(&error));
            }
        }
    }
}

/// What the log was told last, so that it is told each change once.
struct Told {
    /// `None` while it is ready.
    waits_for: Option<String>,
}

impl Told {
    /// `/readyz` is read without a key: it says what is wrong, and the log where.
    fn down(&mut self, part: &Part, shown: &'static str, reason: String) {
        if self.waits_for.as_ref() != Some(&reason) {
            tracing::warn!(%reason, "not ready");
            self.waits_for = Some(reason);
        }
        part.down(shown);
    }

    fn ready(&mut self) {
        if self.waits_for.take().is_some() {
            tracing::info!("ready");
        }
    }
}

const NO_ANSWER: &str = "Cassandra does not answer";
const NOT_AS_SET_UP: &str = "Cassandra does not take the connection as it is set up; the log says why";
const NO_TABLES: &str = "tables of the endpoints are missing in Cassandra, or are not as they are declared; the log names them";

/// What passes by itself needs nobody.
fn shown(failure: Failure) -> &'static str {
    match failure {
        Failure::Transient => NO_ANSWER,
        _ => NOT_AS_SET_UP,
    }
}
