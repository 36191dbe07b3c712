//! Sources: where files come from, and which urls these are on a given day.

use std::fmt::{self, Write};

use chrono::{Days, NaiveDate};

use super::variables::Piece;

/// A range is about a source that began some years ago; more days are a misprint.
pub const MAX_DATES: u64 = 10_000;

/// Where files come from.
#[derive(Clone)]
pub struct Source {
    pub name: String,
    /// At least one, each once.
    pub urls: Vec<UrlTemplate>,
    /// There if and only if one of the urls has a date in it.
    pub dates: Option<Dates>,
    /// Pinned content, lower-case hex; only where there is one url without a date.
    pub sha256: Option<String>,
    pub on_missing: OnMissing,
    /// Sent with each request; values may be secrets.
    pub headers: Vec<(String, String)>,
}

/// The dates for which there is a file; both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dates {
    pub from: NaiveDate,
    pub to: LastDate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastDate {
    On(NaiveDate),
    /// In UTC, by the clock of the run.
    Today,
    Yesterday,
}

/// What it means that there is nothing at a url.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnMissing {
    #[default]
    Fail,
    /// It is said, and the others are fetched.
    Skip,
}

/// A url with its variables replaced, and dates still to come. It may carry credentials, and so has no readable form.
#[derive(Clone, PartialEq, Eq)]
pub struct UrlTemplate {
    pieces: Vec<Piece>,
}

/// One url of a source.
#[derive(Clone, PartialEq, Eq)]
pub struct Location {
    /// May carry credentials: printed only through [`crate::receipt::Receipt::url`].
    pub url: String,
    /// The query as the definition writes it: with dates, but with the names of variables instead of their values. It tells
    /// one url from another without what may be a secret, or a token that is another one tomorrow.
    pub written_query: Option<String>,
    pub date: Option<NaiveDate>,
}

/// A range of dates that has become too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its dates are {days} days, more than {MAX_DATES}")]
pub struct TooManyDates {
    pub days: u64,
}

impl Source {
    /// The urls to fetch on the day `today`, each once: those without a date, then by date, each in the order of the
    /// definition.
    pub fn locations(&self, today: NaiveDate) -> Result<Vec<Location>, TooManyDates> {
        let mut locations: Vec<Location> = self.urls.iter().filter(|url| !url.has_date()).map(|url| url.location(None)).collect();
        let Some(dates) = self.dates else { return Ok(locations) };
        for date in dates.until(today)? {
            for url in self.urls.iter().filter(|url| url.has_date()) {
                let location = url.location(Some(date));
                // A format may show the month only. Equal ones then follow one another, but for other urls between them.
                let recent = locations.iter().rev().take(self.urls.len());
                if !recent.clone().any(|known| known.url == location.url) {
                    locations.push(location);
                }
            }
        }
        Ok(locations)
    }
}

impl Dates {
    /// How many days these are; none if the last is before the first.
    pub fn count(&self, today: NaiveDate) -> u64 {
        let days = (self.last(today) - self.from).num_days().saturating_add(1);
        u64::try_from(days).unwrap_or(0)
    }

    fn last(&self, today: NaiveDate) -> NaiveDate {
        match self.to {
            LastDate::On(date) => date,
            LastDate::Today => today,
            LastDate::Yesterday => today.pred_opt().unwrap_or(today),
        }
    }

    fn until(self, today: NaiveDate) -> Result<impl Iterator<Item = NaiveDate>, TooManyDates> {
        let days = self.count(today);
        if days > MAX_DATES {
            return Err(TooManyDates { days });
        }
        Ok((0..days).filter_map(move |day| self.from.checked_add_days(Days::new(day))))
    }
}

impl UrlTemplate {
    pub(super) fn new(pieces: Vec<Piece>) -> Self {
        Self { pieces }
    }

    /// A url as it is, without variables.
    pub fn fixed(url: impl Into<String>) -> Self {
        Self::new(vec![Piece::Text(url.into())])
    }

