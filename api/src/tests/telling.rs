//! What the server tells: parts, metrics, logs, headers.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::http::HeaderValue;

use super::kit::{Client, Folder, LONG, open_settings, serve};
use crate::keys;

#[tokio::test]
async fn readyz_names_each_part() {
    let server = serve(open_settings()).await;
    let cassandra = server.readiness.part("cassandra");
    cassandra.down("no node answers");
    let told = server.get("/readyz", "").await;
    let document: serde_json::Value = serde_json::from_slice(&told.body).unwrap_or_default();
    assert_eq!((told.status, document["status"].as_str()), (503, Some("unavailable")));
    assert_eq!(document["parts"]["cassandra"]["reason"], "no node answers", "{told:?}");
    assert_eq!(document["parts"]["server"]["status"], "ok");
    assert_eq!(server.get("/health", "").await.text(), r#"{"status":"unavailable"}"#);
    cassandra.ok();
    assert_eq!(server.get("/health", "").await.text(), r#"{"status":"ok"}"#);
    assert_eq!(server.get("/readyz", "").await.status, 200);
}

#[tokio::test]
async fn metrics_are_on_a_port_of_their_own_and_name_endpoints_not_paths() {
    let mut settings = open_settings();
    settings.metrics_address = Some("127.0.0.1:0".parse().unwrap());
    let server = serve(settings).await;
    server.get("/v1/others", "").await;
    server.get("/nobody-made-this-path", "").await;
    assert_eq!(server.get("/metrics", "").await.status, 404);
    let started = Instant::now();
    loop {
        let mut client = Client(tokio::net::TcpStream::connect(server.metrics.unwrap()).await.unwrap());
        client.write("GET /metrics HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").await;
        let answer = client.answer().await;
        let text = answer.text();
        let is_there = [
            "sluice_http_requests_total{endpoint=\"others\",method=\"GET\",status=\"200\"}",
            "sluice_http_requests_total{endpoint=\"none\",method=\"GET\",status=\"404\"}",
            "sluice_http_request_duration_seconds_bucket{endpoint=\"others\",le=\"0.5\"}",
            "sluice_build_info{version=",
        ]
        .iter()
        .all(|line| text.contains(line));
        assert!(!text.contains("nobody-made-this-path"));
        if is_there {
            for line in text.lines().filter(|line| line.starts_with("# TYPE")) {
                let name = line.split(' ').nth(2).unwrap();
                assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help");
                assert_eq!(line.ends_with("counter"), name.ends_with("_total"), "{line}");
            }
            return;
        }
        // A record is written after its answer was sent.
        assert!(started.elapsed() < LONG, "{text}");
    }
}

#[tokio::test]
async fn health_is_answered_in_plain_beside_the_metrics() {
    let mut settings = open_settings();
    settings.metrics_address = Some("127.0.0.1:0".parse().unwrap());
    let server = serve(settings).await;
    // As a probe without a client library sends it.
    let probe = async |path: &str| {
        let mut client = Client(tokio::net::TcpStream::connect(server.metrics.unwrap()).await.unwrap());
        client.write(&format!("GET {path} HTTP/1.0\r\n\r\n")).await;
        client.answer().await.status
    };
    let cassandra = server.readiness.part("cassandra");
    assert_eq!((probe("/livez").await, probe("/readyz").await), (200, 503));
    cassandra.ok();
    assert_eq!(probe("/readyz").await, 200);
    assert_eq!(probe("/v1/others").await, 404);
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_line_for_each_request_and_no_secret_in_any() {
    let written = Written::default();
    let writer = written.clone();
    let subscriber =
        tracing_subscriber::fmt().json().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).expect("no other test sets one");
    let folder = Folder::new();
    let (id, key) = folder.make(super::kit::new_key());
    let server = serve(folder.settings()).await;
    server.get_with("/v1/items/hidden-player?token=hidden-token", &key).await;
    server.get("/v1/items/hidden-player", &format!("X-API-Key: {key}x\r\n")).await;
    server.get("/v1/items/hidden-player", &format!("X-Request-Id: line-77\r\nAuthorization: Bearer {key}\r\n")).await;
    keys::revoke(&folder.keys(), &id, chrono::Utc::now()).unwrap();
    server.until("/v1/others", &key, 401).await;
    let started = Instant::now();
    let line = loop {
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains(&key[key.len() - 43..]), "a key is in the log");
        let own = text.lines().filter(|line| line.contains("api::access"));
        if let Some(line) = own.into_iter().find(|line| line.contains("line-77")) {
            assert!(!line.contains("hidden"), "{line}");
            break line.to_owned();
        }
        assert!(started.elapsed() < LONG, "no line for the request");
    };
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let fields = &line["fields"];
    assert_eq!(fields["route"], "/v1/items/{id}");
    assert_eq!(fields["endpoint"], "items");
    assert_eq!(fields["status"], 200);
    assert_eq!(fields["key"], id);
    assert_eq!(fields["bytes"], "item hidden-player".len());
    assert_eq!(fields["whole"], true);
}

#[tokio::test]
async fn a_head_is_that_of_the_answer_without_its_body() {
    let server = serve(open_settings()).await;
    for (path, status, length) in [("/v1/items/1", 200, "6"), ("/v1/text", 200, "24000"), ("/livez", 200, "15")] {
        let request = format!("HEAD {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
        let answer = server.send(request.as_bytes()).await;
        assert_eq!((answer.status, answer.header("content-length"), answer.text()), (status, Some(length), ""), "{path}");
    }
}

#[tokio::test]
async fn a_longer_answer_is_compressed_for_who_asks() {
    let server = serve(open_settings()).await;
    let plain = server.get("/v1/text", "").await;
    assert_eq!((plain.body.len(), plain.header("content-encoding")), (24_000, None));
    for encoding in ["gzip", "zstd"] {
        let answer = server.get("/v1/text", &format!("Accept-Encoding: {encoding}\r\n")).await;
        assert_eq!(answer.header("content-encoding"), Some(encoding));
        assert!(answer.body.len() < 2_000);
        assert!(answer.header("vary").unwrap().contains("accept-encoding"));
    }
    let short = server.get("/v1/others", "Accept-Encoding: gzip\r\n").await;
    assert_eq!((short.text(), short.header("content-encoding")), ("others", None));
}

#[tokio::test]
async fn other_origins_are_answered_only_where_they_are_named() {
    let preflight = "OPTIONS /v1/others HTTP/1.1\r\nHost: here\r\nOrigin: https://app.example.org\r\nAccess-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: authorization\r\nConnection: close\r\n\r\n";
    let folder = Folder::new();
    let key = folder.key();
    let closed = serve(folder.settings()).await;
    let answer = closed.send(preflight.as_bytes()).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (401, None));

    let mut settings = folder.settings();
    settings.origins = vec![HeaderValue::from_static("https://app.example.org")];
    let named = serve(settings).await;
    let answer = named.send(preflight.as_bytes()).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some("https://app.example.org")));
    let head = |origin: &str| format!("Origin: {origin}\r\nAuthorization: Bearer {key}\r\n");
    let answer = named.get("/v1/others", &head("https://app.example.org")).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some("https://app.example.org")));
    let answer = named.get("/v1/others", &head("https://evil.example.org")).await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
    // Also a refusal is readable for the page that is allowed.
    let answer = named.get("/v1/others", "Origin: https://app.example.org\r\n").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (401, Some("https://app.example.org")));
}

#[tokio::test]
async fn every_answer_has_an_id_and_says_how_it_may_be_kept() {
    let server = serve(open_settings()).await;
    for (given, is_kept) in [("abc.DEF-1_2", true), ("has space", false), ("quote\"", false), (&*"x".repeat(65), false)] {
        let answer = server.get("/v1/others", &format!("X-Request-Id: {given}\r\n")).await;
        let id = answer.header("x-request-id").unwrap();
        assert_eq!(id == given, is_kept, "{given}");
        assert!(!id.is_empty());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(answer.header("content-security-policy").unwrap().contains("'none'"));
    }
}
