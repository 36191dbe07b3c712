//! Connections that break at any byte, again and again, and answers that were not asked for.

use super::{FILE, Landing, content};
use model::{Classify, Failure};
use std::time::Duration;
use tests::digest;
use tests::kit::TestPipeline;
use tests::source_server::Reply;

/// Numbers that look random, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

const BYTES: usize = 300_000;

/// Every body is cut at a random byte, some at the first, some at the last; between some of the cuts the whole run dies.
#[tokio::test]
async fn cut_at_any_byte_however_often_the_same_bytes_land_and_none_comes_twice() {
    let bytes = content(1, BYTES);
    let etag = format!("\"{}\"", digest::sha256(&bytes));
    let mut random = Random(0xc07);
    for round in 0..40 {
        let landing = Landing::holding(&bytes);
        // Where each answer is cut, in bytes of the file; what an answer brings is what lies between two cuts.
        let mut cuts: Vec<usize> = (0..=random.below(5)).map(|_| 1 + random.below(BYTES - 1)).collect();
        cuts.extend([[1, BYTES - 1], [BYTES / 2, BYTES / 2 + 1]][round % 2]);
        cuts.sort_unstable();
        cuts.dedup();
        let mut from = 0;
        let mut replies = Vec::new();
        for (number, cut) in cuts.iter().enumerate() {
            let reply = Reply::normal();
            let brought = u64::try_from(cut - from).unwrap();
            // Only the one at which the run dies falls silent, which takes the whole patience that a busy machine needs.
            let falls_silent = round % 4 == 0 && number == cuts.len() / 2;
            replies.push(if falls_silent { reply.stall_after(brought) } else { reply.cut_after(brought) });
            from = *cut;
        }
        let landing = Landing {
            options: pipelines::download::Options { stall_timeout: Duration::from_millis(600), ..landing.options.clone() },
            ..landing
        };
        landing.server.script(FILE, replies);
        if round % 4 == 0 {
            landing.killed_after(u64::try_from(cuts[cuts.len() / 2]).unwrap()).await;
        }
        landing.lands(&bytes).await;

        let seen = landing.requests();
        let mut resumed = 0;
        for request in &seen[1..] {
            let range = request.header("range").unwrap_or_else(|| panic!("round {round}: it started afresh"));
            let first: usize = range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')).unwrap().parse().unwrap();
            assert!(first >= resumed, "round {round}: bytes were asked for twice");
            resumed = first;
            assert_eq!(request.header("if-range"), Some(etag.as_str()), "round {round}");
            assert_eq!((request.status, request.body_bytes), (Some(206), (BYTES - first) as u64), "round {round}");
        }
        assert!(seen.len() > cuts.len() / 2, "round {round}: it was cut");
    }
}

/// The content changes at a random byte of a random attempt, on servers that know tags, dates, or neither.
#[tokio::test]
async fn a_content_that_changes_between_any_two_attempts_is_never_mixed_with_the_other() {
    let mut random = Random(0xc4a);
    for round in 0..24_u64 {
        let (old, new) = (content(1, 60_000), content(2, 50_000 + random.below(20_000)));
        let like = |reply: Reply| match round % 4 {
            0 => reply,
            1 => reply.without_etag(),
            2 => reply.ignoring_if_range(),
            _ => reply.without_validators(),
        };
        let landing = Landing::holding(&old);
        let (first, second) = (1 + random.below(30_000) as u64, 1 + random.below(20_000) as u64);
        let replies = [like(Reply::normal()).cut_after(first), like(Reply::normal()).cut_after(second).then_holds(new.clone())];
        landing.server.script(FILE, replies);
        landing.server.always(FILE, like(Reply::normal()));
        landing.lands(&new).await;
    }
}

/// A minute of 503, as the default patience has it, at a thousandth of its length.
#[tokio::test]
async fn a_server_that_fails_for_a_minute_is_waited_for_and_one_that_fails_for_longer_ends_the_run() {
    let bytes = content(1, 20_000);
    let mut landing = Landing::holding(&bytes);
    let default = pipelines::download::Options::default();
    landing.options = pipelines::download::Options {
        first_wait: default.first_wait / 1_000,
        longest_wait: default.longest_wait / 1_000,
        ..default
    };
    let attempts = landing.options.attempts;
    let failing = |count: u32| {
        (0..count).map(|at| if at % 2 == 0 { Reply::status(503) } else { Reply::status(502).retry_after_seconds(0) })
    };
    landing.server.script(FILE, failing(attempts - 1));
    landing.lands(&bytes).await;
    assert_eq!(u32::try_from(landing.requests().len()).unwrap(), attempts);

    landing.server.put(FILE, content(2, 10));
    landing.server.script(FILE, failing(attempts + 5));
    let error = landing.fails().await;
    assert_eq!(error.failure(), Failure::Transient, "{error}");
    assert!(error.hint().unwrap().contains("run again"), "{:?}", error.hint());
    assert_eq!(landing.server.unplayed(FILE), 5, "it is bounded");
}

