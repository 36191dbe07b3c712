//! From the bytes of an entry to typed columns and rejects.
//!
//! A reader of the format cuts an entry into blocks of whole records, a [`Decoder`] makes columns of a block. Guarantee: every
//! record of the input comes out exactly once, either as a row (with its place in the entry) or as a [`Reject`] with its bytes,
//! place and reason. Memory is bounded by the block size and the largest record, whatever the input's size. Never: a value
//! that was silently changed or replaced by null.

pub(crate) mod again;
mod blocks;
mod cast;
mod columns;
mod csv;
mod drift;
mod fields;
mod json_lines;
mod json_paths;
mod parquet;
mod readers;
mod rows;
pub mod sample;
mod text;
mod time;

pub use blocks::LineBlock;
pub use columns::arrow_type;
pub use csv::CsvBlock;
pub use drift::Drift;
pub use fields::Decoder;
pub use readers::{Pieces, open};
pub use rows::RowBlock;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use model::reject::RejectReason;

/// A record that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    pub entry: Arc<str>,
    /// Where the record is in the entry: line or row number, from 1.
    pub position: u64,
    pub reason: RejectReason,
    /// What exactly is wrong, for a person.
    pub detail: String,
    /// As received; the beginning only where the record is too large; a row of Parquet as JSON.
    pub bytes: Vec<u8>,
}

/// Whole records of one entry.
#[derive(Debug)]
pub enum Block {
    Lines(LineBlock),
    Csv(CsvBlock),
    Rows(RowBlock),
}

impl Block {
    pub fn entry(&self) -> &Arc<str> {
        match self {
            Self::Lines(block) => &block.entry,
            Self::Csv(block) => &block.entry,
            Self::Rows(block) => &block.entry,
        }
    }

    /// How many rows; of text, which is cut into records when it is decoded, none.
    pub(crate) fn records(&self) -> usize {
        match self {
            Self::Lines(_) | Self::Csv(_) => 0,
            Self::Rows(block) => block.rows.num_rows(),
        }
    }

    /// The record at one of [`Decoded::spans`], for the quarantine.
    pub fn record(&self, span: &Range<usize>) -> Vec<u8> {
        match self {
            Self::Lines(block) => block.bytes[span.clone()].to_vec(),
            Self::Csv(block) => block.bytes[span.clone()].to_vec(),
            Self::Rows(block) => block.record(span.start),
        }
    }
}

/// What the reader of an entry yields.
#[derive(Debug)]
pub enum Piece {
    Records(Block),
    /// One record over the size cap: its position, its beginning and its whole size.
    TooLarge {
        entry: Arc<str>,
        position: u64,
        beginning: Vec<u8>,
        size: u64,
    },
}

/// The rows of one block: the contract's field columns, in order, and where each row came from.
#[derive(Debug)]
pub struct Decoded {
    pub rows: RecordBatch,
    /// Line or row numbers, one a row.
    pub positions: Vec<u64>,
    /// Where the record of each row is within the block, for [`Block::record`].
    pub spans: Vec<Range<usize>>,
    /// The unknown fields of each row as a JSON object, where they are kept.
    pub unknown: Option<StringArray>,
    pub rejects: Vec<Reject>,
    pub drift: Drift,
}
