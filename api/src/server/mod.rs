//! A server: it listens, bounds what a client may take, and ends in order.
//!
//! Contract:
//! - Without a key that opens something it listens on loopback only, unless anonymous callers were asked for in so many words.
//! - A client that is slow with its head, its TLS handshake or its body, does not take its answer, or does nothing, is dropped
//!   ([`connection`]). Connections and requests have bounds; what is over them is refused at once.
//! - Told to end, it first says so on `/readyz` and goes on for [`Settings::lag`], so that whoever sends requests stops; then it accepts
//!   nothing more, answers what is in flight, and after [`Settings::drain`] ends with what is not done.
//! - Keys and certificates are read again when their files change.

mod connection;
mod error;
mod io;
mod listen;
mod origin;
mod settings;
mod threads;
pub mod tls;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use connection::Patience;
pub use error::Error;
pub use origin::{NoOrigin, Origin};
pub use settings::Settings;
pub use threads::Threads;
pub(crate) use threads::place;

use crate::health::{Readiness, live_response};
pub use crate::layers::App;
pub use crate::layers::access::Admission;
pub use crate::layers::bounds::Bounds;
use crate::layers::stack;
use crate::metrics::Metrics;
use listen::Listener;

/// Bound, and not yet answering.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    threads: Threads,
    listener: Listener,
    metrics_listener: Option<Listener>,
    readiness: Readiness,
    metrics: Metrics,
}

/// Between two foldings of samples that nobody asked for.
const UPKEEP: std::time::Duration = std::time::Duration::from_secs(5);

impl Server {
    /// Takes the ports, starts the threads and reads the certificate; connections wait in the system's queue until [`Server::run`].
    pub async fn bind(settings: Settings) -> Result<Self, Error> {
        if let Admission::Keys(keys) = &settings.admission
            && !settings.address.ip().is_loopback()
            && keys.are_none()
        {
            return Err(Error::Exposed { address: settings.address, file: keys.file().display().to_string() });
        }
        let tls = settings.tls.as_ref().map(tls::Certificates::read).transpose()?;
        let listener = Listener { socket: bound(settings.address).await?, tls };
        let metrics_listener = match settings.metrics_address {
            Some(address) => Some(Listener { socket: bound(address).await?, tls: None }),
            None => None,
        };
        let threads = Threads::start(settings.threads).map_err(Error::Threads)?;
        let metrics = Metrics::install();
        Ok(Self { settings, threads, listener, metrics_listener, readiness: Readiness::default(), metrics })
    }

    /// Where it listens, also where port 0 was asked for.
    pub fn address(&self) -> Result<SocketAddr, Error> {
        self.listener.address()
    }

    pub fn metrics_address(&self) -> Result<Option<SocketAddr>, Error> {
        self.metrics_listener.as_ref().map(Listener::address).transpose()
    }

    /// Those that will answer: what a request waits for is best waited for there.
    pub fn threads(&self) -> Threads {
        self.threads.clone()
    }

    /// What `/readyz` tells; the parts that the routes stand on are added here.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Answers until `shutdown` is there, then ends in order.
    pub async fn run(self, app: App, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let Self { settings, threads, listener, metrics_listener, readiness, metrics } = self;
        let part = readiness.part("server");
        let router = stack::build(app, &settings, &readiness);
        // Each ends when this is dropped.
        let mut beside = JoinSet::new();
        if let Admission::Keys(keys) = &settings.admission {
            beside.spawn(keys.clone().watch(readiness.part("keys")));
        }
        if let Some(certificates) = &listener.tls {
            beside.spawn(certificates.clone().watch(readiness.part("certificate")));
        }
        let (stop, stopped) = watch::channel(false);
        let patience = Arc::new(settings.patience.clone());
        if let Some(listener) = metrics_listener {
            let router = metrics_router(metrics.clone(), readiness.clone());
            let (patience, stopped) = (patience.clone(), stopped.clone());
            // They answer also where all threads are busy.
            beside.spawn(async move {
                listener.serve(&Threads::here(), router, patience, METRICS_CONNECTIONS, settings.drain, stopped).await;
            });
        }
        beside.spawn(async move {
            let mut ticks = tokio::time::interval(UPKEEP);
            loop {
                ticks.tick().await;
                metrics.upkeep();
            }
        });
        let serving = listener.serve(&threads, router, patience, settings.connections, settings.drain, stopped);
        let ending = async {
            part.ok();
            shutdown.await;
            part.down("the server is ending");
            tracing::info!(lag_seconds = settings.lag.as_secs_f64(), "ending: not ready any more");
            tokio::time::sleep(settings.lag).await;
            let _ = stop.send(true);
        };
        // Serving ends after it was told to stop, never before.
        tokio::join!(serving, ending);
        Ok(())
    }
}

/// Whoever collects metrics comes with one or two.
const METRICS_CONNECTIONS: usize = 16;

async fn bound(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Bind { address, source })
}

/// Health is answered here as well: whoever probes needs no TLS, and takes no connection from those who ask.
fn metrics_router(metrics: Metrics, readiness: Readiness) -> Router {
    let render = async move || ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render());
    let ready = async move || readiness.ready_response();
    Router::new().route("/metrics", get(render)).route("/livez", get(async || live_response())).route("/readyz", get(ready))
}
