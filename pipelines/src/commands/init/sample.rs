//! Reads a bounded part of a file: its beginning, and where it is longer also pieces from further on and its end.
//!
//! Memory is bounded by [`SAMPLE_BYTES`] whatever the file. The file is read as a load reads it: any compression, any archive.

use std::io::Read;
use std::path::{Path, PathBuf};

use model::definition::{Compression, Csv, Format, Header, Landing, TextEncoding};
use zones::decode::sample::{ParquetRows, csv_records, parquet_rows, transcoded};
use zones::entries::{self, Entry};

use super::Error;
use super::sniff::{CsvFound, Found, sniff};

/// Of all entries together.
const SAMPLE_BYTES: usize = 64 << 20;
/// Records of one table that types are inferred from; all sampled bytes are tried out on the result.
pub(super) const SAMPLE_RECORDS: usize = 50_000;
/// What is read at once, and kept at once further on in the file.
const CHUNK: usize = 2 << 20;
/// More is not unpacked to get to the end.
const MOST_UNPACKED: usize = 8 << 30;
/// Entries of an archive that are looked into.
const MOST_ENTRIES: usize = 200;

/// What was read of one entry.
pub(super) struct Part {
    /// The path in the archive; the file's name without one.
    pub(super) entry: String,
    pub(super) found: Found,
    /// The beginning: whole records.
    pub(super) head: Vec<u8>,
    /// Pieces from further on: whole records, without a header.
    pub(super) later: Vec<Vec<u8>>,
    /// Whether `head` is everything.
    pub(super) is_whole: bool,
    pub(super) rows: Option<ParquetRows>,
}

/// A file, sampled.
pub(super) struct Sample {
    pub(super) parts: Vec<Part>,
    /// Whether the file is an archive.
    pub(super) is_archive: bool,
}

fn landing(entries: &str) -> Landing {
    Landing {
        name: "sample".into(),
        source: "sample".into(),
        compression: Compression::Auto,
        entries: entries.to_owned(),
        format: Format::JsonLines,
        max_record_bytes: 16 << 20,
        max_unpacked_bytes: 1 << 40,
    }
}

/// Samples a file of this machine.
pub(super) fn sample(path: &Path, folder: &Path) -> Result<Sample, Error> {
    let own_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut names = Vec::new();
    for entry in entries::open(path, &landing("*"))? {
        names.push(entry?.name);
    }
    let is_archive = names.len() > 1 || names.iter().any(|name| *name != own_name);
    let budget = SAMPLE_BYTES / names.len().clamp(1, MOST_ENTRIES);
    let mut parts = Vec::new();
    for entry in entries::open(path, &landing("*"))?.take(MOST_ENTRIES) {
        parts.push(part(entry?, path, folder, budget)?);
    }
    Ok(Sample { parts, is_archive })
}

/// Reads one chunk, or what is left.
fn chunk(reader: &mut dyn Read) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    reader.take(CHUNK as u64).read_to_end(&mut bytes).map_err(Error::reading)?;
    Ok(bytes)
}

fn part(entry: Entry, path: &Path, folder: &Path, budget: usize) -> Result<Part, Error> {
    let Entry { name, mut reader, file } = entry;
    let mut head = chunk(&mut reader)?;
    let found = sniff(&head);
    let mut part = Part { entry: name.clone(), found, head: Vec::new(), later: Vec::new(), is_whole: true, rows: None };
    match &part.found {
        Found::Other(_) => return Ok(part),
        Found::Parquet => {
            part.rows = Some(rows(path, &name, file, folder)?);
            part.is_whole = part.rows.as_ref().is_some_and(|rows| rows.is_whole);
            return Ok(part);
        }
        Found::JsonLines | Found::Csv(_) => {}
    }
    let mut last_length = head.len();
    while last_length == CHUNK && head.len() < budget / 2 {
        let more = chunk(&mut reader)?;
        last_length = more.len();
        head.extend(more);
    }
    part.is_whole = last_length < CHUNK;
    let mut later = if part.is_whole { Vec::new() } else { further_on(&mut reader, head.len(), budget / 2)? };
    if !part.is_whole {
        head.truncate(head.iter().rposition(|byte| *byte == b'\n').map_or(head.len(), |end| end + 1));
    }
    if let Found::Csv(csv) = &part.found {
        // Without its byte order mark a piece could not be told from another encoding.
        if csv.csv.encoding == TextEncoding::Utf16 {
            later.clear();
        }
        later = later.into_iter().filter_map(|piece| whole_csv(piece, csv)).collect();
    } else {
        later = later.into_iter().filter_map(whole_lines).collect();
    }
    (part.head, part.later) = (head, later);
    Ok(part)
}

