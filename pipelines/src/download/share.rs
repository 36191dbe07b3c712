//! One progress for several downloads at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use model::Progress;

/// Adds up what the locations expect. Those that are still to come are expected to be like those that are known.
pub(super) struct Together<'a> {
    whole: &'a dyn Progress,
    locations: u64,
    known: AtomicU64,
    expected: AtomicU64,
}

/// What one location tells.
pub(super) struct Share<'a> {
    together: &'a Together<'a>,
    expected: AtomicU64,
    is_known: AtomicBool,
}

impl<'a> Together<'a> {
    pub(super) fn new(whole: &'a dyn Progress, locations: usize) -> Self {
        Self { whole, locations: locations as u64, known: AtomicU64::new(0), expected: AtomicU64::new(0) }
    }

    pub(super) fn share(&'a self) -> Share<'a> {
        Share { together: self, expected: AtomicU64::new(0), is_known: AtomicBool::new(false) }
    }

    fn tell(&self) {
        let (expected, known) = (self.expected.load(Ordering::Relaxed), self.known.load(Ordering::Relaxed));
        if expected > 0 && known > 0 {
            let whole = u128::from(expected) * u128::from(self.locations) / u128::from(known);
            self.whole.expect(u64::try_from(whole).unwrap_or(u64::MAX));
        }
    }
}

impl Share<'_> {
    /// The location is done; one that said nothing has no bytes to come.
    pub(super) fn end(&self) {
        if self.is_new() {
            self.together.tell();
        }
    }

    fn is_new(&self) -> bool {
        let is_new = !self.is_known.swap(true, Ordering::Relaxed);
        self.together.known.fetch_add(u64::from(is_new), Ordering::Relaxed);
        is_new
    }
}

impl Progress for Share<'_> {
    fn expect(&self, total: u64) {
        let before = self.expected.swap(total, Ordering::Relaxed);
        // Wraps where the new total is smaller, and the sum comes out right all the same.
        self.together.expected.fetch_add(total.wrapping_sub(before), Ordering::Relaxed);
        self.is_new();
        self.together.tell();
    }

    fn advance(&self, units: u64) {
        self.together.whole.advance(units);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Told(Mutex<Vec<u64>>);

    impl Progress for Told {
        fn expect(&self, total: u64) {
            self.0.lock().unwrap().push(total);
        }

        fn advance(&self, _units: u64) {}
    }

    #[test]
    fn what_is_not_known_yet_is_expected_to_be_like_the_rest_and_the_end_is_exact() {
        let told = Told::default();
        let together = Together::new(&told, 4);
        let shares: Vec<_> = (0..4).map(|_| together.share()).collect();
        shares[0].end();
        shares[1].expect(100);
        shares[2].expect(500);
        shares[2].expect(200);
        shares[1].end();
        shares[3].end();
        assert_eq!(*told.0.lock().unwrap(), [200, 800, 400, 300], "of 4, then 2 of them known, 3, 3, all");
    }
}
