//! What `sluice plan` foretells, and what then happens: the numbers are the same, and planning changes nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use model::plan::{Known, RunPlan, SourceState, TableChange};
use model::report::{Beside, StageName, StageReport};
use tests::kit::TestPipeline;
use tests::session_events::{Dataset, Options};
use zones::lake::Lake;

use crate::views;

/// Every file below a folder, with its length, its time and its bytes' digest.
fn tree(folder: &Path) -> BTreeMap<String, (SystemTime, String)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.insert(path.display().to_string(), (SystemTime::UNIX_EPOCH, "folder".to_owned()));
            found.extend(tree(&path));
        } else {
            let digest = tests::digest::sha256(&std::fs::read(&path).unwrap());
            found.insert(path.display().to_string(), (entry.metadata().unwrap().modified().unwrap(), digest));
        }
    }
    found
}

/// The plan, and that making it changed nothing: neither in the lake nor in Cassandra, and that no file was fetched.
async fn planned(t: &TestPipeline) -> RunPlan {
    let rows = "SELECT table_name, position, write_time FROM {ks}.sluice_checkpoints";
    let tables = format!("SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{}'", t.keyspace);
    let before = (tree(&t.lake()), t.cql(&tables).await);
    let checkpoints = if before.1.is_empty() { Vec::new() } else { t.cql(rows).await };
    let asked = t.server.all_requests().len();
    let plan = t.plan().await;
    assert!(before == (tree(&t.lake()), t.cql(&tables).await), "planning changed something");
    if !before.1.is_empty() {
        assert_eq!(t.cql(rows).await, checkpoints);
    }
    let requests = t.server.all_requests();
    assert!(requests[asked..].iter().all(|seen| seen.request.method == "HEAD"), "a plan fetches nothing");
    plan
}

async fn run(t: &TestPipeline, stage: StageName) -> Vec<StageReport> {
    t.stage(stage).await.unwrap_or_else(|error| panic!("{}", tests::kit::chain(&error)))
}

fn exact(amount: &model::plan::Amount) -> u64 {
    assert_eq!(amount.known, Known::Exact, "{amount:?}");
    amount.value.unwrap()
}

fn basis(amount: &model::plan::Amount) -> &str {
    assert_eq!((amount.known, amount.value), (Known::Later, None));
    amount.basis.as_deref().unwrap()
}

/// Sums over the merges of a table: rows, rows that change, those of them that go, files and bytes that are rewritten.
fn merges(plan: &RunPlan, table: &str) -> (u64, u64, u64, u64, u64) {
    let merge = plan.merges.iter().find(|merge| merge.table == table).unwrap();
    let sum = |of: fn(&model::plan::MergeBatch) -> u64| merge.batches.iter().map(of).sum();
    (
        sum(|batch| exact(&batch.rows)),
        sum(|batch| exact(&batch.changed())),
        sum(|batch| exact(&batch.deleted)),
        sum(|batch| exact(&batch.files_rewritten)),
        sum(|batch| exact(&batch.bytes_rewritten)),
    )
}

fn facts(report: &StageReport) -> (u64, u64, u64, u64, u64) {
    let fact = |beside: Option<Beside>| beside.unwrap().fact;
    let planned = &report.planned;
    (report.counts.read, report.written, report.deleted, fact(planned.files), fact(planned.bytes))
}