/// Pieces of the rest of a file: at twice the distance each, and the end.
fn further_on(reader: &mut dyn Read, begun: usize, budget: usize) -> Result<Vec<Vec<u8>>, Error> {
    let (mut pieces, mut at, mut next) = (Vec::new(), begun, begun * 2);
    let mut last = Vec::new();
    while at < MOST_UNPACKED {
        let bytes = chunk(reader)?;
        if bytes.is_empty() {
            break;
        }
        at += bytes.len();
        if at >= next && (pieces.len() + 2) * CHUNK <= budget {
            pieces.push(bytes);
            last = Vec::new();
            next *= 2;
        } else {
            last = bytes;
        }
    }
    pieces.push(last);
    Ok(pieces)
}

/// The whole lines in a piece.
fn whole_lines(mut piece: Vec<u8>) -> Option<Vec<u8>> {
    let end = piece.iter().rposition(|byte| *byte == b'\n')? + 1;
    let begin = piece.iter().position(|byte| *byte == b'\n')? + 1;
    piece.truncate(end);
    piece.drain(..begin.min(end));
    (!piece.is_empty()).then_some(piece)
}

/// The whole records in a piece: it may begin within quotes, so the first line is taken from which on records are as wide as
/// they should be.
fn whole_csv(piece: Vec<u8>, csv: &CsvFound) -> Option<Vec<u8>> {
    const LOOK_AHEAD: usize = 20;
    let mut piece = whole_lines(piece)?;
    for _ in 0..LOOK_AHEAD {
        let text = String::from_utf8_lossy(&piece[..piece.len().min(64 << 10)]);
        let found = csv_records(&text, &csv.csv, LOOK_AHEAD);
        if found.wrong == 0 && found.records.iter().all(|record| record.len() == csv.names.len()) {
            return Some(piece);
        }
        let begin = piece.iter().position(|byte| *byte == b'\n')? + 1;
        piece.drain(..begin);
    }
    None
}

fn rows(path: &Path, name: &str, file: Option<PathBuf>, folder: &Path) -> Result<ParquetRows, Error> {
    let again = entries::open(path, &landing(&glob::Pattern::escape(name)));
    let entry = match file {
        Some(path) => Entry { name: name.to_owned(), reader: Box::new(std::io::empty()), file: Some(path) },
        None => again?.next().expect("an entry that was there before")?,
    };
    Ok(parquet_rows(entry, folder, SAMPLE_RECORDS)?)
}

impl Part {
    /// How the pieces that have no header are read.
    pub(super) fn csv_without_header(csv: &CsvFound) -> Csv {
        Csv { header: Header::Names(csv.names.clone()), ..csv.csv.clone() }
    }

    /// The records of a CSV part, without its header, and how many there are of another width.
    pub(super) fn csv_records(&self, csv: &CsvFound) -> (Vec<Vec<String>>, usize) {
        let cut = |bytes: &[u8]| {
            let text = transcoded(bytes.to_vec(), csv.csv.encoding);
            csv_records(&String::from_utf8_lossy(&text), &csv.csv, usize::MAX)
        };
        let head = cut(&self.head);
        let mut wrong = head.wrong;
        let mut records = head.records;
        if csv.csv.header == Header::Line && !records.is_empty() {
            records.remove(0);
        }
        for piece in &self.later {
            records.extend(cut(piece).records);
        }
        let before = records.len();
        records.retain(|record| record.len() == csv.names.len());
        wrong += before - records.len();
        (records, wrong)
    }

    /// The records of a part that is JSON already, or can be.
    pub(super) fn json_records(&self) -> Vec<&str> {
        if let Some(rows) = &self.rows {
            return rows.records.iter().map(String::as_str).collect();
        }
        let pieces = std::iter::once(&self.head).chain(&self.later);
        let lines = pieces.flat_map(|piece| piece.split(|byte| *byte == b'\n'));
        lines.filter_map(|line| std::str::from_utf8(line).ok()).map(str::trim).filter(|line| !line.is_empty()).collect()
    }
}

/// At most so many records, from the beginning, the middle and the end.
pub(super) fn thinned<T>(records: Vec<T>) -> Vec<T> {
    if records.len() <= SAMPLE_RECORDS {
        return records;
    }
    let count = records.len();
    let third = SAMPLE_RECORDS / 3;
    let middle = count / 2 - third / 2..count / 2 - third / 2 + third;
    let is_kept = |place: &usize| *place < third || middle.contains(place) || *place >= count - third;
    records.into_iter().enumerate().filter(|(place, _)| is_kept(place)).map(|(_, record)| record).collect()
}
