//! Memory, open files and disk: what a run may take, and what is left when it was killed. The real program, under limits of the
//! operating system.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::kit::program;

/// A run that takes longer hangs; on a quiet machine the longest takes some 20 s.
const DEADLINE: Duration = Duration::from_mins(5);

const DEFINITION: &str = r#"
[pipeline]
name = "orders"
[source.orders]
url = "${ORDERS_URL}"
[landing.orders]
format = "json_lines"
[raw.orders]
from = "orders"
event_time = "ts"
partition_by = "day"
unique_key = ["id"]
[raw.orders.columns]
id     = { type = "int64" }
k      = { type = "int64" }
ts     = { type = "timestamp", format = "epoch_seconds" }
amount = { type = "int64" }
day    = { type = "date", sql = "cast(ts as date)" }
[use_case.customers]
from = "orders"
sql = "customers.sql"
key = ["k"]
partition_by = "latest_day"
[use_case.customers.columns]
amount     = { fold = "sum" }
latest     = { fold = "max" }
latest_day = { sql = "cast(latest as date)" }
[use_case.days]
mode = "view"
from = "orders"
sql = "days.sql"
key = ["day"]
"#;

struct Orders {
    folder: TempDir,
}

impl Orders {
    /// A pipeline over `days` dates of `a_day` orders each; keys come again on later days, so rows move.
    fn new(days: usize, a_day: usize, changes: &[(&str, &str)]) -> Self {
        let folder = TempDir::with_prefix("sluice bounds ").unwrap();
        let definition = folder.path().join("orders");
        std::fs::create_dir(&definition).unwrap();
        let mut toml = DEFINITION.to_owned();
        for (from, to) in changes {
            assert!(toml.contains(from));
            toml = toml.replace(from, to);
        }
        let files = [
            ("pipeline.toml", toml.as_str()),
            ("customers.sql", "SELECT k, sum(amount) AS amount, max(ts) AS latest FROM orders GROUP BY k"),
            ("days.sql", "SELECT day, count(DISTINCT k) AS customers, sum(amount) AS amount FROM orders GROUP BY day"),
        ];
        for (name, text) in files {
            std::fs::write(definition.join(name), text).unwrap();
        }
        let mut lines = String::new();
        for day in 0..days {
            for number in 0..a_day {
                let (id, ts) = (day * a_day + number, 1_600_000_000 + day * 86_400 + number % 80_000);
                let key = id * 7919 % (a_day * 20);
                writeln!(lines, "{{\"id\":{id},\"k\":{key},\"ts\":{ts},\"amount\":{}}}", id % 100).unwrap();
            }
        }
        let orders = Self { folder };
        std::fs::write(orders.source(), lines).unwrap();
        orders
    }

    fn source(&self) -> PathBuf {
        self.folder.path().join("orders.jsonl")
    }

    fn lake(&self) -> PathBuf {
        self.folder.path().join("lake")
    }

    /// `sluice run` under limits as `ulimit` names them.
    fn start(&self, limits: &str) -> Child {
        self.start_with(limits, &["run", "orders", "--output", "json"])
    }

    fn start_with(&self, limits: &str, arguments: &[&str]) -> Child {
        let mut command = Command::new("bash");
        command
            .args(["-c", &format!("{limits}\nexec \"$0\" \"$@\"")])
            .arg(program("sluice"))
            .args(arguments)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "HOME"))
            .env("ORDERS_URL", url::Url::from_file_path(self.source()).unwrap().as_str())
            .env("SLUICE_PIPELINES", self.folder.path())
            .env("LAKE_URI", self.lake())
            .current_dir(self.folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Runs to the end, within the deadline: the report.
    fn run(&self, limits: &str) -> serde_json::Value {
        let child = self.start(limits);
        let output = within_deadline(child);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["accounting_closes"], true);
        report
    }

    /// What is in the lake for a time only.
    fn passing_files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        passing_files(&self.lake(), &mut found);
        found
    }
}

