//! What a replay moves, once, and that it ends where a fresh lake would have.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::Progress;
use model::failure::{Classify, Failure};
use model::report::StageName;
use pipelines::commands::replay::replay;
use pipelines::context::Watch;
use tests::kit::{TestPipeline, chain};
use zones::rejects::Filter;
use zones::replay::Mode;

use super::{SHOP, expect_accounting, left, mended, order, replay_all, replayed, shop};

/// Good ones, and of each kind of reject some.
fn first_day() -> String {
    [
        order("a1", "2024-01-15T10:00:00Z", 20, "ann"),
        // The check: two equal ones, one that is too old, one that a later check drops, one of whom better is known.
        order("b1", "2024-01-15T11:00:00Z", 5, "ann"),
        order("b1", "2024-01-15T11:00:00Z", 5, "ann"),
        order("b2", "2020-01-01T11:00:00Z", 5, "ann"),
        order("b3", "2024-01-16T11:00:00Z", 5, "test"),
        order("b4", "2024-01-16T12:00:00Z", 0, "bob"),
        // Another way to write times, and no note: both are mended.
        order("c1", "17.01.2024 10:00", 30, "cid"),
        "{\"id\":\"d1\",\"at\":\"2024-01-17T11:00:00Z\",\"amount\":7,\"customer\":\"bob\"}\n".to_owned(),
        // Nothing helps these.
        "no json\n".to_owned(),
        "{\"id\":\"e1\",\"at\":\"2024-01-17T11:00:00Z\",\"amount\":\"x\",\"customer\":\"bob\"}\n".to_owned(),
    ]
    .concat()
}

/// Another file: a reject that equals a row of the first, and one of another date.
fn second_day() -> String {
    [
        order("a2", "2024-01-18T10:00:00Z", 40, "bob"),
        order("b1", "2024-01-15T11:00:00Z", 5, "ann"),
        order("b5", "2024-01-19T10:00:00Z", 3, "dan"),
        "[1]\n".to_owned(),
    ]
    .concat()
}

