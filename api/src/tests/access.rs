//! Who may: keys, scopes, and a file of keys that changes while the server runs.

use std::time::Duration;

use chrono::Utc;

use super::kit::{Folder, new_key, open_settings, serve};
use crate::keys::{self, NewKey, Scope};
use crate::server::{Error, Server};

#[tokio::test]
async fn without_a_key_nothing_but_health_answers() {
    let folder = Folder::new();
    let key = folder.key();
    let server = serve(folder.settings()).await;
    for path in ["/livez", "/readyz", "/health"] {
        assert_eq!(server.get(path, "").await.status, 200, "{path}");
    }
    for path in ["/v1/items/1", "/old/items/1", "/docs", "/nowhere", "/", "/v1/panics", "/metrics"] {
        let answer = server.get(path, "").await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorized"), "{path}");
        assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
    }
    assert_eq!(server.get_with("/v1/items/7", &key).await.text(), "item 7");
    assert_eq!(server.get("/v1/items/7", &format!("X-API-Key: {key}\r\n")).await.status, 200);
    assert_eq!(server.get_with("/nowhere", &key).await.status, 404);
}

#[tokio::test]
async fn every_key_that_does_not_open_gets_the_same_answer() {
    let folder = Folder::new();
    let key = folder.key();
    let (revoked_id, revoked) = folder.make(new_key());
    keys::revoke(&folder.keys(), &revoked_id, Utc::now()).unwrap();
    let expires = Some(Utc::now() - chrono::Duration::seconds(1));
    let outdated = folder.make(NewKey { expires, ..new_key() }).1;
    let server = serve(folder.settings()).await;
    let changed = format!("{}{}", &key[..key.len() - 1], if key.ends_with('A') { 'B' } else { 'A' });
    let unknown = format!("sk_nobody_{}", &key[key.len() - 43..]);
    let swapped = format!("{}{}", &revoked[..14], &key[14..]);
    let mut bodies = std::collections::BTreeSet::new();
    for wrong in [&changed, &unknown, &swapped, &revoked, &outdated, &key[..20], "", "%00", &"a".repeat(5_000)] {
        let answer = server.get_with("/v1/items/1", wrong).await;
        assert_eq!(answer.status, 401, "{wrong}");
        bodies.insert(answer.problem()["detail"].to_string());
    }
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    let twice = format!("Authorization: Bearer {key}\r\nX-API-Key: {key}\r\n");
    assert_eq!(server.get("/v1/items/1", &twice).await.status, 401, "which one counts is not for the server to choose");
    assert_eq!(server.get("/v1/items/1", &format!("Authorization: Basic {key}\r\n")).await.status, 401);
    assert_eq!(server.get(&format!("/v1/items/1?api_key={key}"), "").await.status, 401, "addresses are written into logs");
}

#[tokio::test]
async fn a_key_opens_what_its_scope_names() {
    let folder = Folder::new();
    let scoped = |pipelines: &[&str], endpoints: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        folder.make(NewKey { scope: Scope::new(owned(pipelines), owned(endpoints)).unwrap(), ..new_key() }).1
    };
    let (items, elsewhere) = (scoped(&["shop"], &["item*"]), scoped(&["oulad"], &[]));
    let server = serve(folder.settings()).await;
    for (key, path, status) in [
        (&items, "/v1/items/1", 200),
        (&items, "/old/items/1", 200),
        (&items, "/v1/others", 403),
        (&items, "/v1/panics", 403),
        (&items, "/docs", 200),
        (&items, "/nowhere", 404),
        (&elsewhere, "/v1/items/1", 403),
        (&elsewhere, "/docs", 403),
        (&elsewhere, "/nowhere", 403),
        (&elsewhere, "/readyz", 200),
    ] {
        assert_eq!(server.get_with(path, key).await.status, status, "{path}");
    }
    assert_eq!(server.get_with("/v1/others", &items).await.code(), "forbidden");
}

#[tokio::test]
async fn a_change_of_the_keys_is_seen_without_a_restart() {
    let folder = Folder::new();
    let server = serve(folder.settings()).await;
    let (id, first) = folder.make(new_key());
    server.until("/v1/items/1", &first, 200).await;

    let rotate = |grace| {
        use secrecy::ExposeSecret as _;
        keys::rotate(&folder.keys(), &id, grace, Utc::now()).unwrap().key.expose_secret().to_owned()
    };
    let second = rotate(Duration::from_hours(1));
    server.until("/v1/items/1", &second, 200).await;
    assert_eq!(server.get_with("/v1/items/1", &first).await.status, 200, "in its grace");
    let third = rotate(Duration::ZERO);
    server.until("/v1/items/1", &first, 401).await;
    assert_eq!(server.get_with("/v1/items/1", &second).await.status, 401);
    assert_eq!(server.get_with("/v1/items/1", &third).await.status, 200);

    keys::revoke(&folder.keys(), &id, Utc::now()).unwrap();
    server.until("/v1/items/1", &third, 401).await;
}

#[tokio::test]
async fn a_damaged_file_leaves_the_keys_as_they_were_and_is_told() {
    let folder = Folder::new();
    let key = folder.key();
    let server = serve(folder.settings()).await;
    server.until("/v1/items/1", &key, 200).await;
    let whole = std::fs::read(folder.keys()).unwrap();
    for damaged in [&whole[..whole.len() / 2], b"", br#"{"format": 99}"#] {
        std::fs::write(folder.keys(), damaged).unwrap();
        told(&server, "degraded").await;
        assert_eq!(server.get("/readyz", "").await.status, 200, "the keys read before still open");
        assert_eq!(server.get_with("/v1/items/1", &key).await.status, 200);
        std::fs::write(folder.keys(), &whole).unwrap();
        told(&server, "ok").await;
    }
    std::fs::remove_file(folder.keys()).unwrap();
    told(&server, "degraded").await;
    assert_eq!(server.get_with("/v1/items/1", &key).await.status, 200);
}

async fn told(server: &super::kit::Running, expected: &str) {
    let started = std::time::Instant::now();
    loop {
        let told: serde_json::Value = serde_json::from_slice(&server.get("/readyz", "").await.body).unwrap();
        if told["parts"]["keys"]["status"] == expected {
            return;
        }
        assert!(started.elapsed() < super::kit::LONG, "{told}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn other_machines_are_served_only_with_a_key_or_where_all_are_meant() {
    let folder = Folder::new();
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let mut settings = folder.settings();
    settings.address = everywhere;
    assert!(matches!(Server::bind(settings).await, Err(Error::Exposed { .. })));
    let (id, _) = folder.make(new_key());
    let mut settings = folder.settings();
    settings.address = everywhere;
    Server::bind(settings).await.unwrap();
    keys::revoke(&folder.keys(), &id, Utc::now()).unwrap();
    let mut settings = folder.settings();
    settings.address = everywhere;
    assert!(matches!(Server::bind(settings).await, Err(Error::Exposed { .. })), "a revoked key opens nothing");
    let mut settings = open_settings();
    settings.address = everywhere;
    Server::bind(settings).await.unwrap();
}
