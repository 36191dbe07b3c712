//! `[source.NAME]` and `[landing.NAME]`.

use crate::definition::error::{Complaint, Placed};
use crate::definition::reader::{Reader, whole_number};
use crate::definition::sources::{OnMissing, Source};
use crate::definition::tables::{Compression, Format, Landing};
use crate::definition::variables::{self, Fault};
use crate::definition::{defaults, units};

use super::{Known, check_reference, csv, urls};

#[derive(Clone, Copy)]
enum FormatName {
    JsonLines,
    Csv,
    Parquet,
}

const FORMATS: [(&str, FormatName); 3] =
    [("json_lines", FormatName::JsonLines), ("csv", FormatName::Csv), ("parquet", FormatName::Parquet)];

const COMPRESSIONS: [(&str, Compression); 12] = [
    ("auto", Compression::Auto),
    ("none", Compression::None),
    ("gzip", Compression::Gzip),
    ("bzip2", Compression::Bzip2),
    ("zstd", Compression::Zstd),
    ("xz", Compression::Xz),
    ("zip", Compression::Zip),
    ("tar", Compression::Tar),
    ("tar.gz", Compression::TarGzip),
    ("tar.bz2", Compression::TarBzip2),
    ("tar.zst", Compression::TarZstd),
    ("tar.xz", Compression::TarXz),
];

const ON_MISSING: [(&str, OnMissing); 2] = [("fail", OnMissing::Fail), ("skip", OnMissing::Skip)];

pub(super) fn source(name: String, mut reader: Reader<'_>, known: &Known<'_>) -> Option<Source> {
    let urls = urls::urls(&mut reader, known);
    let dates = urls::dates(&mut reader, urls.as_deref());
    let sha256 = reader.string("sha256").and_then(|sha256| replaced(&reader, sha256, known));
    if let (Some(sha256), Some(urls)) = (&sha256, &urls)
        && (urls.len() > 1 || dates.is_some())
    {
        let complaint = Complaint::new("`sha256` pins one file, and this source has several urls");
        reader.complain(&sha256.place, complaint.hint("leave it out, or make a source of each url"));
    }
    let sha256 = sha256.and_then(|sha256| checked_sha256(&reader, &sha256));
    let on_missing = reader.choice("on_missing", &ON_MISSING).map_or_else(OnMissing::default, |choice| choice.value);
    let headers = headers(&mut reader, known);
    reader.finish();
    let urls = urls?.into_iter().map(|url| url.value).collect();
    Some(Source { name, urls, dates, sha256, on_missing, headers })
}

/// The text with its variables replaced; each variable that fails is a problem at its own place.
fn replaced(reader: &Reader<'_>, text: Placed<String>, known: &Known<'_>) -> Option<Placed<String>> {
    match variables::replace(&text.value, known.variables) {
        Ok(value) => Some(Placed { value, place: text.place }),
        Err(faults) => {
            place_faults(reader, &text, faults);
            None
        }
    }
}

/// Complains of each fault at its own place in the text.
pub(super) fn place_faults(reader: &Reader<'_>, text: &Placed<String>, faults: Vec<Fault>) {
    let written = reader.problems.written_at(&text.place);
    let mut seen = 0;
    for fault in faults {
        let beginning = written[seen..].find(&fault.written);
        let place = beginning.map_or(text.place.clone(), |at| {
            let start = text.place.start + seen + at;
            seen += at + fault.written.len();
            start..start + fault.written.len()
        });
        reader.complain(&place, fault.complaint);
    }
}

fn checked_sha256(reader: &Reader<'_>, sha256: &Placed<String>) -> Option<String> {
    let digits = sha256.value.trim();
    if digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some(digits.to_ascii_lowercase());
    }
    let complaint = Complaint::new("`sha256` must be 64 hexadecimal digits").hint("as `sha256sum FILE` prints it");
    reader.complain(&sha256.place, complaint);
    None
}

