//! Cuts an entry into blocks of whole records.

use std::io::{self, Read};
use std::sync::Arc;

use memchr::memchr;
use model::definition::{Csv, Header};
use model::reject::RejectReason;

use super::super::blocks::{BLOCK_BYTES, KEPT_OF_TOO_LARGE, fill, pass_over};
use super::super::fields::Fields;
use super::super::{Block, Piece, Reject};
use super::header::{Layout, Unusable};
use super::scan::{Dialect, Field, Found};
use super::{CsvBlock, Record};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why no more blocks come.
#[derive(Debug)]
pub(in crate::decode) enum Stop {
    Io(io::Error),
    Unusable { problem: String, hint: Option<String> },
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Unusable> for Stop {
    fn from(Unusable { problem, hint }: Unusable) -> Self {
        Self::Unusable { problem, hint }
    }
}

/// Reads blocks of whole records; the last record may lack its line end.
pub(in crate::decode) struct CsvReader<R> {
    input: R,
    entry: Arc<str>,
    csv: Csv,
    dialect: Dialect,
    fields: Arc<Fields>,
    max_record: usize,
    layout: Option<Arc<Layout>>,
    /// Bytes read and not handed out yet: they begin where a record does.
    pending: Vec<u8>,
    next_line: u64,
    at_end: bool,
}

impl<R: Read> CsvReader<R> {
    pub(in crate::decode) fn new(input: R, entry: Arc<str>, csv: &Csv, fields: Arc<Fields>, max_record_bytes: u64) -> Self {
        Self {
            input,
            entry,
            csv: csv.clone(),
            dialect: Dialect::of(csv),
            fields,
            max_record: usize::try_from(max_record_bytes).unwrap_or(usize::MAX),
            layout: None,
            pending: Vec::new(),
            next_line: 1,
            at_end: false,
        }
    }

    /// The next piece, in order; `None` at the end.
    pub(in crate::decode) fn next_piece(&mut self) -> Result<Option<Piece>, Stop> {
        let layout = match &self.layout {
            Some(layout) => layout.clone(),
            None => match self.read_layout()? {
                Some(layout) => self.layout.insert(Arc::new(layout)).clone(),
                None => return Ok(None),
            },
        };
        loop {
            if self.pending.len() < BLOCK_BYTES && !self.at_end {
                self.fill()?;
            }
            if let Some(block) = self.cut_block(&layout) {
                return Ok(Some(Piece::Records(Block::Csv(block))));
            }
            if self.pending.len() > self.max_record {
                return Ok(Some(self.pass_over()?));
            }
            if self.at_end {
                return Ok(None);
            }
            self.fill()?;
        }
    }

    /// How the records of the entry are laid out; `None` where the entry holds nothing at all. Reads no record.
    pub(in crate::decode) fn into_layout(mut self) -> Result<Option<Arc<Layout>>, Stop> {
        Ok(self.read_layout()?.map(Arc::new))
    }

    fn fill(&mut self) -> io::Result<()> {
        self.at_end = fill(&mut self.input, &mut self.pending)?;
        Ok(())
    }

    /// The records that are whole; `None` where not even one is.
    fn cut_block(&mut self, layout: &Arc<Layout>) -> Option<CsvBlock> {
        let bytes = self.pending.as_slice();
        let (mut records, mut fields, mut rejects) = (Vec::new(), Vec::new(), Vec::new());
        let mut at = 0;
        let mut line = self.next_line;
        let reject = |range: std::ops::Range<usize>, position, detail| Reject {
            entry: self.entry.clone(),
            position,
            reason: RejectReason::Malformed,
            detail,
            bytes: bytes[range].to_vec(),
        };
        // Looking for the end of a quote beyond the largest record would read the rest of the file for nothing.
        let is_over = bytes.len() > self.max_record;
        while at < bytes.len() {
            if let Some(blank) = blank_line(&bytes[at..], self.at_end) {
                at += blank;
                line += u64::from(bytes[at - 1] == b'\n');
                continue;
            }
            let before = fields.len();
            match self.dialect.scan(bytes, at, self.at_end, &mut fields) {
                Found::Record { end, next, lines } => {
                    let width = fields.len() - before;
                    if end - at > self.max_record {
                        fields.truncate(before);
                        let detail = format!("{} bytes, more than the limit of {}", end - at, self.max_record);
                        let beginning = at..end.min(at + KEPT_OF_TOO_LARGE);
                        rejects.push(Reject { reason: RejectReason::TooLarge, ..reject(beginning, line, detail) });
                    } else if width == layout.width {
                        records.push(Record { line, start: at, end });
                    } else {
                        fields.truncate(before);
                        rejects.push(reject(at..end, line, wrong_width(width, layout.width)));
                    }
                    (at, line) = (next, line + lines);
                }
                Found::Cut if is_over && records.is_empty() && rejects.is_empty() => {
                    // More than the largest record and no end: a quote that is open, or a line that is too large.
                    let Found::Open(opened) = self.dialect.scan(bytes, at, true, &mut fields) else {
                        fields.truncate(before);
                        break;
                    };
                    fields.truncate(before);
                    let Some(end) = memchr(b'\n', &bytes[at..]).filter(|end| *end <= self.max_record) else { break };
                    let detail = format!(
                        "the quote at byte {} of the line is not closed within {} bytes (max_record_bytes)",
                        opened - at + 1,
                        self.max_record
                    );
                    rejects.push(reject(at..at + without_cr(&bytes[at..at + end]), line, detail));
                    (at, line) = (at + end + 1, line + 1);
                }
                Found::Cut => {
                    fields.truncate(before);
                    break;
                }
                Found::Open(_) | Found::TextAfterQuote(_) if first_line(&bytes[at..]) > self.max_record => {
                    fields.truncate(before);
                    break;
                }
                wrong @ (Found::Open(_) | Found::TextAfterQuote(_)) => {
                    fields.truncate(before);
                    let detail = match wrong {
                        Found::Open(opened) => format!("the quote at byte {} of the line is never closed", opened - at + 1),
                        Found::TextAfterQuote(closed) => {
                            let in_line = bytes[at..closed].iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
                            let lines = memchr::memchr_iter(b'\n', &bytes[at..closed]).count() as u64;
                            format!("text follows the quote that closes at byte {in_line} of line {}", line + lines)
                        }
                        Found::Record { .. } | Found::Cut => unreachable!("these are told above"),
                    };
                    let end = first_line(&bytes[at..]);
                    rejects.push(reject(at..at + without_cr(&bytes[at..at + end]), line, detail));
                    let has_line_feed = at + end < bytes.len();
                    (at, line) = (at + end + usize::from(has_line_feed), line + u64::from(has_line_feed));
                }
            }
        }
        self.next_line = line;
        let rest = self.pending.split_off(at);
        let bytes = std::mem::replace(&mut self.pending, rest);
        let is_empty = records.is_empty() && rejects.is_empty();
        (!is_empty).then(|| CsvBlock { entry: self.entry.clone(), layout: layout.clone(), bytes, records, fields, rejects })
    }

