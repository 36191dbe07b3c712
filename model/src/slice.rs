//! The debug slice: which event dates a debug run takes (`ETL_DEBUG`).

use std::collections::BTreeSet;
use std::str::FromStr;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// Which of the event dates that are present a debug run keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slice {
    /// The dates at these positions (from 1, both included) among those present.
    Positions { first: usize, last: usize },
    /// These dates, both included.
    Range { first: NaiveDate, last: NaiveDate },
}

/// What `1` and `true` mean: the three dates that the data set's first pipeline took.
const DEFAULT: Slice = Slice::Positions { first: 4, last: 6 };

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a debug slice: use `dates:4-6`, `first:3`, `2016-11-04..2016-11-06`, `1`, or `0` for everything")]
pub struct SliceError {
    pub text: String,
}

impl Slice {
    /// Reads the value of `ETL_DEBUG`; `None` means everything.
    pub fn parse(text: &str) -> Result<Option<Self>, SliceError> {
        match text.trim() {
            "" | "0" | "false" => Ok(None),
            "1" | "true" => Ok(Some(DEFAULT)),
            other => other.parse().map(Some),
        }
    }

    /// The dates of `present` that the slice keeps.
    pub fn choose(&self, present: &BTreeSet<NaiveDate>) -> BTreeSet<NaiveDate> {
        match *self {
            Self::Positions { first, last } => present.iter().copied().skip(first - 1).take(last + 1 - first).collect(),
            Self::Range { first, last } => present.range(first..=last).copied().collect(),
        }
    }
}

impl FromStr for Slice {
    type Err = SliceError;

    fn from_str(text: &str) -> Result<Self, SliceError> {
        let wrong = || SliceError { text: text.to_owned() };
        let slice = if let Some(positions) = text.strip_prefix("dates:") {
            let (first, last) = positions.split_once('-').unwrap_or((positions, positions));
            Self::Positions { first: first.trim().parse().map_err(|_| wrong())?, last: last.trim().parse().map_err(|_| wrong())? }
        } else if let Some(count) = text.strip_prefix("first:") {
            Self::Positions { first: 1, last: count.trim().parse().map_err(|_| wrong())? }
        } else if let Some((first, last)) = text.split_once("..") {
            Self::Range { first: first.trim().parse().map_err(|_| wrong())?, last: last.trim().parse().map_err(|_| wrong())? }
        } else {
            return Err(wrong());
        };
        let is_ordered = match slice {
            Self::Positions { first, last } => first >= 1 && first <= last,
            Self::Range { first, last } => first <= last,
        };
        if is_ordered { Ok(slice) } else { Err(wrong()) }
    }
}

impl std::fmt::Display for Slice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Positions { first, last } => write!(f, "dates:{first}-{last}"),
            Self::Range { first, last } => write!(f, "{first}..{last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn november(days: std::ops::RangeInclusive<u32>) -> BTreeSet<NaiveDate> {
        days.map(|day| NaiveDate::from_ymd_opt(2016, 11, day).unwrap()).collect()
    }

    #[test]
    fn every_spelling_chooses_its_dates() {
        let present = november(1..=30);
        let chosen = |text| Slice::parse(text).unwrap().map(|slice| slice.choose(&present));
        assert_eq!(chosen("1"), Some(november(4..=6)));
        assert_eq!(chosen("true"), Some(november(4..=6)));
        assert_eq!(chosen("dates:4-6"), Some(november(4..=6)));
        assert_eq!(chosen("dates:7"), Some(november(7..=7)));
        assert_eq!(chosen("first:3"), Some(november(1..=3)));
        assert_eq!(chosen("2016-11-29..2016-12-05"), Some(november(29..=30)));
        assert_eq!(chosen("dates:40-41"), Some(BTreeSet::new()));
        assert_eq!(chosen("0"), None);
        assert_eq!(chosen(""), None);
    }

    #[test]
    fn nonsense_is_refused_with_the_spellings() {
        for text in ["yes please", "dates:0-3", "dates:6-4", "first:0", "2016-11-06..2016-11-04", "dates:a-b"] {
            let error = Slice::parse(text).unwrap_err();
            assert!(error.to_string().contains("first:3"), "{error}");
        }
    }

    #[test]
    fn what_is_displayed_parses_back() {
        for text in ["dates:4-6", "2016-11-04..2016-11-06"] {
            assert_eq!(text.parse::<Slice>().unwrap().to_string(), text);
        }
    }
}
