//! Clients that take their time.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use super::kit::{LARGE, LONG, open_settings, serve};
use crate::server::{Patience, Settings};

fn impatient() -> Settings {
    let mut settings = open_settings();
    let short = Duration::from_millis(200);
    settings.patience = Patience { handshake: short, head: short, idle: LONG, write: short };
    settings.bounds.body_time = short;
    settings
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_ends_the_connection() {
    let server = serve(impatient()).await;
    let mut client = server.connect().await;
    let dripping = async {
        let mut sent = 0;
        client.write("GET /v1/items/1 HTTP/1.1\r\nHost: here\r\n").await;
        // A byte now and then keeps nothing open.
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while tokio::io::AsyncWriteExt::write_all(&mut client.0, b"X").await.is_ok() {
            ticks.tick().await;
            sent += 1;
        }
        sent
    };
    let sent = tokio::time::timeout(LONG, dripping).await.expect("the server closes");
    assert!(sent > 2, "{sent}");
}

#[tokio::test]
async fn a_connection_without_a_request_ends_after_its_idle_time() {
    let mut settings = impatient();
    settings.patience.idle = Duration::from_millis(150);
    let server = serve(settings).await;
    let mut silent = server.connect().await;
    let (bytes, _) = silent.dropped().await;
    assert_eq!(bytes, 0);
    let mut client = server.connect().await;
    client.write("GET /v1/items/1 HTTP/1.1\r\nHost: here\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!(answer.text(), "item 1", "answered, and closed when nothing followed");
}

#[tokio::test]
async fn an_idle_connection_is_not_taken_for_a_slow_head() {
    let server = serve(impatient()).await;
    let mut client = server.connect().await;
    for _ in 0..2 {
        client.write("GET /v1/items/1 HTTP/1.1\r\nHost: here\r\n\r\n").await;
        let mut text = String::new();
        while !text.ends_with("item 1") {
            let mut bytes = [0; 1024];
            let read = tokio::time::timeout(LONG, client.0.read(&mut bytes)).await.unwrap().unwrap();
            assert!(read > 0, "{text}");
            text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
        // Longer than a head may take.
        let waited = tokio::time::timeout(Duration::from_millis(600), client.0.read_u8()).await;
        assert!(waited.is_err(), "closed while it was idle");
    }
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_dropped() {
    let mut settings = impatient();
    settings.connections = 1;
    let server = serve(settings).await;
    let mut client = server.connect().await;
    client.write("GET /v1/large HTTP/1.1\r\nHost: here\r\n\r\n").await;
    let mut first = [0; 12];
    client.0.read_exact(&mut first).await.unwrap();
    // Its place is free again while it reads nothing.
    let started = std::time::Instant::now();
    loop {
        let mut other = server.connect().await;
        other.write("GET /livez HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").await;
        if other.dropped().await.0 > 0 {
            break;
        }
        assert!(started.elapsed() < LONG, "it is still served");
    }
    let (bytes, _) = client.dropped().await;
    assert!(bytes < LARGE, "{bytes}");
}

#[tokio::test]
async fn a_client_that_takes_its_answer_gets_all_of_it() {
    let server = serve(impatient()).await;
    let answer = server.get("/v1/large", "").await;
    assert_eq!(answer.body.len(), LARGE);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let server = serve(impatient()).await;
    let answer = server.send(b"GET /v1/items/1 HTTP/1.1\r\nHost: here\r\nContent-Length: 10\r\n\r\nabc").await;
    assert_eq!((answer.status, answer.code().as_str()), (408, "request-timeout"));
}
