//! How many requests may be in flight: additive increase, multiplicative decrease.
//!
//! The bound grows slowly while requests succeed and is halved when one fails for want of time or room, once for all that were
//! sent before the last cut. It never falls below one and never grows past its ceiling.

use std::time::Duration;

use tokio::time::Instant;

/// Where the bound starts.
pub(crate) const START: usize = 32;
/// What the bound never passes.
const CEILING: usize = 256;

/// The longest pause before a request is sent again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Flow {
    limit: usize,
    acknowledged: usize,
    cut: Option<Instant>,
}

impl Flow {
    pub(crate) fn starting_at(limit: usize) -> Self {
        Self { limit: limit.clamp(1, CEILING), acknowledged: 0, cut: None }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// A request succeeded: after as many as may be in flight, one more may be.
    pub(crate) fn succeeded(&mut self) {
        self.acknowledged += 1;
        if self.acknowledged >= self.limit {
            self.acknowledged = 0;
            self.limit = (self.limit + 1).min(CEILING);
        }
    }

    /// A request that was sent at `sent` failed for want of time or room.
    pub(crate) fn overloaded(&mut self, sent: Instant, now: Instant) {
        if self.cut.is_none_or(|cut| sent > cut) {
            self.limit = (self.limit / 2).max(1);
            self.acknowledged = 0;
            self.cut = Some(now);
        }
    }
}

/// The pause before the `attempt`-th repetition (from 1): doubling, with `random` taking away up to half of it, so that requests
/// that failed together do not come back together.
pub(crate) fn pause(attempt: u32, random: u64) -> Duration {
    let whole = FIRST_PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
    let share = (random % 1024) as f64 / 2048.0;
    whole.mul_f64(1.0 - share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_grows_by_one_for_each_round_of_successes() {
        let mut flow = Flow::starting_at(4);
        for _ in 0..4 {
            flow.succeeded();
        }
        assert_eq!(flow.limit(), 5);
        for _ in 0..1_000_000 {
            flow.succeeded();
        }
        assert_eq!(flow.limit(), CEILING);
    }

    #[test]
    fn requests_that_fail_together_cut_the_bound_once() {
        let start = Instant::now();
        let later = |ms| start + Duration::from_millis(ms);
        let mut flow = Flow::starting_at(32);
        flow.overloaded(later(0), later(10));
        flow.overloaded(later(5), later(11));
        assert_eq!(flow.limit(), 16);
        flow.overloaded(later(20), later(30));
        assert_eq!(flow.limit(), 8);
        for round in 2..20 {
            flow.overloaded(later(round * 20), later(round * 20 + 10));
        }
        assert_eq!(flow.limit(), 1);
    }

    #[test]
    fn pauses_double_up_to_five_seconds_and_differ() {
        assert_eq!(pause(1, 0), Duration::from_millis(100));
        assert_eq!(pause(3, 0), Duration::from_millis(400));
        assert_eq!(pause(40, 0), Duration::from_secs(5));
        for random in [1, 511, 1023, u64::MAX] {
            let pause = pause(2, random);
            assert!(pause > Duration::from_millis(100) && pause < Duration::from_millis(200), "{pause:?}");
        }
    }
}
