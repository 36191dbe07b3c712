//! The source server does what it is told, faults included: what the download tests stand on.

use chrono::DateTime;
use reqwest::{Client, Response, StatusCode, redirect};
use std::time::{Duration, Instant};
use tests::source_server::{Reply, SourceServer};

const FILE: &str = "/events.json";
const BYTES: &[u8] = b"0123456789abcdefghij";

fn server() -> SourceServer {
    let server = SourceServer::start();
    server.put(FILE, BYTES);
    server
}

/// A client that hides nothing: no redirects, and a limit on silence.
fn client() -> Client {
    Client::builder().redirect(redirect::Policy::none()).read_timeout(Duration::from_secs(5)).build().unwrap()
}

async fn get(server: &SourceServer, headers: &[(&str, &str)]) -> Response {
    let request = headers.iter().fold(client().get(server.url(FILE)), |request, (name, value)| request.header(*name, *value));
    request.send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_file_is_served_with_validators_and_ranges() {
    let server = server();
    let whole = get(&server, &[]).await;
    assert_eq!(whole.status(), StatusCode::OK);
    let etag = header(&whole, "etag").unwrap().to_owned();
    let modified = header(&whole, "last-modified").unwrap().to_owned();
    assert!(etag.starts_with('"') && etag.len() == 66, "{etag}");
    assert_eq!((header(&whole, "content-length"), header(&whole, "accept-ranges")), (Some("20"), Some("bytes")));
    assert_eq!(whole.bytes().await.unwrap(), BYTES);

    let part = get(&server, &[("range", "bytes=10-"), ("if-range", &etag)]).await;
    assert_eq!((part.status(), header(&part, "content-range")), (StatusCode::PARTIAL_CONTENT, Some("bytes 10-19/20")));
    assert_eq!(part.bytes().await.unwrap(), BYTES[10..]);
    let beyond = get(&server, &[("range", "bytes=20-")]).await;
    assert_eq!((beyond.status(), header(&beyond, "content-range")), (StatusCode::RANGE_NOT_SATISFIABLE, Some("bytes */20")));
    assert_eq!(get(&server, &[("if-none-match", &etag)]).await.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(get(&server, &[("if-modified-since", &modified)]).await.status(), StatusCode::NOT_MODIFIED);

    let head = client().head(server.url(FILE)).send().await.unwrap();
    assert_eq!((head.status(), header(&head, "content-length")), (StatusCode::OK, Some("20")));
    assert_eq!(head.bytes().await.unwrap().len(), 0);
    assert_eq!(client().get(server.url("/other")).send().await.unwrap().status(), StatusCode::NOT_FOUND);

    let seen = server.requests(FILE);
    let told: Vec<_> = seen.iter().map(|seen| (seen.request.method.as_str(), seen.status, seen.body_bytes)).collect();
    let expected = [(200, 20), (206, 10), (416, 0), (304, 0), (304, 0)].map(|(status, bytes)| ("GET", Some(status), bytes));
    assert_eq!(told[..5], expected);
    assert_eq!(told[5], ("HEAD", Some(200), 20));
    assert_eq!((seen[1].header("range"), seen[1].header("if-range")), (Some("bytes=10-"), Some(etag.as_str())));
    assert_eq!(server.all_requests().len(), 7);
}

#[tokio::test]
async fn a_new_file_has_a_new_tag_and_the_same_file_a_new_date() {
    let server = server();
    let validators = async || {
        let response = get(&server, &[]).await;
        (header(&response, "etag").unwrap().to_owned(), header(&response, "last-modified").unwrap().to_owned())
    };
    let first = validators().await;
    server.put(FILE, BYTES);
    let touched = validators().await;
    assert!(touched.0 == first.0 && touched.1 != first.1, "{first:?} {touched:?}");
    server.put(FILE, b"other".to_vec());
    let changed = validators().await;
    assert!(changed.0 != first.0 && changed.1 != touched.1, "{first:?} {changed:?}");
    let stale = get(&server, &[("range", "bytes=2-"), ("if-range", &first.0)]).await;
    assert_eq!((stale.status(), &stale.bytes().await.unwrap()[..]), (StatusCode::OK, &b"other"[..]));
}

#[tokio::test]
async fn a_body_breaks_off_and_the_rest_can_be_asked_for() {
    let server = server();
    server.script(FILE, [Reply::normal().cut_after(8), Reply::normal().cut_after(4)]);
    let mut first = get(&server, &[]).await;
    assert_eq!(header(&first, "content-length"), Some("20"));
    assert_eq!(first.chunk().await.unwrap().unwrap(), BYTES[..8]);
    assert!(first.chunk().await.is_err(), "the end is a failure, not an end");

    let mut second = get(&server, &[("range", "bytes=8-")]).await;
    assert_eq!(second.chunk().await.unwrap().unwrap(), BYTES[8..12]);
    assert!(second.chunk().await.is_err());
    assert_eq!(server.unplayed(FILE), 0);
    assert_eq!(get(&server, &[("range", "bytes=12-")]).await.bytes().await.unwrap(), BYTES[12..]);
}

#[tokio::test]
async fn a_file_is_swapped_between_two_attempts() {
    let server = server();
    server.script(FILE, [Reply::normal().cut_after(8).then_holds(b"new content".to_vec())]);
    let first = get(&server, &[]).await;
    let etag = header(&first, "etag").unwrap().to_owned();
    assert!(first.bytes().await.is_err());
    let second = get(&server, &[("range", "bytes=8-"), ("if-range", &etag)]).await;
    assert_eq!(second.status(), StatusCode::OK);
    assert_ne!(header(&second, "etag"), Some(etag.as_str()));
    assert_eq!(second.bytes().await.unwrap(), "new content");

    server.script(FILE, [Reply::normal().ignoring_if_range(), Reply::normal().always_from(2)]);
    let faulty = get(&server, &[("range", "bytes=8-"), ("if-range", &etag)]).await;
    assert_eq!((faulty.status(), &faulty.bytes().await.unwrap()[..]), (StatusCode::PARTIAL_CONTENT, &b"ent"[..]));
    let shifted = get(&server, &[("range", "bytes=8-")]).await;
    assert_eq!(header(&shifted, "content-range"), Some("bytes 2-10/11"));
}

#[tokio::test]
async fn validators_and_ranges_can_be_missing() {
    let server = server();
    server.script(FILE, [Reply::normal().without_validators(), Reply::normal().without_etag(), Reply::normal().weak_etag()]);
    let none = get(&server, &[("if-none-match", "*")]).await;
    assert_eq!((none.status(), header(&none, "etag"), header(&none, "last-modified")), (StatusCode::OK, None, None));
    let dated = get(&server, &[]).await;
    assert!(header(&dated, "etag").is_none() && header(&dated, "last-modified").is_some());
    let weak = get(&server, &[]).await;
    let etag = header(&weak, "etag").unwrap().to_owned();
    assert!(etag.starts_with("W/\""), "{etag}");

    server.always(FILE, Reply::normal().weak_etag().without_ranges());
    assert_eq!(get(&server, &[("if-none-match", &etag)]).await.status(), StatusCode::NOT_MODIFIED);
    let whole = get(&server, &[("range", "bytes=5-")]).await;
    assert_eq!((whole.status(), header(&whole, "accept-ranges")), (StatusCode::OK, None));
    assert_eq!(whole.bytes().await.unwrap(), BYTES);
}

#[tokio::test]
async fn lengths_can_be_unknown_or_wrong() {
    let server = server();
    let lies = [Reply::normal().claim_length(30), Reply::normal().claim_length(5)];
    server.script(FILE, [Reply::normal().chunked(), Reply::normal().chunked().cut_after(8)].into_iter().chain(lies));
    let chunked = get(&server, &[]).await;
    assert_eq!((chunked.content_length(), header(&chunked, "transfer-encoding")), (None, Some("chunked")));
    assert_eq!(chunked.bytes().await.unwrap(), BYTES);
    assert!(get(&server, &[]).await.bytes().await.is_err(), "the last chunk is missing");
    let too_long = get(&server, &[]).await;
    assert_eq!(too_long.content_length(), Some(30));
    assert!(too_long.bytes().await.is_err());
    assert_eq!(get(&server, &[]).await.bytes().await.unwrap(), BYTES[..5]);
    assert_eq!(get(&server, &[]).await.bytes().await.unwrap(), BYTES, "the lie spoils nothing after it");
}

#[tokio::test]
async fn a_source_falls_silent_or_is_slow() {
    let server = server();
    server.script(FILE, [Reply::normal().stall_after(6), Reply::normal().slow(5, Duration::from_millis(20))]);
    // Long enough for a machine that is busy otherwise to answer at all.
    let impatient = Client::builder().read_timeout(Duration::from_secs(1)).build().unwrap();
    let mut stalled = impatient.get(server.url(FILE)).send().await.unwrap();
    assert_eq!(stalled.chunk().await.unwrap().unwrap(), BYTES[..6]);
    let failure = stalled.chunk().await.unwrap_err();
    assert!(failure.is_timeout(), "{failure:?}");

    let started = Instant::now();
    assert_eq!(impatient.get(server.url(FILE)).send().await.unwrap().bytes().await.unwrap(), BYTES);
    assert!(started.elapsed() >= Duration::from_millis(60), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_source_answers_with_errors_and_redirects() {
    let server = server();
    let date = DateTime::from_timestamp(1_480_550_400, 0).unwrap();
    server.script(
        FILE,
        [
            Reply::status(429).retry_after_seconds(3),
            Reply::status(503).retry_after_date(date),
            Reply::status(403),
            Reply::redirect(302, "/moved"),
            Reply::hang_up(),
        ],
    );
    let busy = get(&server, &[]).await;
    assert_eq!((busy.status(), header(&busy, "retry-after")), (StatusCode::TOO_MANY_REQUESTS, Some("3")));
    let down = get(&server, &[]).await;
    assert_eq!(header(&down, "retry-after"), Some("Thu, 01 Dec 2016 00:00:00 GMT"));
    assert_eq!(down.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get(&server, &[]).await.status(), StatusCode::FORBIDDEN);
    let moved = get(&server, &[]).await;
    assert_eq!((moved.status(), header(&moved, "location")), (StatusCode::FOUND, Some("/moved")));
    assert!(client().get(server.url(FILE)).send().await.is_err(), "nobody answers");
    assert_eq!(server.requests(FILE)[4].status, None);

    server.always("/loop", Reply::redirect(307, "/loop"));
    let failure = reqwest::get(server.url("/loop")).await.unwrap_err();
    assert!(failure.is_redirect() && server.requests("/loop").len() > 5, "{failure:?}");
}

#[tokio::test]
async fn a_body_is_compressed_on_its_way() {
    let server = server();
    server.always(FILE, Reply::normal().gzip());
    let response = get(&server, &[]).await;
    assert_eq!(header(&response, "content-encoding"), Some("gzip"));
    let mut text = Vec::new();
    let sent = response.bytes().await.unwrap();
    std::io::copy(&mut flate2::read::GzDecoder::new(&sent[..]), &mut text).unwrap();
    assert_eq!(text, BYTES);
}

#[tokio::test]
async fn a_dropped_server_is_gone() {
    let server = server();
    server.always(FILE, Reply::normal().stall_after(3));
    let url = server.url(FILE);
    let mut stalled = get(&server, &[]).await;
    assert_eq!(stalled.chunk().await.unwrap().unwrap(), BYTES[..3]);
    drop(server);
    assert!(stalled.chunk().await.is_err(), "the open connection broke off");
    assert!(client().get(url).send().await.unwrap_err().is_connect());
}
