//! Text to numbers, dates, instants, UUIDs and bytes, strictly: what does not fit without loss is `None`.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// `YYYY-MM-DD` as days since the Unix epoch.
pub(super) fn date(text: &[u8]) -> Option<i32> {
    let (days, rest) = leading_date(text)?;
    rest.is_empty().then_some(days)
}

/// ISO 8601: `YYYY-MM-DDTHH:MM:SS`, with `T` or a space, a fraction of up to microseconds (more digits only if they are
/// zero), and perhaps `Z` or an offset. Microseconds since the Unix epoch, and whether there was an offset: without one the time
/// is local and given as if it were UTC.
pub(super) fn instant(text: &[u8]) -> Option<(i64, bool)> {
    let (days, rest) = leading_date(text)?;
    let [b'T' | b't' | b' ', rest @ ..] = rest else { return None };
    let [h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = rest else { return None };
    let (hour, minute, second) = (two(*h1, *h2)?, two(*m1, *m2)?, two(*s1, *s2)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (micros, rest) = fraction(rest)?;
    let offset = offset_seconds(rest)?;
    let seconds = i64::from(days) * SECONDS_PER_DAY + i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Some(((seconds - offset.unwrap_or(0)) * MICROS_PER_SECOND + micros, offset.is_some()))
}

/// Whether the text is a number in decimal digits, with or without sign, point and exponent.
pub(super) fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    let whole = digits(rest);
    let (fraction, rest) = match &rest[whole..] {
        [b'.', rest @ ..] => (digits(rest), &rest[digits(rest)..]),
        rest => (0, rest),
    };
    if whole + fraction == 0 {
        return false;
    }
    match rest {
        [] => true,
        [b'e' | b'E', b'-' | b'+', rest @ ..] | [b'e' | b'E', rest @ ..] => !rest.is_empty() && digits(rest) == rest.len(),
        _ => false,
    }
}

/// A whole number; `5.0` and `1e3` are some, too.
pub(super) fn integer(text: &str) -> Option<i64> {
    plain_integer(text.as_bytes()).or_else(|| integer_by_decimal(text))
}

/// A whole number in at most eighteen digits, which fit always.
#[inline]
pub(super) fn plain_integer(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value: i64 = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if is_negative { -value } else { value })
}

#[cold]
fn integer_by_decimal(text: &str) -> Option<i64> {
    i64::try_from(decimal(text, 19, 0)?).ok()
}

/// A decimal number as an integer of its last place; `None` where digits would be lost. A negative scale leaves out places.
pub(super) fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    if !is_number(text.as_bytes()) {
        return None;
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (sign, digits) = mantissa.strip_prefix('-').map_or((1, mantissa.trim_start_matches('+')), |rest| (-1, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut value: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let mut shift = i64::from(scale).checked_add(exponent)?.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    while shift > 0 && value != 0 {
        value = value.checked_mul(10)?;
        shift -= 1;
    }
    while shift < 0 && value != 0 {
        if value % 10 != 0 {
            return None;
        }
        value /= 10;
        shift += 1;
    }
    (value < 10_i128.checked_pow(u32::from(precision))?).then_some(sign * value)
}

/// A finite number.
pub(super) fn float(text: &str) -> Option<f64> {
    if is_number(text.as_bytes()) { text.parse().ok().filter(|value: &f64| value.is_finite()) } else { None }
}

pub(super) fn boolean(text: &str) -> Option<bool> {
    let is = |words: [&str; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(["true", "t", "1", "yes"]) {
        Some(true)
    } else if is(["false", "f", "0", "no"]) {
        Some(false)
    } else {
        None
    }
}

/// Padding may be there or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? * 16 + digit(pair[1])?)).collect()
}

/// 32 hex digits, or 36 characters with dashes in their places; lower case with dashes.
pub(super) fn uuid(text: &[u8]) -> Option<[u8; 36]> {
    const DASHES: [usize; 4] = [8, 13, 18, 23];
    let mut out = [b'-'; 36];
    let mut digits = match text.len() {
        32 => text.iter(),
        36 if DASHES.iter().all(|place| text[*place] == b'-') => text.iter(),
        _ => return None,
    };
    let is_dashed = text.len() == 36;
    for (place, slot) in out.iter_mut().enumerate() {
        if DASHES.contains(&place) {
            if is_dashed {
                digits.next();
            }
            continue;
        }
        let digit = *digits.next()?;
        if !digit.is_ascii_hexdigit() {
            return None;
        }
        *slot = digit.to_ascii_lowercase();
    }
    Some(out)
}

fn leading_date(text: &[u8]) -> Option<(i32, &[u8])> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, rest @ ..] = text else { return None };
    let year = i32::from(two(*y1, *y2)?) * 100 + i32::from(two(*y3, *y4)?);
    let (month, day) = (two(*m1, *m2)?, two(*d1, *d2)?);
    let is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => return None,
    };
    if year == 0 || day == 0 || day > last {
        return None;
    }
    Some((days_from_civil(year, i32::from(month), i32::from(day)), rest))
}

/// Days since 1970-01-01 of a proleptic Gregorian date; the algorithm is Howard Hinnant's `days_from_civil`.
fn days_from_civil(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let [b'.' | b',', rest @ ..] = text else { return Some((0, text)) };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || rest[..digits].iter().skip(6).any(|digit| *digit != b'0') {
        return None;
    }
    let micros = (0..6).fold(0, |value, place| value * 10 + rest[..digits].get(place).map_or(0, |digit| i64::from(digit - b'0')));
    Some((micros, &rest[digits..]))
}

