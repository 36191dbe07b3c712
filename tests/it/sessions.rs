//! What becomes of single sessions: the fold, the defects that this data set's first pipeline had, and Cassandra's rows.

use model::report::{Outcome, StageName};
use tests::kit::TestPipeline;

const PLAYER: &str = "0b8e2f6a9c1d4e5f8a7b0123456789ab";
const DASHED: &str = "0b8e2f6a-9c1d-4e5f-8a7b-0123456789ab";
const ALL: &str = "SELECT session_id, country, start_ts, end_ts, is_complete, ends_before_start, session_date FROM sessions ORDER BY session_id";

fn session(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

fn start(number: u32, country: &str, ts: &str) -> String {
    format!(
        "{{\"event\":\"start\",\"country\":\"{country}\",\"player_id\":\"{PLAYER}\",\"session_id\":\"{}\",\"ts\":\"{ts}\"}}\n",
        session(number)
    )
}

fn end(number: u32, ts: &str) -> String {
    format!("{{\"event\":\"end\",\"player_id\":\"{PLAYER}\",\"session_id\":\"{}\",\"ts\":\"{ts}\"}}\n", session(number))
}

/// An end that arrives before its start, in another file and on an earlier date, still makes one complete session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_start_completes_an_early_end() {
    let t = TestPipeline::session_events().await;
    t.serve(end(1, "2016-11-04T10:00:00")).run().await;
    assert_eq!(t.sql(ALL).await, [format!("{} | null | null | 2016-11-04T10:00:00Z | false | false | 2016-11-04", session(1))]);
    assert!(t.cql("SELECT session_id FROM {ks}.completed_sessions").await.is_empty());

    t.serve(start(1, "FI", "2016-11-01T09:00:00.5")).run().await;
    assert_eq!(
        t.sql(ALL).await,
        [format!("{} | FI | 2016-11-01T09:00:00.500Z | 2016-11-04T10:00:00Z | true | false | 2016-11-01", session(1))]
    );
    assert_eq!(
        t.cql("SELECT player_id, end_ts, session_id, country, start_ts FROM {ks}.completed_sessions").await,
        [format!("{DASHED} | 2016-11-04T10:00:00.000Z | {} | FI | 2016-11-01T09:00:00.500Z", session(1))]
    );
}

/// The earliest start and the latest end win, with the country of the earliest start; what moves in Cassandra leaves no old row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_earliest_start_and_the_latest_end_win() {
    let t = TestPipeline::session_events().await;
    t.serve(start(1, "SE", "2016-11-04T10:00:00") + &end(1, "2016-11-04T11:00:00")).run().await;
    t.serve(start(1, "FI", "2016-11-04T09:00:00") + &end(1, "2016-11-05T01:00:00")).run().await;
    let report = t.serve(start(1, "NO", "2016-11-06T09:00:00") + &end(1, "2016-11-01T01:00:00")).run().await;
    assert_eq!(
        t.sql(ALL).await,
        [format!("{} | FI | 2016-11-04T09:00:00Z | 2016-11-05T01:00:00Z | true | false | 2016-11-04", session(1))]
    );
    // A batch that changes nothing still records how far it got, and nothing travels on.
    let merge = report.stages.iter().find(|stage| stage.stage == StageName::RawToUseCase).unwrap();
    assert_eq!((merge.written, merge.commits), (0, 1));
    let rows = t.cql("SELECT end_ts, country FROM {ks}.completed_sessions").await;
    assert_eq!(rows, ["2016-11-05T01:00:00.000Z | FI"], "the row at the earlier end is gone");
}

/// An end before its start is kept, is complete, and is marked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_before_its_start_is_kept_and_marked() {
    let t = TestPipeline::session_events().await;
    t.serve(end(1, "2016-11-03T23:50:00") + &start(1, "FI", "2016-11-04T00:10:00")).run().await;
    assert_eq!(
        t.sql(ALL).await,
        [format!("{} | FI | 2016-11-04T00:10:00Z | 2016-11-03T23:50:00Z | true | true | 2016-11-04", session(1))]
    );
}

/// A session over midnight is one row in the partition of its start, whichever half comes first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_over_midnight_stays_one_row() {
    let t = TestPipeline::session_events().await;
    t.serve(start(1, "FI", "2016-11-03T23:50:00") + &end(1, "2016-11-04T00:10:00")).run().await;
    t.serve(end(2, "2016-11-04T00:20:00")).run().await;
    t.serve(start(2, "SE", "2016-11-03T23:40:00")).run().await;
    assert_eq!(
        t.sql("SELECT session_id, session_date FROM sessions ORDER BY session_id").await,
        [format!("{} | 2016-11-03", session(1)), format!("{} | 2016-11-03", session(2)),]
    );
    assert_eq!(t.cql("SELECT session_id FROM {ks}.completed_sessions").await.len(), 2);
}

/// Two sessions of one player that end in the same second are two rows in Cassandra.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_in_the_same_second_do_not_overwrite_each_other() {
    let t = TestPipeline::session_events().await;
    let lines: String = (1..=3).map(|n| start(n, "FI", "2016-11-04T09:00:00") + &end(n, "2016-11-04T10:00:00")).collect();
    t.serve(lines).run().await;
    let query = format!("SELECT session_id FROM {{ks}}.completed_sessions WHERE player_id = {DASHED}");
    assert_eq!(t.cql(&query).await, [session(1), session(2), session(3)]);
}

