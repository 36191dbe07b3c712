//! Any permutation of events, cut into any files and batches, some of them twice, with equal keys of other content, gives the
//! tables of a model: a plain map that folds all events of a key at once.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::lake::{CaseLake, Columns, Rows, block_on};
use super::{cases, regressions};

/// One event as a source has it; two that differ in anything are two events.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    id: u8,
    key: &'static str,
    /// In thirds of a day.
    at: i64,
    is_delete: bool,
    number: Option<i64>,
    flag: Option<bool>,
    text: Option<&'static str>,
}

const KEYS: [&str; 3] = ["a", "b", "ä/=%2F c"];
/// Partition values among them that need care in a path.
const TEXTS: [&str; 4] = ["x", "y", "y z=%41/", ""];
const EIGHT_HOURS: i64 = 8 * 3600 * 1_000_000;
const FIRST: i64 = 1_704_067_200_000_000;

impl Event {
    fn line(&self) -> String {
        let mut event = serde_json::json!({
            "id": self.id, "k": self.key, "ts": FIRST + self.at * EIGHT_HOURS, "op": if self.is_delete { "del" } else { "put" },
            "n": self.number, "flag": self.flag, "text": self.text,
        });
        // A value that is missing is a value that is null.
        if self.id.is_multiple_of(2) {
            event.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        }
        format!("{event}\n")
    }
}

fn event() -> impl Strategy<Value = Event> {
    (
        0..8_u8,
        prop::sample::select(KEYS.as_slice()),
        0..7_i64,
        prop::bool::weighted(0.25),
        prop::option::of(-2..5_i64),
        prop::option::of(any::<bool>()),
        prop::option::of(prop::sample::select(TEXTS.as_slice())),
    )
        .prop_map(|(id, key, at, is_delete, number, flag, text)| Event { id, key, at, is_delete, number, flag, text })
}

/// How events arrive.
#[derive(Debug, Clone)]
struct Arrival {
    files: Vec<Vec<Event>>,
    /// Whether there is a run after each file.
    runs: Vec<bool>,
    batch_rows: u64,
    small_date_rows: u64,
    merge_rows: u64,
}

fn arrival() -> impl Strategy<Value = Arrival> {
    let events = prop::collection::vec(event(), 1..18);
    let again = prop::collection::vec(any::<prop::sample::Index>(), 0..5);
    (events, again)
        .prop_flat_map(|(events, again)| {
            let repeated: Vec<Event> = again.iter().map(|at| at.get(&events).clone()).collect();
            let all: Vec<Event> = events.into_iter().chain(repeated).collect();
            let length = all.len();
            let cuts = prop::collection::vec(prop::bool::weighted(0.3), length);
            let runs = prop::collection::vec(any::<bool>(), length + 1);
            (Just(all).prop_shuffle(), cuts, runs, 1..6_u64, 1..4_u64, 1..9_u64)
        })
        .prop_map(|(all, cuts, runs, batch_rows, small_date_rows, merge_rows)| {
            let mut files = vec![Vec::new()];
            for (event, cut) in all.into_iter().zip(cuts) {
                files.last_mut().unwrap().push(event);
                if cut {
                    files.push(Vec::new());
                }
            }
            Arrival { files, runs, batch_rows, small_date_rows, merge_rows }
        })
}

const ROWS_SQL: &str = "
SELECT k, ts AS first_ts, ts AS last_ts, n AS low, n AS high, n AS total, flag AS any_flag, flag AS all_flags,
       text AS first_text, text AS last_text, op AS last_op, 1 AS events
FROM events";

const GROUPED_SQL: &str = "
SELECT k, min(ts) AS first_ts, max(ts) AS last_ts, min(n) AS low, max(n) AS high, sum(n) AS total,
       bool_or(flag) AS any_flag, bool_and(flag) AS all_flags,
       first_value(text ORDER BY ts, text) AS first_text, last_value(text ORDER BY ts, text NULLS FIRST) AS last_text,
       last_value(op ORDER BY ts, op) AS last_op, count(*) AS events
FROM events GROUP BY k";

const SQL: [(&str, &str); 5] = [
    ("rows.sql", ROWS_SQL),
    ("grouped.sql", GROUPED_SQL),
    ("daily.sql", "SELECT k, day, ts AS last_ts, n AS total, op AS last_op, 1 AS events FROM events"),
    (
        "days.sql",
        "SELECT day, count(DISTINCT k) AS ks, count(*) AS events, sum(n) AS total, min(text) AS low FROM events GROUP BY day",
    ),
    ("texts.sql", "SELECT coalesce(first_text, '-') AS text, count(*) AS ks, sum(events) AS events FROM live GROUP BY 1"),
];

