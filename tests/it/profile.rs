//! `--profile FILE`: the trace of a real run against its report, and traces of runs that do not come to their end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tests::kit::TestPipeline;
use tests::session_events::{Dataset, Options};
use tests::source_server::Reply;

/// What was drawn, with times in microseconds.
#[derive(Debug, Clone)]
struct Slice {
    name: String,
    began: f64,
    ended: f64,
    arguments: Value,
    /// Of the slices of its row, in order of their beginnings: where the one is that it lies in.
    parent: Option<usize>,
}

struct Trace {
    /// By row, each in order of their beginnings.
    lanes: BTreeMap<String, Vec<Slice>>,
    threads: BTreeMap<u64, Vec<Slice>>,
    counters: BTreeMap<String, Vec<Value>>,
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Reads a trace as a viewer would: begins and ends of a row pair up as brackets do.
fn read(path: &Path) -> Trace {
    let text = std::fs::read_to_string(path).unwrap();
    let whole: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let mut trace = Trace { lanes: BTreeMap::new(), threads: BTreeMap::new(), counters: BTreeMap::new() };
    let mut events = whole["traceEvents"].as_array().unwrap().clone();
    events.sort_by(|one, other| number(&one["ts"]).total_cmp(&number(&other["ts"])));
    let mut open: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for event in events {
        let (name, at) = (event["name"].as_str().unwrap().to_owned(), number(&event["ts"]));
        match event["ph"].as_str().unwrap() {
            "b" => {
                let lane = event["id2"]["local"].as_str().unwrap().to_owned();
                let slices = trace.lanes.entry(lane.clone()).or_default();
                let open = open.entry(lane).or_default();
                let parent = open.last().copied();
                open.push(slices.len());
                slices.push(Slice { name, began: at, ended: f64::NAN, arguments: event["args"].clone(), parent });
            }
            "e" => {
                let lane = event["id2"]["local"].as_str().unwrap().to_owned();
                let place = open.get_mut(&lane).and_then(Vec::pop).unwrap_or_else(|| panic!("{name} ends and never began"));
                let slice = &mut trace.lanes.get_mut(&lane).unwrap()[place];
                assert_eq!(slice.name, name, "what began last in a row ends first");
                slice.ended = at;
                let more = event["args"].as_object().unwrap().clone();
                slice.arguments.as_object_mut().unwrap().extend(more);
            }
            "X" => {
                let ended = at + number(&event["dur"]);
                let slice = Slice { name, began: at, ended, arguments: event["args"].clone(), parent: None };
                trace.threads.entry(event["tid"].as_u64().unwrap()).or_default().push(slice);
            }
            "C" => trace.counters.entry(name).or_default().push(event["args"].clone()),
            "M" => {}
            other => panic!("an event {other}"),
        }
    }
    trace
}

impl Trace {
    /// Every slice ended within the one that it lies in; those of a thread lie within each other or apart.
    fn check_nesting(&self) {
        for slices in self.lanes.values() {
            for slice in slices {
                assert!(slice.began < slice.ended, "{slice:?} never ended");
                if let Some(parent) = slice.parent.map(|parent| &slices[parent]) {
                    assert!(parent.began < slice.began && slice.ended <= parent.ended, "{slice:?} is not within {parent:?}");
                }
            }
        }
        for slices in self.threads.values() {
            let mut around: Vec<&Slice> = Vec::new();
            for slice in slices {
                around.retain(|outer| outer.ended > slice.began);
                assert!(around.iter().all(|outer| slice.ended <= outer.ended), "{slice:?} sticks out of {around:?}");
                around.push(slice);
            }
        }
    }

    /// The one slice of that name, the slices of its row, and where it is among them.
    fn one(&self, name: &str) -> (&[Slice], usize) {
        let found = self.lanes.values().flat_map(|row| row.iter().enumerate().map(move |(at, slice)| (row, at, slice)));
        let found: Vec<_> = found.filter(|(_, _, slice)| slice.name == name).collect();
        assert_eq!(found.len(), 1, "{name}: {:?}", self.names());
        (found[0].0, found[0].1)
    }

    /// How many slices whose names begin so lie, in whatever row, in the time of this one.
    fn during(&self, whole: &Slice, name: &str) -> usize {
        let is_within = |slice: &&Slice| slice.began > whole.began && slice.ended < whole.ended;
        self.lanes.values().flatten().filter(|slice| slice.name.starts_with(name)).filter(is_within).count()
    }

