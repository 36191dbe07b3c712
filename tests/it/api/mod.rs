//! The REST API over a real node, asked over real HTTP.

mod attacks;
mod contract;
pub(crate) mod kit;
mod load;
mod operations;
mod oulad;
mod pages;
mod paging;
mod session_events;
mod tls;
mod who;

use serde_json::json;
use tests::kit::TestPipeline;

use kit::Api;

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
event_time = "ts"
partition_by = "day"
unique_key = ["id"]
[raw.orders.columns]
id     = { type = "int64" }
ts     = { type = "timestamp" }
buyer  = { type = "string" }
price  = { type = "decimal(10, 2)" }
amount = { type = "int32", nullable = true }
day    = { type = "date", sql = "cast(ts as date)" }

[use_case.buyers]
from = "orders"
sql = "buyers.sql"
key = ["buyer"]
[use_case.buyers.columns]
orders = { fold = "sum" }
latest = { fold = "max" }

[cassandra.orders_by_buyer]
from = "raw.orders"
sql = "orders_by_buyer.sql"
partition_key = ["buyer"]
clustering = ["ts desc", "id"]

[cassandra.orders_by_day]
from = "raw.orders"
sql = "orders_by_day.sql"
partition_key = ["day"]
clustering = ["ts desc", "id"]

[cassandra.buyers]
from = "use_case.buyers"
sql = "c_buyers.sql"
partition_key = ["buyer"]

[endpoint.orders_of_buyer]
path = "/v1/buyers/{buyer}/orders"
table = "orders_by_buyer"
range = { column = "ts" }
page_size = 3

[endpoint.first_orders_of_buyer]
path = "/v1/buyers/{buyer}/first-orders"
table = "orders_by_buyer"
reverse = true
page_size = 3

[endpoint.orders]
path = "/v1/orders"
aliases = ["/orders/{hours}"]
table = "orders_by_day"
range = { column = "ts", bucket = "day", max = "366 days", default = "24 hours" }
fields = ["id", "buyer"]
page_size = 4

[endpoint.sales]
path = "/v1/sales"
table = "orders_by_day"
range = { column = "ts", bucket = "day", max = "366 days" }
totals = { orders = "count()", amount = "sum(amount)" }

[endpoint.newest_order]
path = "/v1/newest-order"
table = "orders_by_day"
range = { column = "ts", bucket = "day", max = "366 days" }
answer = "newest"

[endpoint.buyer]
path = "/v1/buyers/{buyer}"
table = "buyers"
answer = "newest"
cache = "30 seconds"
"#;

const COLUMNS: &str = "buyer, ts, id, price, amount";

