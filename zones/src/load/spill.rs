//! Rows set aside on disk while a file is read, a segment per date and flush.
//!
//! A segment is a complete Arrow IPC stream with a CRC over its bytes: what is read back is what was written, or an error.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use model::crash;

use super::plan::Segment;
use crate::error::Error;
use crate::sync_beside::SyncBeside;

/// Appends segments to one file.
pub struct SpillWriter {
    file: File,
    path: PathBuf,
    offset: u64,
    buffer: Vec<u8>,
    syncing: SyncBeside,
}

impl SpillWriter {
    /// Starts the file anew.
    pub fn create(path: &Path) -> Result<Self, Error> {
        // A new file, not the old one emptied: a process that was taken over from may still write into that.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("remove", path)(error)),
            _ => {}
        }
        let file = File::create(path).map_err(Error::io("create the spill file", path))?;
        Ok(Self { file, path: path.to_owned(), offset: 0, buffer: Vec::new(), syncing: SyncBeside::default() })
    }

    /// Writes the batches as one segment of `date`.
    pub fn write(
        &mut self,
        date: Option<chrono::NaiveDate>,
        schema: &SchemaRef,
        batches: &[RecordBatch],
    ) -> Result<Segment, Error> {
        self.buffer.clear();
        let mut writer = StreamWriter::try_new(&mut self.buffer, schema).map_err(Error::arrow("spill rows"))?;
        for batch in batches {
            writer.write(batch).map_err(Error::arrow("spill rows"))?;
        }
        writer.finish().map_err(Error::arrow("spill rows"))?;
        drop(writer);
        crash::point("load/spill:before");
        self.file.write_all(&self.buffer).map_err(Error::io("write the spill file", &self.path))?;
        crash::point("load/spill:after");
        let segment = Segment {
            date,
            offset: self.offset,
            length: self.buffer.len() as u64,
            crc: crc32fast::hash(&self.buffer),
            rows: batches.iter().map(|batch| batch.num_rows() as u64).sum(),
        };
        self.offset += segment.length;
        self.syncing.grown(&self.file, self.offset).map_err(Error::io("write the spill file", &self.path))?;
        Ok(segment)
    }

    /// Makes sure that the segments are on disk before the plan names them.
    pub fn finish(mut self) -> Result<(), Error> {
        crash::point("load/spill-sync:before");
        self.syncing.wait().map_err(Error::io("write the spill file", &self.path))?;
        self.file.sync_all().map_err(Error::io("write the spill file", &self.path))?;
        crash::point("load/spill-sync:after");
        Ok(())
    }
}

/// Reads segments back.
pub struct SpillReader {
    file: File,
    path: PathBuf,
}

impl SpillReader {
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::io("open the spill file", path))?;
        Ok(Self { file, path: path.to_owned() })
    }

    pub fn read(&mut self, segment: &Segment) -> Result<Vec<RecordBatch>, Error> {
        let damaged = |problem: &str| Error::Damaged { path: self.path.display().to_string(), problem: problem.to_owned() };
        self.file.seek(SeekFrom::Start(segment.offset)).map_err(Error::io("read the spill file", &self.path))?;
        let mut bytes = Vec::new();
        BufReader::new(&self.file)
            .take(segment.length)
            .read_to_end(&mut bytes)
            .map_err(Error::io("read the spill file", &self.path))?;
        if bytes.len() as u64 != segment.length || crc32fast::hash(&bytes) != segment.crc {
            return Err(damaged("a segment's checksum does not match"));
        }
        let reader = StreamReader::try_new(bytes.as_slice(), None).map_err(Error::arrow("read spilled rows"))?;
        reader.collect::<Result<_, _>>().map_err(Error::arrow("read spilled rows"))
    }
}
