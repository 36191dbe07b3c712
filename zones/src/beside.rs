//! Work that computes much and waits a little, side by side.
//!
//! A future runs on one thread, and several that are joined share it: nothing of them happens at the same time but their waiting.
//! Here each piece of work has a thread while it runs, so that the runtime's own stay free for what is on its way over the network.
//! Never: leaves a thread behind; passes over one that panicked.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::thread;

use futures::{StreamExt, stream};
use tokio::runtime::{Handle, RuntimeFlavor};
use tracing::{Instrument, Span};

/// How many threads can compute at the same time.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Does the work for all items, at most so many at a time, begun in their order; what it yields is in the same order.
///
/// Blocks the thread that it is called on, like [`tokio::task::block_in_place`]. On a runtime of one thread the work takes turns.
pub async fn side_by_side<I, T>(items: Vec<I>, at_a_time: usize, work: impl AsyncFn(I) -> T + Sync) -> Vec<T>
where
    I: Send,
    T: Send,
{
    let runtime = Handle::current();
    let at_a_time = at_a_time.min(items.len());
    if at_a_time < 2 || runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
        return stream::iter(items).map(|item| work(item)).buffered(at_a_time.max(1)).collect().await;
    }
    let span = Span::current();
    let mut done: Vec<Option<T>> = std::iter::repeat_with(|| None).take(items.len()).collect();
    tokio::task::block_in_place(|| {
        let waiting = Mutex::new(items.into_iter().zip(&mut done));
        let take = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
        thread::scope(|scope| {
            for number in 1..=at_a_time {
                let work = || {
                    while let Some((item, place)) = take() {
                        *place = Some(runtime.block_on(work(item).instrument(span.clone())));
                    }
                };
                let thread = thread::Builder::new().name(format!("beside {number}"));
                thread.spawn_scoped(scope, work).expect("the system has room for another thread");
            }
        });
    });
    poll_again().await;
    done.into_iter().map(|done| done.expect("a thread that panics is not passed over")).collect()
}

/// Computes over parts of a list at the same time: as many as there are cores, none of fewer than `least` items; in their order.
pub fn in_parts<T: Send>(items: usize, least: usize, work: impl Fn(Range<usize>) -> T + Sync) -> Vec<T> {
    let parts = cores().min(items / least.max(1)).max(1);
    let part = |number: usize| number * items / parts..(number + 1) * items / parts;
    thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> = (1..parts).map(|number| scope.spawn(move || work(part(number)))).collect();
        let mut done = vec![work(part(0))];
        done.extend(others.into_iter().map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))));
        done
    })
}

/// Does two things at the same time, the second on a thread of its own.
///
/// Blocks the thread that it is called on, like [`tokio::task::block_in_place`]. On a runtime of one thread they take turns.
pub async fn both<A, B: Send>(here: impl Future<Output = A>, beside: impl AsyncFnOnce() -> B + Send) -> (A, B) {
    let runtime = Handle::current();
    if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
        return futures::future::join(here, beside()).await;
    }
    let span = Span::current();
    let done = tokio::task::block_in_place(|| {
        thread::scope(|scope| {
            let beside = scope.spawn(|| runtime.block_on(beside().instrument(span)));
            let here = runtime.block_on(here);
            (here, beside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    });
    poll_again().await;
    done
}

/// Has the whole future that this is a part of polled once more.
///
/// Tokio wakes a thread that is blocked on a future by a mark that the thread has, whichever future is meant: one that is blocked
/// on within another takes the marks that were meant for what the other one waits for.
async fn poll_again() {
    std::future::poll_fn(|context| {
        context.waker().wake_by_ref();
        Poll::Ready(())
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn work_that_holds_its_thread_is_done_at_the_same_time_and_yields_in_order() {
        let together = Barrier::new(2);
        let work = async |number: u64| {
            // Nobody passes alone.
            together.wait();
            tokio::time::sleep(Duration::from_millis(4 - number)).await;
            number
        };
        assert_eq!(side_by_side(vec![0, 1, 2, 3], 2, work).await, [0, 1, 2, 3]);
        let (here, beside) = both(async { together.wait().is_leader() }, async || together.wait().is_leader()).await;
        assert_ne!(here, beside);
    }

    #[test]
    fn parts_make_up_the_whole_in_its_order() {
        for (items, least) in [(0, 1), (1, 1), (5, 2), (7, 0), (1_000, 3), (10, 100)] {
            let parts = in_parts(items, least, Iterator::collect::<Vec<_>>);
            assert!(parts.len() == 1 || parts.iter().all(|part| part.len() >= least.max(1)), "{items} {least}: {parts:?}");
            assert_eq!(parts.concat(), (0..items).collect::<Vec<_>>(), "{items} {least}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_is_woken_meanwhile_goes_on_afterwards() {
        for is_both in [true, false] {
            let (tell, told) = oneshot::channel();
            let (answer, answered) = oneshot::channel();
            let waits = async {
                told.await.unwrap();
                answer.send(()).unwrap();
            };
            let works = async {
                let work = async { tokio::time::sleep(Duration::from_millis(5)).await };
                tell.send(()).unwrap();
                if is_both {
                    both(work, async || ()).await;
                } else {
                    side_by_side(vec![1, 2], 2, async |_| tokio::time::sleep(Duration::from_millis(5)).await).await;
                }
                answered.await.unwrap();
            };
            tokio::select! {
                biased;
                () = tokio::time::sleep(Duration::from_secs(20)) => panic!("nobody was woken"),
                _ = async { tokio::join!(waits, works) } => {}
            }
        }
    }

    #[tokio::test]
    async fn on_a_runtime_of_one_thread_work_takes_turns() {
        assert_eq!(side_by_side(vec![1, 2, 3], 2, async |number: u64| number * 2).await, [2, 4, 6]);
        assert_eq!(both(async { 1 }, async || 2).await, (1, 2));
    }
}
