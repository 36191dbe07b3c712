//! From what a caller says about a range (`from`, `to`, `hours`, `days`) to its bounds and its buckets.
//!
//! `from` is included, `to` is not. An age counts back from now and includes it. Bounds are moved outwards to a multiple of the
//! range's step, so that an hour that is asked for in part is answered as a whole.

use cassandra::CqlType;
use cassandra::lookup::{KeyValue, date_text, days, millis, timestamp_text, whole_number};

use super::{MILLIS_PER_DAY, MILLIS_PER_HOUR, Range};

/// The bounds of a request, in the unit of the range's column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) from: Option<i64>,
    pub(crate) to: Option<i64>,
}

/// What is wrong with the parameters of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BoundsFault {
    pub(crate) parameter: &'static str,
    pub(crate) detail: String,
}

/// Hours or days: more than any calendar has, and far from where their milliseconds overflow.
const MOST_AGO: i64 = 10_000_000;

fn fault<T>(parameter: &'static str, detail: impl Into<String>) -> Result<T, BoundsFault> {
    Err(BoundsFault { parameter, detail: detail.into() })
}

/// What a caller said.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Said<'p> {
    pub(crate) from: Option<&'p str>,
    pub(crate) to: Option<&'p str>,
    pub(crate) hours: Option<&'p str>,
    pub(crate) days: Option<&'p str>,
}

impl Range {
    /// The bounds that a caller asks for, at `now` (milliseconds since 1970).
    pub(crate) fn bounds(&self, said: Said<'_>, now: i64) -> Result<Bounds, BoundsFault> {
        let age = self.age(said)?;
        let now = match self.column.cql_type {
            CqlType::Date => now.div_euclid(MILLIS_PER_DAY),
            _ => now,
        };
        let from = said.from.map(|text| self.read("from", text)).transpose()?;
        let to = said.to.map(|text| self.read("to", text)).transpose()?;
        let counts_time = self.counts_time();
        // Whole days that end today; a time that ends now.
        let back = |age: i64| if self.column.cql_type == CqlType::Date { now + 1 - age } else { now - age };
        let mut bounds = match (age, from, to) {
            (Some(age), _, _) => Bounds { from: Some(back(age)), to: Some(now + 1) },
            (None, None, None) => match self.default {
                Some(default) => Bounds { from: Some(back(default)), to: Some(now + 1) },
                None if self.bucket.is_some() => return fault("from", "is needed, or `hours`, or `days`"),
                None => Bounds::default(),
            },
            (None, Some(from), None) if self.bucket.is_some() && counts_time => {
                Bounds { from: Some(from), to: Some((now + 1).max(from.saturating_add(1))) }
            }
            (None, None, Some(_)) if self.bucket.is_some() => return fault("from", "is needed where `to` is given"),
            (None, from, to) => Bounds { from, to },
        };
        if let Bounds { from: Some(from), to: Some(to) } = bounds {
            if from >= to {
                return fault(if said.to.is_some() { "to" } else { "from" }, "must be so that `from` is before `to`");
            }
            // An age that is exactly the longest range reaches to now, which is included.
            if let Some(max) = self.max.filter(|max| to.saturating_sub(from) > max.saturating_add(1)) {
                let parameter = if said.hours.is_some() {
                    "hours"
                } else if said.days.is_some() {
                    "days"
                } else {
                    "from"
                };
                return fault(parameter, format!("asks for more than {}, the longest range", self.length_text(max)));
            }
        }
        if let Some(step) = self.step {
            bounds.from = bounds.from.map(|from| from.div_euclid(step).saturating_mul(step));
            bounds.to = bounds.to.map(|to| to.saturating_add(step - 1).div_euclid(step).saturating_mul(step));
        }
        Ok(bounds)
    }

    /// The greatest number of hours, or days, that can be asked for.
    pub(crate) fn most_ago(&self, parameter: &str) -> i64 {
        let unit = match (self.column.cql_type, parameter) {
            (CqlType::Date, _) => 1,
            (_, "hours") => MILLIS_PER_HOUR,
            _ => MILLIS_PER_DAY,
        };
        self.max.map_or(MOST_AGO, |max| (max / unit).clamp(1, MOST_AGO))
    }

