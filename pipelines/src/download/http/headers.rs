//! What a response's headers say, as far as a download needs it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use model::receipt::Validators;
use percent_encoding::percent_decode_str;
use reqwest::header::{
    CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED,
    RETRY_AFTER, TRANSFER_ENCODING,
};
use reqwest::{Response, Version};

use crate::download::address::Address;

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<DateTime<Utc>> {
    text(headers, name).and_then(|date| DateTime::parse_from_rfc2822(date).ok()).map(|date| date.to_utc())
}

/// The content's validators. A `Last-Modified` of the very second in which it was sent is left out: the content may change
/// again within that second (RFC 9110, 8.8.2.2).
pub(super) fn validators(headers: &HeaderMap, address: &Address) -> Validators {
    let modified = date(headers, LAST_MODIFIED);
    let is_fresh = match (date(headers, DATE), modified) {
        (Some(now), Some(modified)) => now - modified < TimeDelta::seconds(1),
        _ => false,
    };
    Validators {
        url_sha256: Some(address.sha256.clone()),
        etag: text(headers, ETAG).map(str::to_owned),
        last_modified: text(headers, LAST_MODIFIED).filter(|_| modified.is_some() && !is_fresh).map(str::to_owned),
        content_length: text(headers, CONTENT_LENGTH).and_then(|length| length.parse().ok()),
    }
}

/// Which bytes a part holds; both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) total: Option<u64>,
}

impl ContentRange {
    /// Whether it is everything from `asked` on, of a content of the `expected` size.
    pub(super) fn is_rest(&self, asked: u64, expected: Option<u64>) -> bool {
        let ends_at_end = self.total.is_none_or(|total| self.last.checked_add(1) == Some(total));
        let is_same_size = self.total.is_none() || expected.is_none() || self.total == expected;
        self.first == asked && ends_at_end && is_same_size
    }
}

/// Whether a part's headers name another content than the one that `had` belongs to, as those of a server do that ignores
/// `If-Range`.
pub(super) fn name_other_content(headers: &HeaderMap, had: &Validators) -> bool {
    if let (Some(had), Some(found)) = (had.strong_etag(), text(headers, ETAG)) {
        return had != found;
    }
    match (had.last_modified.as_deref(), text(headers, LAST_MODIFIED)) {
        (Some(had), Some(found)) => had != found,
        _ => false,
    }
}

pub(super) fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let (range, total) = text(headers, CONTENT_RANGE)?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some(ContentRange { first: first.parse().ok()?, last: last.parse().ok()?, total })
}

/// The content's encoding in lower case; none for `identity`.
pub(super) fn content_encoding(headers: &HeaderMap) -> Option<String> {
    let encoding = text(headers, CONTENT_ENCODING)?.to_ascii_lowercase();
    (!encoding.is_empty() && encoding != "identity").then_some(encoding)
}

/// A warning where the end of the body is just the end of the connection.
pub(super) fn unbounded_note(response: &Response) -> Option<String> {
    let headers = response.headers();
    let has_end =
        headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING) || response.version() > Version::HTTP_11;
    (!has_end).then(|| "the server did not say how long the file is: had it been cut, that would not show".to_owned())
}

/// How long the server wants to be left alone; a date is counted from the server's own clock where it shows it.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    if let Some(seconds) = text(headers, RETRY_AFTER)?.parse().ok().map(Duration::from_secs) {
        return Some(seconds);
    }
    let now = date(headers, DATE).unwrap_or_else(Utc::now);
    Some((date(headers, RETRY_AFTER)? - now).to_std().unwrap_or_default())
}

/// The file's name by `Content-Disposition` (RFC 6266); `filename*` before `filename`.
pub(super) fn file_name(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_DISPOSITION)?;
    let value = String::from_utf8_lossy(value.as_bytes());
    let parameters = parameters(&value);
    let find = |name: &str| parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    let extended = find("filename*").and_then(|value| {
        let mut parts = value.splitn(3, '\'');
        let (charset, _language, encoded) = (parts.next()?, parts.next()?, parts.next()?);
        let decoded = percent_decode_str(encoded);
        charset.eq_ignore_ascii_case("utf-8").then(|| decoded.decode_utf8_lossy().into_owned())
    });
    extended.or_else(|| find("filename").cloned()).filter(|name| !name.is_empty())
}

