//! The shipped session events over HTTP: page by page what the lake holds, also while more comes in.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use tests::kit::{TestPipeline, chain};
use tests::session_events::{Dataset, Options};
use zones::beside::both;

use super::kit::Api;

/// A year, and a day where it leaps: the longest that is answered.
const YEAR: &str = "hours=8784";

fn ids(items: &[Value]) -> Vec<String> {
    items.iter().map(|item| item["session_id"].as_str().unwrap().to_owned()).collect()
}

/// The sessions of a player or a country in the order in which they are answered.
struct Histories {
    player: String,
    country: String,
}

impl Histories {
    async fn longest(pipeline: &TestPipeline) -> Self {
        let most = async |query: &str| pipeline.sql(query).await.remove(0);
        let player = most("SELECT player_id FROM sessions WHERE is_complete GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1").await;
        let country = "SELECT country FROM session_events WHERE event = 'start' GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1";
        Self { player, country: most(country).await }
    }

    async fn completed(&self, pipeline: &TestPipeline) -> Vec<String> {
        let query = format!(
            "SELECT session_id FROM sessions WHERE is_complete AND player_id = '{}' \
             ORDER BY date_trunc('millisecond', end_ts) DESC, session_id",
            self.player
        );
        pipeline.sql(&query).await
    }

