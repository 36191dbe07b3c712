//! Ctrl-C and SIGTERM: the first asks for a stop at a consistent point, the second ends at once.

use std::time::Duration;

use model::shutdown::{Interrupted, Shutdown};
use tokio::signal::unix::{SignalKind, signal};

/// 128 + 2, what a shell reports for a program that Ctrl-C ended.
const ENDED_BY_SIGNAL: i32 = 130;

/// Listens until the program ends.
pub fn listen(shutdown: Shutdown) {
    tokio::spawn(async move {
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
            return;
        };
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if shutdown.is_requested() {
                std::process::exit(ENDED_BY_SIGNAL);
            }
            shutdown.request();
            eprintln!("stopping at the next consistent point; once more to end at once");
        }
    });
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
