//! Clocks that jump, time zones, locales, odd paths, lakes that moved, lakes of other versions of the program.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use chrono::TimeDelta;
use model::report::StageName;
use pipelines::{Context, runner};
use tests::kit::{TestPipeline, chain};
use tests::session_events::{Dataset, Options};

use super::{SHOP, SUMS, Said, Shop, orders, sums, walk};

async fn run_at(t: &TestPipeline, hours: i64) {
    let mut context: Context = t.context().unwrap();
    context.now += TimeDelta::hours(hours).num_microseconds().unwrap();
    let ran = Box::pin(runner::run(&context, async { Ok(t.store().await) })).await;
    ran.unwrap_or_else(|error| panic!("{hours}: {}", chain(&error)));
}

/// The clock is set back a day, and forward a week: what was written later wins in Cassandra all the same, and commits stay in
/// their order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_changes_no_row() {
    let data = Dataset::generate(&Options::small(200, 3)).unwrap();
    let bytes = data.to_bytes();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let t = TestPipeline::session_events().await;
    for (part, hours) in [(1, 0), (2, -24), (3, 168), (4, -1)] {
        // Each file holds the ones before it: what comes late completes what was sent under another time.
        t.serve(lines[..lines.len() * part / 4].concat());
        run_at(&t, hours).await;
    }
    let truth = data.truth();
    assert_eq!(t.count("SELECT count(*) FROM session_events").await, truth.events);
    assert_eq!(t.cql("SELECT session_id FROM {ks}.completed_sessions").await.len() as u64, truth.complete);
    let mut completed = t.sql("SELECT session_id, end_ts FROM sessions WHERE is_complete").await;
    completed.sort();
    assert_eq!(completed.len() as u64, truth.complete);
    // `_loaded_at` is the write time of each row's commit: it grows with the receipts.
    let times = t.sql("SELECT max(_loaded_at) FROM session_events GROUP BY _receipt ORDER BY _receipt").await;
    assert_eq!(times.len(), 4);
    assert!(times.is_sorted(), "{times:?}");
}

/// A plan that is lost in the middle of a load is made again as it was, although the day is another one by now and the oldest
/// date would not be kept today.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_is_lost_in_the_middle_is_made_again_as_it_was() {
    let t = TestPipeline::written("shop", &SHOP).await;
    // The first of the four days is the oldest that is kept now.
    let first: chrono::NaiveDate = "2024-01-01".parse().unwrap();
    let kept = (t.context().unwrap().today() - first).num_days();
    t.edit("retention = \"36500 days\"", &format!("retention = \"{kept} days\""));
    t.serve_at("orders", orders(0..4000));
    t.stage(StageName::CreateTables).await.unwrap();
    t.stage(StageName::UrlToLanding).await.unwrap();
    let context = t.context().unwrap();
    // By a thread of its own: it has to see the second commit before the fourth is there.
    let (second, shutdown) = (t.lake().join("raw/shop/orders/_delta_log/00000000000000000002.json"), context.shutdown.clone());
    let stopping = std::thread::spawn(move || {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while !second.exists() {
            assert!(std::time::Instant::now() < deadline, "the load never got to its second commit");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        shutdown.request();
    });
    let loaded = pipelines::stages::landing_to_raw::run(&context, &context.pipeline.raw[0]).await;
    stopping.join().unwrap();
    assert_eq!(model::Classify::failure(&loaded.unwrap_err()), model::Failure::Interrupted);
    std::fs::remove_file(t.lake().join("landing/shop/orders/000001/load/orders/plan.json")).unwrap();
    run_at(&t, 24 * 3).await;
    assert_eq!(t.sql(SUMS).await, sums(0..4000));
    assert_eq!(t.count("SELECT count(*) FROM orders").await, 4000);
}

