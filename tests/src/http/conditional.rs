//! What of a file a request gets: RFC 9110, sections 13 (conditions) and 14 (ranges).

use super::date::{format_date, parse_date};
use super::request::Request;
use chrono::{DateTime, Utc};
use std::ops::Range;

/// What a server says about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// As sent, with its quotes; a weak one begins with `W/`.
    pub etag: Option<String>,
    pub last_modified: Option<DateTime<Utc>>,
    pub length: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// 200
    Whole,
    /// 206
    Part(Range<u64>),
    /// 304
    NotModified,
    /// 416
    Unsatisfiable,
}

/// Selects what to send. Of several ranges none is honoured, which the RFC allows.
pub fn select(request: &Request, entity: &Entity) -> Selection {
    if is_not_modified(request, entity) {
        return Selection::NotModified;
    }
    match request.header("range") {
        Some(range) if request.method == "GET" && range_applies(request, entity) => select_range(range, entity.length),
        _ => Selection::Whole,
    }
}

/// If-None-Match compares weakly and makes If-Modified-Since void.
fn is_not_modified(request: &Request, entity: &Entity) -> bool {
    if let Some(tags) = request.header("if-none-match") {
        let Some(etag) = &entity.etag else {
            return false;
        };
        let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        return tags.trim() == "*" || tags.split(',').any(|tag| opaque(tag) == opaque(etag));
    }
    let since = request.header("if-modified-since").and_then(parse_date);
    // A header has whole seconds, a file may have more.
    matches!((since, entity.last_modified), (Some(since), Some(modified)) if modified.timestamp() <= since.timestamp())
}

/// If-Range compares strongly: a weak tag never applies.
fn range_applies(request: &Request, entity: &Entity) -> bool {
    let Some(validator) = request.header("if-range") else {
        return true;
    };
    if validator.starts_with('"') {
        return entity.etag.as_deref() == Some(validator);
    }
    entity.last_modified.is_some_and(|modified| format_date(modified) == validator)
}

fn select_range(range: &str, length: u64) -> Selection {
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Selection::Whole;
    };
    let selected = match (first.trim(), last.trim()) {
        ("", suffix) => suffix.parse().ok().map(|bytes: u64| length.saturating_sub(bytes)..length),
        (first, "") => first.parse().ok().map(|first| first..length),
        (first, last) => match (first.parse(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) if first <= last => Some(first..length.min(last.saturating_add(1))),
            _ => None,
        },
    };
    match selected {
        None => Selection::Whole,
        Some(selected) if selected.start >= length => Selection::Unsatisfiable,
        Some(selected) => Selection::Part(selected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(headers: &[(&str, &str)]) -> Selection {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let request = Request { method: "GET".to_owned(), target: "/a".to_owned(), headers };
        let last_modified = DateTime::from_timestamp(1_480_550_400, 500);
        select(&request, &Entity { etag: Some("\"a\"".to_owned()), last_modified, length: 100 })
    }

    #[test]
    fn ranges_select_parts() {
        assert_eq!(get(&[("range", "bytes=10-")]), Selection::Part(10..100));
        assert_eq!(get(&[("range", "bytes=10-19")]), Selection::Part(10..20));
        assert_eq!(get(&[("range", "bytes=90-1000")]), Selection::Part(90..100));
        assert_eq!(get(&[("range", "bytes=-30")]), Selection::Part(70..100));
        assert_eq!(get(&[("range", "bytes=-1000")]), Selection::Part(0..100));
        assert_eq!(get(&[("range", "bytes=100-")]), Selection::Unsatisfiable);
        assert_eq!(get(&[("range", "bytes=-0")]), Selection::Unsatisfiable);
    }

    #[test]
    fn a_range_that_makes_no_sense_selects_everything() {
        for range in ["lines=1-2", "bytes=5-4", "bytes=a-", "bytes=1-2,5-6", "bytes=-"] {
            assert_eq!(get(&[("range", range)]), Selection::Whole, "{range}");
        }
    }

    #[test]
    fn a_range_of_another_version_selects_everything() {
        let range = ("range", "bytes=10-");
        assert_eq!(get(&[range, ("if-range", "\"a\"")]), Selection::Part(10..100));
        assert_eq!(get(&[range, ("if-range", "\"b\"")]), Selection::Whole);
        assert_eq!(get(&[range, ("if-range", "W/\"a\"")]), Selection::Whole);
        assert_eq!(get(&[range, ("if-range", "Thu, 01 Dec 2016 00:00:00 GMT")]), Selection::Part(10..100));
        assert_eq!(get(&[range, ("if-range", "Thu, 01 Dec 2016 00:00:01 GMT")]), Selection::Whole);
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        assert_eq!(get(&[("if-none-match", "\"b\", W/\"a\"")]), Selection::NotModified);
        assert_eq!(get(&[("if-none-match", "*")]), Selection::NotModified);
        assert_eq!(get(&[("if-none-match", "\"b\"")]), Selection::Whole);
        assert_eq!(get(&[("if-modified-since", "Thu, 01 Dec 2016 00:00:00 GMT")]), Selection::NotModified);
        assert_eq!(get(&[("if-modified-since", "Wed, 30 Nov 2016 23:59:59 GMT")]), Selection::Whole);
        let both = [("if-none-match", "\"b\""), ("if-modified-since", "Thu, 01 Dec 2016 00:00:00 GMT")];
        assert_eq!(get(&both), Selection::Whole, "If-None-Match makes If-Modified-Since void");
    }
}
