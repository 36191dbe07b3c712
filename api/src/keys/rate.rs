//! How many requests a key may make.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use governor::Quota;
use serde::{Deserialize, Serialize};

/// So many a second in the long run, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Rate {
    per_second: f64,
    burst: NonZeroU32,
}

#[derive(Deserialize)]
struct Fields {
    per_second: f64,
    burst: NonZeroU32,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no rate: write 50, `50 per second`, `30 per minute` or `100 per hour`, from one a day to a million a second"
)]
pub struct RateError {
    text: String,
}

/// One a day: what a limit on requests can sensibly mean.
const LEAST: f64 = 1.0 / 86_400.0;
/// More than a server answers; one more digit and the time between two requests is no whole number of nanoseconds.
const MOST: f64 = 1_000_000.0;

impl Rate {
    /// Without a `burst`, what comes in a second may come at once.
    pub fn new(per_second: f64, burst: Option<NonZeroU32>) -> Result<Self, RateError> {
        if !(LEAST * 0.999..=MOST).contains(&per_second) {
            return Err(RateError { text: per_second.to_string() });
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to a million")]
        let in_a_second = per_second.ceil() as u32;
        Ok(Self { per_second, burst: burst.or(NonZeroU32::new(in_a_second)).unwrap_or(NonZeroU32::MIN) })
    }

    #[must_use]
    pub fn with_burst(self, burst: NonZeroU32) -> Self {
        Self { burst, ..self }
    }

    pub fn per_second(&self) -> f64 {
        self.per_second
    }

    pub fn burst(&self) -> NonZeroU32 {
        self.burst
    }

    pub(crate) fn quota(self) -> Quota {
        let period = Duration::from_secs_f64(1.0 / self.per_second);
        Quota::with_period(period).expect("a rate of at most a million has a period").allow_burst(self.burst)
    }
}

impl TryFrom<Fields> for Rate {
    type Error = RateError;

    fn try_from(fields: Fields) -> Result<Self, RateError> {
        Self::new(fields.per_second, Some(fields.burst))
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let wrong = || RateError { text: text.to_owned() };
        let words: Vec<_> = text.split_whitespace().collect();
        let (number, seconds) = match words.as_slice() {
            [number] | [number, "per", "second"] => (number, 1.0),
            [number, "per", "minute"] => (number, 60.0),
            [number, "per", "hour"] => (number, 3_600.0),
            [number, "per", "day"] => (number, 86_400.0),
            _ => return Err(wrong()),
        };
        let number: f64 = number.parse().map_err(|_| wrong())?;
        Self::new(number / seconds, None).map_err(|_| wrong())
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = [(1.0, "second"), (60.0, "minute"), (3_600.0, "hour"), (86_400.0, "day")];
        let (seconds, unit) = units.into_iter().find(|(seconds, _)| self.per_second * seconds >= 0.999).unwrap_or(units[3]);
        let number = (self.per_second * seconds * 100.0).round() / 100.0;
        write!(f, "{number} per {unit}, {} at once", self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_as_people_write_it() {
        for (text, shown) in [
            ("50", "50 per second, 50 at once"),
            ("50 per second", "50 per second, 50 at once"),
            ("0.5", "30 per minute, 1 at once"),
            ("30 per minute", "30 per minute, 1 at once"),
            ("100 per hour", "1.67 per minute, 1 at once"),
            ("1 per day", "1 per day, 1 at once"),
            ("2.5", "2.5 per second, 3 at once"),
        ] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), shown, "{text}");
        }
        for wrong in ["", "0", "-1", "nan", "inf", "1e12", "5 a second", "5 per", "0.5 per day"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong:?}");
        }
        assert!(serde_json::from_str::<Rate>(r#"{"per_second": 0, "burst": 1}"#).is_err());
        assert_eq!("5".parse::<Rate>().unwrap().with_burst(NonZeroU32::new(9).unwrap()).burst().get(), 9);
    }
}
