//! Opens the reader of a landing's format over one entry.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use encoding_rs::{Decoder as TextDecoder, DecoderResult, UTF_16LE, WINDOWS_1252};
use model::definition::{Format, TextEncoding};

use super::blocks::BlockReader;
use super::csv::{CsvReader, Stop};
use super::parquet::RowReader;
use super::{Decoder, Piece};
use crate::entries::Entry;
use crate::error::Error;

/// The pieces of one entry, in order.
pub struct Pieces {
    entry: Arc<str>,
    reader: Reader,
}

enum Reader {
    Lines(BlockReader<Box<dyn Read + Send>>),
    Csv(Box<CsvReader<Box<dyn Read + Send>>>),
    Rows(RowReader),
}

/// Opens an entry. What cannot be read from its beginning to its end (Parquet) is unpacked into `folder`, as a file without a
/// name that is gone when it is closed.
pub fn open(entry: Entry, format: &Format, decoder: &Decoder, max_record_bytes: u64, folder: &Path) -> Result<Pieces, Error> {
    let name: Arc<str> = entry.name.as_str().into();
    let reader = match format {
        Format::JsonLines => Reader::Lines(BlockReader::new(entry.reader, name.clone(), max_record_bytes)),
        Format::Csv(csv) => {
            let input = as_utf8(entry.reader, csv.encoding);
            Reader::Csv(Box::new(CsvReader::new(input, name.clone(), csv, decoder.fields.clone(), max_record_bytes)))
        }
        Format::Parquet => Reader::Rows(RowReader::open(entry, folder)?),
    };
    Ok(Pieces { entry: name, reader })
}

impl Pieces {
    /// The next piece; `None` at the end.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, Error> {
        match &mut self.reader {
            Reader::Lines(reader) => reader.next_piece().map_err(Error::reading),
            Reader::Csv(reader) => reader.next_piece().map_err(|stop| match stop {
                Stop::Io(error) => Error::reading(error),
                Stop::Unusable { problem, hint } => Error::Unreadable { entry: self.entry.to_string(), problem, hint },
            }),
            Reader::Rows(reader) => reader.next_piece(),
        }
    }
}

/// Text of an encoding as UTF-8.
pub(super) fn as_utf8(text: Box<dyn Read + Send>, encoding: TextEncoding) -> Box<dyn Read + Send> {
    match encoding {
        TextEncoding::Utf8 => text,
        TextEncoding::Latin1 | TextEncoding::Windows1252 => {
            Box::new(Transcoded::new(text, WINDOWS_1252.new_decoder_without_bom_handling()))
        }
        TextEncoding::Utf16 => Box::new(Transcoded::new(text, UTF_16LE.new_decoder())),
    }
}

/// How much is transcoded at once.
const CHUNK: usize = 64 << 10;

/// Another encoding as UTF-8. What is not of that encoding becomes a byte that is not UTF-8, so that its record is set aside.
struct Transcoded<R> {
    input: R,
    decoder: TextDecoder,
    /// Bytes that were read and not decoded yet.
    raw: Vec<u8>,
    at_end: bool,
    out: Vec<u8>,
    taken: usize,
    is_done: bool,
}

impl<R: Read> Transcoded<R> {
    fn new(input: R, decoder: TextDecoder) -> Self {
        Self { input, decoder, raw: Vec::new(), at_end: false, out: Vec::new(), taken: 0, is_done: false }
    }

    /// Decodes some more into the empty `out`.
    fn decode(&mut self) -> io::Result<()> {
        if self.raw.is_empty() && !self.at_end {
            self.raw.resize(CHUNK, 0);
            let read = self.input.read(&mut self.raw)?;
            self.raw.truncate(read);
            self.at_end = read == 0;
        }
        // Each byte becomes three at most, and some room is asked for always.
        self.out.resize(self.raw.len() * 3 + 16, 0);
        let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(&self.raw, &mut self.out, self.at_end);
        self.out.truncate(written);
        self.taken = 0;
        self.raw.drain(..read);
        match result {
            DecoderResult::InputEmpty => self.is_done = self.at_end,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(_, _) => self.out.push(0xff),
        }
        Ok(())
    }
}

impl<R: Read> Read for Transcoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.out.len() && !self.is_done {
            self.decode()?;
        }
        let length = buffer.len().min(self.out.len() - self.taken);
        buffer[..length].copy_from_slice(&self.out[self.taken..self.taken + length]);
        self.taken += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcoded(bytes: &[u8], decoder: TextDecoder) -> Vec<u8> {
        let mut out = Vec::new();
        Transcoded::new(bytes, decoder).read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn old_encodings_become_utf8_and_what_is_wrong_stays_wrong() {
        let latin = WINDOWS_1252.new_decoder_without_bom_handling();
        assert_eq!(transcoded(b"Malm\xf6;5 \x80\n", latin), "Malmö;5 €\n".as_bytes());
        let little: Vec<u8> = "\u{feff}a,ö,𝄞\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "\u{feff}a,ö,𝄞\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [&little, &big, &little[2..].to_vec()] {
            assert_eq!(transcoded(bytes, UTF_16LE.new_decoder()), "a,ö,𝄞\n".as_bytes());
        }
        let unpaired: Vec<u8> = [0x61, 0xd834, 0x0a, 0x62].into_iter().flat_map(u16::to_le_bytes).collect();
        assert_eq!(transcoded(&unpaired, UTF_16LE.new_decoder()), b"a\xff\nb");
        let long = "é".repeat(200_000);
        let bytes: Vec<u8> = long.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(transcoded(&bytes, UTF_16LE.new_decoder()), long.as_bytes());
    }
}
