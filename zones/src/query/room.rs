//! What a statement may take while it is computed.

use std::path::PathBuf;

use crate::beside::cores;

/// Of memory, where nothing else is said.
pub const MEMORY_BYTES: usize = 256 << 20;

/// Memory, and what lies beyond it.
#[derive(Debug, Clone)]
pub struct Room {
    /// What aggregates, sorts and joins may hold in bytes, all parts of the statement together.
    pub memory: usize,
    /// Where what does not fit goes; the system's temporary folder where there is none.
    pub spill: Option<PathBuf>,
}

impl Default for Room {
    fn default() -> Self {
        Self { memory: MEMORY_BYTES, spill: None }
    }
}

/// How many parts of a statement are computed at a time. The memory is divided among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parts {
    /// As many as there are cores, within reason.
    Cores,
    /// One, which has all the memory: slower, and enough for statements that many parts have not enough memory for.
    One,
}

impl Parts {
    pub(crate) fn number(self) -> usize {
        match self {
            Self::Cores => cores().min(4),
            Self::One => 1,
        }
    }
}
