//! The file as it is sent: compressed or not.

use crate::{digest, new_file};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Cursor, Seek, Write};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    Bz2,
    Gz,
    Zst,
    Zip,
    None,
}

/// A file that is complete in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenFile {
    pub name: String,
    pub compression: Compression,
    /// Length of the file.
    pub bytes: u64,
    /// Length of the lines in it.
    pub uncompressed_bytes: u64,
    /// Of the file as it is, in hex.
    pub sha256: String,
}

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("{path} names no file")]
    NoFileName { path: PathBuf },
    #[error("write {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error("read back {path}")]
    ReadBack { path: PathBuf, source: io::Error },
}

impl Compression {
    /// What a file of this name is expected to hold.
    pub fn of_path(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("bz2") => Self::Bz2,
            Some("gz") => Self::Gz,
            Some("zst") => Self::Zst,
            Some("zip") => Self::Zip,
            _ => Self::None,
        }
    }
}

/// Writes the lines to a file that appears when it is complete ([`new_file::put_in_place`]).
pub fn write_file(
    path: &Path,
    compression: Compression,
    write_lines: impl FnOnce(&mut dyn Write) -> io::Result<u64>,
) -> Result<WrittenFile, WriteError> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| WriteError::NoFileName { path: path.to_owned() })?;
    let uncompressed_bytes = new_file::put_in_place(path, |out| encode(compression, name, out, write_lines))
        .map_err(|source| WriteError::Write { path: path.to_owned(), source })?;
    let (bytes, sha256) = File::open(path)
        .and_then(digest::length_and_sha256)
        .map_err(|source| WriteError::ReadBack { path: path.to_owned(), source })?;
    Ok(WrittenFile { name: name.to_owned(), compression, bytes, uncompressed_bytes, sha256 })
}

/// Some lines, compressed in memory. `name` is the name of the file that they would be in; a zip's entry is named after it.
pub fn compress(lines: &[u8], compression: Compression, name: &str) -> Vec<u8> {
    let mut compressed = Cursor::new(Vec::new());
    encode(compression, name, &mut compressed, |out| out.write_all(lines).map(|()| lines.len() as u64))
        .expect("memory takes any bytes");
    compressed.into_inner()
}

fn encode(
    compression: Compression,
    name: &str,
    mut sink: impl Write + Seek,
    write_lines: impl FnOnce(&mut dyn Write) -> io::Result<u64>,
) -> io::Result<u64> {
    match compression {
        Compression::None => write_lines(&mut sink),
        Compression::Bz2 => {
            let mut encoder = bzip2::write::BzEncoder::new(sink, bzip2::Compression::best());
            let bytes = write_lines(&mut encoder)?;
            encoder.finish()?;
            Ok(bytes)
        }
        Compression::Gz => {
            let mut encoder = flate2::write::GzEncoder::new(sink, flate2::Compression::default());
            let bytes = write_lines(&mut encoder)?;
            encoder.finish()?;
            Ok(bytes)
        }
        Compression::Zst => {
            let mut encoder = zstd::stream::write::Encoder::new(sink, 3)?;
            let bytes = write_lines(&mut encoder)?;
            encoder.finish()?;
            Ok(bytes)
        }
        Compression::Zip => {
            let mut archive = zip::ZipWriter::new(sink);
            // A fixed time, or the bytes would depend on the clock.
            let entry = zip::write::SimpleFileOptions::default()
                .compression_method(zip::CompressionMethod::Deflated)
                .compression_level(Some(6))
                .last_modified_time(zip::DateTime::default())
                .large_file(true);
            archive.start_file(entry_name(name), entry)?;
            let bytes = write_lines(&mut archive)?;
            archive.finish()?;
            Ok(bytes)
        }
    }
}

/// `session_events.json` of `session_events.zip` or `session_events.json.zip`.
fn entry_name(archive: &str) -> String {
    let stem = archive.strip_suffix(".zip").unwrap_or(archive);
    if stem.contains('.') { stem.to_owned() } else { format!("{stem}.json") }
}
