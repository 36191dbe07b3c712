//! Accepts connections, within a bound, and hands them to the threads that answer, until it is told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use metrics::{counter, gauge};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Error;
use super::connection::{Patience, Serving};
use super::threads::Threads;
use super::tls::Certificates;
use crate::layers::Peer;
use crate::metrics::{CONNECTIONS, CONNECTIONS_ENDED};

/// After the system had no descriptor or memory for a connection: another connection has to end first.
const NO_ROOM: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    pub(super) tls: Option<Certificates>,
}

/// Counts a connection for as long as it lives.
struct Counted;

impl Counted {
    fn new() -> Self {
        gauge!(CONNECTIONS).increment(1);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        gauge!(CONNECTIONS).decrement(1);
    }
}

impl Listener {
    pub(super) fn address(&self) -> Result<SocketAddr, Error> {
        let address = SocketAddr::from(([0, 0, 0, 0], 0));
        self.socket.local_addr().map_err(|source| Error::Bind { address, source })
    }

    /// Ends when it was told to stop and all connections have ended, or `drain` later.
    pub(super) async fn serve(
        self,
        threads: &Threads,
        router: Router,
        patience: Arc<Patience>,
        most: usize,
        drain: Duration,
        mut stopped: watch::Receiver<bool>,
    ) {
        let Self { socket, tls } = self;
        let serving = Serving { router, patience, stopped: stopped.clone() };
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                // Also where nobody is left to tell it.
                _ = stopped.wait_for(|stopped| *stopped) => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok(_) if connections.len() >= most => counter!(CONNECTIONS_ENDED, "reason" => "too_many").increment(1),
                Ok((stream, peer)) => {
                    // Its new thread has to be the one that is told what comes.
                    let Ok(stream) = stream.into_std() else { continue };
                    let (serving, tls) = (serving.clone(), tls.clone());
                    let (runtime, seat) = threads.seat();
                    let answering = async move {
                        let _held = (seat, Counted::new());
                        let Ok(stream) = TcpStream::from_std(stream) else { return };
                        serving.connection(stream, Peer(peer), tls).await;
                    };
                    connections.spawn_on(answering, runtime);
                }
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "no connection can be accepted");
                    sleep(NO_ROOM).await;
                }
            }
        }
        drop(socket);
        let left = connections.len();
        let ended = timeout(drain, async { while connections.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!(connections = connections.len(), of = left, "connections had not ended in time and were cut");
            connections.shutdown().await;
        }
    }
}

/// The peer went before it was accepted.
fn is_of_the_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
