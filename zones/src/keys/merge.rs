//! Several sorted runs as one, block by block: memory does not follow the number of keys.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::run::{BLOCK_WORDS, RunReader};
use crate::error::Error;

/// Writes the words of all `runs` and of `words` (sorted) to `path` as a run: sorted, each once, then their checksums. Synced;
/// how many words there are.
pub(super) fn write_merged(path: &Path, mut runs: Vec<RunReader<'_>>, words: &[u64]) -> Result<u64, Error> {
    let in_file = || Error::io("write", path);
    let mut out = BufWriter::new(File::create(path).map_err(in_file())?);
    // The next word of each run, and how many of it were taken; the new words stand behind the runs.
    let mut next = BinaryHeap::new();
    let mut taken = vec![0_u64; runs.len() + 1];
    for source in 0..taken.len() {
        push_next(&mut next, &mut runs, words, source, &mut taken)?;
    }
    let (mut count, mut last) = (0, None);
    // A thousandth of what they are the sums of.
    let mut sums = Vec::new();
    let mut block = crc32fast::Hasher::new();
    while let Some(Reverse((word, source))) = next.pop() {
        if last != Some(word) {
            let bytes = word.to_be_bytes();
            out.write_all(&bytes).map_err(in_file())?;
            block.update(&bytes);
            last = Some(word);
            count += 1;
            if count % BLOCK_WORDS == 0 {
                sums.extend(std::mem::take(&mut block).finalize().to_be_bytes());
            }
        }
        push_next(&mut next, &mut runs, words, source, &mut taken)?;
    }
    if count % BLOCK_WORDS != 0 {
        sums.extend(block.finalize().to_be_bytes());
    }
    out.write_all(&sums).map_err(in_file())?;
    let file = out.into_inner().map_err(|error| Error::io("write", path)(error.into_error()))?;
    file.sync_data().map_err(in_file())?;
    Ok(count)
}

fn push_next(
    next: &mut BinaryHeap<Reverse<(u64, usize)>>,
    runs: &mut [RunReader<'_>],
    words: &[u64],
    source: usize,
    taken: &mut [u64],
) -> Result<(), Error> {
    let at = taken[source];
    let word = match runs.get_mut(source) {
        Some(run) => run.word(at)?,
        None => usize::try_from(at).ok().and_then(|at| words.get(at).copied()),
    };
    if let Some(word) = word {
        taken[source] += 1;
        next.push(Reverse((word, source)));
    }
    Ok(())
}
