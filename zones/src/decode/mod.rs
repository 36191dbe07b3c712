//! From the bytes of an entry to typed columns and rejects.
//!
//! Guarantee: every record of the input comes out exactly once, either as a row (with its place in the entry) or as a
//! [`Reject`] with its bytes, place and reason. Memory is bounded by the block size and the largest record, whatever the
//! input's size. Never: a value that was silently changed or replaced by null.

mod blocks;
mod cell;
mod columns;
mod json_lines;
mod text;

pub use blocks::{Block, BlockReader, Piece};
pub use columns::arrow_type;
pub use json_lines::JsonLinesDecoder;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use model::reject::RejectReason;

/// A record that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    pub entry: Arc<str>,
    /// Line number in the entry, from 1.
    pub position: u64,
    pub reason: RejectReason,
    /// What exactly is wrong, for a person.
    pub detail: String,
    /// As received; the beginning only where the record is too large.
    pub bytes: Vec<u8>,
}

/// The rows of one block: the contract's field columns, in order, and where each row came from.
#[derive(Debug)]
pub struct Decoded {
    pub rows: RecordBatch,
    /// Line numbers, one a row.
    pub positions: Vec<u64>,
    /// The bytes of each row within the block.
    pub spans: Vec<Range<usize>>,
    pub rejects: Vec<Reject>,
}
