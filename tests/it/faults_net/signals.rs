//! SIGTERM and Ctrl-C at any moment of the real program: it ends, says what remains, and the same command goes on.

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::cassandra_node;
use tests::kit::TestPipeline;
use tests::proxy::Proxy;
use tests::session_events::archive::{Compression, compress};
use tests::session_events::{Dataset, Options};
use tests::source_server::Reply;

use super::{cells, output, run_through, stderr, until};

/// Within which it ends on a machine that does many other things. On one that does not, two seconds are promised: of several stops
/// the fastest shows whether it is kept.
const LONG: Duration = Duration::from_secs(30);

fn tell(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
}

/// Sends a signal, and waits for the end.
async fn ends_soon(child: Child, signal: Signal) -> Output {
    let asked = Instant::now();
    tell(&child, signal);
    let ended = output(child).await;
    let (took, said) = (asked.elapsed(), stderr(&ended));
    assert!(took < LONG, "{took:?}: {said}");
    ended
}

fn went_on_later(ended: &Output, remaining: &str) {
    let said = stderr(ended);
    assert_eq!(ended.status.code(), Some(75), "{said}");
    assert!(said.contains("stopping at the next consistent point"), "{said}");
    assert!(said.contains("error: stopped by a signal"), "{said}");
    assert!(said.lines().any(|line| line.starts_with("still to do: ") && line.contains(remaining)), "{said}");
    assert!(said.contains("hint: run the same command again"), "{said}");
    assert!(ended.stdout.is_empty(), "nothing that could be taken for a report is on stdout");
}

/// Numbers that look random, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u128) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u64::try_from((u128::from(self.0 >> 11) * bound) >> 53).unwrap()
    }
}

/// Told to stop at any moment of a run whose source and Cassandra are slow, again and again until it is through, in turn by both
/// signals: every stop comes to an end, and the end is the end of a run that nobody stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_stop_at_any_moment_it_ends_and_the_same_command_gets_to_the_end() {
    let data = Dataset::generate(&Options::small(8_000, 5)).unwrap();
    let file = compress(&data.to_bytes(), Compression::Gz, "events.jsonl");
    let proxy = Proxy::to(cassandra_node::hosts().await.iter().next().unwrap().to_owned()).await;
    proxy.slow(Duration::from_millis(8));
    let slow_source = |t: &TestPipeline| {
        t.one_date_a_commit().serve(file.clone());
        t.server.always("/events.jsonl", Reply::normal().slow(16 * 1024, Duration::from_millis(15)));
    };

    let undisturbed = TestPipeline::session_events().await;
    slow_source(&undisturbed);
    let started = Instant::now();
    let ended = output(run_through(&undisturbed, &proxy).await.spawn().unwrap()).await;
    assert!(ended.status.success(), "{}", stderr(&ended));
    let whole_run = started.elapsed();
    let wanted = keys(&undisturbed).await;

    let mut random = Random(0x5eed);
    let (mut stops, mut fastest, mut slowest) = (0, LONG, Duration::ZERO);
    while stops < 8 {
        let t = TestPipeline::session_events().await;
        slow_source(&t);
        loop {
            let child = run_through(&t, &proxy).await.spawn().unwrap();
            let moment = Duration::from_micros(random.below(whole_run.as_micros()));
            tokio::time::sleep(moment).await;
            let signal = if stops % 2 == 0 { Signal::SIGTERM } else { Signal::SIGINT };
            let asked = Instant::now();
            let ended = ends_soon(child, signal).await;
            // Before it could listen, or when all was done.
            if ended.status.code() == Some(0) {
                break;
            }
            if ended.status.code().is_some() {
                went_on_later(&ended, " ");
                (fastest, slowest) = (fastest.min(asked.elapsed()), slowest.max(asked.elapsed()));
                stops += 1;
            }
        }
        assert_eq!(keys(&t).await, wanted);
        assert_eq!(t.count("SELECT count(*) FROM session_events").await, data.truth().events);
    }
    println!("{stops} stops in a run of {whole_run:?}, from {fastest:?} to {slowest:?}");
    assert!(fastest < Duration::from_secs(2), "{fastest:?}");
}

/// Everything but write times, which two runs of their own cannot share.
async fn keys(t: &TestPipeline) -> Vec<Vec<String>> {
    let without_times = |row: String| {
        let columns: Vec<_> = row.split(" | ").collect();
        let is_time = |column: &&&str| !(column.len() == 16 && column.bytes().all(|byte| byte.is_ascii_digit()));
        columns.iter().filter(is_time).copied().collect::<Vec<_>>().join(" | ")
    };
    let mut tables = Vec::new();
    for rows in cells(t).await {
        let mut rows: Vec<_> = rows.into_iter().map(without_times).collect();
        rows.sort();
        tables.push(rows);
    }
    tables
}

