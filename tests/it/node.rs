//! The local node: a real JVM in a folder of its own for each test.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cassandra::node::{self, Error, Options, Progress, State, Status, Stopped, VERSION};
use model::Classify as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use tempfile::TempDir;

/// A folder for one node, which is stopped when the test is over, however it ends.
struct Home {
    options: Options,
    _folder: TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("sluice node ").tempdir().unwrap();
        let mut options = Options::new(|name| std::env::var_os(name));
        options.dir = folder.path().join(".sluice");
        options.heap = String::from("384M");
        Self { options, _folder: folder }
    }

    /// A machine on which nothing is installed.
    fn bare() -> Self {
        let mut home = Self::new();
        home.options.path = Vec::new();
        home.options.java_home = None;
        home.options.jvm_root = home.path("no-jvm");
        home.options.cache_dir = home.path("no-cache");
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.options.dir.parent().unwrap().join(name)
    }

    fn node_json(&self) -> PathBuf {
        self.options.dir.join("node.json")
    }

    /// A program of this name on the search path, in place of what else is there.
    fn program(&self, name: &str, script: &str) -> PathBuf {
        let bin = self.path("bin");
        fs::create_dir_all(&bin).unwrap();
        let program = bin.join(name);
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        program
    }

    async fn up(&self) -> Result<(State, Vec<Progress>), Error> {
        let mut seen = Vec::new();
        let state = node::up(&self.options, &mut |progress| seen.push(progress)).await?;
        Ok((state, seen))
    }

    async fn down(&self) -> Stopped {
        node::down(&self.options, &mut |_| {}).await.unwrap()
    }

    async fn status(&self) -> Status {
        node::status(&self.options).await.unwrap()
    }

    /// As if `pid` had been started by an `up`.
    fn record(&self, pid: u32) {
        fs::create_dir_all(self.options.dir.join("node")).unwrap();
        let state = State {
            host: "127.0.0.1".parse().unwrap(),
            port: 1,
            jmx_port: 2,
            pid,
            version: VERSION.to_owned(),
            started_at: chrono::Utc::now(),
            data_dir: self.options.dir.join("node/data"),
            log_dir: self.options.dir.join("node/logs"),
        };
        fs::write(self.node_json(), serde_json::to_string(&state).unwrap()).unwrap();
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let options = self.options.clone();
        let stop = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            // Whatever went wrong was the test's to say.
            let _ = runtime.block_on(node::down(&options, &mut |_| {}));
        };
        let _ = std::thread::spawn(stop).join();
    }
}

async fn connect(state: &State) -> Session {
    SessionBuilder::new().known_node_addr(state.address()).build().await.unwrap()
}

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

async fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The whole life of a node, in a folder whose path has a space: started by two at a time, found, stopped, started again, killed.
#[tokio::test]
async fn a_node_keeps_its_data_from_one_start_to_the_next() {
    let home = Home::new();
    assert_eq!(home.status().await, Status::Stopped);

    let (first, second) = tokio::join!(home.up(), home.up());
    let ((first, saw_first), (state, saw_second)) = (first.unwrap(), second.unwrap());
    assert_eq!(first, state, "both were given the one node");
    let starts = saw_first.iter().chain(&saw_second).filter(|progress| matches!(progress, Progress::Starting { .. }));
    assert_eq!(starts.count(), 1);

    let record: serde_json::Value = serde_json::from_slice(&fs::read(home.node_json()).unwrap()).unwrap();
    assert_eq!(record["host"], "127.0.0.1");
    assert_eq!(record["port"], state.port);
    assert_eq!(record["jmx_port"], state.jmx_port);
    assert_eq!(record["pid"], state.pid);
    assert!(is_alive(state.pid));
    assert_eq!(home.status().await, Status::Running { cql: true, state: state.clone() });

    let (again, seen) = home.up().await.unwrap();
    assert_eq!(again, state);
    assert_eq!(seen, [Progress::AlreadyRunning { pid: state.pid }]);

    let session = connect(&state).await;
    for statement in [
        "CREATE KEYSPACE kept WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE kept.words (id int PRIMARY KEY, word text)",
        "INSERT INTO kept.words (id, word) VALUES (1, 'survives')",
    ] {
        session.query_unpaged(statement, ()).await.unwrap();
    }
    drop(session);

    let mut elsewhere = home.options.clone();
    elsewhere.port = Some(state.port - 1);
    let error = node::up(&elsewhere, &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, Error::OtherPort { .. }), "{error:?}");

    assert_eq!(home.down().await, Stopped::Drained { pid: state.pid });
    wait_until("the process is gone", || !is_alive(state.pid)).await;
    assert!(!home.node_json().exists());
    assert_eq!(home.status().await, Status::Stopped);
    assert_eq!(home.down().await, Stopped::WasNotRunning);

    // Other ports, the same data.
    let (state, _) = home.up().await.unwrap();
    let rows = connect(&state).await.query_unpaged("SELECT word FROM kept.words WHERE id = 1", ()).await.unwrap();
    assert_eq!(rows.into_rows_result().unwrap().single_row::<(String,)>().unwrap().0, "survives");

    kill(Pid::from_raw(state.pid.cast_signed()), Signal::SIGKILL).unwrap();
    wait_until("the process is gone", || !is_alive(state.pid)).await;
    assert_eq!(home.status().await, Status::Stale { pid: state.pid });
    assert_eq!(home.down().await, Stopped::WasStale { pid: state.pid });
    assert_eq!(home.status().await, Status::Stopped);
}

