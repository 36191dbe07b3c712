//! Sources of several urls: lists, dates, files that match.

use super::{FILE, Landing, content};
use model::receipt::location_of;
use model::report::Outcome;
use model::{Classify, Failure, Receipt};
use pipelines::download::Error;
use std::time::Duration;
use tempfile::TempDir;
use tests::source_server::Reply;

fn urls(receipts: &[Receipt]) -> Vec<String> {
    let path = |receipt: &Receipt| receipt.url.splitn(4, '/').nth(3).unwrap_or_default().to_owned();
    receipts.iter().map(path).collect()
}

impl Landing {
    /// A source of January 30th to the day before the run, February 3rd; of each day the server has a file.
    fn of_days() -> Self {
        let mut landing = Self::new();
        landing.define("url = \"${SERVER}/${date}.json\"\ndates = { from = \"2024-01-30\", to = \"yesterday\" }");
        for (seed, day) in ["01-30", "01-31", "02-01", "02-02"].into_iter().enumerate() {
            landing.server.put(&format!("/2024-{day}.json"), content(seed as u64, 20_000));
        }
        landing
    }
}

#[tokio::test]
async fn every_url_lands_in_the_order_of_the_definition_and_again_only_when_it_changed() {
    let mut landing = Landing::new();
    landing
        .define("url = [\"${SERVER}/a.json\", \"${SERVER}/b.json\", \"${SERVER}/c.json?part=1\", \"${SERVER}/c.json?part=2\"]");
    for (seed, path) in ["/a.json", "/b.json", "/c.json"].into_iter().enumerate() {
        landing.server.put(path, content(seed as u64, 50_000));
    }
    // The first comes last.
    landing.server.script("/a.json", [Reply::normal().slow(10_000, Duration::from_millis(20))]);
    let report = landing.run().await.unwrap();
    assert_eq!((report.outcome, report.commits, report.bytes, report.position), (Outcome::Done, 4, 200_000, Some(4)));
    assert_eq!(report.notes, ["4 urls: 4 landed, 0 unchanged, 0 skipped"]);
    let first = landing.zone().receipts().unwrap();
    assert_eq!(urls(&first), ["a.json", "b.json", "c.json", "c.json"]);
    assert_ne!(first[2].location, first[3].location, "a query as it is written tells urls apart");
    assert_eq!(first[0].location, location_of(&landing.server.url("/a.json"), None));

    let report = landing.run().await.unwrap();
    assert_eq!((report.outcome, report.commits, report.bytes, report.position), (Outcome::UpToDate, 0, 0, Some(4)));

    // `b` now holds what `a` holds: the same bytes, but another location.
    landing.server.put("/b.json", content(0, 50_000));
    let report = landing.run().await.unwrap();
    assert_eq!(report.notes, ["4 urls: 1 landed, 3 unchanged, 0 skipped"]);
    let newest = landing.zone().newest().unwrap().unwrap();
    assert_eq!((newest.sequence, &newest.location, &newest.sha256), (5, &first[1].location, &first[0].sha256));
    assert!(!landing.incoming().exists());
}

#[tokio::test]
async fn a_range_of_dates_grows_with_the_day_of_the_run() {
    let landing = Landing::of_days();
    let report = landing.run().await.unwrap();
    assert_eq!((report.commits, report.position), (4, Some(4)));
    let days = ["2024-01-30.json", "2024-01-31.json", "2024-02-01.json", "2024-02-02.json"];
    assert_eq!(urls(&landing.zone().receipts().unwrap()), days);

    let mut landing = landing;
    landing.server.put("/2024/034", content(9, 100));
    landing.define(
        "url = [\"${SERVER}/${date}.json\", \"${SERVER}/${date:%Y/%j}\"]\ndates = { from = 2024-01-30, to = \"today\" }\non_missing = \"skip\"",
    );
    let report = landing.run().await.unwrap();
    assert_eq!(
        report.notes,
        [
            "10 urls: 1 landed, 4 unchanged, 5 skipped".to_owned(),
            "5 of 10 not there: 2024-01-30, 2024-01-31, 2024-02-01, 2024-02-02, 2024-02-03".to_owned()
        ]
    );
    assert_eq!(urls(&landing.zone().receipts().unwrap())[4..], ["2024/034"]);

    landing.define("url = \"${SERVER}/${date}.json\"\ndates = { from = 2024-02-03, to = \"yesterday\" }");
    let report = landing.run().await.unwrap();
    assert_eq!((report.outcome, report.notes), (Outcome::UpToDate, vec!["none of its dates has come yet".to_owned()]));
}

