//! Pages: together they are the table's rows, each once and in order, whatever happens between two of them.

use serde_json::{Value, json};
use tests::kit::TestPipeline;

use super::kit::{Api, make_key};
use super::{orders, shop};

/// Several orders an hour, so that pages end among equals.
fn crowded(ids: std::ops::Range<u64>) -> impl Iterator<Item = (u64, u64, &'static str)> {
    ids.map(|id| (id, id / 4 * 7, if id % 2 == 0 { "ann" } else { "bob" }))
}

fn ids(items: &[Value]) -> Vec<u64> {
    items.iter().map(|item| item["id"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_together_are_the_rows_of_the_lake_in_the_order_of_the_table() {
    let shop = shop(orders(crowded(0..100))).await;
    let api = Api::start_with(&shop, &["--rate", "10000 per second"], &[]).await;
    api.wait_for("/readyz", 200).await;
    let lake = async |order: &str, condition: &str| -> Vec<u64> {
        let query = format!("SELECT id FROM orders WHERE {condition} ORDER BY {order}");
        shop.sql(&query).await.iter().map(|id| id.parse().unwrap()).collect()
    };
    for limit in [1, 3, 7, 1000] {
        let (items, pages) = api.pages(&format!("/v1/buyers/ann/orders?limit={limit}")).await;
        assert_eq!(ids(&items), lake("ts DESC, id", "buyer = 'ann'").await, "{limit}");
        assert_eq!(pages, 50_usize.div_ceil(limit), "{limit}");
        let (items, _) = api.pages(&format!("/v1/buyers/bob/first-orders?limit={limit}")).await;
        assert_eq!(ids(&items), lake("ts, id DESC", "buyer = 'bob'").await, "{limit}");
        // Over days, of which some are empty.
        let (items, _) = api.pages(&format!("/v1/orders?days=31&limit={limit}")).await;
        assert_eq!(ids(&items), lake("ts DESC, id", "true").await, "{limit}");
        let within = "from=2024-03-02T07:00:00Z&to=2024-03-04T12:00:00Z";
        let (items, _) = api.pages(&format!("/v1/orders?{within}&limit={limit}")).await;
        let condition = "ts >= '2024-03-02T07:00:00Z' AND ts < '2024-03-04T12:00:00Z'";
        assert_eq!(ids(&items), lake("ts DESC, id", condition).await, "{limit}");
        let (items, _) = api.pages(&format!("/v1/buyers/ann/orders?{within}&limit={limit}")).await;
        assert_eq!(ids(&items), lake("ts DESC, id", &format!("buyer = 'ann' AND {condition}")).await, "{limit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_between_two_pages_neither_repeats_nor_hides_a_row() {
    let shop = shop(orders(crowded(0..40))).await;
    let api = Api::start(&shop).await;
    let first = api.get("/v1/orders?days=31&limit=10").await.json();
    let seen = ids(first["items"].as_array().unwrap());
    // Newer and older than the page, and among the equals at its end.
    shop.serve_at("orders", orders(crowded(40..60).chain([(500, 1, "ann"), (501, 49, "bob")])));
    shop.run().await;
    let cursor = first["next"].as_str().unwrap();
    let (mut rest, mut next) = (Vec::new(), cursor.to_owned());
    loop {
        let page = api.get(&format!("/v1/orders?days=31&limit=10&cursor={next}")).await.json();
        rest.extend(ids(page["items"].as_array().unwrap()));
        assert_eq!(page["to"], first["to"], "a range is resolved once");
        let Some(cursor) = page["next"].as_str() else { break };
        next = cursor.to_owned();
    }
    let mut all: Vec<u64> = seen.iter().chain(&rest).copied().collect();
    all.sort_unstable();
    let mut expected: Vec<u64> = (0..40).chain([500]).collect();
    expected.extend((501..502).filter(|_| rest.contains(&501)));
    assert_eq!(all, expected, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_of_one_question_and_one_key() {
    let shop = shop(orders(crowded(0..40))).await;
    let api = Api::start(&shop).await;
    let cursor = api.get("/v1/buyers/ann/orders").await.json()["next"].as_str().unwrap().to_owned();
    assert_eq!(
        api.get(&format!("/v1/buyers/ann/orders?limit=9&cursor={cursor}")).await.status,
        200,
        "the size of a page may change"
    );
    for path in ["/v1/buyers/bob/orders", "/v1/buyers/ann/first-orders", "/v1/orders"] {
        assert_eq!(api.get(&format!("{path}?cursor={cursor}")).await.code(), "invalid-cursor", "{path}");
    }
    let from = format!("/v1/buyers/ann/orders?from=2024-03-01&cursor={cursor}");
    let answer = api.get(&from).await;
    assert_eq!(answer.code(), "invalid-cursor", "other bounds are another question");
    assert_eq!(answer.json()["errors"][0]["parameter"], "cursor", "{answer:?}");
    let mut forged = cursor.clone();
    forged.replace_range(30..31, if &cursor[30..31] == "A" { "B" } else { "A" });
    assert_eq!(api.get(&format!("/v1/buyers/ann/orders?cursor={forged}")).await.code(), "invalid-cursor");
    let other = format!("Bearer {}", make_key(&shop, &[]).await);
    let path = format!("/v1/buyers/ann/orders?cursor={cursor}");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let answer = loop {
        let answer = api.get_with(&path, &[("authorization", &other)]).await;
        if answer.status != 401 || std::time::Instant::now() > deadline {
            break answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(answer.code(), "invalid-cursor", "another key's");
}

const NOTES: &str = r#"
[pipeline]
name = "notes"

[source.notes]
url = "${NOTES_URL}"

[landing.notes]
format = "json_lines"

[raw.notes]
from = "notes"
event_time = "ts"
partition_by = "day"
unique_key = ["note"]
[raw.notes.columns]
note = { type = "string" }
who  = { type = "string" }
ts   = { type = "timestamp" }
day  = { type = "date", sql = "cast(ts as date)" }

[cassandra.notes]
from = "raw.notes"
sql = "notes.sql"
partition_key = ["who"]
clustering = ["note"]

[endpoint.notes]
path = "/v1/notes/{who}"
table = "notes"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_no_cursor_can_name_is_told_and_passed_by_a_longer_page() {
    let notes =
        TestPipeline::written("notes", &[("pipeline.toml", NOTES), ("notes.sql", "SELECT who, note, ts FROM notes")]).await;
    // As text of an address, 6,000 bytes are 8,000.
    let long = format!("b{}", "x".repeat(6_000));
    let line = |note: &str| json!({ "note": note, "who": "ann", "ts": "2024-03-01T00:00:00Z" }).to_string();
    notes.serve_at("notes", [line("a"), line(&long), line("c")].join("\n")).run().await;
    let api = Api::start_with(&notes, &[], &[("NOTES_URL", &notes.server.url("/notes"))]).await;
    let first = api.wait_for("/v1/notes/ann?limit=1", 200).await.json();
    let second = format!("/v1/notes/ann?limit=1&cursor={}", first["next"].as_str().unwrap());
    let told = api.get(&second).await;
    assert_eq!((told.status, told.code().as_str()), (500, "internal"));
    assert!(told.json()["detail"].as_str().unwrap().contains("too long for a cursor; ask with another limit"), "{told:?}");
    let (items, _) = api.pages("/v1/notes/ann?limit=3").await;
    assert_eq!(items.iter().map(|item| item["note"].as_str().unwrap()).collect::<Vec<_>>(), ["a", &long, "c"]);
}
