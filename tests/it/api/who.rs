//! Who is answered, and what becomes of requests while Cassandra is away and when the server ends.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::cassandra_node;
use tests::proxy::Proxy;

use super::kit::{Api, make_key};
use super::{orders, shop, shop_folder};
use crate::faults_net::node::{OwnNode, restarted, signal};

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_scoped_rotated_and_revoked_while_the_server_runs() {
    let shop = shop(orders([(1, 1, "ann")])).await;
    let api = Api::start(&shop).await;
    for path in ["/v1/buyers/ann", "/openapi.json", "/v1/nothing"] {
        for wrong in ["Bearer sk_none_none", "Basic YTpi", ""] {
            assert_eq!(api.get_with(path, &[("authorization", wrong)]).await.status, 401, "{path} {wrong}");
        }
    }
    let key = make_key(&shop, &["--endpoint", "buyer", "--rate", "1 per minute", "--burst", "3"]).await;
    api.becomes("/v1/buyers/ann", &key, 200).await;
    let foreign = api.get_with("/v1/buyers/ann/orders", &[("authorization", &format!("Bearer {key}"))]).await;
    assert_eq!(foreign.code(), "forbidden");
    let limited = api.becomes("/v1/buyers/ann", &key, 429).await;
    assert!((30..=60).contains(&limited.header("retry-after").parse::<u64>().unwrap()), "{limited:?}");

    let id = |key: &str| key.split('_').nth(1).unwrap().to_owned();
    let old = make_key(&shop, &[]).await;
    api.becomes("/v1/buyers/ann", &old, 200).await;
    let rotated = shop.sluice(&["keys", "rotate", &id(&old), "--grace", "0"]).await.output().unwrap();
    let new = String::from_utf8(rotated.stdout).unwrap().trim().to_owned();
    api.becomes("/v1/buyers/ann", &new, 200).await;
    api.becomes("/v1/buyers/ann", &old, 401).await;
    assert!(shop.sluice(&["keys", "revoke", &id(&new)]).await.output().unwrap().status.success());
    api.becomes("/v1/buyers/ann", &new, 401).await;
    let listed = shop.sluice(&["keys", "list", "--output", "json"]).await.output().unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let listed = listed["keys"].as_array().unwrap();
    let state = |key: &str| listed.iter().find(|listed| listed["id"] == id(key)).unwrap()["state"].as_str().unwrap();
    assert_eq!([state(&key), state(&new), state(&api.key)], ["active", "revoked", "active"], "{listed:?}");
    let kept = std::fs::read_to_string(shop.lake().parent().unwrap().join(".sluice/api-keys.json")).unwrap();
    for key in [&key, &old, &new, &api.key] {
        let secret = key.splitn(3, '_').nth(2).unwrap();
        assert!(!kept.contains(secret), "the file holds hashes");
        assert!(!listed.iter().any(|listed| listed.to_string().contains(secret)), "what is listed holds none");
    }
}

/// Instead of the key.
const NOBODY: [(&str, &str); 1] = [("authorization", "")];

