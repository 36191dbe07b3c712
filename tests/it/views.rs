//! Snapshots that are replaced, and views: what changed travels on, and nothing else does.

use model::report::{Outcome, RunReport, StageName, StageReport};
use tests::kit::TestPipeline;

const SHOP: &str = r#"
[pipeline]
name = "shop"

[source.orders]
url = "${ORDERS_URL}"
[source.products]
url = "${PRODUCTS_URL}"

[landing.orders]
format = "json_lines"
[landing.products]
format = "json_lines"

[raw.orders]
from = "orders"
event_time = "ts"
partition_by = "day"
unique_key = ["id"]
[raw.orders.columns]
id       = { type = "int64" }
ts       = { type = "timestamp" }
customer = { type = "string" }
product  = { type = "string" }
amount   = { type = "int32" }
day      = { type = "date", sql = "cast(ts as date)" }

[raw.products]
from = "products"
on_change = "replace"
[raw.products.columns]
product = { type = "string" }
kind    = { type = "string", nullable = true }
price   = { type = "int32" }

# The price list as it is now: rows that are gone from the snapshot are gone here.
[use_case.prices]
from = "products"
sql = "prices.sql"
key = ["product"]
[use_case.prices.columns]
price = { fold = "max" }

[use_case.product_days]
mode = "view"
from = ["orders", "raw.products"]
sql = "product_days.sql"
key = ["day", "product"]
partition_by = "day"

[use_case.kinds]
mode = "view"
from = "product_days"
sql = "kinds.sql"
key = ["kind"]

[use_case.overview]
mode = "view"
from = ["raw.orders", "use_case.prices"]
sql = "overview.sql"
key = ["product"]

[cassandra.prices]
from = "use_case.prices"
sql = "c_prices.sql"
partition_key = ["product"]

[cassandra.product_list]
from = "raw.products"
sql = "c_products.sql"
partition_key = ["product"]

[cassandra.top_products]
from = "use_case.product_days"
sql = "c_top.sql"
partition_key = ["day"]
clustering = ["amount desc", "product"]
"#;

pub(crate) const FILES: [(&str, &str); 8] = [
    ("pipeline.toml", SHOP),
    ("prices.sql", "SELECT product, max(price) AS price FROM products GROUP BY product"),
    (
        "product_days.sql",
        "SELECT o.day, o.product, p.kind, sum(o.amount) AS amount, count(DISTINCT o.customer) AS customers
         FROM orders o LEFT JOIN raw.products p ON o.product = p.product GROUP BY o.day, o.product, p.kind",
    ),
    ("kinds.sql", "SELECT coalesce(kind, 'unknown') AS kind, sum(amount) AS amount FROM product_days GROUP BY 1"),
    (
        "overview.sql",
        "SELECT o.product, max(o.ts) AS latest, max(p.price) AS price FROM orders o LEFT JOIN prices p ON o.product = p.product
         GROUP BY o.product",
    ),
    ("c_products.sql", "SELECT product, kind, price FROM products"),
    ("c_prices.sql", "SELECT product, price FROM prices"),
    ("c_top.sql", "SELECT day, amount, product, customers FROM product_days WHERE amount IS NOT NULL"),
];

pub(crate) fn order(id: u32, day: u32, customer: &str, product: &str, amount: u32) -> String {
    format!(
        "{{\"id\":{id},\"ts\":\"2024-03-{day:02}T10:00:00Z\",\"customer\":\"{customer}\",\"product\":\"{product}\",\"amount\":{amount}}}\n"
    )
}

pub(crate) fn product(name: &str, kind: &str, price: u32) -> String {
    format!("{{\"product\":\"{name}\",\"kind\":\"{kind}\",\"price\":{price}}}\n")
}

fn stage<'r>(report: &'r RunReport, stage: StageName, target: &str) -> &'r StageReport {
    report.stages.iter().find(|one| one.stage == stage && one.target == target).unwrap_or_else(|| panic!("{report:#?}"))
}

pub(crate) async fn shop_before_its_first_run() -> TestPipeline {
    TestPipeline::written("shop", &FILES).await
}

pub(crate) async fn shop() -> TestPipeline {
    let t = shop_before_its_first_run().await;
    t.serve_at("orders", order(1, 1, "ann", "tea", 5) + &order(2, 1, "bob", "tea", 2) + &order(3, 2, "ann", "pot", 1));
    t.serve_at("products", product("tea", "drink", 3) + &product("pot", "ware", 20) + &product("cup", "ware", 7));
    t.run().await;
    t
}