    async fn started(&self, pipeline: &TestPipeline) -> Vec<String> {
        let query = format!(
            "SELECT session_id FROM session_events WHERE event = 'start' AND country = '{}' \
             ORDER BY date_trunc('millisecond', ts) DESC, session_id",
            self.country
        );
        pipeline.sql(&query).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_players_and_a_countrys_whole_history_is_that_of_the_lake_also_while_a_sync_runs() {
    let pipeline = TestPipeline::session_events().await;
    let data = Dataset::generate(&Options::small(12_000, 40)).unwrap();
    let whole = data.to_bytes();
    let half = whole.iter().enumerate().skip(whole.len() / 2).find(|(_, byte)| **byte == b'\n').unwrap().0 + 1;
    pipeline.serve(whole[..half].to_vec());
    pipeline.run().await;
    let api = Api::start_with(&pipeline, &["--rate", "10000 per second"], &[]).await;
    api.wait_for("/readyz", 200).await;

    let of = Histories::longest(&pipeline).await;
    let (completed, started) = (of.completed(&pipeline).await, of.started(&pipeline).await);
    assert!(completed.len() > 4 && started.len() > 40, "{} and {}", completed.len(), started.len());
    let paths = [
        format!("/v1/players/{}/completed-sessions?limit=2", of.player),
        format!("/models/completed-sessions/{}?limit=3", of.player.replace('-', "").to_uppercase()),
    ];
    for path in &paths {
        assert_eq!(ids(&api.pages(path).await.0), completed, "{path}");
    }
    let countries = [
        format!("/v1/countries/{}/started-sessions?{YEAR}&limit=7", of.country),
        format!("/models/started_sessions/{}/8784", of.country),
    ];
    for path in &countries {
        assert_eq!(ids(&api.pages(path).await.0), started, "{path}");
    }
    let (_, pages) = api.pages(&format!("/v1/players/{}/completed-sessions", of.player)).await;
    assert_eq!(pages, completed.len().div_ceil(20), "20 a page");

    // While the rest of the file comes in, whoever pages sees each row that was there once, and none that is not to be there.
    pipeline.serve(whole);
    let is_done = AtomicBool::new(false);
    let running = async {
        let ran = pipeline.try_run().await;
        is_done.store(true, Ordering::Relaxed);
        ran
    };
    // On a thread of its own: a run in this process holds the one that it is on.
    let paging = async || {
        let mut seen = Vec::new();
        while seen.is_empty() || !is_done.load(Ordering::Relaxed) {
            seen.push([ids(&api.pages(&paths[0]).await.0), ids(&api.pages(&countries[0]).await.0)]);
        }
        seen
    };
    let (ran, seen) = both(running, paging).await;
    ran.unwrap_or_else(|error| panic!("{}", chain(&error)));
    let befores = [completed, started];
    let afters = [of.completed(&pipeline).await, of.started(&pipeline).await];
    assert!(afters[1].len() > befores[1].len(), "{} after {}", afters[1].len(), befores[1].len());
    for (pass, found) in seen.iter().enumerate() {
        for ((found, before), after) in found.iter().zip(&befores).zip(&afters) {
            let [once, before, after] = [found, before, after].map(|ids| ids.iter().collect::<BTreeSet<_>>());
            assert_eq!(once.len(), found.len(), "pass {pass}: a row twice");
            assert!(before.is_subset(&once) && once.is_subset(&after), "pass {pass}: a row is missing or made up");
        }
    }
    // How fresh a table is, and with it the pipeline's clock, is asked once a second: a look while the run ended may be the last.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let lake = of.started(&pipeline).await;
    let mut found = ids(&api.pages(&countries[0]).await.0);
    while found != lake && std::time::Instant::now() < deadline {
        found = ids(&api.pages(&countries[0]).await.0);
    }
    assert_eq!(found, lake);
    assert_eq!(ids(&api.pages(&paths[0]).await.0), of.completed(&pipeline).await);
}

/// The items of all pages, each as the values of some fields.
async fn values(api: &Api, path: &str, fields: &[&str]) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let row = |item: &Value| fields.iter().map(|field| text(&item[field])).collect::<Vec<_>>().join(" | ");
    api.pages(path).await.0.iter().map(row).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_counted_by_hour_day_and_length_is_what_the_sessions_of_the_lake_add_up_to() {
    const ISO: &str = "'%Y-%m-%dT%H:%M:%S.000Z'";
    let pipeline = TestPipeline::session_events().await;
    pipeline.serve(Dataset::generate(&Options::small(3_000, 12)).unwrap().to_bytes());
    pipeline.run().await;
    let api = Api::start_with(&pipeline, &["--rate", "10000 per second"], &[]).await;
    api.wait_for("/readyz", 200).await;

    let starts = "FROM session_events WHERE event = 'start' AND country IS NOT NULL";
    let per_hour = format!(
        "SELECT country, to_char(date_trunc('hour', ts), {ISO}), count(*) {starts} \
         GROUP BY country, date_trunc('hour', ts) ORDER BY date_trunc('hour', ts) DESC, country"
    );
    let per_day = "SELECT session_date, country, count(*), count(*) FILTER (WHERE is_complete), \
         coalesce(sum(cast(date_part('epoch', end_ts) - date_part('epoch', start_ts) AS bigint)) FILTER (WHERE is_complete), 0) \
         FROM sessions WHERE start_ts IS NOT NULL AND country IS NOT NULL GROUP BY session_date, country \
         ORDER BY session_date DESC, country";
    let minutes = "cast(floor((date_part('epoch', end_ts) - date_part('epoch', start_ts)) / 60) AS int)";
    let lengths = format!(
        "SELECT session_date, {minutes}, count(*) FROM sessions WHERE is_complete AND NOT ends_before_start \
         GROUP BY session_date, {minutes} ORDER BY session_date DESC, {minutes}"
    );
    for (path, fields, query) in [
        (format!("/v1/starts-per-hour?{YEAR}"), ["country", "hour", "starts"].as_slice(), per_hour.as_str()),
        (format!("/v1/starts-per-hour?{YEAR}&limit=100"), &["country", "hour", "starts"], &per_hour),
        ("/v1/sessions-per-day?days=366".to_owned(), &["day", "country", "starts", "completed", "seconds"], per_day),
        ("/v1/session-lengths?days=366".to_owned(), &["day", "minutes", "sessions"], &lengths),
    ] {
        let lake = pipeline.sql(query).await;
        assert!(lake.len() > 20, "{path}: {}", lake.len());
        assert_eq!(values(&api, &path, fields).await, lake, "{path}");
    }
    let total = api.get(&format!("/v1/starts?{YEAR}")).await.json();
    assert_eq!(total["item"]["starts"].to_string(), pipeline.sql(&format!("SELECT count(*) {starts}")).await[0]);

    // By `from`, which is included, and `to`, which is not.
    let of = Histories::longest(&pipeline).await;
    let within = format!("{starts} AND country = '{}' ORDER BY date_trunc('millisecond', ts) DESC, session_id", of.country);
    let at = format!("SELECT to_char(date_trunc('millisecond', ts), '%Y-%m-%dT%H:%M:%S.%3fZ') {within}");
    let (times, all) = (pipeline.sql(&at).await, of.started(&pipeline).await);
    let (to, from) = (times.len() / 4, times.len() * 3 / 4);
    let path = format!("/v1/countries/{}/started-sessions?from={}&to={}&limit=5", of.country, times[from], times[to]);
    let expected: Vec<_> =
        all.iter().zip(&times).filter(|(_, at)| **at >= times[from] && **at < times[to]).map(|(id, _)| id.clone()).collect();
    assert!(expected.len() > 5, "{times:?}");
    assert_eq!(ids(&api.pages(&path).await.0), expected, "{path}");
}
