//! A share of all keys, chosen by their hashes: the same keys wherever they are looked at.

/// More than nothing, and at most all.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// `None` where the fraction is not over 0 and at most 1.
    pub fn of(fraction: f64) -> Option<Self> {
        (fraction > 0.0 && fraction <= 1.0).then_some(Self(fraction))
    }

    pub fn fraction(self) -> f64 {
        self.0
    }

    /// Whether a key with this hash is in the share. Only the upper 48 bits are looked at, evenly spread.
    pub fn holds(self, hash: u64) -> bool {
        ((hash >> 16) as f64) < self.0 * (1_u64 << 48) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_holds_its_part_and_what_a_smaller_one_holds() {
        let hashes: Vec<u64> = (0..10_000_u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
        let held = |share: Share| hashes.iter().filter(|hash| share.holds(**hash)).count();
        let (tenth, fifth) = (Share::of(0.1).unwrap(), Share::of(0.2).unwrap());
        assert!((950..1_050).contains(&held(tenth)) && (1_950..2_050).contains(&held(fifth)));
        assert!(hashes.iter().all(|hash| !tenth.holds(*hash) || fifth.holds(*hash)));
        assert_eq!(held(Share::of(1.0).unwrap()), hashes.len());
        assert_eq!((Share::of(0.0), Share::of(1.1), Share::of(f64::NAN)), (None, None, None));
    }
}
