//! What a profile counts over time: memory, cores, rows a second, and what events of the crates set.
//!
//! One thread looks every [`EVERY`] and writes what changed. It also writes out what spans left in memory, so that a process that
//! is killed takes no more than that with it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model::Progress;
use model::report::StageName;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde_json::{Value, json};

use super::trace::Trace;
use crate::context::Watch;
use crate::memory;

/// Between two looks: fine enough to see a micro-batch, and some hundred events a second cost nothing.
const EVERY: Duration = Duration::from_millis(50);

/// The thread that looks.
pub(super) struct Counters {
    works: Arc<Works>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Units that are done, by what does them.
type Works = Mutex<BTreeMap<String, Arc<AtomicU64>>>;

impl Counters {
    pub(super) fn start(trace: Arc<Trace>) -> Self {
        let works = Arc::new(Works::default());
        let (stop, stopped) = channel();
        let looked_at = Arc::clone(&works);
        let look = move || {
            let mut looking = Looking::new(trace, looked_at);
            loop {
                looking.look();
                if !matches!(stopped.recv_timeout(EVERY), Err(RecvTimeoutError::Timeout)) {
                    break;
                }
            }
            looking.look();
        };
        let thread = std::thread::Builder::new().name("profile".to_owned()).spawn(look).ok();
        Self { works, stop: Some(stop), thread }
    }

    pub(super) fn watching(&self, watch: Arc<dyn Watch>) -> Arc<dyn Watch> {
        Arc::new(Counted { watch, works: Arc::clone(&self.works) })
    }

    /// Looks a last time.
    pub(super) fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Looking {
    trace: Arc<Trace>,
    works: Arc<Works>,
    at: Instant,
    cpu_micros: i64,
    done: BTreeMap<String, u64>,
    written: BTreeMap<String, Value>,
}

impl Looking {
    fn new(trace: Arc<Trace>, works: Arc<Works>) -> Self {
        Self { trace, works, at: Instant::now(), cpu_micros: cpu_micros(), done: BTreeMap::new(), written: BTreeMap::new() }
    }

    fn look(&mut self) {
        let now = Instant::now();
        let seconds = now.duration_since(self.at).as_secs_f64();
        self.at = now;
        if let Some(bytes) = memory::resident_bytes() {
            self.write("resident memory".to_owned(), json!({ "MiB": bytes >> 20 }));
        }
        let cpu = cpu_micros();
        if seconds > 0.01 {
            let cores = (cpu - self.cpu_micros) as f64 / 1e6 / seconds;
            self.write("cores".to_owned(), json!({ "at work": (cores * 100.0).round() / 100.0 }));
            let works = self.works.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for (name, done) in works {
                let done = done.load(Ordering::Relaxed);
                let before = self.done.insert(name.clone(), done).unwrap_or(0);
                let rate = ((done - before) as f64 / seconds).round();
                self.write(name, json!({ "a second": rate }));
            }
        }
        self.cpu_micros = cpu;
        for (counter, values) in self.trace.take_counts() {
            self.write(counter, Value::Object(values));
        }
        self.trace.flush();
    }

    fn write(&mut self, counter: String, values: Value) {
        if self.written.get(&counter) != Some(&values) {
            self.trace.count(&counter, &values);
            self.written.insert(counter, values);
        }
    }
}

fn cpu_micros() -> i64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |used| (used.user_time() + used.system_time()).num_microseconds())
}

/// A watch whose progress is counted.
struct Counted {
    watch: Arc<dyn Watch>,
    works: Arc<Works>,
}

impl Watch for Counted {
    fn start(&self, stage: StageName, target: &str) -> Box<dyn Progress> {
        let unit = if stage == StageName::UrlToLanding { "bytes" } else { "rows" };
        let name = format!("{} {target}: {unit}", stage.name());
        let done = Arc::clone(self.works.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default());
        Box::new(CountedProgress { progress: self.watch.start(stage, target), done })
    }

    fn say(&self, line: &str) {
        self.watch.say(line);
    }
}

struct CountedProgress {
    progress: Box<dyn Progress>,
    done: Arc<AtomicU64>,
}

impl Progress for CountedProgress {
    fn expect(&self, total: u64) {
        self.progress.expect(total);
    }

    fn advance(&self, units: u64) {
        self.done.fetch_add(units, Ordering::Relaxed);
        self.progress.advance(units);
    }
}
