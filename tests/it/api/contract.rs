//! The document of the API, held against the API by programs of others: openapi-spec-validator and schemathesis.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tests::kit::TestPipeline;
use tests::others;
use tests::oulad::{Archive, Options as OuladOptions};
use tests::session_events::{Dataset, Options};

use super::kit::{Api, make_key};

/// Has requests made of the document; `known` are parameters that rows are found by.
async fn assert_kept(pipeline: &TestPipeline, known: Value) {
    let url = pipeline.url();
    // What the definition names is read, though nothing is fetched.
    let variables = [("THINGS_URL", url.as_str()), ("OULAD_URL", url.as_str())];
    // Each refusal is looked for, more often than a person would ask for it.
    let api = Api::start_with(pipeline, &["--wrong-keys", "10000 per second"], &variables).await;
    api.wait_for("/readyz", 200).await;
    let key = make_key(pipeline, &["--rate", "10000 per second"]).await;
    api.becomes("/openapi.json", &key, 200).await;
    let mut command = others::script(others::Tools::Contract, "contract.py");
    command.args([&api.url, &known.to_string()]).env("API_KEY", &key).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let ended = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
    let words = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{words}");
    let said: Value = serde_json::from_slice(&ended.stdout).unwrap();
    let none = json!([]);
    assert_eq!((&said["failures"], &said["errors"], &said["complete"]), (&none, &none, &json!(true)), "{words}");
    let operations = &said["operations"];
    assert_eq!(operations["tested"], operations["total"], "{said}");
    assert!(said["second_pages"].as_object().unwrap().len() > 1, "hardly a cursor was tried: {said}");
    let accepted = said["accepted"].as_object().unwrap();
    assert_eq!(operations["total"], accepted.len());
    for (operation, answers) in accepted {
        // Health has one question; and no run is on record here, whose name would have to be known.
        let one_question = ["GET /livez", "GET /readyz", "GET /health", "GET /v1/_pipeline/runs/{id}"];
        assert!(
            one_question.contains(&operation.as_str()) || answers.as_u64() > Some(1),
            "{operation} was hardly answered, this shows nothing: {said}"
        );
    }
}

/// Names that mean something elsewhere.
pub(super) const OWNERS: [&str; 4] = ["ann", "bob's", "x'; DROP TABLE by_owner; --", "a/b c+d%\u{e4}"];

/// The pipeline with every kind of endpoint, after a run.
pub(super) async fn kinds() -> TestPipeline {
    let kinds = TestPipeline::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("contract/kinds")).await;
    kinds.serve_at("things", things(200)).run().await;
    kinds
}

/// A thing a line, every quarter of an hour from the first of March on; some of their values are not there.
fn things(count: u32) -> String {
    let line = |n: u32| {
        let at = chrono::DateTime::from_timestamp(1_709_251_200 + i64::from(n) * 900, 0).unwrap();
        json!({
            "id": format!("{n:08x}-6a31-4c39-a1a5-0d9e8f1c0a55"),
            "made": format!("{n:08x}-6a31-1c39-a1a5-0d9e8f1c0a55"),
            "owner": OWNERS[n as usize % OWNERS.len()],
            "place": if n.is_multiple_of(2) { "home" } else { "away" },
            "flag": n.is_multiple_of(3),
            "tiny": n % 3,
            "small": n % 5,
            "level": n % 7,
            "big": u64::from(n) * 1_000_000_000_000,
            "huge": (!n.is_multiple_of(4)).then_some(f64::from(n) * 1e21),
            "price": (!n.is_multiple_of(3)).then_some(f64::from(n) + 0.25),
            "ratio": (!n.is_multiple_of(5)).then_some(f64::from(n) / 7.0),
            "share": (!n.is_multiple_of(6)).then_some(f64::from(n) / 4.0),
            "data": (!n.is_multiple_of(2)).then_some("AAEC/w=="),
            "note": (n % 4 != 1).then(|| format!("a \"note\"\n{n}")),
            "at": at.to_rfc3339(),
        })
        .to_string()
    };
    (0..count).map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_endpoint_keeps_what_its_document_says() {
    let kinds = kinds().await;
    let known = |n: u32| {
        let at = chrono::DateTime::from_timestamp(1_709_251_200 + i64::from(n) * 900, 0).unwrap();
        let thing: Value = serde_json::from_str(things(n + 1).lines().last().unwrap()).unwrap();
        let mut known = json!({ "day": at.date_naive().to_string(), "limit": 2 });
        for name in ["id", "made", "owner", "place", "flag", "tiny", "small", "level"] {
            known[name] = if name == "flag" { json!(thing[name].to_string()) } else { thing[name].clone() };
        }
        known
    };
    assert_kept(&kinds, json!([known(1), known(50), known(99), known(100)])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn session_events_keep_what_their_document_says() {
    let t = TestPipeline::session_events().await;
    t.serve(Dataset::generate(&Options::small(3000, 6)).unwrap().to_bytes()).run().await;
    let players = t.cql("SELECT player_id FROM {ks}.completed_sessions LIMIT 2").await;
    let countries = t.cql("SELECT country FROM {ks}.started_sessions LIMIT 2").await;
    let known = players.iter().zip(&countries).map(|(player, country)| json!({ "player_id": player, "country": country }));
    assert_kept(&t, known.collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oulad_keeps_what_its_document_says() {
    let t = TestPipeline::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines/oulad")).await;
    t.serve_at("oulad", Archive::generate(&OuladOptions::default()).unwrap().to_zip()).run().await;
    let query = "SELECT code_module, code_presentation, id_student FROM {ks}.students_by_presentation LIMIT 3";
    let rows = t.cql(query).await;
    let known = rows.iter().map(|row| {
        let parts: Vec<&str> = row.split(" | ").collect();
        json!({ "module": parts[0], "presentation": parts[1], "id_student": parts[2] })
    });
    assert_kept(&t, known.collect()).await;
}
