//! `[endpoint.NAME]`: that it is answered from single partitions is proved here, from the keys alone.

mod filters;
mod path;
mod range;

use toml::de::DeValue;

use super::Known;
use crate::definition::endpoints::{
    Answer, Endpoint, FilterValue, PAGE_PARAMETERS, PathTemplate, RANGE_PARAMETERS, Range, Total,
};
use crate::definition::error::{Complaint, Placed};
use crate::definition::names::suggest;
use crate::definition::reader::{Reader, whole_number};
use crate::definition::tables::CassandraTable;
use crate::definition::{defaults, units};

/// Reads an endpoint over one of `tables`, the Cassandra tables that could be read.
pub(super) fn endpoint(
    name: String,
    mut reader: Reader<'_>,
    known: &Known<'_>,
    tables: &[CassandraTable],
    earlier: &mut Vec<(String, PathTemplate)>,
) -> Option<Endpoint> {
    let description = reader.string("description").map(|description| description.value);
    let paths = paths(&name, &mut reader, earlier);
    let table = reader.required("table", Reader::name);
    if let Some(table) = &table {
        super::check_reference(&reader, table, "cassandra", &known.cassandra);
    }
    let answer = answer(&mut reader);
    let totals = totals(&mut reader, answer);
    let reverse = reader.flag("reverse").is_some_and(|reverse| reverse.value);
    let fields = reader.names("fields");
    if let (Some(fields), Some(Kind::Totals)) = (&fields, answer) {
        let complaint = Complaint::new("an answer of totals has the fields of `totals`");
        reader.complain(&fields[0].place, complaint.hint("leave `fields` out"));
    }
    let (page_size, max_page_size) = page_sizes(&mut reader, answer);
    let cache = reader.quantity("cache", "30 seconds", units::duration);
    let table = table.and_then(|table| tables.iter().find(|known| known.name == table.value));
    let ranged = range::range(&mut reader);
    let filters = filters::read(&mut reader);
    let bound = table.zip(paths.as_ref()).and_then(|(table, paths)| {
        let bound = filters::bind(&reader, table, paths, filters, ranged.as_ref())?;
        let range = match &ranged {
            Some(ranged) => Some(range::check(&reader, table, ranged, &bound)?),
            None => None,
        };
        filters::prove(&reader, table, &bound, range.as_ref(), paths)?;
        Some((bound, range))
    });
    reader.finish();

    let (filters, range): (Vec<_>, Option<Range>) = bound?;
    let mut paths = paths?.into_iter().map(|path| path.value);
    Some(Endpoint {
        name,
        description,
        path: paths.next()?,
        aliases: paths.collect(),
        table: table?.name.clone(),
        filters: filters.into_iter().map(|filter| filter.value).collect(),
        range,
        answer: match answer? {
            Kind::Rows => Answer::Rows,
            Kind::Newest => Answer::Newest,
            Kind::Totals => Answer::Totals(totals?),
        },
        reverse,
        fields: fields.unwrap_or_default().into_iter().map(|field| field.value).collect(),
        page_size,
        max_page_size,
        cache_seconds: cache.map_or(0, |cache| cache.value),
    })
}

/// The path and its aliases; none of them may be another endpoint's.
fn paths(name: &str, reader: &mut Reader<'_>, earlier: &mut Vec<(String, PathTemplate)>) -> Option<Vec<Placed<PathTemplate>>> {
    let path = reader.required("path", Reader::string);
    let written: Vec<_> = path.iter().cloned().chain(reader.strings("aliases").unwrap_or_default()).collect();
    let mut paths = Vec::new();
    for written in &written {
        let Some(template) = path::template(reader, written) else { continue };
        if let Some((other, _)) = earlier.iter().find(|(_, other)| other.is_same_as(&template)) {
            let complaint = if other == name {
                Complaint::new("this endpoint has the path already")
            } else {
                Complaint::new(format!("[endpoint.{other}] has this path"))
            };
            reader.complain(&written.place, complaint);
            continue;
        }
        earlier.push((name.to_owned(), template.clone()));
        paths.push(Placed { value: template, place: written.place.clone() });
    }
    (path.is_some() && paths.len() == written.len()).then_some(paths)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rows,
    Newest,
    Totals,
}

fn answer(reader: &mut Reader<'_>) -> Option<Kind> {
    if reader.value("answer").is_none() {
        return Some(if reader.meant("totals") { Kind::Totals } else { Kind::Rows });
    }
    let choices = [("rows", Kind::Rows), ("newest", Kind::Newest), ("totals", Kind::Totals)];
    reader.choice("answer", &choices).map(|answer| answer.value)
}

