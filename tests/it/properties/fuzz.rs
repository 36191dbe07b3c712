//! Bytes that nobody would write: nothing panics, nothing hangs, and what is read does not depend on how it arrives.
//!
//! Each target begins with the files of `tests/fuzz/TARGET/` and changes them: bits, bytes, pieces cut out, doubled, or taken from
//! another file. In `make test` a bounded number of changes from one seed, the same every time; `make fuzz SECONDS=600` goes on from a
//! new seed for as long as it is told. An input that fails is made smaller and written beside the others as `failed-...`: commit
//! it with the fix, and it is tried first from then on. There is no coverage feedback: the engines that have it need a nightly
//! compiler.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sha2::{Digest, Sha256};

use super::decoders;

/// An input that takes longer is a hang: the slowest of the corpus take some milliseconds.
const HANG: Duration = Duration::from_secs(30);
/// How often a target is tried in `make test`.
const USUAL_TRIES: u64 = 1_500;
/// No input grows beyond this.
const MOST_BYTES: usize = 64 << 10;
/// What means something to one decoder or another.
const WORDS: [&[u8]; 20] = [
    b"\n",
    b"\r\n",
    b"\"",
    b"\\",
    b"\0",
    b"{",
    b"}",
    b"[",
    b",",
    b";",
    b"'",
    b"null",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x1f\x8b\x08",
    b"BZh9",
    b"PK\x03\x04",
    b"\x28\xb5\x2f\xfd",
    b"PAR1",
    b"9999999999999999999999",
];

type Target = fn(&[u8]);

fn corpus(name: &str) -> (PathBuf, Vec<Vec<u8>>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let inputs = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    (folder, inputs)
}

/// Runs one input on a thread of its own: what it said if it failed.
fn failure(target: Target, input: &[u8]) -> Option<String> {
    let (done, is_done) = channel();
    let owned = input.to_vec();
    let worker = std::thread::spawn(move || {
        target(&owned);
        let _ = done.send(());
    });
    match is_done.recv_timeout(HANG) {
        Ok(()) => None,
        Err(RecvTimeoutError::Timeout) => Some(format!("has not ended after {} s", HANG.as_secs())),
        Err(RecvTimeoutError::Disconnected) => {
            let panic = worker.join().expect_err("it did not send");
            let said = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            Some(said.unwrap_or_else(|| "panicked".to_owned()))
        }
    }
}

fn changed(random: &mut StdRng, inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = inputs[random.random_range(0..inputs.len())].clone();
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..=bytes.len());
        let end = bytes.len().min(at + random.random_range(1..40));
        match random.random_range(0..8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = random.random(),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => {
                let word = WORDS[random.random_range(0..WORDS.len())];
                bytes.splice(at..at, word.iter().copied());
            }
            5 => bytes.truncate(at),
            6 => {
                let other = &inputs[random.random_range(0..inputs.len())];
                let from = random.random_range(0..=other.len());
                bytes.splice(at.., other[from..].iter().copied());
            }
            // A number in the file's structure.
            _ if at + 4 <= bytes.len() => {
                let number: u32 = [0, 1, 0x7f, 0xff, 0xffff, u32::MAX, random.random()][random.random_range(0..7)];
                bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
            }
            _ => {}
        }
    }
    bytes.truncate(MOST_BYTES);
    bytes
}

/// Leaves out what is not needed for the failure.
fn smaller(target: Target, mut input: Vec<u8>) -> Vec<u8> {
    let started = Instant::now();
    let mut piece = input.len() / 2;
    while piece > 0 && started.elapsed() < HANG {
        let mut at = 0;
        while at < input.len() && started.elapsed() < HANG {
            let mut without = input.clone();
            without.drain(at..input.len().min(at + piece));
            if failure(target, &without).is_some() {
                input = without;
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    input
}

fn fuzz(name: &str, target: Target) {
    let (folder, inputs) = corpus(name);
    let number = |variable: &str| std::env::var(variable).ok().and_then(|value| value.parse::<u64>().ok());
    let seconds = number("SLUICE_FUZZ_SECONDS").map(Duration::from_secs);
    let seed = number("SLUICE_FUZZ_SEED").unwrap_or_else(|| if seconds.is_some() { rand::random() } else { 1 });
    let mut random = StdRng::seed_from_u64(seed);
    let started = Instant::now();
    let mut tries = 0;
    for at in 0_usize.. {
        let goes_on = seconds.map_or(tries < USUAL_TRIES, |seconds| started.elapsed() < seconds);
        let input = match inputs.get(at) {
            Some(input) => input.clone(),
            None if goes_on => changed(&mut random, &inputs),
            None => break,
        };
        tries += 1;
        let Some(said) = failure(target, &input) else { continue };
        let input = if said.starts_with("has not ended") { input } else { smaller(target, input) };
        let digest = Sha256::digest(&input);
        let path = folder.join(format!("failed-{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3]));
        std::fs::write(&path, &input).unwrap();
        panic!("{name}: {said}\nseed {seed}, try {tries}; the input is {} now\n{}", path.display(), input.escape_ascii());
    }
    println!("{name}: {tries} inputs in {:.1} s, seed {seed}", started.elapsed().as_secs_f64());
}

#[test]
fn any_bytes_are_json_lines_or_rejects() {
    fuzz("json_lines", decoders::json_lines);
}

#[test]
fn any_bytes_are_csv_records_or_rejects_or_an_error() {
    fuzz("csv", decoders::csv);
}

#[test]
fn any_bytes_are_a_parquet_file_or_an_error() {
    fuzz("parquet", decoders::parquet);
}

#[test]
fn any_bytes_are_an_archive_or_an_error() {
    fuzz("archives", decoders::archive);
}

#[test]
fn any_text_is_a_definition_or_a_list_of_problems_with_places() {
    fuzz("definition", decoders::definition);
}

#[test]
fn any_text_is_a_value_of_a_type_or_none() {
    fuzz("values", decoders::values);
}
