//! What can be said about null, and about keys that grow without bound.

use model::definition::{DefinitionText, Pipeline, read};

use super::{Inspection, cassandra, raw, use_case};

/// A definition whose Cassandra tables and SQL are given.
fn pipeline(tables: &str, files: &[(&str, &str)]) -> Pipeline {
    let toml = format!(
        r#"
[pipeline]
name = "p"
[source.events]
url = "https://example.org/"
[landing.events]
format = "json_lines"
[raw.events]
from = "events"
[raw.events.columns]
id = {{ type = "uuid" }}
kind = {{ type = "string", one_of = ["start", "end"] }}
country = {{ type = "string", nullable = true }}
ts = {{ type = "timestamp" }}
good = {{ type = "boolean" }}
day = {{ type = "date", sql = "cast(ts as date)" }}
[[raw.events.checks]]
name = "a start has a country"
sql = "kind <> 'start' or country is not null"
[use_case.ids]
from = "events"
sql = "ids.sql"
key = ["id"]
[use_case.ids.columns]
country = {{ fold = "first", by = "start" }}
start = {{ fold = "min" }}
latest = {{ fold = "max" }}
is_whole = {{ sql = "start is not null and country is not null" }}
{tables}"#
    );
    let ids = "select id, first_value(country order by ts, country) filter (where kind = 'start') as country, min(ts) filter (where kind = 'start') as start, max(ts) as latest from events group by id";
    let mut all = std::collections::BTreeMap::from([("ids.sql".to_owned(), ids.to_owned())]);
    all.extend(files.iter().map(|(name, sql)| ((*name).to_owned(), (*sql).to_owned())));
    read(&DefinitionText { path: "pipeline.toml".into(), toml, files: all }, &|_| None)
        .unwrap_or_else(|errors| panic!("{errors}"))
}

/// Looks at one Cassandra table with this key over `from`.
async fn looked_at(from: &str, key: &str, sql: &str) -> Inspection {
    let table = format!("[cassandra.t]\nfrom = \"{from}\"\nsql = \"t.sql\"\npartition_key = {key}\n");
    let pipeline = pipeline(&table, &[("t.sql", sql)]);
    let events = raw(&pipeline.raw[0]);
    let ids = use_case(&pipeline.use_cases[0], &[&events]).await;
    assert!(events.findings.is_empty() && ids.findings.is_empty(), "{:?} {:?}", events.findings, ids.findings);
    cassandra(&pipeline.cassandra[0], if from.starts_with("raw") { &events } else { &ids }).await
}

async fn messages(from: &str, key: &str, sql: &str) -> Vec<String> {
    looked_at(from, key, sql).await.findings.into_iter().map(|finding| finding.message).collect()
}

#[tokio::test]
async fn a_key_that_has_a_value_is_seen_to_have_one() {
    for (from, sql) in [
        ("raw.events", "select id, country from events where kind = 'start'"),
        ("raw.events", "select id, country from events where country is not null"),
        ("raw.events", "select id, country from events where country > 'a' and good"),
        ("raw.events", "select id, coalesce(country, '-') as country from events"),
        ("use_case.ids", "select id, country from ids where is_whole"),
        ("use_case.ids", "select id, cast(latest as varchar) as country from ids"),
        ("use_case.ids", "select id, upper(country) as country from ids where is_whole and latest > start"),
    ] {
        assert!(
            messages(from, "[\"country\", \"id\"]", sql).await.is_empty(),
            "{sql}: {:?}",
            messages(from, "[\"country\", \"id\"]", sql).await
        );
    }
}

#[tokio::test]
async fn a_key_that_may_be_null_is_warned_of() {
    for (from, sql) in [
        ("raw.events", "select id, country from events"),
        ("raw.events", "select id, country from events where kind = 'end'"),
        ("raw.events", "select id, country from events where good or country is not null"),
        ("use_case.ids", "select id, country from ids where not is_whole"),
        ("use_case.ids", "select id, country from ids where latest > start"),
    ] {
        let found = messages(from, "[\"country\", \"id\"]", sql).await;
        assert_eq!(found, ["`country` may be null, and Cassandra takes no row without a value in its key"], "{sql}");
    }
}

#[tokio::test]
async fn a_key_that_gathers_ever_more_rows_is_warned_of() {
    let few = |found: &[String]| found.len() == 1 && found[0].contains("few values");
    assert!(few(&messages("raw.events", "[\"kind\"]", "select kind, id from events").await));
    assert!(few(&messages("raw.events", "[\"good\", \"k\"]", "select kind as k, good, id from events").await));
    assert!(few(&messages("raw.events", "[\"one\"]", "select 1 as one, id from events").await));
    assert!(few(&messages("use_case.ids", "[\"is_whole\"]", "select is_whole, id from ids").await));
    let dated = messages("raw.events", "[\"day\"]", "select day, id from events").await;
    assert!(dated.len() == 1 && dated[0].contains("all events of one `day`"), "{dated:?}");
    assert!(messages("raw.events", "[\"day\", \"id\"]", "select day, id from events").await.is_empty());
    assert!(messages("use_case.ids", "[\"day\"]", "select cast(latest as date) as day, id from ids").await.is_empty());
}