/// From an empty lake to a late file: before each stage the plan says what it will do, exactly where that is landed or
/// committed and with a reason where it is not, and the stage then does just that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_foretells_each_stage_and_touches_nothing() {
    let data = Dataset::generate(&Options::small(400, 4)).unwrap();
    let t = TestPipeline::session_events().await;
    t.serve(data.to_bytes());

    // Nothing is there yet.
    let plan = planned(&t).await;
    assert!(!t.lake().exists());
    let made: Vec<_> = plan.tables.iter().filter(|table| table.store == "delta").map(|table| table.table.as_str()).collect();
    assert_eq!(
        made,
        [
            "session_events/session_events",
            "session_events/quarantine",
            "session_events/sessions",
            "session_events/starts_per_hour",
            "session_events/sessions_per_day",
            "session_events/session_lengths"
        ]
    );
    assert!(plan.tables[0].columns.iter().any(|(name, of)| name == "event_date" && of == "Date32"));
    let ddl: Vec<_> = plan.tables.iter().filter_map(|table| table.ddl.as_deref()).collect();
    assert_eq!(ddl.len(), 7, "a keyspace, five tables, the checkpoints: {ddl:#?}");
    assert!(ddl[0].starts_with("CREATE KEYSPACE") && ddl.iter().any(|ddl| ddl.contains("completed_sessions")), "{ddl:#?}");
    let file = &plan.sources[0].files[0];
    assert_eq!((file.state, exact(&file.bytes)), (SourceState::New, data.to_bytes().len() as u64));
    assert!(plan.loads[0].files.is_empty());
    assert!(plan.loads[0].to_come.as_ref().unwrap().starts_with("known after landing"), "{plan:#?}");
    assert!(plan.merges[0].to_come.is_some() && plan.sends.iter().all(|send| send.to_come.is_some() && send.version.is_none()));
    assert!(!plan.is_up_to_date && plan.problems.is_empty(), "{plan:#?}");

    // Landed, but never read: what is in the file is known after it is read.
    run(&t, StageName::CreateTables).await;
    run(&t, StageName::UrlToLanding).await;
    let plan = planned(&t).await;
    assert!(plan.tables.is_empty());
    assert_eq!(plan.sources[0].files[0].state, SourceState::Unchanged);
    assert_eq!(basis(&plan.loads[0].files[0].rows), "known after the file is read");
    assert_eq!(plan.loads[0].to_come, None);

    // Read and planned once, its table lost: the load plan says everything to the row.
    let loaded = run(&t, StageName::LandingToRaw).await;
    std::fs::remove_dir_all(t.lake().join("raw")).unwrap();
    run(&t, StageName::CreateTables).await;
    let plan = planned(&t).await;
    let file = &plan.loads[0].files[0];
    let again = run(&t, StageName::LandingToRaw).await;
    assert_eq!(
        (exact(&file.rows), exact(&file.commits)),
        (loaded[0].counts.accepted + loaded[0].counts.duplicate, again[0].commits)
    );
    let dates: Vec<String> = file.batches.iter().flat_map(|batch| &batch.dates).map(ToString::to_string).collect();
    assert_eq!(dates, t.sql("SELECT DISTINCT event_date FROM session_events ORDER BY 1").await);
    let rows = again[0].planned.rows.unwrap();
    assert_eq!((rows.planned, rows.known, rows.fact), (exact(&file.rows), Known::AtMost, again[0].written));

    // In raw: merges and rows from raw are exact, rows from the use case come after the merge.
    let plan = planned(&t).await;
    let merged = run(&t, StageName::RawToUseCase).await;
    assert_eq!(merges(&plan, "sessions"), facts(&merged[0]));
    assert_eq!(merges(&plan, "sessions").0, merged[0].planned.rows.unwrap().planned);
    let foretell = |plan: &RunPlan, table: &str| plan.sends.iter().find(|send| send.table == table).unwrap().clone();
    assert!(foretell(&plan, "completed_sessions").to_come.unwrap().contains("raw-to-use-case of sessions"));
    let started = run(&t, StageName::RawToCassandra).await;
    assert_eq!(exact(&foretell(&plan, "started_sessions").upserts), started[0].written);
    assert_eq!(started[0].written, data.truth().starts);

    let plan = planned(&t).await;
    let completed = run(&t, StageName::UseCaseToCassandra).await;
    let foretold = foretell(&plan, "completed_sessions");
    assert_eq!((exact(&foretold.upserts), exact(&foretold.deletes)), (completed[0].written, completed[0].deleted));
    assert_eq!(completed[0].written, data.truth().complete);
    assert_eq!(completed[0].planned.rows.map(|rows| rows.planned), Some(completed[0].counts.read));
    assert!(planned(&t).await.is_up_to_date);

    // A late file: it has another tag at its source, and once it is landed the same rate of rows is expected of it.
    let late = Dataset::generate(&Options { seed: 7, ..Options::small(30, 4) }).unwrap();
    let mut bytes = late.to_bytes();
    bytes.extend(data.to_bytes().iter().copied().take(data.to_bytes().len() / 2));
    t.serve(bytes);
    let plan = planned(&t).await;
    assert_eq!(plan.sources[0].files[0].state, SourceState::Changed);
    assert!(!plan.is_up_to_date);
    run(&t, StageName::UrlToLanding).await;
    let rows = planned(&t).await.loads[0].files[0].rows.clone();
    assert_eq!(rows.known, Known::Estimated);
    assert!(rows.basis.unwrap().contains("as many rows a byte"));
    run(&t, StageName::LandingToRaw).await;
    let plan = planned(&t).await;
    let merged = run(&t, StageName::RawToUseCase).await;
    assert_eq!(merges(&plan, "sessions"), facts(&merged[0]));
    let batch = &plan.merges[0].batches[0];
    assert_eq!(exact(&batch.files_read), merged[0].planned.files.unwrap().planned);
    let plan = planned(&t).await;
    let moved = run(&t, StageName::UseCaseToCassandra).await;
    let foretold = foretell(&plan, "completed_sessions");
    assert_eq!(exact(&foretold.upserts) + exact(&foretold.deletes), moved[0].written);
    assert_eq!(exact(&foretold.deletes), moved[0].deleted);
}

