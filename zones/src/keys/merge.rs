//! Several sorted runs as one, block by block: memory does not follow the number of keys.

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
    // The next word of each run, and which of its words that is; the new words stand behind the runs.
    let mut heads = Vec::with_capacity(runs.len() + 1);
    for source in 0..=runs.len() {
        heads.push((word_of(&mut runs, words, source, 0)?, 0));
    }
    let mut count = 0;
    // A thousandth of what they are the sums of.
    let mut sums = Vec::new();
    let mut block = crc32fast::Hasher::new();
    // Runs are few: looking at all of them is quicker than keeping them in order.
    while let Some(word) = heads.iter().filter_map(|(word, _)| *word).min() {
        let bytes = word.to_be_bytes();
        out.write_all(&bytes).map_err(in_file())?;
        block.update(&bytes);
        count += 1;
        if count % BLOCK_WORDS == 0 {
            sums.extend(std::mem::take(&mut block).finalize().to_be_bytes());
        }
        for (source, (head, at)) in heads.iter_mut().enumerate() {
            if *head == Some(word) {
                *at += 1;
                *head = word_of(&mut runs, words, source, *at)?;
            }
        }
    }
    if count % BLOCK_WORDS != 0 {
        sums.extend(block.finalize().to_be_bytes());
    }
    out.write_all(&sums).map_err(in_file())?;
    let file = out.into_inner().map_err(|error| Error::io("write", path)(error.into_error()))?;
    file.sync_data().map_err(in_file())?;
    Ok(count)
}

fn word_of(runs: &mut [RunReader<'_>], words: &[u64], source: usize, at: u64) -> Result<Option<u64>, Error> {
    match runs.get_mut(source) {
        Some(run) => run.word(at),
        None => Ok(usize::try_from(at).ok().and_then(|at| words.get(at).copied())),
    }
}
