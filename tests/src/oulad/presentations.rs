//! The presentations of the real archive's modules.

use chrono::{Days, NaiveDate};

/// A module as it was given once: `B` begins in February, `J` in October.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Presentation {
    pub module: &'static str,
    /// Year and `B` or `J`.
    pub code: &'static str,
    /// Length in days.
    pub length: u16,
}

const fn presentation(module: &'static str, code: &'static str, length: u16) -> Presentation {
    Presentation { module, code, length }
}

/// All 22, in an order in which the first few are of several modules and of both halves of the year.
pub(super) const ALL: [Presentation; 22] = [
    presentation("AAA", "2013J", 268),
    presentation("BBB", "2013B", 240),
    presentation("BBB", "2013J", 268),
    presentation("CCC", "2014B", 241),
    presentation("AAA", "2014J", 269),
    presentation("BBB", "2014B", 234),
    presentation("BBB", "2014J", 262),
    presentation("CCC", "2014J", 269),
    presentation("DDD", "2013B", 240),
    presentation("DDD", "2013J", 261),
    presentation("DDD", "2014B", 241),
    presentation("DDD", "2014J", 262),
    presentation("EEE", "2013J", 268),
    presentation("EEE", "2014B", 241),
    presentation("EEE", "2014J", 269),
    presentation("FFF", "2013B", 240),
    presentation("FFF", "2013J", 268),
    presentation("FFF", "2014B", 241),
    presentation("FFF", "2014J", 269),
    presentation("GGG", "2013J", 261),
    presentation("GGG", "2014B", 241),
    presentation("GGG", "2014J", 269),
];

impl Presentation {
    /// 1 February or 1 October.
    pub fn start(&self) -> NaiveDate {
        let (year, half) = self.code.split_at(4);
        let year = year.parse().expect("the codes above begin with a year");
        let month = if half == "B" { 2 } else { 10 };
        NaiveDate::from_ymd_opt(year, month, 1).expect("every month has a first day")
    }

    /// The date that is so many days after the start.
    pub fn date(&self, offset: i16) -> NaiveDate {
        let days = Days::new(offset.unsigned_abs().into());
        let date = if offset < 0 { self.start().checked_sub_days(days) } else { self.start().checked_add_days(days) };
        date.expect("offsets are days of a few years")
    }
}
