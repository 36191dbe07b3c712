//! Every format comes back as it would have been loaded; files that are loaded as a whole do not.

use std::io::{Cursor, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int32Array, RecordBatch, TimestampMicrosecondArray};
use parquet::arrow::ArrowWriter;
use tests::kit::{TestPipeline, chain};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{expect_accounting, left, replay_all};

const CSV: &str = r#"
[pipeline]
name = "shop"
[source.orders]
url = "${ORDERS_URL}"
[landing.orders]
format = "csv"
max_record_bytes = "60 B"
[raw.orders]
from = "orders"
reject_limit = "100 %"
unknown_fields = "keep"
[raw.orders.columns]
id    = { type = "int64" }
price = { type = "decimal(8, 2)" }
note  = { type = "string" }
[[raw.orders.checks]]
name = "not free"
sql = "price > 0"
"#;

fn zipped(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in entries {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Two entries with their columns in different order, quotes over two lines, fields that are unknown, a record that was too
/// large under a smaller limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_csv_find_the_header_of_their_own_entry() {
    let long = "x".repeat(80);
    let first =
        format!("id,price,note,mood\n1,1.50,a,fine\n2,0.00,\"says \"\"hi\"\",\ntwice\",calm\n3,0.00,,\n4,2.00,{long},\n5,1\n");
    let second = "note,mood,price,id\nb,wild,0.00,6\n\"open,1,1,7\n";
    let t = TestPipeline::written("shop", &[("pipeline.toml", CSV)]).await;
    t.serve_at("orders", zipped(&[("a.csv", &first), ("b.csv", second)])).run().await;
    assert_eq!(t.sql("SELECT id FROM orders").await, ["1"]);
    assert_eq!(t.count("SELECT count(*) FROM quarantine").await, 6);

    t.edit("price > 0", "price >= 0");
    t.edit("60 B", "1 KiB");
    t.edit("note  = { type = \"string\" }", "note  = { type = \"string\", nullable = true }");
    let fresh = TestPipeline::written(
        "shop",
        &[("pipeline.toml", &std::fs::read_to_string(t.definition().join("pipeline.toml")).unwrap())],
    )
    .await;
    fresh.serve_at("orders", zipped(&[("a.csv", &first), ("b.csv", second)])).run().await;
    let report = replay_all(&t).await;
    assert_eq!((left(&report), report.receipts[0].replayed.stays.clone()), (4, [("malformed".to_owned(), 2)].into()));
    for query in [
        "SELECT id, price, note, _unknown, _entry, _position FROM orders ORDER BY id",
        "SELECT entry, position, reason, detail, record FROM quarantine ORDER BY entry, position",
    ] {
        assert_eq!(t.sql(query).await, fresh.sql(query).await);
    }
    expect_accounting(&t, "orders", 1).await;
    t.run().await;
}

const PARQUET: &str = r#"
[pipeline]
name = "trips"
[source.trips]
url = "${TRIPS_URL}"
[landing.trips]
format = "parquet"
[raw.trips]
from = "trips"
reject_limit = "100 %"
[raw.trips.columns]
id    = { type = "int64" }
at    = { type = "timestamp", zone = "Europe/Helsinki" }
blob  = { type = "binary" }
[[raw.trips.checks]]
name = "not of a thousand"
sql = "id % 1000 <> 0"
"#;

/// Bytes have another form in JSON than in a contract of JSON: the rows are read where they lie.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_parquet_come_back_with_what_their_json_cannot_say() {
    let count = 20_000;
    let ids: Int32Array = (0..count).collect();
    let times = TimestampMicrosecondArray::from_iter_values((0..count).map(|row| 1_705_312_800_000_000 + i64::from(row)));
    let blobs = BinaryArray::from_iter_values((0..count).map(i32::to_be_bytes));
    let columns = [("id", Arc::new(ids) as ArrayRef), ("at", Arc::new(times)), ("blob", Arc::new(blobs))];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    let t = TestPipeline::written("trips", &[("pipeline.toml", PARQUET)]).await;
    t.serve_at("trips", writer.into_inner().unwrap()).run().await;
    assert_eq!(t.count("SELECT count(*) FROM quarantine").await, 20);

    t.edit("id % 1000 <> 0", "id % 5000 <> 0");
    assert_eq!(left(&replay_all(&t).await), 16);
    assert_eq!(
        t.sql("SELECT id, at, blob, _position FROM trips WHERE id IN (18999, 19000, 18000) ORDER BY id").await,
        [
            "18000 | 2024-01-15T08:00:00.018Z | 00004650 | 18001",
            "18999 | 2024-01-15T08:00:00.018999Z | 00004a37 | 19000",
            "19000 | 2024-01-15T08:00:00.019Z | 00004a38 | 19001",
        ]
    );
    expect_accounting(&t, "trips", 1).await;
}

const SNAPSHOT: &str = r#"
[pipeline]
name = "crm"
[source.people]
url = "${PEOPLE_URL}"
[landing.people]
format = "json_lines"
[raw.people]
from = "people"
on_change = "replace"
reject_limit = "60 %"
[raw.people.columns]
id  = { type = "int64" }
age = { type = "int64" }
[[raw.people.checks]]
name = "grown up"
sql = "age >= 18"
[use_case.ages]
from = "people"
sql = "ages.sql"
key = ["id"]
mode = "view"
"#;

/// Only the snapshot that is there takes its rejects back; a file that was stopped waits to be loaded as a whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_an_older_snapshot_or_of_a_stopped_file_are_not_tried() {
    let files = [("pipeline.toml", SNAPSHOT), ("ages.sql", "SELECT id, age FROM people")];
    let t = TestPipeline::written("crm", &files).await;
    let person = |id: u32, age: u32| format!("{{\"id\":{id},\"age\":{age}}}\n");
    t.serve_at("people", [person(1, 40), person(2, 17)].concat()).run().await;
    t.serve_at("people", [person(1, 41), person(2, 17), person(3, 5)].concat());
    assert!(t.try_run().await.is_err(), "two of three are more than the limit");
    t.serve_at("people", [person(1, 42), person(2, 17), person(4, 50)].concat()).run().await;

    t.edit("age >= 18", "age >= 10");
    let report = replay_all(&t).await;
    assert_eq!(left(&report), 1);
    let why: Vec<_> = report.not_tried.iter().map(|not| (not.receipt, not.records, not.reason.as_str())).collect();
    assert_eq!(
        why,
        [
            (1, 1, "a newer snapshot took the place of its file"),
            (2, 2, "its file was stopped by its limits, and is loaded as a whole once they hold"),
        ]
    );
    assert_eq!(t.sql("SELECT id, age, _receipt FROM people ORDER BY id").await, ["1 | 42 | 3", "2 | 17 | 3", "4 | 50 | 3"]);
    t.run().await;
    assert_eq!(t.sql("SELECT id, age FROM ages ORDER BY id").await, ["1 | 42", "2 | 17", "4 | 50"]);
    // The next snapshot takes the place of all of it.
    t.serve_at("people", person(9, 30)).try_run().await.map_or_else(|error| panic!("{}", chain(&error)), drop);
    assert_eq!(t.sql("SELECT id, age FROM ages").await, ["9 | 30"]);
}