    /// How far back, in the column's unit.
    fn age(&self, said: Said<'_>) -> Result<Option<i64>, BoundsFault> {
        let (parameter, text, millis) = match (said.hours, said.days) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => return fault("days", "cannot be given together with `hours`"),
            (Some(hours), None) => ("hours", hours, MILLIS_PER_HOUR),
            (None, Some(days)) => ("days", days, MILLIS_PER_DAY),
        };
        if said.from.is_some() || said.to.is_some() {
            return fault(parameter, "cannot be given together with `from` or `to`");
        }
        if !self.counts_time() {
            return fault(parameter, format!("is for times, and `{}` is a number: give `from` and `to`", self.column.name));
        }
        let number = whole_number(text).filter(|number| (1..=MOST_AGO).contains(number));
        let Some(number) = number else { return fault(parameter, "must be a whole number from 1") };
        if self.column.cql_type == CqlType::Date {
            return match parameter {
                "days" => Ok(Some(number)),
                _ => fault(parameter, format!("is for times, and `{}` is a date: give `days`", self.column.name)),
            };
        }
        Ok(Some(number * millis))
    }

    fn read(&self, parameter: &'static str, text: &str) -> Result<i64, BoundsFault> {
        let read = match self.column.cql_type {
            CqlType::Timestamp => millis(text),
            CqlType::Date => days(text).map(i64::from),
            other => KeyValue::parse(other, text).map(|_| text.parse().expect("what is a number of fewer bits is one of 64")),
        };
        read.or_else(|reason| fault(parameter, reason.to_string()))
    }

    pub(crate) fn length_text(&self, length: i64) -> String {
        let millis = if self.column.cql_type == CqlType::Date { length * MILLIS_PER_DAY } else { length };
        match millis {
            whole if whole % MILLIS_PER_DAY == 0 => format!("{} days", whole / MILLIS_PER_DAY),
            hours if hours % MILLIS_PER_HOUR == 0 => format!("{} hours", hours / MILLIS_PER_HOUR),
            other => format!("{} seconds", other / 1_000),
        }
    }

    /// A bound as callers read it.
    pub(crate) fn text(&self, bound: i64) -> Option<String> {
        match self.column.cql_type {
            CqlType::Timestamp => timestamp_text(bound),
            CqlType::Date => date_text(i32::try_from(bound).ok()?),
            _ => Some(bound.to_string()),
        }
    }

    /// The buckets that bounds lie in, the earliest first, as multiples of the bucket's width.
    pub(crate) fn buckets(&self, bounds: Bounds) -> Option<std::ops::RangeInclusive<i64>> {
        let width = self.bucket.as_ref()?.width;
        let (from, to) = (bounds.from?, bounds.to?);
        Some(from.div_euclid(width)..=(to - 1).div_euclid(width))
    }

    /// The value of the bucket's column.
    pub(crate) fn bucket_value(&self, bucket: i64) -> Option<KeyValue> {
        let Some(definition) = &self.bucket else { return None };
        let start = bucket.checked_mul(definition.width)?;
        let start = match (self.column.cql_type, definition.column.cql_type) {
            (CqlType::Timestamp, CqlType::Date) => start.div_euclid(MILLIS_PER_DAY),
            (CqlType::Date, CqlType::Timestamp) => start.checked_mul(MILLIS_PER_DAY)?,
            _ => start,
        };
        KeyValue::number(definition.column.cql_type, start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::{Bucket, Column};

    const NOW: i64 = 1_478_476_799_500; // 2016-11-06T23:59:59.500Z

    fn column(name: &str, cql_type: CqlType) -> Column {
        Column { name: name.to_owned(), cql_type }
    }

    fn by_day(step: Option<i64>) -> Range {
        Range {
            column: column("ts", CqlType::Timestamp),
            bucket: Some(Bucket { column: column("day", CqlType::Date), width: MILLIS_PER_DAY }),
            max: Some(31 * MILLIS_PER_DAY),
            default: Some(MILLIS_PER_DAY),
            step,
        }
    }

    fn texts(range: &Range, said: Said<'_>) -> Result<(String, String), BoundsFault> {
        let bounds = range.bounds(said, NOW)?;
        Ok((range.text(bounds.from.unwrap()).unwrap(), range.text(bounds.to.unwrap()).unwrap()))
    }

    #[test]
    fn an_age_ends_now_and_includes_it() {
        let range = by_day(None);
        let hours = Said { hours: Some("24"), ..Said::default() };
        let day = ("2016-11-05T23:59:59.500Z".to_owned(), "2016-11-06T23:59:59.501Z".to_owned());
        assert_eq!(texts(&range, hours), Ok(day.clone()));
        assert_eq!(texts(&range, Said { days: Some("1"), ..Said::default() }), Ok(day.clone()));
        assert_eq!(texts(&range, Said::default()), Ok(day), "the default is a day");
        let buckets = range.buckets(range.bounds(hours, NOW).unwrap()).unwrap();
        assert_eq!(buckets.clone().count(), 2);
        assert_eq!(range.bucket_value(*buckets.end()), Some(KeyValue::parse(CqlType::Date, "2016-11-06").unwrap()));
        let longest = Said { days: Some("31"), ..Said::default() };
        assert!(range.bounds(longest, NOW).is_ok(), "the longest range is not too long");
    }

    #[test]
    fn an_hour_that_is_asked_for_in_part_is_answered_as_a_whole() {
        let range = by_day(Some(3_600_000));
        let said = Said { hours: Some("1"), ..Said::default() };
        let hours = ("2016-11-06T22:00:00.000Z".to_owned(), "2016-11-07T00:00:00.000Z".to_owned());
        assert_eq!(texts(&range, said), Ok(hours));
    }

    #[test]
    fn a_range_within_a_day_reads_that_day_only() {
        let range = by_day(None);
        let said = Said { from: Some("2016-11-04T00:00:00+02:00"), to: Some("2016-11-04"), ..Said::default() };
        let bounds = range.bounds(said, NOW).unwrap();
        assert_eq!(range.buckets(bounds).unwrap().count(), 1);
        let said = Said { from: Some("2016-11-01"), ..Said::default() };
        assert_eq!(range.buckets(range.bounds(said, NOW).unwrap()).unwrap().count(), 6, "to now");
    }

    #[test]
    fn what_makes_no_range_is_refused_by_the_name_of_its_parameter() {
        let range = by_day(None);
        let said = Said::default();
        let cases = [
            (Said { hours: Some("0"), ..said }, "hours"),
            (Said { hours: Some("-1"), ..said }, "hours"),
            (Said { hours: Some("1.5"), ..said }, "hours"),
            (Said { hours: Some("745"), ..said }, "hours"),
            (Said { hours: Some("1"), days: Some("1"), ..said }, "days"),
            (Said { hours: Some("1"), from: Some("2016-11-01"), ..said }, "hours"),
            (Said { from: Some("yesterday"), ..said }, "from"),
            (Said { to: Some("2016-11-01"), ..said }, "from"),
            (Said { from: Some("2016-11-02"), to: Some("2016-11-02"), ..said }, "to"),
            (Said { from: Some("2016-01-02"), to: Some("2016-11-02"), ..said }, "from"),
        ];
        for (said, parameter) in cases {
            assert_eq!(range.bounds(said, NOW).map_err(|fault| fault.parameter), Err(parameter), "{said:?}");
        }
    }

    #[test]
    fn a_range_of_dates_counts_whole_days_and_one_of_numbers_counts_nothing() {
        let dates = Range { column: column("d", CqlType::Date), bucket: None, max: None, default: None, step: None };
        let days = Said { days: Some("2"), ..Said::default() };
        assert_eq!(texts(&dates, days), Ok(("2016-11-05".to_owned(), "2016-11-07".to_owned())));
        let hours = Said { hours: Some("2"), ..Said::default() };
        assert_eq!(dates.bounds(hours, NOW).map_err(|fault| fault.parameter), Err("hours"));
        assert_eq!(dates.bounds(Said::default(), NOW), Ok(Bounds::default()));
        let numbers = Range { column: column("n", CqlType::Int), ..dates };
        assert!(numbers.bounds(days, NOW).is_err());
        let said = Said { from: Some("3"), ..Said::default() };
        assert_eq!(numbers.bounds(said, NOW), Ok(Bounds { from: Some(3), to: None }));
    }
}
