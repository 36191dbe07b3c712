//! Each stage alone, twice and out of order; tables that differ; definitions that change.

use model::failure::{Classify, Failure};
use model::report::{Outcome, StageName};
use pipelines::context::Context;
use pipelines::runner;
use tests::kit::{TestPipeline, chain};
use tests::session_events::{Dataset, Options};

const CHAIN: [StageName; 6] = [
    StageName::CreateTables,
    StageName::UrlToLanding,
    StageName::LandingToRaw,
    StageName::RawToUseCase,
    StageName::RawToCassandra,
    StageName::UseCaseToCassandra,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stages_one_by_one_do_what_the_chain_does_and_nothing_the_second_time() {
    let data = Dataset::generate(&Options::small(500, 3)).unwrap();
    let t = TestPipeline::session_events().await;
    t.serve(data.to_bytes());
    for stage in CHAIN {
        let first = t.stage(stage).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
        assert!(first.iter().any(|report| report.outcome == Outcome::Done), "{stage:?}");
        let second = t.stage(stage).await.unwrap();
        assert!(second.iter().all(|report| report.outcome == Outcome::UpToDate), "{second:#?}");
    }
    let truth = data.truth();
    assert_eq!(t.count("SELECT count(*) FROM sessions WHERE is_complete").await, truth.complete);
    assert_eq!(t.cql("SELECT session_id FROM {ks}.completed_sessions").await.len() as u64, truth.complete);
    assert_eq!(t.cql("SELECT session_id FROM {ks}.started_sessions").await.len() as u64, truth.starts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stage_out_of_order_says_what_to_run_first() {
    let t = TestPipeline::session_events().await;
    t.serve("");
    for stage in [StageName::LandingToRaw, StageName::RawToUseCase, StageName::RawToCassandra, StageName::UseCaseToCassandra] {
        let error = t.stage(stage).await.unwrap_err();
        let text = chain(&error);
        assert_eq!(error.failure(), Failure::Definition, "{text}");
        assert!(text.contains("does not exist") && text.contains("create-tables"), "{text}");
    }
    // Later stages before earlier ones, with the tables there: nothing to do, and nothing lost afterwards.
    t.stage(StageName::CreateTables).await.unwrap();
    for stage in CHAIN.into_iter().skip(2) {
        let reports = t.stage(stage).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
        assert!(reports.iter().all(|report| report.written == 0), "{reports:#?}");
    }
    let data = Dataset::generate(&Options::small(100, 2)).unwrap();
    t.serve(data.to_bytes()).run().await;
    assert_eq!(t.cql("SELECT session_id FROM {ks}.completed_sessions").await.len() as u64, data.truth().complete);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_differs_is_refused_with_the_difference() {
    let t = TestPipeline::session_events().await;
    t.serve("").run().await;
    t.edit("country    = { type = \"string\", nullable = true }", "country    = { type = \"int32\", nullable = true }");
    let error = t.try_run().await.unwrap_err();
    let text = chain(&error);
    assert_eq!(error.failure(), Failure::Definition, "{text}");
    assert!(text.contains("column country is string in the table and int32 in the definition"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cassandra_table_that_differs_is_refused_with_the_difference() {
    let t = TestPipeline::session_events().await;
    t.serve("").run().await;
    t.cql("ALTER TABLE {ks}.completed_sessions ADD mood text").await;
    let error = t.stage(StageName::CreateTables).await.unwrap_err();
    let text = chain(&error);
    assert_eq!(error.failure(), Failure::Definition, "{text}");
    assert!(text.contains("mood"), "{text}");
}

const VISITS: &str = r#"
[pipeline]
name = "visits"

[source.visits]
url = "${VISITS_URL}"

[landing.visits]
source = "visits"
format = "csv"

[raw.visits]
from = "visits"
partition_by = "day"
small_date_rows = 1
[raw.visits.columns]
id  = { type = "string" }
day = { type = "date" }

[cassandra.visits]
from = "raw.visits"
sql = "visits.sql"
partition_key = ["id"]
types = { id = "uuid" }
"#;

/// A version is sent while the next is made ready: one that cannot be takes nothing back of those before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_before_one_that_cannot_be_sent_are_there_and_count() {
    let t = TestPipeline::written("visits", &[("pipeline.toml", VISITS), ("visits.sql", "SELECT id, day FROM visits")]).await;
    let id = |day: u32| if day == 3 { "nobody".to_owned() } else { format!("00000000-0000-0000-0000-00000000000{day}") };
    let lines: Vec<String> = (1..=5).map(|day| format!("{},2024-01-0{day}", id(day))).collect();
    t.serve_at("visits", format!("id,day\n{}\n", lines.join("\n")));
    for stage in &CHAIN[..3] {
        t.stage(*stage).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
    }
    assert_eq!(t.version("raw", "visits").await, 5, "a version for each day");
    let store = t.store().await;
    for _ in 0..2 {
        let context = Context { send_rows: 1, ..t.context().unwrap() };
        let error = Box::pin(runner::stage(&context, Some(&store), StageName::RawToCassandra)).await.unwrap_err();
        assert_eq!(error.failure(), Failure::Data, "{}", chain(&error));
        assert!(chain(&error).contains("nobody"), "{}", chain(&error));
        assert_eq!(t.cql("SELECT position FROM {ks}.sluice_checkpoints").await, ["2"]);
        assert_eq!(t.cql("SELECT id FROM {ks}.visits").await.len(), 2);
    }
}

/// Sinks hold their place per lake and per definition: what was filled by another is refused, not mixed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyspace_filled_from_another_lake_is_refused() {
    let data = Dataset::generate(&Options::small(50, 2)).unwrap();
    let t = TestPipeline::session_events().await;
    t.serve(data.to_bytes()).run().await;
    std::fs::remove_dir_all(t.lake()).unwrap();
    let error = t.try_run().await.unwrap_err();
    let text = chain(&error);
    assert_eq!(error.failure(), Failure::Definition, "{text}");
    assert!(text.contains("another lake") && text.contains("CASSANDRA_KEYSPACE"), "{text}");
}

/// A use-case table is one fold: under another SQL it is refused until it is made anew, and then it comes out of raw again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_fold_is_refused_until_its_table_is_made_anew() {
    let data = Dataset::generate(&Options::small(50, 2)).unwrap();
    let t = TestPipeline::session_events().await;
    t.serve(data.to_bytes()).run().await;
    t.edit("\"start_ts is not null and end_ts is not null\"", "\"end_ts is not null\"");
    let error = t.stage(StageName::RawToUseCase).await.unwrap_err();
    let text = chain(&error);
    assert_eq!(error.failure(), Failure::Definition, "{text}");
    assert!(text.contains("another definition") && text.contains("sluice rebuild session_events sessions"), "{text}");

    // What the message says, as it says it: raw stays, the table is computed anew, and what is filled from it follows.
    let raw_before = t.version("raw", "session_events").await;
    let output = t.sluice(&["rebuild", "session_events", "sessions"]).await.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("rebuilt use_case.sessions (all") && said.contains("0 came,"), "{said}");
    t.run().await;
    assert_eq!(t.count("SELECT count(*) FROM sessions").await, data.truth().sessions);
    assert_eq!(t.version("raw", "session_events").await, raw_before);
    let complete = t.count("SELECT count(*) FROM sessions WHERE is_complete").await;
    assert_eq!(t.cql("SELECT session_id FROM {ks}.completed_sessions").await.len() as u64, complete);
    assert!(complete > data.truth().complete, "an end alone is complete under the new definition");
}

/// A Cassandra table is filled anew in place, as often as asked; the next run has nothing to send.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cassandra_table_is_filled_anew_as_often_as_asked() {
    let data = Dataset::generate(&Options::small(300, 2)).unwrap();
    let t = TestPipeline::session_events().await;
    t.serve(data.to_bytes()).run().await;
    for _ in 0..2 {
        let output = t.sluice(&["rebuild", "session_events", "cassandra.started_sessions"]).await.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report = t.run().await;
        assert_eq!(report.stages.iter().map(|stage| stage.written).sum::<u64>(), 0, "it was filled in place");
        assert_eq!(t.cql("SELECT session_id FROM {ks}.started_sessions").await.len() as u64, data.truth().starts);
        let again = t.run().await;
        assert!(again.stages.iter().all(|stage| stage.written == 0), "{again:#?}");
    }
    let output = t.sluice(&["rebuild", "session_events", "sesions"]).await.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("did you mean"), "{said}");
}

/// A load that is half done goes on under the definition that it began under, or not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_that_changes_in_the_middle_of_a_load_is_refused() {
    let data = Dataset::generate(&Options::small(2000, 8)).unwrap();
    let t = TestPipeline::session_events().await;
    t.one_date_a_commit().serve(data.to_bytes());
    t.stage(StageName::CreateTables).await.unwrap();
    t.stage(StageName::UrlToLanding).await.unwrap();
    let context = t.context().unwrap();
    let loading = pipelines::stages::landing_to_raw::run(&context, &context.pipeline.raw[0]);
    let stopping = async || {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while t.version("raw", "session_events").await < 2 {
            assert!(std::time::Instant::now() < deadline, "the load never got to its second commit");
            tokio::task::yield_now().await;
        }
        context.shutdown.request();
    };
    let (loaded, ()) = Box::pin(zones::beside::both(loading, stopping)).await;
    assert_eq!(loaded.unwrap_err().failure(), Failure::Interrupted);

    t.edit("reject_limit = \"5 %\"", "reject_limit = \"6 %\"");
    let error = t.try_run().await.unwrap_err();
    let text = chain(&error);
    assert_eq!(error.failure(), Failure::Definition, "{text}");
    assert!(text.contains("half done") && text.contains("put the old definition back"), "{text}");

    t.edit("reject_limit = \"6 %\"", "reject_limit = \"5 %\"");
    t.run().await;
    assert_eq!(t.count("SELECT count(*) FROM session_events").await, data.truth().events);
}
