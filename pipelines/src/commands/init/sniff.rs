//! What a file is, by its content: JSON lines, CSV in one of its dialects, or Parquet.

use model::definition::{ColumnType, Csv, Header, TextEncoding};
use zones::decode::sample::{csv_records, transcoded};

use super::observed::{Kind, Observed, Seen, of_csv};

/// So many records tell a dialect.
const RECORDS: usize = 500;
/// So much text is looked at.
const BYTES: usize = 1 << 20;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    JsonLines,
    Csv(Box<CsvFound>),
    Parquet,
    /// Nothing that is read, and why.
    Other(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CsvFound {
    pub(super) csv: Csv,
    /// The names in the header, or the numbers of the fields.
    pub(super) names: Vec<String>,
    /// How sure each guess is, and why.
    pub(super) notes: Vec<String>,
}

/// Tells what begins with these bytes.
pub(super) fn sniff(head: &[u8]) -> Found {
    if head.starts_with(b"PAR1") {
        return Found::Parquet;
    }
    let head = &head[..head.len().min(BYTES)];
    let (encoding, how) = encoding_of(head);
    let bytes = if encoding == TextEncoding::Utf8 { head.to_vec() } else { transcoded(head.to_vec(), encoding) };
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_start_matches('\u{feff}');
    if text.contains('\0') {
        return Found::Other("it is neither text nor Parquet".to_owned());
    }
    let Some(first) = text.lines().find(|line| !line.trim().is_empty()) else {
        return Found::Other("it is empty".to_owned());
    };
    if first.trim_start().starts_with('{') {
        if serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(first).is_ok() {
            return Found::JsonLines;
        }
        return Found::Other("it is JSON over several lines; make it one object a line: `jq -c . FILE`".to_owned());
    }
    if first.trim_start().starts_with('[') {
        return Found::Other("it is one JSON list; make it one object a line: `jq -c '.[]' FILE`".to_owned());
    }
    csv(text, encoding, how)
}

fn encoding_of(head: &[u8]) -> (TextEncoding, Option<String>) {
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return (TextEncoding::Utf16, Some("encoding: by its byte order mark".to_owned()));
    }
    match std::str::from_utf8(head) {
        Ok(_) => (TextEncoding::Utf8, None),
        // The piece may end within a character.
        Err(error) if error.error_len().is_none() => (TextEncoding::Utf8, None),
        Err(error) => {
            let note = format!(
                "encoding: guess, since byte {} is not UTF-8; \"iso-8859-1\" reads the same but for a few signs",
                error.valid_up_to()
            );
            (TextEncoding::Windows1252, Some(note))
        }
    }
}

fn csv(text: &str, encoding: TextEncoding, encoding_note: Option<String>) -> Found {
    // The last line may be cut.
    let whole = if text.len() >= BYTES { text.rfind('\n').map_or(text, |end| &text[..=end]) } else { text };
    let mut best: Option<(f64, usize, Csv, Vec<Vec<String>>)> = None;
    for quoting in [(Some(b'"'), None), (Some(b'"'), Some(b'\\')), (Some(b'\''), None), (None, None)] {
        for delimiter in [b',', b';', b'\t', b'|'] {
            let csv = dialect(delimiter, quoting, encoding);
            let found = csv_records(whole, &csv, RECORDS);
            let Some(width) = usual_width(&found.records) else { continue };
            let fitting = found.records.iter().filter(|record| record.len() == width).count();
            let share = fitting as f64 / (found.records.len() + found.wrong) as f64;
            // Single quotes are quotes only where most fields have them.
            if quoting.0 == Some(b'\'') && !are_mostly_quoted(whole, delimiter) {
                continue;
            }
            let is_better = best.as_ref().is_none_or(|(other, other_width, ..)| {
                let wider = width > 1 && *other_width <= 1;
                let as_wide = (width > 1) == (*other_width > 1);
                (wider && share > 0.8)
                    || (as_wide
                        && (share > *other + 0.001 || (share >= *other && width > *other_width && quoting.0 == Some(b'"'))))
            });
            if is_better {
                best = Some((share, width, csv, found.records));
            }
        }
    }
    let Some((share, width, mut csv, records)) = best else { return Found::Other("it has no records".to_owned()) };
    let mut notes = Vec::new();
    if width == 1 {
        notes.push("delimiter: none was seen; each line is one field".to_owned());
    } else {
        let percent = (share * 100.0).floor();
        notes.push(format!("delimiter: {percent} % of {} records have {width} fields with it", records.len()));
    }
    notes.extend(encoding_note);
    notes.extend(quoting_note(&csv));
    let (has_header, why) = has_header(&records);
    notes.push(format!("header: {why}"));
    let names = if has_header {
        records[0].clone()
    } else {
        csv.header = Header::Numbers;
        (1..=width).map(|number| number.to_string()).collect()
    };
    Found::Csv(Box::new(CsvFound { csv, names, notes }))
}

