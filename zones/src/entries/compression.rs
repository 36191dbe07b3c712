//! What a file is by its first bytes, and the decoders.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder};
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};
use model::definition::Compression;

use super::BUFFER_BYTES;
use super::error::{Defect, Error};
use super::tar_header::{BLOCK_BYTES, begins_tar};

/// `xz -9` needs 65 MiB to unpack; a header may ask for 4 GiB.
const XZ_MEMORY_BYTES: u64 = 256 * 1024 * 1024;

/// How one stream of bytes is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    None,
    /// Raw, as in a zip; never seen by magic.
    Deflate,
    Gzip,
    Bzip2,
    Zstd,
    Xz,
}

/// What a landed file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    File(Codec),
    Zip,
    /// A tar, packed as a whole.
    Tar(Codec),
}

impl Shape {
    /// By the first block. What is packed is not looked into.
    fn by_head(head: &[u8]) -> Self {
        match head {
            // First: a tar begins with its first entry's name, which may look like anything.
            _ if begins_tar(head) => Self::Tar(Codec::None),
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Self::Zip,
            [0x1f, 0x8b, ..] => Self::File(Codec::Gzip),
            [b'B', b'Z', b'h', ..] => Self::File(Codec::Bzip2),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::File(Codec::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::File(Codec::Xz),
            _ => Self::File(Codec::None),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Zip => "zip",
            Self::File(Codec::Gzip) => "gzip",
            Self::File(Codec::Bzip2) => "bzip2",
            Self::File(Codec::Zstd) => "zstd",
            Self::File(Codec::Xz) => "xz",
            Self::File(Codec::None | Codec::Deflate) => "none of the known compressions",
            Self::Tar(Codec::Gzip) => "tar.gz",
            Self::Tar(Codec::Bzip2) => "tar.bz2",
            Self::Tar(Codec::Zstd) => "tar.zst",
            Self::Tar(Codec::Xz) => "tar.xz",
            Self::Tar(Codec::None | Codec::Deflate) => "tar",
        }
    }
}

/// What the file is: as the landing says, where its first bytes agree; by them, where it says `auto`.
pub(super) fn shape(path: &Path, stated: Compression) -> Result<Shape, Error> {
    let unreadable = |error: io::Error| Error::new(path, None, Defect::of_file_system(&error));
    let head = File::open(path).and_then(head_of).map_err(unreadable)?;
    let mut found = Shape::by_head(&head);
    let mut inner = Vec::new();
    if let Shape::File(codec) = found
        && codec != Codec::None
    {
        // What is damaged already here is found out, with its place, when it is read.
        let file = File::open(path).map_err(unreadable)?;
        inner = codec.decode(BufReader::with_capacity(BUFFER_BYTES, file)).and_then(head_of).unwrap_or_default();
        if begins_tar(&inner) {
            found = Shape::Tar(codec);
        }
    }
    let expected = match stated {
        Compression::Auto => return Ok(found),
        Compression::None => return Ok(Shape::File(Codec::None)),
        _ if head.is_empty() => return Ok(Shape::File(Codec::None)),
        Compression::Gzip => Shape::File(Codec::Gzip),
        Compression::Bzip2 => Shape::File(Codec::Bzip2),
        Compression::Zstd => Shape::File(Codec::Zstd),
        Compression::Xz => Shape::File(Codec::Xz),
        Compression::Zip => Shape::Zip,
        Compression::Tar => Shape::Tar(Codec::None),
        Compression::TarGzip => Shape::Tar(Codec::Gzip),
        Compression::TarBzip2 => Shape::Tar(Codec::Bzip2),
        Compression::TarZstd => Shape::Tar(Codec::Zstd),
        Compression::TarXz => Shape::Tar(Codec::Xz),
    };
    if let (Shape::Tar(stated), Shape::File(codec)) = (expected, found)
        && stated == codec
    {
        // A tar without entries is nothing but zeros: only the landing can say what that is.
        let block = if codec == Codec::None { &head } else { &inner };
        if block.len() == BLOCK_BYTES && block.iter().all(|byte| *byte == 0) {
            return Ok(expected);
        }
    }
    if expected == found {
        return Ok(found);
    }
    Err(Error::new(path, None, Defect::OtherCompression { expected: expected.name(), found: found.name() }))
}

/// The first block, or all there is.
fn head_of(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(BLOCK_BYTES);
    reader.take(BLOCK_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// The bytes of an archive's entry; where it is packed itself (`x.json.gz` in a zip), one level of that is unpacked as well, and
/// true comes with it.
///
/// An archive in the archive is refused, also one that is packed.
pub(super) fn unpack_entry(mut entry: impl Read + Send + 'static) -> io::Result<(Box<dyn Read + Send>, bool)> {
    let head = head_of(&mut entry)?;
    let codec = match Shape::by_head(&head) {
        Shape::Zip | Shape::Tar(_) => return Err(Defect::NestedArchive.into_io()),
        Shape::File(codec) => codec,
    };
    let entry = Cursor::new(head).chain(entry);
    if codec == Codec::None {
        return Ok((Box::new(entry), false));
    }
    let mut unpacked = codec.decode(BufReader::with_capacity(BUFFER_BYTES, entry))?;
    let head = head_of(&mut unpacked)?;
    match Shape::by_head(&head) {
        Shape::Tar(_) | Shape::Zip => Err(Defect::NestedArchive.into_io()),
        Shape::File(_) => Ok((Box::new(Cursor::new(head).chain(unpacked)), true)),
    }
}

impl Codec {
    /// The unpacked bytes, to the end of the last member or stream.
    pub(super) fn decode(self, packed: impl BufRead + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::None => Box::new(packed),
            Self::Deflate => Box::new(DeflateDecoder::new(packed)),
            Self::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Self::Bzip2 => Box::new(MultiBzDecoder::new(packed)),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(packed)?),
            Self::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY_BYTES, CONCATENATED)?;
                Box::new(XzDecoder::new_stream(packed, stream))
            }
        })
    }
}
