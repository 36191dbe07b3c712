//! A connection that a test can cut, freeze, slow down and mend: a TCP port that passes everything on to another one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Bytes that are passed on at once.
const STEP: usize = 16 * 1024;

/// Passes connections on until it is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: tokio::task::JoinHandle<()>,
}

struct Shared {
    mode: watch::Sender<Mode>,
    /// From clients, over all connections.
    sent: AtomicU64,
    /// After each step, in microseconds.
    pause: AtomicU64,
    /// A connection ends after as many bytes from its client; 0: never.
    lifetime: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    /// Connections stay open, and nothing goes through them.
    Frozen,
    Cut,
}

impl Proxy {
    /// Listens on a free port of this machine for connections to `target`.
    pub async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            mode: watch::Sender::new(Mode::Open),
            sent: AtomicU64::new(0),
            pause: AtomicU64::new(0),
            lifetime: AtomicU64::new(0),
        });
        let of_all = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, target.clone(), Arc::clone(&of_all)));
            }
        });
        Self { address, shared, accepting }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection, and each new one as soon as it is made.
    pub fn cut(&self) {
        self.shared.mode.send_replace(Mode::Cut);
    }

    /// Nothing gets through from now on, and nobody is told.
    pub fn freeze(&self) {
        self.shared.mode.send_replace(Mode::Frozen);
    }

    pub fn mend(&self) {
        self.shared.mode.send_replace(Mode::Open);
    }

    /// Waits so long after every 16 KiB or less, in each direction of each connection.
    pub fn slow(&self, pause: Duration) {
        let micros = u64::try_from(pause.as_micros()).expect("a pause is short");
        self.shared.pause.store(micros, Ordering::Relaxed);
    }

    /// Each connection breaks once so many bytes have come from its client.
    pub fn break_after(&self, bytes: u64) {
        self.shared.lifetime.store(bytes, Ordering::Relaxed);
    }

    /// Bytes that clients have sent so far.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }
}

async fn pass_on(client: TcpStream, target: String, shared: Arc<Shared>) {
    let mut mode = shared.mode.subscribe();
    if *mode.borrow() == Mode::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = pump(from_client, to_server, &shared, true) => {}
        () = pump(from_server, to_client, &shared, false) => {}
        _ = mode.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

/// One direction, until either end is gone.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared, is_client: bool) {
    let mut mode = shared.mode.subscribe();
    let mut buffer = vec![0; STEP];
    let mut passed = 0;
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if mode.wait_for(|mode| *mode != Mode::Frozen).await.is_err() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
        passed += read as u64;
        if is_client {
            shared.sent.fetch_add(read as u64, Ordering::Relaxed);
        }
        let (pause, lifetime) = (shared.pause.load(Ordering::Relaxed), shared.lifetime.load(Ordering::Relaxed));
        if is_client && lifetime > 0 && passed >= lifetime {
            return;
        }
        if pause > 0 {
            tokio::time::sleep(Duration::from_micros(pause)).await;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}
