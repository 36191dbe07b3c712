//! Dates and instants as a contract says that they are written, in the zone that it says.

use std::str::FromStr;

use chrono::format::{Item, Parsed, StrftimeItems, parse};
use chrono::{DateTime, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Timelike};
use chrono_tz::Tz;
use model::definition::{Ambiguous, EpochUnit, Reading, TimeFormat};

use super::text;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Why something is no instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoInstant {
    /// Not written in any of the formats, or finer than microseconds.
    Unreadable,
    /// The zone's clocks skip it.
    Skipped,
    /// The zone's clocks show it twice.
    Twice,
}

/// Reads dates and instants of one column.
#[derive(Debug)]
pub(super) struct Times {
    formats: Vec<Format>,
    zone: Option<Tz>,
    ambiguous: Ambiguous,
}

#[derive(Debug)]
enum Format {
    Iso,
    Epoch(EpochUnit),
    Pattern(Vec<Item<'static>>),
}

impl Times {
    /// From a reading of a validated definition.
    pub(super) fn new(reading: &Reading) -> Self {
        let compiled = |format: &TimeFormat| match format {
            TimeFormat::Iso => Format::Iso,
            TimeFormat::Epoch(unit) => Format::Epoch(*unit),
            TimeFormat::Pattern(pattern) => {
                Format::Pattern(StrftimeItems::new(pattern).parse_to_owned().expect("a validated definition"))
            }
        };
        let formats = if reading.formats.is_empty() { vec![Format::Iso] } else { reading.formats.iter().map(compiled).collect() };
        let zone = reading.zone.as_deref().map(|zone| Tz::from_str(zone).expect("a validated definition"));
        Self { formats, zone, ambiguous: reading.ambiguous }
    }

    /// Microseconds since the epoch, from text. The first format that fits is taken.
    pub(super) fn instant(&self, text: &str) -> Result<i64, NoInstant> {
        for format in &self.formats {
            let found = match format {
                Format::Iso => text::instant(text.as_bytes()),
                Format::Epoch(unit) => epoch(text, *unit).map(|micros| (micros, true)),
                Format::Pattern(items) => pattern(items, text),
            };
            match found {
                Some((micros, true)) => return Ok(micros),
                Some((micros, false)) => return self.local(micros),
                None => {}
            }
        }
        Err(NoInstant::Unreadable)
    }

    /// Microseconds since the epoch, from a number.
    pub(super) fn instant_of_number(&self, number: &str) -> Result<i64, NoInstant> {
        let epochs = self.formats.iter().filter_map(|format| if let Format::Epoch(unit) = format { Some(*unit) } else { None });
        epochs.into_iter().find_map(|unit| epoch(number, unit)).ok_or(NoInstant::Unreadable)
    }

    /// Days since the epoch, from text; a time of day that is not midnight would be lost.
    pub(super) fn date(&self, text: &str) -> Option<i32> {
        self.formats.iter().find_map(|format| match format {
            Format::Iso => text::date(text.as_bytes()),
            Format::Epoch(unit) => days(epoch(text, *unit)?),
            Format::Pattern(items) => days(pattern_local(items, text)?),
        })
    }

    /// Days since the epoch, from a number.
    pub(super) fn date_of_number(&self, number: &str) -> Option<i32> {
        days(self.instant_of_number(number).ok()?)
    }

