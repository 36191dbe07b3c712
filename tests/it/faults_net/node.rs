//! A node of its own: one that wants a log-in, is paused, killed in the middle of a send, started anew, overloaded, and killed as
//! soon as everything was acknowledged.

use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use cassandra::node::{self, Options, State};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tests::kit::{KeyspaceSession, TestPipeline};
use tests::proxy::Proxy;

use super::{cells, cells_in, output, session_with, stderr, undisturbed, until};

const ADMIN: (&str, &str) = ("cassandra", "cassandra");

/// A node that is stopped when the test is over, however it ends.
pub(crate) struct OwnNode {
    pub(crate) options: Options,
    _folder: TempDir,
}

impl OwnNode {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("sluice node ").tempdir().unwrap();
        let mut options = Options::new(|name| std::env::var_os(name));
        options.dir = folder.path().join(".sluice");
        options.heap = String::from("384M");
        Self { options, _folder: folder }
    }

    pub(crate) async fn up(&self) -> State {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            match node::up(&self.options, &mut |_| {}).await {
                // The kernel has not yet let go of what a killed one held.
                Err(node::Error::PortTaken { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                up => return up.unwrap(),
            }
        }
    }
}

impl Drop for OwnNode {
    fn drop(&mut self) {
        let options = self.options.clone();
        let stop = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                // A paused process does not hear that it is to end. Whatever went wrong was the test's to say.
                if let Ok(node::Status::Running { state, .. }) = node::status(&options).await {
                    signal(&state, Signal::SIGCONT);
                }
                let _ = node::down(&options, &mut |_| {}).await;
            });
        };
        let _ = std::thread::spawn(stop).join();
    }
}

pub(crate) fn signal(state: &State, signal: Signal) {
    let _ = kill(Pid::from_raw(state.pid.cast_signed()), signal);
}

/// `sluice run` against an address, logged in, into a keyspace of this name. What it logs says when it asks again.
async fn run_as((user, password): (&str, &str), t: &TestPipeline, address: SocketAddr) -> Command {
    let mut command = t.sluice(&["run", "session_events"]).await;
    command
        .env("CASSANDRA_HOST", address.to_string())
        .env("CASSANDRA_USERNAME", user)
        .env("CASSANDRA_PASSWORD", password)
        .env("SLUICE_LOG", "cassandra=debug")
        // A group for each version: while one is sent, the one before gets its checkpoint, or is sent again.
        .env("SLUICE_SEND_ROWS", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn at_once(started: Instant, ended: &Output) {
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}: {}", started.elapsed(), stderr(ended));
    assert_eq!(ended.status.code(), Some(2), "{}", stderr(ended));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_refuses_pauses_dies_comes_back_and_is_overloaded_ends_with_the_same_cells() {
    let (t, whole) = undisturbed(6_000, 4).await;
    let mut own = OwnNode::new();
    for (key, value) in [
        ("authenticator", "PasswordAuthenticator"),
        ("authorizer", "CassandraAuthorizer"),
        ("role_manager", "CassandraRoleManager"),
    ] {
        own.options.config.push((key.to_owned(), value.to_owned()));
    }
    let state = own.up().await;
    own.options.port = Some(state.port);
    let session = session_with(&state.address().to_string(), Some(ADMIN)).await;

    // Who is not let in is told at once, and not at the deadline for a node that starts.
    for login in [("cassandra", "wrong"), ("nobody", "cassandra")] {
        let started = Instant::now();
        let ended = output(run_as(login, &t, state.address()).await.spawn().unwrap()).await;
        at_once(started, &ended);
        assert!(stderr(&ended).contains(&format!("Cassandra does not let user {} in", login.0)), "{}", stderr(&ended));
        assert!(!stderr(&ended).contains("wrong"), "the password is not shown");
    }
    // One who may log in, and nothing else.
    session.query_unpaged("CREATE ROLE guest WITH PASSWORD = 'guest' AND LOGIN = true", ()).await.unwrap();
    let started = Instant::now();
    let ended = output(run_as(("guest", "guest"), &t, state.address()).await.spawn().unwrap()).await;
    at_once(started, &ended);
    assert!(stderr(&ended).contains("guest") && stderr(&ended).contains("the user needs CREATE"), "{}", stderr(&ended));
    drop(session);

    // Paused in the middle of a send, until requests have been given up and sent again.
    let proxy = Proxy::to(state.address().to_string()).await;
    proxy.slow(Duration::from_millis(40));
    let log = t.lake().join("log");
    let mut command = run_as(ADMIN, &t, proxy.address()).await;
    let child = command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    until("rows are on their way", || proxy.sent() > 150_000).await;
    signal(&state, Signal::SIGSTOP);
    let sent = proxy.sent();
    // What the driver had in flight has gone out; nothing is answered any more.
    until("it has stopped sending", || proxy.sent() > sent || proxy_is_idle(&proxy)).await;
    signal(&state, Signal::SIGCONT);

    // Killed in the middle of the same send. When it comes back it is overloaded: it gives up on a write after 10 ms.
    let sent = proxy.sent();
    until("more rows are on their way", || proxy.sent() > sent + 150_000).await;
    signal(&state, Signal::SIGKILL);
    own.options.config.push(("write_request_timeout".to_owned(), "10ms".to_owned()));
    proxy.slow(Duration::ZERO);
    restarted(&own).await;
    let ended = output(child).await;
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(ended.status.success(), "{log}");
    assert!(log.matches(" again").count() > 10, "it was disturbed: {log}");
    assert!(log.contains("a node was started anew: send all of it again"), "{log}");
    // What it had acknowledged before it was killed is not sent again.
    assert_eq!(cells_in(state.address(), Some(ADMIN), &t.keyspace).await, whole);

    // All of it once more, into the node that is overloaded from the start; killed as soon as all is acknowledged.
    let other = KeyspaceSession::new().await;
    let mut command = run_as(ADMIN, &t, state.address()).await;
    let ended = output(command.env("CASSANDRA_KEYSPACE", &other.keyspace).spawn().unwrap()).await;
    let Ok(node::Status::Running { state, .. }) = node::status(&own.options).await else { panic!("it runs") };
    signal(&state, Signal::SIGKILL);
    assert!(ended.status.success(), "{}", stderr(&ended));
    let late = "Not enough nodes responded to the write request in time";
    assert!(stderr(&ended).contains(late), "it was overloaded: {}", stderr(&ended));
    restarted(&own).await;
    assert_eq!(cells_in(state.address(), Some(ADMIN), &other.keyspace).await, whole);
    assert_eq!(cells(&t).await, whole, "the first Cassandra was left alone");
}

/// A node that was killed, started again.
pub(crate) async fn restarted(own: &OwnNode) {
    while matches!(node::status(&own.options).await.unwrap(), node::Status::Running { .. }) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    own.up().await;
}

/// No byte has come for some looks in a row.
fn proxy_is_idle(proxy: &Proxy) -> bool {
    let before = proxy.sent();
    std::thread::sleep(Duration::from_millis(300));
    proxy.sent() == before
}
