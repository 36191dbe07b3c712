//! Which partitions a key may be in: a directory beside a use-case table, derived from it.
//!
//! A sorted array of words, 48 bits of the key's hash and 16 of a partition's number, in a few runs as in an LSM tree. A false
//! hit (or a row that has moved since) only adds a partition to those that are looked into; a key that is in the table is
//! never missed: a block whose checksum does not match is refused, not searched. The directory says "as of version v" and catches up from the log; lost, damaged or doubted, it is built anew.
//! Look-ups read the blocks where the keys must be (hashes are evenly spread, so their place can be computed), so a batch's
//! cost follows its own size and not the table's history.

mod merge;
mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use model::crash;
use model::position::TableVersion;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::delta::PartitionValue;
use crate::error::Error;
use merge::write_merged;
use run::{BLOCK_WORDS, RunReader, SUM_BYTES, WORD_BYTES};

const MANIFEST: &str = "keys.json";
/// The second has a checksum behind each run's words.
const MANIFEST_VERSION: u32 = 2;
const PARTITION_BITS: u32 = 16;
/// A run goes into the next one that is written unless it is more than so many times as large: so each is that much smaller than
/// the one before it, there are few of them, and a word is written again once for each.
const TIER: u64 = 3;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Manifest {
    version: u32,
    /// The id of the table that the directory was derived from.
    table_id: String,
    as_of: TableVersion,
    /// The partition values by number.
    partitions: Vec<PartitionValue>,
    runs: Vec<Run>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Run {
    file: String,
    words: u64,
}

impl Run {
    fn bytes(&self) -> u64 {
        self.words * WORD_BYTES + self.words.div_ceil(BLOCK_WORDS) * SUM_BYTES
    }
}

impl Manifest {
    fn read(folder: &Path, table_id: &str, current: TableVersion) -> Option<Self> {
        let manifest: Self = serde_json::from_slice(&std::fs::read(folder.join(MANIFEST)).ok()?).ok()?;
        let is_of_table = manifest.version == MANIFEST_VERSION && manifest.table_id == table_id && manifest.as_of <= current;
        (is_of_table && manifest.runs.iter().all(|run| is_whole(folder, run))).then_some(manifest)
    }

    fn empty(table_id: &str) -> Self {
        // Version 0 makes the table and holds no rows.
        let as_of = TableVersion(0);
        Self { version: MANIFEST_VERSION, table_id: table_id.to_owned(), as_of, partitions: Vec::new(), runs: Vec::new() }
    }
}

/// An open directory.
pub struct KeyDirectory {
    folder: PathBuf,
    manifest: Manifest,
    number_of: BTreeMap<PartitionValue, u64>,
    /// Of a directory that is only looked at.
    held: Option<Held>,
}

/// What a look at a directory holds on to, so that a run may go on with it meanwhile.
struct Held {
    /// The runs of the manifest: one that is removed stays readable.
    runs: Vec<File>,
    /// Sorted; what came since.
    words: Vec<u64>,
}

impl KeyDirectory {
    /// The directory in `folder` for the table `table_id`, or an empty one as of "before the first version".
    pub fn open(folder: &Path, table_id: &str, current: TableVersion) -> Result<Self, Error> {
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let manifest = Manifest::read(folder, table_id, current).unwrap_or_else(|| Manifest::empty(table_id));
        Ok(Self::of(folder, manifest, None))
    }

    /// The same to be looked at only: nothing is written, and what is added is kept in memory. A directory that changes under
    /// the look is as one that is lost.
    pub fn look(folder: &Path, table_id: &str, current: TableVersion) -> Self {
        let found = Manifest::read(folder, table_id, current).and_then(|manifest| {
            let runs = manifest.runs.iter().map(|run| File::open(folder.join(&run.file))).collect::<Result<Vec<_>, _>>().ok()?;
            let are_whole = runs
                .iter()
                .zip(&manifest.runs)
                .all(|(file, run)| file.metadata().is_ok_and(|metadata| metadata.len() == run.bytes()));
            are_whole.then_some((manifest, runs))
        });
        let (manifest, runs) = found.unwrap_or_else(|| (Manifest::empty(table_id), Vec::new()));
        Self::of(folder, manifest, Some(Held { runs, words: Vec::new() }))
    }

    fn of(folder: &Path, manifest: Manifest, held: Option<Held>) -> Self {
        let number_of = (0..).zip(&manifest.partitions).map(|(number, value)| (value.clone(), number)).collect();
        Self { folder: folder.to_owned(), manifest, number_of, held }
    }

    pub fn as_of(&self) -> TableVersion {
        self.manifest.as_of
    }

    /// The partitions in which rows with any of these hashes may be. `hashes` must be sorted.
    pub fn look_up(&self, hashes: &[u64]) -> Result<BTreeSet<PartitionValue>, Error> {
        let mut numbers = BTreeSet::new();
        for (at, run) in self.manifest.runs.iter().enumerate() {
            let path = self.folder.join(&run.file);
            let mut reader = match &self.held {
                Some(held) => RunReader::of(held.runs[at].try_clone().map_err(Error::io("open", &path))?, &path, run.words),
                None => RunReader::open(&path, run.words)?,
            };
            reader.look_up(hashes, &mut |_, number| {
                numbers.insert(number);
            })?;
        }
        if let Some(held) = &self.held {
            for hash in hashes {
                let from = held.words.partition_point(|word| *word < *hash);
                let same = held.words[from..].iter().take_while(|word| *word >> PARTITION_BITS == hash >> PARTITION_BITS);
                numbers.extend(same.map(|word| word & 0xFFFF));
            }
        }
        let numbered = (0_u64..).zip(&self.manifest.partitions);
        Ok(numbered.filter(|(number, _)| numbers.contains(&(number & 0xFFFF))).map(|(_, value)| value.clone()).collect())
    }

    /// Which of these hashes the directory does not know in `partition`; their places, in order. `hashes` must be sorted.
    pub fn lacking(&self, partition: &PartitionValue, hashes: &[u64]) -> Result<Vec<usize>, Error> {
        let Some(wanted) = self.number_of.get(partition).map(|number| number & 0xFFFF) else {
            return Ok((0..hashes.len()).collect());
        };
        let mut is_known = vec![false; hashes.len()];
        for (at, run) in self.manifest.runs.iter().enumerate() {
            let path = self.folder.join(&run.file);
            let mut reader = match &self.held {
                Some(held) => RunReader::of(held.runs[at].try_clone().map_err(Error::io("open", &path))?, &path, run.words),
                None => RunReader::open(&path, run.words)?,
            };
            reader.look_up(hashes, &mut |place, number| is_known[place] |= number == wanted)?;
        }
        if let Some(held) = &self.held {
            for (hash, is_known) in hashes.iter().zip(&mut is_known) {
                *is_known |= held.words.binary_search(&((hash & !0xFFFF) | wanted)).is_ok();
            }
        }
        Ok(is_known.iter().enumerate().filter(|(_, is_known)| !**is_known).map(|(place, _)| place).collect())
    }

    /// Adds keys that the table holds as of `version`, each with its partition, and makes them durable.
    #[tracing::instrument(target = "profile", level = "trace", name = "keep keys", skip_all)]
    pub fn add(&mut self, keys: &BTreeMap<PartitionValue, Vec<u64>>, version: TableVersion) -> Result<(), Error> {
        let mut words = Vec::new();
        for (partition, hashes) in keys {
            let number = self.number(partition);
            words.extend(hashes.iter().map(|hash| (hash & !0xFFFF) | (number & 0xFFFF)));
        }
        if let Some(held) = &mut self.held {
            held.words.extend(words);
            held.words.sort_unstable();
            held.words.dedup();
            self.manifest.as_of = version;
            return Ok(());
        }
        if !words.is_empty() {
            words.sort_unstable();
            words.dedup();
            let file = format!("{:012}.run", version.0);
            let earlier = self.of_like_size(words.len() as u64);
            crash::point("keys/run:before");
            let run = Run { words: self.write_run(&file, &earlier, &words)?, file };
            crash::point("keys/run:after");
            self.manifest.runs.retain(|other| other.file != run.file);
            self.manifest.runs.push(run);
        }
        self.manifest.as_of = version;
        let bytes = serde_json::to_vec(&self.manifest).expect("a manifest is plain data");
        crash::point("keys/manifest:before");
        write_durably(&self.folder, MANIFEST, &bytes)?;
        crash::point("keys/manifest:after");
        crash::point("keys/tidy:before");
        self.remove_unnamed();
        crash::point("keys/tidy:after");
        Ok(())
    }

    /// Takes the newest runs that are merged with one of so many words.
    fn of_like_size(&mut self, words: u64) -> Vec<Run> {
        let runs = &mut self.manifest.runs;
        let (mut from, mut sum) = (runs.len(), words);
        while from > 0 && runs[from - 1].words <= sum.saturating_mul(TIER) {
            from -= 1;
            sum += runs[from].words;
        }
        runs.split_off(from)
    }

    /// Writes a run of these sorted words and of all that earlier runs hold; how many words it has.
    fn write_run(&self, file: &str, earlier: &[Run], words: &[u64]) -> Result<u64, Error> {
        let paths: Vec<PathBuf> = earlier.iter().map(|run| self.folder.join(&run.file)).collect();
        let runs = paths.iter().zip(earlier).map(|(path, run)| RunReader::open(path, run.words));
        let temporary = self.folder.join(format!("{file}.part"));
        let count = write_merged(&temporary, runs.collect::<Result<_, _>>()?, words)?;
        let path = self.folder.join(file);
        std::fs::rename(&temporary, &path).map_err(Error::io("write", &path))?;
        Ok(count)
    }

    fn number(&mut self, partition: &PartitionValue) -> u64 {
        if let Some(number) = self.number_of.get(partition) {
            return *number;
        }
        // Numbers beyond 16 bits share one with an earlier partition's; both are then looked into.
        let number = self.manifest.partitions.len() as u64;
        self.manifest.partitions.push(partition.clone());
        self.number_of.insert(partition.clone(), number);
        number
    }

    /// Runs that the manifest does not name are left over from a merge; a crash may leave them for the next time.
    fn remove_unnamed(&self) {
        let Ok(files) = std::fs::read_dir(&self.folder) else { return };
        for file in files.flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            let is_run = matches!(name.split_once('.'), Some((_, "run" | "run.part")));
            if is_run && !self.manifest.runs.iter().any(|run| run.file == name) {
                // Only space is at stake.
                let _ = std::fs::remove_file(file.path());
            }
        }
    }
}