/// `totals = { starts = "sum(starts)", hours = "count()" }`.
fn totals(reader: &mut Reader<'_>, answer: Option<Kind>) -> Option<Vec<Total>> {
    let Some(value) = reader.value("totals") else {
        if answer == Some(Kind::Totals) && !reader.meant("totals") {
            let complaint = Complaint::new("an answer of totals needs `totals`");
            reader.complain(&reader.place.clone(), complaint.hint("add e.g. totals = { rows = \"count()\" }"));
        }
        return None;
    };
    if matches!(answer, Some(Kind::Rows | Kind::Newest)) {
        let complaint = Complaint::new("`totals` is for an answer of totals");
        reader.complain(&value.span(), complaint.hint("write `answer = \"totals\"`, or leave one of the two out"));
        return None;
    }
    let named = reader.named("totals");
    if named.is_empty() && value.get_ref().is_table() {
        reader.complain(&value.span(), Complaint::new("`totals` names no field"));
    }
    let mut totals = Vec::new();
    for (name, value) in named {
        let text = value.get_ref().as_str().unwrap_or_default().trim().to_ascii_lowercase();
        let of = |function: &str| {
            let argument = text.strip_prefix(function)?.trim().strip_prefix('(')?.strip_suffix(')')?;
            Some(argument.trim().to_owned())
        };
        let total = match (of("count"), of("sum")) {
            (Some(argument), _) if ["", "*"].contains(&argument.as_str()) => Some(None),
            (_, Some(column)) if super::super::names::check_identifier(&column).is_ok() => Some(Some(column)),
            _ => None,
        };
        let Some(sum_of) = total else {
            let complaint = Complaint::new(format!("`{}` is neither a count nor a sum", name.value));
            reader.complain(&value.span(), complaint.hint("write \"count()\" or \"sum(COLUMN)\""));
            continue;
        };
        totals.push(Total { name: name.value, sum_of });
    }
    Some(totals)
}

fn page_sizes(reader: &mut Reader<'_>, answer: Option<Kind>) -> (u32, u32) {
    let mut size = |key: &'static str| {
        let value = reader.value(key)?;
        if matches!(answer, Some(Kind::Newest | Kind::Totals)) {
            reader.complain(&value.span(), Complaint::new(format!("`{key}` is for an answer of rows")));
            return None;
        }
        let Some(number) = whole_number(value.get_ref()) else {
            reader.wrong_type(key, value, "a whole number");
            return None;
        };
        if !(1..=i64::from(defaults::LARGEST_PAGE)).contains(&number) {
            let complaint = Complaint::new(format!("`{key}` must be from 1 to 10,000"));
            reader.complain(&value.span(), complaint.hint("more is fetched page by page"));
        }
        Some((u32::try_from(number).unwrap_or(defaults::LARGEST_PAGE), value.span()))
    };
    let (page_size, max_page_size) = (size("page_size"), size("max_page_size"));
    let page = page_size.as_ref().map_or(defaults::PAGE_SIZE, |(size, _)| *size);
    let most = max_page_size.as_ref().map_or(defaults::MAX_PAGE_SIZE.max(page), |(size, _)| *size);
    if let Some((_, place)) = max_page_size.filter(|(most, _)| *most < page) {
        reader.complain(&place, Complaint::new(format!("`max_page_size` is less than `page_size`, which is {page}")));
    }
    (page.min(most), most)
}

/// Whether a word means something else in every endpoint.
fn is_taken(parameter: &str) -> bool {
    RANGE_PARAMETERS.contains(&parameter) || PAGE_PARAMETERS.contains(&parameter)
}

/// What the value of a filter is: `{parameter}`, `{parameter?}` or a constant.
fn filter_value(value: &DeValue<'_>) -> Option<FilterValue> {
    let text = match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Float(number) => number.to_string(),
        other => return whole_number(other).map(|number| FilterValue::Constant(number.to_string())),
    };
    let Some(inner) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return Some(FilterValue::Constant(text));
    };
    let (name, optional) = inner.strip_suffix('?').map_or((inner, false), |name| (name, true));
    Some(FilterValue::Parameter { name: name.to_owned(), optional })
}

/// Complains about a column that a table's key does not have.
fn not_in_key(reader: &Reader<'_>, column: &Placed<String>, table: &CassandraTable) {
    let key = table.partition_key.iter().chain(table.clustering.iter().map(|(column, _)| column));
    let hint = suggest(&column.value, key.map(String::as_str), "columns of its key");
    let complaint =
        Complaint::new(format!("`{}` is not in the key of {}: asking for it would read all of it", column.value, table.name));
    reader.complain(&column.place, complaint.maybe_hint(hint));
}
