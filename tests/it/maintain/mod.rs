//! Maintenance: what it saves, what it leaves alone, and that nobody downstream sees it.

mod archive;
mod behind;
mod beside;
mod gone;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::SessionContext;
use model::maintenance::{MaintenanceMode, MaintenanceReport, MaintenanceStep, StepReport};
use model::report::{RunReport, StageName};
use pipelines::commands::maintain::{self, Order};
use pipelines::context::Context;
use pipelines::runner;
use tests::kit::{TestPipeline, chain};
use url::Url;

const PLAYER: &str = "0b8e2f6a9c1d4e5f8a7b0123456789ab";

pub(crate) fn session(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// On a day of November 2016.
pub(crate) fn start(number: u32, day: u32) -> String {
    let id = session(number);
    format!(
        "{{\"event\":\"start\",\"country\":\"FI\",\"player_id\":\"{PLAYER}\",\"session_id\":\"{id}\",\"ts\":\"2016-11-{day:02}T10:00:00\"}}\n"
    )
}

pub(crate) fn end(number: u32, day: u32) -> String {
    let id = session(number);
    format!("{{\"event\":\"end\",\"player_id\":\"{PLAYER}\",\"session_id\":\"{id}\",\"ts\":\"2016-11-{day:02}T11:00:00\"}}\n")
}

pub(crate) fn whole_session(number: u32, day: u32) -> String {
    start(number, day) + &end(number, day)
}

/// All steps; nothing old is kept, and nothing is too young to go.
pub(crate) fn thorough() -> Order {
    Order { mode: MaintenanceMode::Real, steps: MaintenanceStep::ALL.to_vec(), keep_seconds: 0, orphan_seconds: 0, archive: None }
}

pub(crate) async fn maintained(t: &TestPipeline, order: &Order) -> MaintenanceReport {
    maintained_in(t, order, t.context().unwrap()).await
}

async fn maintained_in(t: &TestPipeline, order: &Order, context: Context) -> MaintenanceReport {
    let store = t.store().await;
    match Box::pin(maintain::make(&context, Some(&store), order)).await {
        Ok(report) => report,
        Err(error) => panic!("{}", chain(&error)),
    }
}

pub(crate) fn step<'r>(report: &'r MaintenanceReport, step: MaintenanceStep, target: &str) -> &'r StepReport {
    let found = report.steps.iter().find(|one| one.step == step && one.target == target);
    found.unwrap_or_else(|| panic!("no {step:?} of {target}: {report:#?}"))
}

/// A clock of its own, so that load and write times of two pipelines can be compared.
fn context_at(t: &TestPipeline, second: i64) -> Context {
    let mut context = t.context().unwrap();
    context.now = (1_712_000_000 + second) * 1_000_000;
    context
}

async fn run_at(t: &TestPipeline, second: i64) -> RunReport {
    let context = context_at(t, second);
    let started = std::time::Instant::now();
    let stages = Box::pin(runner::run(&context, async { Ok(t.store().await) })).await;
    let stages = stages.unwrap_or_else(|error| panic!("{}", chain(&error)));
    runner::report(&context, None, started, stages)
}

/// Every file of the lake with its bytes.
pub(crate) fn lake_files(lake: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![lake.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                files.insert(entry.path(), std::fs::read(entry.path()).unwrap());
            }
        }
    }
    files
}

pub(crate) async fn delta(t: &TestPipeline, table: &str) -> deltalake::DeltaTable {
    let (zone, name) = table.split_once('/').unwrap();
    let folder = t.lake().join(zone).join(&t.name).join(name).canonicalize().unwrap();
    deltalake::open_table(Url::from_directory_path(folder).unwrap()).await.unwrap()
}

