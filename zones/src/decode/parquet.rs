//! Parquet: row groups, read a few thousand rows at a time.

use std::fs::File;
use std::io::Seek;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatchReader;
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector};

use super::rows::RowBlock;
use super::{Block, Piece};
use crate::entries::Entry;
use crate::error::Error;

/// Few enough that wide rows do not take much memory.
const ROWS_AT_ONCE: usize = 8_192;

/// Reads the rows of one entry.
pub(super) struct RowReader {
    entry: Arc<str>,
    reader: ParquetRecordBatchReader,
    next_row: u64,
}

impl RowReader {
    /// Opens a landed file where it lies; what is packed is unpacked into `folder` first, since the directory of a Parquet file
    /// is at its end.
    pub(super) fn open(entry: Entry, folder: &Path) -> Result<Self, Error> {
        Self::open_selected(entry, folder, None)
    }

    /// The rows at these numbers (from 1, ascending) only. Blocks of them number their rows anew, from 1.
    pub(super) fn open_at(entry: Entry, folder: &Path, rows: &[u64]) -> Result<Self, Error> {
        let mut selectors = Vec::new();
        let mut next = 1;
        for row in rows {
            let skipped = usize::try_from(row - next).unwrap_or(usize::MAX);
            if skipped > 0 {
                selectors.push(RowSelector::skip(skipped));
            }
            selectors.push(RowSelector::select(1));
            next = row + 1;
        }
        Self::open_selected(entry, folder, Some(selectors.into()))
    }

    fn open_selected(entry: Entry, folder: &Path, rows: Option<RowSelection>) -> Result<Self, Error> {
        let Entry { name, mut reader, file } = entry;
        let file = if let Some(path) = file {
            File::open(&path).map_err(Error::io("open", &path))?
        } else {
            let mut unpacked = tempfile::tempfile_in(folder).map_err(Error::io("unpack into", folder))?;
            std::io::copy(&mut reader, &mut unpacked).map_err(Error::reading)?;
            unpacked.rewind().map_err(Error::io("unpack into", folder))?;
            unpacked
        };
        let entry: Arc<str> = name.into();
        let reader = whatever_it_holds(&entry, || {
            let opened = ParquetRecordBatchReaderBuilder::try_new(file);
            let opened = opened.and_then(|builder| {
                let builder = builder.with_batch_size(ROWS_AT_ONCE);
                match rows {
                    Some(rows) => builder.with_row_selection(rows).build(),
                    None => builder.build(),
                }
            });
            opened.map_err(|error| unreadable(&entry, &error.to_string()))
        })?;
        Ok(Self { entry, reader, next_row: 1 })
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.reader.schema()
    }

    pub(super) fn next_piece(&mut self) -> Result<Option<Piece>, Error> {
        // After an error the file is given up, so a reader that panicked is not asked again.
        let Some(rows) = whatever_it_holds(&self.entry, || Ok(self.reader.next()))? else { return Ok(None) };
        let rows = rows.map_err(|error| unreadable(&self.entry, &error.to_string()))?;
        let first_row = self.next_row;
        self.next_row += rows.num_rows() as u64;
        Ok(Some(Piece::Records(Block::Rows(RowBlock { entry: self.entry.clone(), first_row, rows }))))
    }
}

/// Runs a step of the Parquet reader. It divides by numbers of the file and takes offsets of the file for granted, so a damaged
/// file may make it panic (found by the fuzz target `parquet`): that is an error of the file, and not of the program.
fn whatever_it_holds<T>(entry: &str, step: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|_| Err(unreadable(entry, "what it says of itself cannot be true")))
}

fn in_plain_words(reason: &str) -> &str {
    let reason = ["Parquet error: ", "Arrow: ", "EOF: "].iter().fold(reason, |reason, prefix| reason.trim_start_matches(prefix));
    if reason.contains("Corrupt footer") { "it does not end as one" } else { reason }
}

fn unreadable(entry: &str, reason: &str) -> Error {
    Error::Unreadable {
        entry: entry.to_owned(),
        problem: format!("it is not a whole Parquet file: {}", in_plain_words(reason)),
        hint: Some("set the landing's `format` if it is another one; if the file was cut, fetch it again".to_owned()),
    }
}
