//! What nobody sends by accident: a table of requests and what becomes of them.

use super::kit::{open_settings, serve};

#[tokio::test]
async fn requests_that_nobody_sends_by_accident_are_refused_with_words() {
    let server = serve(open_settings()).await;
    let get = |path: &str, head: &str| format!("GET {path} HTTP/1.1\r\nHost: here\r\n{head}Connection: close\r\n\r\n");
    let many = |count: usize| "X-Again: 1\r\n".repeat(count);
    let post =
        |head: &str, body: &str| format!("POST /v1/items/1 HTTP/1.1\r\nHost: here\r\n{head}Connection: close\r\n\r\n{body}");
    let table: Vec<(&str, String, u16, &str)> = vec![
        ("65 headers", get("/v1/items/1", &many(65)), 431, "header-too-large"),
        ("large headers", get("/v1/items/1", &format!("X: {}\r\n", "a".repeat(20_000))), 431, "header-too-large"),
        ("a long query", get(&format!("/v1/items/1?{}", "a".repeat(9_000)), ""), 414, "uri-too-long"),
        ("a long path", get(&format!("/{}", "a/".repeat(5_000)), ""), 414, "uri-too-long"),
        ("a large body", post("Content-Length: 10000000\r\n", &"a".repeat(100_000)), 413, "body-too-large"),
        (
            "a large body in chunks",
            post("Transfer-Encoding: chunked\r\n", &format!("5000\r\n{}\r\n0\r\n\r\n", "a".repeat(0x5000))),
            413,
            "body-too-large",
        ),
        ("chunks that are none", post("Transfer-Encoding: chunked\r\n", "what\r\n"), 400, "bad-request"),
        ("another method", post("Content-Length: 2\r\n", "{}"), 405, "method-not-allowed"),
        (
            "a method of nobody",
            "BREW /v1/items/1 HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".to_owned(),
            405,
            "method-not-allowed",
        ),
        ("TRACE", "TRACE /v1/items/1 HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".to_owned(), 405, "method-not-allowed"),
        ("up a folder", get("/v1/../v1/items/1", ""), 404, "not-found"),
        ("up a folder, escaped", get("/v1/%2e%2e/items/1", ""), 404, "not-found"),
        ("two slashes", get("/v1//items/1", ""), 404, "not-found"),
        ("two slashes first", get("//v1/items/1", ""), 404, "not-found"),
        ("a slash at the end", get("/v1/items/1/", ""), 404, "not-found"),
        ("an empty parameter", get("/v1/items/", ""), 404, "not-found"),
        ("a backslash", get("/v1\\items\\1", ""), 404, "not-found"),
        ("a file", get("/etc/passwd", ""), 404, "not-found"),
        ("another server's address", get("http://elsewhere/latest/meta-data", ""), 404, "not-found"),
        ("NUL", get("/v1/items/%00", ""), 400, "invalid-parameter"),
        ("a line break", get("/v1/items/1%0d%0aX-Injected:%201", ""), 400, "invalid-parameter"),
        ("no UTF-8", get("/v1/items/%ff%fe", ""), 400, "invalid-parameter"),
        ("half an escape", get("/v1/items/%4", ""), 400, "invalid-parameter"),
        ("an escaped slash at the end", get("/v1/others%2f", ""), 404, "not-found"),
        ("up a folder by an escaped slash", get("/v1/..%2fothers", ""), 404, "not-found"),
        ("up a folder, escaped twice", get("/v1/%252e%252e%252fothers", ""), 404, "not-found"),
        ("another spelling", get("/V1/others", ""), 404, "not-found"),
        ("a parameter of the path", get("/v1/others;v=1", ""), 404, "not-found"),
    ];
    for (what, request, status, code) in table {
        let answer = server.send(request.as_bytes()).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{what}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{what}");
        assert!(answer.header("x-injected").is_none());
    }
    assert_eq!(server.send(post("Content-Length: 2\r\n", "{}").as_bytes()).await.header("allow"), Some("GET,HEAD"));
}

#[tokio::test]
async fn what_is_no_http_gets_a_bare_status_and_the_end() {
    let server = serve(open_settings()).await;
    let flood = "X-Again: 0123456789\r\n".repeat(2_000);
    let table: Vec<(&str, Vec<u8>, u16)> = vec![
        ("a flood of headers", format!("GET / HTTP/1.1\r\n{flood}\r\n").into_bytes(), 431),
        ("a header without end", format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(1 << 20)).into_bytes(), 431),
        ("an address without end", format!("GET /{}", "a".repeat(1 << 20)).into_bytes(), 431),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), 400),
        ("bytes in the address", b"GET /v1/items/\xff\xfe\x01 HTTP/1.1\r\n\r\n".to_vec(), 400),
        ("a space in a header", b"GET / HTTP/1.1\r\nA b: c\r\n\r\n".to_vec(), 400),
        ("a body without an end", b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\nab".to_vec(), 400),
        ("a blank before a colon", b"GET / HTTP/1.1\r\nHost : here\r\n\r\n".to_vec(), 400),
        ("a header on two lines", b"GET / HTTP/1.1\r\nX: a\r\n b: c\r\n\r\n".to_vec(), 400),
        ("a length with a sign", b"GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\na".to_vec(), 400),
        ("another coding than chunked", b"GET / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n".to_vec(), 400),
        ("chunked, and then another", b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n".to_vec(), 400),
        ("lengths that differ", b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_vec(), 400),
    ];
    for (what, request, status) in table {
        assert_eq!(server.send(&request).await.status, status, "{what}");
    }
    // And it answers as before.
    assert_eq!(server.get("/v1/items/1", "").await.text(), "item 1");
}

#[tokio::test]
async fn a_request_hidden_in_the_body_of_another_is_not_answered() {
    let server = serve(open_settings()).await;
    let hidden = "GET /v1/items/hidden HTTP/1.1\r\nHost: here\r\n\r\n";
    for (what, head, body) in [
        ("a length and chunks", format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", 5 + hidden.len()), "0\r\n\r\n"),
        ("chunks and a length", format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n", 5 + hidden.len()), "0\r\n\r\n"),
        ("a length", format!("Content-Length: {}\r\n", hidden.len()), ""),
    ] {
        let mut client = server.connect().await;
        client.write(&format!("GET /v1/items/1 HTTP/1.1\r\nHost: here\r\n{head}\r\n{body}{hidden}")).await;
        client.write(if body.is_empty() { "GET /v1/others HTTP/1.1\r\nConnection: close\r\n\r\n" } else { "" }).await;
        let answer = client.answer().await;
        assert!(!answer.text().contains("item hidden"), "{what}: {answer:?}");
        assert_eq!(answer.status, 200, "{what}");
    }
}

#[tokio::test]
async fn http_2_is_not_spoken_without_tls() {
    let server = serve(open_settings()).await;
    let mut client = server.connect().await;
    client.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    let (bytes, _) = client.dropped().await;
    assert_eq!(bytes, 0);
}

#[tokio::test]
async fn a_panic_is_a_problem_and_ends_nothing_else() {
    let server = serve(open_settings()).await;
    let answer = server.get("/v1/panics", "X-Request-Id: from-a-proxy.7\r\n").await;
    assert_eq!((answer.status, answer.code().as_str()), (500, "internal"));
    assert_eq!(answer.header("x-request-id"), Some("from-a-proxy.7"));
    assert!(!answer.text().contains("on purpose"));
    assert_eq!(server.get("/v1/items/1", "").await.status, 200);
}
