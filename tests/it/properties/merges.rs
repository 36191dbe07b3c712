//! Sluice's own upsert on Delta's log beside delta-rs's MERGE: the same random batches make the same tables, also where rows move
//! between partitions.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::prelude::SessionContext;
use deltalake::DeltaTable;
use proptest::prelude::*;
use url::Url;

use super::lake::{CaseLake, Rows, block_on, quick_folder};
use super::{cases, regressions};

const FIRST: i64 = 1_704_067_200_000_000;
const SIX_HOURS: i64 = 6 * 3600 * 1_000_000;

#[derive(Debug, Clone)]
struct Event {
    /// Of all batches; later ones are a microsecond later in their six hours, so that no two are of the same time.
    id: i64,
    key: u8,
    /// In quarters of a day.
    at: i64,
    number: Option<i64>,
    text: Option<&'static str>,
}

impl Event {
    fn micros(&self) -> i64 {
        FIRST + self.at * SIX_HOURS + self.id
    }

    fn line(&self) -> String {
        let event = serde_json::json!({
            "id": self.id, "k": format!("k{}", self.key), "ts": self.micros(), "n": self.number, "text": self.text,
        });
        format!("{event}\n")
    }
}

fn batches() -> impl Strategy<Value = Vec<Vec<Event>>> {
    let text = prop::option::of(prop::sample::select(["x", "y z", "ä"].as_slice()));
    let event = (0..10_u8, 0..20_i64, prop::option::of(-5..50_i64), text).prop_map(|(key, at, number, text)| Event {
        id: 0,
        key,
        at,
        number,
        text,
    });
    prop::collection::vec(prop::collection::vec(event, 1..30), 1..6).prop_map(|mut batches| {
        for (event, id) in batches.iter_mut().flatten().zip(0..) {
            event.id = id;
        }
        batches
    })
}

/// A table of Sluice, and what MERGE needs to make the same one.
struct Case {
    name: &'static str,
    /// Of Sluice, over rows.
    sql: &'static str,
    /// A row a key of a batch.
    grouped: &'static str,
    partition: &'static str,
    on: &'static str,
    /// Columns that are neither of the key nor computed anew, each as what a match makes of it.
    updates: &'static [(&'static str, &'static str)],
    shown: &'static str,
}

const TOTAL: (&str, &str) = (
    "total",
    "CASE WHEN target.total IS NULL THEN source.total WHEN source.total IS NULL THEN target.total ELSE target.total + source.total END",
);
const EVENTS: (&str, &str) = ("events", "target.events + source.events");

const CASES: [Case; 2] = [
    Case {
        name: "anywhere",
        sql: "SELECT k, ts AS first_ts, ts AS last_ts, n AS low, n AS total, text AS last_text, 1 AS events FROM events",
        grouped: "SELECT k, min(ts) AS first_ts, max(ts) AS last_ts, min(n) AS low, sum(n) AS total, \
                  last_value(text ORDER BY ts) AS last_text, count(*) AS events, cast(min(ts) AS date) AS first_day \
                  FROM events GROUP BY k",
        partition: "first_day",
        on: "target.k = source.k",
        updates: &[
            ("first_ts", "CASE WHEN source.first_ts < target.first_ts THEN source.first_ts ELSE target.first_ts END"),
            ("last_ts", "CASE WHEN source.last_ts > target.last_ts THEN source.last_ts ELSE target.last_ts END"),
            ("low", "CASE WHEN target.low IS NULL OR source.low < target.low THEN source.low ELSE target.low END"),
            TOTAL,
            ("last_text", "CASE WHEN source.last_ts > target.last_ts THEN source.last_text ELSE target.last_text END"),
            EVENTS,
            ("first_day", "CASE WHEN source.first_ts < target.first_ts THEN source.first_day ELSE target.first_day END"),
        ],
        shown: "k, cast(first_ts AS bigint), cast(last_ts AS bigint), low, total, last_text, events, first_day",
    },
    Case {
        name: "daily",
        sql: "SELECT k, day, n AS total, 1 AS events FROM events",
        grouped: "SELECT k, cast(ts AS date) AS day, sum(n) AS total, count(*) AS events FROM events GROUP BY k, cast(ts AS date)",
        partition: "day",
        on: "target.k = source.k AND target.day = source.day",
        updates: &[TOTAL, EVENTS],
        shown: "k, day, total, events",
    },
];