/// A late half of a session rewrites the one file that holds the other half, and its row in Cassandra moves: all of it is
/// foretold, and the report sets it beside what came.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_row_rewrites_the_files_that_the_plan_names() {
    let data = Dataset::generate(&Options::small(300, 5)).unwrap();
    let t = TestPipeline::session_events().await;
    t.one_date_a_commit().serve(data.to_bytes()).run().await;
    let session = &t.sql("SELECT session_id FROM sessions WHERE is_complete ORDER BY 1 LIMIT 1").await[0];
    let end = format!(
        "{{\"event\":\"end\",\"player_id\":\"0b8e2f6a9c1d4e5f8a7b0123456789ab\",\"session_id\":\"{session}\",\"ts\":\"2016-12-30T10:00:00\"}}\n"
    );
    t.serve(end);
    run(&t, StageName::UrlToLanding).await;
    run(&t, StageName::LandingToRaw).await;

    let plan = planned(&t).await;
    let batch = &plan.merges[0].batches[0];
    assert_eq!([exact(&batch.rows), exact(&batch.updated), exact(&batch.inserted)], [1, 1, 0]);
    assert_eq!(exact(&batch.files_rewritten), 1);
    assert!(exact(&batch.partitions) >= 1 && exact(&batch.bytes_read) >= exact(&batch.bytes_rewritten));
    assert_eq!(batch.bytes_a_changed_row(), Some(exact(&batch.bytes_rewritten)));

    let report = t.run().await;
    let stage = |name| report.stages.iter().find(|stage| stage.stage == name).unwrap();
    let merge = stage(StageName::RawToUseCase);
    assert_eq!(merges(&plan, "sessions"), facts(merge));
    assert_eq!(merge.planned.rows, Some(Beside::new(1, Known::Exact, 1)));
    let sent = stage(StageName::UseCaseToCassandra);
    assert_eq!((sent.written, sent.deleted), (2, 1), "it moves to its later end");
    assert_eq!(sent.planned.rows, Some(Beside::new(1, Known::Exact, 1)));
}

