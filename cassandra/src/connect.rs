//! The way in: one session with the ring, shared by everything that reads or writes.
//!
//! [`Store::connect`] waits for a Cassandra that is still starting: it tries again until a deadline and tells its caller at once
//! and then every five seconds. It does not wait for what does not pass by itself: a refused log-in, an unknown datacenter, certificates
//! that do not fit, a keyspace whose replicas cannot answer. (A node that was seen starting is given twenty seconds more for the log-in: Cassandra opens its port
//! some ten seconds before it has made its first role.)

use std::sync::Arc;
use std::time::Duration;

use model::{Classify, Failure};
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::errors::{ConnectionError, ConnectionPoolError, MetadataError, NewSessionError};
use scylla::policies::load_balancing::DefaultPolicy;
use secrecy::ExposeSecret;
use tokio::time::Instant;

use crate::request::{self, Answer};
use crate::schema::replicas::{self, TooFewNodes};
use crate::settings::{Consistency, Replication, Settings};
use crate::tls;

/// How long one request may take. Longer than the server's own limits (2 s for a write, 10 s for a scan) and than a garbage
/// collection, since a request that is given up on this side still occupies its stream.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two tries to connect.
const PAUSE: Duration = Duration::from_millis(500);
/// What accepts a connection and does not answer, as a node that is paused or overloaded, is tried anew after so long, and told of.
const ONE_TRY: Duration = Duration::from_secs(10);
/// A connection is asked for a sign of life this often, and given up without an answer for so long; together within [`ONE_TRY`]. A
/// session is there only when each node has answered or was given up: with the driver's own half a minute for both, one node of
/// several that hangs kept every try from ending in time. A longer pause of a node costs requests that are sent again.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(5));
/// Between two lines of progress while waiting.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// For how long after it was seen starting a node may refuse the log-in.
const FIRST_ROLE: Duration = Duration::from_secs(20);
/// For how long `create-tables` and its like wait for a Cassandra that is starting, unless told otherwise.
pub const DEFAULT_DEADLINE: Duration = Duration::from_mins(2);

/// A connected Cassandra and the keyspace to work in. Clones share the session.
#[derive(Clone)]
pub struct Store {
    pub(crate) session: Arc<Session>,
    pub(crate) keyspace: Arc<str>,
    pub(crate) replication: Replication,
    pub(crate) datacenter: Option<String>,
    pub(crate) consistency: Consistency,
}

/// Cassandra does not answer yet; passed to the caller of [`Store::connect`] at once and then every five seconds.
#[derive(Debug)]
pub struct Waiting<'a> {
    pub hosts: String,
    pub waited: Duration,
    pub deadline: Duration,
    /// What the last try failed with.
    pub reason: &'a Answer,
}

