//! The end of a node's logs, for the error that says why it did not start.

use std::fmt;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::folder::Folder;

const LINES: usize = 12;
/// Enough for the last lines, however large the log.
const BYTES: u64 = 16 * 1024;

/// How far the log had got before a start.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogMark(u64);

impl LogMark {
    pub(super) fn now(folder: &Folder) -> Self {
        Self(system_log(folder).metadata().map_or(0, |metadata| metadata.len()))
    }

    /// For a node whose start was not seen.
    pub(super) fn start() -> Self {
        Self(0)
    }

    /// What was written since.
    pub(super) fn tail(self, folder: &Folder) -> LogTail {
        let path = system_log(folder);
        let mut lines = last_lines(&path, self.0);
        // What the JVM says itself is elsewhere; a JVM that does not come up says nothing else.
        let console = folder.logs.join("console.log");
        lines.extend(last_lines(&console, 0).into_iter().filter(|line| !is_noise(line)));
        LogTail { path, lines }
    }
}

fn system_log(folder: &Folder) -> PathBuf {
    folder.logs.join("system.log")
}

/// The last lines of a node's log and where the rest is.
#[derive(Debug, Clone)]
pub struct LogTail {
    pub path: PathBuf,
    pub lines: Vec<String>,
}

impl LogTail {
    pub(super) fn contains(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.contains(text))
    }
}

impl fmt::Display for LogTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the end of {}:", self.path.display())?;
        if self.lines.is_empty() {
            f.write_str(" nothing was written")?;
        }
        for line in &self.lines {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

/// What every healthy start says too.
fn is_noise(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with("WARNING: ") || line.starts_with("OpenJDK 64-Bit Server VM warning: ")
}

fn last_lines(path: &Path, from: u64) -> Vec<String> {
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        // A log that has become shorter was rolled: all of it is new.
        let from = if from > length { 0 } else { from };
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(BYTES))))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        std::io::Result::Ok(bytes)
    };
    // No log is a log without lines: this only explains another error.
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].iter().map(|&line| line.to_owned()).collect()
}
