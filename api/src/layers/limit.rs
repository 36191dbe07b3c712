//! Rates: how many requests a key, and all keys together, may make, and how many wrong keys an address may try.
//!
//! Contract: a refused request is told after how many seconds the next one passes, rounded up, so that who waits as long is not refused
//! again on its own account. Each counts by the generic cell rate algorithm: nothing is remembered but one instant for each.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, RateLimiter};

use crate::keys::Rate;
use crate::problem::whole_seconds;

/// Addresses remembered before those that tried nothing lately are forgotten.
const MANY_ADDRESSES: usize = 10_000;

/// The limit of one key.
#[derive(Debug)]
pub(crate) struct Limiter {
    rate: Rate,
    clock: DefaultClock,
    cells: RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>,
}

impl Limiter {
    pub(crate) fn new(rate: Rate) -> Self {
        let cells = RateLimiter::direct(rate.quota()).with_middleware::<StateInformationMiddleware>();
        Self { rate, clock: DefaultClock::default(), cells }
    }

    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }

    /// Counts a request: how many more may come at once, or how long the next one has to wait.
    pub(crate) fn take(&self) -> Result<u32, Duration> {
        match self.cells.check() {
            Ok(state) => Ok(state.remaining_burst_capacity()),
            Err(until) => Err(until.wait_time_from(self.clock.now())),
        }
    }

    /// `RateLimit-Policy` and `RateLimit`, as draft-ietf-httpapi-ratelimit-headers has them: `q` requests in `w` seconds; `r` are left,
    /// and after `t` seconds all of them are there again (of a refused request: one is).
    pub(crate) fn describe(&self, taken: Result<u32, Duration>, headers: &mut HeaderMap) {
        let burst = self.rate.burst().get();
        let seconds = |requests: u32| whole_seconds(Duration::from_secs_f64(f64::from(requests) / self.rate.per_second()));
        let (left, after) = match taken {
            Ok(left) if left >= burst => (left, 0),
            Ok(left) => (left, seconds(burst - left)),
            Err(wait) => (0, whole_seconds(wait)),
        };
        let mut set = |name, text: String| {
            let value = HeaderValue::try_from(text).expect("digits and words make a header");
            headers.insert(HeaderName::from_static(name), value);
        };
        set("ratelimit-policy", format!("\"key\";q={burst};w={}", seconds(burst)));
        set("ratelimit", format!("\"key\";r={left};t={after}"));
    }
}

/// The limit of all keys together.
#[derive(Debug)]
pub(crate) struct TotalLimiter {
    clock: DefaultClock,
    cells: DefaultDirectRateLimiter,
}

impl TotalLimiter {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { clock: DefaultClock::default(), cells: RateLimiter::direct(rate.quota()) }
    }

    pub(crate) fn take(&self) -> Result<(), Duration> {
        self.cells.check().map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

/// The limit of wrong keys, for each address.
#[derive(Debug)]
pub(crate) struct FailureLimiter {
    clock: DefaultClock,
    cells: DefaultKeyedRateLimiter<IpAddr>,
}

impl FailureLimiter {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { clock: DefaultClock::default(), cells: RateLimiter::keyed(rate.quota()) }
    }

    /// Counts a wrong key.
    pub(crate) fn take(&self, address: IpAddr) -> Result<(), Duration> {
        if self.cells.len() > MANY_ADDRESSES {
            self.cells.retain_recent();
        }
        self.cells.check_key(&network(address)).map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

/// Who has one address of IPv6 has the 2^64 beside it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_request_is_told_a_wait_after_which_it_passes() {
        let limiter = Limiter::new("0.5".parse().unwrap());
        assert_eq!(limiter.take(), Ok(0));
        let wait = limiter.take().unwrap_err();
        assert!(wait > Duration::from_millis(1_500) && wait <= Duration::from_secs(2), "{wait:?}");
        let mut headers = HeaderMap::new();
        limiter.describe(Err(wait), &mut headers);
        assert_eq!(headers["ratelimit"], "\"key\";r=0;t=2");
        assert_eq!(headers["ratelimit-policy"], "\"key\";q=1;w=2");
    }

    #[test]
    fn addresses_of_one_network_share_a_limit() {
        let limiter = FailureLimiter::new("1 per minute".parse().unwrap());
        limiter.take("2001:db8::1".parse().unwrap()).unwrap();
        assert!(limiter.take("2001:db8::2".parse().unwrap()).is_err());
        limiter.take("2001:db8:0:1::1".parse().unwrap()).unwrap();
        limiter.take("::ffff:192.0.2.1".parse().unwrap()).unwrap();
        assert!(limiter.take("192.0.2.1".parse().unwrap()).is_err(), "the same address, mapped");
    }
}
