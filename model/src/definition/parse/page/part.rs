//! `[[page.NAME.parts]]`.

use std::collections::BTreeMap;

use super::super::Known;
use super::link;
use super::{WrittenLink, braced};
use crate::definition::endpoints::{Bucket, Endpoint, RANGE_PARAMETERS};
use crate::definition::error::{Complaint, Placed};
use crate::definition::names::suggest;
use crate::definition::pages::{Aggregate, Given, NumberFormat, Part, PartKind, Picker, PickerKind, RangeGiven, Width};
use crate::definition::reader::{Reader, whole_number};
use crate::definition::units;

/// What a part may refer to.
pub(super) struct Context<'c> {
    pub(super) known: &'c Known<'c>,
    pub(super) endpoints: &'c [Endpoint],
    pub(super) pickers: &'c [Picker],
    pub(super) page: &'c str,
}

/// The keys that not every kind has, and which have it.
const ONLY: [(&str, &[PartKind]); 8] = [
    ("x", &[PartKind::Lines, PartKind::Bars, PartKind::Distribution]),
    ("y", &[PartKind::Tile, PartKind::Lines, PartKind::Bars, PartKind::Distribution]),
    ("of", &[PartKind::Tile, PartKind::Lines, PartKind::Bars]),
    ("group", &[PartKind::Lines]),
    ("aggregate", &[PartKind::Tile, PartKind::Lines, PartKind::Bars, PartKind::Distribution]),
    ("format", &[PartKind::Tile, PartKind::Lines, PartKind::Bars, PartKind::Distribution]),
    ("fields", &[PartKind::Table]),
    ("link", &[PartKind::Bars, PartKind::Table]),
];

pub(super) fn part(mut reader: Reader<'_>, context: &Context<'_>, links: &mut Vec<WrittenLink>) -> Option<Part> {
    let kind = reader.required("kind", |reader, key| reader.choice(key, &PartKind::WORDS)).map(|kind| kind.value);
    if let Some(kind) = kind {
        note_misplaced(&mut reader, kind);
    }
    let title = reader.required("title", Reader::string);
    let description = reader.string("description").map(|description| description.value);
    let endpoint = reader.required("endpoint", Reader::name);
    if let Some(endpoint) = &endpoint {
        super::super::check_reference(&reader, endpoint, "endpoint", &context.known.endpoints);
    }
    let found = endpoint.as_ref().and_then(|name| context.endpoints.iter().find(|known| known.name == name.value));
    let given = with(&mut reader, context, endpoint.as_ref().zip(found));
    let range = range(&mut reader, context, endpoint.as_ref().zip(found));
    let aggregates = [("sum", Aggregate::Sum), ("count", Aggregate::Count)];
    let aggregate = reader.choice("aggregate", &aggregates).map(|aggregate| aggregate.value);
    let (x, y, of) = (reader.name("x"), reader.name("y"), reader.name("of"));
    let group = reader.name("group");
    let formats = [("number", NumberFormat::Number), ("percent", NumberFormat::Percent), ("duration", NumberFormat::Duration)];
    let format = reader.choice("format", &formats).map(|format| format.value);
    let fields = reader.names("fields").unwrap_or_default();
    let limit = reader.count("limit");
    let widths = [("third", Width::Third), ("half", Width::Half), ("full", Width::Full)];
    let width = reader.choice("width", &widths).map(|width| width.value);
    if let Some(kind) = kind {
        note_missing(&reader, kind, x.as_ref(), y.as_ref(), aggregate);
    }
    let link = link::read(&mut reader, context, links);
    reader.finish();

    let kind = kind?;
    let text = |placed: Option<Placed<String>>| placed.map(|placed| placed.value);
    Some(Part {
        kind,
        title: title?.value,
        description,
        endpoint: endpoint?.value,
        with: given,
        range,
        format: format.unwrap_or(if of.is_some() { NumberFormat::Percent } else { NumberFormat::Number }),
        x: text(x),
        y: text(y),
        of: text(of),
        group: text(group),
        aggregate: aggregate.unwrap_or(Aggregate::Sum),
        fields: fields.into_iter().map(|field| field.value).collect(),
        limit,
        width: width.unwrap_or(if kind == PartKind::Tile { Width::Third } else { Width::Full }),
        link,
    })
}

fn note_misplaced(reader: &mut Reader<'_>, kind: PartKind) {
    for (key, kinds) in ONLY {
        if kinds.contains(&kind) {
            continue;
        }
        if let Some(value) = reader.value(key) {
            let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
            let complaint = Complaint::new(format!("`{key}` is not for a part of kind `{}`", kind.word()));
            reader.complain(&value.span(), complaint.hint(format!("kinds that have it: {}", words.join(", "))));
        }
    }
}