const COLUMNS: &str = r#"
first_ts   = { fold = "min" }
last_ts    = { fold = "max" }
low        = { fold = "min" }
high       = { fold = "max" }
total      = { fold = "sum" }
any_flag   = { fold = "any" }
all_flags  = { fold = "all" }
first_text = { fold = "first", by = "first_ts" }
last_text  = { fold = "last", by = "last_ts" }
last_op    = { fold = "last", by = "last_ts" }
events     = { fold = "sum" }
"#;

fn definition(arrival: &Arrival) -> String {
    let Arrival { batch_rows, small_date_rows, merge_rows, .. } = arrival;
    format!(
        r#"
[pipeline]
name = "case"
[source.events]
url = "${{FILES}}/*.jsonl"
[landing.events]
format = "json_lines"
[raw.events]
from = "events"
event_time = "ts"
partition_by = "day"
unique_key = ["id"]
batch_rows = {batch_rows}
small_date_rows = {small_date_rows}
[raw.events.columns]
id   = {{ type = "int16" }}
k    = {{ type = "string" }}
ts   = {{ type = "timestamp", format = "epoch_micros" }}
op   = {{ type = "string", one_of = ["put", "del"] }}
n    = {{ type = "int32", nullable = true }}
flag = {{ type = "boolean", nullable = true }}
text = {{ type = "string", nullable = true }}
day  = {{ type = "date", sql = "cast(ts as date)" }}
# Its rows move between days as earlier events arrive, and some are deleted.
[use_case.live]
from = "events"
sql = "rows.sql"
key = ["k"]
partition_by = "first_day"
batch_rows = {merge_rows}
delete_when = "last_op = 'del'"
[use_case.live.columns]
{COLUMNS}
first_day = {{ sql = "cast(first_ts as date)" }}
# Its rows move between texts, null among them.
[use_case.grouped]
from = "events"
sql = "grouped.sql"
key = ["k"]
partition_by = "last_text"
batch_rows = {merge_rows}
[use_case.grouped.columns]
{COLUMNS}
# Its keys say themselves where their rows are: days that come one after the other are merged with the next one prepared.
[use_case.daily]
from = "events"
sql = "daily.sql"
key = ["k", "day"]
partition_by = "day"
batch_rows = {merge_rows}
delete_when = "last_op = 'del'"
[use_case.daily.columns]
last_ts = {{ fold = "max" }}
total   = {{ fold = "sum" }}
last_op = {{ fold = "last", by = "last_ts" }}
events  = {{ fold = "sum" }}
[use_case.days]
mode = "view"
from = "events"
sql = "days.sql"
key = ["day"]
partition_by = "day"
[use_case.texts]
mode = "view"
from = "use_case.live"
sql = "texts.sql"
key = ["text"]
"#
    )
}

