//! Ctrl-C and SIGTERM: the first asks for a stop at a consistent point, the second ends at once.
//!
//! Guarantee: within two seconds of the first signal the program has ended with the exit code for "run it again", has said what
//! remains, and what it leaves is a consistent state. Every loop looks at the request between two units of work. Where one unit
//! takes longer (a statement that computes, a node that does not answer), [`GRACE`] is its limit: then the process ends where it
//! is, as if it had been killed, which is safe at any instant because nothing but whole commits counts.
//!
//! The signals are listened to on a thread of their own: workers that compute keep nobody waiting.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::failure::Failure;
use model::shutdown::{Interrupted, Shutdown};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::profile;
use crate::remaining::Remaining;

/// 128 + 2, what a shell reports for a program that Ctrl-C ended.
pub const ENDED_BY_SIGNAL: i32 = 130;

/// How long the work may take to get to the end of what it is doing.
const GRACE: Duration = Duration::from_millis(1_500);
// Of the two seconds that are promised, the rest is for saying what remains.
const _: () = assert!(GRACE.as_millis() <= 1_500);

/// Whether the end of this process was explained: the work and the thread that loses patience may come to it together.
static EXPLAINED: AtomicBool = AtomicBool::new(false);

/// Of the one run of this process.
static REMAINING: OnceLock<Remaining> = OnceLock::new();

/// Listens until the program ends.
pub fn listen(shutdown: Shutdown, remaining: Remaining) {
    let _ = REMAINING.set(remaining);
    // From here on, not from when the thread has started: a signal in between would end the program as if nobody listened.
    let ready = std::sync::mpsc::sync_channel(1);
    let listening = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            let (Ok(interrupt), Ok(terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
                return;
            };
            // The other end waits for this.
            let _ = ready.0.send(());
            watch((interrupt, terminate), &shutdown).await;
        });
    };
    if std::thread::Builder::new().name("signals".to_owned()).spawn(listening).is_ok() {
        // Where it cannot listen the sender is gone, and the signals end the program as they do by default.
        let _ = ready.1.recv();
    }
}

async fn watch((mut interrupt, mut terminate): (Signal, Signal), shutdown: &Shutdown) {
    let mut next = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    next().await;
    shutdown.request();
    eprintln!("stopping at the next consistent point; once more to end at once");
    tokio::select! {
        () = next() => {
            profile::finish();
            std::process::exit(ENDED_BY_SIGNAL)
        }
        () = tokio::time::sleep(GRACE) => {}
    }
    if explains() {
        eprintln!("error: stopped by a signal within a step, which the next run does again");
        say_remaining();
        eprintln!("hint: {AGAIN}");
    }
    profile::finish();
    std::process::exit(i32::from(Failure::Interrupted.exit_code()));
}

/// What to do after a stop.
pub const AGAIN: &str = "run the same command again: it goes on where it stopped";

/// Whether the caller is the first to explain why the program ends, and so has to.
pub fn explains() -> bool {
    !EXPLAINED.swap(true, Ordering::Relaxed)
}

/// Says what a stopped run has left to do.
pub fn say_remaining() {
    let remaining = REMAINING.get().map(ToString::to_string);
    if let Some(remaining) = remaining.filter(|remaining| !remaining.is_empty()) {
        eprintln!("still to do: {remaining}");
    }
}

/// Between two looks at the request to stop: far below the two seconds within which a run ends.
const LOOK: Duration = Duration::from_millis(100);

/// Waits for `work`, unless a stop is asked for: then it is dropped, so it must be safe to drop at any time.
pub async fn unless_stopped<T>(shutdown: &Shutdown, work: impl Future<Output = T>) -> Result<T, Interrupted> {
    let stopped = async {
        while !shutdown.is_requested() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        done = work => Ok(done),
        () = stopped => Err(Interrupted),
    }
}
