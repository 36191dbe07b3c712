//! Whether a source changed, and what it costs to find out.

use super::{FILE, Landing, content};
use chrono::DateTime;
use model::report::Outcome;
use model::{Classify, Failure};
use pipelines::download::Error;
use tests::digest;
use tests::source_server::Reply;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[tokio::test]
async fn a_source_lands_once_and_is_not_fetched_again_until_it_changes() {
    let a = content(1, 300_000);
    let mut landing = Landing::holding(&a);
    landing.set_url(landing.server.url(FILE).replace("http://", "http://user:secret@") + "?token=secret");
    landing.source.headers = vec![("X-Api-Key".to_owned(), "key".to_owned())];
    let (report, first) = landing.lands(&a).await;
    assert_eq!((report.outcome, report.commits, report.bytes), (Outcome::Done, 1, 300_000));
    assert_eq!((first.sequence, first.file_name.as_str()), (1, "events.json"));
    assert_eq!(first.url, landing.server.url(FILE), "no credentials, no query");
    assert_eq!(first.received_at, DateTime::UNIX_EPOCH, "the time is the clock's");

    let (report, same) = landing.lands(&a).await;
    assert_eq!((report.outcome, report.commits, report.bytes, same), (Outcome::UpToDate, 0, 0, first));
    let seen = landing.requests();
    assert_eq!(
        seen.iter().map(|seen| (seen.status, seen.body_bytes)).collect::<Vec<_>>(),
        [(Some(200), 300_000), (Some(304), 0)]
    );
    for request in &seen {
        assert_eq!((request.header("x-api-key"), request.header("accept-encoding")), (Some("key"), Some("identity")));
        assert_eq!(request.header("authorization"), Some("Basic dXNlcjpzZWNyZXQ="));
    }

    let b = content(2, 1_000);
    landing.server.put(FILE, b.clone());
    assert_eq!(landing.lands(&b).await.1.sequence, 2);
    landing.server.put(FILE, a.clone());
    assert_eq!(landing.lands(&a).await.1.sequence, 3, "A, B, A are three receipts");
    assert_eq!(landing.zone().receipts().unwrap().len(), 3);
    let newest = landing.zone().newest().unwrap().unwrap();
    let receipt = std::fs::read_to_string(landing.zone().file(&newest).with_file_name("receipt.json")).unwrap();
    assert!(!receipt.contains("secret"), "{receipt}");
}

#[tokio::test]
async fn without_validators_the_content_decides_whether_a_source_changed() {
    let (a, b) = (content(1, 20_000), content(2, 20_000));
    let landing = Landing::holding(&a);
    landing.server.always(FILE, Reply::normal().without_validators());
    landing.lands(&a).await;
    let (report, _) = landing.lands(&a).await;
    assert_eq!((report.outcome, report.commits, report.bytes), (Outcome::UpToDate, 0, 20_000));
    assert_eq!(report.notes.len(), 1, "{:?}", report.notes);
    for bytes in [&b, &a] {
        landing.server.put(FILE, bytes.clone());
        landing.lands(bytes).await;
    }
    assert_eq!(landing.zone().receipts().unwrap().len(), 3);
}

#[tokio::test]
async fn a_date_and_a_length_are_enough_to_see_without_a_body_that_nothing_changed() {
    let (a, b) = (content(1, 20_000), content(2, 20_000));
    let landing = Landing::holding(&a);
    landing.server.always(FILE, Reply::normal().weak_etag());
    landing.lands(&a).await;
    let (report, _) = landing.lands(&a).await;
    assert_eq!((report.outcome, report.bytes), (Outcome::UpToDate, 0));
    let methods: Vec<_> = landing.requests().iter().map(|seen| seen.request.method.clone()).collect();
    assert_eq!(methods, ["GET", "HEAD"]);

    landing.server.script(FILE, [Reply::status(405)]);
    assert_eq!(landing.lands(&a).await.0.outcome, Outcome::UpToDate, "a server that dislikes HEAD is asked by GET");
    landing.server.put(FILE, b.clone());
    assert_eq!(landing.lands(&b).await.1.sequence, 2);
}

