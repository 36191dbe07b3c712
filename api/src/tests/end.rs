//! The end in order: not ready, no new connections, what is in flight answered, and a limit on all that.

use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::kit::{LONG, open_settings, serve};

#[tokio::test]
async fn what_is_in_flight_is_answered_before_the_end() {
    let mut server = serve(open_settings()).await;
    let mut held = server.connect().await;
    held.write("GET /v1/held HTTP/1.1\r\nHost: here\r\n\r\n").await;
    server.held.came().await;
    let mut idle = server.connect().await;
    server.stop();
    let (bytes, _) = idle.dropped().await;
    assert_eq!(bytes, 0, "what asked nothing is closed");
    let started = Instant::now();
    while TcpStream::connect(server.address).await.is_ok() {
        assert!(started.elapsed() < LONG, "it still accepts");
    }
    server.held.let_go();
    let answer = held.answer().await;
    assert_eq!((answer.status, answer.text()), (200, "let go"));
    server.ended().await;
}

#[tokio::test]
async fn a_server_that_ends_says_so_before_it_stops_answering() {
    let mut settings = open_settings();
    settings.lag = Duration::from_secs(3);
    let mut server = serve(settings).await;
    assert_eq!(server.get("/readyz", "").await.status, 200);
    server.stop();
    // Once it has ended there is no answer at all.
    loop {
        let told = server.get("/readyz", "").await;
        if told.status == 503 {
            assert!(told.text().contains("the server is ending"), "{told:?}");
            assert_eq!(server.get("/v1/items/1", "").await.status, 200, "it still answers");
            assert_eq!(server.get("/health", "").await.status, 503);
            assert_eq!(server.get("/livez", "").await.status, 200);
            break;
        }
    }
    server.ended().await;
}

#[tokio::test]
async fn what_is_not_done_in_time_is_cut() {
    let mut settings = open_settings();
    settings.drain = Duration::from_millis(200);
    settings.request_time = LONG;
    let mut server = serve(settings).await;
    let mut held = server.connect().await;
    held.write("GET /v1/held HTTP/1.1\r\nHost: here\r\n\r\n").await;
    server.held.came().await;
    server.stop();
    let (bytes, _) = held.dropped().await;
    assert_eq!(bytes, 0);
    server.ended().await;
}