/// The parameters behind the first semicolon, quotes and escapes removed.
fn parameters(value: &str) -> Vec<(String, String)> {
    let mut parts = vec![String::new()];
    let mut chars = value.chars();
    let mut is_quoted = false;
    while let Some(char) = chars.next() {
        let part = parts.last_mut().expect("there is always one");
        match char {
            '"' => is_quoted = !is_quoted,
            '\\' if is_quoted => part.extend(chars.next()),
            ';' if !is_quoted => parts.push(String::new()),
            _ => part.push(char),
        }
    }
    let pairs = parts.iter().skip(1).filter_map(|part| part.split_once('='));
    pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_date_of_the_second_of_sending_proves_nothing() {
        let address = Address::parse("http://host/a").unwrap();
        let modified = ("last-modified", "Sun, 06 Nov 2016 08:49:37 GMT");
        let found = |date| validators(&headers(&[modified, ("date", date)]), &address).last_modified;
        assert_eq!(found("Sun, 06 Nov 2016 08:49:37 GMT"), None);
        assert_eq!(found("Sun, 06 Nov 2016 08:49:38 GMT").as_deref(), Some(modified.1));
        assert_eq!(validators(&headers(&[modified]), &address).last_modified.as_deref(), Some(modified.1));
        assert_eq!(validators(&headers(&[("last-modified", "yesterday")]), &address).last_modified, None);
    }

    #[test]
    fn parts_are_read() {
        let range = |value| content_range(&headers(&[("content-range", value)]));
        assert_eq!(range("bytes 5-9/10"), Some(ContentRange { first: 5, last: 9, total: Some(10) }));
        assert_eq!(range("bytes 5-9/*"), Some(ContentRange { first: 5, last: 9, total: None }));
        for wrong in ["bytes */10", "bytes 5-9", "lines 1-2/3", "bytes a-9/10", "bytes 5-9/x"] {
            assert_eq!(range(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_part_is_the_rest_only_if_it_begins_where_asked_and_ends_with_the_content() {
        let range = ContentRange { first: 5, last: 9, total: Some(10) };
        assert!(range.is_rest(5, Some(10)) && range.is_rest(5, None));
        assert!(!range.is_rest(4, Some(10)) && !range.is_rest(5, Some(11)));
        assert!(!ContentRange { last: 8, ..range }.is_rest(5, Some(10)));
        assert!(ContentRange { total: None, ..range }.is_rest(5, Some(10)));
    }

    #[test]
    fn a_part_of_another_content_is_known_by_its_tag_or_else_its_date() {
        let had = |etag: &str| Validators {
            etag: Some(etag.to_owned()),
            last_modified: Some("Sun, 06 Nov 2016 08:49:37 GMT".to_owned()),
            ..Validators::default()
        };
        let later = ("last-modified", "Sun, 06 Nov 2016 08:49:38 GMT");
        let other = |pairs: &[_], had| name_other_content(&headers(pairs), &had);
        assert!(other(&[("etag", "\"b\"")], had("\"a\"")));
        assert!(!other(&[("etag", "\"a\""), later], had("\"a\"")), "touched, but the same");
        assert!(other(&[later], had("\"a\"")) && other(&[("etag", "W/\"a\""), later], had("W/\"a\"")));
        assert!(!other(&[], had("\"a\"")));
    }

    #[test]
    fn servers_ask_for_time_in_seconds_or_until_a_date() {
        let asked = |pairs: &[_]| retry_after(&headers(pairs));
        assert_eq!(asked(&[("retry-after", "100")]), Some(Duration::from_secs(100)));
        let until = ("retry-after", "Sun, 06 Nov 2016 08:49:37 GMT");
        assert_eq!(asked(&[until, ("date", "Sun, 06 Nov 2016 08:49:30 GMT")]), Some(Duration::from_secs(7)));
        assert_eq!(asked(&[until]), Some(Duration::ZERO), "that date is long past");
        assert_eq!(asked(&[("retry-after", "soon")]), None);
        assert_eq!(asked(&[]), None);
    }

    #[test]
    fn the_server_may_name_the_file() {
        let name = |value| file_name(&headers(&[("content-disposition", value)]));
        assert_eq!(name("attachment; filename=events.json").as_deref(), Some("events.json"));
        assert_eq!(name(r#"attachment; filename="a; \"b\".json""#).as_deref(), Some(r#"a; "b".json"#));
        assert_eq!(
            name("attachment; filename=\"fallback\"; filename*=UTF-8''p%C3%A4iv%C3%A4.json").as_deref(),
            Some("p\u{e4}iv\u{e4}.json")
        );
        assert_eq!(name("inline"), None);
        assert_eq!(name("attachment; filename="), None);
    }
}
