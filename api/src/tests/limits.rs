//! How often and how many at a time, and that a wait which was told is a true one.

use std::time::{Duration, Instant};

use super::kit::{Folder, LONG, new_key, open_settings, serve};
use crate::keys::{NewKey, Rate};

#[tokio::test]
async fn a_key_over_its_limit_passes_after_the_wait_that_it_was_told() {
    let folder = Folder::new();
    let slow = folder.make(NewKey { rate: Some(Rate::new(1.0, std::num::NonZeroU32::new(2)).unwrap()), ..new_key() }).1;
    let other = folder.key();
    let server = serve(folder.settings()).await;
    let first = server.get_with("/v1/items/1", &slow).await;
    assert_eq!(first.header("ratelimit-policy"), Some("\"key\";q=2;w=2"));
    assert_eq!(first.header("ratelimit"), Some("\"key\";r=1;t=1"));
    let started = Instant::now();
    let refused = loop {
        let answer = server.get_with("/nowhere", &slow).await;
        if answer.status == 429 {
            break answer;
        }
        assert!(started.elapsed() < LONG);
    };
    assert_eq!(refused.code(), "rate-limited");
    assert!(refused.header("ratelimit").unwrap().contains("r=0"));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait));
    assert_eq!(server.get_with("/v1/items/1", &other).await.status, 200, "a limit is one key's");
    tokio::time::sleep_until((Instant::now() + Duration::from_secs(wait)).into()).await;
    assert_eq!(server.get_with("/v1/items/1", &slow).await.status, 200);
}

#[tokio::test]
async fn all_keys_together_have_a_limit_that_wrong_keys_do_not_use_up() {
    let folder = Folder::new();
    let (one, other) = (folder.key(), folder.key());
    let mut settings = folder.settings();
    settings.total_rate = Some("2 per hour".parse::<Rate>().unwrap().with_burst(std::num::NonZeroU32::new(2).unwrap()));
    let server = serve(settings).await;
    for _ in 0..5 {
        assert_eq!(server.get("/v1/items/1", "").await.status, 401);
    }
    assert_eq!(server.get_with("/v1/items/1", &one).await.status, 200);
    assert_eq!(server.get_with("/v1/items/1", &other).await.status, 200);
    let refused = server.get_with("/v1/items/1", &one).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate-limited"));
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 1_000);
    assert_eq!(server.get("/readyz", "").await.status, 200, "health is never limited");
}

#[tokio::test]
async fn an_address_that_tries_keys_is_slowed_down_and_locks_nobody_out() {
    let folder = Folder::new();
    let key = folder.key();
    let mut settings = folder.settings();
    settings.failure_rate = Rate::new(0.01, std::num::NonZeroU32::new(3)).unwrap();
    let server = serve(settings).await;
    for _ in 0..3 {
        assert_eq!(server.get_with("/v1/items/1", "guess").await.status, 401);
    }
    let refused = server.get_with("/v1/items/1", "guess").await;
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 50);
    assert_eq!(server.get_with("/v1/items/1", &key).await.status, 200);
}

#[tokio::test]
async fn more_than_can_be_worked_on_is_refused_at_once() {
    let mut settings = open_settings();
    settings.in_flight = 1;
    let server = serve(settings).await;
    let first = server.get("/v1/held", "");
    let others = async {
        server.held.came().await;
        let refused = server.get("/v1/items/1", "").await;
        assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"));
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert_eq!(server.get("/livez", "").await.status, 200);
        server.held.let_go();
    };
    assert_eq!(tokio::join!(first, others).0.text(), "let go");
    assert_eq!(server.get("/v1/items/1", "").await.status, 200);
}

#[tokio::test]
async fn the_work_for_a_client_that_has_gone_is_given_up() {
    let mut settings = open_settings();
    settings.in_flight = 1;
    let server = serve(settings).await;
    let mut client = server.connect().await;
    client.write("GET /v1/held HTTP/1.1\r\nHost: here\r\n\r\n").await;
    server.held.came().await;
    assert_eq!(server.get("/v1/items/1", "").await.status, 503);
    drop(client);
    // Nothing lets the handler go: it is its place that comes back.
    assert_eq!(server.until("/v1/items/1", "", 200).await.text(), "item 1");
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_given_up() {
    let mut settings = open_settings();
    settings.request_time = Duration::from_millis(100);
    let server = serve(settings).await;
    let answer = server.get("/v1/held", "").await;
    assert_eq!((answer.status, answer.code().as_str()), (504, "timeout"));
}

#[tokio::test]
async fn connections_over_the_bound_are_closed_at_once() {
    let mut settings = open_settings();
    settings.connections = 2;
    let server = serve(settings).await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = server.connect().await;
        client.write("GET /livez HTTP/1.1\r\nHost: here\r\n\r\n").await;
        let mut first = [0; 12];
        tokio::io::AsyncReadExt::read_exact(&mut client.0, &mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        clients.push(client);
    }
    let (bytes, _) = server.connect().await.dropped().await;
    assert_eq!(bytes, 0);
    clients.clear();
    let started = Instant::now();
    loop {
        let mut client = server.connect().await;
        client.write("GET /livez HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").await;
        if client.dropped().await.0 > 0 {
            break;
        }
        assert!(started.elapsed() < LONG);
    }
}
