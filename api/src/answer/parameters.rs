//! A request's parameters, from path and query, checked against what the endpoint takes. All faults are told at once.

use cassandra::lookup::{KeyValue, whole_number};
use model::definition::endpoints::{PAGE_PARAMETERS, PathTemplate, RANGE_PARAMETERS};
use model::definition::nearest;
use percent_encoding::percent_decode_str;

use crate::endpoint::{Answer, Endpoint, FilterValue, Range, Said};
use crate::layers::bounds::has_broken_escape;
use crate::problem::Fault;

/// What a caller said, by name; each once.
#[derive(Debug, Default)]
pub(super) struct Given {
    values: Vec<(String, String)>,
}

impl Given {
    /// Of a path's parameters, in its order, and of a query: what could be read, and the faults of the rest.
    pub(super) fn read(path: &PathTemplate, values: impl Iterator<Item = String>, query: &str) -> (Self, Vec<Fault>) {
        let mut given = Self { values: path.parameters().map(str::to_owned).zip(values).collect() };
        let mut faults = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decoded(name), decoded(value)) else {
                faults.push(fault(name, "is not encoded as UTF-8, each byte of it as `%` and two digits"));
                continue;
            };
            if given.get(&name).is_some() {
                faults.push(fault(&name, "is given twice"));
                continue;
            }
            given.values.push((name, value));
        }
        (given, faults)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What the endpoint does not take.
    pub(super) fn unknown(&self, endpoint: &Endpoint) -> Vec<Fault> {
        let known = names(endpoint);
        let unknown = self.values.iter().filter(|(name, _)| !known.contains(&name.as_str()));
        let told = unknown.map(|(name, _)| {
            let detail = match nearest(name, known.iter().copied()) {
                Some(near) => format!("is not known; did you mean `{near}`?"),
                None if known.is_empty() => "is not known; there are no parameters here".to_owned(),
                None => format!("is not known; there are: {}", known.join(", ")),
            };
            fault(name, detail)
        });
        told.collect()
    }

    pub(super) fn range(&self) -> Said<'_> {
        Said { from: self.get("from"), to: self.get("to"), hours: self.get("hours"), days: self.get("days") }
    }

    /// The values of the filters, in their order; those that were left out are the last.
    pub(super) fn filters(&self, endpoint: &Endpoint) -> Result<Vec<KeyValue>, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut filters = Vec::new();
        let mut left_out: Option<&str> = None;
        for filter in &endpoint.filters {
            let (name, text) = match &filter.value {
                FilterValue::Constant(text) => (filter.column.name.as_str(), Some(text.as_str())),
                FilterValue::Parameter { name, .. } => (name.as_str(), self.get(name)),
            };
            let Some(text) = text else {
                if filter.is_optional() {
                    left_out = left_out.or(Some(name));
                } else {
                    faults.push(fault(name, "is needed"));
                }
                continue;
            };
            if let Some(left_out) = left_out {
                faults.push(fault(name, format!("can be given only together with `{left_out}`")));
                continue;
            }
            if text.is_empty() {
                faults.push(fault(name, "is empty"));
                continue;
            }
            match KeyValue::parse(filter.column.cql_type, text) {
                Ok(value) => filters.push(value),
                Err(reason) => faults.push(fault(name, reason.to_string())),
            }
        }
        if faults.is_empty() { Ok(filters) } else { Err(faults) }
    }

    pub(super) fn limit(&self, endpoint: &Endpoint) -> Result<u32, Fault> {
        let Some(text) = self.get("limit") else { return Ok(endpoint.page_size) };
        let most = endpoint.max_page_size;
        whole_number(text)
            .and_then(|limit| u32::try_from(limit).ok())
            .filter(|limit| (1..=most).contains(limit))
            .ok_or_else(|| fault("limit", format!("must be a whole number from 1 to {most}")))
    }

    /// The query of the next page: what was said, with another cursor.
    pub(super) fn next_query(&self, path: &PathTemplate, cursor: &str) -> String {
        let in_path: Vec<&str> = path.parameters().collect();
        let said = self.values.iter().filter(|(name, _)| name != "cursor" && !in_path.contains(&name.as_str()));
        let said = said.map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        said.chain([format!("cursor={cursor}")]).collect::<Vec<_>>().join("&")
    }
}

/// Whatever an endpoint takes, from path or query.
pub(crate) fn names(endpoint: &Endpoint) -> Vec<&str> {
    let filters = endpoint.filters.iter().filter_map(|filter| match &filter.value {
        FilterValue::Parameter { name, .. } => Some(name.as_str()),
        FilterValue::Constant(_) => None,
    });
    let counts_time = endpoint.range.as_ref().is_some_and(Range::counts_time);
    let is_date = endpoint.range.as_ref().is_some_and(|range| range.column.cql_type == cassandra::CqlType::Date);
    let range = RANGE_PARAMETERS.iter().filter(|name| match **name {
        "hours" => counts_time && !is_date,
        "days" => counts_time,
        _ => endpoint.range.is_some(),
    });
    let page = PAGE_PARAMETERS.iter().filter(|_| matches!(endpoint.answer, Answer::Rows));
    filters.chain(range.copied()).chain(page.copied()).collect()
}

pub(super) fn fault(parameter: &str, detail: impl Into<String>) -> Fault {
    Fault { parameter: parameter.to_owned(), detail: detail.into() }
}

/// A part of a query as it was meant; `None` where it is no text.
fn decoded(part: &str) -> Option<String> {
    if has_broken_escape(part) {
        return None;
    }
    let spaces = part.replace('+', " ");
    Some(percent_decode_str(&spaces).decode_utf8().ok()?.into_owned())
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