fn note_missing(
    reader: &Reader<'_>,
    kind: PartKind,
    x: Option<&Placed<String>>,
    y: Option<&Placed<String>>,
    aggregate: Option<Aggregate>,
) {
    let place = reader.place.clone();
    if kind == PartKind::Table {
        return;
    }
    if kind != PartKind::Tile && x.is_none() && !reader.meant("x") {
        let complaint = Complaint::new(format!("a part of kind `{}` needs `x`", kind.word()));
        reader.complain(&place, complaint.hint("add x = \"FIELD\", a field of what the endpoint answers"));
    }
    match (y, aggregate) {
        (None, Some(Aggregate::Count)) => {}
        (None, _) if reader.meant("y") => {}
        (None, _) => {
            let complaint = Complaint::new(format!("a part of kind `{}` needs `y`", kind.word()));
            reader.complain(&place, complaint.hint("add y = \"FIELD\", or aggregate = \"count\" for the number of rows"));
        }
        (Some(y), Some(Aggregate::Count)) => {
            let complaint = Complaint::new("`y` has no meaning where rows are counted");
            reader.complain(&y.place, complaint.hint("leave it out, or write aggregate = \"sum\""));
        }
        (Some(_), _) => {}
    }
}

/// The values for the endpoint's parameters, of which each is known and none that is needed is missing.
fn with(reader: &mut Reader<'_>, context: &Context<'_>, of: Option<(&Placed<String>, &Endpoint)>) -> BTreeMap<String, Given> {
    let mut with = BTreeMap::new();
    for (name, value) in reader.named("with") {
        let text = match value.get_ref().as_str() {
            Some(text) => text.to_owned(),
            None => match (whole_number(value.get_ref()), value.get_ref().as_bool()) {
                (Some(number), _) => number.to_string(),
                (_, Some(flag)) => flag.to_string(),
                _ => {
                    reader.wrong_type(&name.value, value, "a value, or a picker as in \"{name}\"");
                    continue;
                }
            },
        };
        let written = Placed { value: text, place: value.span() };
        let given = match braced(reader, &written) {
            None => Given::Constant(written.value),
            Some(picker) => {
                let found = find_picker(reader, context, &written, picker);
                if found.is_some_and(|found| matches!(found.kind, PickerKind::Range { .. })) {
                    let complaint = Complaint::new(format!("`{picker}` is a range, and `{}` is one value", name.value));
                    reader.complain(&written.place, complaint.hint(format!("write range = \"{{{picker}}}\" instead")));
                }
                Given::Picker(picker.to_owned())
            }
        };
        if let Some((_, endpoint)) = of
            && !endpoint.filter_parameters().any(|(parameter, _)| parameter == name.value)
        {
            let complaint = Complaint::new(format!("[endpoint.{}] has no parameter `{}`", endpoint.name, name.value));
            let hint = if RANGE_PARAMETERS.contains(&name.value.as_str()) {
                Some("a range is given as range = \"30 days\" or range = \"{PICKER}\"".to_owned())
            } else {
                let parameters: Vec<&str> = endpoint.filter_parameters().map(|(parameter, _)| parameter).collect();
                suggest(&name.value, parameters.iter().copied(), "its parameters")
            };
            reader.complain(&name.place, complaint.maybe_hint(hint));
        }
        with.insert(name.value, given);
    }
    if let Some((place, endpoint)) = of {
        for (parameter, is_optional) in endpoint.filter_parameters() {
            if !is_optional && !with.contains_key(parameter) {
                let complaint = Complaint::new(format!("[endpoint.{}] needs `{parameter}`", endpoint.name));
                let hint = format!("add with = {{ {parameter} = \"{{PICKER}}\" }}");
                reader.complain(&place.place, complaint.hint(hint));
            }
        }
    }
    with
}

fn range(reader: &mut Reader<'_>, context: &Context<'_>, of: Option<(&Placed<String>, &Endpoint)>) -> Option<RangeGiven> {
    let written = reader.string("range");
    if let Some((place, endpoint)) = of {
        match (&endpoint.range, &written) {
            (None, Some(written)) => {
                let complaint = Complaint::new(format!("[endpoint.{}] has no range", endpoint.name));
                reader.complain(&written.place, complaint.hint("leave it out"));
            }
            (Some(range), None) if range.bucket.is_some() && range.default_seconds.is_none() => {
                let Some(Bucket { column, .. }) = &range.bucket else { return None };
                let complaint = Complaint::new(format!("[endpoint.{}] needs a range over `{column}`", endpoint.name));
                reader.complain(&place.place, complaint.hint("add range = \"30 days\", or range = \"{PICKER}\""));
            }
            _ => {}
        }
    }
    let written = written?;
    let Some(picker) = braced(reader, &written) else {
        return match units::duration(&written.value) {
            Ok(seconds) => Some(RangeGiven::LastSeconds(seconds)),
            Err(complaint) => {
                reader.complain(&written.place, complaint);
                None
            }
        };
    };
    if let Some(found) = find_picker(reader, context, &written, picker)
        && !matches!(found.kind, PickerKind::Range { .. })
    {
        let complaint = Complaint::new(format!("`{picker}` is not a picker of kind `range`"));
        reader.complain(&written.place, complaint);
    }
    Some(RangeGiven::Picker(picker.to_owned()))
}

fn find_picker<'c>(reader: &Reader<'_>, context: &Context<'c>, written: &Placed<String>, name: &str) -> Option<&'c Picker> {
    let found = context.pickers.iter().find(|picker| picker.name == name);
    if found.is_none() {
        let hint = suggest(name, context.pickers.iter().map(|picker| picker.name.as_str()), "pickers of this page");
        let hint = hint.unwrap_or_else(|| format!("add it under [[page.{}.parameters]]", context.page));
        reader.complain(&written.place, Complaint::new(format!("this page has no picker `{name}`")).hint(hint));
    }
    found
}