#[tokio::test]
async fn a_url_that_fails_keeps_no_other_from_landing_and_lands_in_a_later_run() {
    let landing = Landing::of_days();
    landing.server.always("/2024-01-31.json", Reply::status(503));
    landing.server.always("/2024-02-01.json", Reply::status(410));
    let error = landing.run().await.unwrap_err();
    let said = error.to_string();
    assert!(said.starts_with("2 of 4 urls of events could not be fetched:\n    http://"), "{said}");
    assert!(said.contains("2024-01-31.json") && said.contains("503") && said.contains("2024-02-01.json answered 410"), "{said}");
    assert!(!said.contains("01-30") && !said.contains("02-02"), "{said}");
    assert_eq!(error.failure(), Failure::Definition, "what needs a person comes before what may pass");
    assert!(error.hint().unwrap().contains("on_missing"), "{:?}", error.hint());
    assert_eq!(urls(&landing.zone().receipts().unwrap()), ["2024-01-30.json", "2024-02-02.json"]);

    landing.server.always("/2024-02-01.json", Reply::normal());
    let error = landing.run().await.unwrap_err();
    assert_eq!(error.failure(), Failure::Transient);
    landing.server.always("/2024-01-31.json", Reply::normal());
    let report = landing.run().await.unwrap();
    assert_eq!((report.commits, report.bytes), (1, 20_000));
    let days = ["2024-01-30.json", "2024-02-02.json", "2024-02-01.json", "2024-01-31.json"];
    assert_eq!(urls(&landing.zone().receipts().unwrap()), days);
}

#[tokio::test]
async fn a_server_that_is_down_is_not_asked_for_every_date() {
    let mut landing = Landing::new();
    landing.options.attempts = 1;
    landing.define("url = \"${SERVER}/${date}.json\"\ndates = { from = \"2023-02-03\", to = \"today\" }");
    let down =
        (0..366).filter_map(|day| "2023-02-03".parse::<chrono::NaiveDate>().unwrap().checked_add_days(chrono::Days::new(day)));
    for date in down {
        landing.server.always(&format!("/{date}.json"), Reply::hang_up());
    }
    let error = landing.run().await.unwrap_err();
    assert!(matches!(&error, Error::Several { failed, not_tried: 358, of: 366, .. } if failed.len() == 8), "{error}");
    assert_eq!(error.failure(), Failure::Transient);
    assert!(landing.server.all_requests().len() < 20);
}

#[tokio::test]
async fn a_run_that_was_killed_or_stopped_goes_on_with_each_url() {
    let mut landing = Landing::new();
    landing.define("url = [\"${SERVER}/a/events.json\", \"${SERVER}/b/events.json\", \"${SERVER}/c/events.json\"]");
    for (seed, path) in ["/a/events.json", "/b/events.json", "/c/events.json"].into_iter().enumerate() {
        landing.server.put(path, content(seed as u64, 300_000));
    }
    landing.server.script("/a/events.json", [Reply::normal().stall_after(100_000)]);
    landing.server.script("/b/events.json", [Reply::normal().stall_after(200_000)]);
    landing.killed_after(600_000).await;
    assert!(landing.zone().receipts().unwrap().is_empty(), "the first is not whole, so none has a number");

    let report = landing.run().await.unwrap();
    assert_eq!(urls(&landing.zone().receipts().unwrap()), ["a/events.json", "b/events.json", "c/events.json"]);
    assert_eq!(report.bytes, 300_001, "the rest of two, and one byte of the third to see that it is still the same");

    landing.server.put("/b/events.json", content(7, 300_000));
    landing.server.script("/b/events.json", [Reply::normal().stall_after(100_000)]);
    let shutdown = landing.shutdown.clone();
    let stop = async {
        super::until(|| landing.incoming_bytes("events.json") >= 100_000).await;
        shutdown.request();
    };
    let (error, ()) = tokio::join!(landing.fails(), stop);
    assert_eq!(error.failure(), Failure::Interrupted);
}