    /// The instant of a local time, in microseconds as if it were UTC.
    pub(super) fn local(&self, micros: i64) -> Result<i64, NoInstant> {
        let Some(zone) = self.zone else { return Ok(micros) };
        let local = DateTime::from_timestamp_micros(micros).ok_or(NoInstant::Unreadable)?.naive_utc();
        match (zone.from_local_datetime(&local), self.ambiguous) {
            (MappedLocalTime::Single(instant), _)
            | (MappedLocalTime::Ambiguous(instant, _), Ambiguous::Earlier)
            | (MappedLocalTime::Ambiguous(_, instant), Ambiguous::Later) => Ok(instant.timestamp_micros()),
            (MappedLocalTime::Ambiguous(_, _), Ambiguous::Reject) => Err(NoInstant::Twice),
            (MappedLocalTime::None, _) => Err(NoInstant::Skipped),
        }
    }
}

/// Microseconds of a number of units; `None` where it is finer or out of range.
fn epoch(number: &str, unit: EpochUnit) -> Option<i64> {
    let scale = match unit {
        EpochUnit::Seconds => 6,
        EpochUnit::Millis => 3,
        EpochUnit::Micros => 0,
        EpochUnit::Nanos => -3,
    };
    let micros = i64::try_from(text::decimal(number, 38, scale)?).ok()?;
    DateTime::from_timestamp_micros(micros).map(|_| micros)
}

/// The days of an instant at midnight.
pub(super) fn days(micros: i64) -> Option<i32> {
    if micros % MICROS_PER_DAY == 0 { i32::try_from(micros / MICROS_PER_DAY).ok() } else { None }
}

/// Microseconds, and whether they are an instant or a local time.
fn pattern(items: &[Item<'static>], text: &str) -> Option<(i64, bool)> {
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, items.iter()).ok()?;
    match (parsed.offset(), parsed.timestamp()) {
        (Some(offset), _) => Some((micros(naive(&parsed)?)?.checked_sub(i64::from(offset) * 1_000_000)?, true)),
        (None, Some(_)) => Some((micros(naive(&parsed)?)?, true)),
        (None, None) => Some((micros(naive(&parsed)?)?, false)),
    }
}

/// Microseconds as they are written, whatever the offset.
fn pattern_local(items: &[Item<'static>], text: &str) -> Option<i64> {
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, items.iter()).ok()?;
    micros(naive(&parsed)?)
}

fn naive(parsed: &Parsed) -> Option<NaiveDateTime> {
    let has_time = parsed.hour_mod_12().is_some() || parsed.timestamp().is_some();
    if has_time {
        parsed.to_naive_datetime_with_offset(parsed.offset().unwrap_or(0)).ok()
    } else {
        parsed.to_naive_date().ok().map(|date: NaiveDate| date.and_time(NaiveTime::MIN))
    }
}

/// Leap seconds and what is finer than microseconds would be lost.
fn micros(time: NaiveDateTime) -> Option<i64> {
    let is_whole = time.nanosecond() < 1_000_000_000 && time.nanosecond().is_multiple_of(1000);
    is_whole.then(|| time.and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(formats: &[TimeFormat], zone: Option<&str>, ambiguous: Ambiguous) -> Times {
        let zone = zone.map(str::to_owned);
        Times::new(&Reading { formats: formats.to_vec(), zone, ambiguous, ..Reading::default() })
    }

    fn utc(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
    }

    #[test]
    fn instants_are_read_in_each_format_and_nothing_is_lost() {
        let pattern = |text: &str| TimeFormat::Pattern(text.to_owned());
        for (format, text, expected) in [
            (pattern("%d.%m.%Y %H:%M"), "04.11.2016 10:30", Some("2016-11-04T10:30:00Z")),
            (pattern("%d.%m.%Y"), "04.11.2016", Some("2016-11-04T00:00:00Z")),
            (pattern("%d.%m.%Y"), "31.11.2016", None),
            (pattern("%d.%m.%Y"), "04.11.2016 ", None),
            (pattern("%Y%m%dT%H%M%S%z"), "20161104T103000+0200", Some("2016-11-04T08:30:00Z")),
            (pattern("%Y-%m-%d %H:%M:%S%.f"), "2016-11-04 10:30:00.123456", Some("2016-11-04T10:30:00.123456Z")),
            (pattern("%Y-%m-%d %H:%M:%S%.f"), "2016-11-04 10:30:00.1234567", None),
            (pattern("%m/%d/%Y %I:%M %p"), "11/04/2016 01:30 PM", Some("2016-11-04T13:30:00Z")),
            (TimeFormat::Epoch(EpochUnit::Seconds), "1478255400", Some("2016-11-04T10:30:00Z")),
            (TimeFormat::Epoch(EpochUnit::Seconds), "1478255400.25", Some("2016-11-04T10:30:00.25Z")),
            (TimeFormat::Epoch(EpochUnit::Seconds), "1478255400.1234567", None),
            (TimeFormat::Epoch(EpochUnit::Millis), "1478255400001", Some("2016-11-04T10:30:00.001Z")),
            (TimeFormat::Epoch(EpochUnit::Micros), "-1", Some("1969-12-31T23:59:59.999999Z")),
            (TimeFormat::Epoch(EpochUnit::Nanos), "1478255400000001000", Some("2016-11-04T10:30:00.000001Z")),
            (TimeFormat::Epoch(EpochUnit::Nanos), "1478255400000000001", None),
            (TimeFormat::Epoch(EpochUnit::Seconds), "99999999999999", None),
            (TimeFormat::Epoch(EpochUnit::Seconds), "soon", None),
        ] {
            let found = times(std::slice::from_ref(&format), None, Ambiguous::Reject).instant(text);
            assert_eq!(found.ok(), expected.map(utc), "{format:?} {text}");
        }
    }

    #[test]
    fn the_first_format_that_fits_is_taken() {
        let both = [TimeFormat::Iso, TimeFormat::Pattern("%d/%m/%Y %H:%M".into()), TimeFormat::Epoch(EpochUnit::Seconds)];
        let times = times(&both, None, Ambiguous::Reject);
        for text in ["2016-11-04T10:30:00Z", "04/11/2016 10:30", "1478255400"] {
            assert_eq!(times.instant(text), Ok(utc("2016-11-04T10:30:00Z")), "{text}");
        }
        assert_eq!(times.instant_of_number("1478255400"), Ok(utc("2016-11-04T10:30:00Z")));
        assert_eq!(times.instant("04.11.2016"), Err(NoInstant::Unreadable));
    }

    #[test]
    fn local_times_are_of_their_zone_and_those_that_clocks_skip_or_repeat_are_told_apart() {
        let helsinki = |ambiguous| times(&[], Some("Europe/Helsinki"), ambiguous);
        let reject = helsinki(Ambiguous::Reject);
        assert_eq!(reject.instant("2024-01-15T12:00:00"), Ok(utc("2024-01-15T10:00:00Z")));
        assert_eq!(reject.instant("2024-07-15T12:00:00"), Ok(utc("2024-07-15T09:00:00Z")));
        assert_eq!(reject.instant("2024-07-15T12:00:00Z"), Ok(utc("2024-07-15T12:00:00Z")));
        assert_eq!(reject.instant("2024-03-31T03:30:00"), Err(NoInstant::Skipped));
        assert_eq!(reject.instant("2024-10-27T03:30:00"), Err(NoInstant::Twice));
        assert_eq!(helsinki(Ambiguous::Earlier).instant("2024-10-27T03:30:00"), Ok(utc("2024-10-27T00:30:00Z")));
        assert_eq!(helsinki(Ambiguous::Later).instant("2024-10-27T03:30:00"), Ok(utc("2024-10-27T01:30:00Z")));
    }

    #[test]
    fn a_date_takes_a_time_of_day_only_at_midnight() {
        let with_time = times(&[TimeFormat::Pattern("%Y-%m-%d %H:%M".into())], None, Ambiguous::Reject);
        assert_eq!(with_time.date("1970-01-02 00:00"), Some(1));
        assert_eq!(with_time.date("1970-01-02 00:01"), None);
        let epoch = times(&[TimeFormat::Epoch(EpochUnit::Seconds)], None, Ambiguous::Reject);
        assert_eq!((epoch.date("86400"), epoch.date("86401"), epoch.date_of_number("-86400")), (Some(1), None, Some(-1)));
    }
}
