//! The slowest reader: nothing goes that it has still to read.

use model::maintenance::MaintenanceStep;
use model::report::{Outcome, StageName};
use tests::kit::TestPipeline;

use super::{end, maintained, sorted, start, step, thorough};

/// A Cassandra table that is behind finds every version that it has not read, whatever maintenance was asked for; afterwards these
/// versions go, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vacuum_leaves_what_the_slowest_reader_needs() {
    let t = TestPipeline::session_events().await;
    t.serve(start(1, 1)).run().await;
    // The end of each session comes with the start of the next: each merge supersedes the file of the one before it.
    for number in 2..=16 {
        t.serve(end(number - 1, 1) + &start(number, 1));
        for stage in [StageName::UrlToLanding, StageName::LandingToRaw, StageName::RawToUseCase] {
            t.stage(stage).await.unwrap();
        }
        if number == 9 {
            maintained(&t, &thorough()).await;
        }
    }
    // What the last run of the chain superseded may go; what came since may not.
    for _ in 0..2 {
        let report = maintained(&t, &thorough()).await;
        let note = &step(&report, MaintenanceStep::Vacuum, "use_case.sessions").notes;
        assert!(note.iter().any(|note| note.contains("cassandra.completed_sessions is at version")), "{report:#?}");
    }
    let report = t.run().await;
    for stage in report.stages.iter().filter(|stage| stage.stage >= StageName::RawToCassandra) {
        assert_eq!((stage.outcome, stage.notes.len()), (Outcome::Done, 0), "{stage:#?}");
        let is_view = !["started_sessions", "completed_sessions"].contains(&stage.target.as_str());
        assert!(is_view || stage.counts.read == 30, "two rows of each version; a view has one version: {stage:#?}");
    }
    let rows = t.cql("SELECT session_id FROM {ks}.completed_sessions").await;
    assert_eq!(rows.len(), 15);

    let before = t.sql("SELECT * FROM sessions").await;
    let report = maintained(&t, &thorough()).await;
    let vacuum = step(&report, MaintenanceStep::Vacuum, "use_case.sessions");
    assert!(vacuum.before.files >= 15 && vacuum.notes.is_empty(), "{vacuum:#?}");
    assert!(vacuum.paths.iter().all(|path| !path.contains("_delta_log") && !path.contains("_ledger")));
    assert_eq!(sorted(t.sql("SELECT * FROM sessions").await), sorted(before));
    let again = t.run().await;
    assert!(again.stages.iter().all(|stage| stage.written == 0), "{again:#?}");
}

/// Without Cassandra nothing is known of its tables, so all that they may read stays; the rest is done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cassandra_that_cannot_be_asked_holds_back_what_it_may_need() {
    let t = TestPipeline::session_events().await;
    t.serve(start(1, 1)).run().await;
    for number in 2..=6 {
        t.serve(end(number - 1, 1) + &start(number, 1)).run().await;
    }
    let context = t.context().unwrap();
    let report = Box::pin(pipelines::commands::maintain::make(&context, None, &thorough())).await.unwrap();
    let vacuum = step(&report, MaintenanceStep::Vacuum, "use_case.sessions");
    assert_eq!(vacuum.before.files, 0);
    assert!(vacuum.notes[0].contains("cassandra.completed_sessions has not begun"), "{vacuum:?}");
    let report = maintained(&t, &thorough()).await;
    assert!(step(&report, MaintenanceStep::Vacuum, "use_case.sessions").before.files >= 5);
}
