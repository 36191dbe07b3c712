//! Two sets of rows side by side, of any size: which are missing, which too many, which different.
//!
//! A row is 40 bytes here: 128 bits of SHA-256 over its key, as many over its content, and a number that says which of several
//! rows of one key is the newest. They are divided by key into parts; what does not fit into memory goes to a file a part, and
//! the parts are compared one by one. Two rows are taken to be equal where these bits are.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::Error;

const PARTS: usize = 256;
/// What both sides hold before it goes to disk.
const HELD_BYTES: usize = 64 << 20;
/// Keys that are remembered by name: what is shown, examined and repaired at a time.
const MOST_KEYS: usize = 200_000;
const ENTRY_BYTES: usize = 40;

/// 128 bits that stand for these.
pub fn digest(bytes: &[u8]) -> u128 {
    let digest = Sha256::digest(bytes);
    u128::from_be_bytes(digest[..16].try_into().expect("a digest has 32 bytes"))
}

/// Which rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// As they should be.
    Wanted,
    /// As they are.
    Found,
}

/// What is wrong with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wrong {
    Missing,
    Extra,
    Different,
    /// There more than once.
    Repeated,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    key: u128,
    order: i64,
    content: u128,
}

/// The outcome of a comparison.
#[derive(Debug, Default)]
pub struct Differences {
    pub wanted: u64,
    pub found: u64,
    /// By kind, in keys.
    pub counts: HashMap<Wrong, u64>,
    /// The first keys of each kind.
    pub keys: HashMap<u128, Wrong>,
}

impl Differences {
    pub fn count(&self, wrong: Wrong) -> u64 {
        self.counts.get(&wrong).copied().unwrap_or(0)
    }

    /// Leaves a kind out that nothing can be said of.
    pub fn leave_out(&mut self, kind: Wrong) {
        self.counts.remove(&kind);
        self.keys.retain(|_, wrong| *wrong != kind);
    }

    pub fn is_empty(&self) -> bool {
        self.counts.values().all(|count| *count == 0)
    }

    /// Whether every key that differs is among `keys`.
    pub fn is_complete(&self) -> bool {
        self.counts.values().sum::<u64>() == self.keys.len() as u64
    }

    fn add(&mut self, key: u128, wrong: Wrong) {
        *self.counts.entry(wrong).or_default() += 1;
        if self.keys.len() < MOST_KEYS {
            self.keys.insert(key, wrong);
        }
    }
}

/// Rows of both sides as they come.
#[derive(Debug)]
pub struct Comparison {
    folder: PathBuf,
    parts: Vec<[Vec<Entry>; 2]>,
    held: usize,
    is_spilled: bool,
    counts: [u64; 2],
}

impl Comparison {
    /// Spills to a folder of its own in `folder`, which goes with the value.
    pub fn new(folder: &Path) -> Self {
        let folder = folder.join(format!("compare-{}", uuid::Uuid::new_v4()));
        let parts = (0..PARTS).map(|_| [Vec::new(), Vec::new()]).collect();
        Self { folder, parts, held: 0, is_spilled: false, counts: [0; 2] }
    }

    /// Adds a row. Of several wanted rows of one key the one of the largest `order` counts.
    pub fn add(&mut self, side: Side, key: &[u8], content: &[u8], order: i64) -> Result<(), Error> {
        let entry = Entry { key: digest(key), content: digest(content), order };
        self.parts[part_of(entry.key)][side as usize].push(entry);
        self.counts[side as usize] += 1;
        self.held += ENTRY_BYTES;
        if self.held >= HELD_BYTES { self.spill() } else { Ok(()) }
    }

    fn path(&self, part: usize, side: usize) -> PathBuf {
        self.folder.join(format!("{part:03}-{side}"))
    }

    fn spill(&mut self) -> Result<(), Error> {
        std::fs::create_dir_all(&self.folder).map_err(Error::io("create", &self.folder))?;
        for part in 0..PARTS {
            for side in 0..2 {
                let entries = std::mem::take(&mut self.parts[part][side]);
                if entries.is_empty() {
                    continue;
                }
                let path = self.path(part, side);
                let file = File::options().create(true).append(true).open(&path).map_err(Error::io("open", &path))?;
                let mut file = BufWriter::new(file);
                for entry in entries {
                    let bytes = [&entry.key.to_be_bytes()[..], &entry.content.to_be_bytes(), &entry.order.to_be_bytes()];
                    bytes.iter().try_for_each(|bytes| file.write_all(bytes)).map_err(Error::io("write", &path))?;
                }
                file.flush().map_err(Error::io("write", &path))?;
            }
        }
        (self.held, self.is_spilled) = (0, true);
        Ok(())
    }

