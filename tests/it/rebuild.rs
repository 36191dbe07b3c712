//! Tables computed anew in place: what they hold afterwards, what readers see meanwhile, and what travels on.

use deltalake::DeltaTable;
use model::report::RunReport;
use pipelines::commands::names::Named;
use pipelines::commands::rebuild::{TableRebuild, Wish, rebuild};
use tests::kit::{TestPipeline, chain};
use tests::session_events::{Dataset, Options};
use url::Url;

use crate::views::{FILES, order, product, shop};

/// What the lake and Cassandra hold, but for when it was written.
async fn content(t: &TestPipeline) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for query in [
        "SELECT id, ts, customer, product, amount, day, _receipt, _entry, _position FROM orders ORDER BY id, ts",
        "SELECT product, kind, price FROM products ORDER BY product",
        "SELECT product, price FROM prices ORDER BY product",
        "SELECT day, product, kind, amount, customers FROM product_days ORDER BY day, product",
        "SELECT kind, amount FROM kinds ORDER BY kind",
        "SELECT product, latest, price FROM overview ORDER BY product",
        "SELECT receipt, position, reason, record FROM quarantine ORDER BY receipt, position",
    ] {
        all.push(t.sql(query).await);
    }
    all.extend(served(t).await);
    all
}

async fn served(t: &TestPipeline) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for query in [
        "SELECT product, price FROM {ks}.prices",
        "SELECT product, kind, price FROM {ks}.product_list",
        "SELECT day, amount, product, customers FROM {ks}.top_products",
    ] {
        let mut rows = t.cql(query).await;
        rows.sort();
        all.push(rows);
    }
    all
}

