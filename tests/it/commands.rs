//! The commands that a user lives in, through the real program. None of them needs a Cassandra.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use tests::kit::program;

/// The shipped session events, in a folder that the test may change.
fn session_events() -> TempDir {
    let base = TempDir::with_prefix("sluice test ").unwrap();
    let folder = base.path().join("session_events");
    std::fs::create_dir_all(&folder).unwrap();
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines/session_events")).unwrap().flatten() {
        std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    base
}

fn edit(base: &TempDir, file: &str, from: &str, to: &str) {
    let path = base.path().join("session_events").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "`{from}` is not in {file}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// `sluice ARGUMENTS` in this folder, with nothing of the environment of whoever tests.
fn sluice(base: &TempDir, arguments: &[&str]) -> Said {
    let output = Command::new(program("sluice"))
        .args(arguments)
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "HOME"))
        .env("SESSION_EVENTS_URL", "https://me:hunter2@127.0.0.1:9/events.gz")
        .env("SLUICE_PIPELINES", base.path())
        .current_dir(base.path())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn json(base: &TempDir, arguments: &[&str]) -> (Option<i32>, Value) {
    let said = sluice(base, arguments);
    let document = serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", said.stdout, said.stderr));
    (said.code, document)
}

/// `file:line:column severity: message (hint)` of every problem.
fn problems(document: &Value) -> Vec<String> {
    let one = |problem: &Value| {
        let text = |field: &str| problem[field].as_str().unwrap_or_default().to_owned();
        let hint = problem["hint"].as_str().map(|hint| format!(" ({hint})")).unwrap_or_default();
        let file = text("file").rsplit('/').next().unwrap().to_owned();
        format!("{file}:{}:{} {}: {}{hint}", problem["line"], problem["column"], text("severity"), text("message"))
    };
    document["problems"].as_array().unwrap().iter().map(one).collect()
}