fn definition() -> String {
    r#"
[pipeline]
name = "case"
[source.events]
url = "${FILES}/*.jsonl"
[landing.events]
format = "json_lines"
[raw.events]
from = "events"
event_time = "ts"
partition_by = "day"
unique_key = ["id"]
[raw.events.columns]
id   = { type = "int64" }
k    = { type = "string" }
ts   = { type = "timestamp", format = "epoch_micros" }
n    = { type = "int64", nullable = true }
text = { type = "string", nullable = true }
day  = { type = "date", sql = "cast(ts as date)" }
[use_case.anywhere]
from = "events"
sql = "anywhere.sql"
key = ["k"]
partition_by = "first_day"
[use_case.anywhere.columns]
first_ts  = { fold = "min" }
last_ts   = { fold = "max" }
low       = { fold = "min" }
total     = { fold = "sum" }
last_text = { fold = "last", by = "last_ts" }
events    = { fold = "sum" }
first_day = { sql = "cast(first_ts as date)" }
[use_case.daily]
from = "events"
sql = "daily.sql"
key = ["k", "day"]
partition_by = "day"
[use_case.daily.columns]
total  = { fold = "sum" }
events = { fold = "sum" }
"#
    .to_owned()
}

fn rows(batch: &[Event]) -> RecordBatch {
    let ts = TimestampMicrosecondArray::from_iter_values(batch.iter().map(Event::micros)).with_timezone("UTC");
    let columns: [(&str, ArrayRef); 4] = [
        ("k", Arc::new(StringArray::from_iter_values(batch.iter().map(|event| format!("k{}", event.key))))),
        ("ts", Arc::new(ts)),
        ("n", Arc::new(batch.iter().map(|event| event.number).collect::<Int64Array>())),
        ("text", Arc::new(batch.iter().map(|event| event.text).collect::<StringArray>())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

/// Merges a batch by delta-rs; the first makes the table.
async fn merge(table: DeltaTable, case: &Case, batch: &[Event]) -> DeltaTable {
    let context = SessionContext::new();
    context.register_batch("events", rows(batch)).unwrap();
    let source = context.sql(case.grouped).await.unwrap();
    if table.version().is_none() {
        let rows = source.collect().await.unwrap();
        return table.write(rows).with_partition_columns([case.partition]).await.unwrap();
    }
    let columns: Vec<String> = source.schema().fields().iter().map(|field| field.name().clone()).collect();
    let merging = table.merge(source, case.on).with_source_alias("source").with_target_alias("target");
    let merging = merging
        .when_matched_update(|update| case.updates.iter().fold(update, |update, (column, value)| update.update(*column, *value)));
    let merging = merging.unwrap().when_not_matched_insert(|insert| {
        columns.iter().fold(insert, |insert, column| insert.set(column.as_str(), format!("source.{column}")))
    });
    merging.unwrap().await.unwrap().0
}

proptest! {
    #![proptest_config(cases(12, regressions!("merges")))]

    #[test]
    fn random_batches_make_the_tables_that_the_stock_merge_makes(batches in batches()) {
        block_on(async {
            let sql = CASES.map(|case| (format!("{}.sql", case.name), case.sql));
            let sql: Vec<(&str, &str)> = sql.iter().map(|(name, text)| (name.as_str(), *text)).collect();
            let lake = CaseLake::new(&definition(), &sql);
            for (number, batch) in batches.iter().enumerate() {
                lake.serve(&format!("{number:03}.jsonl"), batch.iter().map(Event::line).collect::<String>().as_bytes());
                lake.run().await;
            }
            let stock = quick_folder();
            for case in &CASES {
                let folder = stock.path().join("use_case/case").join(case.name);
                std::fs::create_dir_all(&folder).unwrap();
                let mut table = DeltaTable::try_from_url(Url::from_directory_path(&folder).unwrap()).await.unwrap();
                for batch in &batches {
                    table = merge(table, case, batch).await;
                }
                let query = format!("SELECT {} FROM {}", case.shown, case.name);
                let mut made = Rows::new();
                for row in tests::kit::lake_rows(stock.path(), "case", &query).await {
                    *made.entry(row).or_default() += 1;
                }
                prop_assert!(!made.is_empty());
                prop_assert_eq!(lake.sql(&query).await, made, "{}", case.name);
            }
            Ok(())
        })?;
    }
}