/// The program's rebuild; what it says.
async fn sluice_rebuild(t: &TestPipeline, arguments: &[&str]) -> String {
    let mut command = t.sluice(&[&["rebuild", &t.name], arguments].concat()).await;
    command.env("ORDERS_URL", t.server.url("/orders")).env("PRODUCTS_URL", t.server.url("/products"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The same in this process.
async fn rebuilt(t: &TestPipeline, named: Named) -> Vec<TableRebuild> {
    let context = t.context().unwrap();
    let store = t.store().await;
    let wish = Wish { tables: vec![named], ..Wish::default() };
    match Box::pin(rebuild(&context, Some(&store), &wish)).await {
        Ok(done) => done,
        Err(error) => panic!("{}", chain(&error)),
    }
}

fn sent(report: &RunReport) -> u64 {
    report.stages.iter().filter(|stage| stage.stage.name().ends_with("-to-cassandra")).map(|stage| stage.written).sum()
}

/// A shop with the same history that had this definition from its first day.
async fn fresh(files: &[(&str, &str)], later_orders: &str) -> TestPipeline {
    let t = TestPipeline::written("shop", files).await;
    t.serve_at("orders", order(1, 1, "ann", "tea", 5) + &order(2, 1, "bob", "tea", 2) + &order(3, 2, "ann", "pot", 1));
    t.serve_at("products", product("tea", "drink", 3) + &product("pot", "ware", 20) + &product("cup", "ware", 7));
    t.run().await;
    t.serve_at("orders", later_orders);
    t.run().await;
    t
}

fn with(file: &str, text: &'static str) -> Vec<(&'static str, &'static str)> {
    FILES.iter().map(|(name, before)| if *name == file { (*name, text) } else { (*name, *before) }).collect()
}

const DEAR_TEA: &str = "SELECT product, max(CAST(CASE product WHEN 'tea' THEN price + 1 ELSE price END AS INT)) AS price FROM products GROUP BY product";

/// Under another fold the table is refused; rebuilt, it is as if the fold had always been so, and so is what follows from it.
/// What is equal travels nowhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fold_that_changed_ends_as_in_a_lake_that_never_had_another() {
    let t = shop().await;
    let later = order(4, 2, "eve", "pot", 3) + &order(5, 3, "eve", "cup", 4);
    t.serve_at("orders", later.clone());
    t.run().await;
    std::fs::write(t.definition().join("prices.sql"), DEAR_TEA).unwrap();
    let refused = chain(&t.try_run().await.unwrap_err());
    assert!(refused.contains("sluice rebuild shop prices"), "{refused}");

    let said = sluice_rebuild(&t, &["use_case.prices"]).await;
    assert!(
        said.contains("rebuilt use_case.prices (all") && said.contains("0 came, 1 changed, 0 went, 2 as they were"),
        "{said}"
    );
    let report = t.run().await;
    assert_eq!(sent(&report), 1, "the tea: {report:#?}");
    let expected = content(&fresh(&with("prices.sql", DEAR_TEA), &later).await).await;
    assert_eq!(content(&t).await, expected);

    // And the table goes on from there, also for keys that were there before.
    t.serve_at("products", product("tea", "drink", 5) + &product("pot", "ware", 20));
    t.run().await;
    assert_eq!(t.sql("SELECT product, price FROM prices ORDER BY product").await, ["pot | 20", "tea | 6"]);
    assert_eq!(served(&t).await[0], ["pot | 20", "tea | 6"]);
}

/// Everything computed again from the landed files on, and nothing is different: nothing is sent, and nothing is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_that_changes_nothing_sends_nothing() {
    let t = shop().await;
    t.edit("unique_key = [\"id\"]", "unique_key = [\"id\"]\nreject_limit = \"100 %\"");
    t.serve_at("orders", order(4, 2, "eve", "pot", 3) + &order(1, 1, "ann", "tea", 5) + "no record\n");
    t.serve_at("products", product("tea", "drink", 4) + &product("pot", "ware", 20));
    t.run().await;
    let before = content(&t).await;
    let stamps = t.sql("SELECT product, _inserted_at, _updated_at FROM prices ORDER BY product").await;
    let tables = ["raw.orders", "raw.products", "prices", "product_days", "kinds", "overview"];
    let said = sluice_rebuild(&t, &tables).await;
    for table in tables {
        assert!(said.contains(table), "{said}");
    }
    assert_eq!(said.matches("0 came, 0 changed, 0 went").count(), tables.len(), "{said}");
    let report = t.run().await;
    assert_eq!(sent(&report), 0, "{report:#?}");
    assert!(report.accounting_closes);
    assert_eq!(content(&t).await, before);
    assert_eq!(t.sql("SELECT product, _inserted_at, _updated_at FROM prices ORDER BY product").await, stamps);
}

/// The raw contract, too: other types and other rejects, from the landed files; what cannot follow by the difference is named,
/// and made anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raw_table_follows_its_contract_and_takes_along_what_was_made_from_it() {
    let t = shop().await;
    let later = order(4, 2, "eve", "pot", 3) + &order(5, 3, "eve", "cup", 400);
    t.serve_at("orders", later.clone());
    t.run().await;
    let date = "day      = { type = \"date\", sql = \"cast(ts as date)\" }\n";
    let check = format!("{date}\n[[raw.orders.checks]]\nname = \"few\"\nsql = \"amount < 100\"\n");
    let changed = FILES[0].1.replace("amount   = { type = \"int32\" }", "amount   = { type = \"int64\" }").replace(date, &check);
    let changed = changed.replace("unique_key = [\"id\"]", "unique_key = [\"id\"]\nreject_limit = \"100 %\"");
    assert_ne!(changed, FILES[0].1);
    std::fs::write(t.definition().join("pipeline.toml"), &changed).unwrap();
    let refused = chain(&t.try_run().await.unwrap_err());
    assert!(refused.contains("sluice rebuild shop"), "{refused}");

    let done = rebuilt(&t, Named::Lake(model::definition::Origin::Raw("orders".to_owned()))).await;
    assert!(done[0].notes.iter().any(|note| note.contains("column amount is of another type")), "{done:#?}");
    t.run().await;
    assert_eq!(t.sql("SELECT reason, position FROM quarantine").await, ["check_failed | 2"]);
    let changed: &'static str = Box::leak(changed.into_boxed_str());
    assert_eq!(content(&t).await, content(&fresh(&with("pipeline.toml", changed), &later).await).await);
}

async fn delete_as_another_writer(t: &TestPipeline, zone: &str, table: &str, predicate: &str) {
    let folder = t.lake().join(zone).join(&t.name).join(table);
    let delta: DeltaTable =
        deltalake::open_table(Url::from_directory_path(folder.canonicalize().unwrap()).unwrap()).await.unwrap();
    delta.delete().with_predicate(predicate).await.unwrap();
}

/// Rows that somebody removed come back for the dates that are named, and for no others; what followed the removal follows back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dates_that_are_named_are_computed_anew_and_others_left_alone() {
    let t = shop().await;
    t.serve_at("orders", order(4, 2, "eve", "pot", 3) + &order(5, 3, "eve", "cup", 4));
    t.run().await;
    let before = content(&t).await;
    delete_as_another_writer(&t, "raw", "orders", "product IN ('tea', 'pot')").await;
    t.run().await;
    assert_eq!(t.sql("SELECT day, product FROM product_days ORDER BY 1, 2").await, ["2024-03-03 | cup"]);

    let said = sluice_rebuild(&t, &["raw.orders", "--from", "2024-03-02", "--to", "2024-03-02"]).await;
    assert!(said.contains("rebuilt raw.orders (2024-03-02, version") && said.contains("2 came, 0 changed, 0 went"), "{said}");
    t.run().await;
    let days = "SELECT day, product, amount FROM product_days ORDER BY 1, 2";
    assert_eq!(t.sql(days).await, ["2024-03-02 | pot | 4", "2024-03-03 | cup | 4"]);
    sluice_rebuild(&t, &["raw.orders", "--to", "2024-03-01", "--downstream"]).await;
    assert_eq!(content(&t).await, before);

    // A use-case table as well, from the versions that it has got to.
    delete_as_another_writer(&t, "use_case", "product_days", "product IN ('tea', 'pot')").await;
    sluice_rebuild(&t, &["product_days", "--from", "2024-03-02"]).await;
    assert_eq!(t.sql(days).await, ["2024-03-02 | pot | 4", "2024-03-03 | cup | 4"]);
    sluice_rebuild(&t, &["product_days", "--to", "2024-03-01", "--downstream"]).await;
    assert_eq!(content(&t).await, before);
    let mut command = t.sluice(&["rebuild", "shop", "prices", "--to", "2024-03-01"]).await;
    command.env("ORDERS_URL", t.server.url("/orders")).env("PRODUCTS_URL", t.server.url("/products"));
    let output = command.output().unwrap();
    let refused = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{refused}");
    assert!(refused.contains("not partitioned by a date"), "{refused}");
}

