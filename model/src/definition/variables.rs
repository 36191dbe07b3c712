//! Variables of the environment in a text: `${NAME}`, `${NAME:-default}` (unset or empty: the default), and `$$` for a `$`.
//!
//! In a url, `${date}` and `${date:%Y/%m/%d}` stand for a date. No complaint shows a value or a default.

use std::fmt::Write;

use chrono::NaiveDate;

use super::error::Complaint;

pub(super) type Lookup<'v> = &'v dyn Fn(&str) -> Option<String>;

/// Of a `${date}` that does not say its own.
const DATE_FORMAT: &str = "%Y-%m-%d";

/// What is wrong with one `${...}`; `written` is how it begins in the text.
pub(super) struct Fault {
    pub(super) written: String,
    pub(super) complaint: Complaint,
}

/// A text between its variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Variable {
        name: String,
        value: String,
    },
    /// `${date}` or `${date:FORMAT}`, with its format.
    Date(String),
}

/// Whether `${date}` stands for a date or is a variable like others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dates {
    Known,
    Unknown,
}

/// The text with all its variables replaced, or all that is wrong with them.
pub(super) fn replace(text: &str, lookup: Lookup<'_>) -> Result<String, Vec<Fault>> {
    let pieces = pieces(text, lookup, Dates::Unknown)?;
    let texts = pieces.into_iter().map(|piece| match piece {
        Piece::Text(text) | Piece::Variable { value: text, .. } | Piece::Date(text) => text,
    });
    Ok(texts.collect())
}

/// The text in pieces, or all that is wrong with its variables.
pub(super) fn pieces(text: &str, lookup: Lookup<'_>, dates: Dates) -> Result<Vec<Piece>, Vec<Fault>> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut faults = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        plain.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        if let Some(after) = rest.strip_prefix("$$") {
            plain.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix("${") {
            let Some((inner, after)) = after.split_once('}') else {
                let complaint = Complaint::new("`${` is not closed").hint("write `$$` for a `$`");
                faults.push(Fault { written: "${".into(), complaint });
                return Err(faults);
            };
            let format = if dates == Dates::Known { date_format(inner) } else { None };
            match format.map_or_else(|| value_of(inner, lookup), checked_format) {
                Ok(piece) => pieces.extend([Piece::Text(std::mem::take(&mut plain)), piece]),
                Err(fault) => faults.push(fault),
            }
            rest = after;
        } else {
            plain.push('$');
            rest = &rest[1..];
        }
    }
    plain.push_str(rest);
    pieces.push(Piece::Text(plain));
    if faults.is_empty() { Ok(pieces) } else { Err(faults) }
}

/// The format of a `${date}`; `${date:-...}` is a variable with a default.
fn date_format(inner: &str) -> Option<&str> {
    if inner == "date" {
        return Some(DATE_FORMAT);
    }
    inner.strip_prefix("date:").filter(|format| !format.starts_with('-'))
}

fn checked_format(format: &str) -> Result<Piece, Fault> {
    let shows_date = {
        let mut shown = String::new();
        // What is not of a date (hours, say) cannot be written.
        write!(shown, "{}", NaiveDate::default().format(format)).is_ok() && shown != format
    };
    if shows_date {
        return Ok(Piece::Date(format.to_owned()));
    }
    let complaint = Complaint::new("`${date:...}` does not hold the format of a date");
    Err(Fault { written: "${date:".into(), complaint: complaint.hint("write `${date}`, or a format as in `${date:%Y/%m/%d}`") })
}

fn value_of(inner: &str, lookup: Lookup<'_>) -> Result<Piece, Fault> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    if !is_variable_name(name) {
        let complaint = Complaint::new("`${...}` does not hold a variable's name").hint("write `${NAME}` or `${NAME:-default}`");
        return Err(Fault { written: "${".into(), complaint });
    }
    let variable = |value| Ok(Piece::Variable { name: name.to_owned(), value });
    match (lookup(name), default) {
        (Some(value), _) if !value.is_empty() => variable(value),
        (_, Some(default)) => variable(default.to_owned()),
        (Some(empty), None) => variable(empty),
        (None, None) => {
            let complaint = Complaint::new(format!("variable `{name}` is not set"))
                .hint(format!("set {name}, or give a default: `${{{name}:-default}}`"));
            Err(Fault { written: format!("${{{name}}}"), complaint })
        }
    }
}

pub(super) fn is_variable_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("example.org".into()),
            "EMPTY" => Some(String::new()),
            "MONEY" => Some("${HOST}".into()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_replaced_once_and_dollars_escaped() {
        let replace = |text| replace(text, &environment).ok().unwrap();
        assert_eq!(replace("https://${HOST}/a?b=${HOST}"), "https://example.org/a?b=example.org");
        assert_eq!(replace("${NOPE:-a:-b}"), "a:-b");
        assert_eq!(replace("${EMPTY:-a}${EMPTY}${NOPE:-}"), "a");
        assert_eq!(replace("$${HOST} $5 $"), "${HOST} $5 $");
        assert_eq!(replace("${MONEY}"), "${HOST}", "a value is not looked into");
    }

    #[test]
    fn a_date_is_a_piece_of_its_own_where_dates_are_known() {
        let text = |text: &str| Piece::Text(text.to_owned());
        let variable = |name: &str, value: &str| Piece::Variable { name: name.to_owned(), value: value.to_owned() };
        let read = |text, dates| pieces(text, &environment, dates).ok().unwrap();
        assert_eq!(
            read("${HOST}/${date}/${date:%d.%m}$$", Dates::Known),
            [
                text(""),
                variable("HOST", "example.org"),
                text("/"),
                Piece::Date("%Y-%m-%d".to_owned()),
                text("/"),
                Piece::Date("%d.%m".to_owned()),
                text("$")
            ]
        );
        assert_eq!(read("${date:-x}", Dates::Known), [text(""), variable("date", "x"), text("")]);
        assert!(pieces("${date}", &environment, Dates::Unknown).is_err());
        for format in ["%H", "%Q", "Y-m-d", "", "%"] {
            assert!(pieces(&format!("${{date:{format}}}"), &environment, Dates::Known).is_err(), "{format}");
        }
    }

    #[test]
    fn every_variable_that_fails_is_named() {
        let faults = replace("${A}${HOST}${B}${}${1}${C", &environment).err().unwrap();
        let messages: Vec<_> = faults.iter().map(|fault| fault.complaint.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "variable `A` is not set",
                "variable `B` is not set",
                "`${...}` does not hold a variable's name",
                "`${...}` does not hold a variable's name",
                "`${` is not closed"
            ]
        );
    }
}