/// Everything that a replay must leave as a fresh lake has it: all but times of loading.
async fn state(t: &TestPipeline) -> Vec<Vec<String>> {
    vec![
        t.sql("SELECT id, at, amount, customer, note, day, _receipt, _entry, _position FROM orders ORDER BY id, _position").await,
        t.sql("SELECT customer, total, latest FROM customers ORDER BY customer").await,
        t.sql("SELECT receipt, entry, position, reason, detail, record, is_stopped, definition FROM quarantine ORDER BY 1, 3")
            .await,
        sorted(t.cql("SELECT day, at, id, amount, note FROM {ks}.orders_by_day").await),
        sorted(t.cql("SELECT customer, total, latest FROM {ks}.customers").await),
    ]
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

/// A lake that never knew another definition than the mended one.
async fn fresh() -> TestPipeline {
    let fresh = shop(&mended()).await;
    fresh.serve_at("orders", first_day()).run().await;
    fresh.serve_at("orders", second_day()).run().await;
    fresh
}

/// Loaded under the strict definition, which is then mended; nothing is replayed yet.
async fn mended_after_loading() -> TestPipeline {
    let t = shop(SHOP).await;
    t.serve_at("orders", first_day()).run().await;
    t.serve_at("orders", second_day()).run().await;
    assert_eq!(t.count("SELECT count(*) FROM orders").await, 2);
    assert_eq!(t.count("SELECT count(*) FROM quarantine").await, 12);
    std::fs::write(t.definition().join("pipeline.toml"), mended()).unwrap();
    t
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_mended_definition_lets_pass_moves_once_and_ends_as_in_a_fresh_lake() {
    let t = mended_after_loading().await;
    let error = t.try_run().await.unwrap_err();
    let text = chain(&error);
    assert_eq!(error.failure(), Failure::Definition, "{text}");
    assert!(text.contains("sluice replay shop") || text.contains("may now be null"), "{text}");

    let versions = async || (t.version("raw", "orders").await, t.version("quarantine", "").await);
    let before = versions().await;
    let said = replayed(&t, &Filter::default(), Mode::DryRun).await.unwrap();
    assert_eq!((left(&said), versions().await), (8, before), "nothing is written");

    let report = replay_all(&t).await;
    let of = |receipt: u64| &report.receipts.iter().find(|one| one.receipt == receipt).unwrap().replayed;
    let (one, two) = (of(1), of(2));
    assert_eq!((one.tried, one.left, one.accepted, one.duplicate, one.dropped, one.too_old), (9, 6, 3, 1, 1, 1));
    assert_eq!(one.stays, [("check_failed".into(), 1), ("malformed".into(), 1), ("wrong_type".into(), 1)].into());
    assert_eq!((two.tried, two.left, two.accepted, two.duplicate), (3, 2, 1, 1));
    expect_accounting(&t, "orders", 1).await;
    expect_accounting(&t, "orders", 2).await;

    let before = versions().await;
    let again = replay_all(&t).await;
    assert_eq!((left(&again), versions().await), (0, before), "twice moves nothing more");
    t.run().await;
    assert_eq!(state(&t).await, state(&fresh().await).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_records_that_are_meant_move() {
    let t = mended_after_loading().await;
    let chosen = Filter::new(Some("orders".into()), Some("NOT CHEAP"), Some("receipt = 1 and position < 4")).unwrap();
    let report = replayed(&t, &chosen, Mode::Commit).await.unwrap();
    assert_eq!((report.receipts.len(), report.receipts[0].replayed.tried, left(&report)), (1, 3, 3));
    assert_eq!(t.sql("SELECT id FROM orders ORDER BY id").await, ["a1", "a2", "b1"]);
    assert_eq!(t.count("SELECT count(*) FROM quarantine WHERE receipt = 2").await, 3);
    expect_accounting(&t, "orders", 1).await;
    replay_all(&t).await;
    t.run().await;
    assert_eq!(state(&t).await, state(&fresh().await).await);
}

/// Puts what is no commit where the quarantine's next one would be, as soon as the first records were fed.
struct Spoiler {
    next_commit: PathBuf,
    is_on: Arc<AtomicBool>,
}

struct Spoiling(PathBuf, Arc<AtomicBool>);

impl Watch for Spoiler {
    fn start(&self, _stage: StageName, _target: &str) -> Box<dyn Progress> {
        Box::new(Spoiling(self.next_commit.clone(), self.is_on.clone()))
    }

    fn say(&self, _line: &str) {}
}

impl Progress for Spoiling {
    fn expect(&self, _total: u64) {}

    fn advance(&self, _units: u64) {
        if self.1.swap(false, Ordering::SeqCst) {
            std::fs::write(&self.0, "no commit").unwrap();
        }
    }
}

/// Replays until the commit to the quarantine fails, after the one to raw.
async fn stopped_between_its_commits(t: &TestPipeline) {
    let version = t.version("quarantine", "").await;
    let next_commit = t.lake().join(format!("quarantine/shop/_delta_log/{:020}.json", version + 1));
    let mut context = t.context().unwrap();
    context.watch = Arc::new(Spoiler { next_commit: next_commit.clone(), is_on: Arc::new(AtomicBool::new(true)) });
    let raw = t.count("SELECT count(*) FROM orders").await;
    assert!(Box::pin(replay(&context, &Filter::default(), Mode::Commit)).await.is_err());
    std::fs::remove_file(next_commit).unwrap();
    assert_eq!(t.version("quarantine", "").await, version);
    assert!(t.count("SELECT count(*) FROM orders").await > raw, "the first half is done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_was_stopped_between_its_commits_is_ended_by_the_next_one() {
    let t = mended_after_loading().await;
    stopped_between_its_commits(&t).await;
    let report = replay_all(&t).await;
    assert!(report.notes.iter().any(|note| note.contains("6 records left the quarantine")), "{:?}", report.notes);
    assert_eq!(left(&report), 2, "those of the other receipt");
    expect_accounting(&t, "orders", 1).await;
    expect_accounting(&t, "orders", 2).await;
    t.run().await;
    assert_eq!(state(&t).await, state(&fresh().await).await);
}

/// Whatever the definition has become meanwhile: what left is decided by the commit that it left with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_ends_a_replay_that_was_stopped_and_asks_no_definition() {
    let t = mended_after_loading().await;
    stopped_between_its_commits(&t).await;
    t.edit(
        "name = \"no tests\"\nsql = \"customer <> 'test'\"\non_failure = \"drop\"",
        "name = \"never\"\nsql = \"false\"\non_failure = \"warn\"",
    );
    let strict = replayed(&t, &Filter::new(None, None, Some("false")).unwrap(), Mode::Commit).await.unwrap();
    assert!(strict.receipts.is_empty() && !strict.notes.is_empty(), "{strict:?}");
    expect_accounting(&t, "orders", 1).await;
    std::fs::write(t.definition().join("pipeline.toml"), mended()).unwrap();
    stopped_between_its_commits(&t).await;
    let run = t.run().await;
    let load = run.stages.iter().find(|stage| stage.stage == StageName::LandingToRaw).unwrap();
    assert!(load.notes.iter().any(|note| note.contains("ended a replay that was stopped")), "{:?}", load.notes);
    expect_accounting(&t, "orders", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_what_rows_are_is_refused_as_ever() {
    let t = mended_after_loading().await;
    t.edit("unique_key = [\"id\"]", "unique_key = [\"id\", \"amount\"]");
    let error = replayed(&t, &Filter::default(), Mode::DryRun).await.unwrap_err();
    let text = chain(&error);
    assert_eq!(error.failure(), Failure::Definition, "{text}");
    assert!(text.contains("unique_key was [\"id\"]") && text.contains("sluice rebuild shop orders"), "{text}");
    assert_eq!(t.count("SELECT count(*) FROM quarantine").await, 12);
}
