//! Finds the fields of one record.

use model::definition::Csv;

/// A field's content: without its quotes, with its escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::decode) struct Field {
    start: u32,
    /// The end, and in the highest bit whether there are escapes to be taken out.
    end: u32,
}

const ESCAPED: u32 = 1 << 31;

impl Field {
    fn new(start: usize, end: usize, is_escaped: bool) -> Self {
        let place = |at: usize| u32::try_from(at).expect("a block is smaller than 2 GiB");
        Self { start: place(start), end: place(end) | if is_escaped { ESCAPED } else { 0 } }
    }

    pub(in crate::decode) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..(self.end & !ESCAPED) as usize
    }

    pub(in crate::decode) fn is_escaped(self) -> bool {
        self.end & ESCAPED != 0
    }
}

/// What was found where a record should begin.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::decode) enum Found {
    Record {
        /// The end of its last field, without the line end.
        end: usize,
        /// Where the next one begins.
        next: usize,
        /// Line feeds in it and at its end.
        lines: u64,
    },
    /// It does not end in these bytes.
    Cut,
    /// A quote opens here and does not close in these bytes.
    Open(usize),
    /// Text follows the quote that closes here.
    TextAfterQuote(usize),
}

/// The characters that mean something.
#[derive(Debug, Clone, Copy)]
pub(in crate::decode) struct Dialect {
    pub(super) delimiter: u8,
    pub(super) quote: Option<u8>,
    pub(super) escape: Option<u8>,
}

impl Dialect {
    pub(in crate::decode) fn of(csv: &Csv) -> Self {
        Self { delimiter: csv.delimiter, quote: csv.quote, escape: csv.escape }
    }

    /// Finds the record that begins at `start` and appends its fields. `is_whole`: no bytes follow these.
    pub(in crate::decode) fn scan(self, bytes: &[u8], start: usize, is_whole: bool, fields: &mut Vec<Field>) -> Found {
        let cut = |open: Option<usize>| match open {
            Some(at) if is_whole => Found::Open(at),
            _ => Found::Cut,
        };
        let mut at = start;
        let mut lines = 0;
        loop {
            // A field begins here.
            if bytes.get(at).is_some_and(|byte| Some(*byte) == self.quote) {
                let quote = bytes[at];
                let begin = at + 1;
                let Some((end, is_escaped, inner_lines)) = self.closing(bytes, begin, quote) else { return cut(Some(at)) };
                lines += inner_lines;
                // A quote at the very end may be the first of two.
                if end + 1 == bytes.len() && !is_whole {
                    return Found::Cut;
                }
                fields.push(Field::new(begin, end, is_escaped));
                at = end + 1;
                match bytes.get(at) {
                    Some(byte) if *byte == self.delimiter => {
                        at += 1;
                        continue;
                    }
                    Some(b'\n') => return Found::Record { end: at, next: at + 1, lines: lines + 1 },
                    Some(b'\r') if bytes.get(at + 1) == Some(&b'\n') => {
                        return Found::Record { end: at, next: at + 2, lines: lines + 1 };
                    }
                    Some(b'\r') if at + 1 == bytes.len() => {
                        return if is_whole { Found::Record { end: at, next: at + 1, lines } } else { Found::Cut };
                    }
                    Some(_) => return Found::TextAfterQuote(end),
                    None => return Found::Record { end: at, next: at, lines },
                }
            }
            let begin = at;
            let found = loop {
                match bytes.get(at) {
                    Some(byte) if *byte == self.delimiter || *byte == b'\n' => break Some(*byte),
                    Some(_) => at += 1,
                    None => break None,
                }
            };
            if found == Some(self.delimiter) {
                fields.push(Field::new(begin, at, false));
                at += 1;
                continue;
            }
            if found.is_none() && !is_whole {
                return Found::Cut;
            }
            let end = if at > begin && bytes[at - 1] == b'\r' { at - 1 } else { at };
            fields.push(Field::new(begin, end, false));
            let has_line_feed = found.is_some();
            return Found::Record { end, next: at + usize::from(has_line_feed), lines: lines + u64::from(has_line_feed) };
        }
    }

