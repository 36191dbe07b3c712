//! Dates that are past the retention: archived, removed, and nothing taken from what was made of them.

use std::path::Path;

use datafusion::prelude::{ParquetReadOptions, SessionContext};
use model::maintenance::MaintenanceStep;
use model::report::{StageName, StageReport};
use pipelines::commands::maintain::Order;
use tests::kit::TestPipeline;

use super::{maintained, sorted, step, thorough, whole_session};

const SESSIONS: &str = "SELECT * FROM sessions ORDER BY session_id";
const STARTED: &str = "SELECT session_id, day, writetime(player_id) FROM {ks}.started_sessions";
const COMPLETED: &str = "SELECT session_id, end_ts, writetime(start_ts) FROM {ks}.completed_sessions";

async fn archived(folder: &Path) -> Vec<String> {
    let context = SessionContext::new();
    let options =
        ParquetReadOptions::default().table_partition_cols(vec![("event_date".to_owned(), arrow::datatypes::DataType::Utf8)]);
    context.register_parquet("archive", folder.to_str().unwrap(), options).await.unwrap();
    let query = "SELECT session_id, event, cast(ts AS varchar), event_date FROM archive";
    let batches = context.sql(query).await.unwrap().collect().await.unwrap();
    let mut rows = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let shown = batch.columns().iter().map(|column| arrow::util::display::array_value_to_string(column, row).unwrap());
            rows.push(shown.collect::<Vec<_>>().join(" | "));
        }
    }
    sorted(rows)
}

/// Three old days and a new one, under a retention that keeps only the new one.
async fn aged() -> TestPipeline {
    let t = TestPipeline::session_events().await;
    t.edit("retention = \"365 days\"", "retention = \"10 days\"");
    for day in 1..=3 {
        t.serve(whole_session(day, day)).run().await;
    }
    t.serve(whole_session(4, 20)).run().await;
    t
}

/// Old dates go to the archive as they were and leave raw; the use case and Cassandra keep what was made of them, to the write time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_dates_are_archived_and_leave_raw_alone() {
    let t = aged().await;
    let folder = tempfile::tempdir().unwrap();
    let raw = "SELECT session_id, event, cast(ts AS varchar), cast(event_date AS varchar) FROM session_events WHERE event_date < '2016-11-10'";
    let old = sorted(t.sql(raw).await);
    assert_eq!(old.len(), 6);
    let before = (t.sql(SESSIONS).await, sorted(t.cql(STARTED).await), sorted(t.cql(COMPLETED).await));
    // What an attempt left that never got to its commit: the same rows once more.
    let id: String = delta_id(&t).await.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    let attempt = folder.path().join("session_events/session_events/event_date=2016-11-02");
    std::fs::create_dir_all(&attempt).unwrap();
    let attempt = attempt.join(format!("{id}-{:020}-00000.parquet", 3));
    std::fs::write(&attempt, "half a file").unwrap();

    let order = Order { archive: Some(folder.path().to_owned()), ..thorough() };
    let report = maintained(&t, &order).await;
    let retention = step(&report, MaintenanceStep::Retention, "raw.session_events");
    assert_eq!((retention.rows, retention.dates.len(), retention.before.files), (6, 3, 3));
    assert!(!attempt.exists());
    assert!(t.sql(raw).await.is_empty());
    assert_eq!(t.count("SELECT count(*) FROM session_events").await, 2);
    assert_eq!(archived(&folder.path().join("session_events/session_events")).await, old);

    let again = t.run().await;
    // But for a view, which is what its SQL says of what raw holds.
    let stays = |stage: &&StageReport| stage.stage > StageName::LandingToRaw && stage.target != "starts_per_hour";
    let downstream = again.stages.iter().filter(stays);
    assert!(downstream.clone().all(|stage| stage.written == 0 && stage.counts.read == 0), "{again:#?}");
    assert_eq!((t.sql(SESSIONS).await, sorted(t.cql(STARTED).await), sorted(t.cql(COMPLETED).await)), before);

    // A second time there is nothing to archive, and what is there stays.
    let report = maintained(&t, &order).await;
    assert!(report.steps.iter().all(|step| step.step != MaintenanceStep::Retention), "{report:#?}");
    assert_eq!(archived(&folder.path().join("session_events/session_events")).await, old);
}

async fn delta_id(t: &TestPipeline) -> String {
    let table = super::delta(t, "raw/session_events").await;
    table.snapshot().unwrap().metadata().id().to_owned()
}

/// A date that was let go of does not come in again, also where the retention is longer by then: its rows would be folded twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_date_that_left_does_not_come_back() {
    let t = aged().await;
    maintained(&t, &thorough()).await;
    t.edit("retention = \"10 days\"", "retention = \"300 days\"");
    let report = t.serve(whole_session(2, 2) + &whole_session(5, 15)).run().await;
    let load = report.stages.iter().find(|stage| stage.stage == StageName::LandingToRaw).unwrap();
    assert_eq!((load.counts.too_old, load.counts.accepted), (2, 2), "{load:#?}");
    assert_eq!(t.count("SELECT count(*) FROM sessions").await, 5);
}

/// While a reader is behind, nothing that it has to read leaves; the report says who it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_waits_for_a_cassandra_table_that_is_behind() {
    let t = TestPipeline::session_events().await;
    t.edit("retention = \"365 days\"", "retention = \"10 days\"");
    t.serve(whole_session(1, 1)).run().await;
    t.serve(whole_session(4, 20));
    for stage in [StageName::UrlToLanding, StageName::LandingToRaw, StageName::RawToUseCase, StageName::UseCaseToCassandra] {
        t.stage(stage).await.unwrap();
    }
    let report = maintained(&t, &thorough()).await;
    let retention = step(&report, MaintenanceStep::Retention, "raw.session_events");
    assert_eq!(retention.rows, 0);
    assert!(retention.notes[0].contains("cassandra.started_sessions has only got to version"), "{retention:?}");
    assert_eq!(t.count("SELECT count(*) FROM session_events").await, 4);
    t.run().await;
    let report = maintained(&t, &thorough()).await;
    assert_eq!(step(&report, MaintenanceStep::Retention, "raw.session_events").rows, 2);
    assert_eq!(t.cql(STARTED).await.len(), 2);
}
