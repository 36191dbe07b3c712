//! Each format and each policy of drift, from a served file to the Delta tables read back.

use std::io::{Cursor, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field};
use flate2::Compression;
use flate2::write::GzEncoder;
use model::failure::{Classify, Failure};
use model::report::{DriftKind, RunReport, StageName, StageReport};
use parquet::arrow::ArrowWriter;
use tests::kit::{TestPipeline, chain};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn load(report: &RunReport) -> &StageReport {
    report.stages.iter().find(|stage| stage.stage == StageName::LandingToRaw).unwrap()
}

const CSV: &str = r#"
[pipeline]
name = "shop"
[source.orders]
url = "${ORDERS_URL}"
[landing.orders]
format = "csv"
entries = "*.csv"
null_values = ["", "NULL"]
max_record_bytes = "1 KiB"
[raw.orders]
from = "orders"
event_time = "at"
partition_by = "day"
reject_limit = "100 %"
[raw.orders.columns]
id    = { type = "int64", field = "Order No." }
at    = { type = "timestamp", field = "when", format = ["%d.%m.%Y %H:%M", "iso"], zone = "Europe/Helsinki", ambiguous = "later" }
price = { type = "decimal(8, 2)", nullable = true }
note  = { type = "string", nullable = true }
paid  = { type = "boolean", nullable = true }
tags  = { type = "json", nullable = true }
bytes = { type = "binary", encoding = "hex", nullable = true }
ratio = { type = "float32", nullable = true }
day   = { type = "date", sql = "cast(at as date)" }
[[raw.orders.checks]]
name = "not free"
sql = "price > 0"
null = "pass"
[[raw.orders.checks]]
name = "short notes"
sql = "length(note) < 20"
null = "pass"
on_failure = "warn"
[[raw.orders.checks]]
name = "no tests"
sql = "note <> 'test'"
null = "pass"
on_failure = "drop"
"#;

