//! How long work tells how far it is, without knowing who listens.

/// Receives progress; implementations draw bars or write log lines.
pub trait Progress: Send + Sync {
    /// The expected number of units (rows or bytes, as the stage says), once it is known.
    fn expect(&self, total: u64);

    /// `units` more are done.
    fn advance(&self, units: u64);
}

/// Listens to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn expect(&self, _total: u64) {}
    fn advance(&self, _units: u64) {}
}