/// Hashes of the keys of a batch, one a row, in the upper 48 bits.
///
/// SHA-256 is used (cut to 64 bits) so that the directory stays valid across programs and versions.
pub fn hashes(rows: &RecordBatch, key: &[usize]) -> Result<Vec<u64>, Error> {
    let columns: Vec<_> = key.iter().map(|index| rows.column(*index).clone()).collect();
    hashes_of(&columns).map_err(Error::arrow("compare keys"))
}

/// The same of key columns alone.
pub(crate) fn hashes_of(columns: &[ArrayRef]) -> Result<Vec<u64>, ArrowError> {
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let keys = RowConverter::new(fields)?.convert_columns(columns)?;
    Ok(keys.iter().map(|key| hash(key.as_ref())).collect())
}

fn hash(key: &[u8]) -> u64 {
    let digest = Sha256::digest(key);
    let first: [u8; 8] = digest[..8].try_into().expect("a digest has 32 bytes");
    u64::from_be_bytes(first) & !0xFFFF
}

fn is_whole(folder: &Path, run: &Run) -> bool {
    std::fs::metadata(folder.join(&run.file)).is_ok_and(|metadata| metadata.len() == run.bytes())
}

fn write_durably(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let path = folder.join(name);
    let temporary = folder.join(format!("{name}.part"));
    let mut file = File::create(&temporary).map_err(Error::io("write", &temporary))?;
    file.write_all(bytes).and_then(|()| file.sync_data()).map_err(Error::io("write", &temporary))?;
    std::fs::rename(&temporary, &path).map_err(Error::io("write", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::unnecessary_wraps, reason = "a partition's value may be null")]
    fn day(number: u64) -> PartitionValue {
        Some(format!("2016-11-{number:02}"))
    }

    fn spread(seed: u64) -> u64 {
        hash(&seed.to_be_bytes())
    }

    #[test]
    fn every_key_is_found_in_its_partitions_over_many_runs_and_a_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let mut directory = KeyDirectory::open(folder.path(), "t", TableVersion(0)).unwrap();
        for version in 1..=20 {
            let keys = (0..3000).map(|key| spread(version * 10_000 + key)).collect();
            directory.add(&BTreeMap::from([(day(version), keys)]), TableVersion(version)).unwrap();
        }
        // One key that lives in two partitions.
        directory.add(&BTreeMap::from([(day(1), vec![spread(77)]), (day(2), vec![spread(77)])]), TableVersion(21)).unwrap();

        let directory = KeyDirectory::open(folder.path(), "t", TableVersion(30)).unwrap();
        assert_eq!(directory.as_of(), TableVersion(21));
        let sizes: Vec<u64> = directory.manifest.runs.iter().map(|run| run.words).collect();
        assert!(sizes.windows(2).all(|pair| pair[0] > TIER * pair[1]), "{sizes:?}");
        for version in 1..=20 {
            for key in [0, 1, 1499, 2999] {
                let found = directory.look_up(&[spread(version * 10_000 + key)]).unwrap();
                assert!(found.contains(&day(version)), "{version} {key}");
            }
        }
        assert_eq!(directory.look_up(&[spread(77)]).unwrap(), BTreeSet::from([day(1), day(2)]));
        let mut strangers: Vec<u64> = (0..5000).map(|key| spread(900_000_000 + key)).collect();
        strangers.sort_unstable();
        assert!(directory.look_up(&strangers).unwrap().is_empty());
        let mut all: Vec<u64> = (0..3000).map(|key| spread(50_000 + key)).collect();
        all.sort_unstable();
        assert_eq!(directory.look_up(&all).unwrap(), BTreeSet::from([day(5)]));
    }

    /// A key that is missed would come to stand in its table twice.
    #[test]
    fn a_flipped_bit_is_found_before_a_key_is_missed() {
        let folder = tempfile::tempdir().unwrap();
        let mut directory = KeyDirectory::open(folder.path(), "t", TableVersion(0)).unwrap();
        directory.add(&BTreeMap::from([(day(1), (0..1500).map(spread).collect())]), TableVersion(4)).unwrap();
        let path = folder.path().join("000000000004.run");
        let whole = std::fs::read(&path).unwrap();
        let mut all: Vec<u64> = (0..1500).map(spread).collect();
        all.sort_unstable();
        for at in [0, 4095, 4096, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            std::fs::write(&path, bytes).unwrap();
            let error = directory.look_up(&all).unwrap_err();
            assert!(matches!(error, Error::Damaged { .. }), "{error}");
        }
        std::fs::write(&path, whole).unwrap();
        assert_eq!(directory.look_up(&all).unwrap(), BTreeSet::from([day(1)]));
    }

    #[test]
    fn a_directory_of_another_table_or_of_the_future_or_with_a_lost_run_starts_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut directory = KeyDirectory::open(folder.path(), "t", TableVersion(0)).unwrap();
        directory.add(&BTreeMap::from([(day(1), vec![spread(1)])]), TableVersion(4)).unwrap();
        let as_of = |id: &str, current: u64| KeyDirectory::open(folder.path(), id, TableVersion(current)).unwrap().as_of();
        assert_eq!(as_of("t", 4), TableVersion(4));
        assert_eq!(as_of("other", 4), TableVersion(0));
        assert_eq!(as_of("t", 3), TableVersion(0));
        std::fs::remove_file(folder.path().join("000000000004.run")).unwrap();
        assert_eq!(as_of("t", 4), TableVersion(0));
    }
}