/// An order a line: `ID HOUR BUYER`, hours counted from the first of March.
fn orders(orders: impl IntoIterator<Item = (u64, u64, &'static str)>) -> String {
    let order = |(id, hour, buyer)| {
        let ts = chrono::DateTime::from_timestamp(1_709_251_200 + i64::try_from(hour * 3_600).unwrap(), 0).unwrap();
        let amount = (id % 5 != 0).then_some(id);
        json!({ "id": id, "ts": ts.to_rfc3339(), "buyer": buyer, "price": f64::from(u32::try_from(id).unwrap()) + 0.5, "amount": amount }).to_string()
    };
    orders.into_iter().map(order).collect::<Vec<_>>().join("\n")
}

/// The shop after a run over these orders.
async fn shop(served: String) -> TestPipeline {
    let shop = shop_folder().await;
    shop.serve_at("orders", served);
    shop.run().await;
    shop
}

/// The shop before its first run.
async fn shop_folder() -> TestPipeline {
    let by_buyer = format!("SELECT {COLUMNS} FROM orders");
    let by_day = "SELECT day, ts, id, buyer, amount FROM orders";
    let buyers = "SELECT buyer, count(*) AS orders, max(ts) AS latest FROM orders GROUP BY buyer";
    let files = [
        ("pipeline.toml", SHOP),
        ("orders_by_buyer.sql", by_buyer.as_str()),
        ("orders_by_day.sql", by_day),
        ("buyers.sql", buyers),
        ("c_buyers.sql", "SELECT buyer, orders, latest FROM buyers"),
    ];
    TestPipeline::written("shop", &files).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_says_what_it_is_of_and_an_unchanged_one_costs_no_rows() {
    let shop = shop(orders((0..30).map(|id| (id, id, if id % 3 == 0 { "ann" } else { "bob's" })))).await;
    let api = Api::start(&shop).await;
    let answer = api.get("/v1/buyers/bob's/orders?limit=2").await;
    let said = answer.json();
    assert_eq!(said["items"][0]["id"], 29);
    assert_eq!(said["items"][0]["price"], "29.50", "a decimal is a text");
    assert_eq!(said["items"][0]["ts"], "2024-03-02T05:00:00.000Z");
    assert_eq!(
        (&said["count"], &said["now"], &said["as_of"]["event_time"]),
        (&json!(2), &said["as_of"]["event_time"], &json!("2024-03-02T05:00:00.000Z"))
    );
    assert!(said["as_of"]["version"].is_u64());
    let totals = api.get("/v1/sales?days=2").await.json();
    let amount: u64 = (0..30).filter(|id| id % 5 != 0).sum();
    assert_eq!(totals["item"], json!({ "orders": 30, "amount": amount }));
    let buyer = api.get("/v1/buyers/ann").await;
    assert_eq!((&buyer.json()["item"]["orders"], buyer.header("cache-control")), (&json!(10), "private, max-age=30"));
    assert_eq!(api.get("/v1/buyers/nobody").await.code(), "not-found");
    assert_eq!(api.get("/v1/buyers/nobody/orders").await.json()["items"], json!([]));

    let csv = api.get_with("/v1/buyers/ann/orders?limit=1", &[("accept", "text/csv")]).await;
    assert_eq!(csv.text, "buyer,ts,id,price,amount\r\nann,2024-03-02T03:00:00.000Z,27,27.50,27\r\n");
    assert!(csv.header("link").ends_with("rel=\"next\""));
    let lines = api.get_with("/orders/2", &[("accept", "application/x-ndjson")]).await;
    assert_eq!(lines.text, "{\"id\":29,\"buyer\":\"bob's\"}\n{\"id\":28,\"buyer\":\"bob's\"}\n{\"id\":27,\"buyer\":\"ann\"}\n");
    assert_eq!(api.get_with("/v1/buyers/ann", &[("accept", "text/html")]).await.code(), "not-acceptable");

    let etag = answer.header("etag").to_owned();
    let reads = api.reads("orders_of_buyer").await;
    assert!(reads > 0);
    let again = api.get_with("/v1/buyers/bob's/orders?limit=2", &[("if-none-match", &etag)]).await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    assert_eq!(api.reads("orders_of_buyer").await, reads, "no row was read for it");
    let other = api.get_with("/v1/buyers/ann/orders?limit=2", &[("if-none-match", &etag)]).await;
    assert_eq!(other.status, 200, "another question has another tag");
    shop.serve_at("orders", orders((30..31).map(|id| (id, id, "bob's"))));
    shop.run().await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let changed = loop {
        let changed = api.get_with("/v1/buyers/bob's/orders?limit=2", &[("if-none-match", &etag)]).await;
        if changed.status == 200 || std::time::Instant::now() > deadline {
            break changed;
        }
    };
    assert_eq!(changed.json()["items"][0]["id"], 30);
}

/// A row of a partition alone is all that is read, and where the last days are empty, of those before.
#[tokio::test(flavor = "multi_thread")]
async fn the_newest_row_is_found_behind_days_without_any_and_reads_no_day_after_it() {
    let shop = shop(orders((0..9).map(|id| (id, id * 24, "ann")))).await;
    let api = Api::start(&shop).await;
    assert_eq!(api.get("/v1/newest-order?days=366").await.json()["item"]["id"], 8);
    assert_eq!(api.reads("newest_order").await, 1, "of 367 days");
    let before = api.get("/v1/newest-order?from=2023-06-01&to=2024-03-04T12:00:00Z").await.json();
    assert_eq!(before["item"]["id"], 3);
    let none = api.get("/v1/newest-order?from=2023-06-01&to=2023-09-01").await;
    assert_eq!(none.code(), "not-found");
    assert!(
        ["sluice-version", "sluice-event-time", "sluice-now"].iter().all(|name| none.headers.contains_key(*name)),
        "{none:?}"
    );
    assert!(!none.headers.contains_key("etag"), "the row may come without a later version: {none:?}");
    let behind = api.get("/v1/newest-order?from=2024-03-09T06:00:00Z&to=2024-04-01").await;
    assert_eq!(behind.code(), "not-found");
    let over = api.get("/v1/newest-order?from=2024-03-01&to=2024-04-01").await.json();
    assert_eq!(over["item"]["id"], 8, "behind 23 days without any");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_request_is_named_at_once() {
    let shop = shop(orders([(1, 1, "ann")])).await;
    let api = Api::start(&shop).await;
    let faults = |answer: kit::Answer| -> Vec<String> {
        assert_eq!(answer.code(), "invalid-parameter");
        let errors = answer.json()["errors"].as_array().unwrap().clone();
        errors
            .iter()
            .map(|fault| format!("{} {}", fault["parameter"].as_str().unwrap(), fault["detail"].as_str().unwrap()))
            .collect()
    };
    let said = faults(api.get("/v1/orders?hours=0&limit=5000&colour=red").await);
    assert_eq!(
        said,
        [
            "colour is not known; there are: from, to, hours, days, limit, cursor",
            "limit must be a whole number from 1 to 1000",
            "hours must be a whole number from 1",
        ]
    );
    let said = faults(api.get("/v1/orders?limit=1&limit=2&to=%ff&from=yesterday").await);
    let named: Vec<_> = said.iter().filter_map(|fault| fault.split(' ').next()).collect();
    assert_eq!(named, ["limit", "to", "from"], "{said:?}");
    let one = async |path: &str| faults(api.get(path).await).join("; ");
    assert_eq!(one("/v1/orders?from=2024-03-02&to=2024-03-01").await, "to must be so that `from` is before `to`");
    assert_eq!(one("/v1/orders?days=367").await, "days asks for more than 366 days, the longest range");
    assert_eq!(one("/orders/1?hours=2").await, "hours is given twice");
    assert_eq!(one("/v1/orders?limit=1&limit=2").await, "limit is given twice");
    assert_eq!(one("/v1/sales").await, "from is needed, or `hours`, or `days`");
    assert_eq!(one("/v1/orders?from=%ff").await, "from is not encoded as UTF-8, each byte of it as `%` and two digits");
    assert_eq!(api.get("/v1/nothing").await.code(), "not-found");
}