/// The outer `None`: it is not an offset; the inner one: there is none.
#[expect(clippy::option_option, reason = "no offset and a wrong offset are two things")]
fn offset_seconds(text: &[u8]) -> Option<Option<i64>> {
    let (sign, rest) = match text {
        [] => return Some(None),
        [b'Z' | b'z'] => return Some(Some(0)),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest {
        [h1, h2] => (two(*h1, *h2)?, 0),
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => (two(*h1, *h2)?, two(*m1, *m2)?),
        _ => return None,
    };
    (hours <= 18 && minutes <= 59).then(|| Some(sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60)))
}

fn two(tens: u8, ones: u8) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, NaiveDate};

    use super::*;

    #[test]
    fn dates_agree_with_chrono_over_six_centuries() {
        let start = NaiveDate::from_ymd_opt(1600, 1, 1).unwrap();
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        for day in start.iter_days().take(220_000).step_by(3) {
            let expected = i32::try_from((day - epoch).num_days()).unwrap();
            assert_eq!(date(day.to_string().as_bytes()), Some(expected), "{day}");
        }
    }

    #[test]
    fn instants_with_and_without_fraction_and_offset() {
        let expected = |text| DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros();
        for (text, same) in [
            ("2016-11-04T10:00:00", "2016-11-04T10:00:00Z"),
            ("2016-11-04 10:00:00.5", "2016-11-04T10:00:00.5Z"),
            ("2016-11-04T10:00:00.123456", "2016-11-04T10:00:00.123456Z"),
            ("2016-11-04T10:00:00.123456000Z", "2016-11-04T10:00:00.123456Z"),
            ("2016-11-04T00:30:00+02:00", "2016-11-03T22:30:00Z"),
            ("2016-11-04T00:30:00-0530", "2016-11-04T06:00:00Z"),
            ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
        ] {
            let has_offset = text.ends_with('Z') || text.len() > 26 || text.contains('+');
            let has_offset = has_offset || text.matches('-').count() > 2;
            assert_eq!(instant(text.as_bytes()), Some((expected(same), has_offset)), "{text}");
        }
    }

    #[test]
    fn impossible_or_lossy_instants_are_refused() {
        for text in [
            "2016-11-31T10:00:00",
            "2016-02-30T10:00:00",
            "2015-02-29T10:00:00",
            "2016-13-01T10:00:00",
            "2016-11-04T24:00:00",
            "2016-11-04T10:60:00",
            "2016-11-04T10:00:60",
            "2016-11-04T10:00:00.1234567",
            "2016-11-04T10:00",
            "2016-11-04",
            "16-11-04T10:00:00",
            "2016-11-04T10:00:00+19:00",
            "2016-11-04T10:00:00 UTC",
            "2016-11-04T10:00:00.",
            "",
            "0000-01-01T00:00:00",
        ] {
            assert_eq!(instant(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn uuids_come_out_dashed_and_lower_case_or_not_at_all() {
        let dashed = *b"0b8e2f6a-9c1d-4e5f-8a7b-0123456789ab";
        assert_eq!(uuid(b"0B8E2F6A9C1D4E5F8A7B0123456789AB"), Some(dashed));
        assert_eq!(uuid(&dashed), Some(dashed));
        for text in [
            "not-a-uuid",
            "0b8e2f6a-9c1d-4e5f-8a7b-0123456789a",
            "0b8e2f6a9c1d4e5f8a7b0123456789ag",
            "0b8e2f6a+9c1d-4e5f-8a7b-0123456789ab",
            "{0b8e2f6a-9c1d-4e5f-8a7b-0123456789}",
            "0b8e2f6a-9c1d-4e5f-8a7b-0123456789é",
        ] {
            assert_eq!(uuid(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn numbers_in_text_keep_all_their_digits() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-25", Some(-25)),
            ("+7", Some(7)),
            ("007", Some(7)),
            ("5.0", Some(5)),
            ("1e3", Some(1000)),
            (".5e1", Some(5)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("5.5", None),
            ("1.5e-2147483648", None),
            ("", None),
            ("-", None),
            (".", None),
            ("5.", Some(5)),
            ("1e", None),
            ("0x10", None),
            (" 5", None),
            ("1_000", None),
            ("1,000", None),
            ("--5", None),
        ] {
            assert_eq!(integer(text), expected, "{text}");
        }
        for text in ["nan", "inf", "-infinity", "1e999", "", "1.2.3"] {
            assert_eq!(float(text), None, "{text}");
        }
        assert_eq!((float("-1.5e300"), float(".5")), (Some(-1.5e300), Some(0.5)));
        assert_eq!((decimal("-123.45", 5, 2), decimal("123.450", 5, 2)), (Some(-12345), Some(12345)));
        assert_eq!((decimal("0.005", 5, 2), decimal("1000", 5, 2), decimal("1e9223372036854775807", 5, 2)), (None, None, None));
    }

    #[test]
    fn bytes_and_booleans_in_text() {
        assert_eq!(
            (base64("3q2+7w=="), base64("3q2+7w")),
            (Some(vec![0xde, 0xad, 0xbe, 0xef]), Some(vec![0xde, 0xad, 0xbe, 0xef]))
        );
        assert_eq!((base64("3q2-7w"), base64("3")), (None, None));
        assert_eq!(
            (hex("DEadbeef"), hex("dea"), hex("xx"), hex("")),
            (Some(vec![0xde, 0xad, 0xbe, 0xef]), None, None, Some(vec![]))
        );
        assert_eq!(["TRUE", "t", "1", "Yes"].map(boolean), [Some(true); 4]);
        assert_eq!(["False", "F", "0", "no"].map(boolean), [Some(false); 4]);
        assert_eq!(["", "2", "ja", "y"].map(boolean), [None; 4]);
    }
}
