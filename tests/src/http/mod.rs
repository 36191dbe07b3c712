//! The little HTTP/1.1 that the source servers speak.
//!
//! Written by hand because a server that breaks off in a body, promises a wrong length or falls silent is what most
//! HTTP libraries are built to prevent. It reads requests without a body, keeps connections open between them, and selects
//! what to send as RFC 9110 says ([`select`]). It is for loopback and test networks: no TLS, no HTTP/2, no proxies.
//!
//! Bounds: 16 KiB of request head, 60 s for one to arrive, 256 connections at a time (more wait to be accepted).

mod conditional;
mod date;
mod request;
mod response;

pub use conditional::{Entity, Selection, select};
pub use date::{format_date, parse_date};
pub use request::Request;
pub use response::Head;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const MOST_CONNECTIONS: usize = 256;
const LONGEST_SILENCE: Duration = Duration::from_mins(1);

/// One client's connection. Reading is buffered, writing is not.
pub type Connection = BufReader<TcpStream>;

/// What becomes of a connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The answer was complete: another request may follow.
    KeepOpen,
    Close,
}

/// Answers requests. An error means that the client is gone or was cut off; the connection is closed.
pub trait Handler: Send + Sync + 'static {
    fn answer(&self, request: Request, connection: &mut Connection) -> impl Future<Output = io::Result<Next>> + Send;
}

/// Accepts connections and answers their requests until the future is dropped; with it, all connections break off.
pub async fn serve<H: Handler>(listener: TcpListener, handler: Arc<H>) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, Arc::clone(&handler)));
                }
                // Out of file descriptors, most likely: some connection has to end first.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Answers one request after another.
async fn converse<H: Handler>(stream: TcpStream, handler: Arc<H>) {
    let _: io::Result<()> = stream.set_nodelay(true);
    let mut connection = BufReader::new(stream);
    while let Ok(Ok(Some(read))) = timeout(LONGEST_SILENCE, Request::read(&mut connection)).await {
        let answered = match read {
            Ok(request) => handler.answer(request, &mut connection).await,
            Err(refused) => Head::new(refused.status()).send_last_text(&mut connection, refused.reason()).await,
        };
        if !matches!(answered, Ok(Next::KeepOpen)) {
            break;
        }
    }
}
