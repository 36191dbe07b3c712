//! A bzip2 file decoded on several threads, in order.
//!
//! One thread cuts the file into blocks, some decode them, the reader takes them in the order of the file. Each block's CRC is
//! compared by its decoder, each stream's by the cutter.
//!
//! Guarantee: the same bytes and the same errors as the serial decoder gives. Whatever is out of the ordinary, from a cut file
//! to a block that unpacks to far more than its kind does, ends the work of the threads: the file is then read serially from
//! its beginning, what was already delivered is skipped, and the serial decoder has the word.
//! Memory: a few blocks in flight, each of 8 MiB at most.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use bzip2::bufread::BzDecoder;

use super::bzip2_blocks::{Blocks, Step};
use super::compression::Codec;
use super::error::Defect;
use super::guard::{Consumed, Input, Position};
use crate::beside::cores;

/// Smaller files are decoded before threads would have started.
const MIN_FILE_BYTES: u64 = 2 * 1024 * 1024;

/// More threads than this would wait for the one that cuts, and for the reader.
const MAX_WORKERS: usize = 8;

/// 900 kB are usual. Only long runs of one byte unpack to more than this, and those the serial decoder does in bounded memory.
const MAX_BLOCK_BYTES: u64 = 8 * 1024 * 1024;

/// A block on its way: what the decoder will send, or `None` if it could not.
type Promise = Receiver<Option<Vec<u8>>>;

struct Job {
    stream: Vec<u8>,
    done: SyncSender<Option<Vec<u8>>>,
}

/// What the reader takes next. The end of the file is said; threads that just stop have met something strange.
enum Next {
    Block(Promise),
    End,
}

pub(super) struct ParallelReader {
    path: PathBuf,
    position: Position,
    source: Source,
    block: Vec<u8>,
    taken: usize,
    /// Bytes of earlier blocks.
    delivered: u64,
}

enum Source {
    Threads(Receiver<Next>),
    Serial(Box<dyn Read + Send>),
    Nothing,
}

/// How many threads decode a file of this size; one means that threads do not pay.
pub(super) fn workers(file_bytes: u64) -> usize {
    if file_bytes < MIN_FILE_BYTES {
        return 1;
    }
    cores().min(MAX_WORKERS)
}

/// Starts the threads; they end with the reader.
pub(super) fn open(path: &Path, workers: usize, consumed: &Consumed) -> io::Result<(ParallelReader, Position)> {
    let input = Input::new(File::open(path)?, 0, consumed);
    let position = input.position();
    let (jobs, waiting) = sync_channel(workers);
    let (order, ordered) = sync_channel(workers * 2);
    let waiting = Arc::new(Mutex::new(waiting));
    for _ in 0..workers {
        let waiting = waiting.clone();
        thread::Builder::new().name("bzip2-decode".to_owned()).spawn(move || work(&waiting))?;
    }
    thread::Builder::new().name("bzip2-cut".to_owned()).spawn(move || cut(Blocks::new(input), &jobs, &order))?;
    let reader = ParallelReader {
        path: path.to_owned(),
        position: position.clone(),
        source: Source::Threads(ordered),
        block: Vec::new(),
        taken: 0,
        delivered: 0,
    };
    Ok((reader, position))
}

/// Cuts until the file ends, something is strange, or nobody reads anymore.
fn cut(mut blocks: Blocks<Input<File>>, jobs: &SyncSender<Job>, order: &SyncSender<Next>) {
    // A file that cannot be read is strange as well: the serial decoder will meet and report the same.
    while let Ok(step) = blocks.next() {
        let stream = match step {
            Step::Block(stream) => stream,
            Step::End => {
                let _ = order.send(Next::End);
                return;
            }
            Step::Strange => return,
        };
        let (done, promise) = sync_channel(1);
        if order.send(Next::Block(promise)).is_err() || jobs.send(Job { stream, done }).is_err() {
            return;
        }
    }
}

fn work(waiting: &Mutex<Receiver<Job>>) {
    loop {
        let Ok(job) = waiting.lock().map(|waiting| waiting.recv()) else { return };
        let Ok(Job { stream, done }) = job else { return };
        // Nobody waits for it anymore: then the next job will not come either.
        let _ = done.send(decode(&stream));
    }
}

fn decode(stream: &[u8]) -> Option<Vec<u8>> {
    let mut block = Vec::with_capacity(1024 * 1024);
    BzDecoder::new(stream).take(MAX_BLOCK_BYTES + 1).read_to_end(&mut block).ok()?;
    (block.len() as u64 <= MAX_BLOCK_BYTES).then_some(block)
}

impl ParallelReader {
    /// The next block; `false` where the serial decoder, or nothing, comes next.
    fn advance(&mut self) -> io::Result<bool> {
        let Source::Threads(ordered) = &self.source else { return Ok(false) };
        let next = match ordered.recv() {
            Ok(Next::End) => {
                self.source = Source::Nothing;
                return Ok(false);
            }
            Ok(Next::Block(promise)) => promise.recv().ok().flatten(),
            Err(_) => None,
        };
        self.delivered += self.block.len() as u64;
        self.taken = 0;
        let is_block = next.is_some();
        self.block = next.unwrap_or_default();
        if !is_block {
            self.source = Source::Serial(self.serial()?);
        }
        Ok(is_block)
    }

    /// The serial decoder, behind what was delivered.
    fn serial(&self) -> io::Result<Box<dyn Read + Send>> {
        let file = File::open(&self.path).map_err(|error| Defect::of_file_system(&error).into_io())?;
        let input = Input::again(file, &self.position);
        let mut reader = Codec::Bzip2.decode(io::BufReader::with_capacity(super::BUFFER_BYTES, input))?;
        io::copy(&mut reader.by_ref().take(self.delivered), &mut io::sink())?;
        Ok(reader)
    }
}