#[test]
fn the_shipped_pipeline_has_nothing_to_be_said_about_it_and_its_tables_are_listed() {
    let base = session_events();
    let said = sluice(&base, &["check", "session_events"]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    assert!(
        said.stdout.contains("  ts          timestamp\n") && said.stdout.contains("session_events: nothing is wrong"),
        "{}",
        said.stdout
    );

    let (code, document) = json(&base, &["check", "session_events", "--output", "json"]);
    assert_eq!((code, &document["schema"], &document["ok"]), (Some(0), &1.into(), &true.into()));
    assert_eq!(document["problems"], serde_json::json!([]), "no false alarm");
    let tables = document["tables"].as_array().unwrap();
    let names: Vec<_> =
        tables.iter().map(|table| format!("{}.{}", table["zone"].as_str().unwrap(), table["name"].as_str().unwrap())).collect();
    let use_cases = ["use_case.sessions", "use_case.starts_per_hour", "use_case.sessions_per_day", "use_case.session_lengths"];
    let served = ["started_sessions", "completed_sessions", "starts_per_hour", "sessions_per_day", "session_lengths"];
    let served = served.map(|name| format!("cassandra.{name}"));
    let served = served.each_ref().map(String::as_str);
    assert_eq!(names, [&["raw.session_events"][..], &use_cases, &served].concat());
    let end_ts = serde_json::json!({ "name": "end_ts", "type": "timestamp", "nullable": false, "role": "clustering" });
    assert_eq!(
        tables[6]["columns"][1], end_ts,
        "completed sessions have an end, which the filter says through a computed column"
    );
}

/// In one go: what the reader finds, SQL in a file, SQL in a text of the definition, shapes, types.
#[test]
fn every_mistake_of_a_folder_is_told_at_once_at_its_place() {
    let base = session_events();
    edit(&base, "pipeline.toml", "retention = \"365 days\"", "retenton = \"365 days\"");
    edit(&base, "pipeline.toml", "event <> 'start' or country is not null", "event <> 'start' or contry is not null");
    edit(&base, "pipeline.toml", "cast(ts as date)\" }", "cast(tss as date)\" }");
    edit(&base, "pipeline.toml", "coalesce(end_ts < start_ts, false)", "coalesce(end_ts < , false)");
    edit(
        &base,
        "pipeline.toml",
        "types = { session_id = \"uuid\", player_id = \"uuid\" }\n\n",
        "types = { ts = \"int\", sesion_id = \"uuid\" }\n\n",
    );
    edit(&base, "sessions.sql", "max(ts)", "maxx(ts)");
    edit(&base, "started_sessions.sql", "event_date AS day", "event_date AS dy");
    let (code, document) = json(&base, &["check", "session_events", "--output", "json"]);
    assert_eq!((code, &document["ok"]), (Some(2), &false.into()));
    assert_eq!(
        problems(&document),
        [
            "pipeline.toml:22:1 error: unknown key `retenton` (did you mean `retention`?)",
            "pipeline.toml:32:43 error: there is no column `tss` (did you mean `ts`?)",
            "pipeline.toml:36:28 error: there is no column `contry` (did you mean `country`?)",
            "pipeline.toml:65:29 error: `started_sessions.sql` does not yield `day` (did you mean `dy`?)",
            "pipeline.toml:67:23 error: `started_sessions.sql` does not yield `sesion_id` (did you mean `session_id`?)",
            "sessions.sql:7:3 error: there is no function `maxx` (did you mean `max`?)",
        ]
    );
    let said = sluice(&base, &["run", "session_events"]);
    assert_eq!(said.code, Some(2), "a run does not begin");
    assert!(said.stderr.contains("sessions.sql:7:3") && said.stderr.contains("6 errors in"), "{}", said.stderr);
    assert!(!base.path().join("lake").exists());
    assert!(!said.stderr.contains("hunter2") && !document.to_string().contains("hunter2"));

    edit(&base, "sessions.sql", "maxx(ts)", "max(ts)");
    edit(&base, "started_sessions.sql", "event_date AS dy", "event_date AS day");
    edit(&base, "pipeline.toml", "sesion_id = \"uuid\"", "session_id = \"uuid\"");
    let (_, document) = json(&base, &["check", "session_events", "--output", "json"]);
    let after = problems(&document);
    assert!(after.contains(&"pipeline.toml:51:48 error: not SQL: expected an expression, found ,".to_owned()), "{after:#?}");
    assert!(
        after.contains(&"pipeline.toml:67:16 error: ts is timestamp in the SQL and cannot be written as int (it can be written as bigint, timestamp)".to_owned()),
        "{after:#?}"
    );
}

#[test]
fn a_definition_that_is_no_toml_is_told_in_json_too() {
    let base = session_events();
    edit(&base, "pipeline.toml", "[raw.session_events]", "[raw.session_events");
    let (code, document) = json(&base, &["check", "session_events", "--output", "json"]);
    assert_eq!((code, &document["ok"], &document["pipeline"]), (Some(2), &false.into(), &Value::Null));
    assert!(problems(&document)[0].contains("not TOML: unclosed table"), "{document}");
}

#[test]
fn doubts_are_warnings_and_stop_nothing() {
    let base = session_events();
    edit(&base, "started_sessions.sql", "WHERE event = 'start'", "");
    let (code, document) = json(&base, &["check", "session_events", "--output", "json"]);
    assert_eq!((code, &document["ok"]), (Some(0), &true.into()));
    let warnings = problems(&document);
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].starts_with("pipeline.toml:65:18 warning: `country` may be null"), "{warnings:?}");
    let said = sluice(&base, &["check", "session_events"]);
    assert!(
        said.stdout.contains("nothing is wrong, 1 warning above") && said.stderr.contains("WHERE country IS NOT NULL"),
        "{}",
        said.stderr
    );
}

/// Half of it raw and use-case tables with expressions and SQL of their own, half Cassandra tables.
#[test]
fn a_definition_of_fifty_tables_is_checked_whole() {
    let base = TempDir::with_prefix("sluice test ").unwrap();
    let folder = base.path().join("many");
    std::fs::create_dir(&folder).unwrap();
    let mut toml =
        "[pipeline]\nname = \"many\"\n[source.s]\nurl = \"https://example.org/\"\n[landing.s]\nformat = \"json_lines\"\n"
            .to_owned();
    for number in 0..13 {
        let _ = write!(
            toml,
            "[raw.events_{number}]\nfrom = \"s\"\nevent_time = \"ts\"\npartition_by = \"day\"\n[raw.events_{number}.columns]\n\
             id = {{ type = \"uuid\" }}\nts = {{ type = \"timestamp\" }}\namount = {{ type = \"int64\" }}\n\
             day = {{ type = \"date\", sql = \"cast(ts as date)\" }}\n[[raw.events_{number}.checks]]\nname = \"n\"\nsql = \"amount > 0\"\n\
             [use_case.ids_{number}]\nfrom = \"events_{number}\"\nsql = \"ids_{number}.sql\"\nkey = [\"id\"]\n[use_case.ids_{number}.columns]\n\
             amount = {{ fold = \"sum\" }}\nlatest = {{ fold = \"max\" }}\nlarge = {{ sql = \"amount > 1000\" }}\n"
        );
        let ids = format!("select id, sum(amount) as amount, max(ts) as latest from events_{number} group by id");
        std::fs::write(folder.join(format!("ids_{number}.sql")), ids).unwrap();
        for (kind, from) in [("a", "raw.events"), ("b", "use_case.ids")] {
            let _ = write!(
                toml,
                "[cassandra.{kind}_{number}]\nfrom = \"{from}_{number}\"\nsql = \"{kind}_{number}.sql\"\npartition_key = [\"id\"]\n"
            );
            let sql = format!("select id, amount from {}_{number} where amount > {number}", from.split('.').nth(1).unwrap());
            std::fs::write(folder.join(format!("{kind}_{number}.sql")), sql).unwrap();
        }
    }
    std::fs::write(folder.join("pipeline.toml"), toml).unwrap();
    let (code, document) = json(&base, &["check", "many", "--output", "json"]);
    assert_eq!(code, Some(0), "{:?}", problems(&document));
    assert_eq!(document["tables"].as_array().unwrap().len(), 52);
}

