//! Rejects with a way back: listed, replayed once under a mended definition, and a row's history.

mod formats;
mod listing;
mod replay;
mod restore;
mod why;

use model::counts::Counts;
use model::position::TableVersion;
use pipelines::Error;
use pipelines::commands::replay::{ReplayReport, replay};
use tests::kit::{TestPipeline, chain};
use zones::delta::Table;
use zones::rejects::Filter;
use zones::replay::Mode;

const SHOP: &str = r#"
[pipeline]
name = "shop"
clock = "newest_event"
[source.orders]
url = "${ORDERS_URL}"
[landing.orders]
format = "json_lines"
[raw.orders]
from = "orders"
event_time = "at"
partition_by = "day"
unique_key = ["id"]
reject_limit = "100 %"
retention = "365 days"
[raw.orders.columns]
id       = { type = "string" }
at       = { type = "timestamp" }
amount   = { type = "int64" }
customer = { type = "string" }
note     = { type = "string" }
day      = { type = "date", sql = "cast(at as date)" }
[[raw.orders.checks]]
name = "not cheap"
sql = "amount > 10"
[[raw.orders.checks]]
name = "no tests"
sql = "customer <> 'test'"
on_failure = "drop"
[use_case.customers]
from = "orders"
sql = "customers.sql"
key = ["customer"]
[use_case.customers.columns]
total  = { fold = "sum" }
latest = { fold = "max" }
[cassandra.orders_by_day]
from = "raw.orders"
sql = "orders_by_day.sql"
partition_key = ["day"]
clustering = ["at desc", "id"]
[cassandra.customers]
from = "use_case.customers"
sql = "to_customers.sql"
partition_key = ["customer"]
"#;

const SHOP_SQL: [(&str, &str); 3] = [
    ("customers.sql", "SELECT customer, sum(amount) AS total, max(at) AS latest FROM orders GROUP BY customer"),
    ("orders_by_day.sql", "SELECT day, at, id, amount, note FROM orders"),
    ("to_customers.sql", "SELECT customer, total, latest FROM customers"),
];

async fn shop(definition: &str) -> TestPipeline {
    let mut files = vec![("pipeline.toml", definition)];
    files.extend(SHOP_SQL);
    TestPipeline::written("shop", &files).await
}

/// A looser check, a column that may be null, one more way to write times.
fn mended() -> String {
    SHOP.replace("amount > 10", "amount > 0")
        .replace("note     = { type = \"string\" }", "note     = { type = \"string\", nullable = true }")
        .replace("{ type = \"timestamp\" }", "{ type = \"timestamp\", format = [\"iso\", \"%d.%m.%Y %H:%M\"] }")
}

fn order(id: &str, at: &str, amount: i64, customer: &str) -> String {
    format!("{{\"id\":\"{id}\",\"at\":\"{at}\",\"amount\":{amount},\"customer\":\"{customer}\",\"note\":\"n\"}}\n")
}

async fn replayed(t: &TestPipeline, filter: &Filter, mode: Mode) -> Result<ReplayReport, Error> {
    let context = t.context().unwrap();
    Box::pin(replay(&context, filter, mode)).await
}

/// Replays all; what passed, and what stays by its reason.
async fn replay_all(t: &TestPipeline) -> ReplayReport {
    replayed(t, &Filter::default(), Mode::Commit).await.unwrap_or_else(|error| panic!("{}", chain(&error)))
}

/// Records that left the quarantine.
fn left(report: &ReplayReport) -> u64 {
    report.receipts.iter().map(|one| one.replayed.left).sum()
}

/// What the commits of a raw table say of a receipt: the sum of its counts, and of its replays.
async fn committed(t: &TestPipeline, table: &str, receipt: u64) -> (Counts, u64) {
    let raw = Table::open(&t.lake().join("raw").join(&t.name).join(table), table).await.unwrap().unwrap();
    let (mut counts, mut replayed) = (Counts::default(), 0);
    for version in 0..=raw.version().0 {
        let Some(note) = raw.commit_content(TableVersion(version)).await.unwrap().note() else { continue };
        if note.receipt == Some(receipt) {
            counts += note.counts;
            replayed += note.replayed.unwrap_or(0);
        }
    }
    (counts, replayed)
}

/// The accounting of a receipt closes: what was read is somewhere, and what was rejected left the quarantine or is in it.
async fn expect_accounting(t: &TestPipeline, table: &str, receipt: u64) {
    let (counts, replayed) = committed(t, table, receipt).await;
    let held = t.count(&format!("SELECT count(*) FROM quarantine WHERE raw_table = '{table}' AND receipt = {receipt}")).await;
    assert_eq!(counts.rejected - replayed, held, "receipt {receipt}: {counts}, {replayed} replayed");
    let fates = Counts { rejected: held, ..counts };
    assert!(fates.closes(), "receipt {receipt}: {fates}");
    let rows = t.count(&format!("SELECT count(*) FROM {table} WHERE _receipt = {receipt}")).await;
    assert_eq!(rows, counts.accepted, "receipt {receipt}");
}
