//! Paths of endpoints: `/v1/buyers/{buyer}`.

use crate::definition::endpoints::{PathTemplate, Segment};
use crate::definition::error::{Complaint, Placed};
use crate::definition::names::check_identifier;
use crate::definition::reader::Reader;

/// First segments that the program answers itself.
const OWN: [&str; 8] = ["livez", "readyz", "metrics", "openapi.json", "docs", "health", "assets", "icon.svg"];
/// More would be a mistake, and every one is looked at in each request.
const MOST_SEGMENTS: usize = 16;

pub(super) fn template(reader: &Reader<'_>, written: &Placed<String>) -> Option<PathTemplate> {
    match parse(&written.value) {
        Ok(template) => Some(template),
        Err(complaint) => {
            reader.complain(&written.place, complaint);
            None
        }
    }
}

fn parse(text: &str) -> Result<PathTemplate, Complaint> {
    let Some(rest) = text.strip_prefix('/') else {
        return Err(Complaint::new(format!("the path `{text}` does not begin with `/`")));
    };
    let mut segments = Vec::new();
    for part in rest.split('/') {
        if part.is_empty() {
            let complaint = Complaint::new(format!("the path `{text}` has an empty part"));
            return Err(complaint.hint("leave out the `/` at its end, and double ones"));
        }
        segments.push(segment(part)?);
    }
    match &segments[0] {
        Segment::Parameter(name) => {
            let complaint = Complaint::new(format!("the path begins with the parameter `{name}`"));
            return Err(complaint.hint(format!("begin with a word, as in `/v1{text}`")));
        }
        Segment::Literal(first) if OWN.contains(&first.as_str()) => {
            let complaint = Complaint::new(format!("`/{first}` is answered by the program itself"));
            return Err(complaint.hint(format!("begin with another word, as in `/v1{text}`")));
        }
        Segment::Literal(_) => {}
    }
    if matches!(segments.get(1), Some(Segment::Literal(second)) if second.starts_with('_')) {
        return Err(Complaint::new("paths whose second part begins with `_` are kept for the program itself"));
    }
    if segments.len() > MOST_SEGMENTS {
        return Err(Complaint::new(format!("the path has over {MOST_SEGMENTS} parts")));
    }
    let template = PathTemplate { segments };
    let names: Vec<&str> = template.parameters().collect();
    if let Some((_, twice)) = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
        return Err(Complaint::new(format!("the parameter `{twice}` is in the path twice")));
    }
    Ok(template)
}

fn segment(part: &str) -> Result<Segment, Complaint> {
    if let Some(name) = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        check_identifier(name)?;
        return Ok(Segment::Parameter(name.to_owned()));
    }
    if part.contains(['{', '}']) {
        let complaint = Complaint::new(format!("`{part}` is partly a parameter"));
        return Err(complaint.hint("a parameter is all that is between two `/`, as in `/{buyer}/`"));
    }
    let is_plain = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    if !is_plain || part.bytes().all(|byte| byte == b'.') {
        let complaint = Complaint::new(format!("`{part}` cannot be part of a path"));
        return Err(complaint.hint("parts are of letters, digits and `-._~`"));
    }
    Ok(Segment::Literal(part.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_path_is_of_words_and_parameters() {
        for good in ["/v1/buyers/{buyer}", "/models/started_sessions/{country}/{hours}", "/a", "/v1/a.b~c-d"] {
            assert_eq!(parse(good).expect("it is a path").to_string(), good);
        }
        let bad = [
            "",
            "v1",
            "/",
            "/v1/",
            "/v1//a",
            "/{a}",
            "/v1/{a}/{a}",
            "/v1/x{a}",
            "/v1/{A}",
            "/v1/a b",
            "/v1/..",
            "/docs/x",
            "/icon.svg",
            "/v1/_pipeline",
            "/v1/a%20b",
            "/v1/{a",
            "/v1/ä",
        ];
        for bad in bad {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
