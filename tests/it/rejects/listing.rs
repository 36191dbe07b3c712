//! What the commands print, through the real program.

use serde_json::Value;
use tests::kit::TestPipeline;

use super::{SHOP, SHOP_SQL, order};

async fn said(t: &TestPipeline, arguments: &[&str]) -> (String, String) {
    let output = t.sluice(arguments).await.env("ORDERS_URL", t.server.url("/orders")).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{arguments:?}: {out}{err}");
    (out, err)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejects_are_grouped_by_what_is_wrong_and_each_group_says_how_to_see_and_replay_it() {
    let mut files = vec![("pipeline.toml", SHOP)];
    files.extend(SHOP_SQL);
    let t = TestPipeline::written("shop", &files).await;
    assert_eq!(said(&t, &["create-tables", "shop"]).await.0.lines().count(), 5);
    let (out, _) = said(&t, &["rejects", "shop"]).await;
    assert_eq!(out, "no rejects\n");

    let mut file: Vec<u8> = [
        order("a", "2024-01-15T10:00:00Z", 20, "ann"),
        order("b", "2024-01-15T11:00:00Z", 5, "ann"),
        order("c", "2024-01-16T11:00:00Z", 4, "bob"),
        order("d", "yesterday", 30, "bob"),
        order("e", "tomorrow", 30, "bob"),
    ]
    .concat()
    .into_bytes();
    file.extend_from_slice(b"\xff\x1b[31m\n");
    t.serve_at("orders", file).run().await;

    let (out, _) = said(&t, &["rejects", "shop", "--output", "json"]).await;
    let groups: Value = serde_json::from_str(&out).unwrap();
    let shown: Vec<_> = groups
        .as_array()
        .unwrap()
        .iter()
        .map(|group| (group["reason"].as_str().unwrap(), group["rule"].as_str().unwrap(), group["records"].as_u64().unwrap()))
        .collect();
    assert_eq!(
        shown,
        [("wrong_type", "at is not a timestamp", 2), ("check_failed", "not cheap", 2), ("malformed", "the line is not UTF-8", 1)]
    );
    // The condition of a group means its records and no others.
    for (group, positions) in groups.as_array().unwrap().iter().zip([vec![4, 5], vec![2, 3], vec![6]]) {
        let condition = group["condition"].as_str().unwrap();
        let (out, _) = said(&t, &["rejects", "shop", "--list", "--where", condition, "--output", "json"]).await;
        let records: Value = serde_json::from_str(&out).unwrap();
        let found: Vec<_> = records.as_array().unwrap().iter().map(|record| record["position"].as_i64().unwrap()).collect();
        assert_eq!(found, positions, "{condition}");
        assert!(records[0]["url"].as_str().unwrap().ends_with("/orders"));
    }
    let (out, err) = said(&t, &["rejects", "shop"]).await;
    assert!(out.contains("\\xff\\u{1b}[31m") && !out.contains('\u{1b}'), "{out}");
    assert!(err.contains("sluice replay shop --dry-run --where \"raw_table = 'orders' AND reason = 'check_failed'"), "{err}");

    let (out, _) = said(&t, &["rejects", "shop", "--list", "--limit", "2"]).await;
    assert!(out.contains("not cheap") && out.contains("the first 2 rows; --limit shows more"), "{out}");
    t.edit("amount > 10", "amount > 4");
    let (out, _) = said(&t, &["replay", "shop", "--reason", "cheap", "--dry-run"]).await;
    assert!(out.contains("1 of 2 records would leave the quarantine; nothing was written"), "{out}");
    let (out, _) = said(&t, &["replay", "shop", "--reason", "cheap", "--output", "json"]).await;
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["receipts"][0]["left"], &report["receipts"][0]["stays"]["check_failed"]), (&1.into(), &1.into()));

    let output = t.sluice(&["replay", "shop", "--where", "amount = 5"]).await.env("ORDERS_URL", "http://x").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("amount"), "{text}");
}
