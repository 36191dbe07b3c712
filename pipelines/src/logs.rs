//! Logs on stderr, as plain lines for people or as JSON lines for machines.
//!
//! A warning is one line that begins with `warning:`, as errors and hints do; where it was logged and when matters only to who
//! asked for more than warnings, and is shown for those.

use std::fmt::{self, Write as _};
use std::io::IsTerminal;

use chrono::Timelike as _;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::profile::{Ours, Profile};
use crate::settings::{LogFormat, TalkArgs};

/// Bytes of what a line says beside its message; longer ones grow.
const USUAL_LENGTH: usize = 320;

/// Spans of a profile are no logs. What the driver and the readers and writers of Delta logs say is in the errors that they return, and that bytes have no
/// statistics is no news; a filter that names them (`scylla=info`) shows them all the same.
const QUIET: &str = "scylla=off,buoyant_kernel=off,profile=off,deltalake_core::kernel=off,deltalake_core::writer::stats=error";

/// Starts logging; what the filter does not understand is taken as `warn`. A profile gets its spans from here on.
pub fn start(talk: &TalkArgs, profile: Option<&Profile>) {
    start_with(&talk.log, talk.log_format, profile);
}

/// Like [`start`], for what runs on and on.
pub fn start_as(log: &str, format: LogFormat) {
    start_with(log, format, None);
}

fn start_with(log: &str, format: LogFormat, profile: Option<&Profile>) {
    // A second start, in a test, changes nothing.
    let _ = subscriber(log, format, profile).try_init();
}

fn subscriber(log: &str, format: LogFormat, profile: Option<&Profile>) -> impl Subscriber + Send + Sync + 'static {
    let filter = EnvFilter::try_new(format!("{QUIET},{log}")).unwrap_or_else(|_| EnvFilter::new(format!("{QUIET},warn")));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let logs = match format {
        LogFormat::Text => lines.event_format(Plain).with_filter(filter).boxed(),
        LogFormat::Json => lines.json().with_filter(filter).boxed(),
    };
    let spans = profile.map(|profile| profile.spans().with_filter(Ours));
    tracing_subscriber::registry().with(logs).with(spans)
}

/// `warning: download failed, trying again: the server answered 503 (source orders, failures 1, wait 800 ms)`
struct Plain;

impl<S, N> FormatEvent<S, N> for Plain
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Line::new();
        event.record(&mut line);
        let metadata = event.metadata();
        match *metadata.level() {
            Level::ERROR => writer.write_str("error: ")?,
            Level::WARN => writer.write_str("warning: ")?,
            level => {
                let now = chrono::Utc::now().time();
                let (hour, minute, second, milli) = (now.hour(), now.minute(), now.second(), now.nanosecond() / 1_000_000);
                let level = level.as_str().to_ascii_lowercase();
                write!(writer, "{hour:02}:{minute:02}:{second:02}.{milli:03} {level} {}: ", metadata.target())?;
            }
        }
        writeln!(writer, "{line}")
    }
}

/// The fields of one event. Texts are taken as they are, without the machinery of formatting: of a served request this line is
/// written each time.
struct Line {
    message: String,
    /// Why: said right after the message.
    cause: String,
    rest: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record(field, |out| out.push_str(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record(field, |out| {
            // Writing to a string cannot fail.
            let _ = write!(out, "{value:?}");
        });
    }
}

impl Line {
    fn new() -> Self {
        Self { message: String::new(), cause: String::new(), rest: String::with_capacity(USUAL_LENGTH) }
    }

    fn record(&mut self, field: &Field, write: impl FnOnce(&mut String)) {
        let name = field.name();
        match name {
            "message" => write(&mut self.message),
            "trouble" | "error" => {
                self.cause.push_str(": ");
                write(&mut self.cause);
            }
            _ => {
                let rest = &mut self.rest;
                if !rest.is_empty() {
                    rest.push_str(", ");
                }
                let unit = name.strip_suffix("_ms");
                rest.push_str(unit.unwrap_or(name));
                rest.push(' ');
                write(rest);
                if unit.is_some() {
                    rest.push_str(" ms");
                }
            }
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        f.write_str(&self.cause)?;
        if self.rest.is_empty() {
            return Ok(());
        }
        f.write_str(" (")?;
        f.write_str(&self.rest)?;
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use tracing::level_filters::LevelFilter;

    use super::*;

    /// The hint is what a span compares its level with before it does anything else.
    #[test]
    fn without_a_profile_no_span_of_one_is_looked_at() {
        for log in ["warn", "zones=info", "info"] {
            let most = subscriber(log, LogFormat::Text, None).max_level_hint();
            assert!(most.is_some_and(|most| most < LevelFilter::TRACE), "{log}: {most:?}");
        }
        let folder = tempfile::tempdir().unwrap();
        let profile = Profile::start(&folder.path().join("profile.json"), "sluice").unwrap();
        let most = subscriber("warn", LogFormat::Text, Some(&profile)).max_level_hint();
        assert!(most.is_none_or(|most| most == LevelFilter::TRACE), "{most:?}");
    }
}
