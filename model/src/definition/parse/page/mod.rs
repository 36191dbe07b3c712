//! `[page.NAME]`: what a page says of endpoints, pickers and other pages. Its fields are held against what the endpoints answer
//! where the tables are known.

mod link;
mod part;

use super::Known;
use crate::definition::endpoints::Endpoint;
use crate::definition::error::{Complaint, Placed};
use crate::definition::names::check_identifier;
use crate::definition::pages::{Page, Picker, PickerKind};
use crate::definition::reader::Reader;
use crate::definition::units;

pub(super) use link::{Written as WrittenLink, check as check_links};

/// Reads a page over `endpoints`, those that could be read; links are looked at once all pages are known.
pub(super) fn page(
    name: String,
    mut reader: Reader<'_>,
    known: &Known<'_>,
    endpoints: &[Endpoint],
    links: &mut Vec<WrittenLink>,
) -> Option<Page> {
    let title = reader.required("title", Reader::string);
    let description = reader.string("description").map(|description| description.value);
    let parameters = pickers(&mut reader);
    let readers = reader.required("parts", |reader, key| Some(reader.tables(key))).unwrap_or_default();
    let count = readers.len();
    let mut parts = Vec::new();
    let context = part::Context { known, endpoints, pickers: &parameters, page: &name };
    for part in readers {
        parts.extend(part::part(part, &context, links));
    }
    reader.finish();
    let whole = parts.len() == count && count > 0;
    Some(Page { name, title: title?.value, description, parameters, parts: whole.then_some(parts)? })
}

fn pickers(reader: &mut Reader<'_>) -> Vec<Picker> {
    let mut names: Vec<Placed<String>> = Vec::new();
    let mut pickers = Vec::new();
    if reader.value("parameters").is_none() {
        return pickers;
    }
    for mut reader in reader.tables("parameters") {
        let name = reader.required("name", Reader::name);
        if let Some(name) = name.as_ref().filter(|name| name.value == "page") {
            let complaint = Complaint::new("`page` stands for the page itself in its address");
            reader.complain(&name.place, complaint.hint("give it another name"));
        }
        names.extend(name.clone());
        let label = reader.string("label").map(|label| label.value);
        let kind = picker_kind(&mut reader);
        reader.finish();
        let Some(name) = name else { continue };
        // One that is wrong is known all the same, as one that anything may be given to.
        let kind = kind.unwrap_or(PickerKind::Text { default: Some(String::new()) });
        let label = label.unwrap_or_else(|| name.value.replace('_', " "));
        pickers.push(Picker { name: name.value, label, kind });
    }
    reader.each_once("parameters", &names);
    pickers
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Text,
    Choice,
    Range,
}

fn picker_kind(reader: &mut Reader<'_>) -> Option<PickerKind> {
    let choices = [("text", Word::Text), ("choice", Word::Choice), ("range", Word::Range)];
    let kind = reader.required("kind", |reader, key| reader.choice(key, &choices));
    let (_, misplaced) = (reader.value("default"), reader.value("choices"));
    let kind = kind?.value;
    if kind != Word::Choice
        && let Some(value) = misplaced
    {
        reader.complain(&value.span(), Complaint::new("`choices` is for a picker of kind `choice`"));
    }
    match kind {
        Word::Text => Some(PickerKind::Text { default: reader.string("default").map(|default| default.value) }),
        Word::Range => {
            let default = reader.required("default", |reader, key| reader.quantity(key, "30 days", units::duration))?;
            if default.value == 0 {
                reader.complain(&default.place, Complaint::new("`default` must be at least a second"));
            }
            Some(PickerKind::Range { default_seconds: default.value })
        }
        Word::Choice => {
            let choices = reader.required("choices", Reader::strings)?;
            let default = reader.string("default");
            if let Some(default) = &default
                && !choices.iter().any(|choice| choice.value == default.value)
            {
                let complaint = Complaint::new(format!("`{}` is not one of `choices`", default.value));
                reader.complain(&default.place, complaint);
            }
            let default = default.map_or_else(|| choices[0].value.clone(), |default| default.value);
            Some(PickerKind::Choice { choices: choices.into_iter().map(|choice| choice.value).collect(), default })
        }
    }
}

/// The name within `{name}`, where a text is that.
fn braced<'t>(reader: &Reader<'_>, written: &'t Placed<String>) -> Option<&'t str> {
    let name = written.value.strip_prefix('{')?.strip_suffix('}')?;
    if let Err(complaint) = check_identifier(name) {
        reader.complain(&written.place, complaint);
    }
    Some(name)
}
