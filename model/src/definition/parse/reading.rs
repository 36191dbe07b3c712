//! How text becomes a date, an instant or bytes: the keys `format`, `zone`, `ambiguous` and `encoding` of a column.

use std::str::FromStr;

use chrono::format::{Fixed, Item, Numeric, StrftimeItems};
use chrono_tz::{TZ_VARIANTS, Tz};
use toml::Spanned;

use crate::definition::contract::{Ambiguous, BinaryEncoding, ColumnType, EpochUnit, Reading, TimeFormat};
use crate::definition::error::{Complaint, Placed, Span};
use crate::definition::names::nearest;
use crate::definition::reader::Reader;

const AMBIGUOUS: [(&str, Ambiguous); 3] =
    [("reject", Ambiguous::Reject), ("earlier", Ambiguous::Earlier), ("later", Ambiguous::Later)];

const ENCODINGS: [(&str, BinaryEncoding); 2] = [("base64", BinaryEncoding::Base64), ("hex", BinaryEncoding::Hex)];

const EPOCHS: [(&str, EpochUnit); 4] = [
    ("epoch_seconds", EpochUnit::Seconds),
    ("epoch_millis", EpochUnit::Millis),
    ("epoch_micros", EpochUnit::Micros),
    ("epoch_nanos", EpochUnit::Nanos),
];

/// Reads the four keys; `data_type` is `None` where it is wrong itself.
pub(super) fn reading(reader: &mut Reader<'_>, data_type: Option<&ColumnType>, is_computed: bool) -> Reading {
    let places = ["format", "zone", "ambiguous", "encoding"].map(|key| (key, reader.value(key).map(Spanned::span)));
    let formats = formats(reader);
    let zone = reader.string("zone").and_then(|zone| checked_zone(reader, &zone));
    let ambiguous = reader.choice("ambiguous", &AMBIGUOUS).map(|choice| choice.value);
    let encoding = reader.choice("encoding", &ENCODINGS).map(|choice| choice.value);
    for (key, place) in places {
        let Some(place) = place else { continue };
        if let Some(complaint) = misplaced(key, data_type, is_computed, zone.as_deref()) {
            reader.complain(&place, complaint);
        }
    }
    Reading {
        formats,
        zone: zone.filter(|zone| zone != "UTC"),
        ambiguous: ambiguous.unwrap_or_default(),
        encoding: encoding.unwrap_or_default(),
    }
}

/// Why a key says nothing here.
fn misplaced(key: &str, data_type: Option<&ColumnType>, is_computed: bool, zone: Option<&str>) -> Option<Complaint> {
    use ColumnType::{Binary, Date, Timestamp};
    if is_computed {
        return Some(Complaint::new(format!("`{key}` says how text is read, and this column is computed")));
    }
    let complaint = match (key, data_type?) {
        ("format", Date | Timestamp) | ("zone", Timestamp) | ("encoding", Binary) => return None,
        ("ambiguous", Timestamp) if zone.is_some_and(|zone| zone != "UTC") => return None,
        ("ambiguous", Timestamp) => {
            let complaint = Complaint::new("`ambiguous` is about local times, and this column's are in UTC");
            complaint.hint("add the zone, as in `zone = \"Europe/Helsinki\"`")
        }
        ("format", _) => Complaint::new("`format` is for dates and timestamps only"),
        ("encoding", _) => Complaint::new("`encoding` is for binary columns only"),
        _ => Complaint::new(format!("`{key}` is for timestamps only")),
    };
    Some(complaint)
}

fn checked_zone(reader: &Reader<'_>, zone: &Placed<String>) -> Option<String> {
    if Tz::from_str(&zone.value).is_ok() {
        return Some(zone.value.clone());
    }
    let near = nearest(&zone.value, TZ_VARIANTS.iter().map(|zone| zone.name()));
    let hint = near.map_or_else(
        || "write the name of a zone as the IANA has it, as in \"Europe/Helsinki\" or \"UTC\"".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    reader.complain(&zone.place, Complaint::new(format!("there is no zone `{}`", zone.value)).hint(hint));
    None
}

fn formats(reader: &mut Reader<'_>) -> Vec<TimeFormat> {
    let texts = match reader.value("format") {
        Some(value) if value.get_ref().is_array() => reader.strings("format").unwrap_or_default(),
        Some(_) => reader.string("format").into_iter().collect(),
        None => Vec::new(),
    };
    texts.iter().filter_map(|text| format(reader, &text.value, &text.place)).collect()
}

fn format(reader: &Reader<'_>, text: &str, place: &Span) -> Option<TimeFormat> {
    if text == "iso" {
        return Some(TimeFormat::Iso);
    }
    if let Some((_, unit)) = EPOCHS.iter().find(|(name, _)| *name == text) {
        return Some(TimeFormat::Epoch(*unit));
    }
    match pattern_problem(text) {
        None => Some(TimeFormat::Pattern(text.to_owned())),
        Some(complaint) => {
            reader.complain(place, complaint);
            None
        }
    }
}

fn pattern_problem(text: &str) -> Option<Complaint> {
    let example = "write it with the letters of strftime, as in \"%d.%m.%Y %H:%M\"";
    if !text.contains('%') {
        let words = ["iso"].into_iter().chain(EPOCHS.iter().map(|(name, _)| *name));
        let hint = nearest(text, words).map_or(example.to_owned(), |near| format!("did you mean `{near}`?"));
        return Some(Complaint::new(format!("`{text}` is not a format of dates or times")).hint(hint));
    }
    let Ok(items) = StrftimeItems::new(text).parse() else {
        return Some(Complaint::new(format!("`{text}` has a letter that strftime does not know")).hint(example));
    };
    let has = |wanted: &[Numeric]| items.iter().any(|item| matches!(item, Item::Numeric(found, _) if wanted.contains(found)));
    let has_fixed = |wanted: fn(&Fixed) -> bool| items.iter().any(|item| matches!(item, Item::Fixed(found) if wanted(found)));
    if has_fixed(|found| matches!(found, Fixed::TimezoneName)) {
        let complaint = Complaint::new("`%Z`, the name of a zone, does not say which offset it means");
        return Some(complaint.hint("write `%z` for an offset such as +02:00, or give the `zone`"));
    }
    let whole = has(&[Numeric::Timestamp]) || has_fixed(|found| matches!(found, Fixed::RFC2822 | Fixed::RFC3339));
    let year = has(&[Numeric::Year, Numeric::YearMod100, Numeric::IsoYear, Numeric::IsoYearMod100]);
    if !whole && !year {
        return Some(Complaint::new(format!("`{text}` has no year")).hint(example));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_cannot_tell_a_day_are_refused() {
        for text in ["%Y-%m-%d", "%d.%m.%y %H:%M", "%s", "%+", "%Y%m%dT%H%M%S%.f%z", "%a %b %e %T %Y"] {
            assert_eq!(pattern_problem(text), None, "{text}");
        }
        for text in ["YYYY-MM-DD", "%Q", "%H:%M", "%Y-%m-%d %Z", "epoch", "%"] {
            assert!(pattern_problem(text).is_some(), "{text}");
        }
    }
}
