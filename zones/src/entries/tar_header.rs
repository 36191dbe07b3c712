//! The headers of a tar: what the next entry is.
//!
//! Read are the formats of V7, ustar, GNU (long names, large sizes, sparse files) and pax. What can be read in two ways is
//! refused and not guessed: an entry with two names, a link with bytes of its own, values for one entry that are given for all.
//! Memory: one extended header of at most [`MAX_EXTENSION_BYTES`].

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::error::Defect;

pub(super) const BLOCK_BYTES: usize = 512;

/// Linux takes paths of 4 KiB. Other values of a pax header (extended attributes) are passed over, but have to fit as well.
const MAX_EXTENSION_BYTES: u64 = 1024 * 1024;

/// Before one entry there are two at most (name and link target, or local and global values); more is no tar of any program.
const MAX_EXTENSIONS: usize = 8;

/// No file is larger, and sums of sizes stay numbers.
const MAX_SIZE: u64 = i64::MAX.cast_unsigned();

/// Where GNU headers say that blocks of a map of a sparse file follow.
const IS_EXTENDED: usize = 482;
const IS_EXTENDED_AGAIN: usize = 504;

/// What a header announces.
#[derive(Debug)]
pub(super) struct Head {
    /// As it is written in the archive.
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    /// Bytes that follow, without what fills up the last block.
    pub(super) size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    SymbolicLink,
    Sparse,
    /// A link, a device, or what only another program understands.
    Other(&'static str),
    /// The name of the archive itself.
    Label,
}

/// What stands before a header and belongs to it.
#[derive(Default)]
struct Extensions {
    count: usize,
    gnu_name: Option<Vec<u8>>,
    has_local: bool,
    pax: Pax,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Pax {
    path: Option<Vec<u8>>,
    size: Option<u64>,
    is_sparse: bool,
    sparse_name: Option<Vec<u8>>,
}

fn damaged(reason: impl Into<String>) -> io::Error {
    // Its place is known to the reader below.
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

/// Whether these first bytes are a tar's: by its magic, or by the checksum of a header of old.
pub(super) fn begins_tar(head: &[u8]) -> bool {
    let has_magic = |magic: &[u8]| head.get(257..).is_some_and(|rest| rest.starts_with(magic));
    if has_magic(b"ustar\0") || has_magic(b"ustar  \0") {
        return true;
    }
    // No text has the zeros that fill up a header's fields.
    head.len() == BLOCK_BYTES && head[0] != 0 && head.contains(&0) && has_right_checksum(head)
}

fn has_right_checksum(block: &[u8]) -> bool {
    let Ok(stated) = Header::from_byte_slice(block).cksum() else { return false };
    let is_counted = |at: usize| !(148..156).contains(&at);
    let value = |(at, byte): (usize, &u8)| if is_counted(at) { *byte } else { b' ' };
    let unsigned: u32 = block.iter().enumerate().map(value).map(u32::from).sum();
    // Some programs of old took bytes for signed numbers.
    let signed: i32 = block.iter().enumerate().map(value).map(|byte| i32::from(byte.cast_signed())).sum();
    stated == unsigned || i64::from(stated) == i64::from(signed)
}

/// The next entry's header; `None` at the archive's end mark, behind which everything was read and is zero.
pub(super) fn read_head(reader: &mut impl Read) -> io::Result<Option<Head>> {
    let mut extensions = Extensions::default();
    loop {
        let block = read_block(reader)?;
        if block.iter().all(|byte| *byte == 0) {
            if extensions.count > 0 {
                return Err(damaged("an extended header has no entry"));
            }
            read_zeros(reader)?;
            return Ok(None);
        }
        if !has_right_checksum(&block) {
            return Err(damaged("an entry's header has a wrong checksum"));
        }
        let header = Header::from_byte_slice(&block);
        if !extensions.read(header, reader)? {
            return extensions.apply(header, reader).map(Some);
        }
    }
}

fn read_block(reader: &mut impl Read) -> io::Result<[u8; BLOCK_BYTES]> {
    let mut block = [0; BLOCK_BYTES];
    reader.read_exact(&mut block)?;
    Ok(block)
}

/// Tars are filled up with zeros; another tar behind the end mark would be lost.
fn read_zeros(reader: &mut impl Read) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) if buffer[..read].iter().all(|byte| *byte == 0) => {}
            Ok(_) => return Err(damaged("bytes follow on the archive's end mark")),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// How many bytes fill up the last block.
pub(super) fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK_BYTES as u64
}

fn size_of(header: &Header) -> io::Result<u64> {
    let field = &header.as_old().size;
    let is_binary = field[0] & 0x80 != 0;
    if is_binary && (field[0] != 0x80 || field[1..4] != [0; 3]) {
        return Err(damaged("an entry's size is out of range"));
    }
    header.entry_size().map_err(|_| damaged("an entry's size is not a number"))
}

impl Extensions {
    /// Reads what the header announces if it is an extension of the next one; false if it is an entry's own.
    fn read(&mut self, header: &Header, reader: &mut impl Read) -> io::Result<bool> {
        match header.entry_type() {
            EntryType::XHeader => {
                if std::mem::replace(&mut self.has_local, true) {
                    return Err(damaged("an entry has two extended headers"));
                }
                self.pax = Pax::parse(&read_extension(header, reader)?)?;
            }
            EntryType::XGlobalHeader => {
                if Pax::parse(&read_extension(header, reader)?)? != Pax::default() {
                    return Err(damaged("a name or a size is given for all entries"));
                }
            }
            EntryType::GNULongName => {
                let mut name = read_extension(header, reader)?;
                let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
                name.truncate(end);
                if self.gnu_name.replace(name).is_some() {
                    return Err(damaged("an entry has two long names"));
                }
            }
            EntryType::GNULongLink => drop(read_extension(header, reader)?),
            _ => return Ok(false),
        }
        self.count += 1;
        if self.count > MAX_EXTENSIONS {
            return Err(damaged(format!("an entry has more than {MAX_EXTENSIONS} extended headers")));
        }
        Ok(true)
    }

