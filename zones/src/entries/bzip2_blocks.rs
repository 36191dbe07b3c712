//! A bzip2 file cut into its blocks, each made a stream of its own.
//!
//! Blocks of bzip2 are independent of each other but begin at any bit, after a magic number of 48 bits; nothing says how long
//! they are. A block is therefore taken to reach to the next magic number. Where one occurs within a block's data by chance
//! (once in a million files of 40 MB), that block fails to decode, and the caller reads the file serially.
//!
//! Guarantee: the streams that are yielded hold, in order, every bit of every block; the CRC of each bzip2 stream over its
//! blocks was compared before `End`. Whatever is not as it should be is `Strange`, and nothing follows.

use std::io::{self, Read};

const BLOCK: u64 = 0x3141_5926_5359;
const END: u64 = 0x1772_4538_5090;
const MAGIC_BITS: usize = 48;
const CRC_BITS: usize = 32;

/// A block of 900 kB that cannot be packed takes hardly more than 900 kB.
const MAX_BLOCK_BYTES: usize = 4 * 1024 * 1024;

/// What comes next in the file.
pub(super) enum Step {
    /// One block, as a whole bzip2 stream.
    Block(Vec<u8>),
    /// The end of the file, after the last stream.
    End,
    /// Cut, damaged, or a magic number by chance.
    Strange,
}

enum State {
    /// At the first byte of a stream, or behind the last.
    Header,
    /// At a magic number.
    Magic,
}

pub(super) struct Blocks<R> {
    input: R,
    /// The file from the byte on where the next thing begins.
    window: Vec<u8>,
    is_at_end: bool,
    /// Where in the window's first byte the next thing begins.
    bit: usize,
    state: State,
    /// Of the stream; zero before the first.
    level: u8,
    /// The CRC of the stream's blocks so far.
    combined: u32,
    hints: Vec<bool>,
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, window: Vec::new(), is_at_end: false, bit: 0, state: State::Header, level: 0, combined: 0, hints: hints() }
    }

    pub(super) fn next(&mut self) -> io::Result<Step> {
        loop {
            match self.state {
                State::Header => {
                    self.fill(4)?;
                    match self.window.as_slice() {
                        [] if self.level > 0 => return Ok(Step::End),
                        [b'B', b'Z', b'h', level @ b'1'..=b'9', ..] => self.level = *level,
                        _ => return Ok(Step::Strange),
                    }
                    self.window.drain(..4);
                    (self.bit, self.combined, self.state) = (0, 0, State::Magic);
                }
                State::Magic => {
                    self.fill((self.bit + MAGIC_BITS + CRC_BITS).div_ceil(8))?;
                    let Some(crc) = bits(&self.window, self.bit + MAGIC_BITS, CRC_BITS) else { return Ok(Step::Strange) };
                    let crc = u32::try_from(crc).expect("32 bits");
                    match bits(&self.window, self.bit, MAGIC_BITS) {
                        Some(BLOCK) => return self.block(crc),
                        Some(END) if crc == self.combined => {
                            self.window.drain(..(self.bit + MAGIC_BITS + CRC_BITS).div_ceil(8));
                            self.state = State::Header;
                        }
                        _ => return Ok(Step::Strange),
                    }
                }
            }
        }
    }

    fn block(&mut self, crc: u32) -> io::Result<Step> {
        let mut searched = self.bit + MAGIC_BITS + CRC_BITS;
        let end = loop {
            if let Some(end) = self.find_magic(searched) {
                break end;
            }
            // What was too short to be seen whole is looked at again.
            searched = searched.max((self.window.len() * 8).saturating_sub(MAGIC_BITS + 8));
            let wanted = self.window.len() + 1;
            if self.fill(wanted)? < wanted || wanted > MAX_BLOCK_BYTES {
                return Ok(Step::Strange);
            }
        };
        let stream = repacked(&self.window, self.bit..end, self.level, crc);
        self.combined = self.combined.rotate_left(1) ^ crc;
        self.window.drain(..end / 8);
        self.bit = end % 8;
        Ok(Step::Block(stream))
    }

    /// Reads until the window has that many bytes or the file ends; says how many it has.
    fn fill(&mut self, wanted: usize) -> io::Result<usize> {
        while self.window.len() < wanted && !self.is_at_end {
            let had = self.window.len();
            self.window.resize(had + super::BUFFER_BYTES, 0);
            let read = self.input.read(&mut self.window[had..]);
            self.window.truncate(had + *read.as_ref().unwrap_or(&0));
            self.is_at_end = read? == 0;
        }
        Ok(self.window.len())
    }

    /// The first bit of the first magic number at or behind the bit `from`.
    fn find_magic(&self, from: usize) -> Option<usize> {
        let start = from / 8;
        let pairs = self.window.get(start..)?.windows(2).enumerate();
        let mut hinted = pairs.filter(|(_, pair)| self.hints[usize::from(pair[0]) << 8 | usize::from(pair[1])]);
        hinted.find_map(|(index, _)| self.magic_around(start + index, from))
    }

    /// The magic number whose first whole byte, behind the one it begins in, is the one at `index`.
    fn magic_around(&self, index: usize, from: usize) -> Option<usize> {
        let before = index.checked_sub(1)? * 8;
        let is_magic = |bit: usize| bit >= from && matches!(bits(&self.window, bit, MAGIC_BITS), Some(BLOCK | END));
        (before..before + 8).find(|bit| is_magic(*bit))
    }
}

/// Which two bytes can be the first whole ones of a magic number: one look tells for almost any place that none is there.
fn hints() -> Vec<bool> {
    let mut hints = vec![false; 1 << 16];
    for magic in [BLOCK, END] {
        for shift in 0..8 {
            let pair = (magic >> (24 + shift)) & 0xffff;
            hints[usize::try_from(pair).expect("16 bits")] = true;
        }
    }
    hints
}

/// `count` bits (at most 56) from the bit `start` on; `None` past the end.
fn bits(bytes: &[u8], start: usize, count: usize) -> Option<u64> {
    let last = (start + count).div_ceil(8);
    let bytes = bytes.get(start / 8..last)?;
    let value = bytes.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    let behind = bytes.len() * 8 - start % 8 - count;
    Some((value >> behind) & ((1 << count) - 1))
}

/// The bits of one block between a header and an end of their own.
fn repacked(bytes: &[u8], block: std::ops::Range<usize>, level: u8, crc: u32) -> Vec<u8> {
    let mut stream = Vec::with_capacity((block.len() / 8) + 32);
    stream.extend_from_slice(&[b'B', b'Z', b'h', level]);
    let (first, shift) = (block.start / 8, block.start % 8);
    let whole = block.len() / 8;
    if shift == 0 {
        stream.extend_from_slice(&bytes[first..first + whole]);
    } else {
        let pairs = bytes[first..=first + whole].windows(2);
        stream.extend(pairs.map(|pair| pair[0] << shift | pair[1] >> (8 - shift)));
    }
    let rest = block.len() % 8;
    let rest_value = bits(bytes, block.end - rest, rest).expect("within the block");
    // The rest of the block, the end's magic number, and the CRC over the one block, which is the block's own.
    let tail = u128::from(rest_value) << 80 | u128::from(END) << 32 | u128::from(crc);
    let tail_bits = rest + 80;
    let tail = (tail << (128 - tail_bits)).to_be_bytes();
    stream.extend_from_slice(&tail[..tail_bits.div_ceil(8)]);
    stream
}
