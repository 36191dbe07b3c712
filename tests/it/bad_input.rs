//! Bad records are set aside and the run goes on; a bad file is stopped before anything of it is committed.

use model::failure::{Classify, Failure};
use model::report::StageName;
use tests::kit::{TestPipeline, chain};

const GOOD: &str = r#"{"event":"start","country":"FI","player_id":"0b8e2f6a9c1d4e5f8a7b0123456789ab","session_id":"00000000-0000-4000-8000-000000000001","ts":"2016-11-04T09:00:00"}"#;

fn changed(from: &str, to: &str) -> Vec<u8> {
    assert!(GOOD.contains(from));
    GOOD.replace(from, to).into_bytes()
}

/// One record of each kind of fault, between enough good ones.
fn faulty() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("malformed", b"{\"event\":\"start\"".to_vec()),
        ("malformed", b"not json at all".to_vec()),
        ("malformed", [b"{\"event\":\"".as_slice(), &[0xff, 0xfe], b"\"}"].concat()),
        ("wrong_type", changed("00000000-0000-4000-8000-000000000001", "not-a-uuid")),
        ("wrong_type", changed("\"FI\"", "7")),
        ("wrong_type", changed("2016-11-04T09", "2016-11-31T09")),
        ("wrong_type", changed("2016-11-04T09", "yesterday")),
        ("not_allowed", changed("\"start\"", "\"pause\"")),
        ("future", changed("2016-11-04", "2999-11-04")),
        ("missing", changed("\"ts\":\"2016-11-04T09:00:00\"", "\"x\":1")),
        ("check_failed", changed("\"country\":\"FI\",", "")),
        ("too_large", format!("{{\"event\":\"{}\"}}", "x".repeat(70_000)).into_bytes()),
    ]
}

/// The good record under many session ids.
fn good_lines(count: u32) -> String {
    (0..count).map(|number| GOOD.replace("000000000001", &format!("{number:012}")) + "\n").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_bad_record_is_in_quarantine_with_bytes_place_and_reason() {
    let t = TestPipeline::session_events().await;
    t.edit("max_record_bytes = \"16 MiB\"", "max_record_bytes = \"64 KiB\"");
    let mut file = good_lines(400).into_bytes();
    for (_, bytes) in faulty() {
        file.extend_from_slice(&bytes);
        file.push(b'\n');
    }
    let report = t.serve(file).run().await;

    let raw = report.stages.iter().find(|stage| stage.stage == StageName::LandingToRaw).unwrap();
    assert_eq!((raw.counts.read, raw.counts.accepted, raw.counts.rejected), (412, 400, 12));
    assert!(raw.notes.iter().any(|note| note.contains("malformed 3") && note.contains("future 1")), "{:?}", raw.notes);
    let rows = t.sql("SELECT position, reason, encode(record, 'hex'), is_stopped, raw_table, receipt, entry FROM quarantine ORDER BY position").await;
    assert_eq!(rows.len(), 12);
    for ((at, row), (reason, bytes)) in (401..).zip(&rows).zip(faulty()) {
        let kept = &bytes[..bytes.len().min(64 * 1024)];
        let hex = kept.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        assert_eq!(*row, format!("{at} | {reason} | {hex} | false | session_events | 1 | events.jsonl"));
    }
    assert_eq!(t.count("SELECT count(*) FROM sessions").await, 400, "no session was made of a bad record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_over_its_limit_is_stopped_before_anything_of_it_is_committed() {
    let t = TestPipeline::session_events().await;
    let file = good_lines(90) + &"rubbish\n".repeat(10);
    t.serve(file);

    for _ in 0..2 {
        let error = t.try_run().await.unwrap_err();
        assert_eq!(error.failure(), Failure::Data);
        assert_eq!(error.failure().exit_code(), 3);
        let text = chain(&error);
        assert!(text.contains("10 of 100 records were rejected (10.00 %), more than the limit of 5.00 %"), "{text}");
        assert_eq!(t.count("SELECT count(*) FROM session_events").await, 0);
        // Readable all the same, marked, and there once however often the run is tried.
        assert_eq!(t.sql("SELECT count(*), bool_and(is_stopped) FROM quarantine").await, ["10 | true"]);
    }

    // The limit is raised: the file goes in, and its rejects are those of a file that was loaded.
    t.edit("reject_limit = \"5 %\"", "reject_limit = \"20 %\"");
    let report = t.run().await;
    let raw = report.stages.iter().find(|stage| stage.stage == StageName::LandingToRaw).unwrap();
    assert_eq!((raw.counts.accepted, raw.counts.rejected), (90, 10));
    assert_eq!(t.sql("SELECT count(*), bool_or(is_stopped) FROM quarantine").await, ["10 | false"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mended_file_after_a_stopped_one_is_loaded() {
    let t = TestPipeline::session_events().await;
    t.serve("rubbish\n".repeat(10));
    t.try_run().await.unwrap_err();
    let report = t.serve(good_lines(20)).run().await;
    let raw = report.stages.iter().find(|stage| stage.stage == StageName::LandingToRaw).unwrap();
    assert_eq!(raw.counts.accepted, 20);
    assert!(raw.notes.iter().any(|note| note.contains("receipt 1") && note.contains("stays out")), "{:?}", raw.notes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_file_and_one_of_blank_lines_are_done_without_rows() {
    let t = TestPipeline::session_events().await;
    let report = t.serve("").run().await;
    assert_eq!(report.stages.iter().map(|stage| stage.counts.read).sum::<u64>(), 0);
    t.serve("\n  \n\r\n").run().await;
    let report = t.serve(good_lines(1)).run().await;
    assert_eq!(report.stages.iter().map(|stage| stage.counts.accepted).max(), Some(1));
    assert_eq!(t.sql("SELECT _receipt FROM session_events").await, ["3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_archive_is_a_data_error_and_commits_nothing() {
    let whole = tests::session_events::archive::compress(
        good_lines(5000).as_bytes(),
        tests::session_events::archive::Compression::Bz2,
        "e",
    );
    let t = TestPipeline::session_events().await;
    t.serve(whole[..whole.len() / 2].to_vec());
    let error = t.try_run().await.unwrap_err();
    assert_eq!(error.failure(), Failure::Data, "{}", chain(&error));
    assert_eq!(t.count("SELECT count(*) FROM session_events").await, 0);
    t.serve(whole).run().await;
    assert_eq!(t.count("SELECT count(*) FROM session_events").await, 5000);
}