/// Started sessions are read by country and day, newest first, without a scan; only starts are there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn started_sessions_are_read_by_country_and_day() {
    let t = TestPipeline::session_events().await;
    let lines = start(1, "FI", "2016-11-04T09:00:00")
        + &start(2, "FI", "2016-11-04T11:00:00")
        + &start(3, "SE", "2016-11-04T10:00:00")
        + &start(4, "FI", "2016-11-05T00:00:00")
        + &end(1, "2016-11-04T12:00:00");
    t.serve(lines).run().await;
    assert_eq!(
        t.cql("SELECT ts, session_id FROM {ks}.started_sessions WHERE country = 'FI' AND day = '2016-11-04'").await,
        [format!("2016-11-04T11:00:00.000Z | {}", session(2)), format!("2016-11-04T09:00:00.000Z | {}", session(1))]
    );
}

/// The same record again is a duplicate; the same key with other content is kept in raw, counted, and folded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicates_are_counted_and_conflicts_are_kept() {
    let t = TestPipeline::session_events().await;
    let first = start(1, "FI", "2016-11-04T09:00:00");
    let report =
        t.serve(first.clone() + &first + &start(1, "SE", "2016-11-04T09:00:00") + &end(1, "2016-11-04T10:00:00")).run().await;
    let raw = report.stages.iter().find(|stage| stage.stage == StageName::LandingToRaw).unwrap();
    assert_eq!((raw.counts.read, raw.counts.accepted, raw.counts.duplicate, raw.counts.conflicting), (4, 3, 1, 1));

    let report = t.serve(end(1, "2016-11-04T10:00:00") + &end(1, "2016-11-04T10:00:00.000")).run().await;
    let raw = report.stages.iter().find(|stage| stage.stage == StageName::LandingToRaw).unwrap();
    assert_eq!((raw.counts.read, raw.counts.duplicate), (2, 2));
    // Versions without rows are passed by all the same: there is nothing left to do.
    let report = t.run().await;
    assert!(report.stages.iter().all(|stage| stage.outcome == Outcome::UpToDate), "{report:#?}");
    assert_eq!(t.count("SELECT count(*) FROM session_events").await, 3);
    // Of two starts at the same instant, content decides, not arrival.
    assert_eq!(t.sql("SELECT country FROM sessions").await, ["FI"]);
}

/// What is older than a year by the newest accepted event is counted and left out, in whole dates.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_older_than_a_year_are_too_old() {
    let t = TestPipeline::session_events().await;
    let lines =
        start(1, "FI", "2015-11-04T23:59:59") + &start(2, "FI", "2015-11-05T00:00:00") + &start(3, "FI", "2016-11-04T12:00:00");
    let report = t.serve(lines).run().await;
    let raw = report.stages.iter().find(|stage| stage.stage == StageName::LandingToRaw).unwrap();
    assert_eq!((raw.counts.read, raw.counts.accepted, raw.counts.too_old), (3, 2, 1));
    assert_eq!(t.sql("SELECT session_id FROM sessions ORDER BY session_id").await, [session(2), session(3)]);
    // The clock is what was accepted so far, not this file: an old file that comes later is as old.
    let report = t.serve(start(4, "FI", "2015-10-01T00:00:00")).run().await;
    let raw = report.stages.iter().find(|stage| stage.stage == StageName::LandingToRaw).unwrap();
    assert_eq!((raw.counts.too_old, raw.counts.accepted), (1, 0));
}

/// Provenance and load times are there, and are instants in UTC.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_raw_row_says_where_it_came_from() {
    let before = chrono::Utc::now();
    let t = TestPipeline::session_events().await;
    t.serve(start(1, "FI", "2016-11-04T09:00:00") + "\n" + &end(1, "2016-11-04T10:00:00")).run().await;
    assert_eq!(
        t.sql("SELECT _receipt, _entry, _position FROM session_events ORDER BY _position").await,
        ["1 | events.jsonl | 1", "1 | events.jsonl | 3"]
    );
    for query in [
        "SELECT min(_loaded_at) FROM session_events",
        "SELECT min(_inserted_at) FROM sessions",
        "SELECT max(_updated_at) FROM sessions",
    ] {
        let shown = t.sql(query).await.remove(0);
        let instant = chrono::DateTime::parse_from_rfc3339(&shown).unwrap_or_else(|_| panic!("{query}: {shown}"));
        assert!(instant >= before && instant <= chrono::Utc::now(), "{query}: {shown}");
    }
}

/// A sum goes on from what was stored, also where its type is wider than that of what is summed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sum_goes_on_from_what_was_stored() {
    let t = TestPipeline::session_events().await;
    t.edit(
        "start_ts          = { fold = \"min\" }",
        "start_ts          = { fold = \"min\" }\nevents            = { fold = \"sum\" }",
    );
    let sql = t.definition().join("sessions.sql");
    let text =
        std::fs::read_to_string(&sql).unwrap().replace("min(player_id) ", "cast(count(*) AS int) AS events, min(player_id) ");
    std::fs::write(sql, text).unwrap();
    t.serve(start(1, "FI", "2016-11-04T09:00:00")).run().await;
    t.serve(end(1, "2016-11-04T10:00:00") + &end(1, "2016-11-04T10:30:00")).run().await;
    assert_eq!(t.sql("SELECT events, is_complete FROM sessions").await, ["3 | true"]);
}