/// What is said of quoting that is not the usual one.
fn quoting_note(csv: &Csv) -> Option<String> {
    match (csv.quote, csv.escape) {
        (None, _) => Some("quote: guess: nothing is quoted, since some double quotes do not close".to_owned()),
        (Some(b'\''), _) => Some("quote: most fields are in single quotes".to_owned()),
        (_, Some(_)) => Some("escape: guess, since with it more quotes close than without".to_owned()),
        _ => None,
    }
}

fn dialect(delimiter: u8, (quote, escape): (Option<u8>, Option<u8>), encoding: TextEncoding) -> Csv {
    Csv { delimiter, quote, escape, header: Header::Line, null_values: vec![String::new()], encoding }
}

fn usual_width(records: &[Vec<String>]) -> Option<usize> {
    let mut widths: Vec<usize> = records.iter().map(Vec::len).collect();
    widths.sort_unstable();
    widths.get(widths.len() / 2).copied()
}

fn are_mostly_quoted(text: &str, delimiter: u8) -> bool {
    let (mut quoted, mut all) = (0, 0);
    for field in text.lines().take(RECORDS).flat_map(|line| line.split(char::from(delimiter))) {
        all += 1;
        quoted += usize::from(field.len() > 1 && field.starts_with('\'') && field.ends_with('\''));
    }
    quoted * 2 > all
}

