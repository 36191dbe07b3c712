//! A file that is made durable while more is written to it.
//!
//! The kernel begins to write to disk late, and a sync at the end waits for all of it. Begun now and then on a thread beside, the
//! last one has little left to wait for, and so has what was written a chance to be durable before the end.

use std::fs::File;
use std::io;
use std::thread::{self, JoinHandle};

/// Syncs are begun whenever so many bytes more are there.
pub(crate) const EVERY_BYTES: u64 = 64 << 20;

/// The syncs of one file, one at a time.
#[derive(Debug, Default)]
pub(crate) struct SyncBeside {
    /// The bytes that were there when the last one began.
    begun: u64,
    running: Option<JoinHandle<io::Result<()>>>,
}

impl SyncBeside {
    /// For a file of which so many bytes are durable.
    pub(crate) fn from(synced: u64) -> Self {
        Self { begun: synced, running: None }
    }

    /// The file has `length` bytes now. Where its turn has come, waits for the sync before and begins another: yields how many
    /// bytes that one made durable.
    pub(crate) fn grown(&mut self, file: &File, length: u64) -> io::Result<Option<u64>> {
        if length < self.begun + EVERY_BYTES {
            return Ok(None);
        }
        let synced = self.wait()?;
        let file = file.try_clone()?;
        self.running = Some(thread::Builder::new().name("sync".to_owned()).spawn(move || file.sync_data())?);
        self.begun = length;
        Ok(synced)
    }

    /// Waits for the sync that is under way: yields how many bytes it made durable.
    pub(crate) fn wait(&mut self) -> io::Result<Option<u64>> {
        let Some(running) = self.running.take() else { return Ok(None) };
        running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(Some(self.begun))
    }
}

/// No thread is left behind; whether what was given up is on disk matters to nobody.
impl Drop for SyncBeside {
    fn drop(&mut self) {
        let _ = self.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syncs_begin_as_the_file_grows_and_say_what_they_made_durable() {
        let file = tempfile::tempfile().unwrap();
        let mut beside = SyncBeside::from(10);
        assert_eq!(beside.grown(&file, 10 + EVERY_BYTES - 1).unwrap(), None);
        assert!(beside.running.is_none());
        assert_eq!(beside.grown(&file, 10 + EVERY_BYTES).unwrap(), None);
        assert!(beside.running.is_some());
        assert_eq!(beside.grown(&file, 20 + 2 * EVERY_BYTES).unwrap(), Some(10 + EVERY_BYTES));
        assert_eq!(beside.wait().unwrap(), Some(20 + 2 * EVERY_BYTES));
        assert_eq!(beside.wait().unwrap(), None);
    }
}
