//! Settings of an environment: flags, each with its variable and default. Flag beats variable beats default.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cassandra::settings::{ClientCertificate, Consistency, Hosts, Login, Replication, Tls};
use clap::{Args, ValueEnum};
use model::definition::parse_size;
use model::slice::Slice;
use secrecy::SecretString;
use zones::lake::Lake;

use crate::context::SEND_ROWS;
use crate::error::{Boxed, Error};
use crate::report::Detail;

/// Which pipeline, which lake, how to talk.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The pipeline: a folder with a pipeline.toml, or its name below the pipelines folder
    pub pipeline: String,

    /// Folder in which pipelines are looked for by name
    #[arg(long, env = "SLUICE_PIPELINES", default_value = "pipelines", value_name = "FOLDER")]
    pub pipelines: PathBuf,

    /// Folder of the lake
    #[arg(long, env = "LAKE_URI", default_value = "./lake", value_name = "FOLDER")]
    pub lake: PathBuf,

    /// Debug slice: `dates:4-6`, `first:3`, `2016-11-04..2016-11-06`, `1` (= dates:4-6); `0` takes everything.
    /// Writes to `<LAKE_URI>_debug` and the keyspace `<keyspace>_debug`
    #[arg(long, env = "ETL_DEBUG", default_value = "", hide_default_value = true, value_name = "SLICE")]
    pub debug: String,

    #[command(flatten)]
    pub memory: MemoryArgs,

    #[command(flatten)]
    pub hold: HoldArgs,

    #[command(flatten)]
    pub cassandra: CassandraArgs,

    /// Rows that are sent together, while the next are made ready. Fewer save memory, more fill Cassandra's partitions
    #[arg(
        long,
        env = "SLUICE_SEND_ROWS",
        default_value_t = SEND_ROWS,
        value_parser = clap::value_parser!(u64).range(1..),
        value_name = "ROWS",
        help_heading = "Cassandra"
    )]
    pub send_rows: u64,

    #[command(flatten)]
    pub talk: TalkArgs,

    /// Write where the time goes, as a trace that a browser's trace viewer opens (docs/performance.md)
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub profile: Option<PathBuf>,
}

/// What a statement over whole tables may take.
#[derive(Debug, Clone, Copy, Args)]
pub struct MemoryArgs {
    /// Memory of a statement over whole tables (a view's, one of `sluice sql`); what does not fit goes to disk
    #[arg(long, env = "SLUICE_STATEMENT_MEMORY", default_value = "256 MiB", value_parser = parse_size, value_name = "SIZE")]
    statement_memory: u64,
}

impl MemoryArgs {
    /// The lake, whose statements may take that much.
    pub(crate) fn given_to(self, lake: Lake) -> Lake {
        lake.with_statement_memory(usize::try_from(self.statement_memory).unwrap_or(usize::MAX))
    }
}

/// What to do about another run that works on the lake.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Other runs")]
pub struct HoldArgs {
    /// How long to wait for another run that works on the same lake, instead of ending with exit code 75
    #[arg(long, env = "SLUICE_WAIT", default_value_t = 0, value_name = "SECONDS")]
    pub wait: u64,

    /// Without a sign of life of this run for so long, another one may take over
    #[arg(long, env = "SLUICE_SILENCE", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..), value_name = "SECONDS")]
    pub silence: u64,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cassandra")]
pub struct CassandraArgs {
    /// Nodes to start from, parted by commas [default: the node of `sluice node up`, else 127.0.0.1]
    #[arg(long, env = "CASSANDRA_HOST", value_name = "HOST[:PORT],...")]
    pub cassandra_host: Option<String>,

    /// Port of the nodes that name none [default: 9042]
    #[arg(long, env = "CASSANDRA_PORT", value_name = "PORT")]
    pub cassandra_port: Option<u16>,

    #[arg(long, env = "CASSANDRA_USERNAME", value_name = "NAME", help = "User to log in as")]
    pub cassandra_username: Option<String>,

