//! Maintenance beside runs, stopped, rehearsed; and what crashed runs left.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use model::maintenance::{MaintenanceMode, MaintenanceReport, MaintenanceStep, StepReport};
use pipelines::commands::maintain::Order;
use tests::kit::TestPipeline;
use tests::session_events::{Dataset, Options};

use super::{end, lake_files, maintained, sorted, start, step, thorough, whole_session};

/// A lake with something to do in every step.
async fn neglected() -> TestPipeline {
    let t = TestPipeline::session_events().await;
    t.edit("retention = \"365 days\"", "retention = \"10 days\"");
    t.serve(whole_session(90, 1)).run().await;
    t.serve(start(0, 15)).run().await;
    let day = |number| if number <= 5 { 15 } else { 10 + number };
    for number in 1..=14 {
        // The end of a session comes with the start of the next.
        t.serve(end(number - 1, day(number - 1)) + &start(number, day(number))).run().await;
    }
    let order = Order { steps: vec![MaintenanceStep::Checkpoint], ..thorough() };
    maintained(&t, &order).await;
    let lake = t.lake();
    let raw = lake.join("raw/session_events/session_events");
    for leftover in [
        raw.join("event_date=2016-11-20/part-lost.zstd.parquet"),
        raw.join("part-1.zstd.parquet#3"),
        lake.join("use_case/session_events/sessions/_change_data/cdc-lost.zstd.parquet"),
        lake.join("landing/session_events/events/000001/load/session_events/rows.spill"),
        lake.join("landing/session_events/events/000001/load/no_more/plan.json"),
        lake.join("landing/session_events/events/incoming/elsewhere/old.jsonl.part"),
        lake.join("_sluice/session_events/spill/datafusion-1/x.tmp"),
        lake.join("_sluice/session_events/removed/1/_delta_log/0.json"),
        lake.join("_sluice/session_events/keys/no_more/keys.json"),
    ] {
        std::fs::create_dir_all(leftover.parent().unwrap()).unwrap();
        std::fs::write(leftover, "left over").unwrap();
    }
    t
}

/// Without what only a real one knows.
fn foretold(report: &MaintenanceReport) -> Vec<StepReport> {
    report.steps.iter().map(|step| StepReport { bytes_after: None, ..step.clone() }).collect()
}

/// A dry run touches no byte of the lake, and says just what the real one then does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_changes_nothing_and_foretells_everything() {
    let t = neglected().await;
    let before = lake_files(&t.lake());
    let dry = maintained(&t, &Order { mode: MaintenanceMode::DryRun, ..thorough() }).await;
    assert!(lake_files(&t.lake()) == before, "a dry run has changed the lake");
    let real = maintained(&t, &thorough()).await;
    assert_eq!(foretold(&dry), foretold(&real));
    for wanted in MaintenanceStep::ALL {
        let files: u64 = dry.steps.iter().filter(|step| step.step == wanted).map(|step| step.before.files).sum();
        assert!(files > 0, "nothing to do for {wanted:?}: {dry:#?}");
    }
    // What it named is gone, and nothing else.
    let named = |target: &str, kind: MaintenanceStep, folder: &str| {
        let paths = step(&dry, kind, target).paths.clone();
        paths.into_iter().map(|path| t.lake().join(folder).join(path)).collect::<Vec<_>>()
    };
    let mut expected = Vec::new();
    for (target, folder) in [
        ("raw.session_events", "raw/session_events/session_events"),
        ("use_case.sessions", "use_case/session_events/sessions"),
        ("use_case.starts_per_hour", "use_case/session_events/starts_per_hour"),
        ("use_case.sessions_per_day", "use_case/session_events/sessions_per_day"),
        ("use_case.session_lengths", "use_case/session_events/session_lengths"),
        ("lake", ""),
    ] {
        for kind in [MaintenanceStep::Vacuum, MaintenanceStep::Orphans, MaintenanceStep::Checkpoint] {
            if dry.steps.iter().any(|step| step.step == kind && step.target == target) {
                expected.extend(named(target, kind, folder));
            }
        }
    }
    expected.sort();
    expected.dedup();
    let after = lake_files(&t.lake());
    let gone: Vec<_> = before.keys().filter(|path| !after.contains_key(*path)).cloned().collect();
    assert_eq!(gone, expected);
    // A landed file and the plan of its load are no leftovers.
    let landed = t.lake().join("landing/session_events/events/000001");
    assert!(landed.join("events.jsonl").exists() && landed.join("load/session_events/plan.json").exists());
    // But for the view, which follows what left raw.
    assert!(t.run().await.stages.iter().all(|stage| stage.written == 0 || stage.target == "starts_per_hour"));
}

