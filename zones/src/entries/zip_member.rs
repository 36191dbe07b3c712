//! One entry of a zip, unpacked and compared with what the directory says of it.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::Crc;

use super::BUFFER_BYTES;
use super::compression::unpack_entry;
use super::error::{Defect, Error};
use super::guard::{Consumed, Input, Position, defect_of};
use super::zip_directory::{LOCAL_HEADER_BYTES, Member};

/// Opens the entry; where it is packed itself (`x.json.gz` in a zip), one level of that is unpacked as well.
pub(super) fn open(path: &Path, member: &Member, consumed: &Consumed) -> Result<(Box<dyn Read + Send>, Position), Error> {
    let failed = |defect| Error::new(path, Some(&member.name), defect);
    let unreadable = |error: io::Error| failed(Defect::of_file_system(&error));
    let mut file = File::open(path).map_err(unreadable)?;
    let start = data_start(&mut file, member.header_start)
        .map_err(unreadable)?
        .ok_or_else(|| failed(Defect::Damaged { at: member.header_start, reason: "there is no local header".to_owned() }))?;
    file.seek(SeekFrom::Start(start)).map_err(unreadable)?;

    let input = Input::new(file.take(member.packed), start, consumed);
    let position = input.position();
    let damaged = |error: io::Error| failed(defect_of(&error, &position));
    let unpacked = member.codec.decode(BufReader::with_capacity(BUFFER_BYTES, input)).map_err(damaged)?;
    let checked = Checked { inner: unpacked, declared: member.size, crc32: member.crc32, crc: Crc::new(), size: 0 };
    let (reader, _) = unpack_entry(checked).map_err(damaged)?;
    Ok((reader, position))
}

/// Where the entry's bytes begin: its local header has a name and an extra field of its own length.
fn data_start(file: &mut File, header_start: u64) -> io::Result<Option<u64>> {
    let mut header = [0; 30];
    file.seek(SeekFrom::Start(header_start))?;
    match file.read_exact(&mut header) {
        Ok(()) if header.starts_with(b"PK\x03\x04") => {}
        Ok(()) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let name = u64::from(u16::from_le_bytes([header[26], header[27]]));
    let extra = u64::from(u16::from_le_bytes([header[28], header[29]]));
    Ok(Some(header_start + LOCAL_HEADER_BYTES + name + extra))
}

/// Compares size and CRC-32 with the directory's, at the end; more bytes than declared fail at once.
struct Checked {
    inner: Box<dyn Read + Send>,
    declared: u64,
    crc32: u32,
    crc: Crc,
    size: u64,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.inner.read(buffer)?;
        self.size += read as u64;
        self.crc.update(&buffer[..read]);
        let is_end = read == 0;
        if self.size > self.declared || (is_end && self.size < self.declared) {
            return Err(Defect::WrongSize { declared: self.declared, found: self.size }.into_io());
        }
        if is_end && self.crc.sum() != self.crc32 {
            return Err(Defect::WrongChecksum { declared: self.crc32, found: self.crc.sum() }.into_io());
        }
        Ok(read)
    }
}
