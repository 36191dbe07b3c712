//! The operations API: what it says of a pipeline while things happen to it.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::kit::{TestPipeline, program};
use tests::others::promtool;
use tests::source_server::Reply;

use super::kit::{Api, make_key};
use super::{SHOP, orders, shop_folder};

const STATUS: &str = "/v1/_pipeline/status";

/// Asks until the status is as it should be: it is looked at every few seconds.
async fn until(api: &Api, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let status = api.get(STATUS).await.json();
        if is_so(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "{what}: {status:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The program, told where the source is.
async fn sluice(pipeline: &TestPipeline, arguments: &[&str]) -> Command {
    let mut command = pipeline.sluice(arguments).await;
    command.env("ORDERS_URL", pipeline.server.url("/orders"));
    command
}

/// A server that is told as well.
async fn serve(pipeline: &TestPipeline) -> Api {
    Api::start_with(pipeline, &[], &[("ORDERS_URL", &pipeline.server.url("/orders"))]).await
}

/// Runs the pipeline by the program, which keeps runs on record.
async fn run(pipeline: &TestPipeline, code: i32) {
    let ran = sluice(pipeline, &["run", &pipeline.name]).await.output().unwrap();
    assert_eq!(ran.status.code(), Some(code), "{}", String::from_utf8_lossy(&ran.stderr));
}

fn found(status: &Value) -> Vec<(&str, &str)> {
    let findings = status["findings"].as_array().unwrap();
    findings.iter().map(|finding| (finding["about"].as_str().unwrap(), finding["message"].as_str().unwrap())).collect()
}

fn state_of(run: &Value) -> &str {
    run["state"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_how_a_pipeline_is_from_before_its_first_run_on() {
    let shop = shop_folder().await;
    shop.serve_at("orders", orders((1..=100).map(|id| (id, id % 50, "ann"))));
    let api = serve(&shop).await;
    let empty = until(&api, "nothing is there", |status| status["serving"]["state"] == "unprepared").await;
    assert_eq!(empty["health"], "attention");
    assert!(found(&empty).contains(&("lake", &*format!("there is nothing of shop in the lake at {}", shop.lake().display()))));
    assert_eq!((&empty["raw"][0]["version"], &empty["last_run"]), (&Value::Null, &Value::Null));
    assert_eq!(api.get("/v1/_pipeline/runs").await.json()["runs"], json!([]));
    assert_eq!(api.get("/v1/_pipeline/rejects").await.json()["records"], 0);

    run(&shop, 0).await;
    let well = until(&api, "all is well", |status| status["health"] == "ok" && status["holder"].is_null()).await;
    assert_eq!(found(&well), []);
    let landed = &well["landings"][0];
    assert_eq!((&landed["source"], &landed["files"], &landed["newest"]["receipt"]), (&json!("orders"), &json!(1), &json!(1)));
    let (raw, buyers) = (&well["raw"][0], &well["use_cases"][0]);
    assert_eq!((&raw["rows"], &raw["newest_event"]), (&json!(100), &json!("2024-03-03T01:00:00Z")));
    assert_eq!(raw["reads"], json!([{ "from": "landing.orders", "position": 1, "version": 1, "behind": 0 }]));
    assert_eq!(
        (&buyers["rows"], &buyers["reads"][0]["from"], &buyers["reads"][0]["behind"]),
        (&json!(1), &json!("raw.orders"), &json!(0))
    );
    let served = well["serving"]["tables"].as_array().unwrap();
    assert!(served.len() == 3 && served.iter().all(|table| table["reads"]["behind"] == 0), "{served:?}");
    assert!(well["serving"]["nodes"].as_array().unwrap().iter().any(|node| node["is_up"] == true));

    let metrics = api.metrics().await;
    for line in ["sluice_pipeline_health 0", "sluice_table_rows{table=\"raw.orders\"} 100", "sluice_last_run_timestamp_seconds "]
    {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    let behind: Vec<&str> = metrics.lines().filter(|line| line.starts_with("sluice_table_behind{")).collect();
    assert!(behind.len() == 5 && behind.iter().all(|line| line.ends_with(" 0")), "{behind:?}");

    // The run is on record, with its accounting and what was planned beside what came.
    let runs = api.get("/v1/_pipeline/runs").await.json();
    let listed = &runs["runs"][0];
    assert_eq!(
        (state_of(listed), &listed["counts"]["accepted"], &listed["accounting_closes"]),
        ("done", &json!(100), &json!(true))
    );
    let whole = api.get(&format!("/v1/_pipeline/runs/{}", listed["id"].as_str().unwrap())).await.json();
    let stages = whole["report"]["stages"].as_array().unwrap();
    let load = stages.iter().find(|stage| stage["stage"] == "landing-to-raw").unwrap();
    assert_eq!((&load["counts"]["read"], &load["planned"]["rows"]["fact"]), (&json!(100), &json!(100)));
    assert_eq!((&whole["remaining"], &whole["command"]), (&json!([]), &json!("sluice run shop")));
    assert_eq!(api.get("/v1/_pipeline/runs/00000000000000001").await.code(), "not-found");
    assert_eq!(api.get("/v1/_pipeline/runs/..%2f..%2fformat").await.code(), "not-found");
    assert_eq!(api.get("/v1/_pipeline/runs?limit=0").await.code(), "invalid-parameter");

    // Nothing changed: no body. And a run that finds nothing to do is a run.
    let etag = api.get(STATUS).await.header("etag").to_owned();
    assert_eq!(api.get_with(STATUS, &[("if-none-match", &etag)]).await.status, 304);
    let plan = api.get("/v1/_pipeline/plan").await.json();
    assert_eq!((&plan["is_up_to_date"], &plan["problems"]), (&json!(true), &json!([])), "{plan:#}");
    run(&shop, 0).await;
    until(&api, "a second run", |status| status["last_run"]["counts"]["read"] == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_with_what_to_do_and_the_commands_that_it_names_do_it() {
    let shop = shop_folder().await;
    let good = orders((1..=100).map(|id| (id, id % 20, "bob")));
    shop.serve_at("orders", good.clone());
    let api = serve(&shop).await;
    run(&shop, 0).await;

    // Records that cannot be taken.
    let bad = "{\"id\":777,\"ts\":\"2024-03-02T00:00:00Z\",\"buyer\":\"eve\",\"price\":\"dear\"}";
    shop.serve_at("orders", format!("{good}\n{bad}\nno json\n"));
    run(&shop, 0).await;
    let is_seen = |status: &Value| status["last_run"]["counts"]["rejected"] == 2 && status["serving"]["state"] == "connected";
    let status = until(&api, "rejects", is_seen).await;
    assert_eq!(status["health"], "attention");
    let landed = &status["landings"][0];
    assert_eq!(
        (&landed["files"], &landed["newest"]["receipt"], &status["raw"][0]["reads"][0]["behind"]),
        (&json!(2), &json!(2), &json!(0))
    );
    assert_eq!(found(&status), [("runs", "2 of 102 records of the last run were set aside")]);
    let rejects = api.get("/v1/_pipeline/rejects").await.json();
    assert_eq!((&rejects["records"], rejects["groups"].as_array().unwrap().len()), (&json!(2), 2));
    let group = rejects["groups"].as_array().unwrap().iter().find(|group| group["reason"] == "wrong_type").unwrap();
    assert!(group["samples"][0]["record"].as_str().unwrap().contains("\"price\":\"dear\""), "{group:#}");
    // Before the definition is mended a replay finds the same again.
    for (command, expected) in [(&group["list"], "dear"), (&group["replay"], "0 of 1 record would leave")] {
        let words = command.as_str().unwrap().replacen("sluice", "\"$SLUICE\"", 1);
        let mut shell = Command::new("sh");
        let environment = sluice(&shop, &[]).await;
        shell.envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("SLUICE", program("sluice"));
        let said = shell.args(["-c", &words]).current_dir(shop.definition().parent().unwrap()).output().unwrap();
        let text = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success() && text.contains(expected), "{words}: {text}");
    }

    // A source that is gone.
    shop.server.always("/orders", Reply::status(404));
    run(&shop, 2).await;
    let status = until(&api, "a failure", |status| state_of(&status["last_run"]) == "failed").await;
    assert_eq!(status["health"], "failing");
    let finding = &status["findings"][0];
    assert!(finding["message"].as_str().unwrap().starts_with("the last run failed: ") && found(&status)[0].1.contains("404"));
    assert_eq!(finding["command"], "sluice run shop");

    // A run that is killed is seen while it goes on, and known for what it is afterwards.
    shop.server.always("/orders", Reply::normal().without_validators().stall_after(10));
    shop.serve_at("orders", format!("{good}\n{}", orders([(999, 99, "cy")])));
    shop.server.always("/orders", Reply::normal().without_validators().stall_after(10));
    let mut going = sluice(&shop, &["run", "shop", "--silence", "4"]).await;
    let mut going = going.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let status = until(&api, "it goes on", |status| state_of(&status["last_run"]) == "running").await;
    assert_eq!(status["holder"]["process"], going.id());
    let run = api.get(&format!("/v1/_pipeline/runs/{}", status["last_run"]["id"].as_str().unwrap())).await.json();
    assert!(run["remaining"].as_array().unwrap().contains(&json!(["landing-to-raw", "orders"])), "{run:#}");
    going.kill().unwrap();
    going.wait().unwrap();
    let status = until(&api, "it was cut off", |status| state_of(&status["last_run"]) == "cut_off").await;
    assert_eq!((&status["holder"], &status["health"]), (&Value::Null, &json!("failing")));
    shop.server.always("/orders", Reply::normal());
    self::run(&shop, 0).await;
    until(&api, "it is well again", |status| status["health"] == "ok").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_for_endpoints_does_not_see_how_the_pipeline_is() {
    let shop = shop_folder().await;
    let api = serve(&shop).await;
    assert_eq!(api.get("/v1/_pipeline/pages").await.json()["operations"], true);
    let narrow = make_key(&shop, &["--endpoint", "orders"]).await;
    let seen = api.becomes("/v1/_pipeline/pages", &narrow, 200).await;
    assert_eq!(seen.json()["operations"], false);
    let bearer = format!("Bearer {narrow}");
    for path in ["status", "runs", "runs/00000000000000001", "rejects", "plan"] {
        let answer = api.get_with(&format!("/v1/_pipeline/{path}"), &[("authorization", &bearer)]).await;
        assert_eq!(answer.code(), "forbidden", "{path}");
    }
    let operator = make_key(&shop, &["--endpoint", "_pipeline"]).await;
    assert_eq!(api.becomes(STATUS, &operator, 200).await.json()["pipeline"], "shop");
    let bearer = format!("Bearer {operator}");
    assert_eq!(api.get_with("/v1/orders", &[("authorization", &bearer)]).await.code(), "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_serves_nothing_is_shown_all_the_same() {
    let (lake_only, _) = SHOP.split_once("[cassandra.").unwrap();
    let buyers = "SELECT buyer, count(*) AS orders, max(ts) AS latest FROM orders GROUP BY buyer";
    let shop = TestPipeline::written("shop", &[("pipeline.toml", lake_only), ("buyers.sql", buyers)]).await;
    shop.serve_at("orders", orders([(1, 1, "ann"), (2, 2, "bob")]));
    let api = serve(&shop).await;
    api.wait_for("/readyz", 200).await;
    run(&shop, 0).await;
    let status = until(&api, "the run is seen", |status| state_of(&status["last_run"]) == "done").await;
    assert_eq!((&status["serving"]["state"], &status["health"]), (&json!("not_needed"), &json!("ok")));
    assert_eq!((&status["use_cases"][0]["rows"], &status["serving"]["tables"]), (&json!(2), &json!([])));
    assert!(api.log().contains("it has no endpoints"), "{}", api.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_the_rules_of_the_guide_are_as_prometheus_wants_them() {
    let guide = include_str!("../../../docs/operations.md");
    let judged = |mut judge: Command, input: &str| {
        let piped = judge.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut judge = piped.unwrap();
        judge.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let judged = judge.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&judged.stdout).into_owned() + &String::from_utf8_lossy(&judged.stderr);
        (judged.status.success(), said)
    };
    let check = |what: &[&str]| {
        let mut judge = promtool();
        judge.arg("check").args(what);
        judge
    };
    let shop = shop_folder().await;
    shop.serve_at("orders", orders([(1, 1, "ann")]));
    run(&shop, 0).await;
    let api = Api::start_with(&shop, &["--total-rate", "3 per minute"], &[("ORDERS_URL", &shop.server.url("/orders"))]).await;
    api.wait_for("/readyz", 200).await;
    for (path, key) in
        [("/v1/buyers/ann", None), ("/v1/buyers/ann", Some("Bearer none")), ("/v1/nothing", None), ("/v1/orders", None)]
    {
        let headers: Vec<_> = key.map(|key| ("authorization", key)).into_iter().collect();
        api.get_with(path, &headers).await;
    }
    api.wait_for("/v1/buyers/ann", 429).await;
    let deadline = Instant::now() + Duration::from_mins(1);
    let metrics = loop {
        let metrics = api.metrics().await;
        if metrics.contains("sluice_table_behind{") {
            break metrics;
        }
        assert!(Instant::now() < deadline, "{metrics}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(judged(check(&["metrics"]), &metrics), (true, String::new()), "{metrics}");
    // It does say what it does not like.
    assert!(!judged(check(&["metrics"]), "# TYPE wrong counter\nwrong 1\n").0);

    // The guide names what there is.
    let shown: Vec<&str> = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(shown.len() > 15, "{shown:?}");
    for name in &shown {
        assert!(guide.contains(&format!("`{name}`")), "{name} is not in docs/operations.md");
    }
    let rules = guide.split("```yaml\n").skip(1).filter_map(|fence| fence.split("```").next());
    let rules = rules.into_iter().find(|rules| rules.starts_with("groups:")).expect("docs/operations.md has rules");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yml");
    std::fs::write(&file, rules).unwrap();
    let (is_right, said) = judged(check(&["rules", file.to_str().unwrap()]), "");
    assert!(is_right, "{said}");
    let words = rules.split(|letter: char| !(letter.is_ascii_lowercase() || letter == '_'));
    let names: Vec<&str> =
        words.filter(|word| word.starts_with("sluice_")).map(|name| name.trim_end_matches("_bucket")).collect();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        assert!(
            guide.contains(&format!("| `{name}`")) || guide.contains(&format!(", `{name}`")),
            "no metric of the guide is {name}"
        );
    }
}
