//! Another writer on the tables: deltalake itself, which compacts, vacuums, appends and sets properties beside the runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrow::array::{
    Array, ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::Schema;
use deltalake::DeltaTable;
use deltalake::kernel::engine::arrow_conversion::TryIntoArrow;
use futures::StreamExt;
use tests::kit::{TestPipeline, chain};
use url::Url;

use super::{SHOP, SUMS, orders, sums};

async fn open(folder: &Path) -> Option<DeltaTable> {
    let folder = folder.canonicalize().ok()?;
    deltalake::open_table(Url::from_directory_path(folder).unwrap()).await.ok()
}

/// Compacts and vacuums tables until it is told to end; counts how often it did so.
async fn maintain(folders: Vec<PathBuf>, is_over: Arc<AtomicBool>, done: Arc<AtomicU64>) {
    while !is_over.load(Ordering::Relaxed) {
        for folder in &folders {
            let Some(table) = open(folder).await else { continue };
            // It loses against a merge now and then, as any other writer does.
            let Ok((table, metrics)) = table.optimize().with_target_size(std::num::NonZeroU64::new(1 << 20).unwrap()).await
            else {
                continue;
            };
            done.fetch_add(u64::from(metrics.num_files_removed > 0), Ordering::Relaxed);
            let _ = table.vacuum().await;
        }
        tokio::task::yield_now().await;
    }
}

/// Snapshots that are replaced, merges and views: whatever is compacted in between, batches are done again and the end is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compaction_and_vacuum_beside_the_runs_change_nothing() {
    let replacing = SHOP[0].1.replace("from = \"orders\"\nevent_time", "from = \"orders\"\non_change = \"replace\"\nevent_time");
    assert_ne!(replacing, SHOP[0].1);
    let replaced = TestPipeline::written("shop", &[("pipeline.toml", &replacing), SHOP[1]]).await;
    let appended = TestPipeline::written("shop", &SHOP).await;
    let mut compacted = 0;
    for (t, first) in [(appended, 0), (replaced, 1)] {
        let folders = ["raw/shop/orders", "use_case/shop/customers"].map(|folder| t.lake().join(folder)).to_vec();
        let (is_over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let maintaining = tokio::spawn(maintain(folders, is_over.clone(), done.clone()));
        for step in 1..=8 {
            // Of a snapshot, the first ones go.
            let numbers = first * step * 5..step * 30;
            t.serve_at("orders", orders(numbers.clone()));
            match t.try_run().await {
                Ok(report) => assert!(report.accounting_closes, "{report:#?}"),
                Err(error) => panic!("step {step}: {}", chain(&error)),
            }
            assert_eq!(t.sql(SUMS).await, sums(numbers.clone()), "step {step}");
            assert_eq!(t.count("SELECT count(*) FROM orders").await, numbers.count() as u64, "step {step}");
        }
        is_over.store(true, Ordering::Relaxed);
        maintaining.await.unwrap();
        compacted += done.load(Ordering::Relaxed);
    }
    assert!(compacted > 2, "nothing was compacted beside the runs: this shows nothing");
}

/// Rows that somebody else appends to raw are merged like any other; they say of themselves where they come from.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_another_writer_are_merged_like_any_other() {
    let t = TestPipeline::written("shop", &SHOP).await;
    t.serve_at("orders", orders(0..14)).run().await;
    let folder = t.lake().join("raw/shop/orders");
    let table = open(&folder).await.unwrap();
    let schema: Schema = table.snapshot().unwrap().schema().as_ref().try_into_arrow().unwrap();
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "id" | "amount" => Arc::new(Int64Array::from(vec![14])),
            "customer" => Arc::new(StringArray::from(vec!["c0"])),
            "note" | "_entry" => Arc::new(StringArray::from(vec!["by hand"])),
            "ts" | "_loaded_at" => Arc::new(TimestampMicrosecondArray::from(vec![1_704_186_000_000_000]).with_timezone("UTC")),
            "day" => Arc::new(Date32Array::from(vec![19_724])),
            "_receipt" | "_position" => Arc::new(Int64Array::from(vec![0])),
            other if field.is_nullable() => new_null_array(schema.field_with_name(other).unwrap().data_type(), 1),
            other => panic!("what to put into {other}?"),
        }
    });
    let row = RecordBatch::try_new(Arc::new(schema.clone()), columns.collect()).unwrap();
    assert_eq!(row.column(0).len(), 1);
    table.write(vec![row]).await.unwrap();
    t.run().await;
    assert_eq!(t.sql(SUMS).await, sums(0..15));
    // And the run after it has nothing to do; what then lands is loaded as ever, the known row too: it is a duplicate of itself.
    t.serve_at("orders", orders(0..20)).run().await;
    let history: Vec<_> = open(&folder).await.unwrap().history(None).collect().await;
    assert!(history.len() > 3);
    assert_eq!(t.count("SELECT count(DISTINCT id) FROM orders").await, 20);
}
