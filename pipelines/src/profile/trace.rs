//! The file: one JSON object in Chrome's trace event format, whole after each write.
//!
//! Each write goes to where the last one closed the array and closes it again. Times are microseconds since the file was made.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Map, Value, json};

/// The fields of a span, or the values of a counter.
pub(super) type Arguments = Map<String, Value>;

/// Closes what the header opens.
const END: &[u8] = b"\n]}\n";
/// So much is kept in memory at most.
const PENDING_BYTES: usize = 64 << 10;
/// What shows that a step did not come to its end.
const UNFINISHED: &str = "unfinished";

/// Where a span is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    /// That of a stage, or of something else that goes on beside stages.
    Lane(u64),
    Thread(u64),
}

/// One span that has begun.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    pub(super) row: Row,
    pub(super) name: String,
    /// Nanoseconds since the file was made.
    pub(super) at: u64,
    /// Whether the file has its beginning.
    pub(super) is_written: bool,
}

pub(super) struct Trace {
    path: PathBuf,
    started: Instant,
    state: Mutex<State>,
}

struct State {
    file: File,
    /// Where the closing of the array stands in the file.
    end: u64,
    pending: Vec<u8>,
    /// The last time that was given to a beginning: no two have the same, so that what began later is drawn below.
    last: u64,
    lanes: u64,
    threads: BTreeSet<u64>,
    /// By the order in which they began.
    open: BTreeMap<u64, Begun>,
    counts: BTreeMap<String, Arguments>,
    failed: Option<io::Error>,
    is_finished: bool,
}

