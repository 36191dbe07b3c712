//! Quantities with their unit: `16 MiB`, `365 days`, `5 %`.

use super::error::Complaint;

/// Powers of 1024 and, as storage vendors count, of 1000.
const SIZES: [(&str, u64); 9] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

pub(in crate::definition) const SECONDS_PER_DAY: u64 = 86_400;

/// A year is 365 days. There are no months: they differ in length.
const DURATIONS: [(&str, u64); 6] = [
    ("second", 1),
    ("minute", 60),
    ("hour", 3_600),
    ("day", SECONDS_PER_DAY),
    ("week", 7 * SECONDS_PER_DAY),
    ("year", 365 * SECONDS_PER_DAY),
];

/// Bytes.
pub(super) fn size(text: &str) -> Result<u64, Complaint> {
    let (number, unit) = split(text);
    let example = "write a whole number and a unit: B, KiB, MiB, GiB, TiB, kB, MB, GB or TB";
    let not_a_size = || Complaint::new(format!("`{text}` is not a size")).hint(example);
    let count: u64 = number.parse().map_err(|_| not_a_size())?;
    let Some((_, bytes)) = SIZES.iter().find(|(name, _)| *name == unit) else {
        let meant = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
        return Err(match meant {
            Some((name, _)) => not_a_size().hint(format!("did you mean `{number} {name}`?")),
            None => not_a_size(),
        });
    };
    count.checked_mul(*bytes).ok_or_else(|| Complaint::new(format!("`{text}` is too large")))
}

/// Seconds.
pub(super) fn duration(text: &str) -> Result<u64, Complaint> {
    let (number, unit) = split(text);
    let not_a_duration = || {
        Complaint::new(format!("`{text}` is not a duration"))
            .hint("write a whole number and a unit: seconds, minutes, hours, days, weeks or years (of 365 days)")
    };
    let count: u64 = number.parse().map_err(|_| not_a_duration())?;
    let singular = unit.strip_suffix('s').unwrap_or(unit);
    let (_, seconds) = DURATIONS.iter().find(|(name, _)| *name == singular).ok_or_else(not_a_duration)?;
    count.checked_mul(*seconds).ok_or_else(|| Complaint::new(format!("`{text}` is too long")))
}

/// Seconds, of a duration that is written as in a definition: `7 days`.
pub fn parse_duration(text: &str) -> Result<u64, String> {
    duration(text).map_err(with_hint)
}

/// Bytes, of a size that is written as in a definition: `256 MiB`.
pub fn parse_size(text: &str) -> Result<u64, String> {
    size(text).map_err(with_hint)
}

fn with_hint(complaint: Complaint) -> String {
    match complaint.hint {
        Some(hint) => format!("{}: {hint}", complaint.message),
        None => complaint.message,
    }
}

/// Whole days, at least one.
pub(super) fn days(text: &str) -> Result<u32, Complaint> {
    let seconds = duration(text)?;
    if seconds == 0 || !seconds.is_multiple_of(SECONDS_PER_DAY) {
        return Err(
            Complaint::new(format!("`{text}` is not a number of whole days")).hint("what is kept is judged by event date")
        );
    }
    u32::try_from(seconds / SECONDS_PER_DAY).map_err(|_| Complaint::new(format!("`{text}` is too long")))
}

/// A share, from 0 to 1.
pub(super) fn percent(text: &str) -> Result<f64, Complaint> {
    let (number, unit) = split(text);
    let share = match (number.parse::<f64>(), unit) {
        (Ok(percent), "%") => percent / 100.0,
        _ => return Err(Complaint::new(format!("`{text}` is not a share")).hint("write it in percent, as in `5 %`")),
    };
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(Complaint::new(format!("`{text}` is not between 0 % and 100 %"))) }
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_with_and_without_a_space() {
        assert_eq!(size("16 MiB"), Ok(16_777_216));
        assert_eq!(size("16MB"), Ok(16_000_000));
        assert_eq!(duration("90 seconds"), Ok(90));
        assert_eq!(duration("1 day"), Ok(86_400));
        assert_eq!(days("1 year"), Ok(365));
        assert_eq!(days("2 weeks"), Ok(14));
        assert_eq!(days("48 hours"), Ok(2));
        assert_eq!(percent("5 %"), Ok(0.05));
        assert_eq!(percent("0.5%"), Ok(0.005));
        assert_eq!(percent("100 %"), Ok(1.0));
    }

    #[test]
    fn a_quantity_without_a_sense_is_refused() {
        assert_eq!(size("16 mib").unwrap_err().hint.unwrap(), "did you mean `16 MiB`?");
        for text in ["", "MiB", "16", "-1 MiB", "1.5 GiB", "16 MiB each", "99999999999999 TiB"] {
            assert!(size(text).is_err(), "{text}");
        }
        for text in ["", "days", "1 month", "1 ss", "-1 day", "1.5 days", "99999999999999999 years", "é"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["0 days", "36 hours", "99999999999 days"] {
            assert!(days(text).is_err(), "{text}");
        }
        for text in ["5", "0.05", "101 %", "-1 %", "five %", "NaN %"] {
            assert!(percent(text).is_err(), "{text}");
        }
    }
}
