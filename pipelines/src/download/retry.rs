//! How long and how often a source is tried again.

use std::time::Duration;

use model::{Interrupted, Shutdown};

/// Bounds of patience. The defaults are for sources across the internet.
#[derive(Debug, Clone)]
pub struct Options {
    /// Attempts in a row that bring no new byte, before giving up. One that brings some starts the count again.
    pub attempts: u32,
    /// The wait after the first failure; it doubles with each further one, with jitter.
    pub first_wait: Duration,
    pub longest_wait: Duration,
    /// A `Retry-After` is waited for up to this; beyond it the run ends as a temporary failure.
    pub longest_retry_after: Duration,
    pub connect_timeout: Duration,
    /// How long a server may be silent, before its answer or within it.
    pub stall_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            // 1 + 2 + 4 + 8 + 16 + 32 + 60 s, half of it at least: rides out a server that fails for a minute. Who gave a wrong
            // host name sees a warning at each.
            attempts: 8,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_mins(1),
            longest_retry_after: Duration::from_mins(5),
            connect_timeout: Duration::from_secs(15),
            stall_timeout: Duration::from_mins(1),
        }
    }
}

impl Options {
    /// The wait after the `failures`-th failure in a row (from 1).
    ///
    /// Between half and all of the doubled wait, so that many clients that failed together do not come back together; never
    /// less than what the server asked for.
    pub(super) fn wait(&self, failures: u32, asked: Option<Duration>) -> Duration {
        let doubled = self.first_wait.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(self.longest_wait);
        let jittered = doubled.mul_f64(rand::random_range(0.5..=1.0));
        jittered.max(asked.unwrap_or_default())
    }
}

/// How often a waiting download looks whether it is to stop.
const TICK: Duration = Duration::from_millis(100);

/// Why waiting for something ended before it was there.
pub(super) enum Woken {
    Stop(Interrupted),
    TimedOut,
}

/// Waits for `work`, but not past `longest`, nor past a request to stop.
pub(super) async fn patiently<T>(work: impl Future<Output = T>, longest: Duration, shutdown: &Shutdown) -> Result<T, Woken> {
    let mut work = std::pin::pin!(work);
    let mut timer = std::pin::pin!(tokio::time::sleep(longest));
    loop {
        shutdown.check().map_err(Woken::Stop)?;
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            () = &mut timer => return Err(Woken::TimedOut),
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

/// Sleeps, unless a stop is requested.
pub(super) async fn pause(duration: Duration, shutdown: &Shutdown) -> Result<(), Interrupted> {
    match patiently(std::future::pending::<()>(), duration, shutdown).await {
        Err(Woken::Stop(interrupted)) => Err(interrupted),
        Ok(()) | Err(Woken::TimedOut) => Ok(()),
    }
}

/// Runs what blocks on a thread for that.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // The runtime does not cancel blocking work that has begun, so this is a panic of the work itself.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_with_jitter_up_to_a_bound_and_never_undercut_the_server() {
        let options = Options::default();
        for (failures, full) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (40, 60)] {
            let wait = options.wait(failures, None);
            let full = Duration::from_secs(full);
            assert!(wait >= full / 2 && wait <= full, "{failures}: {wait:?}");
        }
        let least: Duration = (1..options.attempts).map(|failures| options.wait(failures, None)).sum();
        assert!(least >= Duration::from_mins(1), "a minute of failures is ridden out: {least:?}");
        assert_eq!(options.wait(1, Some(Duration::from_secs(90))), Duration::from_secs(90));
    }

    #[tokio::test]
    async fn a_stop_ends_any_wait() {
        let shutdown = Shutdown::default();
        let stopper = shutdown.clone();
        let (waited, ()) = tokio::join!(pause(Duration::from_mins(1), &shutdown), async move { stopper.request() });
        assert_eq!(waited, Err(Interrupted));
        assert_eq!(pause(Duration::from_millis(1), &Shutdown::default()).await, Ok(()));
    }
}
