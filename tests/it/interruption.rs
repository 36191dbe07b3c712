//! The real program, killed, stopped and started twice.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::kit::TestPipeline;
use tests::session_events::archive::{Compression, compress};
use tests::session_events::{Dataset, Options};

const SESSIONS: &str =
    "SELECT session_id, player_id, country, start_ts, end_ts, is_complete, session_date FROM sessions ORDER BY session_id";

/// Killed again and again at growing delays, in whatever stage it then is, the program gets to the same end as if never killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_time_it_resumes_to_the_same_end() {
    let data = Dataset::generate(&Options::small(20_000, 12)).unwrap();
    let file = compress(&data.to_bytes(), Compression::Gz, "events.jsonl");
    let undisturbed = TestPipeline::session_events().await;
    undisturbed.one_date_a_commit().serve(file.clone()).run().await;

    let t = TestPipeline::session_events().await;
    t.one_date_a_commit().serve(file);
    let mut kills = 0;
    let mut delay = Duration::from_millis(40);
    loop {
        let said = t.lake().with_extension("stderr");
        let stderr = std::fs::File::create(&said).unwrap();
        let mut child = t.sluice(&["run", "session_events"]).await.stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
        let deadline = Instant::now() + delay;
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if Instant::now() >= deadline {
                break None;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        let status = if let Some(status) = ended {
            status
        } else {
            child.kill().unwrap();
            child.wait().unwrap()
        };
        // It may have ended by itself in the moment before.
        if status.signal() != Some(9) {
            assert!(status.success(), "{status} after {kills} kills: {}", std::fs::read_to_string(&said).unwrap());
            break;
        }
        kills += 1;
        delay += Duration::from_millis(60);
        assert!(kills < 200, "it never got to its end");
    }
    assert!(kills >= 3, "only {kills} kills: the test did not interrupt anything");

    assert_eq!(t.count("SELECT count(*) FROM session_events").await, data.truth().events);
    assert_eq!(t.sql(SESSIONS).await, undisturbed.sql(SESSIONS).await);
    for table in ["started_sessions", "completed_sessions"] {
        let sorted = |mut rows: Vec<String>| {
            rows.sort();
            rows
        };
        let query = format!("SELECT * FROM {{ks}}.{table}");
        assert_eq!(sorted(t.cql(&query).await), sorted(undisturbed.cql(&query).await), "{table}");
    }
}

/// SIGTERM: ends at a consistent point, exit code 75, says how to go on; the next run gets to the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_signal_ends_it_at_a_consistent_point() {
    let data = Dataset::generate(&Options::small(60_000, 20)).unwrap();
    let t = TestPipeline::session_events().await;
    t.serve(data.to_bytes());
    let child = t.sluice(&["run", "session_events"]).await.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // In the middle of the load, which is known from the plan's folder.
    let spill = t.lake().join("landing/session_events/events/000001/load/session_events/rows.spill");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !spill.exists() {
        assert!(Instant::now() < deadline, "the load never began");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(75), "{stderr}");
    assert!(stderr.contains("run the same command again"), "{stderr}");

    let output = t.sluice(&["run", "session_events", "--output", "json"]).await.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: model::report::RunReport = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report.accounting_closes);
    assert_eq!(t.count("SELECT count(*) FROM session_events").await, data.truth().events);
    assert_eq!(t.cql("SELECT session_id FROM {ks}.completed_sessions").await.len() as u64, data.truth().complete);
}

/// A second copy on the same lake is told who holds it, with exit code 75.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_copy_is_told_who_holds_the_lake() {
    let t = TestPipeline::session_events().await;
    t.serve("");
    let lake = zones::lake::Lake::new(t.lake(), "session_events");
    let hold = lake.hold("process 4711").unwrap();
    let output = t.sluice(&["run", "session_events"]).await.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(75), "{stderr}");
    assert!(stderr.contains("process 4711"), "{stderr}");
    drop(hold);
    assert!(t.sluice(&["run", "session_events"]).await.output().unwrap().status.success());
}