/// A pipeline without Cassandra, run: two days of orders, one with an empty text and one without a value.
fn orders() -> TempDir {
    let base = TempDir::with_prefix("sluice test ").unwrap();
    let folder = base.path().join("orders");
    std::fs::create_dir(&folder).unwrap();
    let toml = r#"
[pipeline]
name = "orders"
[source.orders]
url = "file://FILE"
[landing.orders]
format = "json_lines"
[raw.orders]
from = "orders"
partition_by = "day"
unique_key = ["id"]
reject_limit = "50 %"
[raw.orders.columns]
id = { type = "int64" }
day = { type = "date" }
note = { type = "string", nullable = true }
amount = { type = "decimal(10, 2)" }
[use_case.days]
from = "orders"
sql = "days.sql"
key = ["day"]
[use_case.days.columns]
amount = { fold = "sum" }
"#;
    let file = base.path().join("orders.jsonl");
    let rows = [
        r#"{"id":1,"day":"2024-01-31","note":"a, b","amount":12.5}"#,
        r#"{"id":2,"day":"2024-01-31","note":"","amount":0.25}"#,
        r#"{"id":3,"day":"2024-02-01","amount":1}"#,
        r#"{"id":"four","day":"2024-02-01","amount":1}"#,
    ];
    std::fs::write(&file, rows.join("\n") + "\n").unwrap();
    std::fs::write(folder.join("pipeline.toml"), toml.replace("FILE", &file.display().to_string().replace(' ', "%20"))).unwrap();
    std::fs::write(folder.join("days.sql"), "select day, sum(amount) as amount from orders group by day").unwrap();
    base
}

