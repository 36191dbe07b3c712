//! Cuts records that were set aside into fields once more, each by itself.

use std::sync::Arc;

use model::definition::Csv;
use model::reject::RejectReason;

use super::header::Layout;
use super::reader::wrong_width;
use super::{CsvBlock, Dialect, Found, Record};
use crate::decode::Reject;

/// A block of records, the first of them at position 1. `records` are their lines in the file, for messages, and their bytes.
pub(in crate::decode) fn cut(entry: &Arc<str>, csv: &Csv, layout: &Arc<Layout>, records: &[(u64, &[u8])]) -> CsvBlock {
    let dialect = Dialect::of(csv);
    let mut block = CsvBlock {
        entry: entry.clone(),
        bytes: Vec::new(),
        layout: layout.clone(),
        records: Vec::new(),
        fields: Vec::new(),
        rejects: Vec::new(),
    };
    for (place, (line, bytes)) in (1..).zip(records) {
        let (start, before) = (block.bytes.len(), block.fields.len());
        block.bytes.extend_from_slice(bytes);
        let whole = block.bytes.len();
        let problem = match dialect.scan(&block.bytes, start, true, &mut block.fields) {
            Found::Record { end, next, .. } if next == whole => {
                let width = block.fields.len() - before;
                if width == layout.width {
                    block.records.push(Record { line: place, start, end });
                    None
                } else {
                    Some(wrong_width(width, layout.width))
                }
            }
            Found::Record { .. } | Found::Cut => Some("it is more than one record".to_owned()),
            Found::Open(opened) => Some(format!("the quote at byte {} of the line is never closed", opened - start + 1)),
            Found::TextAfterQuote(closed) => {
                let in_line = block.bytes[start..closed].iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
                let lines = memchr::memchr_iter(b'\n', &block.bytes[start..closed]).count() as u64;
                Some(format!("text follows the quote that closes at byte {in_line} of line {}", line + lines))
            }
        };
        if let Some(detail) = problem {
            block.fields.truncate(before);
            let (entry, reason, bytes) = (entry.clone(), RejectReason::Malformed, bytes.to_vec());
            block.rejects.push(Reject { entry, position: place, reason, detail, bytes });
        }
    }
    block
}
