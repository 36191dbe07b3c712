//! The threads that answer requests.
//!
//! Contract: a connection stays with the thread that it was handed to, and each thread reads from Cassandra by a session of its own, so
//! that a request is read, asked and answered without waking another thread. How fresh tables are is known to all of them, and asked
//! by one of them once a second. Threads end when the last clone of [`Threads`] is gone.

use std::cell::Cell;
use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

thread_local! {
    static PLACE: Cell<usize> = const { Cell::new(0) };
}

/// Threads with a runtime each; clones share them.
#[derive(Debug, Clone)]
pub struct Threads(Arc<[Thread]>);

#[derive(Debug)]
struct Thread {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
    /// Dropped with it: that is the sign to end.
    _end: Option<oneshot::Sender<Infallible>>,
}

/// One of the connections of a thread, for as long as it lives.
#[derive(Debug)]
pub(super) struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Threads {
    /// Starts them.
    pub(super) fn start(count: NonZeroUsize) -> std::io::Result<Self> {
        (0..count.get()).map(start).collect::<std::io::Result<_>>().map(Self)
    }

    /// The runtime of the caller, in place of threads of its own.
    pub(super) fn here() -> Self {
        Self(Arc::new([Thread { runtime: Handle::current(), connections: Arc::default(), _end: None }]))
    }

    /// The one with the fewest connections gets another.
    pub(super) fn seat(&self) -> (&Handle, Seat) {
        let thread = self.0.iter().min_by_key(|thread| thread.connections.load(Ordering::Relaxed));
        let thread = thread.expect("there is at least one");
        thread.connections.fetch_add(1, Ordering::Relaxed);
        (&thread.runtime, Seat(Arc::clone(&thread.connections)))
    }

    /// Does something on each of them, and hands out what came of it in their order.
    ///
    /// # Panics
    /// Where the work does.
    pub async fn on_each<T, F>(&self, work: impl Fn() -> F) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let mut working = JoinSet::new();
        for (place, thread) in self.0.iter().enumerate() {
            let work = work();
            working.spawn_on(async move { (place, work.await) }, &thread.runtime);
        }
        let mut done = working.join_all().await;
        done.sort_by_key(|(place, _)| *place);
        done.into_iter().map(|(_, came)| came).collect()
    }
}

/// The place of this thread among those that answer; 0 on any other.
pub(crate) fn place() -> usize {
    PLACE.get()
}

fn start(place: usize) -> std::io::Result<Thread> {
    let (end, ended) = oneshot::channel::<Infallible>();
    let (tell, told) = std::sync::mpsc::channel();
    let work = move || {
        let made = Builder::new_current_thread().enable_all().build();
        let runtime = match made {
            Ok(runtime) => runtime,
            Err(error) => return drop(tell.send(Err(error))),
        };
        PLACE.set(place);
        // Who is told nothing waits no longer, and then `ended` is at its end as well.
        let _ = tell.send(Ok(runtime.handle().clone()));
        let _ = runtime.block_on(ended);
        runtime.shutdown_background();
    };
    std::thread::Builder::new().name(format!("answers-{place}")).spawn(work)?;
    let runtime = told.recv().expect("the thread tells before it ends")?;
    Ok(Thread { runtime, connections: Arc::default(), _end: Some(end) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_are_spread_over_all_threads_and_each_knows_its_place() {
        let threads = Threads::start(NonZeroUsize::new(3).unwrap()).unwrap();
        assert_eq!(threads.on_each(|| async { place() }).await, [0, 1, 2]);
        let seats: Vec<Seat> = (0..6).map(|_| threads.seat().1).collect();
        let taken =
            |threads: &Threads| threads.0.iter().map(|thread| thread.connections.load(Ordering::Relaxed)).collect::<Vec<_>>();
        assert_eq!(taken(&threads), [2, 2, 2]);
        let mut seats = seats.into_iter();
        drop(seats.next_back());
        assert_eq!(taken(&threads).iter().sum::<usize>(), 5);
        let (runtime, _seat) = threads.seat();
        let free = runtime.spawn(async { place() }).await.unwrap();
        assert_eq!(taken(&threads), [2, 2, 2], "the place that was free is that of thread {free}");
    }

    #[tokio::test]
    async fn threads_end_with_the_last_that_knows_them() {
        let threads = Threads::start(NonZeroUsize::MIN).unwrap();
        let (alive, mut ended) = oneshot::channel::<Infallible>();
        let runtime = threads.seat().0.clone();
        runtime.spawn(async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        });
        let also = threads.clone();
        drop(threads);
        tokio::task::yield_now().await;
        assert!(ended.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Empty));
        drop(also);
        assert!(ended.await.is_err());
    }
}