/// What is young stays: a version that can still be asked for, a file that may be about to be named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_young_stays() {
    let t = neglected().await;
    let order = Order { keep_seconds: 3600, orphan_seconds: 3600, ..thorough() };
    let report = maintained(&t, &order).await;
    let steps = [MaintenanceStep::Vacuum, MaintenanceStep::Orphans];
    assert!(report.steps.iter().all(|step| !steps.contains(&step.step)), "{report:#?}");
    let old = t.sluice(&["show", "session_events", "use_case.sessions", "--at", "3", "--output", "csv"]).await.output().unwrap();
    assert!(old.status.success(), "{}", String::from_utf8_lossy(&old.stderr));
}

/// While a run holds the lake, maintenance waits for another day: exit code 75, saying who holds it. A dry run only looks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lake_that_a_run_holds_is_left_alone() {
    let t = TestPipeline::session_events().await;
    t.serve(start(1, 1)).run().await;
    for number in 2..=5 {
        t.serve(end(number - 1, 1) + &start(number, 1)).run().await;
    }
    let lake = zones::lake::Lake::new(t.lake(), "session_events");
    let hold = lake.hold("process 4711").unwrap();
    let output = t.sluice(&["maintain", "session_events"]).await.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(75), "{stderr}");
    assert!(stderr.contains("process 4711"), "{stderr}");
    let dry = t.sluice(&["maintain", "session_events", "--dry-run", "--output", "json"]).await.output().unwrap();
    assert!(dry.status.success(), "{}", String::from_utf8_lossy(&dry.stderr));
    drop(hold);
    let arguments = ["maintain", "session_events", "--only", "vacuum,orphans", "--keep", "0 days", "--output", "json"];
    let output = t.sluice(&arguments).await.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: MaintenanceReport = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(step(&report, MaintenanceStep::Vacuum, "use_case.sessions").before.files, 8, "four files and their changes");
    let inside = t.lake().join("archive");
    let output = t.sluice(&["maintain", "session_events", "--archive", inside.to_str().unwrap()]).await.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A load that was killed keeps its plan and its rows, and gets to its end from them; what a load that is done left goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_under_way_keeps_what_it_goes_on_from() {
    let data = Dataset::generate(&Options::small(20_000, 12)).unwrap();
    let t = TestPipeline::session_events().await;
    t.one_date_a_commit().serve(data.to_bytes());
    let mut child = t.sluice(&["run", "session_events"]).await.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let third = t.lake().join("raw/session_events/session_events/_delta_log").join(format!("{:020}.json", 3));
    let deadline = Instant::now() + Duration::from_mins(1);
    while !third.exists() {
        assert!(Instant::now() < deadline, "the load never began");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    let spill = t.lake().join("landing/session_events/events/000001/load/session_events/rows.spill");
    assert!(spill.exists(), "the load was done before it was killed");
    maintained(&t, &thorough()).await;
    assert!(spill.exists());
    let plan = std::fs::read(spill.with_file_name("plan.json")).unwrap();
    t.run().await;
    assert_eq!(std::fs::read(spill.with_file_name("plan.json")).unwrap(), plan, "it was read anew");
    assert_eq!(t.count("SELECT count(*) FROM session_events").await, data.truth().events);
}

/// Killed at any time and done again, it gets to where it gets undisturbed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_time_it_gets_to_the_same_end() {
    let (undisturbed, t) = (neglected().await, neglected().await);
    let arguments = ["maintain", "session_events", "--keep", "0 days", "--orphan-age", "0 days"];
    let (mut kills, mut delay) = (0, Duration::from_millis(60));
    loop {
        let mut child = t.sluice(&arguments).await.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + delay;
        let ended = loop {
            match child.try_wait().unwrap() {
                None if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(1)).await,
                ended => break ended,
            }
        };
        if let Some(status) = ended {
            assert!(status.success(), "{status}");
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        delay = delay * 5 / 4 + Duration::from_millis(20);
        assert!(kills < 200, "it never got to its end");
    }
    assert!(kills > 0);
    let mut ends = Vec::new();
    for pipeline in [&undisturbed, &t] {
        // What one of them put together, the next one removes.
        for _ in 0..3 {
            maintained(pipeline, &thorough()).await;
            pipeline.run().await;
        }
        let mut rows = sorted(pipeline.sql("SELECT session_id, event, ts FROM session_events").await);
        rows.extend(sorted(pipeline.sql("SELECT session_id, start_ts, end_ts FROM sessions").await));
        rows.extend(sorted(pipeline.cql("SELECT session_id, end_ts FROM {ks}.completed_sessions").await));
        let files = lake_files(&pipeline.lake());
        let is_log = |path: &&PathBuf| path.to_string_lossy().contains("_delta_log");
        let of = |part: &str| files.keys().filter(|path| !is_log(path) && path.to_string_lossy().contains(part)).count();
        rows.push(format!("{} {}", of(".parquet"), of("rows.spill") + of(".part") + of("#")));
        ends.push(rows);
    }
    assert_eq!(ends[0], ends[1]);
}
