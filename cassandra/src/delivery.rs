//! Sending a group of mutations and waiting for all acknowledgements.
//!
//! One loop starts requests while fewer than the flow allows are in flight, and takes their outcomes. A request that failed in a
//! way that may pass goes back into flight after a pause; the first that failed for good, or a request to stop, ends the
//! starting of new ones, and what is in flight is awaited before the loop returns. After a request to stop it is awaited for
//! [`FAREWELL`] only: a node that hangs keeps nobody, and what it does not acknowledge is sent again by the next run.
//!
//! That there is no such table is believed when it is said again after all nodes had the same schema: a node that was away while
//! the table was made says so too.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use model::{Failure, Interrupted, Progress, Shutdown, crash};
use scylla::client::session::Session;
use scylla::errors::{ExecutionError, SchemaAgreementError};
use scylla::statement::batch::{Batch, BatchType};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument;

use crate::encode::{WireRow, WriteTime};
use crate::flow::{self, Flow};
use crate::mutations::{Kind, Mutations};
use crate::request::{self, DriverError};
use crate::schema::agreement::agree;
use crate::sink::{Statements, Written};

/// How long requests in flight are awaited after a request to stop, of the two seconds that a run has for it.
const FAREWELL: Duration = Duration::from_secs(1);
/// Between two looks at the request to stop while no outcome comes.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

/// What a delivery needs of its sink.
pub(crate) struct Route {
    pub(crate) session: Arc<Session>,
    pub(crate) statements: Arc<Statements>,
    /// From how many places of the ring batches are taken in turn.
    pub(crate) lanes: usize,
    /// Without a single success for so long, it is given up.
    pub(crate) give_up_after: Duration,
}

/// Why a delivery ended early.
#[derive(Debug)]
pub(crate) enum Ended {
    /// No request succeeded for a long time; the last failure.
    GivenUp {
        silent: Duration,
        last: ExecutionError,
    },
    /// A request failed in a way that does not pass.
    Refused(ExecutionError),
    Interrupted(Interrupted),
}

/// One request's way through.
#[derive(Debug, Clone, Copy)]
struct Request {
    batch: usize,
    attempt: u32,
}

struct Outcome {
    request: Request,
    sent: Instant,
    result: Result<(), ExecutionError>,
}

/// Requests in flight. Dropping it lets them finish: cancelled requests would keep their streams occupied and cost the connection.
struct InFlight(JoinSet<Outcome>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.detach_all();
    }
}

