//! deltalake for Python, as it is published, at work on the tables beside the runs; and what it and DuckDB then read.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use model::maintenance::MaintenanceStep;
use model::{Classify, Failure};
use pipelines::commands::maintain::Order;
use serde_json::Value;
use tests::kit::{TestPipeline, chain};
use tests::others;

use super::{SHOP, SUMS, orders, sums, walk};
use crate::maintain::{maintained, thorough};

/// A customer who left is none, whatever comes later.
async fn shop_that_deletes() -> TestPipeline {
    let t = TestPipeline::written("shop", &SHOP).await;
    t.edit("key = [\"customer\"]\n", "key = [\"customer\"]\ndelete_when = \"has_left\"\n");
    t.edit("latest = { fold = \"max\" }\n", "latest = { fold = \"max\" }\nhas_left = { fold = \"any\" }\n");
    let sql = SHOP[1].1.replace("AS latest", "AS latest, bool_or(note = 'leaves') AS has_left");
    std::fs::write(t.definition().join(SHOP[1].0), sql).unwrap();
    t
}

fn leaver(id: u64, note: &str) -> String {
    format!("{{\"id\":{id},\"customer\":\"leaver\",\"ts\":\"2024-01-02T09:00:00\",\"amount\":1,\"note\":\"{note}\"}}\n")
}

fn said(ended: &Output) -> Value {
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    serde_json::from_slice(&ended.stdout).unwrap()
}

fn python(t: &TestPipeline, act: &str) -> Value {
    said(&others::script(others::Tools::Data, "other_writer.py").arg(act).arg(t.lake()).output().unwrap())
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// What is ours beside the data of the tables.
fn our_files(lake: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    walk(lake, &mut files);
    files.retain(|file| {
        ["_ledger", "_tombstones", "keys"].iter().any(|ours| file.components().any(|part| part.as_os_str() == *ours))
    });
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deltalake_for_python_writes_compacts_and_vacuums_beside_the_runs_and_reads_what_we_read() {
    let t = shop_that_deletes().await;
    t.serve_at("orders", leaver(100_000, "leaves") + &orders(0..1)).run().await;
    let stop = t.lake().join("stop");
    let mut command = others::script(others::Tools::Data, "other_writer.py");
    command.arg("beside").args([&t.lake(), &stop]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    for step in 1..=6 {
        t.serve_at("orders", orders(0..step * 30));
        // It writes all the time: a run may lose against it again and again, then says so, and the same command gets there.
        let mut attempts = 0;
        let report = loop {
            match t.try_run().await {
                Ok(report) => break report,
                Err(error) => {
                    let said = chain(&error);
                    assert_eq!(error.failure(), Failure::Transient, "step {step}: {said}");
                    assert!(said.contains("was changed by another writer") && attempts < 10, "step {step}: {said}");
                    attempts += 1;
                }
            }
        };
        assert!(report.accounting_closes, "step {step}: {report:#?}");
    }
    std::fs::write(&stop, "").unwrap();
    let ended = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
    let did = said(&ended);
    let count = |what: &str| did[what].as_u64().unwrap();
    for what in ["appended", "compacted", "properties", "checkpoints"] {
        assert!(count(what) > 2, "it did little beside the runs, this shows nothing: {did}");
    }
    t.run().await;
    let with_python = |numbers| {
        let appended = count("appended");
        let mut sums = sums(numbers);
        sums.push(format!("python | {appended} | {}", appended * (appended - 1) / 2));
        sums
    };
    assert_eq!(t.sql(SUMS).await, with_python(0..180), "{did}");

    // Without retention, and nobody at work: it takes what only old versions need, and nothing of ours.
    maintained(&t, &Order { steps: vec![MaintenanceStep::Checkpoint], ..thorough() }).await;
    let ours = our_files(&t.lake());
    for folder in ["_ledger", "_tombstones", "keys"] {
        assert!(ours.iter().any(|file| file.to_string_lossy().contains(folder)), "there are files in {folder}");
    }
    let removed = python(&t, "vacuum");
    assert!(removed[0].as_u64() > Some(2) && removed[1].as_u64() > Some(2), "{removed}");
    assert_eq!(our_files(&t.lake()), ours);

    // What comes then is merged as ever; who left is not brought back.
    t.serve_at("orders", leaver(100_001, "comes late") + "no order\n" + &orders(0..200)).run().await;
    assert_eq!(t.sql(SUMS).await, with_python(0..200));
    let read = python(&t, "read");
    assert_eq!(texts(&read["merged"]), with_python(0..200));
    // All but the other writer's got orders in the last run.
    assert_eq!(texts(&read["changed"]), sums(0..200));
    let by_customer = "SELECT customer, count(*), sum(amount), min(day), replace(left(cast(max(ts) AS varchar), 19), 'T', ' ') || '+00' \
                       FROM orders GROUP BY customer ORDER BY customer";
    let rows = t.sql(by_customer).await;
    assert_eq!(rows.len(), 9, "{rows:?}");
    assert_eq!(texts(&read["raw"]), rows);
    assert_eq!(texts(&read["raw_files"]), rows);
    assert_eq!(read["rejects"].as_u64(), Some(t.count("SELECT count(*) FROM quarantine").await));
    assert_eq!(read["rejects"], 1);
}
