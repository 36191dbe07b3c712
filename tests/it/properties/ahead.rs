//! When a merge can be prepared while another one is on its way. What comes of it is in `folds`.

use model::definition::Origin;
use zones::changes::changes_of;
use zones::lake::Lake;
use zones::query::Input;
use zones::use_case::{RawChanges, Selected, UseCase};

use super::lake::CaseLake;

const NOW: i64 = 1_735_689_700_000_000;

const DEFINITION: &str = r#"
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
unique_key = ["k", "ts"]
small_date_rows = 1
[raw.events.columns]
k   = { type = "string" }
ts  = { type = "timestamp", format = "epoch_seconds" }
day = { type = "date", sql = "cast(ts as date)" }
[use_case.by_day]
from = "events"
sql = "by_day.sql"
key = ["k", "day"]
partition_by = "day"
[use_case.by_day.columns]
events = { fold = "sum" }
[use_case.anywhere]
from = "events"
sql = "anywhere.sql"
key = ["k"]
partition_by = "first_day"
[use_case.anywhere.columns]
first_ts  = { fold = "min" }
events    = { fold = "sum" }
first_day = { sql = "cast(first_ts as date)" }
"#;

/// A file each, a commit each: of the first day `a` and `b`, of the next ones what their names say.
const FILES: [(&str, &[(&str, u32)]); 5] = [
    ("0-first", &[("a", 0), ("b", 0)]),
    ("1-second", &[("c", 1), ("d", 1)]),
    ("2-a-of-third", &[("a", 2)]),
    ("3-b-of-fourth", &[("b", 3)]),
    ("4-new-of-fourth", &[("e", 3)]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_is_prepared_beside_another_where_neither_keys_nor_files_meet() {
    let sql = [
        ("by_day.sql", "SELECT k, day, 1 AS events FROM events"),
        ("anywhere.sql", "SELECT k, ts AS first_ts, 1 AS events FROM events"),
    ];
    let lake = CaseLake::new(DEFINITION, &sql);
    for (name, events) in FILES {
        let line = |(key, day): &(&str, u32)| format!("{{\"k\": \"{key}\", \"ts\": {}}}\n", 1_704_067_200 + day * 86_400);
        lake.serve(&format!("{name}.jsonl"), events.iter().map(line).collect::<String>().as_bytes());
        lake.run().await;
    }
    // Whether the second can be prepared while the first is written, by the files that they are of.
    let by_day = [((0, 1), true), ((1, 1), false), ((3, 4), false), ((2, 3), true)];
    // `a` and `b` are in one file; `e` is in one of its own, `c` and `d` as well.
    let anywhere = [((0, 1), true), ((0, 2), false), ((2, 3), false), ((3, 4), true), ((1, 4), true)];
    for (name, expected) in [("by_day", by_day.as_slice()), ("anywhere", anywhere.as_slice())] {
        let definition = lake.pipeline().use_case(name).unwrap();
        let raw = lake.table("raw", "events").await;
        let input = Input { origin: Origin::Raw("events".to_owned()), schema: raw.schema().clone(), table: Some(raw.clone()) };
        let lake = Lake::new(lake.root(), "case");
        let table = UseCase::look(&lake, definition, &[input]).await.unwrap();
        let mut selected: Vec<Selected> = Vec::new();
        for commit in raw.commits_after(None).await.unwrap().iter().filter(|commit| commit.changes_data()) {
            let changes = changes_of(&raw, commit, &table.input_columns(&raw)).await.unwrap();
            selected.push(table.select(RawChanges { added: changes.upserts, removed: changes.deletes }).await.unwrap());
        }
        assert_eq!(selected.len(), FILES.len());
        for ((first, second), can_be) in expected {
            let footprint = table.prepare(&selected[*first], &raw, NOW).await.unwrap().footprint();
            let beside = table.prepare_beside(&selected[*second], &footprint, NOW).await.unwrap();
            assert_eq!(beside.is_some(), *can_be, "{name}: {second} beside {first}");
        }
    }
}