impl Trace {
    pub(super) fn create(path: &Path, command: &str) -> io::Result<Self> {
        let about = json!({
            "command": command,
            "program": concat!("sluice ", env!("CARGO_PKG_VERSION")),
            "started_at": chrono::Utc::now().to_rfc3339(),
        });
        let process = json!({ "ph": "M", "pid": 1, "tid": 0, "ts": 0, "name": "process_name", "args": { "name": command } });
        let pending = format!("{{\"displayTimeUnit\":\"ms\",\"otherData\":{about},\"traceEvents\":[\n{process}").into_bytes();
        let mut state = State {
            file: File::create(path)?,
            end: 0,
            pending,
            last: 0,
            lanes: 0,
            threads: BTreeSet::new(),
            open: BTreeMap::new(),
            counts: BTreeMap::new(),
            failed: None,
            is_finished: false,
        };
        state.write()?;
        Ok(Self { path: path.to_owned(), started: Instant::now(), state: Mutex::new(state) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Nanoseconds since the file was made.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// A row that nothing was drawn in.
    pub(super) fn new_lane(&self) -> Row {
        let mut state = self.state();
        state.lanes += 1;
        Row::Lane(state.lanes)
    }

    /// A span begins now; returns its number. Waits are written when they end, if they are worth it.
    pub(super) fn begin(&self, row: Row, name: String, arguments: &Arguments, is_wait: bool) -> u64 {
        let now = self.now();
        let mut state = self.state();
        let at = now.max(state.last + 1);
        state.last = at;
        let begun = Begun { row, name, at, is_written: !is_wait && matches!(row, Row::Lane(_)) };
        if begun.is_written {
            state.event("b", &begun, at, arguments);
        }
        state.open.insert(at, begun);
        at
    }

    /// The span of that number ended; of one that is shorter than `shortest` nanoseconds and was not written yet, nothing is.
    pub(super) fn end(&self, number: u64, shortest: u64, arguments: &Arguments) {
        let now = self.now();
        let mut state = self.state();
        // Two of the file's nanoseconds may have been the same of the clock's.
        let Some(begun) = state.open.remove(&number) else { return };
        let ended = now.max(begun.at + 1).max(state.last);
        if begun.is_written || ended - begun.at >= shortest {
            state.ended(&begun, ended, arguments);
        }
    }

    /// The thread that asks: its row, named after it.
    pub(super) fn this_thread(&self, number: u64, name: &str) -> Row {
        let mut state = self.state();
        if state.threads.insert(number) {
            let named = json!({ "ph": "M", "pid": 1, "tid": number, "ts": 0, "name": "thread_name", "args": { "name": name } });
            state.push(&named);
        }
        Row::Thread(number)
    }

    /// A counter is to have these values when counters are looked at next.
    pub(super) fn count_later(&self, counter: String, values: Arguments) {
        self.state().counts.insert(counter, values);
    }

    /// What [`Self::count_later`] was told since the last call.
    pub(super) fn take_counts(&self) -> BTreeMap<String, Arguments> {
        std::mem::take(&mut self.state().counts)
    }

    /// A counter has these values from now on.
    pub(super) fn count(&self, counter: &str, values: &Value) {
        let at = micros(self.now());
        self.state().push(&json!({ "ph": "C", "pid": 1, "tid": 0, "ts": at, "name": counter, "args": values }));
    }

    /// Writes what is in memory.
    pub(super) fn flush(&self) {
        self.state().flush();
    }

    /// Ends what is open, and writes no more from here on. `None` where that was done before.
    pub(super) fn finish(&self) -> Option<io::Result<()>> {
        let now = self.now();
        let mut state = self.state();
        if state.is_finished {
            return None;
        }
        let marked: Arguments = [(UNFINISHED.to_owned(), Value::Bool(true))].into_iter().collect();
        // What began last is within what began before it.
        while let Some((_, begun)) = state.open.pop_last() {
            state.ended(&begun, now.max(begun.at + 1), &marked);
        }
        state.flush();
        state.is_finished = true;
        Some(state.failed.take().map_or(Ok(()), Err))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ended(&mut self, begun: &Begun, ended: u64, arguments: &Arguments) {
        if matches!(begun.row, Row::Thread(_)) {
            self.event("X", begun, ended, arguments);
            return;
        }
        if !begun.is_written {
            self.event("b", begun, begun.at, &Arguments::new());
        }
        self.event("e", begun, ended, arguments);
    }

    fn event(&mut self, phase: &str, begun: &Begun, at: u64, arguments: &Arguments) {
        let Begun { row, name, at: since, .. } = begun;
        let event = match row {
            Row::Lane(lane) => {
                json!({ "ph": phase, "cat": "step", "id2": { "local": lane.to_string() }, "pid": 1, "tid": 0, "ts": micros(at), "name": name, "args": arguments })
            }
            Row::Thread(thread) => json!({
                "ph": phase, "cat": "thread", "pid": 1, "tid": thread, "ts": micros(*since), "dur": micros(at - since),
                "name": name, "args": arguments,
            }),
        };
        self.push(&event);
    }

    fn push(&mut self, event: &Value) {
        if self.is_finished || self.failed.is_some() {
            return;
        }
        self.pending.extend_from_slice(b",\n");
        serde_json::to_writer(&mut self.pending, event).expect("an event is plain data");
        if self.pending.len() > PENDING_BYTES {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.failed.is_none() && !self.pending.is_empty() {
            self.failed = self.write().err();
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let whole = self.pending.len() as u64;
        self.pending.extend_from_slice(END);
        self.file.write_all_at(&self.pending, self.end)?;
        self.end += whole;
        self.pending.clear();
        Ok(())
    }
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(path: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        let whole: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        whole["traceEvents"].as_array().unwrap().clone()
    }

    #[test]
    fn the_file_is_whole_json_after_each_write_and_what_is_open_is_ended_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.json");
        let trace = Trace::create(&path, "sluice \"run\"").unwrap();
        assert_eq!(events(&path).len(), 1);
        let none = Arguments::new();
        let lane = trace.new_lane();
        let outer = trace.begin(lane, "outer".to_owned(), &none, false);
        let inner = trace.begin(lane, "inner".to_owned(), &none, false);
        trace.flush();
        assert_eq!(events(&path).len(), 3);
        trace.end(inner, 0, &none);
        let short = trace.begin(lane, "wait for nothing".to_owned(), &none, true);
        trace.end(short, u64::MAX, &none);
        let _ = trace.begin(trace.this_thread(7, "seventh"), "work".to_owned(), &none, false);
        assert!(trace.finish().unwrap().is_ok());
        assert!(trace.finish().is_none());
        trace.end(outer, 0, &none);
        trace.flush();

        let events = events(&path);
        let told: Vec<_> = events.iter().map(|event| format!("{} {}", event["ph"], event["name"]).replace('"', "")).collect();
        let wanted = ["M process_name", "b outer", "b inner", "e inner", "M thread_name", "X work", "e outer"];
        assert_eq!(told, wanted);
        let begins: Vec<f64> = events[1..3].iter().map(|event| event["ts"].as_f64().unwrap()).collect();
        assert!(begins[0] < begins[1], "{begins:?}");
        assert_eq!(events[6]["args"]["unfinished"], true);
    }
}
