//! The keys of a landing whose format is CSV.

use toml::Spanned;

use crate::definition::defaults;
use crate::definition::error::{Complaint, Placed};
use crate::definition::reader::Reader;
use crate::definition::tables::{Csv, Header, TextEncoding};

const KEYS: [&str; 6] = ["delimiter", "quote", "escape", "header", "null_values", "encoding"];

const ENCODINGS: [(&str, TextEncoding); 4] = [
    ("utf-8", TextEncoding::Utf8),
    ("iso-8859-1", TextEncoding::Latin1),
    ("windows-1252", TextEncoding::Windows1252),
    ("utf-16", TextEncoding::Utf16),
];

/// Reads the keys of a CSV landing.
pub(super) fn csv(reader: &mut Reader<'_>) -> Csv {
    let delimiter = character(reader, "delimiter", None).map(|(delimiter, _)| delimiter);
    let quote = character(reader, "quote", Some("nothing is quoted"));
    let escape = character(reader, "escape", None);
    let delimiter = delimiter.flatten().unwrap_or(defaults::DELIMITER);
    let quote_byte = quote.as_ref().map_or(Some(defaults::QUOTE), |(quote, _)| *quote);
    for (key, found) in [("quote", &quote), ("escape", &escape)] {
        if let Some((Some(byte), place)) = found
            && *byte == delimiter
        {
            reader.complain(place, Complaint::new(format!("`{key}` and `delimiter` are the same character")));
        }
    }
    if let (Some((_, place)), None) = (&escape, quote_byte) {
        reader.complain(place, Complaint::new("`escape` is about quotes, and nothing is quoted"));
    }
    let header = header(reader);
    let null_values = null_values(reader);
    let encoding = reader.choice("encoding", &ENCODINGS).map_or(defaults::ENCODING, |choice| choice.value);
    Csv {
        delimiter,
        quote: quote_byte,
        // A quote that escapes itself is a doubled one.
        escape: escape.and_then(|(escape, _)| escape).filter(|escape| Some(*escape) != quote_byte),
        header,
        null_values,
        encoding,
    }
}

/// Complains about these keys where the format is another one.
pub(super) fn refuse(reader: &mut Reader<'_>) {
    for key in KEYS {
        if let Some(place) = reader.value(key).map(Spanned::span) {
            reader.complain(&place, Complaint::new(format!("`{key}` is for `format = \"csv\"` only")));
        }
    }
}

/// One ASCII character; `if_empty` says what an empty text means, where it means something.
fn character(reader: &mut Reader<'_>, key: &'static str, if_empty: Option<&str>) -> Option<(Option<u8>, std::ops::Range<usize>)> {
    let value = reader.value(key)?;
    let place = value.span();
    let Some(text) = value.get_ref().as_str() else {
        reader.wrong_type(key, value, "a string of one character");
        return None;
    };
    match *text.as_bytes() {
        [] if if_empty.is_some() => Some((None, place)),
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Some((Some(byte), place)),
        _ => {
            let complaint = Complaint::new(format!("`{key}` must be one ASCII character, and no line end"));
            let hint = if_empty.map(|means| format!("an empty text means that {means}"));
            let hint = if text == "tab" { Some("write \"\\t\" for a tab".to_owned()) } else { hint };
            reader.complain(&place, complaint.maybe_hint(hint));
            None
        }
    }
}

fn header(reader: &mut Reader<'_>) -> Header {
    let Some(value) = reader.value("header") else { return defaults::HEADER };
    if let Some(is_line) = value.get_ref().as_bool() {
        return if is_line { Header::Line } else { Header::Numbers };
    }
    if value.get_ref().is_array() {
        let names = reader.strings("header").unwrap_or_default();
        return Header::Names(names.into_iter().map(|name| name.value).collect());
    }
    reader.wrong_type("header", value, "true, false, or the list of the fields' names where the file has none");
    defaults::HEADER
}

fn null_values(reader: &mut Reader<'_>) -> Vec<String> {
    let Some(value) = reader.value("null_values") else { return defaults::NULL_VALUES.map(str::to_owned).to_vec() };
    let Some(list) = value.get_ref().as_array() else {
        reader.wrong_type("null_values", value, "a list of strings, as in [\"\", \"NA\"]");
        return Vec::new();
    };
    let mut texts: Vec<Placed<String>> = Vec::new();
    for value in list {
        match value.get_ref().as_str() {
            Some(text) => texts.push(Placed { value: text.to_owned(), place: value.span() }),
            None => reader.wrong_type("null_values", value, "a list of strings"),
        }
    }
    reader.each_once("null_values", &texts);
    texts.into_iter().map(|text| text.value).collect()
}