/// What was changed by hand in Cassandra is put right without the table being empty, and later changes still win.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_changed_by_hand_in_cassandra_are_put_right() {
    let t = shop().await;
    let before = served(&t).await;
    t.cql("UPDATE {ks}.prices SET price = 99 WHERE product = 'tea'").await;
    t.cql("DELETE FROM {ks}.prices WHERE product = 'pot'").await;
    t.cql("INSERT INTO {ks}.prices (product, price) VALUES ('hat', 1)").await;
    t.cql("DELETE price FROM {ks}.prices WHERE product = 'cup'").await;
    let said = sluice_rebuild(&t, &["cassandra.prices"]).await;
    assert!(said.contains("rebuilt cassandra.prices") && said.contains("3 rows written, 1 removed"), "{said}");
    assert_eq!(served(&t).await, before);
    assert_eq!(sent(&t.run().await), 0);
    t.serve_at("products", product("tea", "drink", 8) + &product("cup", "ware", 7));
    t.run().await;
    assert_eq!(served(&t).await[0], ["cup | 7", "tea | 8"]);
}

/// What nothing later would win over, and rows that a delete from the future hides, take an empty table; that is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_or_deleted_with_a_time_to_come_is_put_right_as_well() {
    let t = shop().await;
    let before = served(&t).await;
    for (statement, because) in [
        (
            "UPDATE {ks}.prices USING TIMESTAMP 4102444800000000 SET price = 99 WHERE product = 'tea'",
            "it has values with a time that is still to come",
        ),
        (
            "DELETE FROM {ks}.prices USING TIMESTAMP 4102444800000000 WHERE product = 'pot'",
            "1 of its rows are deleted with a time that is still to come",
        ),
    ] {
        t.cql_by_hand(statement).await;
        let said = sluice_rebuild(&t, &["cassandra.prices"]).await;
        assert!(said.contains(because), "{said}");
        assert_eq!(served(&t).await, before);
    }
    t.serve_at("products", product("tea", "drink", 8) + &product("pot", "ware", 21));
    t.run().await;
    assert_eq!(served(&t).await[0], ["pot | 21", "tea | 8"]);
    let written: i64 = t.cql("SELECT writetime(price) FROM {ks}.prices WHERE product = 'tea'").await[0].parse().unwrap();
    assert!(written < 4_102_444_800_000_000, "later write times are those of a clock again");
}

const DIARY: &str = r#"
[pipeline]
name = "diary"
[source.notes]
url = "${NOTES_URL}"
[landing.notes]
format = "json_lines"
[raw.notes]
from = "notes"
unique_key = ["id"]
[raw.notes.columns]
id    = { type = "int64" }
who   = { type = "string" }
mood  = { type = "string", nullable = true }
place = { type = "string", nullable = true }
[cassandra.latest]
from = "raw.notes"
sql = "latest.sql"
partition_key = ["who"]
"#;

/// Rows of several versions with one primary key: filled anew they come to what they came to one after another, and what was
/// written by hand where nothing should be is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_of_several_raw_rows_wins_in_a_table_that_is_filled_anew() {
    let files = [("pipeline.toml", DIARY), ("latest.sql", "SELECT who, mood, place FROM notes")];
    let t = TestPipeline::written("diary", &files).await;
    for notes in [
        "{\"id\":1,\"who\":\"ann\",\"mood\":\"good\"}\n{\"id\":2,\"who\":\"bob\",\"place\":\"sea\"}\n",
        "{\"id\":3,\"who\":\"ann\",\"place\":\"town\"}\n",
        "{\"id\":4,\"who\":\"ann\",\"mood\":\"bad\"}\n",
    ] {
        t.serve_at("notes", notes).run().await;
    }
    let rows = async || {
        let mut rows = t.cql("SELECT who, mood, place FROM {ks}.latest").await;
        rows.sort();
        rows
    };
    let expected = ["ann | bad | town", "bob | null | sea"];
    assert_eq!(rows().await, expected);
    t.cql_by_hand("UPDATE {ks}.latest SET mood = 'angry', place = 'here' WHERE who = 'bob'").await;
    rebuilt(&t, Named::Cassandra("latest".to_owned())).await;
    assert_eq!(rows().await, expected);
    assert_eq!(sent(&t.run().await), 0);
    t.serve_at("notes", "{\"id\":5,\"who\":\"ann\",\"mood\":\"fine\"}\n").run().await;
    assert_eq!(rows().await[0], "ann | fine | town");
}

