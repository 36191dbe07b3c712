//! TLS: both protocols, a certificate that is renewed, and clients that do not get to the end of a handshake.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificate;
use super::kit::{Client, Folder, LARGE, LONG, Running, open_settings, serve};
use crate::server::{Error, Server, Settings};

async fn connect(server: &Running, certificates: &[Vec<u8>], protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(CertificateDer::from(certificate.clone())).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(server.address).await?;
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
}

#[tokio::test]
async fn both_protocols_are_spoken_over_tls() {
    let folder = Folder::new();
    let (files, certificate) = certificate::write(folder.0.path());
    let mut settings = open_settings();
    settings.tls = Some(files);
    let server = serve(settings).await;

    let stream = connect(&server, std::slice::from_ref(&certificate), b"http/1.1").await.unwrap();
    let mut client = Client(stream);
    client.write("GET /v1/items/1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert_eq!(client.answer().await.text(), "item 1");

    let stream = connect(&server, &[certificate], b"h2").await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for (method, path, headers, status, length) in [
        ("GET", "/v1/items/2", 0, 200, 6),
        ("HEAD", "/v1/items/2", 0, 200, 0),
        ("HEAD", "/nowhere", 0, 404, 0),
        ("GET", "/v1/panics", 0, 500, 200),
        ("GET", "/v1/items/3", 65, 431, 200),
        ("GET", "/v1/items/4", 0, 200, 6),
    ] {
        let mut request = axum::http::Request::builder().method(method).uri(format!("https://localhost{path}"));
        for at in 0..headers {
            request = request.header(format!("x-{at}"), "1");
        }
        let (answer, _) = client.send_request(request.body(()).unwrap(), true).unwrap();
        let (head, mut body) = answer.await.unwrap().into_parts();
        let mut bytes = 0;
        while let Some(chunk) = body.data().await {
            bytes += chunk.unwrap().len();
        }
        assert_eq!(head.status, status, "{method} {path}");
        assert!(if length < 200 { bytes == length } else { bytes >= length }, "{method} {path}: {bytes}");
    }
}

/// A server over TLS, and a connection that speaks HTTP/2.
async fn over_http2(folder: &Folder, mut settings: Settings) -> (Running, Vec<u8>, TlsStream<TcpStream>) {
    let (files, certificate) = certificate::write(folder.0.path());
    settings.tls = Some(files);
    let server = serve(settings).await;
    let stream = connect(&server, std::slice::from_ref(&certificate), b"h2").await.unwrap();
    (server, certificate, stream)
}

async fn assert_answers(server: &Running, certificate: Vec<u8>) {
    let mut client = Client(connect(server, &[certificate], b"http/1.1").await.unwrap());
    client.write("GET /v1/items/1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert_eq!(client.answer().await.text(), "item 1");
}

#[tokio::test]
async fn requests_that_are_taken_back_at_once_hold_nothing() {
    let folder = Folder::new();
    let (server, certificate, stream) = over_http2(&folder, open_settings()).await;
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    // More of them than may be worked on at a time; their handler never ends by itself.
    let mut taken_back = 0;
    for _ in 0..3_000 {
        let Ok(mut ready) = client.ready().await else { break };
        let request = axum::http::Request::get("https://localhost/v1/held").body(()).unwrap();
        let Ok((_, mut stream)) = ready.send_request(request, false) else { break };
        stream.send_reset(h2::Reason::CANCEL);
        client = ready;
        taken_back += 1;
    }
    assert!(taken_back > 10, "{taken_back}");
    assert_answers(&server, certificate).await;
}

#[tokio::test]
async fn a_client_that_gives_an_answer_no_room_or_hardly_any_is_dropped() {
    for (window, path) in [(0, "items/1"), (0, "large"), (1, "items/1"), (1, "large")] {
        let folder = Folder::new();
        let mut settings = open_settings();
        settings.patience.write = Duration::from_millis(200);
        let (server, certificate, stream) = over_http2(&folder, settings).await;
        let mut builder = h2::client::Builder::new();
        let (mut client, mut connection) =
            builder.initial_window_size(window).handshake::<_, axum::body::Bytes>(stream).await.unwrap();
        let mut pings = connection.ping_pong().unwrap();
        let driven = tokio::spawn(connection);
        let request = axum::http::Request::get(format!("https://localhost/v1/{path}")).body(()).unwrap();
        let (answer, _) = client.send_request(request, true).unwrap();
        // Kept: who lets go of an answer takes the request back.
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        // It is there, and answers pings: that is not taking.
        let pinging = async { while pings.ping(h2::Ping::opaque()).await.is_ok() {} };
        tokio::time::timeout(LONG, pinging).await.expect("the server closes");
        drop(answer);
        let _ = driven.await;
        assert_answers(&server, certificate).await;
    }
}

#[tokio::test]
async fn an_answer_that_is_not_taken_ends_alone_beside_one_that_is() {
    let folder = Folder::new();
    let mut settings = open_settings();
    settings.patience.write = Duration::from_millis(300);
    let (_server, _, stream) = over_http2(&folder, settings).await;
    let mut builder = h2::client::Builder::new();
    builder.initial_connection_window_size(8 << 20);
    let (mut client, connection) = builder.handshake::<_, axum::body::Bytes>(stream).await.unwrap();
    tokio::spawn(connection);
    let mut ask = || {
        let request = axum::http::Request::get("https://localhost/v1/large").body(()).unwrap();
        client.send_request(request, true).unwrap().0
    };
    let (taken, left) = (ask(), ask());
    let (mut taken, mut left) = (taken.await.unwrap().into_body(), left.await.unwrap().into_body());
    // One is read and makes no room by that, the other little by little.
    let starving = async move {
        while left.data().await.transpose()?.is_some() {}
        Ok::<_, h2::Error>(())
    };
    let starved = tokio::spawn(tokio::time::timeout(LONG, starving));
    let mut bytes = 0;
    while let Some(data) = taken.data().await {
        let data = data.unwrap();
        bytes += data.len();
        taken.flow_control().release_capacity(data.len()).unwrap();
        if !starved.is_finished() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert_eq!(bytes, LARGE);
    let ended = starved.await.unwrap().expect("the server ends it").unwrap_err();
    assert_eq!((ended.is_reset(), ended.is_remote(), ended.reason()), (true, true, Some(h2::Reason::CANCEL)), "{ended}");
}

#[tokio::test]
async fn a_client_that_makes_room_as_it_reads_gets_all_of_its_answer() {
    let folder = Folder::new();
    let (_server, _, stream) = over_http2(&folder, open_settings()).await;
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = axum::http::Request::get("https://localhost/v1/large").body(()).unwrap();
    let (answer, _) = client.send_request(request, true).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.headers()["content-length"], LARGE.to_string());
    let mut body = answer.into_body();
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        bytes.extend_from_slice(&data);
    }
    assert_eq!(bytes.len(), LARGE);
    assert!(bytes.chunks(16).all(|chunk| chunk == b"0123456789abcdef"));
}

#[tokio::test]
async fn headers_without_an_end_end_the_connection() {
    use tokio::io::AsyncWriteExt as _;

    let folder = Folder::new();
    let (server, certificate, mut stream) = over_http2(&folder, open_settings()).await;
    let frame = |kind: u8, flags: u8, id: u32, payload: &[u8]| {
        let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(id.to_be_bytes());
        frame.extend(payload);
        frame
    };
    let (settings, headers, continuation) = (4, 1, 9);
    let mut begun = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    begun.extend(frame(settings, 0, 0, &[]));
    begun.extend(frame(headers, 0, 1, &[0x82, 0x84, 0x87]));
    stream.write_all(&begun).await.unwrap();
    // A header that is named and of no use, again and again: `x: aaa...`.
    let mut field = vec![0x00, 0x01, b'x', 0x7f, 0x81, 0x1e];
    field.extend(std::iter::repeat_n(b'a', 0x7f + 0xf01));
    let more = frame(continuation, 0, 1, &field);
    let flooding = async {
        let mut bytes = 0;
        while bytes < 64 << 20 && stream.write_all(&more).await.is_ok() {
            bytes += more.len();
        }
        bytes
    };
    let bytes = tokio::time::timeout(LONG, flooding).await.expect("the server closes");
    assert!(bytes < 16 << 20, "it took {bytes} bytes of one head");
    assert_answers(&server, certificate).await;
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart() {
    let folder = Folder::new();
    let (files, first) = certificate::write(folder.0.path());
    let mut settings = open_settings();
    settings.tls = Some(files.clone());
    let server = serve(settings).await;
    connect(&server, std::slice::from_ref(&first), b"http/1.1").await.unwrap();

    let (_, second) = certificate::write(folder.0.path());
    let started = Instant::now();
    while connect(&server, std::slice::from_ref(&second), b"http/1.1").await.is_err() {
        assert!(started.elapsed() < LONG, "the new certificate is not shown");
    }
    std::fs::write(&files.certificate, "nothing").unwrap();
    let mut told = String::new();
    while !told.contains("degraded") {
        assert!(started.elapsed() < LONG, "{told}");
        let mut client =
            Client(connect(&server, std::slice::from_ref(&second), b"http/1.1").await.expect("the one before stays"));
        client.write("GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
        client.answer().await.text().clone_into(&mut told);
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_end_ends_the_connection() {
    let folder = Folder::new();
    let (files, _) = certificate::write(folder.0.path());
    let mut settings = open_settings();
    settings.tls = Some(files);
    settings.patience.handshake = Duration::from_millis(100);
    let server = serve(settings).await;
    assert_eq!(server.connect().await.dropped().await.0, 0, "silent");
    let mut client = server.connect().await;
    client.write("\x16\x03\x01").await;
    assert_eq!(client.dropped().await.0, 0, "begun");
    let mut client = server.connect().await;
    client.write("GET /livez HTTP/1.1\r\nHost: here\r\n\r\n").await;
    assert!(client.dropped().await.0 < 20, "plain: an alert, at most");
}

#[tokio::test]
async fn files_that_are_no_certificate_and_key_are_refused_at_the_start() {
    let folder = Folder::new();
    let (files, _) = certificate::write(folder.0.path());
    let other = Folder::new();
    let (others, _) = certificate::write(other.0.path());
    let mut settings = open_settings();
    settings.tls = Some(crate::server::tls::TlsFiles { key: others.key, ..files.clone() });
    assert!(matches!(Server::bind(settings.clone()).await, Err(Error::Certificate { .. })));
    std::fs::write(&files.certificate, "").unwrap();
    settings.tls = Some(files);
    assert!(matches!(Server::bind(settings.clone()).await, Err(Error::NoCertificate { .. })));
    std::fs::remove_file(&settings.tls.as_ref().unwrap().certificate).unwrap();
    assert!(matches!(Server::bind(settings).await, Err(Error::Pem { .. })));
}