#[tokio::test]
async fn a_lake_of_before_there_were_several_urls_is_understood() {
    let a = content(1, 20_000);
    let mut landing = Landing::holding(&a);
    let (_, receipt) = landing.lands(&a).await;
    // As the version before wrote it.
    let folder = landing.zone().file(&receipt).parent().unwrap().to_owned();
    for path in [folder.join("receipt.json"), folder.parent().unwrap().join("latest.json")] {
        let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert!(json.as_object_mut().unwrap().remove("location").is_some());
        std::fs::write(path, json.to_string()).unwrap();
    }
    std::fs::remove_dir_all(folder.parent().unwrap().join("latest")).unwrap();

    let (report, same) = landing.lands(&a).await;
    assert_eq!((report.outcome, report.bytes, &same), (Outcome::UpToDate, 0, &receipt));

    // The same url, now the second of two.
    landing.server.put("/first.json", content(2, 10));
    landing.define(&format!("url = [\"${{SERVER}}/first.json\", \"${{SERVER}}{FILE}\"]"));
    let report = landing.run().await.unwrap();
    assert_eq!(report.notes, ["2 urls: 1 landed, 1 unchanged, 0 skipped"]);
    assert_eq!((landing.zone().newest().unwrap().unwrap().sequence, report.bytes), (2, 10));
}

#[tokio::test]
async fn the_url_of_a_source_that_has_one_may_move_and_a_token_may_change() {
    let a = content(1, 20_000);
    let mut landing = Landing::holding(&a);
    let (_, first) = landing.lands(&a).await;
    landing.server.put("/moved.json", a.clone());
    landing.set_url(landing.server.url("/moved.json"));
    assert_eq!(landing.lands(&a).await.0.outcome, Outcome::UpToDate);
    let b = content(2, 20_000);
    landing.server.put("/moved.json", b.clone());
    let (_, second) = landing.lands(&b).await;
    assert_eq!((second.sequence, second.location), (2, first.location));
}

#[tokio::test]
async fn files_that_match_land_in_order_of_name() {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in [("2024-b.csv", "b"), ("2024-a.csv", "a"), ("2023.csv", "old"), ("2024-c.txt", "c")] {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    std::fs::create_dir(folder.path().join("2024-d.csv")).unwrap();
    let mut landing = Landing::new();
    let pattern = format!("url = \"file://{}/2024-*.csv\"", folder.path().display());
    landing.define(&pattern);
    let report = landing.run().await.unwrap();
    assert_eq!(report.notes, ["2 urls: 2 landed, 0 unchanged, 0 skipped"]);
    let names = |landing: &Landing| -> Vec<String> {
        landing.zone().receipts().unwrap().into_iter().map(|receipt| receipt.file_name).collect()
    };
    assert_eq!(names(&landing), ["2024-a.csv", "2024-b.csv"]);
    std::fs::write(folder.path().join("2024-0.csv"), "0").unwrap();
    landing.run().await.unwrap();
    assert_eq!(names(&landing), ["2024-a.csv", "2024-b.csv", "2024-0.csv"]);

    landing.define(&pattern.replace("2024-", "2025-"));
    let error = landing.run().await.unwrap_err();
    assert!(matches!(&error, Error::NoFile { pattern } if pattern.ends_with("/2025-*.csv")), "{error}");
    landing.define(&format!("{}\non_missing = \"skip\"", pattern.replace("2024-", "2025-")));
    let report = landing.run().await.unwrap();
    assert_eq!(report.outcome, Outcome::UpToDate);
    assert!(report.notes[0].starts_with("1 of 1 not there: file:///"), "{:?}", report.notes);
}
