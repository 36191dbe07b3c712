//! What the user sees while work goes on: bars on a terminal, plain lines elsewhere; always on stderr.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use model::Progress;
use model::report::StageName;

use crate::commands;
use crate::context::Watch;

/// Between two plain lines of one stage.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Bars that share a terminal.
pub struct Bars(MultiProgress);

/// Plain lines.
pub struct Lines;

/// Nothing at all.
pub struct Nobody;

/// Bars where stderr is a terminal, lines elsewhere.
pub fn for_stderr() -> std::sync::Arc<dyn Watch> {
    if std::io::stderr().is_terminal() { std::sync::Arc::new(Bars(MultiProgress::new())) } else { std::sync::Arc::new(Lines) }
}

fn unit(stage: StageName) -> &'static str {
    if stage == StageName::UrlToLanding { "bytes" } else { "rows" }
}

impl Watch for Bars {
    fn start(&self, stage: StageName, target: &str) -> Box<dyn Progress> {
        let bar = self.0.add(ProgressBar::no_length());
        let style = if stage == StageName::UrlToLanding {
            "{prefix:44} {bar:24} {decimal_bytes:>10} {decimal_bytes_per_sec:>14} {eta:>4}"
        } else {
            "{prefix:44} {bar:24} {human_pos:>10} rows {per_sec:>12} {eta:>4}"
        };
        bar.set_style(ProgressStyle::with_template(style).expect("the template is fixed"));
        bar.set_prefix(format!("{} {target}", stage.name()));
        bar.enable_steady_tick(Duration::from_millis(200));
        Box::new(Bar(bar))
    }

    fn say(&self, line: &str) {
        // A terminal that is gone is no reason to stop.
        let _ = self.0.println(line);
    }
}

struct Bar(ProgressBar);

impl Progress for Bar {
    fn expect(&self, total: u64) {
        self.0.set_length(total);
    }

    fn advance(&self, units: u64) {
        self.0.inc(units);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Watch for Nobody {
    fn start(&self, _stage: StageName, _target: &str) -> Box<dyn Progress> {
        Box::new(model::progress::Silent)
    }

    fn say(&self, _line: &str) {}
}

impl Watch for Lines {
    fn start(&self, stage: StageName, target: &str) -> Box<dyn Progress> {
        let name = format!("{} {target}", stage.name());
        let now = Instant::now();
        Box::new(Line {
            name,
            unit: unit(stage),
            done: AtomicU64::new(0),
            expected: AtomicU64::new(0),
            started: now,
            next: Mutex::new(now + LINE_INTERVAL),
        })
    }

    fn say(&self, line: &str) {
        commands::say(line);
    }
}

struct Line {
    name: String,
    unit: &'static str,
    done: AtomicU64,
    expected: AtomicU64,
    started: Instant,
    next: Mutex<Instant>,
}

impl Progress for Line {
    fn expect(&self, total: u64) {
        self.expected.store(total, Ordering::Relaxed);
    }

    fn advance(&self, units: u64) {
        let done = self.done.fetch_add(units, Ordering::Relaxed) + units;
        let now = Instant::now();
        {
            let Ok(mut next) = self.next.try_lock() else { return };
            if now < *next {
                return;
            }
            *next = now + LINE_INTERVAL;
        }
        let (name, unit) = (&self.name, self.unit);
        let seconds = (now - self.started).as_secs_f64();
        let rate = done as f64 / seconds;
        match self.expected.load(Ordering::Relaxed) {
            0 => commands::say(&format!("{name}: {done} {unit}, {rate:.0} a second")),
            expected => {
                let left = expected.saturating_sub(done) as f64 / rate;
                commands::say(&format!("{name}: {done} of {expected} {unit}, {rate:.0} a second, {left:.0} s left"));
            }
        }
    }
}
