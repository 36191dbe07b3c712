//! Two runs on one lake: one works, and what the other does never gets into the tables twice.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::kit::TestPipeline;
use tests::session_events::{Dataset, Options};
use tests::source_server::Reply;
use zones::beside::side_by_side;

use super::{SHOP, SUMS, Said, Shop, orders, sums};

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

async fn ended(child: Child) -> Said {
    tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap().into()
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A run is stopped (SIGSTOP) wherever it is, another takes over and ends; the first wakes up and can commit nothing. At every
/// point of the chain the rows come out once, in the lake and in Cassandra.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_run_is_followed_and_commits_nothing_when_it_wakes() {
    let data = Dataset::generate(&Options::small(12_000, 10)).unwrap();
    let at: [(&str, &str); 3] = [
        ("in the download", "landing/session_events/events/incoming"),
        ("in the load", "landing/session_events/events/000001/load/session_events/rows.spill"),
        ("between two commits", "raw/session_events/session_events/_delta_log/00000000000000000004.json"),
    ];
    for (place, mark) in at {
        let t = TestPipeline::session_events().await;
        t.one_date_a_commit().serve(data.to_bytes());
        if place == "in the download" {
            t.server.always("/events.jsonl", Reply::normal().slow(16 << 10, Duration::from_millis(5)));
        }
        let arguments = ["run", "session_events", "--silence", "1"];
        let paused = t.sluice(&arguments).await.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for(place, || t.lake().join(mark).exists());
        send(&paused, Signal::SIGSTOP);

        // Nobody waits for it without being asked to; nor is it passed while it may yet be alive.
        let first: Said = t.sluice(&arguments).await.output().unwrap().into();
        let told = format!("another run holds {}", t.lake().join("_sluice/session_events").display());
        let who = format!("sluice run session_events (process {} on ", paused.id());
        assert_eq!(first.code, Some(75), "{place}: {}", first.stderr);
        assert!(first.stderr.contains(&told) && first.stderr.contains(&who), "{place}: {}", first.stderr);

        let next: Said = t.sluice(&["run", "session_events", "--wait", "60", "--silence", "1"]).await.output().unwrap().into();
        assert_eq!(next.code, Some(0), "{place}: {}", next.stderr);
        assert!(next.stderr.contains("waiting up to") && next.stderr.contains(&who), "{place}: {}", next.stderr);
        let versions = (t.version("raw", "session_events").await, t.version("use_case", "sessions").await);

        send(&paused, Signal::SIGCONT);
        let woken = ended(paused).await;
        assert_eq!(woken.code, Some(75), "{place}: {}", woken.stderr);
        assert!(woken.stderr.contains("another run took over"), "{place}: {}", woken.stderr);
        assert_eq!((t.version("raw", "session_events").await, t.version("use_case", "sessions").await), versions, "{place}");

        let again: Said = t.sluice(&arguments).await.output().unwrap().into();
        assert_eq!(again.code, Some(0), "{place}: {}", again.stderr);
        let truth = data.truth();
        assert_eq!(t.count("SELECT count(*) FROM session_events").await, truth.events, "{place}");
        assert_eq!(t.count("SELECT count(*) FROM sessions WHERE is_complete").await, truth.complete, "{place}");
        assert_eq!(t.cql("SELECT session_id FROM {ks}.completed_sessions").await.len() as u64, truth.complete, "{place}");
    }
}

/// A dead run lets go at once, and whoever waits goes on when the other ends.
#[tokio::test]
async fn a_killed_run_is_followed_at_once() {
    let shop = Shop::new();
    shop.serve(orders(0..20_000));
    let mut child = shop.command(&["run", "shop"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the load", || shop.lake.join("landing/shop/orders/000001/load/orders/rows.spill").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let said = shop.runs();
    assert!(!said.stderr.contains("took over"), "{}", said.stderr);
    shop.holds(0..20_000).await;
}

/// What slips between the question whose lake it is and the commit: two runs without any hold, from the same versions on. The
/// tables' logs let one of them through, and the other does not do again what is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_know_nothing_of_each_other_load_and_merge_once() {
    let t = TestPipeline::written("shop", &SHOP).await;
    let mut collided = 0;
    // Six times, and more where they pass each other by.
    for step in 1..=40 {
        if step > 6 && collided > 0 {
            break;
        }
        t.serve_at("orders", orders(0..step * 40));
        t.stage(model::report::StageName::CreateTables).await.unwrap();
        t.stage(model::report::StageName::UrlToLanding).await.unwrap();
        let (one, other) = (t.context().unwrap(), t.context().unwrap());
        let load = async |context: pipelines::Context| {
            let loaded = pipelines::stages::landing_to_raw::run(&context, &context.pipeline.raw[0]).await;
            let merged = pipelines::stages::raw_to_use_case::run(&context, &context.pipeline.use_cases[0]).await;
            (loaded.is_err(), merged.is_err())
        };
        // Each on a thread of its own, as two programs are.
        let failed = side_by_side(vec![one, other], 2, load).await;
        collided += failed.iter().flat_map(|(loaded, merged)| [loaded, merged]).filter(|failed| **failed).count();
        // Whatever became of the two, the next run ends it.
        let report = t.run().await;
        assert!(report.accounting_closes, "{report:#?}");
        assert_eq!(t.sql(SUMS).await, sums(0..step * 40), "step {step}");
        assert_eq!(t.count("SELECT count(*) FROM orders").await, step * 40, "step {step}");
    }
    assert!(collided > 0, "the two never met: this shows nothing");
}
