//! The shipped pipeline on generated files: every figure of the file is found again in every store.

use std::collections::BTreeSet;
use std::process::Command;

use model::report::{Outcome, StageName};
use model::slice::Slice;
use tests::kit::TestPipeline;
use tests::session_events::archive::{Compression, compress};
use tests::session_events::{Dataset, Options, Order, Truth};

use crate::api::kit::Api;

/// What both Cassandra tables and the lake must say of a file.
async fn assert_truth(t: &TestPipeline, truth: &Truth) {
    assert_eq!(t.count("SELECT count(*) FROM session_events").await, truth.events);
    assert_eq!(t.count("SELECT count(*) FROM sessions").await, truth.sessions);
    assert_eq!(t.count("SELECT count(DISTINCT session_id) FROM sessions").await, truth.sessions, "one row a session");
    assert_eq!(t.count("SELECT count(*) FROM sessions WHERE is_complete").await, truth.complete);
    assert_cassandra_equals_lake(t).await;
}

/// The rows of Cassandra and those that the lake says should be there, compared both ways.
async fn assert_cassandra_equals_lake(t: &TestPipeline) {
    let millis = |column: &str| format!("date_trunc('millisecond', {column}) AS {column}");
    let completed = format!(
        "SELECT player_id, {}, session_id, country, {} FROM sessions WHERE is_complete",
        millis("end_ts"),
        millis("start_ts")
    );
    let started =
        format!("SELECT country, event_date, {}, session_id, player_id FROM session_events WHERE event = 'start'", millis("ts"));
    for (lake, cassandra) in [
        (completed, "SELECT player_id, end_ts, session_id, country, start_ts FROM {ks}.completed_sessions"),
        (started, "SELECT country, day, ts, session_id, player_id FROM {ks}.started_sessions"),
    ] {
        let expected: BTreeSet<String> = t.sql(&lake).await.iter().map(|row| padded(row)).collect();
        let found: BTreeSet<String> = t.cql(cassandra).await.iter().map(|row| padded(row)).collect();
        let missing: Vec<_> = expected.difference(&found).take(3).collect();
        let foreign: Vec<_> = found.difference(&expected).take(3).collect();
        assert!(missing.is_empty() && foreign.is_empty(), "{cassandra}: missing {missing:?}, foreign {foreign:?}");
    }
}

/// Instants with three digits of a second, however they were shown.
fn padded(row: &str) -> String {
    row.split(" | ")
        .map(|column| match column.strip_suffix('Z') {
            Some(instant) => {
                let (seconds, fraction) = instant.split_once('.').unwrap_or((instant, ""));
                format!("{seconds}.{fraction:0<3}Z")
            }
            None => column.to_owned(),
        })
        .collect::<Vec<_>>()
        .join(" | ")
}

/// The whole demonstration file: the published figures, in every store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_full_file_has_its_golden_figures_everywhere() {
    let data = Dataset::generate(&Options::default()).unwrap();
    let t = TestPipeline::session_events().await;
    t.serve(compress(&data.to_bytes(), Compression::Zst, "events.jsonl"));
    drop(data);

    let report = t.run().await;
    let raw = report.stages.iter().find(|stage| stage.stage == StageName::LandingToRaw).unwrap();
    assert_eq!((raw.counts.read, raw.counts.accepted), (1_001_169, 1_001_169));
    assert_eq!(raw.commits, 31, "a micro-batch per event date");

    assert_eq!(t.count("SELECT count(*) FROM session_events").await, 1_001_169);
    assert_eq!(t.count("SELECT count(DISTINCT event_date) FROM session_events").await, 31);
    assert_eq!(t.count("SELECT count(*) FROM sessions").await, 500_587);
    assert_eq!(t.count("SELECT count(DISTINCT session_id) FROM sessions").await, 500_587);
    assert_eq!(t.count("SELECT count(start_ts) FROM sessions").await, 500_584);
    assert_eq!(t.count("SELECT count(end_ts) FROM sessions").await, 500_585);
    assert_eq!(t.count("SELECT count(*) FROM sessions WHERE is_complete").await, 500_582);
    assert_eq!(t.count("SELECT count(DISTINCT player_id) FROM sessions WHERE is_complete").await, 19_615);
    assert_eq!(t.count("SELECT count(*) FROM sessions WHERE is_complete AND country IS NULL").await, 0);
    let top = "SELECT country, count(*) AS n FROM sessions WHERE is_complete GROUP BY country ORDER BY n DESC, country LIMIT 3";
    assert_eq!(t.sql(top).await, ["IT | 2839", "SH | 2672", "AZ | 2670"]);
    assert_eq!(t.sql("SELECT count(DISTINCT country), min(n), max(n) FROM (SELECT country, count(*) AS n FROM sessions WHERE is_complete GROUP BY country)").await, ["246 | 1317 | 2839"]);

    assert_eq!(t.cql("SELECT session_id FROM {ks}.started_sessions").await.len(), 500_584);
    assert_eq!(t.cql("SELECT session_id FROM {ks}.completed_sessions").await.len(), 500_582);

    // README's questions to it are answered, each with the three rows that it asks for.
    let api = Api::start(&t).await;
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let asked: Vec<&str> = readme.lines().filter(|line| line.starts_with("curl ") && line.contains("127.0.0.1:8080")).collect();
    assert_eq!(asked.len(), 3, "{asked:?}");
    for line in asked {
        let curl =
            Command::new("sh").arg("-c").arg(line.replace("http://127.0.0.1:8080", &api.url)).env("KEY", &api.key).output();
        let curl = curl.unwrap();
        let text = String::from_utf8(curl.stdout).unwrap();
        assert!(curl.status.success(), "{line}: {}", String::from_utf8_lossy(&curl.stderr));
        let rows = match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(page) => page["items"].as_array().map_or(0, Vec::len),
            Err(_) => text.lines().count() - 1,
        };
        assert_eq!(rows, 3, "{line}: {text}");
    }
}