fn passing_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        let is_in_spill = path.parent().and_then(Path::file_name).is_some_and(|name| name == "spill");
        if is_in_spill || ["spill", "part", "tmp"].contains(&extension.as_str()) {
            found.push(path.clone());
        }
        if path.is_dir() {
            passing_files(&path, found);
        }
    }
}

fn within_deadline(child: Child) -> Output {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    let (ended, has_ended) = std::sync::mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        let hangs = has_ended.recv_timeout(DEADLINE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        if hangs {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
        hangs
    });
    let output = child.wait_with_output().unwrap();
    drop(ended);
    assert!(!watch.join().unwrap(), "it has not ended after {} s", DEADLINE.as_secs());
    output
}

fn stage<'r>(report: &'r serde_json::Value, stage: &str, target: &str) -> &'r serde_json::Value {
    let stages = report["stages"].as_array().unwrap();
    stages.iter().find(|one| one["stage"] == stage && one["target"] == target).unwrap()
}

/// 300 merges one after the other in one process, each into a table that grows, under 3 GiB of address space: none hangs, and
/// memory stays where it was.
#[test]
fn three_hundred_merges_end_under_a_memory_limit() {
    let one_by_one = [
        ("unique_key = [\"id\"]", "unique_key = [\"id\"]\nsmall_date_rows = 1"),
        ("partition_by = \"latest_day\"", "partition_by = \"latest_day\"\nbatch_rows = 1"),
    ];
    let few = Orders::new(30, 100, &one_by_one).run("ulimit -v 3145728");
    let many = Orders::new(300, 100, &one_by_one).run("ulimit -v 3145728");
    assert_eq!(stage(&many, "landing-to-raw", "orders")["commits"], 300);
    // One more for the version that made the raw table.
    assert!(stage(&many, "raw-to-use-case", "customers")["commits"].as_u64() >= Some(300));
    let peak = |report: &serde_json::Value| report["peak_memory_bytes"].as_u64().unwrap();
    println!("peak: {} MB after 30 merges, {} MB after 300", peak(&few) / 1_000_000, peak(&many) / 1_000_000);
    // Ten times the data as well: less than what a run may hold of any number, which `make bench-memory` looks at. What was freed
    // goes back within ten seconds, so some of it depends on the pace.
    assert!(peak(&many) * 2 < peak(&few) * 5, "{} after {}", peak(&many), peak(&few));
}

/// A view that has not memory enough for several parts at once is computed in one; with too little for that as well, the error
/// names the setting.
#[test]
fn a_statement_short_of_memory_is_computed_in_one_part_or_names_the_setting() {
    let orders = Orders::new(4, 40_000, &[]);
    let distinct =
        "SELECT day, count(DISTINCT k) AS customers, count(DISTINCT id) AS orders, count(DISTINCT cast(amount AS string))
        AS amounts FROM orders GROUP BY day";
    std::fs::write(orders.folder.path().join("orders/days.sql"), distinct).unwrap();
    let run = |memory: &str| within_deadline(orders.start(&format!("export SLUICE_STATEMENT_MEMORY='{memory}'")));
    let again = "computing it again in one part";

    let too_little = run("64 KiB");
    let said = String::from_utf8_lossy(&too_little.stderr);
    assert_eq!(too_little.status.code(), Some(2), "{said}");
    assert!(said.contains("days: it needs more memory than a statement may take"), "{said}");
    assert!(said.contains("--statement-memory (SLUICE_STATEMENT_MEMORY)"), "{said}");

    let enough_for_one = run("16 MiB");
    let said = String::from_utf8_lossy(&enough_for_one.stderr);
    assert_eq!(enough_for_one.status.code(), Some(0), "{said}");
    let has_many_parts = std::thread::available_parallelism().unwrap().get() > 1;
    assert_eq!(said.contains(again), has_many_parts, "{said}");

    // Computed anew with memory for all parts the table is the same.
    let anew = ["rebuild", "orders", "use_case.days", "--output", "json"];
    let unbounded = within_deadline(orders.start_with("", &anew));
    let said = String::from_utf8_lossy(&unbounded.stderr);
    assert!(unbounded.status.success() && !said.contains(again), "{said}");
    let rebuilt: serde_json::Value = serde_json::from_slice(&unbounded.stdout).unwrap();
    assert_eq!(rebuilt[0]["unchanged"], 4, "{rebuilt}");
    let bounded = within_deadline(orders.start_with("export SLUICE_STATEMENT_MEMORY='16 MiB'", &anew));
    let said = String::from_utf8_lossy(&bounded.stderr);
    assert_eq!((bounded.status.code(), said.contains(again)), (Some(0), has_many_parts), "{said}");
    assert_eq!(orders.passing_files(), Vec::<PathBuf>::new());
}

