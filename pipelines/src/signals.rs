//! Ctrl-C and SIGTERM: the first asks for a stop at a consistent point, the second ends at once.

use model::shutdown::Shutdown;
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