/// What a cache on the way may answer: nothing that the request asked for.
#[tokio::test]
async fn an_answer_that_was_not_asked_for_is_not_believed() {
    let (old, new) = (content(1, 40_000), content(2, 50_000));
    // Without a tag nobody asked whether it changed; that it did not would be believed for ever.
    let landing = Landing::new();
    landing.server.put(FILE, old.clone());
    landing.server.always(FILE, Reply::normal().without_validators());
    landing.lands(&old).await;
    landing.server.put(FILE, new.clone());
    landing.server.script(FILE, [Reply::status(304), Reply::status(206)]);
    landing.lands(&new).await;

    // A 304 in place of the rest of a part: the part goes, or it would be asked for again in every run.
    let landing = Landing::holding(&old);
    landing.server.script(FILE, [Reply::normal().cut_after(10_000), Reply::status(304)]);
    landing.lands(&old).await;
    assert_eq!(landing.requests()[2].header("range"), None);

    let landing = Landing::new();
    landing.server.always(FILE, Reply::status(304));
    let error = landing.fails().await;
    assert_eq!(error.failure(), Failure::Transient, "{error}");
}

/// The file has become shorter than what is there of it: nothing of the old one is kept.
#[tokio::test]
async fn a_range_that_there_is_no_more_starts_afresh() {
    let (old, new) = (content(1, 60_000), content(2, 5_000));
    let landing = Landing::holding(&old);
    landing.server.script(FILE, [Reply::normal().cut_after(40_000).then_holds(new.clone()), Reply::normal().ignoring_if_range()]);
    landing.run().await.unwrap();
    let receipt = landing.zone().newest().unwrap().unwrap();
    assert!(std::fs::read(landing.zone().file(&receipt)).unwrap() == new, "other bytes landed");
    let seen = landing.requests();
    assert_eq!(seen.iter().map(|seen| seen.status).collect::<Vec<_>>(), [Some(200), Some(416), Some(200)]);
}

/// A stated length that is shorter than the file cannot be seen, unless the definition pins the content; a longer one always is.
#[tokio::test]
async fn a_length_that_is_stated_too_short_is_seen_by_the_pin() {
    let bytes = content(1, 20_000);
    let mut landing = Landing::holding(&bytes);
    landing.source.sha256 = Some(digest::sha256(&bytes));
    landing.server.always(FILE, Reply::normal().claim_length(19_000));
    let error = landing.fails().await;
    assert_eq!(error.failure(), Failure::Data, "{error}");
    landing.server.always(FILE, Reply::normal());
    landing.lands(&bytes).await;
}

const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head>\n<body>Your session has expired.</body></html>\n";

/// A page in place of the file, with 200: nothing of it is loaded, the message shows what it is, and when the server is well
/// again the next run goes on by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_in_place_of_the_file_is_stopped_and_shown_and_the_file_comes_in_later() {
    let t = TestPipeline::session_events().await;
    t.serve(PAGE);
    let page = t.sluice(&["run", "session_events"]).await.output().unwrap();
    let said = String::from_utf8(page.stderr).unwrap();
    assert_eq!(page.status.code(), Some(3), "{said}");
    assert!(said.contains("it begins with `<`") && said.contains("when it is the file again"), "{said}");
    assert_eq!(t.count("SELECT count(*) FROM session_events").await, 0);

    let data = tests::session_events::Dataset::generate(&tests::session_events::Options::small(100, 1)).unwrap();
    t.serve(data.to_bytes());
    let report = t.run().await;
    let notes: Vec<_> = report.stages.iter().flat_map(|stage| &stage.notes).collect();
    assert!(notes.iter().any(|note| note.contains("stays out")), "{notes:?}");
    assert_eq!(t.count("SELECT count(*) FROM session_events").await, data.truth().events);
}