/// A load and a merge of 900 partitions at once hold no file open for each of them.
#[test]
fn nine_hundred_dates_need_no_more_than_a_hundred_open_files() {
    let orders = Orders::new(900, 30, &[]);
    let report = orders.run("ulimit -n 100");
    assert_eq!(report["stages"].as_array().unwrap().len(), 5);
    assert_eq!(stage(&report, "landing-to-raw", "orders")["counts"]["accepted"], 27_000);
    println!("peak: {} MB", report["peak_memory_bytes"].as_u64().unwrap() / 1_000_000);
    // What a merge holds of a partition must not add up either.
    assert!(report["peak_memory_bytes"].as_u64() < Some(700 << 20), "{}", report["peak_memory_bytes"]);
    assert_eq!(orders.passing_files(), Vec::<PathBuf>::new());
}

/// What a killed run has put aside is gone after the next one; so is what was put aside of a file that could not be loaded.
#[test]
fn nothing_that_was_put_aside_stays_behind() {
    let often = [("unique_key = [\"id\"]", "unique_key = [\"id\"]\nbatch_rows = 500\nreject_limit = \"1 %\"")];
    let orders = Orders::new(40, 1_000, &often);
    let mut child = orders.start("");
    let started = Instant::now();
    let spilled = |file: &PathBuf| file.ends_with("rows.spill") && std::fs::metadata(file).is_ok_and(|file| file.len() > 0);
    while !orders.passing_files().iter().any(spilled) {
        assert!(child.try_wait().unwrap().is_none() && started.elapsed() < DEADLINE, "nothing was put aside");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let of_killed = orders.lake().join("_sluice/orders/spill/left-by-a-killed-run");
    std::fs::create_dir_all(&of_killed).unwrap();
    std::fs::write(of_killed.join("rows.arrow"), [0; 1000]).unwrap();
    assert!(!orders.passing_files().is_empty());
    orders.run("");
    assert_eq!(orders.passing_files(), Vec::<PathBuf>::new());

    // A file that is stopped by its rejects, and one that is cut off in its middle; then a right one.
    let right = std::fs::read_to_string(orders.source()).unwrap();
    let half: String =
        right.lines().enumerate().map(|(at, line)| if at % 2 == 0 { "no\n".into() } else { format!("{line}\n") }).collect();
    std::fs::write(orders.source(), half).unwrap();
    assert_eq!(within_deadline(orders.start("")).status.code(), Some(3));
    assert_eq!(orders.passing_files(), Vec::<PathBuf>::new(), "after a file that was stopped");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, right.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    std::fs::write(orders.source(), &packed[..packed.len() - 100]).unwrap();
    assert_eq!(within_deadline(orders.start("")).status.code(), Some(3));
    assert_eq!(orders.passing_files(), Vec::<PathBuf>::new(), "after a file that is damaged");
    std::fs::write(orders.source(), right + "{\"id\":99999999,\"k\":1,\"ts\":1600000000,\"amount\":1}\n").unwrap();
    let report = orders.run("");
    assert_eq!(stage(&report, "landing-to-raw", "orders")["written"], 1);
    assert_eq!(orders.passing_files(), Vec::<PathBuf>::new());
}