/// What an event is worth, folded; in the order of the columns.
#[derive(Debug, Clone, Default)]
struct Folded {
    first: Option<(i64, bool, Option<&'static str>)>,
    /// The later wins, then a value before none, then the larger.
    last: Option<(i64, Option<&'static str>)>,
    last_op: Option<(i64, &'static str)>,
    numbers: Vec<i64>,
    flags: Vec<bool>,
    events: u64,
}

impl Folded {
    fn of<'e>(events: impl Iterator<Item = &'e Event>) -> Self {
        let mut folded = Self::default();
        for event in events {
            let first = (event.at, event.text.is_none(), event.text);
            folded.first = Some(folded.first.map_or(first, |known| known.min(first)));
            folded.last = folded.last.max(Some((event.at, event.text)));
            folded.last_op = folded.last_op.max(Some((event.at, if event.is_delete { "del" } else { "put" })));
            folded.numbers.extend(event.number);
            folded.flags.extend(event.flag);
            folded.events += 1;
        }
        folded
    }

    fn first_text(&self) -> Option<&'static str> {
        self.first.and_then(|first| first.2)
    }

    fn is_deleted(&self) -> bool {
        self.last_op.is_some_and(|(_, op)| op == "del")
    }

    fn row(&self, key: &str) -> String {
        let shown = |value: Option<String>| value.unwrap_or_else(|| "null".to_owned());
        let number = |value: Option<i64>| shown(value.map(|value| value.to_string()));
        let flag = |value: bool| shown((!self.flags.is_empty()).then(|| value.to_string()));
        let text = |value: Option<&str>| shown(value.map(ToOwned::to_owned));
        let total = (!self.numbers.is_empty()).then(|| self.numbers.iter().sum());
        [
            key.to_owned(),
            number(self.first.map(|first| first.0)),
            number(self.last.map(|last| last.0)),
            number(self.numbers.iter().min().copied()),
            number(self.numbers.iter().max().copied()),
            number(total),
            flag(self.flags.contains(&true)),
            flag(!self.flags.contains(&false)),
            text(self.first_text()),
            text(self.last.and_then(|last| last.1)),
            text(self.last_op.map(|last| last.1)),
            self.events.to_string(),
        ]
        .join(" | ")
    }
}

fn folded_query(table: &str) -> String {
    let at = |column: &str| format!("(cast({column} as bigint) - {FIRST}) / {EIGHT_HOURS}");
    format!(
        "SELECT k, {}, {}, low, high, total, any_flag, all_flags, first_text, last_text, last_op, events FROM {table}",
        at("first_ts"),
        at("last_ts")
    )
}

fn once(rows: impl IntoIterator<Item = String>) -> Rows {
    rows.into_iter().map(|row| (row, 1)).collect()
}

fn by<K: Ord>(events: &BTreeSet<Event>, key: impl Fn(&Event) -> K) -> BTreeMap<K, Vec<&Event>> {
    let mut groups: BTreeMap<K, Vec<&Event>> = BTreeMap::new();
    for event in events {
        groups.entry(key(event)).or_default().push(event);
    }
    groups
}

/// The tables of the model: by name of the query, rows.
async fn compare(lake: &CaseLake, events: &BTreeSet<Event>) {
    let keys: BTreeMap<&str, Folded> =
        by(events, |event| event.key).into_iter().map(|(key, events)| (key, Folded::of(events.into_iter()))).collect();
    let raw = lake.sql("SELECT count(*) FROM events").await;
    assert_eq!(raw, once([events.len().to_string()]), "raw: each event once");
    let all = keys.iter().map(|(key, folded)| folded.row(key));
    assert_eq!(lake.sql(&folded_query("grouped")).await, once(all), "grouped");
    let live = keys.iter().filter(|(_, folded)| !folded.is_deleted());
    assert_eq!(lake.sql(&folded_query("live")).await, once(live.clone().map(|(key, folded)| folded.row(key))), "live");

    let daily = by(events, |event| (event.key, event.at / 3)).into_iter();
    let daily = daily.map(|(group, events)| (group, Folded::of(events.into_iter()))).filter(|(_, folded)| !folded.is_deleted());
    let daily = daily.map(|((key, day), folded)| {
        let total = folded.numbers.iter().copied().reduce(|one, other| one + other);
        format!(
            "{key} | 2024-01-{:02} | {} | {}",
            day + 1,
            total.map_or("null".to_owned(), |total| total.to_string()),
            folded.events
        )
    });
    assert_eq!(lake.sql("SELECT k, day, total, events FROM daily").await, once(daily), "daily");

    let days = by(events, |event| event.at / 3).into_iter().map(|(day, events)| {
        let keys: BTreeSet<_> = events.iter().map(|event| event.key).collect();
        let folded = Folded::of(events.iter().copied());
        let total = folded.numbers.iter().sum::<i64>().to_string();
        let total = if folded.numbers.is_empty() { "null".to_owned() } else { total };
        let low = events.iter().filter_map(|event| event.text).min().unwrap_or("null");
        format!("2024-01-{:02} | {} | {} | {total} | {low}", day + 1, keys.len(), events.len())
    });
    assert_eq!(lake.sql("SELECT day, ks, events, total, low FROM days").await, once(days), "days");

    let mut texts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (_, folded) in live {
        let text = texts.entry(folded.first_text().unwrap_or("-")).or_default();
        *text = (text.0 + 1, text.1 + folded.events);
    }
    let texts = texts.into_iter().map(|(text, (ks, events))| format!("{text} | {ks} | {events}"));
    assert_eq!(lake.sql("SELECT text, ks, events FROM texts").await, once(texts), "texts");
}

proptest! {
    #![proptest_config(cases(30, regressions!("folds")))]

    #[test]
    fn events_in_any_order_and_any_cut_give_the_tables_of_the_model(arrival in arrival()) {
        block_on(async {
            let lake = CaseLake::new(&definition(&arrival), &SQL);
            let mut arrived = BTreeSet::new();
            let mut positions = Vec::new();
            let mut looked = false;
            for (number, (file, run)) in arrival.files.iter().zip(&arrival.runs).enumerate() {
                lake.serve(&format!("{number:03}.jsonl"), file.iter().map(Event::line).collect::<String>().as_bytes());
                arrived.extend(file.iter().cloned());
                if !run {
                    continue;
                }
                lake.run().await;
                let now = lake.positions().await;
                prop_assert!(positions.iter().zip(&now).all(|(before, now)| before <= now), "{positions:?}, then {now:?}");
                positions = now;
                // Once on the way: what is right at the end may have been wrong before.
                if !looked {
                    looked = true;
                    compare(&lake, &arrived).await;
                }
            }
            lake.run().await;
            compare(&lake, &arrived).await;
            lake.expect_feed_makes_table("raw", "events", Columns::All).await;
            for table in ["live", "grouped", "daily", "days", "texts"] {
                lake.expect_feed_makes_table("use_case", table, Columns::All).await;
            }
            let again = lake.run().await;
            prop_assert!(again.iter().all(|stage| stage.commits == 0), "a run with nothing to do commits: {again:#?}");
            Ok(())
        })?;
    }
}
