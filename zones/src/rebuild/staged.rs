//! Rows set aside on disk by the partition that they will be in, before anything of a table is touched.
//!
//! Memory holds what is not spilled yet, within a budget, and a few numbers for each piece on disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::SchemaRef;

use crate::delta::PartitionValue;
use crate::delta::feed::Partitions;
use crate::error::Error;
use crate::load::{Segment, SpillReader, SpillWriter};

const BUDGET_BYTES: usize = 64 << 20;

/// Rows by partition; removed from the disk when dropped.
pub struct Staged {
    path: PathBuf,
    writer: SpillWriter,
    partition_column: Option<String>,
    held: BTreeMap<PartitionValue, Vec<RecordBatch>>,
    held_bytes: usize,
    pieces: BTreeMap<PartitionValue, Vec<Segment>>,
    rows: u64,
}

impl Staged {
    /// In a file of this name in `folder`, which is made.
    pub fn create(folder: &Path, name: &str, partition_column: Option<&str>) -> Result<Self, Error> {
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let path = folder.join(name);
        Ok(Self {
            writer: SpillWriter::create(&path)?,
            path,
            partition_column: partition_column.map(ToOwned::to_owned),
            held: BTreeMap::new(),
            held_bytes: 0,
            pieces: BTreeMap::new(),
            rows: 0,
        })
    }

    /// Sets rows aside.
    pub fn add(&mut self, rows: &RecordBatch) -> Result<(), Error> {
        for (partition, indices) in Partitions::of(rows, self.partition_column.as_deref())?.rows() {
            let taken = take_record_batch(rows, &UInt32Array::from(indices)).map_err(Error::arrow("set rows aside"))?;
            self.held_bytes += taken.get_array_memory_size();
            self.rows += taken.num_rows() as u64;
            self.held.entry(partition).or_default().push(taken);
        }
        if self.held_bytes > BUDGET_BYTES {
            self.spill()?;
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<(), Error> {
        for (partition, batches) in std::mem::take(&mut self.held) {
            let piece = self.writer.write(None, &batches[0].schema(), &batches)?;
            self.pieces.entry(partition).or_default().push(piece);
        }
        self.held_bytes = 0;
        Ok(())
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub fn partitions(&self) -> impl Iterator<Item = &PartitionValue> {
        self.pieces.keys().chain(self.held.keys())
    }

    /// The rows of a partition, piece by piece; `each` sees them in the columns of `schema`.
    pub fn read(
        &self,
        partition: &PartitionValue,
        schema: &SchemaRef,
        mut each: impl FnMut(RecordBatch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for index in 0..self.pieces_of(partition) {
            for rows in self.piece(partition, index)? {
                each(in_columns(&rows, schema)?)?;
            }
        }
        Ok(())
    }

    /// In how many pieces the rows of a partition are.
    pub(super) fn pieces_of(&self, partition: &PartitionValue) -> usize {
        let held = usize::from(self.held.contains_key(partition));
        self.pieces.get(partition).map_or(0, Vec::len) + held
    }

    /// The rows of one piece, as they were set aside.
    pub(super) fn piece(&self, partition: &PartitionValue, index: usize) -> Result<Vec<RecordBatch>, Error> {
        match self.pieces.get(partition).and_then(|pieces| pieces.get(index)) {
            Some(piece) => SpillReader::open(&self.path)?.read(piece),
            None => Ok(self.held.get(partition).cloned().unwrap_or_default()),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // What is left behind is removed with the folder by the next rebuild.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Rows in other columns: by name, in these types; null where a column is missing or its value has no place in the type.
pub(crate) fn in_columns(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Error> {
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        columns.push(match rows.column_by_name(field.name()) {
            Some(column) if column.data_type() == field.data_type() => column.clone(),
            Some(column) if arrow::compute::can_cast_types(column.data_type(), field.data_type()) => {
                cast(column, field.data_type()).map_err(Error::arrow("set rows beside each other"))?
            }
            _ => new_null_array(field.data_type(), rows.num_rows()),
        });
    }
    let fields: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let schema = std::sync::Arc::new(arrow::datatypes::Schema::new(fields));
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(schema, columns, &options).map_err(Error::arrow("set rows beside each other"))
}
