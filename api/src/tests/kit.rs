//! A server with a few routes, and a client that sends bytes as they are.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::Path;
use axum::routing::get;
use chrono::Utc;
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::health::Readiness;
use crate::keys::{self, Keys, NewKey, Scope};
use crate::layers::{Access, App, Route};
use crate::server::{Admission, Error, Server, Settings};

/// Long enough for a loaded machine, and never waited for where all is well.
pub(super) const LONG: Duration = Duration::from_secs(20);

/// Bytes of `/v1/large`: more than the buffers of two sockets take.
pub(super) const LARGE: usize = 64 << 20;

pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) metrics: Option<SocketAddr>,
    pub(super) readiness: Readiness,
    /// Requests to `/v1/held` wait here; each permit lets one go.
    pub(super) held: Arc<Held>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), Error>>,
}

#[derive(Default)]
pub(super) struct Held {
    came: Notify,
    go: Option<Semaphore>,
}

impl Held {
    pub(super) async fn came(&self) {
        tokio::time::timeout(LONG, self.came.notified()).await.expect("the request reaches its handler");
    }

    pub(super) fn let_go(&self) {
        self.go.as_ref().unwrap().add_permits(1);
    }
}

/// The folder with the file of keys; it goes with the test.
pub(super) struct Folder(pub(super) tempfile::TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn keys(&self) -> PathBuf {
        self.0.path().join("keys/api-keys.json")
    }

    pub(super) fn make(&self, new: NewKey) -> (String, String) {
        let made = keys::make(&self.keys(), new, Utc::now()).unwrap();
        (made.record.id, made.key.expose_secret().to_owned())
    }

    /// A key for all.
    pub(super) fn key(&self) -> String {
        self.make(new_key()).1
    }

    pub(super) fn settings(&self) -> Settings {
        settings(Admission::Keys(Keys::open(&self.keys(), None).unwrap()))
    }
}

pub(super) fn new_key() -> NewKey {
    NewKey { name: "test".to_owned(), scope: Scope::new(vec![], vec![]).unwrap(), rate: None, expires: None }
}

pub(super) fn settings(admission: Admission) -> Settings {
    // Tests ask again and again until a key is known.
    let failure_rate = "1000000".parse().unwrap();
    Settings { failure_rate, ..Settings::new("127.0.0.1:0".parse().unwrap(), admission) }
}

pub(super) fn open_settings() -> Settings {
    settings(Admission::anonymous().unwrap())
}

fn app(held: &Arc<Held>) -> App {
    let holding = held.clone();
    let wait = async move || {
        holding.came.notify_one();
        holding.go.as_ref().unwrap().acquire().await.unwrap().forget();
        "let go"
    };
    let endpoint = |name: &str, path: &str, handler| Route::endpoint(name, vec![path.into()], handler);
    App {
        pipeline: "shop".to_owned(),
        routes: vec![
            Route::endpoint(
                "items",
                vec!["/v1/items/{id}".into(), "/old/items/{id}".into()],
                get(async |Path(id): Path<String>| format!("item {id}")),
            ),
            endpoint("others", "/v1/others", get(async || "others")),
            endpoint("held", "/v1/held", get(wait)),
            endpoint("panics", "/v1/panics", get(async || -> &'static str { panic!("on purpose") })),
            endpoint("large", "/v1/large", get(async || "0123456789abcdef".repeat(LARGE / 16))),
            endpoint("text", "/v1/text", get(async || "a text that is repeated ".repeat(1_000))),
            Route { name: "docs".to_owned(), access: Access::AnyKey, paths: vec!["/docs".into()], handler: get(async || "docs") },
        ],
    }
}

pub(super) async fn serve(settings: Settings) -> Running {
    let held = Arc::new(Held { came: Notify::new(), go: Some(Semaphore::new(0)) });
    let server = Server::bind(settings).await.unwrap();
    let (address, metrics, readiness) = (server.address().unwrap(), server.metrics_address().unwrap(), server.readiness());
    let (stop, stopped) = oneshot::channel::<()>();
    let app = app(&held);
    let task = tokio::spawn(server.run(app, async {
        let _ = stopped.await;
    }));
    Running { address, metrics, readiness, held, stop: Some(stop), task }
}

impl Running {
    pub(super) async fn connect(&self) -> Client<TcpStream> {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// One request on a connection of its own; `head` is what follows the request line.
    pub(super) async fn get(&self, path: &str, head: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: here\r\n{head}Connection: close\r\n\r\n").as_bytes()).await
    }

    pub(super) async fn get_with(&self, path: &str, key: &str) -> Answer {
        self.get(path, &format!("Authorization: Bearer {key}\r\n")).await
    }

    pub(super) async fn send(&self, bytes: &[u8]) -> Answer {
        let mut client = self.connect().await;
        // The server may have had enough before all is sent.
        let _ = client.0.write_all(bytes).await;
        client.answer().await
    }

    /// Asks until the answer is as expected.
    pub(super) async fn until(&self, path: &str, key: &str, expected: u16) -> Answer {
        let started = Instant::now();
        loop {
            let answer = self.get_with(path, key).await;
            if answer.status == expected {
                return answer;
            }
            assert!(started.elapsed() < LONG, "{path} still answers {}", answer.status);
            tokio::task::yield_now().await;
        }
    }

    pub(super) fn stop(&mut self) {
        let _ = self.stop.take().expect("it is stopped once").send(());
    }

    pub(super) async fn ended(self) {
        tokio::time::timeout(LONG, self.task).await.expect("the server ends").unwrap().unwrap();
    }
}

pub(super) struct Client<S>(pub(super) S);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(super) async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// All that comes until the server closes.
    pub(super) async fn answer(&mut self) -> Answer {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(LONG, self.0.read_to_end(&mut bytes)).await.expect("the server closes");
        assert!(read.is_ok() || !bytes.is_empty(), "{read:?}");
        Answer::parse(&bytes)
    }

    /// How the server ended the connection, and after how long.
    pub(super) async fn dropped(&mut self) -> (usize, Duration) {
        let started = Instant::now();
        let mut bytes = Vec::new();
        let _ = tokio::time::timeout(LONG, self.0.read_to_end(&mut bytes)).await.expect("the server closes");
        (bytes.len(), started.elapsed())
    }
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The problem document, looked at for all that each of them must hold.
    pub(super) fn problem(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        let document: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(document["status"], self.status);
        assert_eq!(document["type"], format!("/problems/{}", document["code"].as_str().unwrap()));
        assert_eq!(document["instance"], format!("/requests/{}", self.header("x-request-id").unwrap()));
        document
    }

    pub(super) fn code(&self) -> String {
        self.problem()["code"].as_str().unwrap().to_owned()
    }
}
