//! Going back in a raw table, where records or dates have another place since.

use model::maintenance::MaintenanceStep;
use pipelines::commands::maintain::Order;
use pipelines::commands::verify::Mending;
use tests::kit::TestPipeline;
use zones::verify::Sample;

use super::{SHOP, mended, order, replay_all, shop};
use crate::maintain::{maintained, thorough};

async fn sluice(t: &TestPipeline, arguments: &[&str]) -> Result<String, String> {
    let mut command = t.sluice(arguments).await;
    let output = command.env("ORDERS_URL", t.server.url("/orders")).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

async fn restored(t: &TestPipeline, version: u64) -> Result<String, String> {
    sluice(t, &["restore", "shop", "raw.orders", "--to", &version.to_string()]).await
}

/// That it is refused for this reason, and that nothing was touched.
async fn expect_refused(t: &TestPipeline, version: u64, reason: &str) {
    let versions = async || (t.version("raw", "orders").await, t.version("quarantine", "").await);
    let before = versions().await;
    let refused = restored(t, version).await.unwrap_err();
    assert!(refused.contains("cannot be restored") && refused.contains(reason), "{refused}");
    assert_eq!(versions().await, before);
}

async fn expect_right(t: &TestPipeline) {
    let verification = t.verify(Sample::All, Mending::LookOnly).await;
    assert!(verification.is_right, "{verification:#?}");
}

/// One record that is taken and one that is set aside.
async fn with_a_reject() -> (TestPipeline, u64) {
    let t = shop(SHOP).await;
    t.serve_at("orders", order("a1", "2024-01-15T10:00:00Z", 20, "ann") + &order("b1", "2024-01-15T11:00:00Z", 5, "bob"));
    t.run().await;
    let loaded = t.version("raw", "orders").await;
    std::fs::write(t.definition().join("pipeline.toml"), mended()).unwrap();
    (t, loaded)
}

/// Before it, the replayed records would be in neither table. From it on, back and forward again, everything is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raw_table_goes_back_to_the_last_replay_and_no_further() {
    let (t, loaded) = with_a_reject().await;
    replay_all(&t).await;
    t.run().await;
    let replayed = t.version("raw", "orders").await;
    t.serve_at("orders", order("a2", "2024-01-18T10:00:00Z", 40, "bob") + "no json\n").run().await;
    let rows = "SELECT id, _receipt, _position FROM orders ORDER BY id";
    let last = t.sql(rows).await;
    expect_refused(&t, loaded, "took 1 records out of the quarantine").await;
    expect_right(&t).await;

    restored(&t, replayed).await.unwrap();
    assert_eq!(t.sql("SELECT id FROM orders ORDER BY id").await, ["a1", "b1"]);
    expect_right(&t).await;
    t.run().await;
    assert_eq!(t.sql(rows).await, last);
    assert_eq!(t.count("SELECT count(*) FROM quarantine").await, 1);
    expect_right(&t).await;
}

/// A rebuild puts its own rejects into the quarantine: what was set aside before it is nowhere else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raw_table_goes_back_over_a_rebuild_only_where_the_same_was_set_aside() {
    let (t, loaded) = with_a_reject().await;
    sluice(&t, &["rebuild", "shop", "raw.orders"]).await.unwrap();
    t.run().await;
    let rebuilt = t.version("raw", "orders").await;
    assert_eq!(t.count("SELECT count(*) FROM quarantine").await, 0);
    expect_refused(&t, loaded, "computed it anew, and the quarantine with it").await;
    expect_right(&t).await;

    t.serve_at("orders", order("a2", "2024-01-18T10:00:00Z", 40, "bob")).run().await;
    sluice(&t, &["rebuild", "shop", "raw.orders"]).await.unwrap();
    restored(&t, rebuilt).await.unwrap();
    expect_right(&t).await;
    t.run().await;
    assert_eq!(t.sql("SELECT id FROM orders ORDER BY id").await, ["a1", "a2", "b1"]);
    expect_right(&t).await;
}

/// They would be archived, and removed, once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dates_that_retention_removed_do_not_come_back_by_a_restore() {
    let t = shop(SHOP).await;
    t.serve_at("orders", order("a1", "2024-01-15T10:00:00Z", 20, "ann")).run().await;
    let old = t.version("raw", "orders").await;
    t.serve_at("orders", order("a2", "2025-06-01T10:00:00Z", 30, "ann")).run().await;
    maintained(&t, &Order { steps: vec![MaintenanceStep::Retention], ..thorough() }).await;
    let kept = t.version("raw", "orders").await;
    t.serve_at("orders", order("a3", "2025-06-02T10:00:00Z", 30, "bob")).run().await;
    expect_refused(&t, old, "removed 1 dates that are past their retention").await;
    restored(&t, kept).await.unwrap();
    assert_eq!(t.sql("SELECT id FROM orders ORDER BY id").await, ["a2"]);
    expect_right(&t).await;
    t.run().await;
    assert_eq!(t.sql("SELECT id FROM orders ORDER BY id").await, ["a2", "a3"]);
    expect_right(&t).await;
}
