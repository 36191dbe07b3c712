//! Records that were set aside, decoded again: the bytes that were kept, with what only their landed file can tell.
//!
//! Guarantee: each record comes out exactly once, as it would have come from its file under the present definition, as long as
//! files are cut into records as before. Lines need nothing but their bytes; CSV needs the header of its entry; rows of Parquet
//! are read where they lie, because their JSON in the quarantine says less than their columns.
//! Positions in these blocks count the records that were handed in, from 1: who hands them in knows where they were.

use std::borrow::Cow;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use encoding_rs::WINDOWS_1252;
use model::definition::{Csv, Format, Header, TextEncoding};

use super::blocks::{KEPT_OF_TOO_LARGE, LineBlock};
use super::csv::{self, CsvReader, Layout, Stop};
use super::parquet::RowReader;
use super::readers::as_utf8;
use super::{Block, Decoder, Piece};
use crate::entries::Entry;
use crate::error::Error;

/// How the records of one entry of CSV are laid out.
#[derive(Debug, Clone)]
pub(crate) struct CsvLayout(Arc<Layout>);

/// What a landed file has to be asked before its records can be decoded again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    /// The header of each entry.
    Headers,
    /// The rows themselves.
    Rows,
}

impl Needs {
    pub(crate) fn of(format: &Format) -> Self {
        match format {
            Format::JsonLines | Format::Csv(Csv { header: Header::Names(_), .. }) => Self::Nothing,
            Format::Csv(_) => Self::Headers,
            Format::Parquet => Self::Rows,
        }
    }
}

/// Whether all of a record that was too large is there.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    bytes.len() < KEPT_OF_TOO_LARGE
}

/// Why bytes cannot be a record of the format at all; `None` where they may be one.
pub(crate) fn no_record(format: &Format, bytes: &[u8]) -> Option<&'static str> {
    match format {
        Format::JsonLines if bytes.contains(&b'\n') => Some("not a JSON object: it is more than one line"),
        Format::JsonLines if bytes.iter().all(u8::is_ascii_whitespace) => Some("not a JSON object: it is empty"),
        _ => None,
    }
}

/// The layout of an entry, from its header; `None` where the entry holds nothing.
pub(crate) fn csv_layout(entry: Entry, csv: &Csv, decoder: &Decoder, max_record: u64) -> Result<Option<CsvLayout>, Error> {
    layout_of(as_utf8(entry.reader, csv.encoding), &entry.name, csv, decoder, max_record)
}

/// The layout where the definition names the fields.
pub(crate) fn named_layout(name: &str, csv: &Csv, decoder: &Decoder) -> Result<Option<CsvLayout>, Error> {
    layout_of(Box::new(std::io::empty()), name, csv, decoder, 0)
}

fn layout_of(
    input: Box<dyn Read + Send>,
    name: &str,
    csv: &Csv,
    decoder: &Decoder,
    max_record: u64,
) -> Result<Option<CsvLayout>, Error> {
    let reader = CsvReader::new(input, name.into(), csv, decoder.fields.clone(), max_record);
    let layout = reader.into_layout().map_err(|stop| match stop {
        Stop::Io(error) => Error::reading(error),
        Stop::Unusable { problem, hint } => Error::Unreadable { entry: name.to_owned(), problem, hint },
    })?;
    Ok(layout.map(CsvLayout))
}

/// A block of CSV records: their lines in the file, and their bytes.
pub(crate) fn csv_block(entry: &Arc<str>, csv: &Csv, layout: &CsvLayout, records: &[(u64, &[u8])]) -> Block {
    let texts: Vec<(u64, Cow<'_, [u8]>)> = records.iter().map(|(line, bytes)| (*line, in_utf8(bytes, csv.encoding))).collect();
    let records: Vec<(u64, &[u8])> = texts.iter().map(|(line, bytes)| (*line, bytes.as_ref())).collect();
    Block::Csv(csv::cut(entry, csv, &layout.0, &records))
}

/// Records are kept in UTF-8. One that is not was read before its encoding was known to be another one.
fn in_utf8(bytes: &[u8], encoding: TextEncoding) -> Cow<'_, [u8]> {
    match encoding {
        TextEncoding::Latin1 | TextEncoding::Windows1252 if simdutf8::basic::from_utf8(bytes).is_err() => {
            let (text, _) = WINDOWS_1252.decode_without_bom_handling(bytes);
            Cow::Owned(text.into_owned().into_bytes())
        }
        _ => Cow::Borrowed(bytes),
    }
}

/// A block of lines; none of them may be [`no_record`].
pub(crate) fn line_block(entry: &Arc<str>, records: &[(u64, &[u8])]) -> Block {
    let mut bytes = Vec::with_capacity(records.iter().map(|(_, bytes)| bytes.len() + 1).sum());
    for (_, record) in records {
        bytes.extend_from_slice(record);
        bytes.push(b'\n');
    }
    Block::Lines(LineBlock { entry: entry.clone(), first_line: 1, bytes })
}

/// The rows of an entry at these numbers (from 1, ascending), block by block; each block counts on from the one before it.
pub(crate) struct RowsAgain(RowReader);

impl RowsAgain {
    pub(crate) fn open(entry: Entry, folder: &Path, rows: &[u64]) -> Result<Self, Error> {
        RowReader::open_at(entry, folder, rows).map(Self)
    }

    pub(crate) fn next_block(&mut self) -> Result<Option<Block>, Error> {
        Ok(self.0.next_piece()?.map(|piece| match piece {
            Piece::Records(block) => block,
            Piece::TooLarge { .. } => unreachable!("rows have no size limit"),
        }))
    }
}