/// Never shows a value.
fn headers(reader: &mut Reader<'_>, known: &Known<'_>) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    let entries = reader.table("headers").map(Reader::entries);
    for (name, value) in entries.unwrap_or_default() {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.value.is_empty() || !name.value.bytes().all(is_token) {
            let complaint = Complaint::new("a header's name has a character in it that no header can have");
            reader.complain(&name.place, complaint.hint("write { NAME = \"value\" }, as in { Authorization = \"${TOKEN}\" }"));
            // Its name may hold a value, so it is not named.
            continue;
        }
        if headers.iter().any(|(earlier, _)| earlier.eq_ignore_ascii_case(&name.value)) {
            reader.complain(&name.place, Complaint::new(format!("header `{}` is given twice", name.value)));
        }
        let Some(text) = value.get_ref().as_str() else {
            reader.wrong_type(&name.value, value, "a string");
            continue;
        };
        let text = Placed { value: text.to_owned(), place: value.span() };
        let Some(text) = replaced(reader, text, known) else { continue };
        if text.value.contains(|c: char| c.is_control()) {
            let complaint = Complaint::new(format!("the value of header `{}` has a control character in it", name.value));
            reader.complain(&text.place, complaint.hint("often it is the line end of the file that holds the secret"));
        }
        headers.push((name.value, text.value));
    }
    headers
}

pub(super) fn landing(name: String, mut reader: Reader<'_>, known: &Known<'_>) -> Option<Landing> {
    let source = reader.string("source");
    if let Some(source) = &source {
        check_reference(&reader, source, "source", &known.sources);
    } else if !reader.meant("source") && !known.sources.may_hold(&name) {
        let complaint = Complaint::new(format!("there is no [source.{name}], which a landing of this name reads"));
        let source = known.sources.all.first().unwrap_or(&"NAME");
        reader.complain(&reader.place, complaint.hint(format!("say which it reads, as in `source = \"{source}\"`")));
    }
    let format = reader.required("format", |reader, key| reader.choice(key, &FORMATS)).map(|choice| choice.value);
    let format = match format {
        Some(FormatName::Csv) => Some(Format::Csv(csv::csv(&mut reader))),
        Some(other) => {
            csv::refuse(&mut reader);
            Some(if matches!(other, FormatName::Parquet) { Format::Parquet } else { Format::JsonLines })
        }
        None => {
            // Whatever else is wrong with these is told once the format is known.
            csv::csv(&mut reader);
            None
        }
    };
    let compression = reader.choice("compression", &COMPRESSIONS).map_or(defaults::COMPRESSION, |choice| choice.value);
    let entries = reader.string("entries").map_or(defaults::ENTRIES.to_owned(), |glob| glob.value);
    let max_record_bytes = bytes(&mut reader, "max_record_bytes", defaults::LARGEST_MAX_RECORD_BYTES);
    let max_unpacked_bytes = bytes(&mut reader, "max_unpacked_bytes", u64::MAX);
    reader.finish();
    Some(Landing {
        source: source.map_or_else(|| name.clone(), |source| source.value),
        name,
        compression,
        entries,
        format: format?,
        max_record_bytes: max_record_bytes.unwrap_or(defaults::MAX_RECORD_BYTES),
        max_unpacked_bytes: max_unpacked_bytes.unwrap_or(defaults::MAX_UNPACKED_BYTES),
    })
}

/// A size with its unit, or a number of bytes; from 1 to `largest`.
fn bytes(reader: &mut Reader<'_>, key: &'static str, largest: u64) -> Option<u64> {
    let size = match reader.value(key).map(|value| (whole_number(value.get_ref()), value)) {
        Some((Some(count), value)) => Placed { value: u64::try_from(count).unwrap_or(0), place: value.span() },
        _ => reader.quantity(key, "16 MiB", units::size)?,
    };
    if size.value == 0 {
        reader.complain(&size.place, Complaint::new(format!("`{key}` must be at least 1 byte")));
    } else if size.value > largest {
        reader.complain(&size.place, Complaint::new(format!("`{key}` can be {} GiB at most", largest >> 30)));
    }
    Some(size.value)
}