/// A data file that is lost is no obstacle: the table comes out of its inputs again, and so does what was filled from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_data_file_is_computed_anew() {
    let t = shop().await;
    let before = content(&t).await;
    let folder = t.lake().join("use_case/shop/prices");
    let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    files
        .filter(|file| file.extension().is_some_and(|kind| kind == "parquet"))
        .for_each(|file| std::fs::remove_file(file).unwrap());
    let said = sluice_rebuild(&t, &["prices"]).await;
    assert!(said.contains("rebuilt cassandra.prices") && said.contains("cannot be compared"), "{said}");
    t.run().await;
    assert_eq!(content(&t).await, before);
}

/// Who reads while a table is computed anew sees the old rows or the new ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_sees_the_old_table_or_the_new_one_and_nothing_between() {
    let data = Dataset::generate(&Options::small(3000, 4)).unwrap();
    let t = TestPipeline::session_events().await;
    t.serve(data.to_bytes()).run().await;
    let query = "SELECT count(*), count(*) FILTER (WHERE is_complete) FROM sessions";
    let old = t.sql(query).await;
    t.edit("\"start_ts is not null and end_ts is not null\"", "\"end_ts is not null\"");
    let named = Named::Lake(model::definition::Origin::UseCase("sessions".to_owned()));
    let done = std::sync::atomic::AtomicBool::new(false);
    let reading = async {
        let mut seen = Vec::new();
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            seen.push(t.sql(query).await);
        }
        seen
    };
    let rebuilding = async {
        let rebuilt = rebuilt(&t, named).await;
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        rebuilt
    };
    let (seen, rebuilt) = futures::future::join(reading, rebuilding).await;
    let new = t.sql(query).await;
    assert_ne!(old, new);
    assert!(seen.len() > 2 && seen[0] == old, "{} reads", seen.len());
    assert!(seen.iter().all(|rows| *rows == old || *rows == new), "{seen:?}");
    assert_eq!((rebuilt[0].inserted, rebuilt[0].deleted), (0, 0), "{rebuilt:#?}");
    assert_eq!(rebuilt[0].rows, data.truth().sessions);
}

/// Killed after any time and given again, a rebuild from the landed files on ends as one that nobody stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_that_is_killed_again_and_again_ends_the_same() {
    let t = shop().await;
    let later = order(4, 2, "eve", "pot", 3) + &order(5, 3, "eve", "cup", 4);
    t.serve_at("orders", later.clone());
    t.run().await;
    std::fs::write(t.definition().join("prices.sql"), DEAR_TEA).unwrap();
    let everything = ["raw.orders", "raw.products", "use_case.prices", "product_days", "cassandra.top_products", "--downstream"];
    let commits = || -> usize {
        let zones = ["raw", "use_case"].map(|zone| t.lake().join(zone).join("shop"));
        let tables = zones.iter().flat_map(|zone| std::fs::read_dir(zone).unwrap()).map(|table| table.unwrap().path());
        tables.map(|table| std::fs::read_dir(table.join("_delta_log")).unwrap().count()).sum()
    };
    for wanted in 0..8 {
        let before = commits();
        let mut command = t.sluice(&[&["rebuild", "shop"], everything.as_slice()].concat()).await;
        command.env("ORDERS_URL", t.server.url("/orders")).env("PRODUCTS_URL", t.server.url("/products"));
        let mut child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        // Before the first commit it may be anywhere; each of the others is the beginning of what follows it.
        let state = t.lake().join("_sluice/shop/rebuild");
        let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
        let is_there = || commits() > before + wanted || (wanted == 0 && state.exists());
        while !is_there() && child.try_wait().unwrap().is_none() {
            assert!(std::time::Instant::now() < deadline, "it did not get to commit {wanted}");
            tokio::task::yield_now().await;
        }
        let _ = child.kill();
        child.wait().unwrap();
    }
    sluice_rebuild(&t, &everything).await;
    assert_eq!(sent(&t.run().await), 0);
    assert_eq!(content(&t).await, content(&fresh(&with("prices.sql", DEAR_TEA), &later).await).await);
}
