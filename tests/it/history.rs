//! What the logs tell, and going back in them and forward again.

use model::report::StageName;
use tests::kit::TestPipeline;

use crate::views::{order, product, shop};

/// Runs the program; what it says on stdout, or else on stderr.
async fn sluice(t: &TestPipeline, arguments: &[&str]) -> Result<String, String> {
    let mut command = t.sluice(arguments).await;
    command.env("ORDERS_URL", t.server.url("/orders")).env("PRODUCTS_URL", t.server.url("/products"));
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

async fn content(t: &TestPipeline) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for query in [
        "SELECT id, ts, customer, product, amount, day, _receipt, _entry, _position FROM orders ORDER BY id",
        "SELECT product, price FROM prices ORDER BY product",
        "SELECT day, product, kind, amount, customers FROM product_days ORDER BY day, product",
        "SELECT kind, amount FROM kinds ORDER BY kind",
        "SELECT product, latest, price FROM overview ORDER BY product",
    ] {
        all.push(t.sql(query).await);
    }
    for query in ["SELECT product, price FROM {ks}.prices", "SELECT day, amount, product, customers FROM {ks}.top_products"] {
        let mut rows = t.cql(query).await;
        rows.sort();
        all.push(rows);
    }
    all
}

/// Two runs and a rebuild, newest first, with what each did to each table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_are_told_newest_first_with_what_each_did() {
    let t = shop().await;
    t.edit("unique_key = [\"id\"]", "unique_key = [\"id\"]\nreject_limit = \"100 %\"");
    t.serve_at("orders", order(4, 2, "eve", "pot", 3) + &order(1, 1, "ann", "tea", 5) + "no record\n");
    t.run().await;
    sluice(&t, &["rebuild", "shop", "product_days"]).await.unwrap();
    let told = sluice(&t, &["history", "shop", "--output", "json"]).await.unwrap();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let runs = told["runs"].as_array().unwrap();
    let kinds = |run: &serde_json::Value| -> Vec<String> {
        let batches = run["batches"].as_array().unwrap().iter();
        let told = batches.map(|batch| format!("{} {}", batch["table"].as_str().unwrap(), batch["kind"].as_str().unwrap()));
        told.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    };
    assert_eq!(kinds(&runs[0]), ["use_case.product_days rebuild"]);
    assert_eq!(
        kinds(&runs[1]),
        ["quarantine rejects", "raw.orders load", "use_case.kinds view", "use_case.overview view", "use_case.product_days view"]
    );
    let load = runs[1]["batches"].as_array().unwrap().iter().find(|batch| batch["kind"] == "load").unwrap();
    assert_eq!((&load["counts"]["read"], &load["counts"]["duplicate"], &load["inserted"]), (&3.into(), &1.into(), &1.into()));
    assert_eq!(load["of"], "receipt 2, 2024-03-01 to 2024-03-02");
    let view =
        |run: usize| runs[run]["batches"].as_array().unwrap().iter().find(|batch| batch["table"] == "use_case.product_days");
    assert_eq!(view(1).unwrap()["standing"], "superseded");
    assert!(runs[1]["writer"].as_str().unwrap().starts_with("sluice "));

    let text = sluice(&t, &["history", "shop", "raw.orders", "--limit", "1"]).await.unwrap();
    assert!(text.contains("raw.orders load (v2); receipt 2") && text.contains("3 read, 1 duplicate, 1 rejected"), "{text}");
    assert_eq!(text.lines().count(), 2, "{text}");
}

/// Back to an earlier version, and Cassandra follows; forward by the next run, or by the version before: all ends alike.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_table_goes_back_with_its_position_and_forward_again() {
    let t = shop().await;
    let first = content(&t).await;
    let raw_first = t.version("raw", "orders").await;
    t.serve_at("orders", order(4, 2, "eve", "pot", 3) + &order(5, 3, "eve", "cup", 4));
    t.serve_at("products", product("tea", "drink", 9) + &product("pot", "ware", 20));
    t.run().await;
    let last = content(&t).await;
    let prices_last = t.version("use_case", "prices").await;

    // A use-case table: Cassandra has the old price, then the new one again.
    let said = sluice(&t, &["restore", "shop", "prices", "--to", "1"]).await.unwrap();
    assert!(said.contains(&format!("sluice restore shop use_case.prices --to {prices_last}")), "{said}");
    assert_eq!(t.sql("SELECT product, price FROM prices ORDER BY product").await, first[1]);
    t.stage(StageName::UseCaseToCassandra).await.unwrap();
    assert_eq!(t.cql("SELECT price FROM {ks}.prices WHERE product = 'tea'").await, ["3"]);
    assert_eq!(t.cql("SELECT price FROM {ks}.prices WHERE product = 'cup'").await, ["7"]);
    t.run().await;
    assert_eq!(content(&t).await, last);

    // The same forward by restoring what was there before.
    sluice(&t, &["restore", "shop", "prices", "--to", "1"]).await.unwrap();
    sluice(&t, &["restore", "shop", "prices", "--to", &prices_last.to_string()]).await.unwrap();
    let report = t.run().await;
    let merged = |stage: &&model::report::StageReport| stage.target == "prices" && stage.stage == StageName::RawToUseCase;
    assert_eq!(report.stages.iter().find(merged).unwrap().commits, 0, "{report:#?}");
    assert_eq!(content(&t).await, last);

    // Raw: what follows from it goes back by the difference, and the landed file is loaded again.
    sluice(&t, &["restore", "shop", "raw.orders", "--to", &raw_first.to_string()]).await.unwrap();
    t.stage(StageName::RawToUseCase).await.unwrap();
    assert_eq!(t.sql("SELECT kind, amount FROM kinds ORDER BY kind").await.len(), 2);
    assert_eq!(t.sql("SELECT product FROM product_days ORDER BY product").await, ["pot", "tea"]);
    let report = t.run().await;
    assert!(report.accounting_closes);
    assert_eq!(content(&t).await, last);
    let told = sluice(&t, &["history", "shop", "raw.orders"]).await.unwrap();
    assert!(told.contains("raw.orders restore") && told.contains("taken back by a restore since"), "{told}");
}

/// What was vacuumed cannot come back; the message names the file, and nothing is changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_whose_files_are_gone_is_refused() {
    let t = shop().await;
    let folder = t.lake().join("use_case/shop/prices");
    let parquet = || -> Vec<std::path::PathBuf> {
        let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
        files.filter(|file| file.extension().is_some_and(|kind| kind == "parquet")).collect()
    };
    let old = parquet();
    t.serve_at("products", product("tea", "drink", 9));
    t.run().await;
    old.iter().for_each(|file| std::fs::remove_file(file).unwrap());
    let before = (t.version("use_case", "prices").await, content(&t).await);
    let refused = sluice(&t, &["restore", "shop", "prices", "--to", "1"]).await.unwrap_err();
    let file = old[0].file_name().unwrap().to_str().unwrap();
    assert!(refused.contains("cannot be restored") && refused.contains(file) && refused.contains("vacuumed"), "{refused}");
    let refused = sluice(&t, &["restore", "shop", "prices", "--to", "900"]).await.unwrap_err();
    assert!(refused.contains("its newest version is"), "{refused}");
    assert_eq!((t.version("use_case", "prices").await, content(&t).await), before);
}