    /// The closing quote: where it is, whether there are escapes before it, and how many line feeds.
    fn closing(self, bytes: &[u8], begin: usize, quote: u8) -> Option<(usize, bool, u64)> {
        let mut at = begin;
        let mut is_escaped = false;
        let mut lines = 0;
        loop {
            let byte = *bytes.get(at)?;
            if byte == quote {
                if self.escape.is_none() && bytes.get(at + 1) == Some(&quote) {
                    is_escaped = true;
                    at += 2;
                    continue;
                }
                return Some((at, is_escaped, lines));
            }
            if Some(byte) == self.escape {
                is_escaped = true;
                lines += u64::from(bytes.get(at + 1) == Some(&b'\n'));
                at += 2;
                continue;
            }
            lines += u64::from(byte == b'\n');
            at += 1;
        }
    }

    /// The content of a field with escapes.
    pub(in crate::decode) fn unescaped(self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let quote = self.quote.map(char::from);
        let escape = self.escape.or(self.quote).map(char::from);
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            let next = characters.peek().copied();
            // Before any other character an escape is a character itself, as in a path of Windows.
            let is_escape = Some(character) == escape && next.is_some() && (next == quote || next == escape);
            out.push(if is_escape { characters.next().unwrap_or(character) } else { character });
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Dialect = Dialect { delimiter: b',', quote: Some(b'"'), escape: None };

    fn fields(dialect: Dialect, text: &str) -> Vec<String> {
        let mut fields = Vec::new();
        let found = dialect.scan(text.as_bytes(), 0, true, &mut fields);
        assert!(matches!(found, Found::Record { .. }), "{text}: {found:?}");
        let content = |field: &Field| {
            let text = &text[field.range()];
            if field.is_escaped() { dialect.unescaped(text) } else { text.to_owned() }
        };
        fields.iter().map(content).collect()
    }

    #[test]
    fn fields_are_what_stands_between_delimiters_or_quotes() {
        for (text, expected) in [
            ("a,b,c\n", vec!["a", "b", "c"]),
            ("a,,\r\n", vec!["a", "", ""]),
            ("\"a\",\"b,c\",\"d\ne\"\r\n", vec!["a", "b,c", "d\ne"]),
            ("\"say \"\"hi\"\"\",x", vec!["say \"hi\"", "x"]),
            ("\"\",\"\"\"\"\n", vec!["", "\""]),
            ("5\" pipe, 'q' ,\n", vec!["5\" pipe", " 'q' ", ""]),
            ("a\rb\r", vec!["a\rb"]),
            ("", vec![""]),
        ] {
            assert_eq!(fields(PLAIN, text), expected, "{text:?}");
        }
        let backslash = Dialect { delimiter: b';', quote: Some(b'\''), escape: Some(b'\\') };
        assert_eq!(fields(backslash, r"'it\'s';'C:\\dir\file';'a;b'"), ["it's", r"C:\dir\file", "a;b"]);
        let tabs = Dialect { delimiter: b'\t', quote: None, escape: None };
        assert_eq!(fields(tabs, "\"a\t\"b\"\n"), ["\"a", "\"b\""]);
    }

    #[test]
    fn a_record_that_is_cut_is_told_from_one_that_is_wrong() {
        let scan = |text: &str, is_whole| PLAIN.scan(text.as_bytes(), 0, is_whole, &mut Vec::new());
        for text in ["a,b", "a,\"b", "a,\"b\"", "a,\"b\"\"", "\"a\"\r", "a\nb".split_at(1).0, ""] {
            assert_eq!(scan(text, false), Found::Cut, "{text:?}");
        }
        assert_eq!(scan("a,\"b\nc", true), Found::Open(2));
        assert_eq!(scan("\"a\"b,c\n", true), Found::TextAfterQuote(2));
        assert_eq!(scan("\"a\nb\",c\nd", true), Found::Record { end: 7, next: 8, lines: 2 });
        assert_eq!(scan("a\r\nb", false), Found::Record { end: 1, next: 3, lines: 1 });
    }
}
