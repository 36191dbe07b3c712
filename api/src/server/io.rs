//! A socket that notices what its peer does not do.

use std::io::{Error, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep, sleep_until};

/// What goes on on a connection, as its socket and its requests tell it.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Requests whose answers are not taken yet.
    open: Vec<Asked>,
    next: u64,
    has_asked: bool,
    /// Since when there is none.
    idle_since: Instant,
    /// Since when bytes of a request came of which the head is not whole.
    head_since: Option<Instant>,
}

#[derive(Debug)]
struct Asked {
    number: u64,
    /// Since when nothing more of its answer was taken, once there is one.
    since: Option<Instant>,
    /// What hands the answer out, where that can be ended alone.
    task: Option<AbortHandle>,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            open: Vec::new(),
            next: 0,
            has_asked: false,
            idle_since: Instant::now(),
            head_since: None,
        })))
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn received(&self) {
        self.with(|state| {
            if state.open.is_empty() {
                state.head_since.get_or_insert_with(Instant::now);
            }
        });
    }

    pub(super) fn begin(&self) -> Open {
        let number = self.with(|state| {
            state.next += 1;
            state.open.push(Asked { number: state.next, since: None, task: None });
            state.has_asked = true;
            state.head_since = None;
            state.next
        });
        Open { number, activity: self.clone() }
    }

    /// The request that was begun last is answered by this task.
    pub(super) fn runs(&self, task: AbortHandle) {
        self.with(|state| {
            // One that has a task is an earlier one, and the last is through already.
            if let Some(last) = state.open.last_mut().filter(|last| last.task.is_none()) {
                last.task = Some(task);
            }
        });
    }

    /// What came so far was no head.
    pub(super) fn forget_head(&self) {
        self.with(|state| state.head_since = None);
    }

    /// Neither a request nor the beginning of one.
    pub(super) fn asked_nothing(&self) -> bool {
        self.with(|state| !state.has_asked && state.head_since.is_none())
    }

    pub(super) fn idle_for(&self) -> Option<Duration> {
        self.with(|state| state.open.is_empty().then(|| state.idle_since.elapsed()))
    }

    /// For how long nothing was taken of any answer. `None` while there is none, or one is still worked on.
    pub(super) fn stalled_for(&self) -> Option<Duration> {
        self.with(|state| {
            let last = state.open.iter().map(|asked| asked.since).collect::<Option<Vec<_>>>()?.into_iter().max()?;
            Some(last.elapsed())
        })
    }

    /// Ends each answer of which nothing was taken for longer than that, times as many as there are, since they take turns; says how
    /// many it ended.
    pub(super) fn end_stalled(&self, longest: Duration) -> u64 {
        self.with(|state| {
            let there = state.open.iter().filter(|asked| asked.since.is_some()).count();
            let longest = longest.saturating_mul(u32::try_from(there).unwrap_or(u32::MAX));
            let stalls = |asked: &&mut Asked| asked.since.is_some_and(|since| since.elapsed() > longest);
            let tasks = state.open.iter_mut().filter(stalls).filter_map(|asked| asked.task.take());
            tasks.map(|task| task.abort()).count() as u64
        })
    }

    pub(super) fn head_takes(&self) -> Option<Duration> {
        self.with(|state| state.head_since.map(|since| since.elapsed()))
    }
}

/// A request whose answer is not taken yet.
pub(super) struct Open {
    number: u64,
    activity: Activity,
}

impl Open {
    /// There is an answer, or more of it was taken.
    pub(super) fn moves(&self) {
        self.activity.with(|state| {
            if let Some(asked) = state.open.iter_mut().find(|asked| asked.number == self.number) {
                asked.since = Some(Instant::now());
            }
        });
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.activity.with(|state| {
            state.open.retain(|asked| asked.number != self.number);
            state.idle_since = Instant::now();
        });
    }
}

/// Fails a write for which the peer makes no room in time.
#[derive(Debug)]
pub(super) struct Watched {
    stream: TcpStream,
    activity: Activity,
    write_time: Duration,
    /// From the first write that found no room to the next one that found enough.
    blocked: Option<Blocked>,
}

#[derive(Debug)]
struct Blocked {
    timer: Pin<Box<Sleep>>,
    since: Instant,
    taken: u64,
}

/// Bytes a second. A client that takes less is not reading but holding.
const SLOWEST: u64 = 1 << 10;

impl Watched {
    pub(super) fn new(stream: TcpStream, activity: Activity, write_time: Duration) -> Self {
        Self { stream, activity, write_time, blocked: None }
    }

    fn written(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<std::io::Result<usize>>,
        wanted: usize,
    ) -> Poll<std::io::Result<usize>> {
        match polled {
            Poll::Pending => {
                let (since, write_time) = (Instant::now(), self.write_time);
                let blocked = self.blocked.get_or_insert_with(|| Blocked {
                    timer: Box::pin(sleep_until(since + write_time)),
                    since,
                    taken: 0,
                });
                blocked.timer.as_mut().reset(blocked.since + write_time + Duration::from_secs(blocked.taken / SLOWEST));
                ready!(blocked.timer.as_mut().poll(cx));
                Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the client does not take its answer")))
            }
            Poll::Ready(Ok(taken)) => {
                match &mut self.blocked {
                    Some(blocked) if taken < wanted => blocked.taken += taken as u64,
                    _ => self.blocked = None,
                }
                Poll::Ready(Ok(taken))
            }
            failed @ Poll::Ready(Err(_)) => failed,
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.received();
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, polled, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.written(cx, polled, bytes.iter().map(|slice| slice.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
