//! A source of a file a day, each an archive that feeds two tables.

use std::io::Write;

use model::Classify;
use model::failure::Failure;
use tests::kit::{TestPipeline, chain};

const DEFINITION: &str = r#"
[pipeline]
name = "shop"

[source.exports]
url = "${EXPORTS_URL}/${date}.tar.gz"
dates = { from = "2024-01-01", to = "2024-01-03" }
on_missing = "skip"

[landing.orders]
source = "exports"
format = "json_lines"
entries = "*/orders*"

[landing.customers]
source = "exports"
format = "json_lines"
compression = "tar.gz"
entries = "*/customers.json.gz"

[raw.orders]
from = "orders"
unique_key = ["id"]
[raw.orders.columns]
id  = { type = "int64" }
day = { type = "string" }

[raw.customers]
from = "customers"
[raw.customers.columns]
name = { type = "string" }
"#;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What is exported of a day: orders in two parts, customers packed by themselves, and what no table wants.
fn export(day: &str, ids: [u32; 2]) -> Vec<u8> {
    let order = |id: u32| format!("{{\"id\":{id},\"day\":\"{day}\"}}\n").into_bytes();
    let customers = gzip(format!("{{\"name\":\"of {day}\"}}\n").as_bytes());
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in [
        ("README", b"not a record".to_vec()),
        ("orders-2.json", order(ids[1])),
        ("customers.json.gz", customers),
        ("orders-1.json", order(ids[0])),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("./{day}/{name}"), bytes.as_slice()).unwrap();
    }
    gzip(&archive.into_inner().unwrap())
}

fn note<'r>(report: &'r model::report::RunReport, beginning: &str) -> Option<&'r String> {
    report.stages.iter().flat_map(|stage| &stage.notes).find(|note| note.starts_with(beginning))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archives_of_several_days_feed_two_tables_and_a_late_one_is_not_lost() {
    let t = TestPipeline::written("shop", &[("pipeline.toml", DEFINITION)]).await;
    let serve = |day: &str, bytes: Vec<u8>| t.server.put(&format!("/exports/{day}.tar.gz"), bytes);
    serve("2024-01-01", export("2024-01-01", [1, 2]));
    serve("2024-01-03", export("2024-01-03", [5, 6]));
    let report = t.run().await;
    assert_eq!(note(&report, "1 of 3 not there").unwrap(), "1 of 3 not there: 2024-01-02");
    assert_eq!(
        t.sql("SELECT id, _receipt, _entry FROM orders ORDER BY id").await,
        [
            "1 | 1 | 2024-01-01/orders-1.json",
            "2 | 1 | 2024-01-01/orders-2.json",
            "5 | 2 | 2024-01-03/orders-1.json",
            "6 | 2 | 2024-01-03/orders-2.json",
        ]
    );
    assert_eq!(t.sql("SELECT name FROM customers ORDER BY name").await, ["of 2024-01-01", "of 2024-01-03"]);

    // The missing day comes late, and an old one is exported anew with one order more.
    serve("2024-01-02", export("2024-01-02", [3, 4]));
    serve("2024-01-01", export("2024-01-01", [1, 7]));
    let report = t.run().await;
    assert_eq!(note(&report, "3 urls").unwrap(), "3 urls: 2 landed, 1 unchanged, 0 skipped");
    assert_eq!(t.sql("SELECT id FROM orders ORDER BY id").await, ["1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!(t.count("SELECT max(_receipt) FROM orders WHERE id = 3").await, 4, "in the order of the dates");

    // A damaged file is passed over once its own url serves a newer one, not when another day does.
    let whole = export("2024-01-02", [8, 9]);
    serve("2024-01-02", whole[..whole.len() - 20].to_vec());
    serve("2024-01-03", export("2024-01-03", [5, 10]));
    for _ in 0..2 {
        let error = t.try_run().await.unwrap_err();
        assert_eq!(error.failure(), Failure::Data, "{}", chain(&error));
        assert!(chain(&error).contains("000005/2024-01-02.tar.gz"), "{}", chain(&error));
    }
    serve("2024-01-02", whole);
    let report = t.run().await;
    assert!(note(&report, "2024-01-02.tar.gz (receipt 5) stays out").is_some(), "{report:#?}");
    assert_eq!(t.count("SELECT count(*) FROM orders").await, 10);
}