impl Store {
    /// Connects, waiting up to `deadline` for a Cassandra that is not there yet.
    ///
    /// Neither needs nor makes the keyspace.
    pub async fn connect(settings: &Settings, deadline: Duration, mut waiting: impl FnMut(Waiting<'_>)) -> Result<Self, Error> {
        let builder = builder(settings)?;
        let started = Instant::now();
        let mut told: Option<Instant> = None;
        let mut seen_starting: Option<Instant> = None;
        loop {
            let left = deadline.saturating_sub(started.elapsed()).max(PAUSE);
            let error = match tokio::time::timeout(left.min(ONE_TRY), builder.build()).await {
                Ok(Ok(session)) => return Self::with(session, settings),
                Ok(Err(error)) => Some(error),
                Err(_) => None,
            };
            let reason = error.as_ref().map_or_else(Answer::silence, reason);
            match error.as_ref().map_or(Verdict::Wait, verdict) {
                Verdict::Wait => seen_starting = Some(Instant::now()),
                Verdict::LogIn if seen_starting.is_some_and(|seen| seen.elapsed() < FIRST_ROLE) => {}
                Verdict::LogIn => return Err(log_in_error(settings, reason)),
                Verdict::Tls => return Err(Error::Tls { hosts: settings.hosts.to_string(), source: reason }),
                Verdict::Never => return Err(Error::Session(reason)),
            }
            let waited = started.elapsed();
            if waited + PAUSE >= deadline {
                return Err(Error::Unreachable { hosts: settings.hosts.to_string(), waited, source: reason });
            }
            if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
                told = Some(Instant::now());
                waiting(Waiting { hosts: settings.hosts.to_string(), waited, deadline, reason: &reason });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn with(session: Session, settings: &Settings) -> Result<Self, Error> {
        if let Some(wanted) = &settings.datacenter {
            let cluster = session.get_cluster_state();
            let mut known: Vec<_> = cluster.get_nodes_info().iter().filter_map(|node| node.datacenter.clone()).collect();
            known.sort();
            known.dedup();
            if !known.contains(wanted) {
                return Err(Error::Datacenter { wanted: wanted.clone(), known: known.join(", ") });
            }
        }
        replicas::check_existing(&session, &settings.keyspace, settings.datacenter.as_deref(), settings.consistency)?;
        Ok(Self {
            session: Arc::new(session),
            keyspace: settings.keyspace.as_str().into(),
            replication: settings.replication.clone(),
            datacenter: settings.datacenter.clone(),
            consistency: settings.consistency,
        })
    }

    pub fn keyspace(&self) -> &str {
        &self.keyspace
    }
}

fn builder(settings: &Settings) -> Result<SessionBuilder, Error> {
    let mut policy = DefaultPolicy::builder().token_aware(true);
    if let Some(datacenter) = &settings.datacenter {
        policy = policy.prefer_datacenter(datacenter.clone());
    }
    let profile = ExecutionProfile::builder()
        .consistency(settings.consistency.into())
        .request_timeout(Some(REQUEST_TIMEOUT))
        .load_balancing_policy(policy.build())
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(settings.hosts.iter())
        .default_execution_profile_handle(profile.into_handle())
        // Routing needs to know how this keyspace is replicated, and nothing of the others.
        .keyspaces_to_fetch([settings.keyspace.clone()])
        // Tables are made in bulk; what makes them waits for agreement once, at the end.
        .auto_await_schema_agreement(false)
        .keepalive_interval(KEEPALIVE.0)
        .keepalive_timeout(KEEPALIVE.1)
        .driver_config_reporting(false);
    if let Some(login) = &settings.login {
        builder = builder.user(login.username.clone(), login.password.expose_secret());
    }
    if let Some(tls) = &settings.tls {
        builder = builder.tls_context(Some(Arc::new(tls::client_config(tls)?)));
    }
    Ok(builder)
}

/// Whether there is a node, which only wants to know who asks.
pub(crate) fn wants_log_in(error: &NewSessionError) -> bool {
    matches!(verdict(error), Verdict::LogIn)
}

/// Whether trying again can help.
enum Verdict {
    Wait,
    LogIn,
    Tls,
    Never,
}

fn verdict(error: &NewSessionError) -> Verdict {
    match error {
        NewSessionError::MetadataError(MetadataError::ConnectionPoolError(ConnectionPoolError::Broken {
            last_connection_error,
        })) => {
            if request::log_in_was_refused(last_connection_error) {
                Verdict::LogIn
            } else if tls_was_refused(last_connection_error) {
                Verdict::Tls
            } else {
                Verdict::Wait
            }
        }
        // A name may be unknown until the container that carries it is up.
        NewSessionError::MetadataError(_) | NewSessionError::FailedToResolveAnyHostname(_) => Verdict::Wait,
        _ => Verdict::Never,
    }
}

fn tls_was_refused(error: &ConnectionError) -> bool {
    let ConnectionError::IoError(error) = error else { return false };
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
}

/// What went wrong at the last connection, without what led to it.
fn reason(error: &NewSessionError) -> Answer {
    match error {
        NewSessionError::MetadataError(MetadataError::ConnectionPoolError(ConnectionPoolError::Broken {
            last_connection_error: ConnectionError::ConnectionSetupRequestError(setup),
        })) => Answer::of(setup.get_error()),
        NewSessionError::MetadataError(MetadataError::ConnectionPoolError(ConnectionPoolError::Broken {
            last_connection_error,
        })) => Answer::of(last_connection_error),
        other => Answer::of(other),
    }
}

fn log_in_error(settings: &Settings, source: Answer) -> Error {
    match &settings.login {
        Some(login) => Error::LogIn { username: login.username.clone(), source },
        None => Error::LogInMissing,
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no Cassandra answered at {hosts} within {} s", waited.as_secs_f32().round())]
    Unreachable { hosts: String, waited: Duration, source: Answer },
    #[error("Cassandra does not let user {username} in")]
    LogIn { username: String, source: Answer },
    #[error("Cassandra wants a user and a password")]
    LogInMissing,
    #[error("no encrypted connection to {hosts}")]
    Tls { hosts: String, source: Answer },
    #[error(transparent)]
    TlsFiles(#[from] tls::Error),
    #[error("Cassandra has no datacenter {wanted}, only {known}")]
    Datacenter { wanted: String, known: String },
    #[error(transparent)]
    Replicas(#[from] TooFewNodes),
    #[error("no session with Cassandra")]
    Session(#[source] Answer),
}

impl Classify for Error {
    fn failure(&self) -> Failure {
        match self {
            Self::Unreachable { .. } => Failure::Transient,
            Self::TlsFiles(error) => error.failure(),
            Self::Replicas(error) => error.failure(),
            Self::LogIn { .. } | Self::LogInMissing | Self::Tls { .. } | Self::Datacenter { .. } | Self::Session(_) => {
                Failure::Definition
            }
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { .. } => {
                "start Cassandra (`sluice node up` starts one on this machine), or set CASSANDRA_HOST and CASSANDRA_PORT to where it is; if it takes only encrypted connections, name its certificate authority, and a client certificate where it asks for one".to_owned()
            }
            Self::LogIn { .. } | Self::LogInMissing => "set CASSANDRA_USERNAME and CASSANDRA_PASSWORD".to_owned(),
            Self::Tls { .. } => {
                "check that the node expects encrypted connections, that the authority's file signed its certificate, and that the certificate names the node's address".to_owned()
            }
            Self::TlsFiles(error) => return error.hint(),
            Self::Replicas(error) => return error.hint(),
            Self::Datacenter { known, .. } => format!("set CASSANDRA_DATACENTER to one of {known}, or leave it empty"),
            Self::Session(_) => return None,
        })
    }
}
