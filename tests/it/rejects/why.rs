//! A row's history across all zones.

use pipelines::Error;
use pipelines::commands::why::{Asked, Why, why};
use tests::cassandra_node;
use tests::kit::{TestPipeline, chain};

use super::{SHOP, mended, order, replay_all, shop};

async fn try_asked(t: &TestPipeline, key: &[&str], table: Option<&str>) -> Result<Why, Error> {
    let key: Vec<String> = key.iter().map(|text| (*text).to_owned()).collect();
    let settings = cassandra_node::settings(&t.keyspace).await;
    let context = t.context().unwrap();
    Box::pin(why(&context, &Asked { key: &key, table, bytes: false, limit: 20 }, Some(&settings))).await
}

async fn asked(t: &TestPipeline, key: &[&str], table: Option<&str>) -> Why {
    try_asked(t, key, table).await.unwrap_or_else(|error| panic!("{}", chain(&error)))
}

/// A row of two files and one record that came back, followed from its lines to Cassandra.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rows_history_goes_from_the_lines_of_its_files_to_the_cells_in_cassandra() {
    let t = shop(SHOP).await;
    let first = [
        order("a1", "2024-01-15T10:00:00Z", 20, "ann"),
        order("b1", "2024-01-15T11:00:00Z", 90, "bob"),
        order("a2", "2024-01-16T10:00:00Z", 5, "ann"),
        order("a3", "2024-01-16T11:00:00Z", 0, "ann"),
    ];
    t.serve_at("orders", first.concat()).run().await;
    t.serve_at("orders", order("a4", "2024-01-14T10:00:00Z", 30, "ann")).run().await;
    std::fs::write(t.definition().join("pipeline.toml"), mended()).unwrap();
    replay_all(&t).await;
    t.run().await;

    let ann = asked(&t, &["ann"], None).await;
    assert_eq!(ann.table, "use_case.customers");
    let totals: Vec<_> = ann.changes.iter().map(|change| (change.change, change.row["total"].as_i64().unwrap())).collect();
    assert_eq!(totals, [("insert", 20), ("update", 50), ("update", 55)]);
    assert_eq!(ann.row.as_ref().unwrap()["total"], 55);

    let [raw] = ann.raw.as_slice() else { panic!("{:?}", ann.raw) };
    assert_eq!((raw.table.as_str(), raw.count, raw.is_loose), ("raw.orders", 3, false));
    let mut rows: Vec<_> = raw.rows.iter().collect();
    rows.sort_by_key(|row| row.row["id"].as_str());
    let places: Vec<_> = rows.iter().map(|row| (row.receipt, row.position, row.is_replayed)).collect();
    assert_eq!(places, [(1, 1, false), (1, 3, true), (2, 1, false)]);
    assert_eq!(rows[1].record.as_deref(), Some(first[2].trim_end()), "as it stands in the file");
    assert!(rows[0].url.as_ref().unwrap().ends_with("/orders") && rows.iter().all(|row| row.version.is_some()));
    assert!(rows[0].version < rows[2].version && rows[2].version < rows[1].version);

    let held: Vec<_> = ann.rejects.iter().map(|held| (held.position, held.detail.as_str())).collect();
    assert_eq!(held, [(4, "check failed: not cheap")]);

    let of = |table: &str| ann.cassandra.iter().filter(|row| row.table == table).collect::<Vec<_>>();
    let customer = of("customers")[0].row.as_ref().unwrap();
    assert_eq!((&customer["total"], &customer["writetime(total)"]), (&55.into(), &ann.changes[2].write_time.into()));
    let ids: std::collections::BTreeSet<_> =
        of("orders_by_day").iter().map(|row| row.row.as_ref().unwrap()["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, ["a1", "a2", "a4"].map(str::to_owned).into());
    assert!(ann.looked.iter().any(|looked| looked.what == "raw.orders" && looked.looked.files > 0), "{:?}", ann.looked);

    let order = asked(&t, &["customer=ann", "amount=30"], Some("raw.orders")).await;
    assert_eq!((order.raw[0].count, order.raw[0].rows[0].row["id"].as_str()), (1, Some("a4")));
    assert_eq!(order.cassandra.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_gone_from_cassandra_or_never_was_is_told_as_such() {
    let t = shop(SHOP).await;
    t.serve_at("orders", order("a1", "2024-01-15T10:00:00Z", 20, "ann")).run().await;
    t.cql("DELETE FROM {ks}.customers WHERE customer = 'ann'").await;
    let ann = asked(&t, &["customer=ann"], None).await;
    let row = ann.cassandra.iter().find(|row| row.table == "customers").unwrap();
    assert_eq!((row.key["customer"].as_str(), &row.row), (Some("ann"), &None));

    let nobody = asked(&t, &["nobody"], None).await;
    assert!(nobody.row.is_none() && nobody.changes.is_empty() && nobody.raw[0].count == 0 && nobody.cassandra.is_empty());
    for (key, table, said) in [
        (&["mood=good"][..], None, "keys: use_case.customers (customer); raw.orders (id)"),
        (&["a", "b"][..], Some("customers"), "write customer=..."),
        (&["amount=much"][..], Some("raw.orders"), "is a int64"),
        (&["x"][..], Some("raw.order"), "raw.orders"),
    ] {
        let text = chain(&try_asked(&t, key, table).await.unwrap_err());
        assert!(text.contains(said), "{text}");
    }
}

/// A row of a view over a view over a snapshot: what it was made of, as far as the lines of the files, and what Cassandra has of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_of_a_view_is_followed_through_views_down_to_its_lines() {
    use crate::views::{order, product};
    let t = crate::views::shop().await;
    let second = [order(4, 2, "eve", "pot", 3), order(5, 2, "eve", "cup", 4)];
    t.serve_at("orders", second.concat()).run().await;
    // What comes into raw after the view was computed is none of its rows.
    t.serve_at("orders", order(6, 2, "bob", "cup", 9));
    for stage in [model::report::StageName::UrlToLanding, model::report::StageName::LandingToRaw] {
        t.stage(stage).await.unwrap();
    }

    let ware = asked(&t, &["ware"], Some("use_case.kinds")).await;
    assert_eq!(ware.row.as_ref().unwrap()["amount"], 8);
    let [days] = ware.inputs.as_slice() else { panic!("{:?}", ware.inputs) };
    assert_eq!((days.table.as_str(), days.of.as_str(), days.count), ("use_case.product_days", "use_case.kinds", 2));
    let of = |table: &str| ware.raw.iter().find(|raw| raw.table == table).unwrap_or_else(|| panic!("{:?}", ware.raw));
    let orders = of("raw.orders");
    assert_eq!((orders.of.as_deref(), orders.count, orders.is_loose), (Some("use_case.product_days"), 3, false));
    let mut lines: Vec<_> = orders.rows.iter().map(|row| (row.receipt, row.position, row.record.clone().unwrap())).collect();
    lines.sort();
    let line = |receipt, position, text: String| (receipt, position, text.trim_end().to_owned());
    let [fourth, fifth] = second;
    assert_eq!(lines, [line(1, 3, order(3, 2, "ann", "pot", 1)), line(2, 1, fourth), line(2, 2, fifth)]);
    let products = of("raw.products");
    let mut listed: Vec<_> = products.rows.iter().map(|row| row.record.clone().unwrap()).collect();
    listed.sort();
    assert_eq!(listed, [product("cup", "ware", 7).trim_end(), product("pot", "ware", 20).trim_end()]);

    let computed: Vec<_> = ware.computed.iter().map(|one| (one.view.as_str(), one.from.as_str(), one.rows)).collect();
    let (kinds, days) = ("use_case.kinds", "use_case.product_days");
    assert_eq!(computed, [(kinds, days, 3), (days, "raw.orders", 5), (days, "raw.products", 3)]);
    let served: std::collections::BTreeSet<_> = ware
        .cassandra
        .iter()
        .filter(|row| row.table == "top_products")
        .collect::<Vec<_>>()
        .into_iter()
        .map(|row| row.row.as_ref().unwrap()["product"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(served, ["cup", "pot"].map(str::to_owned).into());

    // No more is followed than is shown, and it is said how much there is.
    let key = ["ware".to_owned()];
    let context = t.context().unwrap();
    let one = Box::pin(why(&context, &Asked { key: &key, table: Some("kinds"), bytes: false, limit: 1 }, None)).await.unwrap();
    assert_eq!((one.inputs[0].rows.len(), one.inputs[0].count), (1, 2));
    assert!(one.notes.iter().any(|note| note.contains("use_case.product_days: 1 of 2 rows are shown")), "{:?}", one.notes);
    assert!(one.raw.iter().all(|raw| raw.rows.len() <= 1 && raw.count <= 2), "{:?}", one.raw);
}