/// Whether the first record names the fields.
fn has_header(records: &[Vec<String>]) -> (bool, String) {
    let Some((first, rest)) = records.split_first() else { return (true, "assumed".to_owned()) };
    let is_value = |text: &String| {
        let column = [vec![text.clone()]];
        let observed = &of_csv(&["c".to_owned()], &column, &[])[0];
        // `No` names a column of numbers more often than it is a value.
        let data_type = super::infer::propose(observed, "c", "").data_type;
        !matches!(data_type, ColumnType::String | ColumnType::Boolean) || text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if let Some(value) = first.iter().find(|text| is_value(text)) {
        return (false, format!("none, since the first record has the value `{value}`"));
    }
    if first.iter().any(|text| text.trim().is_empty()) {
        return (false, "none, since a field of the first record is empty".to_owned());
    }
    let mut names = first.clone();
    names.sort_unstable();
    names.dedup();
    if names.len() < first.len() {
        return (false, "none, since the first record has a field twice".to_owned());
    }
    let again = first.iter().enumerate().find(|(place, text)| rest.iter().any(|record| record.get(*place) == Some(text)));
    if let Some((_, text)) = again {
        return (false, format!("guess: none, since `{text}` of the first record comes again in its column"));
    }
    let typed = (0..first.len()).any(|place| rest.iter().take(20).filter_map(|record| record.get(place)).any(is_value));
    if typed {
        (true, "the first record has names only, and other records have values".to_owned())
    } else {
        (true, "guess: the first record, though all fields are text; set `header = false` if it is one of the records".to_owned())
    }
}

/// Words that often stand for no value.
const NULL_WORDS: [&str; 9] = ["NULL", "null", "NA", "N/A", "n/a", "\\N", "None", "NaN", "-"];

/// Words that stand for no value: those without which a column has a type, if they are in no column of text.
pub(super) fn null_words(columns: &[Observed]) -> Vec<String> {
    let (mut words, mut texts) = (Vec::new(), Vec::new());
    for column in columns.iter().filter(|column| column.kind == Kind::Csv) {
        let is_word = |seen: &Seen| matches!(seen, Seen::Text(text) if NULL_WORDS.contains(&text.as_str()));
        let mut found: Vec<String> =
            column.values.iter().filter(|seen| is_word(seen)).filter_map(super::infer::text_of).map(str::to_owned).collect();
        if found.is_empty() {
            continue;
        }
        found.sort_unstable();
        found.dedup();
        let without: Vec<Seen> =
            column.values.iter().map(|seen| if is_word(seen) { Seen::Missing } else { seen.clone() }).collect();
        let has_values = without.iter().any(|seen| *seen != Seen::Missing);
        let without = Observed {
            values: without,
            field: column.field.clone(),
            words: column.words.clone(),
            kind: column.kind,
            stated: None,
        };
        let is_typed = has_values && super::infer::propose(&without, "c", "").data_type != ColumnType::String;
        if is_typed { words.extend(found) } else { texts.extend(found) }
    }
    words.sort_unstable();
    words.dedup();
    words.retain(|word| !texts.contains(word));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &[u8]) -> CsvFound {
        match sniff(text) {
            Found::Csv(found) => *found,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_dialect_is_told_by_the_records() {
        for (text, delimiter, names) in [
            (&b"id,name\n1,ann\n2,\"b, c\"\n"[..], b',', &["id", "name"][..]),
            (b"id;price\n1;1,5\n2;2,5\n", b';', &["id", "price"]),
            (b"id\tname\r\n1\ta, b\r\n", b'\t', &["id", "name"]),
            (b"1|ann|2024-01-01\n2|bob|2024-01-02\n", b'|', &["1", "2", "3"]),
            (b"word\nand\nmore\n", b',', &["word"]),
            (b"No;Sold\n1;yes\n", b';', &["No", "Sold"]),
        ] {
            let found = found(text);
            assert_eq!(
                (found.csv.delimiter, found.names.as_slice()),
                (delimiter, names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>().as_slice())
            );
        }
        let single = found(b"'id','name'\n'1','ann, b'\n'2','x'\n");
        assert_eq!((single.csv.quote, single.names.len()), (Some(b'\''), 2));
        let escaped = found(b"id,name\n1,\"say \\\"hi\\\", b\"\n2,\"x\"\n3,y\n");
        assert_eq!((escaped.csv.escape, escaped.names.len()), (Some(b'\\'), 2));
        let old = found(b"ort;n\nMalm\xf6;1\n");
        assert_eq!((old.csv.encoding, old.csv.delimiter), (TextEncoding::Windows1252, b';'));
    }

    #[test]
    fn what_is_not_read_says_what_to_do() {
        assert_eq!(sniff(b"{\"a\":1}\n{\"a\":2}\n"), Found::JsonLines);
        assert_eq!(sniff(b"PAR1...."), Found::Parquet);
        for (bytes, reason) in [
            (&b"[{\"a\":1},\n{\"a\":2}]"[..], "jq -c '.[]'"),
            (b"{\n\"a\": 1\n}", "several lines"),
            (b"\x00\x01\x02", "neither text nor Parquet"),
            (b" \n", "empty"),
        ] {
            assert!(matches!(sniff(bytes), Found::Other(why) if why.contains(reason)), "{reason}");
        }
    }

    #[test]
    fn a_word_for_no_value_is_one_only_where_no_text_has_it() {
        let names = ["n".to_owned(), "country".to_owned()];
        let records = |rows: &[[&str; 2]]| rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect::<Vec<_>>();
        let plain = of_csv(&names, &records(&[["1", "DE"], ["NA", "FI"], ["3", "SE"]]), &[]);
        assert_eq!(null_words(&plain), ["NA"]);
        let namibia = of_csv(&names, &records(&[["1", "DE"], ["NA", "NA"]]), &[]);
        assert!(null_words(&namibia).is_empty());
    }
}
