//! What a single request to Cassandra can fail with, and of which kind that is.
//!
//! Transient is what may pass when the same request is sent again: time-outs, overload, lost connections, nodes that are down.
//! Every request of this crate is idempotent, so sending it again is always right: [`again`] does it for what is not a row, until
//! for [`PATIENCE`] none has succeeded; rows have a loop of their own ([`crate::delivery`]).

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use model::{Classify, Failure};
use scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError, DeserializationError, ExecutionError,
    IntoRowsResultError, MetadataError, PrepareError, RequestAttemptError, RowsError, SchemaAgreementError,
};
use tokio::time::Instant;

use crate::flow;

/// For so long a request that fails in a way that may pass is sent again: as long as it takes to start a node anew, and its
/// readers to find it again.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Sends a request until it succeeds, fails for good, or has failed for [`PATIENCE`].
pub(crate) async fn again<T, E, F>(mut send: impl FnMut() -> F) -> Result<T, E>
where
    E: DriverError,
    F: Future<Output = Result<T, E>>,
{
    let started = Instant::now();
    let mut attempt = 0;
    loop {
        match send().await {
            Err(error) if error.kind() == Failure::Transient && started.elapsed() < PATIENCE => {
                tracing::debug!(%error, attempt, "ask again");
                attempt += 1;
                tokio::time::sleep(flow::pause(attempt, RandomState::new().hash_one(attempt))).await;
            }
            ended => return ended,
        }
    }
}

/// What the driver or the server said.
///
/// The driver's errors print their sources too, so the chain of sources ends here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Answer(String);

impl Answer {
    /// Nobody said anything.
    pub(crate) fn silence() -> Self {
        Self("it accepts connections and does not answer".to_owned())
    }

    /// Nobody said it in words.
    pub(crate) fn said(what: &str) -> Self {
        Self(what.to_owned())
    }

    pub(crate) fn of(error: &dyn std::error::Error) -> Self {
        let said = error.to_string();
        // A number of the system after its words says nothing more.
        let said = said.split(" (os error").next().unwrap_or(&said);
        Self(said.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// A request was refused or got no answer; says what it was for.
#[derive(Debug, thiserror::Error)]
#[error("{purpose}")]
pub struct Error {
    /// What the request was for, as in "read the checkpoint of sessions".
    purpose: String,
    failure: Failure,
    is_misfit: bool,
    source: Answer,
}

impl Error {
    /// Whether the statement does not fit the tables of the node that was asked: one is missing, or is another.
    pub fn is_misfit(&self) -> bool {
        self.is_misfit
    }
}

/// Names what a request was for when it fails.
pub(crate) trait Purpose<T> {
    fn purpose(self, purpose: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T, E: DriverError> Purpose<T> for Result<T, E> {
    fn purpose(self, purpose: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|error| Error {
            purpose: purpose(),
            failure: error.kind(),
            is_misfit: error.is_misfit(),
            source: Answer::of(&error),
        })
    }
}

/// An error of the driver, of which the kind is known.
pub(crate) trait DriverError: std::error::Error {
    fn kind(&self) -> Failure;

    /// Whether the statement does not fit the tables of the node that was asked.
    fn is_misfit(&self) -> bool {
        false
    }
}

impl DriverError for ExecutionError {
    fn kind(&self) -> Failure {
        of_execution(self)
    }

    fn is_misfit(&self) -> bool {
        match self {
            Self::LastAttemptError(error) => is_invalid(error),
            Self::PrepareError(error) => error.is_misfit(),
            _ => false,
        }
    }
}

impl DriverError for PrepareError {
    fn kind(&self) -> Failure {
        of_prepare(self)
    }

    fn is_misfit(&self) -> bool {
        matches!(self, Self::AllAttemptsFailed { first_attempt } if is_invalid(first_attempt))
    }
}

fn is_invalid(error: &RequestAttemptError) -> bool {
    matches!(error, RequestAttemptError::DbError(DbError::Invalid, _))
}

/// Errors that mean the same whatever they hold.
macro_rules! always {
    ($failure:expr, $($error:ty),+) => {
        $(impl DriverError for $error {
            fn kind(&self) -> Failure {
                $failure
            }
        })+
    };
}

always!(Failure::Transient, SchemaAgreementError, MetadataError);
always!(Failure::Bug, IntoRowsResultError, RowsError, DeserializationError);

impl Classify for Error {
    fn failure(&self) -> Failure {
        self.failure
    }

    fn hint(&self) -> Option<String> {
        match self.failure {
            Failure::Transient => Some("check that Cassandra is up and not overloaded, then run the same command again".to_owned()),
            Failure::Definition => Some(
                "read Cassandra's answer above; the user needs CREATE, SELECT and MODIFY on the keyspace, and the tables must have been created"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// The kind of a failed request.
pub(crate) fn of_execution(error: &ExecutionError) -> Failure {
    match error {
        ExecutionError::LastAttemptError(error) => of_attempt(error),
        ExecutionError::ConnectionPoolError(error) => of_pool(error),
        ExecutionError::PrepareError(error) => of_prepare(error),
        // An empty plan: no node of the datacenter is up at the moment; that it exists was checked when connecting.
        ExecutionError::EmptyPlan
        | ExecutionError::RequestTimeout(_)
        | ExecutionError::SchemaAgreementError(_)
        | ExecutionError::MetadataError(_) => Failure::Transient,
        _ => Failure::Bug,
    }
}

fn of_prepare(error: &PrepareError) -> Failure {
    match error {
        PrepareError::ConnectionPoolError(error) => of_pool(error),
        PrepareError::AllAttemptsFailed { first_attempt } => of_attempt(first_attempt),
        _ => Failure::Bug,
    }
}

fn of_pool(error: &ConnectionPoolError) -> Failure {
    match error {
        ConnectionPoolError::Broken { last_connection_error } if log_in_was_refused(last_connection_error) => Failure::Definition,
        _ => Failure::Transient,
    }
}

fn of_attempt(error: &RequestAttemptError) -> Failure {
    match error {
        RequestAttemptError::BrokenConnectionError(_) | RequestAttemptError::UnableToAllocStreamId => Failure::Transient,
        RequestAttemptError::DbError(error, _) => match error {
            DbError::WriteTimeout { .. }
            | DbError::ReadTimeout { .. }
            | DbError::WriteFailure { .. }
            | DbError::ReadFailure { .. }
            | DbError::Unavailable { .. }
            | DbError::Overloaded
            | DbError::IsBootstrapping
            | DbError::TruncateError
            | DbError::ServerError
            | DbError::RateLimitReached { .. } => Failure::Transient,
            DbError::Invalid
            | DbError::ConfigError
            | DbError::AlreadyExists { .. }
            | DbError::AuthenticationError
            | DbError::Unauthorized => Failure::Definition,
            _ => Failure::Bug,
        },
        _ => Failure::Bug,
    }
}

/// Whether a connection was refused for who asks: wrong or missing user or password.
pub(crate) fn log_in_was_refused(error: &ConnectionError) -> bool {
    use ConnectionSetupRequestErrorKind as Kind;
    let ConnectionError::ConnectionSetupRequestError(setup) = error else { return false };
    matches!(
        setup.get_error(),
        Kind::DbError(DbError::AuthenticationError | DbError::Unauthorized, _)
            | Kind::MissingAuthentication
            | Kind::StartAuthSessionError(_)
            | Kind::AuthChallengeEvaluationError(_)
            | Kind::AuthFinishError(_)
    )
}