    fn apply(self, header: &Header, reader: &mut impl Read) -> io::Result<Head> {
        let Pax { path, size, is_sparse, sparse_name } = self.pax;
        let name = match (sparse_name.or(path), self.gnu_name) {
            (Some(_), Some(_)) => return Err(damaged("an entry has two names")),
            (Some(name), None) | (None, Some(name)) => name,
            (None, None) => header.path_bytes().into_owned(),
        };
        let size = size.map_or_else(|| size_of(header), Ok)?;
        if size > MAX_SIZE {
            return Err(damaged("an entry's size is out of range"));
        }
        let kind = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous if is_sparse => Kind::Sparse,
            EntryType::Regular if name.ends_with(b"/") => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::SymbolicLink,
            EntryType::Link => Kind::Other("a hard link"),
            EntryType::Char | EntryType::Block => Kind::Other("a device"),
            EntryType::Fifo => Kind::Other("a named pipe"),
            EntryType::GNUSparse => {
                skip_sparse_map(header, reader)?;
                Kind::Sparse
            }
            other => match other.as_byte() {
                b'V' => Kind::Label,
                b'M' => return Err(damaged("it goes on with an entry that began in another volume")),
                _ => Kind::Other("of a kind that is not known"),
            },
        };
        let has_bytes = matches!(kind, Kind::File | Kind::Sparse) || !is_posix(header.entry_type());
        if size > 0 && !has_bytes {
            return Err(damaged("a folder, link or device has bytes of its own"));
        }
        Ok(Head { name, kind, size })
    }
}

fn is_posix(kind: EntryType) -> bool {
    matches!(kind.as_byte(), b'0'..=b'7')
}

fn read_extension(header: &Header, reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let size = size_of(header)?;
    if size > MAX_EXTENSION_BYTES {
        return Err(damaged(format!("an extended header has {size} bytes, more than {MAX_EXTENSION_BYTES}")));
    }
    let mut bytes = Vec::new();
    let with_padding = size + padding(size);
    if reader.take(with_padding).read_to_end(&mut bytes)? as u64 != with_padding {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    bytes.truncate(usize::try_from(size).expect("at most 1 MiB"));
    Ok(bytes)
}

fn skip_sparse_map(header: &Header, reader: &mut impl Read) -> io::Result<()> {
    let mut is_extended = header.as_bytes()[IS_EXTENDED] == 1;
    while is_extended {
        is_extended = read_block(reader)?[IS_EXTENDED_AGAIN] == 1;
    }
    Ok(())
}

impl Pax {
    /// Records are `LENGTH KEY=VALUE\n`, the length in bytes and over all of it; a value may hold anything.
    fn parse(mut bytes: &[u8]) -> io::Result<Self> {
        let malformed = || damaged("an extended header is malformed");
        let mut pax = Self::default();
        while !bytes.is_empty() {
            let space = bytes.iter().position(|byte| *byte == b' ').ok_or_else(malformed)?;
            let length = std::str::from_utf8(&bytes[..space]).ok().and_then(|length| length.parse::<usize>().ok());
            let length = length.filter(|length| *length > space + 1 && *length <= bytes.len()).ok_or_else(malformed)?;
            let record = bytes[space + 1..length].strip_suffix(b"\n").ok_or_else(malformed)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => pax.path = Some(value.to_vec()),
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|size| size.parse().ok());
                    pax.size = Some(size.ok_or_else(malformed)?);
                }
                b"GNU.sparse.name" => pax.sparse_name = Some(value.to_vec()),
                _ if key.starts_with(b"GNU.sparse.") => pax.is_sparse = true,
                _ => {}
            }
            bytes = &bytes[length..];
        }
        pax.is_sparse |= pax.sparse_name.is_some();
        Ok(pax)
    }
}

impl Kind {
    /// Why an entry of this kind is not read; `None` where it is.
    pub(super) fn defect(self) -> Option<Defect> {
        match self {
            Self::File => None,
            Self::SymbolicLink => Some(Defect::SymbolicLink),
            Self::Sparse => Some(Defect::Sparse),
            Self::Directory => Some(Defect::NotAFile { what: "a folder" }),
            Self::Label => Some(Defect::NotAFile { what: "the name of the archive" }),
            Self::Other(what) => Some(Defect::NotAFile { what }),
        }
    }
}