/// Servers that accept and never answer, and a Cassandra that falls silent in the middle of a send.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_keep_silent_hold_no_stop_up_and_a_second_signal_ends_at_once() {
    let data = Dataset::generate(&Options::small(6_000, 4)).unwrap();
    let t = TestPipeline::session_events().await;
    t.serve(data.to_bytes());
    t.server.script("/events.jsonl", [Reply::normal().stall_after(100_000)]);
    let proxy = Proxy::to(cassandra_node::hosts().await.iter().next().unwrap().to_owned()).await;
    let child = run_through(&t, &proxy).await.spawn().unwrap();
    let part = || t.server.requests("/events.jsonl").len() == 1;
    until("it fetches", part).await;
    went_on_later(&ends_soon(child, Signal::SIGTERM).await, "url-to-landing events");

    // All is loaded, and Cassandra accepts without answering.
    proxy.freeze();
    let child = run_through(&t, &proxy).await.spawn().unwrap();
    let loaded = t.lake().join("raw/session_events/session_events/_delta_log/00000000000000000001.json");
    until("it has loaded", || loaded.exists()).await;
    went_on_later(&ends_soon(child, Signal::SIGINT).await, "use-case-to-cassandra completed_sessions");

    // It falls silent with rows on their way.
    proxy.mend();
    proxy.slow(Duration::from_millis(40));
    let child = run_through(&t, &proxy).await.spawn().unwrap();
    let before = proxy.sent();
    until("rows are on their way", || proxy.sent() > before + 150_000).await;
    proxy.freeze();
    went_on_later(&ends_soon(child, Signal::SIGTERM).await, "to-cassandra");

    // The second signal.
    let mut child = run_through(&t, &proxy).await.spawn().unwrap();
    let mut stderr_of_child = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("waiting for Cassandra") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut stderr_of_child, &mut line).unwrap() > 0, "it ended");
    }
    tell(&child, Signal::SIGTERM);
    tell(&child, Signal::SIGINT);
    let asked = Instant::now();
    let ended = output(child).await;
    // Two signals of two kinds may be heard in one look; then the first was enough.
    assert!(matches!(ended.status.code(), Some(130 | 75)), "{ended:?}");
    assert!(asked.elapsed() < LONG, "{:?}", asked.elapsed());

    proxy.mend();
    proxy.slow(Duration::ZERO);
    assert!(output(run_through(&t, &proxy).await.spawn().unwrap()).await.status.success());
    assert_eq!(t.cql("SELECT session_id FROM {ks}.completed_sessions").await.len() as u64, data.truth().complete);
}

const PAIRS: &str = r#"
[pipeline]
name = "pairs"
[source.numbers]
url = "${NUMBERS_URL}"
[landing.numbers]
format = "json_lines"
[raw.numbers]
from = "numbers"
on_change = "replace"
[raw.numbers.columns]
n = { type = "int64" }
[use_case.pairs]
mode = "view"
from = ["raw.numbers"]
sql = "pairs.sql"
key = ["digit"]
"#;

/// A view that computes for longer than anybody waits: no loop of ours runs meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_computes_for_minutes_is_left_at_once() {
    let slow = "SELECT a.n % 10 AS digit, count(*) AS pairs FROM numbers a, numbers b WHERE (a.n * b.n) % 7 = 3 GROUP BY 1";
    let t = TestPipeline::written("pairs", &[("pipeline.toml", PAIRS), ("pairs.sql", slow)]).await;
    let lines: Vec<String> = (0..200_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let lines = lines.concat();
    t.serve_at("numbers", lines);
    let command = async || {
        let mut command: Command = t.sluice(&["run", "pairs"]).await;
        command.env("NUMBERS_URL", t.server.url("/numbers")).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let child = command().await.spawn().unwrap();
    let loaded = t.lake().join("raw/pairs/numbers/_delta_log/00000000000000000001.json");
    until("it has loaded", || loaded.exists()).await;
    until("it computes", || cpu_seconds(child.id()) > 1.0).await;
    went_on_later(&ends_soon(child, Signal::SIGTERM).await, "raw-to-use-case pairs");

    let quick = "SELECT n % 10 AS digit, count(*) AS pairs FROM numbers GROUP BY 1";
    std::fs::write(t.definition().join("pairs.sql"), quick).unwrap();
    let mut rebuild = t.sluice(&["rebuild", "pairs", "use_case.pairs"]).await;
    assert!(rebuild.env("NUMBERS_URL", t.server.url("/numbers")).output().unwrap().status.success());
    let ended = output(command().await.spawn().unwrap()).await;
    assert!(ended.status.success(), "{}", stderr(&ended));
    assert_eq!(t.count("SELECT count(*) FROM pairs").await, 10);
}

/// Processor time that a process has used so far.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
