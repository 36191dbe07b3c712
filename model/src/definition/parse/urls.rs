//! `url`, `dates` and `on_missing` of a source.
//!
//! No complaint shows a url: it may carry credentials.

use chrono::NaiveDate;
use toml::Spanned;
use toml::de::DeValue;

use crate::definition::error::{Complaint, Placed};
use crate::definition::names::nearest;
use crate::definition::reader::Reader;
use crate::definition::sources::{Dates, LastDate, MAX_DATES, UrlTemplate};
use crate::definition::variables::{self, Dates as InVariables};

use super::Known;
use super::source::place_faults;

/// What can be fetched.
pub const URL_SCHEMES: [&str; 3] = ["https", "http", "file"];

const DATES_EXAMPLE: &str = "dates = { from = \"2024-01-01\", to = \"yesterday\" }";

/// One url, or a list of them.
pub(super) fn urls(reader: &mut Reader<'_>, known: &Known<'_>) -> Option<Vec<Placed<UrlTemplate>>> {
    let urls: Vec<_> = reader.required("url", |reader, key| match reader.value(key)?.get_ref() {
        DeValue::Array(_) => {
            let list = reader.list(key, "a list")?;
            let one = |value| reader.string_in(key, value).and_then(|text| template(reader, text, known));
            Some(list.iter().map(one).collect())
        }
        DeValue::String(_) => Some(vec![reader.string(key).and_then(|text| template(reader, text, known))]),
        _ => {
            let value = reader.value(key)?;
            reader.wrong_type(key, value, "a string or a list of strings");
            None
        }
    })?;
    // All were looked at before the first that is wrong ends the list.
    let urls: Vec<_> = urls.into_iter().collect::<Option<_>>()?;
    let shown = |url: &Placed<UrlTemplate>| (url.value.has_date(), url.value.location(None).url);
    for (index, url) in urls.iter().enumerate() {
        if urls[..index].iter().any(|earlier| shown(earlier) == shown(url)) {
            reader.complain(&url.place, Complaint::new("this url is in `url` twice"));
        }
    }
    Some(urls)
}

fn template(reader: &Reader<'_>, text: Placed<String>, known: &Known<'_>) -> Option<Placed<UrlTemplate>> {
    match variables::pieces(&text.value, known.variables, InVariables::Known) {
        Ok(pieces) => {
            let url = UrlTemplate::new(pieces);
            check(reader, &Placed { value: url.location(None).url, place: text.place.clone() });
            Some(Placed { value: url, place: text.place })
        }
        Err(faults) => {
            place_faults(reader, &text, faults);
            None
        }
    }
}

fn check(reader: &Reader<'_>, url: &Placed<String>) {
    let schemes = "a url begins with https://, http:// or file://";
    let complaint = match url.value.split_once("://") {
        _ if url.value.is_empty() => Complaint::new("`url` is empty once its variables are replaced"),
        None => Complaint::new("`url` has no scheme").hint(schemes),
        Some((_, "")) => Complaint::new("`url` ends after its scheme"),
        // Paths have spaces, and people write them as they are.
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") && !rest.contains(char::is_control) => return,
        Some(_) if url.value.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            Complaint::new("`url` has a space in it").hint("write `%20`")
        }
        Some((scheme, _)) if URL_SCHEMES.contains(&scheme.to_ascii_lowercase().as_str()) => return,
        Some((scheme, _)) => match nearest(scheme, URL_SCHEMES) {
            Some(near) => Complaint::new("`url` has a scheme that cannot be fetched").hint(format!("did you mean `{near}://`?")),
            None => Complaint::new("`url` has a scheme that cannot be fetched").hint(schemes),
        },
    };
    reader.complain(&url.place, complaint);
}

/// The range, which has to be there if and only if a url has a date in it.
pub(super) fn dates(reader: &mut Reader<'_>, urls: Option<&[Placed<UrlTemplate>]>) -> Option<Dates> {
    let with_date = urls.map(|urls| urls.iter().find(|url| url.value.has_date()));
    if !reader.meant("dates") {
        // Asked for, so that it is a known key.
        reader.value("dates");
        if let Some(Some(url)) = with_date {
            let complaint = Complaint::new("`${date}` in `url` needs a range of dates");
            reader.complain(&url.place, complaint.hint(format!("add `{DATES_EXAMPLE}`")));
        }
        return None;
    }
    let place = reader.value("dates")?.span();
    if let Some(None) = with_date {
        let complaint = Complaint::new("`dates` are given, and no `url` has a date in it");
        reader.complain(&place, complaint.hint("write `${date}` where it is in the url, or a format as in `${date:%Y/%m/%d}`"));
    }
    let mut table = reader.table("dates")?;
    let from = table.required("from", |table, key| date(table, key, &[]));
    let to =
        table.required("to", |table, key| date(table, key, &[("today", LastDate::Today), ("yesterday", LastDate::Yesterday)]));
    table.finish();
    let (from, to) = (from?, to?);
    let LastDate::On(first) = from.value else { return None };
    let dates = Dates { from: first, to: to.value };
    if let LastDate::On(last) = to.value {
        if last < first {
            reader.complain(&to.place, Complaint::new("`to` is before `from`"));
        } else if dates.count(last) > MAX_DATES {
            let complaint = Complaint::new(format!("these are {} days, more than {MAX_DATES}", dates.count(last)));
            reader.complain(&place, complaint);
        }
    }
    Some(dates)
}

/// A date, as TOML writes it or as a string, or one of a few words.
fn date(table: &mut Reader<'_>, key: &'static str, words: &[(&'static str, LastDate)]) -> Option<Placed<LastDate>> {
    let value = table.value(key)?;
    let text = match value.get_ref() {
        DeValue::String(text) => text.to_string(),
        DeValue::Datetime(date) => date.to_string(),
        _ => {
            table.wrong_type(key, value, "a date");
            return None;
        }
    };
    if let Some((_, word)) = words.iter().find(|(word, _)| *word == text) {
        return Some(Placed { value: *word, place: value.span() });
    }
    if let Ok(date) = NaiveDate::parse_from_str(&text, "%Y-%m-%d")
        && text.len() == 10
    {
        return Some(Placed { value: LastDate::On(date), place: value.span() });
    }
    table.complain(&value.span(), Complaint::new(format!("`{key}` cannot be `{text}`")).hint(date_hint(&text, value, words)));
    None
}

fn date_hint(text: &str, value: &Spanned<DeValue<'_>>, words: &[(&'static str, LastDate)]) -> String {
    let near = value.get_ref().as_str().and_then(|_| nearest(text, words.iter().map(|(word, _)| *word)));
    match near {
        Some(near) => format!("did you mean `{near}`?"),
        None if words.is_empty() => "write a date as 2024-01-31".to_owned(),
        None => "write a date as 2024-01-31, or \"today\" or \"yesterday\"".to_owned(),
    }
}
