//! What nobody sends by accident, to the real server over a real node.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::contract::{OWNERS, kinds};
use super::kit::Api;

#[tokio::test(flavor = "multi_thread")]
async fn cql_in_a_parameter_is_a_name_like_any_other() {
    let kinds = kinds().await;
    let url = kinds.url();
    let api = Api::start_with(&kinds, &[], &[("THINGS_URL", &url)]).await;
    api.wait_for("/readyz", 200).await;
    let tables = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{ks}'";
    let before = (kinds.cql(tables).await, kinds.cql("SELECT owner, id FROM {ks}.by_owner").await);
    let newest = async |owner: &str| {
        let owner = utf8_percent_encode(owner, NON_ALPHANUMERIC).to_string();
        let in_path = api.get(&format!("/v1/owners/{owner}/newest")).await;
        let in_query = api.get(&format!("/v1/newest?owner={owner}")).await;
        assert_eq!(in_path.status, in_query.status, "{owner}");
        (in_path.status, in_path.json()["item"].clone(), in_query.json()["item"].clone())
    };
    for owner in OWNERS {
        let (status, in_path, in_query) = newest(owner).await;
        assert_eq!((status, in_path["owner"].as_str()), (200, Some(owner)));
        assert_eq!(in_path, in_query);
    }
    // Nearly their names, and what would be true of every row.
    for owner in ["ann' OR '1'='1", "' OR ''='", "ann'--", "ann;", "ann' ALLOW FILTERING", "*", "%", "?", ":owner", "ANN", "ann "]
    {
        assert_eq!(newest(owner).await, (404, Value::Null, Value::Null), "{owner}");
    }
    for path in ["/v1/things/1%20OR%201=1", "/v1/home/2024-03-01'--", "/v1/numbers/true/1/1%3BDROP", "/v1/things?limit=1;DROP"] {
        assert_eq!(api.get(path).await.code(), "invalid-parameter", "{path}");
    }
    assert_eq!((kinds.cql(tables).await, kinds.cql("SELECT owner, id FROM {ks}.by_owner").await), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_of_any_level_holds_a_key_or_what_was_asked() {
    let kinds = kinds().await;
    let url = kinds.url();
    let arguments = ["--log", "trace,scylla=trace", "--log-format", "json"];
    let api = Api::start_with(&kinds, &arguments, &[("THINGS_URL", &url)]).await;
    api.wait_for("/readyz", 200).await;
    let secret = api.key.splitn(3, '_').nth(2).unwrap();
    let bearer = format!("Bearer {}", api.key);
    for (path, headers) in [
        (format!("/v1/newest?owner=hidden-owner&api_key={}", api.key), vec![("authorization", bearer.as_str())]),
        (format!("/v1/things/{}", api.key), vec![]),
        ("/v1/owners/hidden-owner/newest".to_owned(), vec![("authorization", "Bearer"), ("x-api-key", api.key.as_str())]),
        ("/v1/owners/hidden-owner/newest".to_owned(), vec![("authorization", api.key.as_str())]),
        ("/v1/owners/hidden-owner/newest".to_owned(), vec![("authorization", bearer.as_str()), ("x-request-id", "the-last-one")]),
    ] {
        let answer = api.get_with(&path, &headers).await;
        assert!([400, 401, 404].contains(&answer.status), "{answer:?}");
        assert!(!answer.text.contains(secret), "no answer says a key again: {answer:?}");
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let line = loop {
        let log = api.log();
        assert!(!log.contains(secret), "a key is in the log");
        assert!(!log.lines().any(|line| line.contains("hidden-owner") && line.contains("api::")), "{log}");
        if let Some(line) = log.lines().find(|line| line.contains("api::access") && line.contains("the-last-one")) {
            break line.to_owned();
        }
        assert!(std::time::Instant::now() < deadline, "{log}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let line: Value = serde_json::from_str(&line).unwrap();
    let fields = line["fields"].as_object().unwrap();
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    // What docs/operations.md promises.
    let promised =
        ["bytes", "endpoint", "key", "message", "method", "milliseconds", "peer", "request", "route", "status", "whole"];
    assert_eq!(names, promised);
    assert_eq!(fields["route"], "/v1/owners/{owner}/newest");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_open_and_says_nothing_of_the_pipeline() {
    let kinds = kinds().await;
    let url = kinds.url();
    let api = Api::start_with(&kinds, &[], &[("THINGS_URL", &url)]).await;
    let nobody = [("authorization", "")];
    let page = api.get_with("/docs", &nobody).await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let files: Vec<&str> = page.text.split('"').filter(|text| text.starts_with("docs/")).collect();
    assert_eq!(files.len(), 4, "{}", page.text);
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'") && policy.contains("connect-src 'self'") && !policy.contains("unsafe"),
        "{policy}"
    );
    for inline in ["<style", "style=", "onload=", "http://", "https://", "kinds"] {
        assert!(!page.text.contains(inline), "{inline}");
    }
    for file in files {
        let response = api.client.get(format!("{}/{file}", api.url)).send().await.unwrap();
        assert_eq!(response.status(), 200, "{file}");
        let is_packed = response.headers().get("content-encoding").is_some_and(|encoding| encoding == "gzip");
        let bytes = response.bytes().await.unwrap();
        assert_eq!(bytes.starts_with(&[0x1f, 0x8b]), is_packed, "{file}");
    }
    for path in ["/openapi.json", "/docs/", "/docs/..%2fopenapi.json", "/docs/page.html"] {
        assert_eq!(api.get_with(path, &nobody).await.status, 401, "{path}");
    }
}
