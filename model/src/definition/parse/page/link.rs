//! `link = { page = "customer", customer = "{customer}" }`.

use std::collections::BTreeMap;

use super::super::{Known, check_reference};
use super::braced;
use super::part::Context;
use crate::definition::error::{Complaint, Placed};
use crate::definition::names::suggest;
use crate::definition::pages::{Link, LinkValue, Page};
use crate::definition::reader::Reader;

/// A link as it is written, until the page that it names is known.
pub(in crate::definition::parse) struct Written {
    from: String,
    page: Placed<String>,
    given: Vec<Placed<String>>,
}

pub(super) fn read(reader: &mut Reader<'_>, context: &Context<'_>, links: &mut Vec<Written>) -> Option<Link> {
    let mut link = reader.table("link")?;
    let page = link.required("page", Reader::name);
    let place = link.place.clone();
    let mut with = BTreeMap::new();
    let mut given = Vec::new();
    if page.is_none() {
        if !link.meant("page") {
            reader.complain(&place, Complaint::new("a link needs `page`").hint("write link = { page = \"NAME\" }"));
        }
        return None;
    }
    for (name, value) in link.entries() {
        if name.value == "page" {
            continue;
        }
        let Some(text) = reader.string_in(&name.value, value) else { continue };
        let value = match braced(reader, &text) {
            Some(field) => LinkValue::Field(field.to_owned()),
            None => LinkValue::Constant(text.value),
        };
        with.insert(name.value.clone(), value);
        given.push(name);
    }
    let page = page?;
    let link = Link { page: page.value.clone(), with };
    links.push(Written { from: context.page.to_owned(), page, given });
    Some(link)
}

/// That each link names a page, pickers of it, and all that it needs.
pub(in crate::definition::parse) fn check(reader: &Reader<'_>, pages: &[Page], links: &[Written], known: &Known<'_>) {
    for Written { from, page, given } in links {
        check_reference(reader, page, "page", &known.pages);
        let Some(target) = pages.iter().find(|known| known.name == page.value) else { continue };
        for name in given {
            if target.parameters.iter().any(|picker| picker.name == name.value) {
                continue;
            }
            let complaint = Complaint::new(format!("[page.{}] has no picker `{}`", target.name, name.value));
            let hint = suggest(&name.value, target.parameters.iter().map(|picker| picker.name.as_str()), "its pickers");
            reader.complain(&name.place, complaint.maybe_hint(hint));
        }
        let own = pages.iter().find(|known| known.name == *from);
        for picker in target.parameters.iter().filter(|picker| !picker.kind.has_default()) {
            let is_kept = own.is_some_and(|own| own.parameters.iter().any(|kept| kept.name == picker.name));
            if !is_kept && !given.iter().any(|name| name.value == picker.name) {
                let complaint = Complaint::new(format!("[page.{}] needs `{}`", target.name, picker.name));
                let hint = format!("add {} = \"{{FIELD}}\" to the link", picker.name);
                reader.complain(&page.place, complaint.hint(hint));
            }
        }
    }
}