#[tokio::test]
async fn the_same_bytes_under_new_validators_are_fetched_once_and_then_known() {
    let a = content(1, 20_000);
    let landing = Landing::holding(&a);
    landing.server.always(FILE, Reply::normal().without_etag());
    landing.lands(&a).await;
    landing.server.put(FILE, a.clone());
    assert_eq!(landing.lands(&a).await.0.bytes, 20_000);
    assert_eq!(landing.lands(&a).await.0.bytes, 0);
    assert_eq!(landing.zone().receipts().unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_that_knows_no_conditions_is_hung_up_on_when_it_names_the_known_tag() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut landing = Landing::new();
    landing.set_url(format!("http://{}/events.json", listener.local_addr().unwrap()));
    let server = async {
        for body in ["0123456789", "0"] {
            let (mut connection, _) = listener.accept().await.unwrap();
            let _ = connection.read(&mut [0; 4096]).await.unwrap();
            let answer = format!("HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 10\r\nConnection: close\r\n\r\n{body}");
            connection.write_all(answer.as_bytes()).await.unwrap();
            // Returns once the client is gone; the second body never ends by itself.
            let _ = connection.read(&mut [0; 1]).await;
        }
    };
    let runs = async {
        landing.lands(b"0123456789").await;
        let (report, _) = landing.lands(b"0123456789").await;
        assert_eq!((report.outcome, report.bytes), (Outcome::UpToDate, 0));
    };
    tokio::join!(server, runs);
}

#[tokio::test]
async fn validators_count_only_for_the_url_they_were_given_for() {
    let a = content(1, 20_000);
    let mut landing = Landing::holding(&a);
    landing.set_url(landing.server.url(&format!("{FILE}?day=1")));
    landing.lands(&a).await;
    landing.set_url(landing.server.url(&format!("{FILE}?day=2")));
    landing.lands(&a).await;
    let seen = landing.requests();
    assert_eq!((seen[1].header("if-none-match"), seen[1].status), (None, Some(200)));
}

#[tokio::test]
async fn a_pinned_hash_decides_before_anything_is_asked() {
    let (a, b) = (content(1, 20_000), content(2, 20_000));
    let mut landing = Landing::holding(&a);
    landing.source.sha256 = Some(digest::sha256(&a));
    landing.lands(&a).await;
    let (report, _) = landing.lands(&a).await;
    assert_eq!((report.outcome, landing.requests().len()), (Outcome::UpToDate, 1));

    landing.source.sha256 = Some(digest::sha256(&b));
    let error = landing.fails().await;
    assert_eq!(error.failure(), Failure::Data);
    assert!(error.to_string().contains(&digest::sha256(&a)) && error.to_string().contains(&digest::sha256(&b)), "{error}");
    assert_eq!(landing.requests()[1].status, Some(304), "the receipt is enough to tell");

    landing.server.put(FILE, content(3, 20_000));
    let error = landing.fails().await;
    assert!(matches!(error, Error::Hash { .. }), "{error}");
    assert!(!landing.incoming().exists(), "bytes that are not wanted are not kept");
    landing.server.put(FILE, b.clone());
    assert_eq!(landing.lands(&b).await.1.sequence, 2);
}

#[tokio::test]
async fn a_deleted_newest_folder_is_filled_again_under_its_number() {
    let bytes = content(1, 1_000);
    let landing = Landing::holding(&bytes);
    let (_, receipt) = landing.lands(&bytes).await;
    std::fs::remove_dir_all(landing.zone().file(&receipt).parent().unwrap()).unwrap();
    let (report, again) = landing.lands(&bytes).await;
    assert_eq!((report.commits, again.sequence, again.sha256), (1, 1, receipt.sha256));
}