/// A view equals its SQL after every run; a new order touches its own group, and only that one travels to Cassandra.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_follows_its_inputs_and_computes_only_what_was_touched() {
    let t = shop().await;
    let all = "SELECT day, product, kind, amount, customers FROM product_days ORDER BY day, product";
    assert_eq!(t.sql(all).await, ["2024-03-01 | tea | drink | 7 | 2", "2024-03-02 | pot | ware | 1 | 1"]);
    assert_eq!(t.sql("SELECT kind, amount FROM kinds ORDER BY kind").await, ["drink | 7", "ware | 1"]);

    t.serve_at("orders", order(4, 2, "eve", "pot", 3) + &order(5, 2, "eve", "cup", 4));
    let report = t.run().await;
    assert_eq!(
        t.sql(all).await,
        ["2024-03-01 | tea | drink | 7 | 2", "2024-03-02 | cup | ware | 4 | 1", "2024-03-02 | pot | ware | 4 | 2"]
    );
    assert_eq!(t.sql("SELECT kind, amount FROM kinds ORDER BY kind").await, ["drink | 7", "ware | 8"]);
    let view = stage(&report, StageName::RawToUseCase, "product_days");
    assert_eq!((view.written, view.deleted, view.commits), (2, 0, 1));
    assert_eq!(view.notes, ["computed 2 touched groups anew"]);
    // The order in Cassandra follows the amount: the row at the old amount is gone.
    assert_eq!(t.cql("SELECT amount, product FROM {ks}.top_products WHERE day = '2024-03-02'").await, ["4 | cup", "4 | pot"]);
    let sent = stage(&report, StageName::UseCaseToCassandra, "top_products");
    assert_eq!((sent.written, sent.deleted), (3, 1), "two new rows and the one that moved away");

    let again = t.run().await;
    assert!(again.stages.iter().all(|stage| stage.outcome == Outcome::UpToDate && stage.commits == 0), "{again:#?}");
}

/// A new snapshot replaces the one before it in one commit; what is gone is deleted in the merged table, in views and in Cassandra.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_gone_from_a_snapshot_are_deleted_downstream() {
    let t = shop().await;
    assert_eq!(t.cql("SELECT product, price FROM {ks}.prices").await.len(), 3);
    t.serve_at("products", product("tea", "drink", 4) + &product("pot", "ware", 20));
    let report = t.run().await;

    assert_eq!(t.sql("SELECT product, price FROM prices ORDER BY product").await, ["pot | 20", "tea | 4"]);
    assert_eq!(t.sql("SELECT product, _receipt FROM products ORDER BY product").await, ["pot | 2", "tea | 2"]);
    let load = stage(&report, StageName::LandingToRaw, "products");
    assert_eq!((load.written, load.deleted, load.commits), (2, 2, 1), "cup, and tea at its old price");
    let merge = stage(&report, StageName::RawToUseCase, "prices");
    assert_eq!((merge.written, merge.deleted), (2, 1), "tea has changed, cup is gone, pot is as it was");
    let mut rows = t.cql("SELECT product, price FROM {ks}.prices").await;
    rows.sort();
    assert_eq!(rows, ["pot | 20", "tea | 4"]);
    assert_eq!(
        t.sql("SELECT product, price FROM overview ORDER BY product").await,
        ["pot | 20", "tea | 4"],
        "a view over an outer join follows its other side"
    );
    let overview = stage(&report, StageName::RawToUseCase, "overview");
    assert_eq!(overview.notes, ["computed 2 touched groups anew"], "tea and cup, not all");
}

/// A value that a newer snapshot no longer has is gone from Cassandra as well, though its row stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_is_gone_from_a_snapshot_is_gone_from_its_row() {
    let t = shop().await;
    t.serve_at("products", "{\"product\":\"tea\",\"price\":3}\n{\"product\":\"pot\",\"kind\":\"ware\",\"price\":20}\n")
        .run()
        .await;
    let mut rows = t.cql("SELECT product, kind, price FROM {ks}.product_list").await;
    rows.sort();
    assert_eq!(rows, ["pot | ware | 20", "tea | null | 3"]);
}

/// The same rows in another order are the same snapshot: nothing travels on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_with_the_same_rows_changes_nothing_downstream() {
    let t = shop().await;
    t.serve_at("products", product("cup", "ware", 7) + &product("pot", "ware", 20) + &product("tea", "drink", 3));
    let report = t.run().await;
    assert_eq!(stage(&report, StageName::LandingToRaw, "products").deleted, 0);
    let downstream = |stage: &&StageReport| stage.stage > StageName::LandingToRaw;
    assert!(report.stages.iter().filter(downstream).all(|stage| stage.written == 0), "{report:#?}");
}

/// With several urls a new file takes the place of the one from its own url; a url that is no longer named takes its rows along.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_url_of_a_source_has_a_snapshot_of_its_own() {
    let t = TestPipeline::written("shop", &FILES).await;
    t.edit("url = \"${PRODUCTS_URL}\"", "url = [\"${HERE_URL}\", \"${THERE_URL}\"]");
    t.serve_at("orders", order(1, 1, "ann", "tea", 5));
    t.serve_at("here", product("tea", "drink", 3) + &product("pot", "ware", 20));
    t.serve_at("there", product("cup", "ware", 7));
    t.run().await;
    let prices = "SELECT product, price FROM prices ORDER BY product";
    assert_eq!(t.sql(prices).await, ["cup | 7", "pot | 20", "tea | 3"]);

    t.serve_at("here", product("tea", "drink", 4)).run().await;
    assert_eq!(t.sql(prices).await, ["cup | 7", "tea | 4"], "what came from the other url stays");

    t.edit("\"${THERE_URL}\"", "\"${OTHER_URL}\"");
    t.serve_at("other", product("mug", "ware", 9)).run().await;
    assert_eq!(t.sql(prices).await, ["mug | 9", "tea | 4"]);
}
