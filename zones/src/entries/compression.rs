//! Which compression a file has, and its decoder.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::Path;

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder};
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};
use model::definition::Compression;

use super::error::{Defect, Error};

/// The longest of the beginnings below.
pub(super) const MAGIC_BYTES: usize = 6;

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
}

impl Shape {
    /// By the first bytes.
    pub(super) fn by_magic(head: &[u8]) -> Self {
        match head {
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
        }
    }
}

/// What the file is: as the landing says, where its first bytes agree; by them, where it says `auto`.
pub(super) fn shape(path: &Path, stated: Compression) -> Result<Shape, Error> {
    let head = head_of(path).map_err(|error| Error::new(path, None, Defect::of_file_system(&error)))?;
    let found = Shape::by_magic(&head);
    let expected = match stated {
        Compression::Auto => return Ok(found),
        Compression::None => return Ok(Shape::File(Codec::None)),
        _ if head.is_empty() => return Ok(Shape::File(Codec::None)),
        Compression::Gzip => Shape::File(Codec::Gzip),
        Compression::Bzip2 => Shape::File(Codec::Bzip2),
        Compression::Zstd => Shape::File(Codec::Zstd),
        Compression::Xz => Shape::File(Codec::Xz),
        Compression::Zip => Shape::Zip,
    };
    if expected == found {
        return Ok(found);
    }
    Err(Error::new(path, None, Defect::OtherCompression { expected: expected.name(), found: found.name() }))
}

fn head_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(MAGIC_BYTES);
    File::open(path)?.take(MAGIC_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
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
