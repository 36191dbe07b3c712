//! What a server may do, and how much of it.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use axum::http::HeaderValue;

use super::connection::Patience;
use super::tls::TlsFiles;
use crate::keys::Rate;
use crate::layers::access::Admission;
use crate::layers::bounds::Bounds;

#[derive(Debug, Clone)]
pub struct Settings {
    pub address: SocketAddr,
    /// Threads that answer.
    pub threads: NonZeroUsize,
    pub tls: Option<TlsFiles>,
    /// Of `/metrics`, `/livez` and `/readyz`, in plain; `None` for none.
    pub metrics_address: Option<SocketAddr>,
    pub admission: Admission,
    /// Of all keys together; `None` for no limit but load.
    pub total_rate: Option<Rate>,
    /// Wrong keys from one address.
    pub failure_rate: Rate,
    /// Requests that are worked on at a time; more are refused with 503.
    pub in_flight: usize,
    /// Connections at a time; more are closed at once.
    pub connections: usize,
    /// Until an answer's head has to be there.
    pub request_time: Duration,
    pub bounds: Bounds,
    pub patience: Patience,
    /// Origins whose pages may call; empty for none.
    pub origins: Vec<HeaderValue>,
    /// From not being ready to accepting nothing more: a few rounds of whoever asks `/readyz`.
    pub lag: Duration,
    /// From then on to the end.
    pub drain: Duration,
}

impl Settings {
    /// The usual settings; the numbers are bounds for one process of a few cores, and each can be changed.
    pub fn new(address: SocketAddr, admission: Admission) -> Self {
        let failure_rate = Rate::new(FAILURES_PER_SECOND, std::num::NonZeroU32::new(FAILURES_AT_ONCE));
        Self {
            address,
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            tls: None,
            metrics_address: None,
            admission,
            total_rate: None,
            failure_rate: failure_rate.expect("it lies in between"),
            in_flight: 512,
            connections: 4096,
            request_time: Duration::from_secs(10),
            bounds: Bounds::default(),
            patience: Patience::default(),
            origins: Vec::new(),
            lag: Duration::ZERO,
            drain: Duration::from_secs(20),
        }
    }
}

/// A person who mistypes is not slowed down; a program that guesses is.
const FAILURES_PER_SECOND: f64 = 1.0;
const FAILURES_AT_ONCE: u32 = 20;
