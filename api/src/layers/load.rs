//! How many requests are worked on at a time, and how long each may take.
//!
//! Contract: no request waits for others to end. What is over the bound is refused at once, so that a server under too much load
//! answers as much as it can, as fast as it can.

use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use metrics::{Gauge, gauge};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Deadline;
use crate::metrics::IN_FLIGHT;
use crate::problem::{Code, Problem};

/// After so long a refused request may come again: long enough for what is in flight to be done.
const AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Load {
    free: Semaphore,
    time: Duration,
    in_flight: Gauge,
}

/// A place among those that are worked on.
struct Place<'l> {
    in_flight: &'l Gauge,
    _permit: SemaphorePermit<'l>,
}

impl Load {
    pub(crate) fn new(at_a_time: usize, time: Duration) -> Self {
        Self { free: Semaphore::new(at_a_time.min(Semaphore::MAX_PERMITS)), time, in_flight: gauge!(IN_FLIGHT) }
    }

    fn place(&self) -> Result<Place<'_>, Problem> {
        let refusal = || Problem::new(Code::Overloaded, "too many requests are being answered").retry_after(AGAIN);
        let permit = self.free.try_acquire().map_err(|_| refusal())?;
        self.in_flight.increment(1);
        Ok(Place { in_flight: &self.in_flight, _permit: permit })
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

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.in_flight.decrement(1);
    }
}
