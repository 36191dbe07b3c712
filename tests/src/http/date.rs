//! Dates in HTTP headers.

use chrono::{DateTime, NaiveDateTime, Utc};

const FORMAT: &str = "%a, %d %b %Y %H:%M:%S GMT";

/// `Thu, 01 Dec 2016 00:00:00 GMT`; fractions of a second are dropped.
pub fn format_date(instant: DateTime<Utc>) -> String {
    instant.format(FORMAT).to_string()
}

/// Reads what [`format_date`] writes. The two obsolete forms of RFC 9110 are not dates here.
pub fn parse_date(text: &str) -> Option<DateTime<Utc>> {
    NaiveDateTime::parse_from_str(text, FORMAT).ok().map(|instant| instant.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_reads_as_it_was_written() {
        let instant = DateTime::from_timestamp(1_480_550_400, 0).unwrap();
        assert_eq!(format_date(instant), "Thu, 01 Dec 2016 00:00:00 GMT");
        assert_eq!(parse_date("Thu, 01 Dec 2016 00:00:00 GMT"), Some(instant));
        assert_eq!(parse_date("\"an-etag\""), None);
    }
}
