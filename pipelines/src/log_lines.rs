//! Lines of the log on their way to stderr.
//!
//! A thread that answers requests writes a line for each of them. It holds them back while it has something else to do, and one call of the
//! system then writes all that are there ([`before_waiting`]). Lines of one thread stay whole and in their order; any other thread's are
//! written at once. What a killed process had not written yet are lines of requests that it answered in its last moment.

use std::cell::RefCell;
use std::io::{self, Write};

/// Bytes that are not held back any longer.
const ENOUGH: usize = 8 << 10;

thread_local! {
    static HELD: RefCell<Option<Held>> = const { RefCell::new(None) };
}

/// Written when the thread ends, too.
struct Held(Vec<u8>);

impl Held {
    fn write(&mut self) {
        if !self.0.is_empty() {
            // Where stderr is gone, there is nobody to tell.
            let _ = io::stderr().write_all(&self.0);
            self.0.clear();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.write();
    }
}

/// Called by a thread before it waits: writes what it held back. From the first call on it holds back what it logs.
pub(crate) fn before_waiting() {
    HELD.with_borrow_mut(|held| held.get_or_insert_with(|| Held(Vec::with_capacity(2 * ENOUGH))).write());
}

/// Takes a line at a time.
pub(crate) struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let hold = |held: &RefCell<Option<Held>>| {
            let Ok(mut held) = held.try_borrow_mut() else { return false };
            let Some(held) = &mut *held else { return false };
            held.0.extend_from_slice(line);
            if held.0.len() >= ENOUGH {
                held.write();
            }
            true
        };
        // While a thread ends there may be nothing left to hold it.
        if !HELD.try_with(hold).unwrap_or(false) {
            io::stderr().write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
