//! Dates and times as callers read them, written digit by digit: an answer holds a few in each of its rows, and a formatter that reads
//! its pattern anew for each took longer over them than everything else together.

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Timelike};

/// Writes `2024-01-31`; nothing for a day that no calendar has.
pub fn write_date(out: &mut Vec<u8>, days: i32) {
    if let Some(date) = NaiveDate::default().checked_add_signed(TimeDelta::days(days.into())) {
        write(out, date);
    }
}

/// Writes `2024-01-31T10:00:00.000Z`; nothing for an instant that no calendar has.
pub fn write_timestamp(out: &mut Vec<u8>, millis: i64) {
    let Some(instant) = DateTime::from_timestamp_millis(millis) else { return };
    write(out, instant.date_naive());
    for (before, number) in [(b'T', instant.hour()), (b':', instant.minute()), (b':', instant.second())] {
        out.push(before);
        digits::<2>(out, number);
    }
    out.push(b'.');
    digits::<3>(out, instant.nanosecond() / 1_000_000);
    out.push(b'Z');
}

/// `2024-01-31`; `None` for a day that no calendar has.
pub fn date_text(days: i32) -> Option<String> {
    text(|out| write_date(out, days))
}

/// `2024-01-31T10:00:00.000Z`; `None` for an instant that no calendar has.
pub fn timestamp_text(millis: i64) -> Option<String> {
    text(|out| write_timestamp(out, millis))
}

fn text(write: impl FnOnce(&mut Vec<u8>)) -> Option<String> {
    let mut out = Vec::with_capacity(24);
    write(&mut out);
    String::from_utf8(out).ok().filter(|text| !text.is_empty())
}

fn write(out: &mut Vec<u8>, date: NaiveDate) {
    match u32::try_from(date.year()) {
        Ok(year @ ..=9_999) => digits::<4>(out, year),
        // With a sign, as ISO 8601 has years that four digits cannot write.
        _ => out.extend(date.format("%Y").to_string().into_bytes()),
    }
    for number in [date.month(), date.day()] {
        out.push(b'-');
        digits::<2>(out, number);
    }
}

/// The last `N` digits of a number.
fn digits<const N: usize>(out: &mut Vec<u8>, number: u32) {
    let mut left = number;
    let mut text = [b'0'; N];
    for digit in text.iter_mut().rev() {
        *digit += u8::try_from(left % 10).expect("a digit is small");
        left /= 10;
    }
    out.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The slow way says the same.
    #[test]
    fn times_and_dates_are_written_as_the_pattern_of_iso_8601_says() {
        let day: i64 = 86_400_000;
        let steps = (-800_000..3_700_000).step_by(9_973).map(|days| days * day + days % 1_000 + (days % 86_399) * 1_000);
        for millis in steps.chain([0, -1, 1, -62_135_596_800_000, 253_402_300_799_999, 253_402_300_800_000]) {
            let written = DateTime::from_timestamp_millis(millis).unwrap().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
            assert_eq!(timestamp_text(millis).unwrap(), written);
            let days = i32::try_from(millis.div_euclid(day)).unwrap();
            assert_eq!(date_text(days).unwrap(), written.split('T').next().unwrap());
        }
        assert_eq!((timestamp_text(i64::MAX), date_text(i32::MAX)), (None, None));
    }
}