/// A bz2 file, as the source serves it, arrives whole; a second run makes no commit and writes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_arrives_whole_and_only_once() {
    let data = Dataset::generate(&Options { lines: Some(40_000), ..Options::default() }).unwrap();
    let t = TestPipeline::session_events().await;
    t.serve(compress(&data.to_bytes(), Compression::Bz2, "events.jsonl"));

    t.run().await;
    assert_truth(&t, &data.truth()).await;

    let write_times = "SELECT writetime(country) FROM {ks}.completed_sessions";
    let versions = (t.version("raw", "session_events").await, t.version("use_case", "sessions").await, t.cql(write_times).await);
    let again = t.run().await;
    assert!(again.stages.iter().all(|stage| stage.outcome == Outcome::UpToDate), "{again:#?}");
    assert!(again.stages.iter().all(|stage| stage.written == 0 && stage.commits == 0), "{again:#?}");
    let after = (t.version("raw", "session_events").await, t.version("use_case", "sessions").await, t.cql(write_times).await);
    assert_eq!(after, versions);
}

/// However events arrive, shuffled, twice, late or in several files, the tables come out the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_of_arrival_makes_no_difference() {
    let in_order = Options::small(3000, 6);
    let shuffled = Options { order: Order::Shuffled, duplicate_percent: 4.0, ..in_order.clone() };
    let late = Options { late_percent: 30.0, duplicate_percent: 4.0, ..in_order.clone() };
    let straight = TestPipeline::session_events().await;
    let data = Dataset::generate(&in_order).unwrap();
    straight.serve(data.to_bytes()).run().await;

    for options in [shuffled, late] {
        assert_same_tables(&straight, &options, &data.truth()).await;
    }
}

/// Loads the file of `options` in four parts and compares all tables with those of `straight`.
async fn assert_same_tables(straight: &TestPipeline, options: &Options, truth: &Truth) {
    let crooked = TestPipeline::session_events().await;
    crooked.one_date_a_commit();
    let disordered = Dataset::generate(options).unwrap().to_bytes();
    let lines: Vec<&[u8]> = disordered.split_inclusive(|byte| *byte == b'\n').collect();
    let mut duplicates = 0;
    for part in lines.chunks(lines.len() / 3) {
        let report = crooked.serve(part.concat()).run().await;
        duplicates += report.stages.iter().map(|stage| stage.counts.duplicate).sum::<u64>();
    }
    assert_eq!(duplicates, lines.len() as u64 - truth.events);

    let sessions = "SELECT session_id, player_id, country, start_ts, end_ts, is_complete, ends_before_start, session_date FROM sessions ORDER BY session_id";
    assert_eq!(crooked.sql(sessions).await, straight.sql(sessions).await);
    let events = "SELECT event, country, player_id, session_id, ts, event_date FROM session_events ORDER BY session_id, event";
    assert_eq!(crooked.sql(events).await, straight.sql(events).await);
    assert_truth(&crooked, truth).await;
}

/// A debug slice takes its dates and nothing else, into a lake of its own, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_debug_slice_takes_the_fourth_to_sixth_date() {
    let data = Dataset::generate(&Options::small(3000, 8)).unwrap();
    let mut t = TestPipeline::session_events().await;
    t.slice = Slice::parse("1").unwrap();
    t.serve(data.to_bytes());

    let report = t.run().await;
    assert_eq!(report.slice.as_deref(), Some("dates:4-6"));
    let dates: BTreeSet<_> = data.events().map(|event| event.date()).collect();
    let taken: BTreeSet<_> = dates.into_iter().skip(3).take(3).collect();
    let truth = data.truth_of(|event| taken.contains(&event.date()));
    assert_truth(&t, &truth).await;
    let raw = report.stages.iter().find(|stage| stage.stage == StageName::LandingToRaw).unwrap();
    assert_eq!(raw.counts.sliced_off, data.truth().events - truth.events);
    let shown: Vec<String> = taken.iter().map(ToString::to_string).collect();
    assert_eq!(t.sql("SELECT DISTINCT event_date FROM session_events ORDER BY event_date").await, shown);
}
