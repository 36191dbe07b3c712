//! Snapshots that take each other's place, in any order and cut into any batches: every table is as if only the last were there.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::lake::{CaseLake, Columns, Rows, block_on};
use super::{cases, regressions};

/// One row of a snapshot; rows may be there twice.
#[derive(Debug, Clone)]
struct Item {
    key: &'static str,
    at: i64,
    is_delete: bool,
    price: Option<i64>,
    kind: Option<&'static str>,
}

impl Item {
    fn line(&self) -> String {
        let op = if self.is_delete { "del" } else { "put" };
        let item = serde_json::json!({ "k": self.key, "at": self.at, "op": op, "price": self.price, "kind": self.kind });
        format!("{item}\n")
    }
}

fn item() -> impl Strategy<Value = Item> {
    let kind = prop::option::of(prop::sample::select(["p", "q", ""].as_slice()));
    let key = prop::sample::select(["a", "b", "c"].as_slice());
    (key, 0..4_i64, prop::bool::weighted(0.3), prop::option::of(0..3_i64), kind)
        .prop_map(|(key, at, is_delete, price, kind)| Item { key, at, is_delete, price, kind })
}

#[derive(Debug, Clone)]
struct Case {
    /// By place: there are two urls, each with snapshots of its own.
    snapshots: Vec<(bool, Vec<Item>)>,
    batch_rows: u64,
    merge_rows: u64,
    is_unique: bool,
}

fn case() -> impl Strategy<Value = Case> {
    let snapshot = (prop::bool::weighted(0.3), prop::collection::vec(item(), 0..8));
    (prop::collection::vec(snapshot, 1..6), 1..6_u64, 1..6_u64, any::<bool>())
        .prop_map(|(snapshots, batch_rows, merge_rows, is_unique)| Case { snapshots, batch_rows, merge_rows, is_unique })
}

fn definition(case: &Case) -> String {
    let Case { batch_rows, merge_rows, .. } = case;
    let unique = if case.is_unique { "unique_key = [\"k\", \"at\"]" } else { "" };
    format!(
        r#"
[pipeline]
name = "case"
[source.items]
url = ["${{FILES}}/here.jsonl", "${{FILES}}/there.jsonl"]
on_missing = "skip"
[landing.items]
format = "json_lines"
[raw.items]
from = "items"
on_change = "replace"
batch_rows = {batch_rows}
small_date_rows = 1
{unique}
[raw.items.columns]
k     = {{ type = "string" }}
at    = {{ type = "int32" }}
op    = {{ type = "string" }}
price = {{ type = "int32", nullable = true }}
kind  = {{ type = "string", nullable = true }}
[use_case.prices]
from = "items"
sql = "prices.sql"
key = ["k"]
partition_by = "kind"
batch_rows = {merge_rows}
delete_when = "op = 'del'"
[use_case.prices.columns]
at    = {{ fold = "max" }}
op    = {{ fold = "last", by = "at" }}
kind  = {{ fold = "last", by = "at" }}
price = {{ fold = "sum" }}
[use_case.kinds]
mode = "view"
from = ["raw.items", "use_case.prices"]
sql = "kinds.sql"
key = ["k"]
"#
    )
}

const SQL: [(&str, &str); 2] = [
    ("prices.sql", "SELECT k, at, op, kind, price FROM items"),
    (
        "kinds.sql",
        "SELECT i.k, count(*) AS items, max(p.price) AS price FROM items i LEFT JOIN prices p ON i.k = p.k GROUP BY i.k",
    ),
];

fn shown<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

/// What the two tables hold: the snapshots of both urls, one beside the other.
fn model(snapshots: &[&[Item]; 2], is_unique: bool) -> (Rows, Rows) {
    let mut by_key: BTreeMap<&str, Vec<&Item>> = BTreeMap::new();
    for snapshot in snapshots {
        // With a unique key, rows of equal content are one row of their snapshot.
        let mut seen = BTreeSet::new();
        for item in snapshot.iter().filter(|item| !is_unique || seen.insert(item.line())) {
            by_key.entry(item.key).or_default().push(item);
        }
    }
    let (mut prices, mut kinds) = (Rows::new(), Rows::new());
    for (key, items) in by_key {
        let op = items.iter().map(|item| (item.at, if item.is_delete { "del" } else { "put" })).max().unwrap();
        let kind = items.iter().map(|item| (item.at, item.kind)).max().unwrap().1;
        let known: Vec<i64> = items.iter().filter_map(|item| item.price).collect();
        let price = (!known.is_empty()).then(|| known.iter().sum::<i64>());
        let is_there = op.1 == "put";
        if is_there {
            prices.insert(format!("{key} | {} | {} | {}", op.0, shown(kind), shown(price)), 1);
        }
        kinds.insert(format!("{key} | {} | {}", items.len(), shown(price.filter(|_| is_there))), 1);
    }
    (prices, kinds)
}

proptest! {
    #![proptest_config(cases(25, regressions!("snapshots")))]

    #[test]
    fn after_any_snapshots_the_tables_are_those_of_the_last_one_of_each_url(case in case()) {
        block_on(async {
            let lake = CaseLake::new(&definition(&case), &SQL);
            let mut there: [&[Item]; 2] = [&[], &[]];
            for (place, items) in &case.snapshots {
                let name = if *place { "there.jsonl" } else { "here.jsonl" };
                lake.serve(name, items.iter().map(Item::line).collect::<String>().as_bytes());
                there[usize::from(*place)] = items;
                lake.run().await;
                let (prices, kinds) = model(&there, case.is_unique);
                assert_eq!(lake.sql("SELECT k, at, kind, price FROM prices").await, prices, "prices");
                assert_eq!(lake.sql("SELECT k, items, price FROM kinds").await, kinds, "kinds");
            }
            lake.expect_feed_makes_table("raw", "items", Columns::Content).await;
            lake.expect_feed_makes_table("use_case", "prices", Columns::All).await;
            lake.expect_feed_makes_table("use_case", "kinds", Columns::All).await;
        });
    }
}
