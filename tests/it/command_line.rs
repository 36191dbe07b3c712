//! What a user sees: exit codes, errors with their place, reports, debug runs.

use tests::kit::TestPipeline;
use tests::session_events::{Dataset, Options};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_are_shown_at_their_place_with_the_next_step() {
    let t = TestPipeline::session_events().await;
    let output = t.sluice(&["run", "sesion_events"]).await.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("choose one of: session_events"), "{}", text(&output.stderr));

    t.edit("partition_by = \"event_date\"", "partition_bye = \"event_date\"");
    let output = t.sluice(&["check", "session_events"]).await.output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("partition_bye") && stderr.contains("did you mean `partition_by`"), "{stderr}");
    assert!(stderr.contains("pipeline.toml:"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sql_that_does_not_fit_names_its_file() {
    let t = TestPipeline::session_events().await;
    std::fs::write(t.definition().join("completed_sessions.sql"), "SELECT player_id, ended FROM sessions").unwrap();
    let output = t.sluice(&["check", "session_events"]).await.output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("completed_sessions.sql") && stderr.contains("ended"), "{stderr}");

    std::fs::write(
        t.definition().join("completed_sessions.sql"),
        "SELECT player_id, max(end_ts) AS end_ts FROM sessions GROUP BY player_id",
    )
    .unwrap();
    let output = t.sluice(&["check", "session_events"]).await.output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("each row must be treated by itself") && stderr.contains("GROUP BY"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_for_people_and_one_for_programs() {
    let data = Dataset::generate(&Options::small(300, 3)).unwrap();
    let t = TestPipeline::session_events().await;
    t.serve(data.to_bytes());
    let output = t.sluice(&["run", "session_events"]).await.output().unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    assert!(stdout.contains("landing-to-raw") && stdout.contains("closes, checked against the commits"), "{stdout}");
    assert!(stderr.contains("created Cassandra table") && !stdout.contains("created"), "{stderr}");

    let output = t.sluice(&["run", "session_events", "--output", "json"]).await.output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["schema"], 1);
    assert_eq!(report["stages"][0]["outcome"], "up_to_date");
    assert!(report["peak_memory_bytes"].as_u64().unwrap() > 1_000_000);
}

/// A debug run writes beside the full data, never into it, and another slice starts it afresh.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_debug_run_has_a_lake_and_a_keyspace_of_its_own() {
    let data = Dataset::generate(&Options::small(600, 6)).unwrap();
    let mut t = TestPipeline::session_events().await;
    t.serve(data.to_bytes());
    t.sluice(&["run", "session_events"]).await.output().unwrap();
    let full = t.count("SELECT count(*) FROM session_events").await;

    let dates_of = async |t: &TestPipeline| t.sql("SELECT DISTINCT event_date FROM session_events ORDER BY event_date").await;
    let all_dates = dates_of(&t).await;
    for (slice, dates) in [("dates:4-6", 3..6), ("first:2", 0..2)] {
        let output = t.sluice(&["run", "session_events"]).await.env("ETL_DEBUG", slice).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(
            text(&output.stdout)
                .contains(&format!("DEBUG RUN: only the slice {}", if slice == "first:2" { "dates:1-2" } else { slice }))
        );
        t.slice = model::slice::Slice::parse(slice).unwrap();
        assert_eq!(dates_of(&t).await, all_dates[dates]);
        let in_lake = t.count("SELECT count(*) FROM session_events WHERE event = 'start'").await;
        assert_eq!(t.cql("SELECT session_id FROM {ks}_debug.started_sessions").await.len() as u64, in_lake, "{slice}");
        t.slice = None;
    }
    assert_eq!(t.count("SELECT count(*) FROM session_events").await, full);
    let output = t.sluice(&["run", "session_events", "--debug", "sometimes"]).await.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}
