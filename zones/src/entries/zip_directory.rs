//! The directory of a zip: which entries are read, and whether they can be trusted.
//!
//! The central directory at the file's end is what counts; nothing is read in the order of the file. What is refused for any
//! entry: names that leave the folder, two entries of one name, entries that share bytes (the trick of the largest bombs).
//! What is refused only for entries that the glob takes: links, encryption, methods that are not read.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use zip::ZipArchive;
use zip::read::ZipFileEntry;
use zip::result::ZipError;

use super::compression::Codec;
use super::error::{Defect, Error};
use super::selection::{MAX_ENTRIES, Selection, escapes};

/// Bytes of a local header before name and extra field (APPNOTE 4.3.7).
pub(super) const LOCAL_HEADER_BYTES: u64 = 30;

/// An entry that will be read.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) header_start: u64,
    pub(super) packed: u64,
    pub(super) size: u64,
    pub(super) crc32: u32,
    pub(super) codec: Codec,
}

/// The selected entries, by name.
pub(super) fn members(path: &Path, mut selection: Selection, max_unpacked_bytes: u64) -> Result<Vec<Member>, Error> {
    let of_file = |defect| Error::new(path, None, defect);
    let unreadable = |error: io::Error| of_file(Defect::of_file_system(&error));
    let mut file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let declared = declared_entries(&mut file, length).map_err(unreadable)?;
    if declared > MAX_ENTRIES {
        return Err(of_file(Defect::TooManyEntries { entries: declared, limit: MAX_ENTRIES }));
    }

    let archive = ZipArchive::new(BufReader::new(file)).map_err(|error| of_file(unreadable_archive(error)))?;
    if archive.len() as u64 > MAX_ENTRIES {
        return Err(of_file(Defect::TooManyEntries { entries: archive.len() as u64, limit: MAX_ENTRIES }));
    }
    if archive.has_duplicate_names() {
        return Err(of_file(Defect::DuplicateNames));
    }

    let directory = archive.metadata();
    let mut extents = Vec::new();
    let mut members = Vec::new();
    for index in 0..directory.len() {
        let entry = directory.entry(index).map_err(|error| of_file(unreadable_archive(error)))?;
        let name = entry.name().map_err(|error| of_file(unreadable_archive(error)))?.into_owned();
        if escapes(&name) {
            return Err(Error::new(path, Some(&name), Defect::EscapingName));
        }
        let end = entry.header_start().saturating_add(LOCAL_HEADER_BYTES).saturating_add(entry.compressed_size());
        if end > length {
            return Err(Error::new(path, Some(&name), Defect::Truncated { at: length }));
        }
        extents.push((entry.header_start(), end, name.clone()));
        if entry.is_dir() {
            continue;
        }
        if selection.takes(&name) {
            members.push(member(&entry, &name).map_err(|defect| Error::new(path, Some(&name), defect))?);
        }
    }

    refuse_overlaps(&mut extents).map_err(|(name, defect)| Error::new(path, Some(&name), defect))?;
    selection.finish().map_err(of_file)?;
    let total = members.iter().fold(0, |sum: u64, member| sum.saturating_add(member.size));
    if total > max_unpacked_bytes {
        return Err(of_file(Defect::TooLarge { limit: max_unpacked_bytes }));
    }
    members.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(members)
}

fn member(entry: &ZipFileEntry<'_>, name: &str) -> Result<Member, Defect> {
    if entry.is_symlink() {
        return Err(Defect::SymbolicLink);
    }
    if entry.encrypted() {
        return Err(Defect::Encrypted);
    }
    Ok(Member {
        name: name.to_owned(),
        header_start: entry.header_start(),
        packed: entry.compressed_size(),
        size: entry.size(),
        crc32: entry.crc32(),
        codec: codec(entry.compression())?,
    })
}

fn codec(method: zip::CompressionMethod) -> Result<Codec, Defect> {
    use zip::CompressionMethod as Method;
    // Constants, not variants: which variants there are depends on the features of the zip crate.
    if method == Method::STORE {
        Ok(Codec::None)
    } else if method == Method::DEFLATE {
        Ok(Codec::Deflate)
    } else if method == Method::BZIP2 {
        Ok(Codec::Bzip2)
    } else if method == Method::ZSTD {
        Ok(Codec::Zstd)
    } else if method == Method::XZ {
        Ok(Codec::Xz)
    } else {
        Err(Defect::Method { method: method.to_string() })
    }
}

fn refuse_overlaps(extents: &mut [(u64, u64, String)]) -> Result<(), (String, Defect)> {
    extents.sort_unstable();
    for pair in extents.windows(2) {
        if pair[1].0 < pair[0].1 {
            return Err((pair[1].2.clone(), Defect::Overlap { other: pair[0].2.clone() }));
        }
    }
    Ok(())
}

fn unreadable_archive(error: ZipError) -> Defect {
    match error {
        ZipError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => Defect::of_file_system(&error),
        ZipError::Io(_) => Defect::NotAnArchive { reason: "its directory ends in the middle".to_owned() },
        ZipError::InvalidArchive(reason) if reason.contains("EOCD") => {
            Defect::NotAnArchive { reason: "the directory of its entries, which is its end, is not there".to_owned() }
        }
        ZipError::InvalidArchive(reason) => Defect::NotAnArchive { reason: reason.into_owned() },
        other => Defect::NotAnArchive { reason: other.to_string() },
    }
}

/// How many entries the file's last bytes declare, so that a directory of millions is refused before memory is spent on it.
/// Zero where that cannot be seen: then the archive's reader has the word.
fn declared_entries(file: &mut File, length: u64) -> io::Result<u64> {
    const END: &[u8] = b"PK\x05\x06";
    const LOCATOR64: &[u8] = b"PK\x06\x07";
    const END64: &[u8] = b"PK\x06\x06";
    // The record of 22 bytes, behind it a comment of up to 64 KiB, before it the locator of 20 bytes (APPNOTE 4.3.15, 4.3.16).
    let tail_start = length.saturating_sub(22 + 65_535 + 20);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(tail_start))?;
    file.read_to_end(&mut tail)?;
    let Some(end) = memchr::memmem::rfind(&tail, END) else { return Ok(0) };
    let Some(count) = tail.get(end + 10..end + 12) else { return Ok(0) };
    let count = u64::from(u16::from_le_bytes([count[0], count[1]]));
    let locator = end.checked_sub(20).map(|start| &tail[start..end]).filter(|bytes| bytes.starts_with(LOCATOR64));
    let Some(locator) = locator else { return Ok(count) };
    let offset = u64::from_le_bytes(locator[8..16].try_into().expect("8 bytes"));
    let mut record = [0; 40];
    file.seek(SeekFrom::Start(offset.min(length)))?;
    if file.read_exact(&mut record).is_err() || !record.starts_with(END64) {
        return Ok(count);
    }
    Ok(u64::from_le_bytes(record[32..40].try_into().expect("8 bytes")))
}