impl Read for ParallelReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.block.len() {
            if !self.advance()? {
                return match &mut self.source {
                    Source::Serial(reader) => reader.read(buffer),
                    Source::Threads(_) | Source::Nothing => Ok(0),
                };
            }
        }
        let read = buffer.len().min(self.block.len() - self.taken);
        buffer[..read].copy_from_slice(&self.block[self.taken..self.taken + read]);
        self.taken += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use bzip2::Compression;
    use bzip2::read::MultiBzDecoder;
    use bzip2::write::BzEncoder;
    use tempfile::TempDir;

    use super::*;

    fn packed(bytes: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = BzEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Text that packs to blocks of many lengths.
    fn text(bytes: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let words = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{{\"n\":{}}}\n", state >> 40).into_bytes()
        });
        words.flatten().take(bytes).collect()
    }

    /// Everything up to the end or the first error.
    fn outcome(mut reader: impl Read) -> (Vec<u8>, Option<io::ErrorKind>) {
        let mut bytes = Vec::new();
        let mut buffer = vec![0; 10_000];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return (bytes, None),
                Ok(read) => bytes.extend_from_slice(&buffer[..read]),
                Err(error) => return (bytes, Some(error.kind())),
            }
        }
    }

    fn is_same_as_serial(file: &[u8]) -> (Vec<u8>, Option<io::ErrorKind>) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, file).unwrap();
        let (mut reader, position) = open(&path, 3, &Consumed::default()).unwrap();
        let found = outcome(&mut reader);
        let is_on_threads = matches!(reader.source, Source::Nothing);
        assert!(is_on_threads || found.1.is_some(), "whole files need no serial decoder");
        let expected = outcome(MultiBzDecoder::new(file));
        assert_eq!(found.1, expected.1);
        // A decoder that fails loses what it unpacked in the same call, so the two may have delivered a little more or less.
        let common = found.0.len().min(expected.0.len());
        assert!(found.0[..common] == expected.0[..common], "other bytes");
        assert!(found.1.is_some() || found.0.len() == expected.0.len(), "{} and {}", found.0.len(), expected.0.len());
        assert!(expected.1.is_some() || position.offset() == file.len() as u64);
        found
    }

    #[test]
    fn whole_files_decode_to_the_same_bytes_on_threads() {
        let bytes = text(1_500_000);
        let streams = [
            packed(&bytes, 1),
            packed(&bytes, 9),
            packed(b"", 9),
            packed(b"one line\n", 5),
            packed(&vec![b'0'; 2_000_000], 1),
            [packed(&bytes, 1), packed(b"", 1), packed(&bytes[..400_000], 2), packed(b"x", 9)].concat(),
        ];
        for file in streams {
            assert_eq!(is_same_as_serial(&file).1, None);
        }
        assert!(is_same_as_serial(b"").1.is_some());
    }

    #[test]
    fn cut_and_damaged_files_fail_where_the_serial_decoder_fails() {
        let bytes = text(700_000);
        let file = [packed(&bytes, 1), packed(&bytes[..250_000], 1)].concat();
        for cut in [3, 5, 12, 50, file.len() / 3, file.len() / 2, file.len() - 30, file.len() - 5, file.len() - 1] {
            assert!(is_same_as_serial(&file[..cut]).1.is_some(), "{cut}");
        }
        for place in [0, 3, 6, 12, 40, file.len() / 3, file.len() / 2, file.len() - 8, file.len() - 3] {
            let mut damaged = file.clone();
            damaged[place] ^= 0x20;
            assert!(is_same_as_serial(&damaged).1.is_some(), "{place}");
        }
        assert!(is_same_as_serial(&[file.as_slice(), b"and a line"].concat()).1.is_some());
    }

    #[test]
    fn the_crc_over_all_blocks_is_compared() {
        let mut file = packed(&text(700_000), 1);
        let end = (0..file.len() * 8).rev().find(|bit| {
            let window =
                (0..48).map_while(|offset| file.get((bit + offset) / 8).map(|byte| byte >> (7 - (bit + offset) % 8) & 1));
            window.fold(0_u64, |value, bit| value << 1 | u64::from(bit)) == 0x1772_4538_5090
        });
        let crc = end.unwrap() + 48 + 9;
        file[crc / 8] ^= 0x80 >> (crc % 8);
        let (bytes, error) = is_same_as_serial(&file);
        assert!(bytes.len() > 600_000 && error.is_some());
    }

    #[test]
    fn a_magic_number_by_chance_does_not_hurt() {
        // A block whose symbols spell the magic number cannot be made to order; a file in which a damaged block holds one looks
        // the same to the cutter: a block that ends too early. It has to come out as the serial decoder has it.
        let mut file = packed(&text(700_000), 1);
        let middle = file.len() / 2;
        file[middle..middle + 6].copy_from_slice(&[0x31, 0x41, 0x59, 0x26, 0x53, 0x59]);
        assert!(is_same_as_serial(&file).1.is_some());
    }

    #[test]
    fn blocks_that_unpack_to_very_much_are_left_to_the_serial_decoder() {
        let file = packed(&vec![b'0'; 60_000_000], 9);
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, &file).unwrap();
        let (mut reader, _) = open(&path, 2, &Consumed::default()).unwrap();
        let unpacked = io::copy(&mut reader, &mut io::sink()).unwrap();
        assert_eq!(unpacked, 60_000_000);
        assert!(matches!(reader.source, Source::Serial(_)), "not decoded into memory as a whole");
    }
}
