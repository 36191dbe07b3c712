//! The shipped pipeline, end to end.

use tests::kit::TestPipeline;
use tests::session_events::{Dataset, Options};

/// Every figure of a small file is found again in every store, and a second run finds nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_arrives_whole_and_only_once() {
    let data = Dataset::generate(&Options { lines: Some(40_000), ..Options::default() }).unwrap();
    let truth = data.truth();
    let t = TestPipeline::session_events().await;
    t.serve(data.to_bytes());

    let report = t.run().await;
    assert_eq!(report.stages.iter().map(|stage| stage.counts.rejected).sum::<u64>(), 0);
    assert_eq!(t.count("SELECT count(*) FROM session_events").await, truth.events);
    assert_eq!(t.count("SELECT count(*) FROM sessions").await, truth.sessions);
    assert_eq!(t.count("SELECT count(*) FROM sessions WHERE is_complete").await, truth.complete);
    assert_eq!(t.cql("SELECT session_id FROM {ks}.started_sessions").await.len() as u64, truth.starts);
    assert_eq!(t.cql("SELECT session_id FROM {ks}.completed_sessions").await.len() as u64, truth.complete);

    let versions = (t.version("raw", "session_events").await, t.version("use_case", "sessions").await);
    let again = t.run().await;
    assert!(again.stages.iter().all(|stage| stage.written == 0 && stage.commits == 0), "{again:#?}");
    assert_eq!((t.version("raw", "session_events").await, t.version("use_case", "sessions").await), versions);
}
