//! Spans become events of the trace.
//!
//! A step is drawn in its parent's row, unless a sibling is being drawn there: steps that go on at the same time have rows of
//! their own. So within a row what is drawn inside of something began after it and ends before it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, ThreadId};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::trace::{Arguments, Row, Trace};
use super::{STEP, THREAD, WAIT};
use crate::memory;

/// A wait that is shorter is not drawn: nobody would look for the time there. In nanoseconds.
const SHORTEST_WAIT: u64 = 50_000;

/// What makes events of our spans.
pub(crate) struct Spans(Arc<Trace>);

/// Which spans and events are the profile's.
pub(crate) struct Ours;

impl<S> Filter<S> for Ours {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        matches!(metadata.target(), STEP | THREAD)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> tracing::subscriber::Interest {
        if matches!(metadata.target(), STEP | THREAD) {
            tracing::subscriber::Interest::always()
        } else {
            tracing::subscriber::Interest::never()
        }
    }
}

/// What is known of a span that is open.
struct Known {
    number: u64,
    row: Row,
    name: String,
    is_wait: bool,
    /// Whether a child is being drawn in this span's row.
    has_child: bool,
    /// Whether this is that child of its parent.
    is_child: bool,
    /// What to tell at its end.
    arguments: Arguments,
    /// What threads took while they were in it; of those that are in it, what they had taken before. One that entered twice is there
    /// twice.
    taken: Taken,
    entered: Vec<(ThreadId, Taken)>,
}

impl Known {
    fn enter(&mut self, so_far: Taken) {
        self.entered.push((thread::current().id(), so_far));
    }

    fn exit(&mut self, so_far: Taken) {
        let thread = thread::current().id();
        let Some(last) = self.entered.iter().rposition(|(entered, _)| *entered == thread) else { return };
        let (_, before) = self.entered.remove(last);
        if self.entered.iter().all(|(entered, _)| *entered != thread) {
            self.taken.add_since(before, so_far);
        }
    }
}

/// Of a thread.
#[derive(Clone, Copy, Default)]
struct Taken {
    nanoseconds: u64,
    allocated_bytes: u64,
}

impl Taken {
    fn so_far(trace: &Trace) -> Self {
        Self { nanoseconds: trace.now(), allocated_bytes: memory::allocated_bytes() }
    }

    fn add_since(&mut self, before: Self, now: Self) {
        self.nanoseconds += now.nanoseconds.saturating_sub(before.nanoseconds);
        self.allocated_bytes += now.allocated_bytes.saturating_sub(before.allocated_bytes);
    }
}

impl Spans {
    pub(super) fn new(trace: Arc<Trace>) -> Self {
        Self(trace)
    }

    /// Where a step is drawn, and whether that is its parent's row.
    fn row(&self, thread: bool, parent: Option<&SpanRef<'_, impl for<'a> LookupSpan<'a>>>) -> (Row, bool) {
        let mut extensions = parent.map(SpanRef::extensions_mut);
        let parent = extensions.as_mut().and_then(|extensions| extensions.get_mut::<Known>());
        match parent {
            _ if thread => (this_thread(&self.0), false),
            // Steps of what a thread does are done by the thread.
            Some(Known { row: Row::Thread(_), .. }) => (this_thread(&self.0), false),
            Some(parent) if !parent.has_child => {
                parent.has_child = true;
                (parent.row, true)
            }
            _ => (self.0.new_lane(), false),
        }
    }
}

impl<S> Layer<S> for Spans
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let Fields { of, mut arguments, .. } = fields;
        let what = attributes.metadata().name();
        let is_wait = what.starts_with(WAIT);
        let name = of.map_or_else(|| what.to_owned(), |of| format!("{what} {of}"));
        let parent = span.parent();
        let (row, is_child) = self.row(attributes.metadata().target() == THREAD, parent.as_ref());
        if !is_child && let Some(parent) = &parent {
            let within = parent.extensions().get::<Known>().map(|known| known.name.clone());
            arguments.extend(within.map(|within| ("within".to_owned(), Value::String(within))));
        }
        let number = self.0.begin(row, name.clone(), &arguments, is_wait);
        // What the file has at the beginning needs not be there again at the end.
        if matches!(row, Row::Lane(_)) && !is_wait {
            arguments.clear();
        }
        let known = Known {
            number,
            row,
            name,
            is_wait,
            has_child: false,
            is_child,
            arguments,
            taken: Taken::default(),
            entered: Vec::new(),
        };
        span.extensions_mut().insert(known);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        values.record(&mut fields);
        if let Some(known) = span.extensions_mut().get_mut::<Known>() {
            known.arguments.extend(fields.arguments);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(known) = span.extensions_mut().get_mut::<Known>() {
            known.enter(Taken::so_far(&self.0));
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(known) = span.extensions_mut().get_mut::<Known>() {
            known.exit(Taken::so_far(&self.0));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(mut known) = span.extensions_mut().remove::<Known>() else { return };
        if !known.is_wait {
            known.arguments.insert("allocated_mb".to_owned(), Value::from(known.taken.allocated_bytes as f64 / 1e6));
            if matches!(known.row, Row::Lane(_)) {
                known.arguments.insert("busy_ms".to_owned(), Value::from(known.taken.nanoseconds as f64 / 1e6));
            }
        }
        self.0.end(known.number, if known.is_wait { SHORTEST_WAIT } else { 0 }, &known.arguments);
        let Some(parent) = span.parent().filter(|_| known.is_child) else { return };
        if let Some(parent) = parent.extensions_mut().get_mut::<Known>() {
            parent.has_child = false;
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let outermost = context.event_scope(event).and_then(|scope| scope.from_root().next());
        let within = outermost.and_then(|span| span.extensions().get::<Known>().map(|known| known.name.clone()));
        let counter = match within {
            Some(within) => format!("{}: {}", within.strip_prefix("stage ").unwrap_or(&within), fields.message),
            None => fields.message,
        };
        self.0.count_later(counter, fields.arguments);
    }
}

/// The row of the thread that asks.
fn this_thread(trace: &Trace) -> Row {
    static THREADS: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static NUMBER: u64 = THREADS.fetch_add(1, Ordering::Relaxed);
    }
    let number = NUMBER.with(|number| *number);
    let thread = thread::current();
    trace.this_thread(number, thread.name().unwrap_or("another thread"))
}

/// The fields of a span or event.
#[derive(Default)]
struct Fields {
    of: Option<String>,
    message: String,
    arguments: Arguments,
}

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.arguments.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "of" {
            self.of = Some(value.to_owned());
        } else {
            self.put(field, value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            // Writing to a string cannot fail.
            let _ = write!(self.message, "{value:?}");
        } else {
            self.record_str(field, &format!("{value:?}"));
        }
    }
}
