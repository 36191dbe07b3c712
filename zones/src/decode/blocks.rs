//! JSON lines: cuts a stream of lines into blocks of whole lines.

use std::io::{self, Read};
use std::sync::Arc;

use memchr::{memchr, memrchr};

use super::{Block, Piece};

/// Large enough that the cost per block does not show, small enough that a few of them fit into the second-level cache.
pub(super) const BLOCK_BYTES: usize = 1 << 20;
/// How much of a record that is too large is kept for the quarantine.
pub(super) const KEPT_OF_TOO_LARGE: usize = 64 << 10;

/// Whole lines of one entry.
#[derive(Debug)]
pub struct LineBlock {
    pub entry: Arc<str>,
    /// Line number of the first line, from 1.
    pub first_line: u64,
    pub bytes: Vec<u8>,
}

/// Reads blocks of whole lines; the last line may lack its line feed.
pub(super) struct BlockReader<R> {
    input: R,
    entry: Arc<str>,
    max_record: usize,
    /// Bytes read and not handed out yet: the beginning of a line.
    pending: Vec<u8>,
    next_line: u64,
    at_end: bool,
}

impl<R: Read> BlockReader<R> {
    pub(super) fn new(input: R, entry: Arc<str>, max_record_bytes: u64) -> Self {
        let max_record = usize::try_from(max_record_bytes).unwrap_or(usize::MAX);
        Self { input, entry, max_record, pending: Vec::new(), next_line: 1, at_end: false }
    }

    /// The next piece, in order; `None` at the end.
    pub(super) fn next_piece(&mut self) -> io::Result<Option<Piece>> {
        loop {
            if let Some(end) = memrchr(b'\n', &self.pending) {
                if self.first_line_fits() {
                    return Ok(Some(Piece::Records(Block::Lines(self.take_lines(end + 1)))));
                }
                return self.skip_too_large().map(Some);
            }
            if self.pending.len() > self.max_record {
                return self.skip_too_large().map(Some);
            }
            if self.at_end {
                let rest = self.pending.len();
                return Ok((rest > 0).then(|| Piece::Records(Block::Lines(self.take_lines(rest)))));
            }
            self.fill()?;
        }
    }

    fn first_line_fits(&self) -> bool {
        memchr(b'\n', &self.pending).is_some_and(|end| end <= self.max_record)
    }

    /// Hands out the pending bytes up to `end`, but stops before a line that is too large.
    fn take_lines(&mut self, end: usize) -> LineBlock {
        let mut end = end;
        if self.pending.len() > self.max_record {
            let mut start = 0;
            while start < end {
                let length = memchr(b'\n', &self.pending[start..end]).map_or(end - start, |found| found + 1);
                if length > self.max_record + 1 {
                    end = start;
                    break;
                }
                start += length;
            }
        }
        let rest = self.pending.split_off(end);
        let bytes = std::mem::replace(&mut self.pending, rest);
        let first_line = self.next_line;
        self.next_line += memchr::memchr_iter(b'\n', &bytes).count() as u64;
        if !bytes.ends_with(b"\n") {
            self.next_line += 1;
        }
        LineBlock { entry: self.entry.clone(), first_line, bytes }
    }

    /// Passes over the line at the beginning of the pending bytes, however long it is.
    fn skip_too_large(&mut self) -> io::Result<Piece> {
        let (beginning, size) = pass_over(&mut self.input, &mut self.pending, &mut self.at_end)?;
        let position = self.next_line;
        self.next_line += 1;
        Ok(Piece::TooLarge { entry: self.entry.clone(), position, beginning, size })
    }

    fn fill(&mut self) -> io::Result<()> {
        self.at_end = fill(&mut self.input, &mut self.pending)?;
        Ok(())
    }
}

/// Drops the line at the beginning of the pending bytes, however far it goes on in the input: what is kept of it, and its size.
pub(super) fn pass_over(input: &mut impl Read, pending: &mut Vec<u8>, at_end: &mut bool) -> io::Result<(Vec<u8>, u64)> {
    let mut beginning = Vec::new();
    let mut size = 0;
    loop {
        let end = memchr(b'\n', pending);
        let length = end.unwrap_or(pending.len());
        let wanted = KEPT_OF_TOO_LARGE.saturating_sub(beginning.len()).min(length);
        beginning.extend_from_slice(&pending[..wanted]);
        size += length as u64;
        pending.drain(..length + usize::from(end.is_some()));
        if end.is_some() || *at_end {
            return Ok((beginning, size));
        }
        *at_end = fill(input, pending)?;
    }
}

/// Reads one block's bytes more; true at the end of the input.
pub(super) fn fill(input: &mut impl Read, pending: &mut Vec<u8>) -> io::Result<bool> {
    let mut filled = pending.len();
    pending.resize(filled + BLOCK_BYTES, 0);
    let mut at_end = false;
    while filled < pending.len() && !at_end {
        match input.read(&mut pending[filled..]) {
            Ok(read) => {
                filled += read;
                at_end = read == 0;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    pending.truncate(filled);
    Ok(at_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out a few bytes at a time.
    struct Dribble<'a>(&'a [u8], usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(self.0.len()).min(buffer.len());
            buffer[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    fn lines(text: &str, max_record: u64) -> Vec<String> {
        let mut reader = BlockReader::new(Dribble(text.as_bytes(), 7), "e".into(), max_record);
        let mut seen = Vec::new();
        while let Some(piece) = reader.next_piece().unwrap() {
            match piece {
                Piece::Records(Block::Lines(block)) => {
                    let text = String::from_utf8(block.bytes).unwrap();
                    for (offset, line) in text.lines().enumerate() {
                        seen.push(format!("{}:{line}", block.first_line + offset as u64));
                    }
                }
                Piece::Records(_) => panic!("no lines"),
                Piece::TooLarge { position: line, beginning, size, .. } => {
                    seen.push(format!("{line}!{size}:{}", String::from_utf8(beginning).unwrap()));
                }
            }
        }
        seen
    }

    #[test]
    fn every_line_comes_once_with_its_number() {
        assert_eq!(lines("a\nbb\n\nccc", 100), ["1:a", "2:bb", "3:", "4:ccc"]);
        assert_eq!(lines("a\n", 100), ["1:a"]);
        assert!(lines("", 100).is_empty());
    }

    #[test]
    fn a_line_over_the_cap_is_passed_over_and_the_others_stay() {
        assert_eq!(lines("ab\n0123456789\ncd\n", 4), ["1:ab", "2!10:0123456789", "3:cd"]);
        assert_eq!(lines("0123456789", 4), ["1!10:0123456789"]);
        assert_eq!(lines("0123456789\nabcd\n", 4), ["1!10:0123456789", "2:abcd"]);
    }

    #[test]
    fn a_record_of_many_blocks_keeps_only_its_beginning() {
        let mut text = "x".repeat(3 * BLOCK_BYTES);
        text.push_str("\nlast\n");
        let mut reader = BlockReader::new(text.as_bytes(), "e".into(), 1000);
        let Some(Piece::TooLarge { beginning, size, position: 1, .. }) = reader.next_piece().unwrap() else { panic!() };
        assert_eq!((beginning.len(), size), (KEPT_OF_TOO_LARGE, 3 * BLOCK_BYTES as u64));
        let Some(Piece::Records(Block::Lines(block))) = reader.next_piece().unwrap() else { panic!() };
        assert_eq!((block.first_line, block.bytes.as_slice()), (2, b"last\n".as_slice()));
    }
}
