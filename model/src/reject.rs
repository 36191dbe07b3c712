//! Why a record was set aside.

use serde::{Deserialize, Serialize};

/// The reason of a reject; the lower-case name is what the quarantine table holds in `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// The bytes are not a record of the format.
    Malformed,
    /// The record is larger than `max_record_bytes`; only its beginning is kept.
    TooLarge,
    /// A column that must have a value has none.
    Missing,
    /// A value does not fit the column's type without loss.
    WrongType,
    /// A value is not among those that the column allows.
    NotAllowed,
    /// The event time is later than the wall clock plus the tolerance.
    Future,
    /// A check of the definition failed.
    CheckFailed,
}

impl RejectReason {
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Missing => "missing",
            Self::WrongType => "wrong_type",
            Self::NotAllowed => "not_allowed",
            Self::Future => "future",
            Self::CheckFailed => "check_failed",
        }
    }
}