    #[arg(
        long,
        env = "CASSANDRA_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD",
        help = "Password of that user; never printed"
    )]
    pub cassandra_password: Option<SecretString>,

    /// Only nodes of this datacenter are asked, and the keyspace is replicated there
    #[arg(long, env = "CASSANDRA_DATACENTER", value_name = "NAME")]
    pub cassandra_datacenter: Option<String>,

    /// Keyspace [default: the pipeline's name]
    #[arg(long, env = "CASSANDRA_KEYSPACE", value_name = "NAME")]
    pub cassandra_keyspace: Option<String>,

    /// Copies of the keyspace when it is made: a number, or a CQL map
    #[arg(long, env = "CASSANDRA_REPLICATION", default_value = "1", value_name = "REPLICATION")]
    pub cassandra_replication: String,

    #[arg(
        long,
        help = "Replicas that must answer: one, quorum, local_quorum, ...",
        env = "CASSANDRA_CONSISTENCY",
        default_value = "local_quorum",
        value_name = "LEVEL"
    )]
    pub cassandra_consistency: String,

    /// Authorities that sign the nodes' certificates (PEM); turns TLS on
    #[arg(long, env = "CASSANDRA_TLS_CA", value_name = "FILE")]
    pub cassandra_tls_ca: Option<PathBuf>,

    /// Certificate to show to the nodes (PEM)
    #[arg(long, env = "CASSANDRA_TLS_CERT", requires = "cassandra_tls_key", value_name = "FILE")]
    pub cassandra_tls_cert: Option<PathBuf>,

    /// Key of that certificate (PEM)
    #[arg(long, env = "CASSANDRA_TLS_KEY", requires = "cassandra_tls_cert", value_name = "FILE")]
    pub cassandra_tls_key: Option<PathBuf>,

    /// How long to wait for a Cassandra that is still starting
    #[arg(long, env = "CASSANDRA_WAIT", default_value_t = 120, value_name = "SECONDS")]
    pub cassandra_wait: u64,
}

/// How to talk to the user.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct TalkArgs {
    /// The report on stdout: a table, or one JSON document (docs/report.md)
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,

    /// In the table, what was planned beside what came, also where they are equal
    #[arg(long)]
    pub verbose: bool,

    /// Logs on stderr as text or JSON lines
    #[arg(long, env = "SLUICE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Which logs: error, warn, info, debug, or a filter such as `zones=debug`
    #[arg(long, env = "SLUICE_LOG", default_value = "warn", value_name = "FILTER")]
    pub log: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Table,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// What the tables of a debug run are called after.
const DEBUG_SUFFIX: &str = "_debug";

impl RunArgs {
    pub fn slice(&self) -> Result<Option<Slice>, Error> {
        Ok(Slice::parse(&self.debug)?)
    }

    /// The lake's folder; a debug run has its own.
    pub fn lake_folder(&self) -> Result<PathBuf, Error> {
        debug_lake(&self.lake, &self.debug)
    }

    /// The keyspace; a debug run has its own.
    pub fn keyspace(&self, pipeline: &str) -> Result<String, Error> {
        debug_keyspace(self.cassandra.cassandra_keyspace.as_deref().unwrap_or(pipeline), &self.debug)
    }
}

/// The lake's folder of a slice, as it is written in `ETL_DEBUG`.
pub fn debug_lake(lake: &Path, slice: &str) -> Result<PathBuf, Error> {
    let shown = lake.to_string_lossy();
    if shown.contains("://") {
        let hint = "give --lake (LAKE_URI) the path of a folder of this machine";
        return Err(Error::Semantics {
            place: format!("lake {shown}"),
            problem: "a url, and the lake must be a folder".to_owned(),
            hint: Some(hint.to_owned()),
        });
    }
    expect_text(lake)?;
    if Slice::parse(slice)?.is_none() {
        return Ok(lake.to_owned());
    }
    // `lake/` and `lake` are the same folder.
    let trimmed = shown.trim_end_matches('/');
    let name = if trimmed.is_empty() { &*shown } else { trimmed };
    Ok(format!("{name}{DEBUG_SUFFIX}").into())
}

/// The keyspace of a slice, as it is written in `ETL_DEBUG`.
pub fn debug_keyspace(keyspace: &str, slice: &str) -> Result<String, Error> {
    Ok(if Slice::parse(slice)?.is_some() { format!("{keyspace}{DEBUG_SUFFIX}") } else { keyspace.to_owned() })
}