    /// Passes over the line at the beginning of the pending bytes, which is larger than a record may be.
    fn pass_over(&mut self) -> io::Result<Piece> {
        let (beginning, size) = pass_over(&mut self.input, &mut self.pending, &mut self.at_end)?;
        let position = self.next_line;
        self.next_line += 1;
        Ok(Piece::TooLarge { entry: self.entry.clone(), position, beginning, size })
    }

    /// The layout by the header, or by the definition; `None` where the entry holds nothing at all.
    fn read_layout(&mut self) -> Result<Option<Layout>, Stop> {
        self.fill()?;
        if self.pending.starts_with(BYTE_ORDER_MARK) {
            self.pending.drain(..BYTE_ORDER_MARK.len());
        }
        if let Header::Names(names) = &self.csv.header {
            return Ok(Some(Layout::resolve(names.clone(), None, &self.fields, &self.csv)?));
        }
        let (names, end, next, lines) = loop {
            while let Some(blank) = blank_line(&self.pending, self.at_end) {
                self.next_line += u64::from(self.pending[blank - 1] == b'\n');
                self.pending.drain(..blank);
            }
            let mut fields = Vec::new();
            match self.dialect.scan(&self.pending, 0, self.at_end, &mut fields) {
                _ if self.pending.is_empty() && self.at_end => return Ok(None),
                Found::Record { end, next, lines } => break (fields, end, next, lines),
                Found::Cut if self.pending.len() <= self.max_record && !self.at_end => self.fill()?,
                _ => {
                    let shown = String::from_utf8_lossy(&self.pending[..first_line(&self.pending).min(200)]).into_owned();
                    let problem = format!("the first record, `{shown}`, has a quote that does not close as it should");
                    let hint = "set `quote` in the landing as the file has it, or to \"\" where nothing is quoted".to_owned();
                    return Err(Stop::Unusable { problem, hint: Some(hint) });
                }
            }
        };
        if self.csv.header == Header::Numbers {
            let numbers = (1..=names.len()).map(|number| number.to_string()).collect();
            return Ok(Some(Layout::resolve(numbers, None, &self.fields, &self.csv)?));
        }
        let Ok(line) = std::str::from_utf8(&self.pending[..end]) else {
            let shown = String::from_utf8_lossy(&self.pending[..end]).replace('\0', "");
            // Every other byte of plain letters is zero there.
            let hint = if self.pending[..end].contains(&0) {
                "it seems to be UTF-16: set `encoding = \"utf-16\"` in the landing".to_owned()
            } else {
                "set `encoding` in the landing, as in `encoding = \"windows-1252\"`".to_owned()
            };
            return Err(Stop::Unusable { problem: format!("the header is not UTF-8: `{shown}`"), hint: Some(hint) });
        };
        let name = |field: &Field| {
            let text = &line[field.range()];
            if field.is_escaped() { self.dialect.unescaped(text) } else { text.to_owned() }
        };
        let layout = Layout::resolve(names.iter().map(name).collect(), Some(line), &self.fields, &self.csv)?;
        self.pending.drain(..next);
        self.next_line += lines;
        Ok(Some(layout))
    }
}

/// The length of the line end with which these bytes begin.
fn blank_line(bytes: &[u8], is_whole: bool) -> Option<usize> {
    match bytes {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        [b'\r'] if is_whole => Some(1),
        _ => None,
    }
}

/// The length of the first line, without its line feed.
fn first_line(bytes: &[u8]) -> usize {
    memchr(b'\n', bytes).unwrap_or(bytes.len())
}

pub(super) fn without_cr(line: &[u8]) -> usize {
    line.len() - usize::from(line.ends_with(b"\r"))
}

pub(super) fn wrong_width(found: usize, expected: usize) -> String {
    let fields = if found == 1 { "field" } else { "fields" };
    format!("{found} {fields} where there should be {expected}")
}
