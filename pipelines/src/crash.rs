//! Kills the program where a test wants it dead, and has it run under a clock of the test's.
//!
//! Only with the cargo feature `crash-points`, which a program for release cannot have. `SLUICE_CRASH_AT=POINT:PASS` ends the
//! process by SIGKILL at the given pass (from 1) through a point of `model::crash`: nothing is flushed, closed or tidied.
//! `SLUICE_CRASH_LOG=FILE` gets a line with the point's name for each pass. `SLUICE_TEST_CLOCK=RFC3339` stands the clock still.
//! None of them set, the program is as any other.

#[cfg(all(feature = "crash-points", not(debug_assertions)))]
compile_error!("a program for release has no crash points: build it with --no-default-features");

use model::clock::Clock;

use crate::error::Error;

/// The clock of this process.
#[cfg(not(feature = "crash-points"))]
#[expect(clippy::unnecessary_wraps, reason = "the clock of a test may be written wrongly")]
pub(crate) fn prepare() -> Result<Clock, Error> {
    Ok(Clock::Wall)
}

#[cfg(feature = "crash-points")]
pub(crate) use armed::prepare;

#[cfg(feature = "crash-points")]
mod armed {
    use std::collections::HashMap;
    use std::fs::File;
    use std::io::Write;
    use std::path::Path;
    use std::sync::{Mutex, PoisonError};

    use model::crash;
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::{Clock, Error};
    use crate::settings::TestSettings;

    /// The clock of this process; from here on the crash points do what the settings say.
    pub(crate) fn prepare() -> Result<Clock, Error> {
        let settings = TestSettings::read()?;
        let log = settings.crash_log.as_deref().map(open).transpose()?;
        if settings.crash_at.is_some() || log.is_some() {
            let passes: Mutex<HashMap<&'static str, u64>> = Mutex::default();
            crash::on_pass(move |name| {
                // Held until the line is written: the log has the passes in their order.
                let mut passes = passes.lock().unwrap_or_else(PoisonError::into_inner);
                let pass = passes.entry(name).or_default();
                *pass += 1;
                if let Some(mut log) = log.as_ref() {
                    writeln!(log, "{name}").expect("the log of crash points can be written");
                }
                if settings.crash_at.as_ref().is_some_and(|(at, wanted)| at == name && wanted == pass) {
                    die();
                }
            });
        }
        Ok(settings.clock.map_or(Clock::Wall, |instant| Clock::Fixed(instant.timestamp_micros())))
    }

    fn open(path: &Path) -> Result<File, Error> {
        let opened = File::options().append(true).create(true).open(path);
        opened.map_err(|error| Error::Semantics {
            place: format!("setting SLUICE_CRASH_LOG, file {}", path.display()),
            problem: error.to_string(),
            hint: None,
        })
    }

    fn die() -> ! {
        let _ = kill(Pid::this(), Signal::SIGKILL);
        // The signal may reach another thread first.
        loop {
            std::thread::park();
        }
    }
}