    pub fn has_date(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Date(_)))
    }

    /// The url, for a date where it has one in it.
    pub fn location(&self, date: Option<NaiveDate>) -> Location {
        let (mut url, mut written_query) = (String::new(), None::<String>);
        for piece in &self.pieces {
            let before = url.len();
            match piece {
                Piece::Text(text) => url.push_str(text),
                Piece::Variable { value, .. } => url.push_str(value),
                Piece::Date(format) => {
                    write!(url, "{}", date.unwrap_or_default().format(format)).expect("the format was tried when it was read");
                }
            }
            let added = &url[before..];
            let begins = if written_query.is_none() { added.find('?').map(|at| at + 1) } else { Some(0) };
            let Some(begins) = begins else { continue };
            let query = written_query.get_or_insert_default();
            match piece {
                Piece::Variable { name, .. } => {
                    let _ = write!(query, "${{{name}}}");
                }
                Piece::Text(_) | Piece::Date(_) => query.push_str(&added[begins..]),
            }
        }
        let without_fragment = written_query.map(|query| query.split('#').next().unwrap_or_default().to_owned());
        Location { url, written_query: without_fragment, date: date.filter(|_| self.has_date()) }
    }
}

impl fmt::Debug for UrlTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UrlTemplate").field("has_date", &self.has_date()).finish_non_exhaustive()
    }
}

/// Without urls and the values of headers: both may be secret.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Source")
            .field("name", &self.name)
            .field("dates", &self.dates)
            .field("sha256", &self.sha256)
            .field("on_missing", &self.on_missing)
            .field("headers", &headers)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Location").field("date", &self.date).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> UrlTemplate {
        let lookup = |name: &str| match name {
            "TOKEN" => Some("secret".to_owned()),
            "EXPORT" => Some("https://host/export?key=secret".to_owned()),
            _ => None,
        };
        let pieces = super::super::variables::pieces(text, &lookup, super::super::variables::Dates::Known);
        UrlTemplate::new(pieces.ok().unwrap())
    }

    fn source(urls: &[&str], from: &str, to: LastDate) -> Source {
        Source {
            name: "events".to_owned(),
            urls: urls.iter().map(|url| template(url)).collect(),
            dates: Some(Dates { from: from.parse().unwrap(), to }),
            sha256: None,
            on_missing: OnMissing::Fail,
            headers: Vec::new(),
        }
    }

    fn urls(source: &Source, today: &str) -> Vec<String> {
        source.locations(today.parse().unwrap()).unwrap().into_iter().map(|location| location.url).collect()
    }

    #[test]
    fn dates_go_on_over_the_end_of_a_month_up_to_the_day_of_the_run() {
        let source = |to| source(&["http://h/all", "http://h/${date}", "http://h/${date:%Y/%j}"], "2024-02-28", to);
        let expected = ["http://h/all", "http://h/2024-02-28", "http://h/2024/059", "http://h/2024-02-29", "http://h/2024/060"];
        assert_eq!(urls(&source(LastDate::Today), "2024-02-29"), expected);
        assert_eq!(urls(&source(LastDate::Yesterday), "2024-03-01"), expected);
        assert_eq!(urls(&source(LastDate::On("2024-02-29".parse().unwrap())), "2030-01-01"), expected);
        assert_eq!(urls(&source(LastDate::Yesterday), "2024-02-28"), ["http://h/all"], "the first day is not over");
        let today = "2099-01-01".parse().unwrap();
        assert_eq!(source(LastDate::Today).locations(today).unwrap_err(), TooManyDates { days: 27_337 });
    }

    #[test]
    fn a_format_by_month_is_one_url_a_month() {
        let source = source(&["http://h/a/${date:%Y-%m}", "http://h/b/${date:%Y-%m}"], "2024-01-30", LastDate::Today);
        let months = ["http://h/a/2024-01", "http://h/b/2024-01", "http://h/a/2024-02", "http://h/b/2024-02"];
        assert_eq!(urls(&source, "2024-02-29"), months);
    }

    #[test]
    fn what_tells_one_url_from_another_has_dates_but_no_value_of_a_variable() {
        let day = "2024-01-02".parse().ok();
        let query = |text| template(text).location(day).written_query;
        assert_eq!(query("https://host/${date}"), None);
        assert_eq!(query("https://host/a?token=${TOKEN}&day=${date}#top").as_deref(), Some("token=${TOKEN}&day=2024-01-02"));
        assert_eq!(query("${EXPORT}&day=${date}").as_deref(), Some("${EXPORT}&day=2024-01-02"));
        assert_eq!(template("${EXPORT}&day=${date}").location(day).url, "https://host/export?key=secret&day=2024-01-02");
        assert!(!format!("{:?}", template("https://host/a?token=${TOKEN}")).contains("secret"));
    }
}