    fn entries(&mut self, part: usize, side: usize) -> Result<Vec<Entry>, Error> {
        let mut entries = std::mem::take(&mut self.parts[part][side]);
        let path = self.path(part, side);
        if self.is_spilled && path.exists() {
            let mut file = BufReader::new(File::open(&path).map_err(Error::io("open", &path))?);
            let mut bytes = [0; ENTRY_BYTES];
            while read_whole(&mut file, &mut bytes).map_err(Error::io("read", &path))? {
                let number = |at: usize| u128::from_be_bytes(bytes[at..at + 16].try_into().expect("16 bytes"));
                let order = i64::from_be_bytes(bytes[32..].try_into().expect("eight bytes"));
                entries.push(Entry { key: number(0), content: number(16), order });
            }
        }
        entries.sort_unstable();
        Ok(entries)
    }

    /// Compares what was added.
    pub fn finish(mut self) -> Result<Differences, Error> {
        let mut differences = Differences { wanted: self.counts[0], found: self.counts[1], ..Differences::default() };
        for part in 0..PARTS {
            let (wanted, found) = (self.entries(part, 0)?, self.entries(part, 1)?);
            let mut wanted = wanted.chunk_by(|a, b| a.key == b.key).peekable();
            for found in found.chunk_by(|a, b| a.key == b.key) {
                let key = found[0].key;
                while let Some(missing) = wanted.next_if(|wanted| wanted[0].key < key) {
                    differences.add(missing[0].key, Wrong::Missing);
                }
                match wanted.next_if(|wanted| wanted[0].key == key) {
                    None => differences.add(key, Wrong::Extra),
                    Some(_) if found.len() > 1 => differences.add(key, Wrong::Repeated),
                    Some(same) if same[same.len() - 1].content == found[0].content => {}
                    Some(_) => differences.add(key, Wrong::Different),
                }
            }
            wanted.for_each(|missing| differences.add(missing[0].key, Wrong::Missing));
        }
        Ok(differences)
    }
}

impl Drop for Comparison {
    fn drop(&mut self) {
        if self.is_spilled {
            // Only space is at stake, and the next look removes what is left.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

fn part_of(key: u128) -> usize {
    (key >> 120) as usize
}

/// Fills the buffer; false at the end of the file.
fn read_whole(file: &mut impl Read, bytes: &mut [u8]) -> std::io::Result<bool> {
    match file.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(spills: bool) -> Differences {
        let folder = tempfile::tempdir().unwrap();
        let mut rows = Comparison::new(folder.path());
        for key in 0..2_000_u32 {
            if key != 7 {
                rows.add(Side::Wanted, &key.to_be_bytes(), b"old", 1).unwrap();
                rows.add(Side::Wanted, &key.to_be_bytes(), b"same", 2).unwrap();
            }
            if key % 500 == 0 && spills {
                rows.spill().unwrap();
            }
            let content: &[u8] = if key == 9 { b"old" } else { b"same" };
            if key != 8 {
                rows.add(Side::Found, &key.to_be_bytes(), content, 0).unwrap();
            }
            if key == 10 {
                rows.add(Side::Found, &key.to_be_bytes(), content, 0).unwrap();
            }
        }
        let differences = rows.finish().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "what was spilled is gone");
        differences
    }

    #[test]
    fn what_is_missing_extra_different_or_repeated_is_found_in_memory_and_on_disk() {
        for differences in [compared(false), compared(true)] {
            let wrong = |key: u32| differences.keys.get(&digest(&key.to_be_bytes())).copied();
            assert_eq!(
                [wrong(7), wrong(8), wrong(9), wrong(10), wrong(11)],
                [Some(Wrong::Extra), Some(Wrong::Missing), Some(Wrong::Different), Some(Wrong::Repeated), None]
            );
            assert_eq!((differences.keys.len(), differences.wanted, differences.found), (4, 3_998, 2_000));
            assert!(differences.is_complete() && !differences.is_empty());
        }
    }
}