#[tokio::test(flavor = "multi_thread")]
async fn what_serve_is_told_is_what_it_does() {
    let shop = shop(orders([(1, 1, "ann")])).await;
    let page = [("origin", "https://shop.example")];
    let told = ["--cors-origin", "https://shop.example", "--total-rate", "3 per minute"];
    let api = Api::start_with(&shop, &told, &[]).await;
    api.wait_for("/readyz", 200).await;
    let first = api.get_with("/v1/buyers/ann", &page).await;
    assert_eq!((first.status, first.header("access-control-allow-origin")), (200, "https://shop.example"));
    let exposed = first.header("access-control-expose-headers");
    assert!(["sluice-version", "sluice-event-time", "sluice-now", "etag"].iter().all(|name| exposed.contains(name)), "{exposed}");
    let mut last = first;
    for _ in 0..3 {
        last = api.get("/v1/buyers/ann").await;
    }
    assert_eq!(last.code(), "rate-limited");
    assert_eq!(api.get("/livez").await.status, 200, "health is not counted");

    let open = Api::start_with(&shop, &["--allow-anonymous"], &[]).await;
    open.wait_for("/readyz", 200).await;
    let answer = open.get_with("/v1/buyers/ann", &[NOBODY[0], page[0]]).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.contains_key("access-control-allow-origin"), "{answer:?}");

    let elsewhere = ["serve", &shop.name, "--listen", "0.0.0.0:0", "--metrics-listen", "none", "--keys", "no-keys.json"];
    let mut refused = tokio::process::Command::from(shop.sluice(&elsewhere).await);
    let refused = tokio::time::timeout(Duration::from_mins(1), refused.kill_on_drop(true).output()).await;
    let refused = refused.expect("it serves everybody").unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("--allow-anonymous"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_for_people_can_be_left_out() {
    let shop = shop(orders([(1, 1, "ann")])).await;
    let api = Api::start_with(&shop, &["--api-only"], &[]).await;
    api.wait_for("/v1/buyers/ann", 200).await;
    let open = Api::start(&shop).await;
    for path in ["/", "/docs"] {
        assert_eq!(open.get_with(path, &NOBODY).await.status, 200, "{path}");
        assert_eq!(api.get(path).await.code(), "not-found", "{path}");
        // Without a key it is not even said that nothing is there.
        assert_eq!(api.get_with(path, &NOBODY).await.status, 401, "{path}");
    }
    // Whatever else there is takes a key.
    let document = open.get("/openapi.json").await.json();
    let declared = document["paths"].as_object().unwrap().keys().map(String::as_str);
    let declared: Vec<_> = declared.filter(|path| !["/livez", "/readyz", "/health"].contains(path)).collect();
    assert!(declared.len() > 5, "{declared:?}");
    for path in declared.into_iter().chain(["/openapi.json", "/v1/nothing", "/nothing", "/metrics", "/docs/nothing"]) {
        assert_eq!(open.get_with(path, &NOBODY).await.code(), "unauthorized", "{path}");
    }
    assert_eq!(api.get("/openapi.json").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn cassandra_may_come_later_go_and_come_back() {
    let shop = shop(orders([(1, 1, "ann")])).await;
    let proxy = Proxy::to(cassandra_node::hosts().await.iter().next().unwrap().to_owned()).await;
    proxy.cut();
    let address = proxy.address().to_string();
    let api = Api::start_with(&shop, &["--deadline", "2"], &[("CASSANDRA_HOST", &address)]).await;
    let deadline = Instant::now() + Duration::from_mins(1);
    let waiting = loop {
        let waiting = api.wait_for("/readyz", 503).await.json();
        if waiting["parts"]["cassandra"]["reason"] != "not started yet" {
            break waiting;
        }
        assert!(Instant::now() < deadline, "{waiting}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(waiting["parts"]["cassandra"]["status"], "down", "{waiting}");
    // It is read without a key: where Cassandra is, is for the log.
    assert_eq!(waiting["parts"]["cassandra"]["reason"], "Cassandra does not answer");
    assert!(!waiting.to_string().contains("127.0.0.1"), "{waiting}");
    assert!(api.log().contains(&address), "{}", api.log());
    assert_eq!(api.get("/livez").await.status, 200);
    let refused = api.get("/v1/buyers/ann").await;
    assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("unavailable", "2"));

    proxy.mend();
    api.wait_for("/readyz", 200).await;
    assert_eq!(api.get("/v1/buyers/ann").await.status, 200);
    let take_away: [fn(&Proxy); 2] = [Proxy::cut, Proxy::freeze];
    for take_away in take_away {
        take_away(&proxy);
        api.wait_for("/readyz", 503).await;
        let asked = Instant::now();
        let away = api.get("/v1/buyers/ann/orders").await;
        assert_eq!((away.code().as_str(), away.header("retry-after")), ("unavailable", "2"), "after {:?}", asked.elapsed());
        proxy.mend();
        api.wait_for("/v1/buyers/ann/orders", 200).await;
        api.wait_for("/readyz", 200).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_and_started_anew_is_found_again() {
    let mut own = OwnNode::new();
    let state = own.up().await;
    own.options.port = Some(state.port);
    let address = state.address().to_string();
    let shop = shop_folder().await;
    shop.serve_at("orders", orders([(1, 1, "ann")]));
    let mut run = shop.sluice(&["run", &shop.name]).await;
    let ran = run.env("CASSANDRA_HOST", &address).env("ORDERS_URL", shop.server.url("/orders")).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let api = Api::start_with(&shop, &[], &[("CASSANDRA_HOST", &address)]).await;
    api.wait_for("/v1/buyers/ann/orders", 200).await;

    signal(&state, nix::sys::signal::Signal::SIGKILL);
    api.wait_for("/readyz", 503).await;
    assert_eq!(api.get("/livez").await.status, 200);
    let away = api.get("/v1/buyers/ann/orders").await;
    assert_eq!((away.code().as_str(), away.header("retry-after")), ("unavailable", "2"));
    restarted(&own).await;
    api.wait_for("/readyz", 200).await;
    let again = api.wait_for("/v1/buyers/ann/orders", 200).await;
    assert_eq!(again.json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_dropped_is_missed_until_it_is_there_again() {
    let shop = shop(orders([(1, 1, "ann")])).await;
    let api = Api::start(&shop).await;
    assert_eq!(api.get("/v1/buyers/ann/orders").await.status, 200);
    shop.cql_by_hand("DROP TABLE {ks}.orders_by_buyer").await;
    let gone = api.wait_for("/v1/buyers/ann/orders", 503).await;
    assert_eq!((gone.code().as_str(), gone.header("retry-after")), ("unavailable", "2"));
    becomes_unprepared(&api).await;
    let named = |line: &str| line.contains("not ready") && line.contains("orders_by_buyer");
    let deadline = Instant::now() + Duration::from_mins(1);
    while !api.log().lines().any(named) {
        assert!(Instant::now() < deadline, "{}", api.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(api.get("/v1/buyers/ann").await.status, 200, "other tables are read as before");

    shop.run().await;
    api.wait_for("/readyz", 200).await;
    let again = api.wait_for("/v1/buyers/ann/orders", 200).await;
    assert_eq!(again.json()["items"].as_array().unwrap().len(), 1);

    // That of the checkpoints is asked for by the server itself.
    shop.cql_by_hand("DROP TABLE {ks}.sluice_checkpoints").await;
    becomes_unprepared(&api).await;
    let made = shop.sluice(&["create-tables", &shop.name]).await.env("ORDERS_URL", shop.server.url("/orders")).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    api.wait_for("/readyz", 200).await;
    api.wait_for("/v1/buyers/ann/orders", 200).await;
}

/// Waits until `/readyz` says that it is tables, and not Cassandra, that are missing.
async fn becomes_unprepared(api: &Api) {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let told = api.get("/readyz").await;
        let parts = &told.json()["parts"];
        if (told.status, &parts["statements"]["status"], &parts["cassandra"]["status"]) == (503, &json!("down"), &json!("ok")) {
            return;
        }
        assert!(Instant::now() < deadline, "{told:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_a_connection_took_with_it_is_sent_again() {
    let shop = shop(orders([(1, 1, "ann")])).await;
    let proxy = Proxy::to(cassandra_node::hosts().await.iter().next().unwrap().to_owned()).await;
    let address = proxy.address().to_string();
    let api = Api::start_with(&shop, &[], &[("CASSANDRA_HOST", &address)]).await;
    let again = async || {
        let metrics = api.metrics().await;
        let counted = metrics.lines().filter(|line| line.starts_with("sluice_cassandra_retries_total{"));
        counted.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum::<f64>()
    };
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        api.wait_for("/v1/buyers/ann/orders", 200).await;
        if again().await > 0.0 {
            break;
        }
        assert!(Instant::now() < deadline, "{}", api.metrics().await);
        // Where it is seen first that Cassandra is gone, nothing is read at all.
        proxy.cut();
        api.get("/v1/buyers/ann/orders").await;
        proxy.mend();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_end_answers_what_it_has_begun() {
    let shop = shop(orders([(1, 1, "ann")])).await;
    let proxy = Proxy::to(cassandra_node::hosts().await.iter().next().unwrap().to_owned()).await;
    let address = proxy.address().to_string();
    let mut api = Api::start_with(&shop, &[], &[("CASSANDRA_HOST", &address)]).await;
    api.wait_for("/v1/buyers/ann", 200).await;
    proxy.freeze();
    let (answer, ()) = tokio::join!(api.get("/v1/buyers/ann/orders"), async {
        // The request is on its way to a Cassandra that does not answer.
        tokio::time::sleep(Duration::from_millis(300)).await;
        api.signal(nix::sys::signal::Signal::SIGTERM);
        tokio::time::sleep(Duration::from_millis(300)).await;
        proxy.mend();
    });
    assert_eq!(answer.status, 200, "{answer:?}");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !api.has_ended() {
        assert!(Instant::now() < deadline, "it ends once all is answered");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn how_fresh_a_table_is_is_asked_once_a_second_whatever_the_load() {
    let shop = shop(orders([(1, 1, "ann")])).await;
    let api = Api::start(&shop).await;
    // Cassandra's own count of reads of the table of checkpoints.
    let reads = async || -> u64 {
        let counted = "SELECT count FROM system_views.local_read_latency WHERE keyspace_name = '{ks}' AND table_name = 'sluice_checkpoints'";
        shop.cql(counted).await[0].parse().unwrap()
    };
    let (before, started) = (reads().await, Instant::now());
    let asking = (0..16).map(async |_| {
        let mut answered = 0_u64;
        // Within what its key may ask.
        while started.elapsed() < Duration::from_secs(4) && answered < 2_000 {
            assert_eq!(api.get("/v1/buyers/ann").await.status, 200);
            answered += 1;
        }
        answered
    });
    let answered: u64 = futures::future::join_all(asking).await.into_iter().sum();
    let (read, seconds) = (reads().await - before, started.elapsed().as_secs() + 1);
    // The server looks by itself too: by each of its threads every two seconds, and at the three tables every three.
    let threads = std::thread::available_parallelism().unwrap().get() as u64;
    let looks = threads * (seconds / 2 + 1) + 3 * (seconds / 3 + 1);
    assert!(read > 0 && read <= seconds + 1 + looks, "{read} reads for {answered} answers in {seconds} s");
    assert!(answered > 4 * (seconds + 1 + looks), "{answered} answers show nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_was_asked_by_the_names_of_endpoints() {
    let shop = shop(orders([(1, 1, "ann")])).await;
    let api = Api::start(&shop).await;
    for path in ["/v1/buyers/ann", "/v1/buyers/ann?x=1", "/v1/buyers/ann/orders"] {
        api.get(path).await;
    }
    let metrics = api.metrics().await;
    let has = |start: &str, labels: &[&str], value: &str| {
        metrics
            .lines()
            .any(|line| line.starts_with(start) && labels.iter().all(|label| line.contains(label)) && line.ends_with(value))
    };
    assert!(has("sluice_http_requests_total{", &["endpoint=\"buyer\"", "status=\"200\""], " 1"), "{metrics}");
    assert!(has("sluice_http_requests_total{", &["endpoint=\"buyer\"", "status=\"400\""], " 1"), "{metrics}");
    assert!(has("sluice_cassandra_requests_total{", &["endpoint=\"orders_of_buyer\"", "result=\"ok\""], " 1"), "{metrics}");
    assert!(!metrics.contains(&api.key), "no secret");
}
