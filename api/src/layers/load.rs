//! How many requests are worked on at a time, and how long each may take.
//!
//! Contract: no request waits for others to end. What is over the bound is refused at once, so that a server under too much load
//! answers as much as it can, as fast as it can.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use metrics::gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Deadline;
use crate::metrics::IN_FLIGHT;
use crate::problem::{Code, Problem};

/// After so long a refused request may come again: long enough for what is in flight to be done.
const AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub(crate) struct Load {
    free: Arc<Semaphore>,
    time: Duration,
}

/// A place among those that are worked on.
struct Place(#[expect(dead_code, reason = "held")] OwnedSemaphorePermit);

impl Load {
    pub(crate) fn new(at_a_time: usize, time: Duration) -> Self {
        Self { free: Arc::new(Semaphore::new(at_a_time.min(Semaphore::MAX_PERMITS))), time }
    }

    fn place(&self) -> Result<Place, Problem> {
        let permit = self.free.clone().try_acquire_owned();
        let permit =
            permit.map_err(|_| Problem::new(Code::Overloaded, "too many requests are being answered").retry_after(AGAIN))?;
        gauge!(IN_FLIGHT).increment(1);
        Ok(Place(permit))
    }

    /// Has the handler answer in time, if there is a place.
    pub(crate) async fn pass(&self, mut request: Request, next: Next) -> Result<Response, Problem> {
        let _place = self.place()?;
        request.extensions_mut().insert(Deadline(Instant::now() + self.time));
        match tokio::time::timeout(self.time, next.run(request)).await {
            Ok(response) => Ok(response),
            Err(_) => Ok(Problem::new(Code::Timeout, "the answer was not there in time").retry_after(AGAIN).into_response()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        gauge!(IN_FLIGHT).decrement(1);
    }
}
