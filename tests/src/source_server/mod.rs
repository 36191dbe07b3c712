//! An HTTP source for tests that fails on demand and remembers what it was asked.
//!
//! ```ignore
//! let source = SourceServer::start();
//! source.put("/events.json", b"{}\n");
//! source.script("/events.json", [Reply::status(503), Reply::normal().cut_after(1)]);
//! // ... two attempts fail, the third gets the file ...
//! assert_eq!(source.requests("/events.json")[2].header("range"), Some("bytes=1-"));
//! ```
//!
//! Each path has a file, a script (answers that are used up, one a request) and an answer for all requests after those.
//! The server runs on a thread of its own, so that a test may block, or start the program and wait for it. It listens on a free
//! port of the loopback interface; when it is dropped it stops, and its connections break off.

mod answer;
mod reply;

pub use reply::Reply;

use crate::http::{self, Request};
use answer::Answers;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A running server.
pub struct SourceServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// One request, as it was seen and answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRequest {
    pub request: Request,
    /// The status of the answer; none where the server hung up.
    pub status: Option<u16>,
    /// The length of the body that was to be sent, before any fault cut it off.
    pub body_bytes: u64,
}

impl SeenRequest {
    /// The value of a request header, by its name in lower case: `range`, `if-range`, `if-none-match`, ...
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.header(name)
    }
}

/// What the tests put in and the answers take out.
#[derive(Default)]
struct State {
    places: HashMap<String, Place>,
    seen: Vec<SeenRequest>,
}

/// What is at one path.
#[derive(Default)]
struct Place {
    file: Option<File>,
    /// Counts the files that were put here, so that each has a later date.
    revision: i64,
    script: VecDeque<Reply>,
    afterwards: Option<Reply>,
}

#[derive(Clone)]
struct File {
    bytes: Arc<Vec<u8>>,
    last_modified: DateTime<Utc>,
}

impl Place {
    fn hold(&mut self, bytes: Vec<u8>) {
        self.revision += 1;
        let first = DateTime::from_timestamp(1_480_550_400, 0).expect("1 December 2016 can be represented");
        let last_modified = first + TimeDelta::seconds(self.revision);
        self.file = Some(File { bytes: Arc::new(bytes), last_modified });
    }
}

impl SourceServer {
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let (stop, stopped) = oneshot::channel();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback interface has a free port");
        listener.set_nonblocking(true).expect("a fresh socket can be configured");
        let address = listener.local_addr().expect("a bound socket has an address");
        let answers = Arc::new(Answers { state: Arc::clone(&state) });
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime of one thread can be made").block_on(async {
                let listener = TcpListener::from_std(listener).expect("the runtime takes a bound socket");
                tokio::select! {
                    never = http::serve(listener, answers) => match never {},
                    _ = stopped => {}
                }
            });
        });
        Self { address, state, stop: Some(stop), thread: Some(thread) }
    }

    /// The URL of a path, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Puts a file at a path, in place of the one that was there. The same bytes again have the same `ETag`, but a later
    /// `Last-Modified`.
    pub fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.state().places.entry(path.to_owned()).or_default().hold(bytes.into());
    }

    /// Appends answers to the script of a path. Each is used for one request.
    pub fn script(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        self.state().places.entry(path.to_owned()).or_default().script.extend(replies);
    }

    /// Answers this to all requests for which the script has nothing (anymore). Without it, they get [`Reply::normal`].
    pub fn always(&self, path: &str, reply: Reply) {
        self.state().places.entry(path.to_owned()).or_default().afterwards = Some(reply);
    }

    /// Answers of a path's script that no request has met yet.
    pub fn unplayed(&self, path: &str) -> usize {
        self.state().places.get(path).map_or(0, |place| place.script.len())
    }

    /// The requests for a path so far, whatever their query, in the order of their arrival.
    pub fn requests(&self, path: &str) -> Vec<SeenRequest> {
        self.state().seen.iter().filter(|seen| seen.request.path() == path).cloned().collect()
    }

    /// All requests so far.
    pub fn all_requests(&self) -> Vec<SeenRequest> {
        self.state().seen.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the state")
    }
}

impl Drop for SourceServer {
    fn drop(&mut self) {
        // Whichever of the two fails: the thread is gone already.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