    fn names(&self) -> BTreeSet<&str> {
        let all = self.lanes.values().chain(self.threads.values()).flatten();
        all.map(|slice| slice.name.as_str()).collect()
    }
}

/// How many slices whose names begin so lie in the one at a place.
fn within(row: &[Slice], place: usize, name: &str) -> usize {
    let is_within = |slice: &&Slice| {
        let mut parent = slice.parent;
        while let Some(at) = parent.filter(|at| *at != place) {
            parent = row[at].parent;
        }
        parent.is_some()
    };
    row.iter().filter(|slice| slice.name.starts_with(name)).filter(is_within).count()
}

async fn run_with_profile(t: &TestPipeline, more: &[(&str, &str)]) -> (Output, PathBuf) {
    let profile = t.definition().join("run.trace.json");
    let arguments = ["run", "session_events", "--output", "json", "--profile", profile.to_str().unwrap()];
    let mut command = t.sluice(&arguments).await;
    command.envs(more.iter().copied());
    (tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap(), profile)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stage_and_micro_batch_of_the_report_is_drawn_and_lies_where_it_belongs() {
    let data = Dataset::generate(&Options::small(3_000, 5)).unwrap();
    let t = TestPipeline::session_events().await;
    t.one_date_a_commit().serve(data.to_bytes());
    let (output, profile) = run_with_profile(&t, &[]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("profile in "), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let trace = read(&profile);
    trace.check_nesting();

    for stage in report["stages"].as_array().unwrap() {
        let (name, target) = (stage["stage"].as_str().unwrap(), stage["target"].as_str().unwrap());
        let (row, place) = trace.one(&format!("stage {name} {target}"));
        let drawn = (row[place].ended - row[place].began) / 1e6;
        let reported = number(&stage["seconds"]);
        let whole = number(&report["seconds"]);
        assert!(drawn >= reported && drawn <= whole, "{name} {target}: {drawn} s drawn, {reported} s of {whole} s reported");
        let batches = within(row, place, "micro-batch ");
        let commits = usize::try_from(stage["commits"].as_u64().unwrap()).unwrap();
        match name {
            "landing-to-raw" | "raw-to-use-case" => {
                assert!(commits > 0);
                assert_eq!(batches, commits, "{name} {target}");
                // The next batch is prepared while one is committed: either may have a row of its own.
                assert!(trace.during(&row[place], "commit") >= commits, "{name} {target}");
            }
            "raw-to-cassandra" | "use-case-to-cassandra" => {
                assert!(batches > 0, "{name} {target}");
                assert_eq!(within(row, place, "send"), batches, "{name} {target}");
                assert_eq!(within(row, place, "checkpoint"), batches, "{name} {target}");
            }
            _ => assert_eq!(batches, 0, "{name} {target}"),
        }
    }
    let (row, loading) = trace.one("stage landing-to-raw session_events");
    let named = within(row, loading, "micro-batch 2016-");
    assert!(named >= 5 && named == within(row, loading, "micro-batch "), "the dates are named: {:?}", trace.names());

    // The threads' work is within the reading of the file.
    let reading = row.iter().find(|slice| slice.name.starts_with("read the file ")).unwrap();
    let decoding: Vec<_> = trace.threads.values().flatten().filter(|slice| slice.name == "decode").collect();
    assert!(!decoding.is_empty(), "{:?}", trace.names());
    assert!(decoding.iter().all(|slice| slice.began > reading.began && slice.ended < reading.ended), "{decoding:?}");

    // What a step allocates is in that around it too. Decoded rows were allocated: they are no smaller than a tenth of the text.
    let allocated = |slice: &Slice| number(&slice.arguments["allocated_mb"]);
    let steps = trace.lanes.values().chain(trace.threads.values()).flatten().filter(|slice| !slice.name.starts_with("wait for"));
    assert!(steps.clone().all(|slice| allocated(slice) >= 0.0));
    let decoded: f64 = decoding.iter().map(|slice| allocated(slice)).sum();
    let checked: f64 = steps.filter(|slice| slice.name == "decode and check").map(allocated).sum();
    let text_mb = data.to_bytes().len() as f64 / 1e6;
    assert!(decoded > text_mb / 10.0 && checked >= decoded, "{checked} around {decoded} MB, of {text_mb} MB");

    let memory = &trace.counters["resident memory"];
    assert!(memory.iter().all(|values| number(&values["MiB"]) > 1.0), "{memory:?}");
    assert!(trace.counters.contains_key("cores"), "{:?}", trace.counters.keys());
    let rows = &trace.counters["landing-to-raw session_events: rows"];
    assert!(rows.iter().any(|values| number(&values["a second"]) > 0.0), "{rows:?}");
    let is_flight = |name: &&String| name.starts_with("use-case-to-cassandra ") && name.ends_with(": requests");
    assert!(trace.counters.keys().any(|name| is_flight(&name)), "{:?}", trace.counters.keys());

    // Every name is explained.
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/performance.md");
    let page = std::fs::read_to_string(page).unwrap();
    let explained: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let unexplained: Vec<_> =
        trace.names().into_iter().filter(|name| !explained.iter().any(|known| name.starts_with(known))).collect();
    assert!(unexplained.is_empty(), "not in docs/performance.md: {unexplained:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_merge_is_looked_at_while_one_is_written() {
    let data = Dataset::generate(&Options::small(500, 5)).unwrap();
    let t = TestPipeline::session_events().await;
    t.one_date_a_commit().serve(data.to_bytes());
    t.edit("[use_case.sessions]", "[use_case.sessions]\nbatch_rows = 1");
    let (output, profile) = run_with_profile(&t, &[]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let merged = report["stages"].as_array().unwrap().iter().find(|stage| stage["target"] == "sessions").unwrap();
    let commits = merged["commits"].as_u64().unwrap();
    assert!(commits >= 5, "{merged}");

    let trace = read(&profile);
    trace.check_nesting();
    let (row, merging) = trace.one("stage raw-to-use-case sessions");
    let batches: Vec<&Slice> =
        row.iter().filter(|slice| slice.parent == Some(merging) && slice.name.starts_with("micro-batch ")).collect();
    assert_eq!(batches.len() as u64, commits);
    for (number, batch) in batches.iter().enumerate() {
        let next = batches.get(number + 1).map(|next| next.name.replace("micro-batch", "look ahead"));
        let looked = next.map_or(0, |next| trace.during(batch, &next));
        assert_eq!(looked, usize::from(number + 1 < batches.len()), "{}: {:?}", batch.name, trace.names());
    }
    assert_eq!(trace.lanes.values().flatten().filter(|slice| slice.name.starts_with("look ahead")).count() as u64, commits - 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_fails_is_stopped_or_is_killed_leaves_a_whole_trace() {
    let data = Dataset::generate(&Options::small(3_000, 5)).unwrap();
    let bytes = data.to_bytes();

    let t = TestPipeline::session_events().await;
    t.server.always("/events.jsonl", Reply::status(403));
    let (output, profile) = run_with_profile(&t, &[]).await;
    assert!(!output.status.success());
    let trace = read(&profile);
    trace.check_nesting();
    let (row, place) = trace.one("stage url-to-landing events");
    assert_eq!(within(row, place, "download "), 1);

    // Killed: what had begun long before is there, and has no end.
    let t = TestPipeline::session_events().await;
    t.one_date_a_commit().serve(bytes.clone());
    let (output, profile) = run_with_profile(&t, &[("SLUICE_CRASH_AT", "raw/commit:after:3")]).await;
    assert_eq!(output.status.code(), None, "killed");
    let (trace, loading) = (read(&profile), "stage landing-to-raw session_events");
    let (row, place) = trace.one(loading);
    assert!(row[place].ended.is_nan(), "{:?}", row[place]);

    // Told to stop: all has ended, and what was under way says so or came to its end.
    let t = TestPipeline::session_events().await;
    t.serve(bytes);
    t.server.always("/events.jsonl", Reply::normal().slow(1024, Duration::from_millis(100)));
    let profile = t.definition().join("run.trace.json");
    let mut command = t.sluice(&["run", "session_events", "--profile", profile.to_str().unwrap()]).await;
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while !std::fs::read_to_string(&profile).is_ok_and(|text| text.contains("\"download ")) {
        assert!(Instant::now() < deadline, "no download began");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", text(&output.stderr));
    let trace = read(&profile);
    trace.check_nesting();
    let (row, place) = trace.one("stage url-to-landing events");
    assert_eq!(within(row, place, "download "), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_be_written_is_said_before_anything_begins() {
    let t = TestPipeline::session_events().await;
    let output = t.sluice(&["run", "session_events", "--profile", "no/such/folder/run.json"]).await.output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("--profile no/such/folder/run.json: ") && stderr.contains("hint: "), "{stderr}");
    assert!(!t.lake().exists());
}
