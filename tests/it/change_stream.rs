//! A stream of changes with an operation column: deletes are deletes, in whatever order the records arrive.

use tests::kit::TestPipeline;

const DEFINITION: &str = r#"
[pipeline]
name = "crm"

[source.changes]
url = "${CHANGES_URL}"

[landing.changes]
format = "json_lines"

[raw.changes]
from = "changes"
unique_key = ["id", "at", "op"]
[raw.changes.columns]
id   = { type = "int64" }
at   = { type = "int64" }
op   = { type = "string", one_of = ["insert", "update", "delete"] }
name = { type = "string", nullable = true }

[use_case.customers]
from = "changes"
sql = "customers.sql"
key = ["id"]
delete_when = "op = 'delete'"
[use_case.customers.columns]
at      = { fold = "max" }
op      = { fold = "last", by = "at" }
name    = { fold = "last", by = "at" }
changes = { fold = "sum" }

[cassandra.customers]
from = "use_case.customers"
sql = "c_customers.sql"
partition_key = ["id"]
"#;

const FILES: [(&str, &str); 3] = [
    ("pipeline.toml", DEFINITION),
    (
        "customers.sql",
        "SELECT id, max(at) AS at, last_value(op ORDER BY at, op) AS op, last_value(name ORDER BY at, name) AS name, count(*) AS changes
         FROM changes GROUP BY id",
    ),
    ("c_customers.sql", "SELECT id, name, changes FROM customers"),
];

pub(crate) async fn crm() -> TestPipeline {
    TestPipeline::written("crm", &FILES).await
}

pub(crate) fn change(id: u32, at: u32, op: &str, name: &str) -> String {
    format!("{{\"id\":{id},\"at\":{at},\"op\":\"{op}\",\"name\":\"{name}\"}}\n")
}

pub(crate) const ALL: &str = "SELECT id, at, name, changes FROM customers ORDER BY id";

/// A deleted row is gone from the table and from Cassandra; a late record does not bring it back, a newer one does, with its past.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_record_does_not_bring_a_deleted_row_back() {
    let t = TestPipeline::written("crm", &FILES).await;
    t.serve_at("changes", change(1, 10, "insert", "ann") + &change(2, 10, "insert", "bob")).run().await;
    assert_eq!(t.sql(ALL).await, ["1 | 10 | ann | 1", "2 | 10 | bob | 1"]);

    let report = t.serve_at("changes", change(1, 30, "delete", "")).run().await;
    assert_eq!(t.sql(ALL).await, ["2 | 10 | bob | 1"]);
    assert_eq!(t.cql("SELECT id FROM {ks}.customers").await, ["2"]);
    assert_eq!(report.stages.iter().map(|stage| stage.deleted).sum::<u64>(), 2, "in the lake and in Cassandra");

    t.serve_at("changes", change(1, 20, "update", "anna")).run().await;
    assert_eq!(t.sql(ALL).await, ["2 | 10 | bob | 1"], "an update from before the delete");

    // A record that deletes what was never there is no row either, and counts all the same.
    t.serve_at("changes", change(3, 40, "delete", "")).run().await;
    t.serve_at("changes", change(3, 35, "insert", "eve")).run().await;
    assert_eq!(t.sql(ALL).await, ["2 | 10 | bob | 1"]);

    t.serve_at("changes", change(1, 50, "insert", "ann again")).run().await;
    assert_eq!(t.sql(ALL).await, ["1 | 50 | ann again | 4", "2 | 10 | bob | 1"]);
    // What is kept of deleted rows counts no more once they are back, and again once they are gone again.
    t.serve_at("changes", change(1, 60, "update", "ann")).run().await;
    assert_eq!(t.sql(ALL).await, ["1 | 60 | ann | 5", "2 | 10 | bob | 1"]);
    t.serve_at("changes", change(1, 70, "delete", "")).run().await;
    t.serve_at("changes", change(1, 65, "update", "late")).run().await;
    t.serve_at("changes", change(1, 80, "insert", "back")).run().await;
    assert_eq!(t.sql(ALL).await, ["1 | 80 | back | 8", "2 | 10 | bob | 1"]);
}

/// One file or many, in order or not: the same rows, and the same past behind the deleted ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_of_changes_makes_no_difference() {
    let mut lines = Vec::new();
    for id in 1..=12 {
        for step in 0..6 {
            // Rows end up deleted, alive, or alive after a delete, depending on the id.
            let op = match (step, id % 3) {
                (0, _) => "insert",
                (3, 0) | (5, 1) => "delete",
                _ => "update",
            };
            lines.push(change(id, step * 10 + id, op, &format!("name {step}")));
        }
    }
    let at_once = TestPipeline::written("crm", &FILES).await;
    at_once.serve_at("changes", lines.concat()).run().await;
    let expected = at_once.sql(ALL).await;
    assert_eq!(expected.len(), 8, "a third of the rows is deleted in the end");

    let piecemeal = TestPipeline::written("crm", &FILES).await;
    // 11 files: enough for the tombstones' files to be put together on the way.
    let shuffled: Vec<&String> = (0..lines.len()).map(|at| &lines[at * 29 % lines.len()]).collect();
    for part in shuffled.chunks(lines.len().div_ceil(11)) {
        let text: String = part.iter().map(|line| line.as_str()).collect();
        piecemeal.serve_at("changes", text).run().await;
    }
    assert_eq!(piecemeal.sql(ALL).await, expected);
    let sorted = |mut rows: Vec<String>| {
        rows.sort();
        rows
    };
    let query = "SELECT id, name, changes FROM {ks}.customers";
    assert_eq!(sorted(piecemeal.cql(query).await), sorted(at_once.cql(query).await));
}