/// What a test has the program do (see `crash`).
#[cfg(feature = "crash-points")]
#[derive(Debug)]
pub(crate) struct TestSettings {
    /// A crash point, and at which pass through it the process ends.
    pub(crate) crash_at: Option<(String, u64)>,
    pub(crate) crash_log: Option<PathBuf>,
    pub(crate) clock: Option<chrono::DateTime<chrono::Utc>>,
}

#[cfg(feature = "crash-points")]
impl TestSettings {
    pub(crate) fn read() -> Result<Self, Error> {
        let wrong = |name: &str, text: &str, form: &str| Error::Semantics {
            place: format!("setting {name}"),
            problem: format!("{text:?} is not {form}"),
            hint: None,
        };
        let text = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        let crash_at = text("SLUICE_CRASH_AT").map(|text| {
            let parts = text.rsplit_once(':').and_then(|(point, pass)| Some((point.to_owned(), pass.parse().ok()?)));
            parts.ok_or_else(|| wrong("SLUICE_CRASH_AT", &text, "POINT:PASS, as raw/commit:after:1"))
        });
        let clock = text("SLUICE_TEST_CLOCK").map(|text| {
            let instant = chrono::DateTime::parse_from_rfc3339(&text);
            let instant = instant.map_err(|_| wrong("SLUICE_TEST_CLOCK", &text, "an instant as 2016-11-10T12:00:00Z"))?;
            Ok::<_, Error>(instant.to_utc())
        });
        let crash_log = std::env::var_os("SLUICE_CRASH_LOG").map(PathBuf::from);
        Ok(Self { crash_at: crash_at.transpose()?, crash_log, clock: clock.transpose()? })
    }
}

/// Tables name their files in text.
pub(crate) fn expect_text(lake: &Path) -> Result<(), Error> {
    if lake.to_str().is_some() {
        return Ok(());
    }
    Err(Error::Semantics {
        place: format!("lake {}", lake.display()),
        problem: "its path is not UTF-8".to_owned(),
        hint: Some("give --lake (LAKE_URI) a path that is UTF-8, or rename the folder".to_owned()),
    })
}

impl TalkArgs {
    pub fn detail(&self) -> Detail {
        if self.verbose { Detail::All } else { Detail::Differences }
    }
}

impl CassandraArgs {
    pub fn wait(&self) -> Duration {
        Duration::from_secs(self.cassandra_wait)
    }

    /// The settings of the serving store. `local` is the node of `sluice node up`, where one is recorded.
    pub fn settings(&self, keyspace: String, local: Option<(String, u16)>) -> Result<cassandra::Settings, Error> {
        let (host, port) = match (&self.cassandra_host, local) {
            (Some(host), _) => (host.clone(), None),
            (None, Some((host, port))) => (host, Some(port)),
            (None, None) => ("127.0.0.1".to_owned(), None),
        };
        let port = self.cassandra_port.or(port).unwrap_or(cassandra::settings::DEFAULT_PORT);
        let setting = |name| move |error: cassandra::settings::Error| Error::Setting { name, source: Boxed::new(error) };
        let client = match (&self.cassandra_tls_cert, &self.cassandra_tls_key) {
            (Some(certificate), Some(key)) => Some(ClientCertificate { certificate: certificate.clone(), key: key.clone() }),
            _ => None,
        };
        Ok(cassandra::Settings {
            hosts: Hosts::parse(&host, port).map_err(setting("CASSANDRA_HOST"))?,
            login: self
                .cassandra_username
                .clone()
                .map(|username| Login { username, password: self.cassandra_password.clone().unwrap_or_default() }),
            datacenter: self.cassandra_datacenter.clone(),
            keyspace,
            replication: self.cassandra_replication.parse::<Replication>().map_err(setting("CASSANDRA_REPLICATION"))?,
            consistency: self.cassandra_consistency.parse::<Consistency>().map_err(setting("CASSANDRA_CONSISTENCY"))?,
            tls: self.cassandra_tls_ca.clone().map(|ca| Tls { ca, client }),
        })
    }
}
