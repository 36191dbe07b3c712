//! One run of a key directory: sorted words, then a checksum for each block of them.
//!
//! Guarantee: a block whose checksum does not match is refused, not searched.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::PARTITION_BITS;
use crate::error::Error;

pub(super) const WORD_BYTES: u64 = 8;
/// Words read at once: one page of 4 KiB.
pub(super) const BLOCK_WORDS: u64 = 512;
/// Behind the words of a run stands a CRC-32 for each of its blocks.
pub(super) const SUM_BYTES: u64 = 4;
/// Checksums read at once: what is looked up comes in order, so those of neighbours are needed soon.
const SUMS: u64 = 1024;

/// Reads one sorted run by blocks.
pub(super) struct RunReader<'p> {
    file: File,
    path: &'p Path,
    words: u64,
    /// The bytes of one block.
    block: Vec<u8>,
    /// Index of the first word of the block.
    block_start: u64,
    /// The checksums of some blocks, and which one is the first of them.
    sums: Vec<u8>,
    first_sum: u64,
}

impl<'p> RunReader<'p> {
    pub(super) fn open(path: &'p Path, words: u64) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        Ok(Self::of(file, path, words))
    }

    pub(super) fn of(file: File, path: &'p Path, words: u64) -> Self {
        Self { file, path, words, block: Vec::new(), block_start: 0, sums: Vec::new(), first_sum: 0 }
    }

    fn load(&mut self, block: u64) -> Result<(), Error> {
        self.block_start = block * BLOCK_WORDS;
        let length = BLOCK_WORDS.min(self.words - self.block_start);
        self.block.resize(usize::try_from(length * WORD_BYTES).expect("a block is small"), 0);
        if let Err(error) = self.file.read_exact_at(&mut self.block, self.block_start * WORD_BYTES) {
            self.block.clear();
            return Err(Error::io("read", self.path)(error));
        }
        if crc32fast::hash(&self.block) != self.sum(block)? {
            let problem = format!("the checksum of block {block} does not match");
            return Err(Error::Damaged { path: self.path.display().to_string(), problem });
        }
        Ok(())
    }

    /// Words in the block.
    fn held(&self) -> u64 {
        self.block.len() as u64 / WORD_BYTES
    }

    /// A word of the block.
    fn at(&self, index: u64) -> u64 {
        let at = usize::try_from(index * WORD_BYTES).expect("within the block");
        u64::from_be_bytes(self.block[at..at + 8].try_into().expect("eight bytes"))
    }

    fn first(&self) -> u64 {
        self.at(0)
    }

    fn last(&self) -> u64 {
        self.at(self.held() - 1)
    }

    /// How many words of the block are below `hash`.
    fn below(&self, hash: u64) -> u64 {
        let (mut low, mut high) = (0, self.held());
        while low < high {
            let middle = u64::midpoint(low, high);
            if self.at(middle) < hash { low = middle + 1 } else { high = middle }
        }
        low
    }

    fn sum(&mut self, block: u64) -> Result<u32, Error> {
        let held = self.sums.len() as u64 / SUM_BYTES;
        if block < self.first_sum || block >= self.first_sum + held {
            let behind = self.words.div_ceil(BLOCK_WORDS) - block;
            self.sums.resize(usize::try_from(behind.min(SUMS) * SUM_BYTES).expect("some pages"), 0);
            // What could not be read is not held.
            self.first_sum = u64::MAX - SUMS;
            let place = self.words * WORD_BYTES + block * SUM_BYTES;
            self.file.read_exact_at(&mut self.sums, place).map_err(Error::io("read", self.path))?;
            self.first_sum = block;
        }
        let at = usize::try_from((block - self.first_sum) * SUM_BYTES).expect("within what is held");
        Ok(u32::from_be_bytes(self.sums[at..at + 4].try_into().expect("four bytes")))
    }

    /// The word at a place; `None` behind the last one.
    pub(super) fn word(&mut self, at: u64) -> Result<Option<u64>, Error> {
        if at >= self.words {
            return Ok(None);
        }
        if self.block.is_empty() || at < self.block_start || at >= self.block_start + self.held() {
            self.load(at / BLOCK_WORDS)?;
        }
        Ok(Some(self.at(at - self.block_start)))
    }

    /// Calls `found` with the place of each hash and the numbers of the partitions that it may be in.
    pub(super) fn look_up(&mut self, hashes: &[u64], found: &mut impl FnMut(usize, u64)) -> Result<(), Error> {
        if self.words == 0 {
            return Ok(());
        }
        for (place, hash) in hashes.iter().enumerate() {
            self.seek(*hash)?;
            // Equal hashes with different partitions stand side by side and may go on in the next block.
            let mut at = self.block_start + self.below(*hash);
            while at < self.words {
                if at >= self.block_start + self.held() {
                    self.load(at / BLOCK_WORDS)?;
                }
                let word = self.at(at - self.block_start);
                if word >> PARTITION_BITS != hash >> PARTITION_BITS {
                    break;
                }
                found(place, word & 0xFFFF);
                at += 1;
            }
        }
        Ok(())
    }

    /// Loads the block in which the first word not below `hash` is, or the block before it.
    fn seek(&mut self, hash: u64) -> Result<(), Error> {
        let blocks = self.words.div_ceil(BLOCK_WORDS);
        if self.block.is_empty() || hash < self.first() || hash > self.last() {
            let share = u128::from(hash) * u128::from(self.words) / (u128::from(u64::MAX) + 1);
            self.load(u64::try_from(share).expect("less than the number of words") / BLOCK_WORDS)?;
        }
        while hash <= self.first() && self.block_start > 0 {
            self.load(self.block_start / BLOCK_WORDS - 1)?;
        }
        while hash > self.last() && self.block_start / BLOCK_WORDS + 1 < blocks {
            self.load(self.block_start / BLOCK_WORDS + 1)?;
        }
        Ok(())
    }
}