fn zipped(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Two entries of an archive with their columns in different order; every oddity that is allowed, and every fault.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn csv_of_every_kind_arrives_and_each_bad_record_is_set_aside_with_its_line() {
    let mut first = "\u{feff}\"Order No.\",when,price,note,paid,tags,bytes,ratio\r\n".as_bytes().to_vec();
    first.extend_from_slice(
        "1,15.01.2024 12:00,1.50,\"says \"\"hi\"\",\r\ntwice\",YES,\"{\"\"a\"\": [1, 2]}\",C0FFEE,0.5\r\n".as_bytes(),
    );
    first.extend_from_slice("\r\n\"2\",\"2024-10-27T03:30:00\",\"\",NULL,f,,,\r\n".as_bytes());
    for bad in [
        "3,15.01.2024 12:00,1.555,,,,,",
        "4,31.03.2024 03:30,1,,,,,",
        "5,15.01.2024 12:00,1,,,{a},,",
        "6,15.01.2024 12:00,1,,,,xy,",
        "7,15.01.2024 12:00,1,,,,,1e99",
        "8,15.01.2024 12:00,1,,",
        "9,15.01.2024 12:00,0,,,,,",
        "10,\"15.01.2024 12:00,1,,,,,",
        "11,\"15.01.2024\" 12:00,1,,,,,",
    ] {
        first.extend_from_slice(format!("{bad}\r\n").as_bytes());
    }
    first.extend_from_slice(b"12,15.01.2024 12:00,1,\xe4\xff,,,,\r\n");
    first.extend_from_slice(format!("13,15.01.2024 12:00,1,{},,,,\r\n", "x".repeat(2000)).as_bytes());
    first.extend_from_slice(b"14,15.01.2024 12:00,1,test,,,,\r\n");
    first.extend_from_slice("15,15.01.2024 12:00,1,a note of some length,,,,".as_bytes());
    let second = b"mood,note,when,Order No.\nfine,b,2024-01-15T00:00:00Z,20\n".to_vec();

    let t = TestPipeline::written("shop", &[("pipeline.toml", CSV)]).await;
    let report = t.serve_at("orders", zipped(&[("a.csv", first), ("b.csv", second), ("readme.txt", b"x".to_vec())])).run().await;
    let columns = "id, at, price, note, paid, tags, bytes, ratio, day, _entry, _position";
    assert_eq!(
        t.sql(&format!("SELECT {columns} FROM orders ORDER BY id")).await,
        [
            "1 | 2024-01-15T10:00:00Z | 1.50 | says \"hi\",\r\ntwice | true | {\"a\": [1, 2]} | c0ffee | 0.5 | 2024-01-15 | a.csv | 2",
            "2 | 2024-10-27T01:30:00Z | null | null | false | null | null | null | 2024-10-27 | a.csv | 5",
            "15 | 2024-01-15T10:00:00Z | 1.00 | a note of some length | null | null | null | null | 2024-01-15 | a.csv | 18",
            "20 | 2024-01-15T00:00:00Z | null | b | null | null | null | null | 2024-01-15 | b.csv | 2",
        ]
    );
    let rejects = t.sql("SELECT position, reason, detail FROM quarantine ORDER BY position").await;
    assert_eq!(
        rejects,
        [
            "6 | wrong_type | price is not a decimal(8, 2): 1.555",
            "7 | wrong_type | at is a local time that clocks in Europe/Helsinki skip: 31.03.2024 03:30",
            "8 | wrong_type | tags is not JSON: {a}",
            "9 | wrong_type | bytes is not binary: xy",
            "10 | wrong_type | ratio is not a float32: 1e99",
            "11 | malformed | 5 fields where there should be 8",
            "12 | check_failed | check failed: not free",
            "13 | malformed | text follows the quote that closes at byte 4 of line 14",
            "14 | malformed | text follows the quote that closes at byte 15 of line 14",
            "15 | malformed | the record is not UTF-8",
            "16 | too_large | 2026 bytes, more than the limit of 1024",
        ]
    );
    assert_eq!(t.sql("SELECT encode(record, 'hex') FROM quarantine WHERE position = 15").await[0].matches("e4ff").count(), 1);

    let load = load(&report);
    assert_eq!((load.counts.read, load.counts.accepted, load.counts.rejected, load.counts.dropped), (16, 4, 11, 1));
    let checks: Vec<_> = load.checks.iter().map(|check| (check.name.as_str(), check.failed)).collect();
    assert_eq!(checks, [("not free", 1), ("short notes", 1), ("no tests", 1)]);
    let drift: Vec<_> = load.drift.iter().map(|drift| (drift.field.as_str(), drift.kind, drift.records)).collect();
    assert_eq!(drift[0], ("mood", DriftKind::Unknown, 1));
    assert!(drift.contains(&("price", DriftKind::Missing, 1)) && drift.len() == 6, "{drift:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_delimiter_is_told_with_the_header_and_the_right_one() {
    let t = TestPipeline::written("shop", &[("pipeline.toml", CSV)]).await;
    t.edit("entries = \"*.csv\"", "");
    let file = "Order No.;when;price;note\n1;2024-01-15T00:00:00Z;1,50;\n";
    let error = t.serve_at("orders", file).try_run().await.unwrap_err();
    let text = chain(&error);
    assert_eq!((error.failure(), error.failure().exit_code()), (Failure::Data, 3), "{text}");
    assert!(text.contains("it is `Order No.;when;price;note`") && text.contains("set `delimiter = \";\"`"), "{text}");

    t.edit("format = \"csv\"", "format = \"csv\"\ndelimiter = \";\"");
    t.edit("price = { type = \"decimal(8, 2)\"", "price = { type = \"string\"");
    t.edit("sql = \"price > 0\"", "sql = \"price <> '0'\"");
    std::fs::remove_dir_all(t.lake()).unwrap();
    t.run().await;
    assert_eq!(t.sql("SELECT id, price, note FROM orders").await, ["1 | 1,50 | null"]);
}

const NESTED: &str = r#"
[pipeline]
name = "visits"
[source.visits]
url = "${VISITS_URL}"
[landing.visits]
format = "json_lines"
[raw.visits]
from = "visits"
reject_limit = "100 %"
unknown_fields = "keep"
[raw.visits.columns]
id    = { type = "int64", field = "meta.id" }
at    = { type = "timestamp", field = "meta.at", format = "epoch_millis" }
city  = { type = "string", field = "user.address.city", nullable = true }
first = { type = "string", field = "items[0].sku", nullable = true }
items = { type = "json", nullable = true }
dots  = { type = "boolean", field = "\"a.b\".c", nullable = true }
blob  = { type = "binary", nullable = true }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nested_fields_are_found_by_path_and_the_rest_is_kept() {
    let t = TestPipeline::written("visits", &[("pipeline.toml", NESTED)]).await;
    let file = [
        r#"{"meta":{"id":1,"at":1705312800000},"user":{"address":{"city":"Oulu"}},"items":[{"sku":"x","n":1.50},2],"a.b":{"c":true},"blob":"3q2+7w==","mood":"ok","tz":[ 1 ]}"#,
        r#"{"meta":{"id":2,"at":"1705312800001"},"user":null,"items":[]}"#,
        r#"{"meta":{"id":3,"at":1705312800000.0001}}"#,
        r#"{"meta":{"id":4,"at":1705312800000},"user":"Ann"}"#,
        r#"{"meta":7}"#,
        r#"{"meta":{"at":1705312800000}}"#,
    ];
    let report = t.serve_at("visits", file.join("\n")).run().await;
    assert_eq!(
        t.sql("SELECT id, at, city, first, items, dots, blob, _unknown FROM visits ORDER BY id").await,
        [
            r#"1 | 2024-01-15T10:00:00Z | Oulu | x | [{"sku":"x","n":1.50},2] | true | deadbeef | {"mood":"ok","tz":[ 1 ]}"#,
            "2 | 2024-01-15T10:00:00.001Z | null | null | [] | null | null | null",
        ]
    );
    assert_eq!(
        t.sql("SELECT position, reason, detail FROM quarantine ORDER BY position").await,
        [
            "3 | wrong_type | at is not a timestamp: 1705312800000.0001",
            "4 | wrong_type | city is read through a value that is neither an object nor a list",
            "5 | wrong_type | id is read through a value that is neither an object nor a list",
            "6 | missing | id has no value",
        ]
    );
    let notes = &load(&report).notes;
    assert!(notes.iter().any(|note| note == "unknown fields, kept in _unknown: mood (1 records), tz (1 records)"), "{notes:?}");
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
id   = { type = "int16" }
city = { type = "string", field = "start.city", nullable = true }
start = { type = "json" }
"#;

/// Rows with ids from `first`.
fn trips(first: i32, count: i32) -> Vec<u8> {
    let cities: StringArray = (0..count).map(|row| (row % 2 == 0).then_some("Oulu")).collect();
    let numbers: Int64Array = (0..count).map(i64::from).collect();
    let start = StructArray::from(vec![
        (Arc::new(Field::new("city", DataType::Utf8, true)), Arc::new(cities) as ArrayRef),
        (Arc::new(Field::new("n", DataType::Int64, true)), Arc::new(numbers) as ArrayRef),
    ]);
    let ids: Int32Array = (first..first + count).collect();
    let rows = RecordBatch::try_from_iter([("id", Arc::new(ids) as ArrayRef), ("start", Arc::new(start) as ArrayRef)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parquet_is_read_where_it_lies_or_unpacked_and_what_does_not_fit_is_set_aside() {
    let t = TestPipeline::written("trips", &[("pipeline.toml", PARQUET)]).await;
    let report = t.serve_at("trips", trips(0, 20_000)).run().await;
    assert_eq!(load(&report).counts.accepted, 20_000);
    assert_eq!(
        t.sql("SELECT id, city, start, _position FROM trips WHERE id IN (0, 19999) ORDER BY id").await,
        [r#"0 | Oulu | {"city":"Oulu","n":0} | 1"#, r#"19999 | null | {"city":null,"n":19999} | 20000"#]
    );

    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&trips(32_766, 3)).unwrap();
    let report = t.serve_at("trips", packed.finish().unwrap()).run().await;
    assert_eq!((load(&report).counts.accepted, load(&report).counts.rejected), (2, 1));
    let record = t.sql("SELECT position, detail, cast(record as varchar) FROM quarantine").await;
    assert_eq!(record, [r#"3 | id is not an int16: 32768 | {"id":32768,"start":{"city":"Oulu","n":2}}"#]);

    for bad in [trips(0, 10)[..100].to_vec(), b"id,start\n1,2\n".to_vec()] {
        let error = t.serve_at("trips", bad).try_run().await.unwrap_err();
        let text = chain(&error);
        assert_eq!(error.failure(), Failure::Data, "{text}");
        assert!(text.contains("trips: it is not a whole Parquet file"), "{text}");
    }
    assert_eq!(t.count("SELECT count(*) FROM trips").await, 20_002);
}

const DRIFT: &str = r#"
[pipeline]
name = "crm"
[source.people]
url = "${PEOPLE_URL}"
[landing.people]
format = "json_lines"
[raw.people]
from = "people"
[raw.people.columns]
id   = { type = "int64" }
name = { type = "string", nullable = true }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_drifts_is_stopped_where_the_policy_says_so() {
    let t = TestPipeline::written("crm", &[("pipeline.toml", DRIFT)]).await;
    t.edit("from = \"people\"", "from = \"people\"\nunknown_fields = \"fail\"\nmissing_fields = \"fail\"");
    t.serve_at("people", "{\"id\":1,\"name\":\"a\"}\n{\"id\":2,\"name\":null,\"mood\":1}\n");
    let error = t.try_run().await.unwrap_err();
    let text = chain(&error);
    assert_eq!(error.failure().exit_code(), 3, "{text}");
    assert!(text.contains("it has fields that the contract does not name: `mood` (1 record)"), "{text}");
    let error = t.serve_at("people", "{\"id\":1}\n{\"id\":2,\"name\":\"b\"}\n").try_run().await.unwrap_err();
    let text = chain(&error);
    assert!(text.contains("it lacks fields of the contract: `name` (1 record)"), "{text}");
    assert_eq!(t.count("SELECT count(*) FROM people").await, 0);

    // A null is a value that is there.
    t.serve_at("people", "{\"id\":1,\"name\":null}\n").run().await;
    assert_eq!(t.sql("SELECT id, name FROM people").await, ["1 | null"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_fields_become_columns_file_by_file() {
    let t = TestPipeline::written("crm", &[("pipeline.toml", DRIFT)]).await;
    t.edit("from = \"people\"", "from = \"people\"\nunknown_fields = \"add\"\nunique_key = [\"id\"]");
    t.serve_at("people", "{\"id\":1,\"name\":\"a\"}\n").run().await;
    let file = "{\"id\":2,\"Mood\":\"fine\"}\n{\"id\":3,\"name\":\"c\",\"homeCity\":{\"zip\":90100}}\n{\"id\":1,\"name\":\"a\",\"Mood\":\"x\"}\n";
    let report = t.serve_at("people", file).run().await;
    let notes = &load(&report).notes;
    assert!(notes.iter().any(|note| note == "columns added for unknown fields: mood, home_city"), "{notes:?}");
    let drift: Vec<_> =
        load(&report).drift.iter().map(|drift| (drift.field.as_str(), drift.records, drift.column.as_deref())).collect();
    assert_eq!(drift, [("Mood", 2, Some("mood")), ("homeCity", 1, Some("home_city")), ("name", 1, None)]);
    assert_eq!(load(&report).counts.duplicate, 1, "equal in the contract's columns");

    // A file without them, and one with a third; the table and its definition still agree.
    t.serve_at("people", "{\"id\":4,\"name\":null}\n").run().await;
    t.serve_at("people", "{\"id\":5,\"Mood\":null,\"age\":7}\n").run().await;
    assert_eq!(
        t.sql("SELECT id, name, mood, home_city, age FROM people ORDER BY id").await,
        [
            "1 | a | null | null | null",
            "2 | null | fine | null | null",
            "3 | c | null | {\"zip\":90100} | null",
            "4 | null | null | null | null",
            "5 | null | null | null | 7"
        ]
    );

    let error = t.serve_at("people", "{\"id\":6,\"NAME\":\"x\"}\n").try_run().await.unwrap_err();
    let text = chain(&error);
    assert!(text.contains("the unknown field `NAME` cannot become a column: the table has a column `name` already"), "{text}");
}
