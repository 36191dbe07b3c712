//! `sluice serve` as others on a network see it: over TLS, within its connections, and told to end.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tests::kit::TestPipeline;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::kit::Api;
use super::{orders, shop};

/// Long enough for a machine that does other things.
const LONG: Duration = Duration::from_mins(1);

/// Files of a new certificate for this machine, and a client that trusts no other.
fn certificate(pipeline: &TestPipeline) -> ([String; 2], reqwest::Client) {
    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let files = ["server.pem", "server.key"].map(|name| pipeline.lake().with_file_name(name));
    // The key first: what is read in between does not fit together, and is read again.
    std::fs::write(&files[1], signing_key.serialize_pem()).unwrap();
    std::fs::write(&files[0], cert.pem()).unwrap();
    let trusted = reqwest::Certificate::from_der(cert.der()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([trusted]).build().unwrap();
    (files.map(|file| file.to_str().unwrap().to_owned()), client)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_speaks_tls_and_takes_up_a_new_certificate() {
    let shop = shop(orders([(1, 1, "ann")])).await;
    let ([cert, key], client) = certificate(&shop);
    let mut api = Api::start_with(&shop, &["--tls-cert", &cert, "--tls-key", &key], &[]).await;
    assert!(api.url.starts_with("https://"), "{}", api.url);
    api.client = client;
    api.wait_for("/readyz", 200).await;
    assert_eq!(api.get("/v1/buyers/ann").await.json()["item"]["orders"], 1);
    let in_plain = reqwest::Client::new().get(api.url.replace("https", "http")).send().await;
    assert!(in_plain.is_err(), "{in_plain:?}");
    // Health and metrics need no certificate, where probes are.
    let plain = reqwest::Client::new();
    for path in ["/readyz", "/livez", "/metrics"] {
        assert_eq!(plain.get(format!("{}{path}", api.metrics_url)).send().await.unwrap().status(), 200, "{path}");
    }

    let (_, new) = certificate(&shop);
    let deadline = Instant::now() + LONG;
    while new.get(format!("{}/livez", api.url)).send().await.is_err() {
        assert!(Instant::now() < deadline, "the new certificate is not shown: {}", api.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(api.get("/v1/buyers/ann").await.status, 200, "who is connected stays so");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_more_than_there_may_be_is_closed() {
    let shop = shop(orders([(1, 1, "ann")])).await;
    let api = Api::start_with(&shop, &["--connections", "2"], &[]).await;
    // The client keeps one.
    api.wait_for("/readyz", 200).await;
    let address = api.url.trim_start_matches("http://").to_owned();
    let mut second = TcpStream::connect(&address).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_secs(1), second.read_u8()).await;
    assert!(waited.is_err(), "there may be two: {waited:?}");
    let mut third = TcpStream::connect(&address).await.unwrap();
    let closed = tokio::time::timeout(LONG, third.read_u8()).await;
    assert!(matches!(closed, Ok(Err(_))), "there may be no more than two: {closed:?}");
    assert_eq!(api.get("/v1/buyers/ann").await.status, 200);
    drop(second);
    let deadline = Instant::now() + LONG;
    while reqwest::Client::new().get(format!("{}/livez", api.url)).send().await.is_err() {
        assert!(Instant::now() < deadline, "the place of one that went stays taken");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_end_it_says_so_first_and_a_second_time_ends_it() {
    let shop = shop(orders([(1, 1, "ann")])).await;
    let mut api = Api::start_with(&shop, &["--lag", "600"], &[]).await;
    api.wait_for("/readyz", 200).await;
    api.signal(Signal::SIGTERM);
    api.wait_for("/readyz", 503).await;
    // Until whoever sends requests has seen that, they are answered, from new connections too.
    assert_eq!(api.get("/v1/buyers/ann").await.status, 200);
    api.client = reqwest::Client::new();
    assert_eq!(api.get("/v1/buyers/ann/orders").await.status, 200);
    assert!(!api.has_ended());
    api.signal(Signal::SIGTERM);
    let deadline = Instant::now() + LONG;
    while !api.has_ended() {
        assert!(Instant::now() < deadline, "it waits for its lag all the same");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