/// Groups of views, what computing them reads, and what a new snapshot supersedes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_names_touched_groups_and_superseded_files() {
    let t = views::shop().await;
    t.serve_at("orders", views::order(4, 2, "eve", "pot", 3) + &views::order(5, 2, "eve", "cup", 4));
    t.serve_at("products", views::product("tea", "drink", 4) + &views::product("pot", "ware", 20));
    run(&t, StageName::UrlToLanding).await;

    let plan = planned(&t).await;
    let load = plan.loads.iter().find(|load| load.table == "products").unwrap();
    let superseded = load.files[0].supersedes.clone().unwrap();
    assert_eq!((exact(&superseded.rows), exact(&load.commits)), (3, 1));
    let loads = run(&t, StageName::LandingToRaw).await;
    let products = loads.iter().find(|load| load.target == "products").unwrap();
    let [files, bytes] = [products.planned.files, products.planned.bytes].map(Option::unwrap);
    assert_eq!((files.planned, files.fact), (exact(&superseded.files), exact(&superseded.files)));
    assert_eq!((bytes.planned, bytes.fact), (exact(&superseded.bytes), exact(&superseded.bytes)));

    let plan = planned(&t).await;
    let view = |name: &str| plan.views.iter().find(|view| view.table == name).unwrap();
    assert_eq!(view("product_days").to_come, None, "it reads raw tables, and these are up to date");
    assert!(view("kinds").to_come.as_ref().unwrap().contains("product_days"), "a view of a view waits for it");
    let orders = view("product_days").reads.iter().find(|read| read.input == "raw.orders").unwrap();
    assert!(exact(&orders.files) <= 3 && exact(&orders.bytes) > 0, "{orders:?}");
    let groups = exact(&view("product_days").groups);
    let merged = run(&t, StageName::RawToUseCase).await;
    let report = |name: &str| merged.iter().find(|merged| merged.target == name).unwrap();
    assert_eq!(report("product_days").notes, [format!("computed {groups} touched groups anew")]);
    assert_eq!(report("product_days").planned.groups.unwrap().planned, groups);
    assert_eq!(merges(&plan, "prices"), facts(report("prices")), "a snapshot's difference, deletes among it");
    assert!(report("prices").deleted == 1);
    let plan = planned(&t).await;
    assert!(plan.views.iter().all(|view| view.changed_inputs.is_empty() && view.to_come.is_none()), "{plan:#?}");
    for send in &plan.sends {
        let sent = run(&t, StageName::UseCaseToCassandra).await;
        let Some(sent) = sent.iter().find(|sent| sent.target == send.table && sent.written > 0) else { continue };
        assert_eq!((exact(&send.upserts) + exact(&send.deletes), exact(&send.deletes)), (sent.written, sent.deleted));
    }
}

/// While a run holds the lake, and while there is no Cassandra, there is a plan all the same; it says what it could not see.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_made_beside_a_run_and_without_cassandra() {
    let data = Dataset::generate(&Options::small(100, 3)).unwrap();
    let t = TestPipeline::session_events().await;
    t.serve(data.to_bytes()).run().await;
    let lake = Lake::new(t.lake(), "session_events");
    let _hold = lake.hold("a run that goes on").unwrap();
    let before = tree(&t.lake());

    let read = |output: std::process::Output| -> RunPlan {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{stderr}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let json = ["plan", "session_events", "--output", "json"];
    let plan = read(t.sluice(&json).await.output().unwrap());
    assert!(plan.is_up_to_date && plan.schema == 1, "{plan:#?}");
    assert!(plan.maintenance[0].dates.is_empty() && plan.maintenance[0].oldest_kept.is_some());

    let offline = read(t.sluice(&json).await.arg("--offline").output().unwrap());
    assert!(offline.tables.iter().all(|table| table.change == TableChange::CreateIfMissing) && !offline.is_up_to_date);
    assert!(basis(&offline.sends[0].upserts).contains("not read"));

    let began = Instant::now();
    let output = t.sluice(&["plan", "session_events"]).await.env("CASSANDRA_HOST", "127.0.0.1:1").output().unwrap();
    assert!(began.elapsed() < Duration::from_secs(30), "a plan does not wait for Cassandra");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("Cassandra was not read: ") && text.contains("CREATE TABLE IF NOT EXISTS"), "{text}");
    assert!(text.contains("nothing was written"), "{text}");
    assert!(tree(&t.lake()) == before, "planning changed something");
}