/// The whole change feed of a table as another reader has it, without versions and times of commits, in order of text.
async fn feed(t: &TestPipeline, table: &str) -> Vec<String> {
    let context = SessionContext::new();
    let plan = delta(t, table).await.scan_cdf().with_starting_version(0).build(&context.state(), None).await.unwrap();
    let batches = datafusion::physical_plan::collect(plan, context.task_ctx()).await.unwrap();
    let options = FormatOptions::default().with_null("null");
    let mut rows = Vec::new();
    for batch in &batches {
        let schema = batch.schema();
        let kept = (0..batch.num_columns()).filter(|at| !schema.field(*at).name().starts_with("_commit_"));
        let mut kept: Vec<usize> = kept.collect();
        kept.sort_by_key(|at| schema.field(*at).name().clone());
        let columns: Vec<_> = kept.iter().map(|at| ArrayFormatter::try_new(batch.column(*at), &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join(" | "));
        }
    }
    rows.sort();
    rows
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

const TABLES: [&str; 4] = ["use_case/prices", "use_case/product_days", "use_case/kinds", "use_case/overview"];

/// All that a shop's readers can see: rows with their load times, change feeds, Cassandra's rows with their write times.
async fn seen(t: &TestPipeline) -> Vec<Vec<String>> {
    let mut seen = Vec::new();
    for table in ["prices", "product_days", "kinds", "overview"] {
        seen.push(sorted(t.sql(&format!("SELECT * FROM {table}")).await));
    }
    for table in ["orders", "products"] {
        seen.push(sorted(t.sql(&format!("SELECT * FROM {table}")).await));
    }
    for table in TABLES {
        seen.push(feed(t, table).await);
    }
    for query in [
        "SELECT product, price, writetime(price) FROM {ks}.prices",
        "SELECT product, kind, price, writetime(kind), writetime(price) FROM {ks}.product_list",
        "SELECT day, amount, product, customers, writetime(customers) FROM {ks}.top_products",
    ] {
        seen.push(sorted(t.cql(query).await));
    }
    seen
}

/// What the shop serves at each run: orders of more and more days, some of them late, and price lists that lose and gain rows.
fn serve(t: &TestPipeline, run: u32) {
    use super::views::{order, product};
    let day = match run {
        0..7 => 1,
        7..9 => 2,
        _ => run,
    };
    let late = if run == 17 { order(500, 1, "late", "tea", 9) } else { String::new() };
    t.serve_at("orders", order(run, day, "ann", "tea", run) + &order(100 + run, day, "bob", "pot", 2) + &late);
    let cup = if run.is_multiple_of(3) { String::new() } else { product("cup", "ware", 7) };
    t.serve_at("products", product("tea", "drink", run) + &product("pot", "ware", 20) + &cup);
}

/// Compaction between every two runs, by ours and by another engine's, changes nothing downstream: not in rows, not in change
/// feeds, not in Cassandra's write times. A run after one that brought nothing new writes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_downstream_sees_a_compaction() {
    let undisturbed = super::views::shop_before_its_first_run().await;
    let t = super::views::shop_before_its_first_run().await;
    let (mut by_us, mut by_others) = (0, 0);
    for run in 1..=17 {
        for pipeline in [&undisturbed, &t] {
            serve(pipeline, run);
            run_at(pipeline, i64::from(run) * 1000).await;
        }
        let order = Order { steps: vec![MaintenanceStep::Compaction, MaintenanceStep::Checkpoint], ..thorough() };
        let report = maintained_in(&t, &order, context_at(&t, i64::from(run) * 1000 + 100)).await;
        let compacted = report.steps.iter().filter(|step| step.step == MaintenanceStep::Compaction);
        by_us += compacted.map(|step| step.before.files - step.files_after).sum::<u64>();
        if run == 17 {
            for table in TABLES.into_iter().chain(["raw/orders", "raw/products"]) {
                by_others += delta(&t, table).await.optimize().await.unwrap().1.num_files_removed;
            }
        }
        if run.is_multiple_of(5) {
            let again = run_at(&t, i64::from(run) * 1000 + 500).await;
            let downstream = again.stages.iter().filter(|stage| stage.stage > StageName::LandingToRaw);
            for stage in downstream {
                assert_eq!((stage.written, stage.counts.read), (0, 0), "{again:#?}");
            }
        }
    }
    assert!(by_us >= 3 && by_others >= 1, "{by_us} and {by_others} files: the test put too little together");
    for (ours, theirs) in seen(&t).await.into_iter().zip(seen(&undisturbed).await) {
        assert_eq!(ours, theirs);
    }
}

/// Closed dates are put together and open ones are not; each step says what it saved, and that is what is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_files_of_closed_dates_become_one() {
    let t = TestPipeline::session_events().await;
    for run in 1..=14 {
        // Five files for the first day, then nine days of one file each.
        let day = if run <= 5 { 1 } else { run - 4 };
        t.serve(whole_session(run, day)).run().await;
    }
    let first_day = "SELECT count(*) FROM session_events WHERE event_date = '2016-11-01'";
    assert_eq!(t.count(first_day).await, 10);
    let report = maintained(&t, &thorough()).await;
    let compaction = step(&report, MaintenanceStep::Compaction, "raw.session_events");
    assert_eq!((compaction.before.files, compaction.files_after), (5, 1));
    assert!(compaction.bytes_after.unwrap() < compaction.before.bytes, "{compaction:?}");
    assert_eq!(compaction.dates.iter().map(ToString::to_string).collect::<Vec<_>>(), ["2016-11-01"]);
    let live = |table: deltalake::DeltaTable| table.get_file_uris().unwrap().collect::<Vec<_>>();
    assert_eq!(live(delta(&t, "raw/session_events").await).len(), 10);
    assert_eq!(t.count(first_day).await, 10);
    assert_eq!(t.count("SELECT count(*) FROM sessions").await, 14);
    // 15 commits stand behind the table: from now on its checkpoint does.
    let log = t.lake().join("raw/session_events/session_events/_delta_log");
    assert!(log.join("_last_checkpoint").exists());

    // The log before that checkpoint leaves at the next time, and the files that were put together; the ledger still knows.
    t.run().await;
    let report = maintained(&t, &thorough()).await;
    let vacuum = step(&report, MaintenanceStep::Vacuum, "raw.session_events");
    assert_eq!(vacuum.before.files, 5);
    let checkpoint = step(&report, MaintenanceStep::Checkpoint, "raw.session_events");
    assert!(checkpoint.before.files >= 15, "{checkpoint:?}");
    assert!(!log.join(format!("{:020}.json", 3)).exists());
    let definition = t.context().unwrap().pipeline;
    let lake = zones::lake::Lake::new(t.lake(), "session_events");
    let raw = zones::raw::open(&lake, definition.raw_table("session_events").unwrap()).await.unwrap();
    let third = raw.commit_content(model::TableVersion(3)).await.unwrap();
    assert_eq!(third.note().unwrap().counts.accepted, 2);
    assert_eq!(third.changed_rows().unwrap().inserted, 2);
    assert!(report.lake_after.files < report.lake_before.files && report.lake_after.bytes < report.lake_before.bytes);

    // And then there is nothing left to do, and all goes on.
    t.run().await;
    let report = maintained(&t, &thorough()).await;
    assert!(report.steps.iter().all(|step| step.step == MaintenanceStep::Checkpoint), "{report:#?}");
    t.serve(whole_session(99, 1)).run().await;
    assert_eq!(t.count(first_day).await, 12);
    assert_eq!(t.cql("SELECT session_id FROM {ks}.completed_sessions").await.len(), 15);
}
