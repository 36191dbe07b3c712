//! Downloads that broke off, were killed or were stopped.

use super::{FILE, Landing, content, until};
use model::definition::{Source, UrlTemplate};
use model::{Classify, Failure, Shutdown};
use std::time::Duration;
use tests::digest;
use tests::source_server::{Reply, SeenRequest};

fn ranges(requests: &[SeenRequest]) -> Vec<Option<&str>> {
    requests.iter().map(|request| request.header("range")).collect()
}

#[tokio::test]
async fn a_body_that_breaks_off_is_gone_on_with_and_no_byte_comes_twice() {
    let bytes = content(1, 900_000);
    let landing = Landing::holding(&bytes);
    landing.server.script(FILE, [Reply::normal().cut_after(400_000), Reply::normal().cut_after(100_000)]);
    let (report, _) = landing.lands(&bytes).await;

    assert_eq!(report.bytes, 900_000, "as many bytes came as the file has");
    let seen = landing.requests();
    assert_eq!(ranges(&seen), [None, Some("bytes=400000-"), Some("bytes=500000-")]);
    assert_eq!(seen.iter().map(|seen| seen.status).collect::<Vec<_>>(), [Some(200), Some(206), Some(206)]);
    assert_eq!(seen[2].header("if-range"), Some(format!("\"{}\"", digest::sha256(&bytes)).as_str()));
    assert_eq!(seen[2].body_bytes, 400_000);
}

#[tokio::test]
async fn a_run_that_was_killed_is_gone_on_with_by_the_next() {
    let bytes = content(1, 900_000);
    let landing = Landing::holding(&bytes);
    landing.server.script(FILE, [Reply::normal().stall_after(300_000)]);
    landing.killed_after(300_000).await;
    assert!(landing.zone().receipts().unwrap().is_empty());

    let (report, receipt) = landing.lands(&bytes).await;
    assert_eq!((report.bytes, receipt.sequence), (600_000, 1));
    assert_eq!(ranges(&landing.requests()), [None, Some("bytes=300000-")]);
}

#[tokio::test]
async fn a_request_to_stop_is_heard_while_a_server_is_silent_and_what_came_is_kept() {
    let bytes = content(1, 500_000);
    let mut landing = Landing::holding(&bytes);
    landing.server.script(FILE, [Reply::normal().stall_after(200_000)]);
    let shutdown = landing.shutdown.clone();
    let stop = async {
        until(|| landing.incoming_bytes("events.json") >= 200_000).await;
        shutdown.request();
    };
    let (error, ()) = tokio::join!(landing.fails(), stop);
    assert_eq!(error.failure(), Failure::Interrupted);

    landing.shutdown = Shutdown::default();
    assert_eq!(landing.lands(&bytes).await.0.bytes, 300_000);
}

#[tokio::test]
async fn content_that_changed_between_two_attempts_is_fetched_afresh() {
    let (old, new) = (content(1, 50_000), content(2, 60_000));
    for second in [Reply::normal(), Reply::normal().ignoring_if_range()] {
        let landing = Landing::holding(&old);
        landing.server.script(FILE, [Reply::normal().cut_after(20_000).then_holds(new.clone()), second]);
        landing.lands(&new).await;
        assert_eq!(landing.requests()[1].header("if-range"), Some(format!("\"{}\"", digest::sha256(&old)).as_str()));
    }

    // The same between two runs, and with a date instead of a tag.
    let landing = Landing::holding(&old);
    landing.server.script(FILE, [Reply::normal().without_etag().stall_after(20_000)]);
    landing.server.always(FILE, Reply::normal().without_etag());
    landing.killed_after(20_000).await;
    landing.server.put(FILE, new.clone());
    landing.lands(&new).await;
    let seen = landing.requests();
    assert_eq!(seen[1].header("if-range"), Some("Thu, 01 Dec 2016 00:00:01 GMT"));
    assert_eq!((seen[1].status, seen[1].body_bytes), (Some(200), 60_000));
}

#[tokio::test]
async fn another_part_than_was_asked_for_is_not_taken() {
    let bytes = content(1, 50_000);
    let landing = Landing::holding(&bytes);
    landing.server.script(FILE, [Reply::normal().cut_after(20_000), Reply::normal().always_from(19_990)]);
    landing.lands(&bytes).await;
    assert_eq!(ranges(&landing.requests()), [None, Some("bytes=20000-"), None]);
}

#[tokio::test]
async fn without_ranges_or_validators_a_broken_download_starts_afresh() {
    let bytes = content(1, 50_000);
    for reply in [Reply::normal().without_ranges(), Reply::normal().without_validators(), Reply::normal().chunked()] {
        let landing = Landing::holding(&bytes);
        landing.server.always(FILE, reply.clone());
        landing.server.script(FILE, [reply.clone().cut_after(20_000)]);
        landing.lands(&bytes).await;
        let seen = landing.requests();
        let asks_range = seen[1].header("range").is_some();
        assert_eq!(asks_range, reply != Reply::normal().without_validators(), "without validators the rest cannot be asked for");
        assert_eq!(seen.len(), 2);
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_and_the_rest_fetched() {
    let bytes = content(1, 50_000);
    let mut landing = Landing::holding(&bytes);
    landing.options.stall_timeout = Duration::from_millis(200);
    landing.server.script(FILE, [Reply::normal().stall_after(30_000)]);
    landing.lands(&bytes).await;
    assert_eq!(ranges(&landing.requests()), [None, Some("bytes=30000-")]);
}

#[tokio::test]
async fn two_sources_with_the_same_file_name_do_not_meet() {
    let (a, b) = (content(1, 50_000), content(2, 60_000));
    let mut landing = Landing::holding(&a);
    landing.server.put("/other/events.json", b.clone());
    landing.server.script(FILE, [Reply::normal().stall_after(20_000)]);
    landing.killed_after(20_000).await;
    let first = landing.source.clone();
    let others = vec![UrlTemplate::fixed(landing.server.url("/other/events.json"))];
    landing.source = Source { name: "others".to_owned(), urls: others, ..first.clone() };
    assert_eq!(landing.lands(&b).await.1.source, "others");
    landing.source = first;
    assert_eq!(landing.lands(&a).await.0.bytes, 30_000);
}

#[tokio::test]
async fn another_url_of_the_same_file_name_does_not_go_on_with_the_part() {
    let (a, b) = (content(1, 50_000), content(2, 60_000));
    let mut landing = Landing::holding(&a);
    landing.server.put("/other/events.json", b.clone());
    landing.server.script(FILE, [Reply::normal().stall_after(20_000)]);
    landing.killed_after(20_000).await;
    landing.set_url(landing.server.url("/other/events.json"));
    landing.lands(&b).await;
    assert_eq!(ranges(&landing.server.requests("/other/events.json")), [None]);
}