/// Sends every batch of `mutations`.
pub(crate) async fn deliver(
    route: &Route,
    mutations: &Arc<Mutations>,
    flow: &mut Flow,
    progress: &dyn Progress,
    shutdown: &Shutdown,
) -> Result<Written, Ended> {
    let mut written = Written { superseded: mutations.superseded, ..Written::default() };
    if mutations.superseded > 0 {
        progress.advance(mutations.superseded);
    }
    let mut in_flight = InFlight(JoinSet::new());
    let mut waiting = spread(mutations.len(), route.lanes);
    let mut ended: Option<Ended> = None;
    let mut last_success = Instant::now();
    let mut stopped: Option<Instant> = None;
    loop {
        while ended.is_none() && in_flight.0.len() < flow.limit() {
            let Some(batch) = waiting.next() else { break };
            if let Err(interrupted) = shutdown.check() {
                ended = Some(Ended::Interrupted(interrupted));
                break;
            }
            in_flight.start(route, mutations, Request { batch, attempt: 0 });
        }
        tracing::trace!(target: "profile", in_flight = in_flight.0.len(), allowed = flow.limit(), "requests");
        let wait = tracing::trace_span!(target: "profile", "wait for the node");
        let outcome = tokio::select! {
            biased;
            outcome = in_flight.0.join_next().instrument(wait) => outcome,
            () = tokio::time::sleep(LOOK) => {
                match (&ended, shutdown.check()) {
                    (None, Err(interrupted)) => ended = Some(Ended::Interrupted(interrupted)),
                    (Some(Ended::Interrupted(_)), _) if stopped.get_or_insert_with(Instant::now).elapsed() > FAREWELL => break,
                    _ => {}
                }
                continue;
            }
        };
        let Some(outcome) = outcome else { break };
        let Outcome { request, sent, result } = match outcome {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        match result {
            Ok(()) => {
                last_success = Instant::now();
                flow.succeeded();
                progress.advance(written.add(mutations, request.batch));
            }
            Err(error) if request::of_execution(&error) != Failure::Transient => {
                ended.get_or_insert(Ended::Refused(error));
            }
            Err(last) if last_success.elapsed() >= route.give_up_after => {
                ended.get_or_insert(Ended::GivenUp { silent: last_success.elapsed(), last });
            }
            Err(error) => {
                tracing::debug!(%error, attempt = request.attempt, in_flight = flow.limit(), "send again");
                flow.overloaded(sent, Instant::now());
                if let Err(interrupted) = shutdown.check() {
                    ended.get_or_insert(Ended::Interrupted(interrupted));
                }
                if ended.is_none() {
                    written.retries += 1;
                    in_flight.start(route, mutations, Request { attempt: request.attempt + 1, ..request });
                }
            }
        }
    }
    match ended {
        None => Ok(written),
        Some(ended) => Err(ended),
    }
}

/// Batches lie in the order of the ring; taken so, those in flight together would all go to the same few nodes.
fn spread(batches: usize, lanes: usize) -> impl Iterator<Item = usize> {
    let lane = batches.div_ceil(lanes);
    (0..lane).flat_map(move |step| (0..lanes).map(move |number| number * lane + step)).filter(move |batch| *batch < batches)
}

impl InFlight {
    fn start(&mut self, route: &Route, mutations: &Arc<Mutations>, request: Request) {
        let session = Arc::clone(&route.session);
        let statements = Arc::clone(&route.statements);
        let mutations = Arc::clone(mutations);
        self.0.spawn(async move {
            if request.attempt > 0 {
                tokio::time::sleep(flow::pause(request.attempt, RandomState::new().hash_one(request.batch))).await;
            }
            let sent = Instant::now();
            crash::point("cassandra/batch:before");
            let mut result = send(&session, &statements, &mutations, request.batch).await;
            // Also where a node does not know the table yet.
            if result.as_ref().is_err_and(DriverError::is_misfit) {
                result = match agree(&session).await {
                    Ok(()) => send(&session, &statements, &mutations, request.batch).await,
                    Err(_) => Err(SchemaAgreementError::Timeout(request::PATIENCE).into()),
                };
            }
            crash::point("cassandra/batch:after");
            Outcome { request, sent, result }
        });
    }
}

async fn send(session: &Session, statements: &Statements, mutations: &Mutations, index: usize) -> Result<(), ExecutionError> {
    let mut rows = mutations.batch(index);
    if rows.len() == 1 {
        let (mutation, values) = rows.next().expect("there is one");
        let (statement, write_time) = match mutation.kind {
            Kind::Upsert => (&statements.insert_at, WriteTime::Last(mutation.write_time())),
            Kind::Delete => (&statements.delete_at, WriteTime::First(mutation.write_time())),
        };
        session.execute_unpaged(statement, WireRow { values, write_time }).await?;
        return Ok(());
    }

    let mut batch = Batch::new(BatchType::Unlogged);
    batch.set_is_idempotent(true);
    batch.statements.reserve_exact(rows.len());
    let mut bound = Vec::with_capacity(rows.len());
    for (mutation, values) in rows {
        // The request carries the write time of its first row; rows with another one carry their own.
        let write_time = mutation.write_time();
        let common = *batch.get_timestamp().get_or_insert(write_time);
        batch.set_timestamp(Some(common));
        let (statement, write_time) = match (mutation.kind, write_time == common) {
            (Kind::Upsert, true) => (&statements.insert, WriteTime::OfRequest),
            (Kind::Delete, true) => (&statements.delete, WriteTime::OfRequest),
            (Kind::Upsert, false) => (&statements.insert_at, WriteTime::Last(write_time)),
            (Kind::Delete, false) => (&statements.delete_at, WriteTime::First(write_time)),
        };
        batch.append_statement(statement.clone());
        bound.push(WireRow { values, write_time });
    }
    session.batch(&batch, &bound).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_batch_is_sent_once_whatever_the_lanes() {
        for (batches, lanes) in [(0, 1), (1, 16), (7, 3), (100, 16), (5, 1)] {
            let mut sent: Vec<_> = spread(batches, lanes).collect();
            if lanes == 3 {
                assert_eq!(sent, [0, 3, 6, 1, 4, 2, 5]);
            }
            sent.sort_unstable();
            assert_eq!(sent, (0..batches).collect::<Vec<_>>());
        }
    }
}