/// Time zone, locale and a path of spaces and umlauts: the same rows, the same report.
#[tokio::test]
async fn neither_time_zone_nor_locale_nor_path_is_seen_in_the_rows() {
    let query = ["sql", "shop", "SELECT id, ts, day FROM raw.orders ORDER BY id", "--output", "csv"];
    let mut seen = Vec::new();
    for (zone, locale) in [("UTC", "C.UTF-8"), ("Pacific/Auckland", "C"), ("America/St_Johns", "POSIX")] {
        let mut shop = Shop::new();
        shop.lake = shop.base.path().join("Pr\u{fc}f stand/s\u{e4}\u{e4} '1'");
        shop.serve(orders(0..30) + "rubbish\n");
        let said = |arguments: &[&str]| -> Said {
            shop.command(arguments).env("TZ", zone).env("LC_ALL", locale).env("LANG", locale).output().unwrap().into()
        };
        let ran = said(&["run", "shop"]);
        assert_eq!(ran.code, Some(0), "{zone}: {}", ran.stderr);
        assert!(ran.stderr.contains("Pr\u{fc}f stand/s\u{e4}\u{e4} '1'"), "{}", ran.stderr);
        shop.holds(0..30).await;
        let rows = said(&query);
        assert_eq!(rows.code, Some(0), "{}", rows.stderr);
        seen.push(rows.stdout);
    }
    assert!(seen[0].contains("0,2024-01-01T09:00:00"), "{}", seen[0]);
    assert!(seen.iter().all(|rows| *rows == seen[0]), "{seen:?}");
}

/// A path that is no text cannot be named in a table's log or a message: it is refused before anything is made.
#[tokio::test]
async fn a_path_that_is_not_utf_8_is_refused_by_name() {
    let mut shop = Shop::new();
    shop.lake = shop.base.path().join(OsStr::from_bytes(b"la\xffke"));
    let said = shop.fails(2);
    assert!(said.contains("is not UTF-8") && said.contains("lake"), "{said}");
    assert!(!shop.lake.exists());
}

/// Nothing in a lake says where it lies.
#[tokio::test]
async fn a_lake_that_was_moved_goes_on_where_it_was() {
    let mut shop = Shop::new();
    shop.serve(orders(0..40)).runs();
    let mut files = Vec::new();
    walk(&shop.lake, &mut files);
    let lake = shop.lake.display().to_string();
    // Records of runs say where the lake was then.
    for file in files.iter().filter(|file| !file.starts_with(shop.lake.join("_sluice/shop/runs"))) {
        let bytes = std::fs::read(file).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains(&lake), "{} names the lake's place", file.display());
    }
    assert!(files.len() > 15);
    let moved = shop.base.path().join("else where/lake");
    std::fs::create_dir_all(moved.parent().unwrap()).unwrap();
    std::fs::rename(&shop.lake, &moved).unwrap();
    shop.lake = moved;
    let said = shop.runs();
    assert!(said.stdout.contains("nothing to do"), "{}", said.stdout);
    shop.serve(orders(0..60)).runs();
    shop.holds(0..60).await;
    assert!(!std::path::Path::new(&lake).exists());
}

/// What a lake of before it said its format looks like: brought up without a word, and gone on with.
#[tokio::test]
async fn an_older_lake_is_brought_up_and_a_newer_one_is_left_alone() {
    let shop = Shop::new();
    shop.serve(orders(0..40)).runs();
    let state = shop.lake.join("_sluice/shop");
    std::fs::remove_file(state.join("format.json")).unwrap();
    std::fs::remove_dir_all(state.join("hold")).unwrap();
    std::fs::write(state.join("run.lock"), "process 1").unwrap();
    let said = shop.runs();
    assert!(said.stdout.contains("nothing to do"), "{}", said.stdout);
    assert!(!state.join("run.lock").exists());
    shop.serve(orders(0..50)).runs();
    shop.holds(0..50).await;

    let format = std::fs::read_to_string(state.join("format.json")).unwrap();
    assert!(format.contains("\"format\": 2"), "{format}");
    let newer = "{\"format\": 3, \"made_by\": \"sluice 9.1.0\"}";
    std::fs::write(state.join("format.json"), newer).unwrap();
    let mut before = Vec::new();
    walk(&shop.lake, &mut before);
    shop.serve(orders(0..60));
    for arguments in
        [vec!["run", "shop"], vec!["plan", "shop"], vec!["sql", "shop", "SELECT 1"], vec!["rebuild", "shop", "orders"]]
    {
        let said = shop.says(&arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {}{}", said.stdout, said.stderr);
        assert!(said.stderr.contains("has format 3, made by sluice 9.1.0"), "{arguments:?}: {}", said.stderr);
        assert!(said.stderr.contains("use sluice 9.1.0 or a newer one"), "{arguments:?}: {}", said.stderr);
    }
    let mut after = Vec::new();
    walk(&shop.lake, &mut after);
    assert_eq!(before, after);
}
