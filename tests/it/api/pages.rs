//! The dashboard: which pages a key sees, and what of them.

use serde_json::{Value, json};
use tests::kit::TestPipeline;

use super::kit::{Api, make_key};

fn names(pages: &Value) -> Vec<(&str, usize)> {
    let pages = pages["pages"].as_array().unwrap();
    pages.iter().map(|page| (page["name"].as_str().unwrap(), page["parts"].as_array().unwrap().len())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_sees_the_pages_whose_endpoints_it_opens_and_the_dashboard_itself_needs_none() {
    let pipeline = TestPipeline::session_events().await;
    let api = Api::start_with(&pipeline, &[], &[]).await;
    let answer = api.get("/v1/_pipeline/pages").await;
    assert_eq!(names(&answer.json()), [("sessions", 7), ("country", 1), ("player", 1)]);
    assert_eq!(answer.json()["operations"], true);
    let table = &answer.json()["pages"][1]["parts"][0];
    assert_eq!(table["endpoint"]["path"], "/v1/countries/{country}/started-sessions");
    assert_eq!(table["with"], json!({ "country": { "picker": "country" } }));
    assert!(table["endpoint"]["fields"].as_array().unwrap().contains(&json!({ "name": "ts", "kind": "timestamp" })));
    let etag = answer.header("etag").to_owned();
    assert_eq!(api.get_with("/v1/_pipeline/pages", &[("if-none-match", &etag)]).await.status, 304);

    let narrow = make_key(&pipeline, &["--endpoint", "session_lengths", "--endpoint", "completed*"]).await;
    let bearer = format!("Bearer {narrow}");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let seen = loop {
        let seen = api.get_with("/v1/_pipeline/pages", &[("authorization", &bearer)]).await;
        if seen.status == 200 {
            break seen;
        }
        assert!(std::time::Instant::now() < deadline, "{seen:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(names(&seen.json()), [("sessions", 1), ("player", 1)], "what it may not ask is not there");
    let hidden = ["sessions_per_day", "started_sessions", "starts"];
    assert!(hidden.iter().all(|name| !seen.text.contains(&format!("\"{name}"))), "{}", seen.text);

    let nobody = [("authorization", "Bearer nobody")];
    assert_eq!(api.get_with("/v1/_pipeline/pages", &nobody).await.code(), "unauthorized");
    let root = api.get_with("/", &nobody).await;
    assert_eq!((root.status, root.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(root.header("content-security-policy").contains("script-src 'self';"));
    assert!(!root.text.contains("session"), "the files hold nothing of a pipeline: {}", root.text);
}
