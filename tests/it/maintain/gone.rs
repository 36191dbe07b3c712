//! Positions that are gone all the same: another program cleaned the log or the files. What is behind is brought up to date as a
//! whole, and says so.

use std::path::Path;

use deltalake::checkpoints::create_checkpoint;
use model::definition::Origin;
use model::failure::{Classify, Failure};
use model::maintenance::MaintenanceStep;
use model::report::{RunReport, StageName};
use tests::kit::{TestPipeline, chain};

use super::{delta, maintained, session, sorted, step, thorough, whole_session};

const PLAYER: &str = super::PLAYER;

/// Cleans a log as another program may: a checkpoint, and no commit before it.
async fn clean_log(t: &TestPipeline, table: &str) {
    // The newest commit stays, as log cleaning has it: one that says nothing of rows.
    let properties = [("of.another".to_owned(), "program".to_owned())].into();
    let named = delta(t, table).await.set_tbl_properties().with_properties(properties).with_raise_if_not_exists(false);
    let opened = named.await.unwrap();
    create_checkpoint(&opened, None).await.unwrap();
    let (zone, name) = table.split_once('/').unwrap();
    let folder = t.lake().join(zone).join(&t.name).join(name);
    for version in 0..opened.version().unwrap() {
        let commit = folder.join("_delta_log").join(format!("{version:020}.json"));
        let _ = std::fs::remove_file(commit);
    }
    let _ = std::fs::remove_dir_all(folder.join("_ledger"));
}

fn notes(report: &RunReport, stage: StageName) -> Vec<String> {
    report.stages.iter().filter(|one| one.stage == stage).flat_map(|stage| stage.notes.clone()).collect()
}

/// Cassandra tables whose versions are gone hold afterwards what the lake holds: rows that moved meanwhile leave nothing behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cassandra_table_whose_versions_are_gone_is_compared_as_a_whole() {
    let t = TestPipeline::session_events().await;
    t.serve((1..=5).map(|number| whole_session(number, number)).collect::<String>()).run().await;
    let later = format!(
        "{{\"event\":\"end\",\"player_id\":\"{PLAYER}\",\"session_id\":\"{}\",\"ts\":\"2016-11-09T11:00:00\"}}\n",
        session(1)
    );
    t.serve(later + &whole_session(6, 6));
    for stage in [StageName::UrlToLanding, StageName::LandingToRaw, StageName::RawToUseCase] {
        t.stage(stage).await.unwrap();
    }
    clean_log(&t, "use_case/sessions").await;
    clean_log(&t, "raw/session_events").await;
    let planned = t.plan().await;
    assert!(planned.problems.is_empty(), "{planned:#?}");
    let report = t.run().await;
    let told = notes(&report, StageName::UseCaseToCassandra);
    assert!(told[0].starts_with("compared the whole of use_case.sessions"), "{told:?}");
    assert!(notes(&report, StageName::RawToCassandra)[0].contains("no longer in the log"), "{report:#?}");
    let rows = sorted(t.cql("SELECT session_id, end_ts FROM {ks}.completed_sessions").await);
    let expected: Vec<String> = (1..=6)
        .map(|number| format!("{} | 2016-11-{:02}T11:00:00.000Z", session(number), if number == 1 { 9 } else { number }))
        .collect();
    assert_eq!(rows, expected);
    assert_eq!(t.cql("SELECT session_id FROM {ks}.started_sessions").await.len(), 6);
    // From here on it goes version by version again.
    let report = t.serve(whole_session(7, 7)).run().await;
    let whole = |note: &String| note.contains("whole") || note.contains("no longer in the log");
    assert!(!report.stages.iter().flat_map(|stage| &stage.notes).any(whole), "{report:#?}");
    assert_eq!(t.cql("SELECT session_id FROM {ks}.completed_sessions").await.len(), 7);
}

/// A use case whose raw versions are gone is folded anew as a whole: sums count each row once, deleted rows stay deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_use_case_whose_versions_are_gone_is_folded_as_a_whole() {
    use crate::change_stream::{ALL, change, crm};
    let t = crm().await;
    t.serve_at("changes", change(1, 10, "insert", "ann") + &change(2, 10, "insert", "bob")).run().await;
    t.serve_at("changes", change(1, 30, "delete", "")).run().await;
    t.serve_at("changes", change(2, 20, "update", "rob") + &change(3, 10, "insert", "eve"));
    for stage in [StageName::UrlToLanding, StageName::LandingToRaw] {
        t.stage(stage).await.unwrap();
    }
    clean_log(&t, "raw/changes").await;
    let report = t.run().await;
    assert!(notes(&report, StageName::RawToUseCase)[0].starts_with("folded the whole of raw.changes anew"), "{report:#?}");
    assert_eq!(t.sql(ALL).await, ["2 | 20 | rob | 2", "3 | 10 | eve | 1"]);
    t.serve_at("changes", change(1, 20, "update", "late")).run().await;
    assert_eq!(t.sql(ALL).await, ["2 | 20 | rob | 2", "3 | 10 | eve | 1"]);
    t.serve_at("changes", change(1, 40, "insert", "ann")).run().await;
    assert_eq!(t.sql(ALL).await[0], "1 | 40 | ann | 4");
}

/// Tables that are made anew after maintenance has removed old versions are filled from what is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_is_made_anew_after_old_versions_went() {
    use crate::change_stream::{ALL, change, crm};
    let t = crm().await;
    for at in 1..=6 {
        t.serve_at("changes", change(1, at * 10, "update", "ann") + &change(at + 1, 10, "insert", "bob")).run().await;
    }
    t.serve_at("changes", change(2, 90, "delete", "")).run().await;
    let (rows, sent) = (t.sql(ALL).await, sorted(t.cql("SELECT id, name, changes FROM {ks}.customers").await));
    for _ in 0..3 {
        maintained(&t, &thorough()).await;
        t.run().await;
    }
    let lake = zones::lake::Lake::new(t.lake(), "crm");
    lake.discard(&Origin::UseCase("customers".to_owned())).unwrap();
    t.store().await.discard_table("customers", 1_700_000_000_000).await.unwrap();
    let report = t.run().await;
    assert!(notes(&report, StageName::RawToUseCase)[0].contains("a file of version"), "{report:#?}");
    assert_eq!(t.sql(ALL).await, rows);
    assert_eq!(sorted(t.cql("SELECT id, name, changes FROM {ks}.customers").await), sent);
}

/// Where dates are gone for good, a use case that is behind is not folded again without them: it is left alone, with a way on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_made_of_dates_that_left_is_not_lost_unasked() {
    let t = TestPipeline::session_events().await;
    t.edit("retention = \"365 days\"", "retention = \"10 days\"");
    t.serve(whole_session(1, 1)).run().await;
    t.serve(whole_session(2, 20)).run().await;
    let report = maintained(&t, &thorough()).await;
    assert_eq!(step(&report, MaintenanceStep::Retention, "raw.session_events").rows, 2);
    t.run().await;
    t.serve(whole_session(3, 21));
    for stage in [StageName::UrlToLanding, StageName::LandingToRaw] {
        t.stage(stage).await.unwrap();
    }
    clean_log(&t, "raw/session_events").await;
    let error = t.try_run().await.unwrap_err();
    let text = chain(&error);
    assert_eq!(error.failure(), Failure::Definition, "{text}");
    assert!(text.contains("let go of dates") && text.contains("sluice rebuild session_events sessions"), "{text}");
    assert_eq!(t.count("SELECT count(*) FROM sessions").await, 2);
    assert!(Path::new(&t.lake()).exists());
}