/// Killed by the kernel for want of memory, say.
#[tokio::test]
async fn a_node_that_is_killed_while_it_starts_is_an_error_that_shows_how_and_where() {
    let home = Home::new();

    let error = node::up(&home.options, &mut |progress| {
        if let Progress::Starting { pid, .. } = progress {
            kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
        }
    })
    .await
    .unwrap_err();

    let text = error.to_string();
    assert!(text.contains("signal: 9") && text.contains("system.log"), "{text}");
    assert!(error.hint().unwrap().contains("memory"));
    assert_eq!(home.status().await, Status::Stopped, "no record is left behind");
}

#[tokio::test]
async fn a_node_that_is_not_ready_in_time_is_stopped() {
    let mut home = Home::new();
    home.options.start_timeout = Duration::ZERO;
    let mut started = None;

    let error = node::up(&home.options, &mut |progress| {
        if let Progress::Starting { pid, .. } = progress {
            started = Some(pid);
        }
    })
    .await
    .unwrap_err();

    assert!(matches!(error, Error::NotReady { .. }), "{error:?}");
    wait_until("the process is gone", || !is_alive(started.unwrap())).await;
    assert_eq!(home.status().await, Status::Stopped);
}

/// After a crash and a reboot, the recorded number is somebody else's: here this very test's.
#[tokio::test]
async fn a_process_that_is_not_the_node_is_never_touched() {
    let home = Home::new();
    let stranger = std::process::id();
    let mut ended = std::process::Command::new("true").spawn().unwrap();
    ended.wait().unwrap();

    for pid in [stranger, ended.id()] {
        home.record(pid);
        assert_eq!(home.status().await, Status::Stale { pid });
        assert_eq!(home.down().await, Stopped::WasStale { pid });
        assert!(!home.node_json().exists());
        assert_eq!(home.down().await, Stopped::WasNotRunning);
    }

    // `up` too takes the record away, before it finds that it cannot start.
    let bare = Home::bare();
    bare.record(stranger);
    let mut seen = Vec::new();
    let error = node::up(&bare.options, &mut |progress| seen.push(progress)).await.unwrap_err();
    assert!(matches!(error, Error::NoJava), "{error:?}");
    assert_eq!(seen, [Progress::RemovedStale { pid: stranger }]);
    assert!(!bare.node_json().exists());
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_process_that_holds_it() {
    let mut home = Home::new();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    home.options.port = Some(port);

    let error = home.up().await.unwrap_err();

    let text = error.to_string();
    assert!(text.contains(&format!("port {port} is taken by process {}", std::process::id())), "{text}");
    assert!(error.hint().unwrap().contains("--port"));
}

#[tokio::test]
async fn a_missing_or_wrong_java_is_named_with_the_way_out() {
    let mut home = Home::bare();
    let error = home.up().await.unwrap_err();
    assert!(matches!(error, Error::NoJava), "{error:?}");
    assert!(error.hint().unwrap().contains("apt-get install -y openjdk-17-jre-headless"));

    let java = home.program("java", "echo 'openjdk version \"25.0.1\" 2025-10-21' >&2");
    home.options.path = vec![home.path("bin")];
    let error = home.up().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("Java 17") && text.contains("Java 25") && text.contains(java.to_str().unwrap()), "{text}");

    // A named Java is taken or refused: no other is searched for.
    let mut named = Home::new();
    named.options.java = Some(java);
    let error = named.up().await.unwrap_err();
    assert!(matches!(&error, Error::WrongJava { found } if found.len() == 1), "{error:?}");
}

#[tokio::test]
async fn jars_that_were_fetched_in_part_are_not_taken_for_whole() {
    let mut home = Home::new();
    home.options.cache_dir = home.path("cache");
    let path = std::mem::take(&mut home.options.path);
    home.options.java = path.iter().map(|dir| dir.join("java")).find(|java| java.exists());
    home.options.java_home = None;

    let error = home.up().await.unwrap_err();
    assert!(matches!(error, Error::NoMaven { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("apt-get install -y maven"));

    // `mvn -q -B -f POM goal` fills the folder `lib` beside the POM: this one in part.
    home.program(
        "mvn",
        r#"lib="$(dirname "$4")/lib"; mkdir "$lib"; echo half > "$lib/jamm-0.4.0.jar"; echo "[ERROR] no route"; exit 1"#,
    );
    home.options.path = vec![home.path("bin")];
    let error = home.up().await.unwrap_err();
    assert!(error.to_string().contains("no route"), "{error}");
    home.options.path = Vec::new();
    let error = home.up().await.unwrap_err();
    assert!(matches!(error, Error::NoMaven { .. }), "{error:?}");

    // What a Maven that succeeds has fetched is kept: the next start needs no Maven (and finds that this jar is none).
    home.program("mvn", r#"lib="$(dirname "$4")/lib"; mkdir "$lib"; echo whole > "$lib/jamm-0.4.0.jar""#);
    home.options.path = vec![home.path("bin")];
    for _ in 0..2 {
        let error = home.up().await.unwrap_err();
        assert!(matches!(error, Error::EndedWhileStarting { .. }), "{error:?}");
        assert!(error.to_string().contains("jamm-0.4.0.jar"), "the JVM's own words are shown: {error}");
        home.options.path = Vec::new();
    }

    let jar = home.options.cache_dir.join(format!("cassandra-{VERSION}/lib/jamm-0.4.0.jar"));
    fs::write(jar, "cut").unwrap();
    let error = home.up().await.unwrap_err();
    assert!(matches!(error, Error::NoMaven { .. }), "{error:?}");
}

#[tokio::test]
async fn an_impossible_heap_is_refused_before_anything_is_started() {
    let mut home = Home::bare();
    for (heap, said) in [("lots", "not the size of a heap"), ("900000G", "does not fit")] {
        heap.clone_into(&mut home.options.heap);
        let error = home.up().await.unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert!(error.hint().unwrap().contains("--heap"));
    }
    assert!(!home.options.dir.exists());
}