fn ran(base: TempDir) -> TempDir {
    let said = sluice(&base, &["run", "orders"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    base
}

#[test]
fn rows_of_every_zone_can_be_shown_and_queried() {
    let base = ran(orders());
    let said = |arguments: &[&str]| {
        let said = sluice(&base, arguments);
        assert_eq!(said.code, Some(0), "{arguments:?}: {}", said.stderr);
        said.stdout
    };
    assert_eq!(
        said(&["show", "orders", "orders", "--columns", "id, note,amount", "--where", "day = '2024-01-31'", "--output", "csv"]),
        "id,note,amount\n1,\"a, b\",12.50\n2,\"\",0.25\n"
    );
    let table = said(&["show", "orders", "raw.orders", "--limit", "2"]);
    assert!(table.contains("the first 2 rows; --limit shows more"), "{table}");
    let table = said(&["show", "orders", "raw.orders"]);
    assert!(table.contains("NULL") && table.contains("\"\"") && table.contains("3 rows"), "{table}");
    assert_eq!(
        said(&["show", "orders", "days", "--columns", "day,amount", "--output", "ndjson", "--where", "amount > 2"]),
        "{\"day\":\"2024-01-31\",\"amount\":12.75}\n"
    );
    assert!(said(&["show", "orders", "quarantine", "--columns", "position,reason"]).contains("wrong_type"));
    assert!(said(&["show", "orders", "landing.orders"]).contains("orders.jsonl"));
    assert_eq!(said(&["show", "orders", "raw.orders", "--at", "0", "--output", "json"]), "[]\n", "before the first commit");

    let joined = "SELECT r.id, d.amount FROM raw.orders r JOIN use_case.days d ON r.day = d.day ORDER BY r.id DESC";
    assert_eq!(said(&["sql", "orders", joined, "--output", "csv"]), "id,amount\n3,1.00\n2,12.75\n1,12.75\n");
    std::fs::write(base.path().join("count.sql"), "-- how many\nselect count(*) as n from orders").unwrap();
    let counted: Value = serde_json::from_str(&said(&["sql", "orders", "--file", "count.sql", "--output", "json"])).unwrap();
    assert_eq!(counted, serde_json::json!([{ "n": 3 }]));
    assert!(said(&["sql", "orders", "describe days", "--output", "csv"]).contains("amount,\"decimal(38, 2)\",true"));
}

#[test]
fn a_question_that_cannot_be_answered_is_explained_with_what_is_near() {
    let base = orders();
    let refused = |arguments: &[&str], expected: &str| {
        let said = sluice(&base, arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {}{}", said.stdout, said.stderr);
        // What is told is broken into lines for the width of the terminal.
        let told = said.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(expected), "{arguments:?}: {}", said.stderr);
    };
    refused(&["show", "orders", "raw.orders"], "table raw.orders of orders does not exist hint: run `sluice create-tables");
    let base = ran(base);
    let refused = |arguments: &[&str], expected: &str| {
        let said = sluice(&base, arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {}{}", said.stdout, said.stderr);
        let told = said.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(expected), "{arguments:?}: {}", said.stderr);
    };
    refused(&["show", "orders", "order"], "did you mean `raw.orders`?");
    refused(&["show", "orders", "orders", "--columns", "id,amout"], "did you mean `amount`?");
    refused(&["show", "orders", "orders", "--where", "dya > '2024'"], "did you mean `day`?");
    refused(&["show", "orders", "orders", "--at", "99"], "has no version 99: its newest version is");
    refused(&["sql", "orders", "select idd from raw.orders"], "did you mean `id`?");
    refused(&["sql", "orders", "select * from use_case.orders"], "write `raw.orders` or `landing.orders`");
    for changing in [
        "drop table raw.orders",
        "delete from raw.orders",
        "create table x as select 1",
        "copy raw.orders to 'out.csv'",
        "set datafusion.execution.batch_size = 1",
        "create external table x stored as csv location 'orders.jsonl'",
    ] {
        refused(&["sql", "orders", changing], "this statement does not just read");
    }
    refused(&["sql", "orders", "select * from 'orders.jsonl'"], "there is no table `orders.jsonl`");
    assert!(!base.path().join("out.csv").exists());
}

/// A reader that has seen enough ends the output, and nobody is told of an error.
#[test]
fn output_into_a_pipe_that_closes_ends_quietly() {
    let base = orders();
    let query = "select a.value as x, b.value as y from generate_series(1, 2000) a cross join generate_series(1, 1000) b";
    let mut command = Command::new(program("sluice"));
    command.args(["sql", "orders", query, "--output", "csv"]).env("SLUICE_PIPELINES", base.path()).current_dir(base.path());
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut first = [0_u8; 4];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
    assert_eq!(&first, b"x,y\n");
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}

#[test]
fn the_program_says_how_it_is_used() {
    let base = TempDir::with_prefix("sluice test ").unwrap();
    let help = sluice(&base, &["--help"]).stdout;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert!(commands.len() >= 13, "{commands:?}");
    for command in commands.into_iter().filter(|command| *command != "help") {
        let said = sluice(&base, &[command, "--help"]);
        assert!(said.stdout.contains("Example") && said.stdout.contains(&format!("sluice {command}")), "{command}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(sluice(&base, &["completions", shell]).stdout.contains("url-to-landing"), "{shell}");
    }
    let (code, schema) = json(&base, &["schema"]);
    assert_eq!((code, &schema["properties"]["raw"]["additionalProperties"]["additionalProperties"]), (Some(0), &false.into()));
}

#[test]
fn under_the_name_of_a_stage_the_program_is_that_stage() {
    let base = TempDir::with_prefix("sluice test ").unwrap();
    for stage in
        ["create-tables", "url-to-landing", "landing-to-raw", "raw-to-use-case", "raw-to-cassandra", "use-case-to-cassandra"]
    {
        let link = base.path().join(stage);
        std::os::unix::fs::symlink(program("sluice"), &link).unwrap();
        let help = Command::new(&link).arg("--help").output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        assert!(help.contains(&format!("Usage: {stage} ")), "{help}");
        // What it does with a pipeline is what `sluice STAGE` does: here both miss it.
        let arguments = ["nowhere", "--pipelines", "none"];
        let own = Command::new(&link).args(arguments).output().unwrap();
        let by_command = sluice(&base, &[&[stage], &arguments[..]].concat());
        assert_eq!((own.status.code(), String::from_utf8(own.stderr).unwrap()), (by_command.code, by_command.stderr), "{stage}");
    }
}
