//! Files of the change feed: what happened to which rows (Delta protocol, "Change Data Files").

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{cast, take, take_record_batch};
use arrow::datatypes::{DataType, Date32Type, Field, Schema};
use deltalake::kernel::AddCDCFile;
use model::crash;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::repeats::without_dictionaries;
use super::{PartitionValue, Table};
use crate::error::Error;

/// The column of the change feed that says what happened to a row.
pub(crate) const CHANGE_TYPE: &str = "_change_type";
pub(crate) const INSERT: &str = "insert";
pub(crate) const BEFORE: &str = "update_preimage";
pub(crate) const AFTER: &str = "update_postimage";
pub(crate) const DELETE: &str = "delete";

/// A file is closed when its encoded pages take more memory than this.
const OPEN_FILE_BYTES: usize = 32 << 20;

/// Which partition each row is in, its values as the log writes them.
pub(crate) struct Partitions {
    /// Each once.
    pub(crate) values: Vec<PartitionValue>,
    /// One a row: its place in `values`.
    pub(crate) of: Vec<u32>,
}

impl Partitions {
    /// The partitions of rows that have the column among theirs; of a table without partitions, all rows are in the one of no value.
    pub(crate) fn of(rows: &RecordBatch, column: Option<&str>) -> Result<Self, Error> {
        let Some(column) = column.and_then(|column| rows.column_by_name(column)) else {
            return Ok(Self { values: vec![None], of: vec![0; rows.num_rows()] });
        };
        let read = || Error::arrow("read partition values");
        let mut firsts: Vec<u32> = Vec::new();
        let mut of = Vec::with_capacity(rows.num_rows());
        let mut place = |known: Option<u32>, row: u32| {
            let place = known.unwrap_or_else(|| u32::try_from(firsts.len()).expect("fewer than rows"));
            if known.is_none() {
                firsts.push(row);
            }
            of.push(place);
            place
        };
        if let Some(days) = column.as_primitive_opt::<Date32Type>() {
            let mut places: HashMap<Option<i32>, u32> = HashMap::new();
            let mut last: Option<(Option<i32>, u32)> = None;
            for (row, day) in (0_u32..).zip(days.iter()) {
                let known = last.filter(|(of, _)| *of == day).map(|(_, place)| place);
                let known = known.or_else(|| places.get(&day).copied());
                let place = place(known, row);
                places.entry(day).or_insert(place);
                last = Some((day, place));
            }
        } else {
            let text = cast(column, &DataType::Utf8).map_err(read())?;
            let mut places: HashMap<Option<&str>, u32> = HashMap::new();
            for (row, value) in (0_u32..).zip(text.as_string::<i32>().iter()) {
                let place = place(places.get(&value).copied(), row);
                places.entry(value).or_insert(place);
            }
        }
        let firsts = take(column, &UInt32Array::from(firsts), None).map_err(read())?;
        let text = cast(&firsts, &DataType::Utf8).map_err(read())?;
        Ok(Self { values: text.as_string::<i32>().iter().map(|value| value.map(ToOwned::to_owned)).collect(), of })
    }

    /// The rows of each partition, in their order.
    pub(crate) fn rows(self) -> BTreeMap<PartitionValue, Vec<u32>> {
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); self.values.len()];
        for (row, place) in (0_u32..).zip(self.of) {
            rows[place as usize].push(row);
        }
        self.values.into_iter().zip(rows).filter(|(_, rows)| !rows.is_empty()).collect()
    }
}

/// Writes changes, a file a partition. No commit names the files yet.
pub(crate) struct FeedWriter<'t> {
    table: &'t Table,
    open: BTreeMap<PartitionValue, ArrowWriter<Vec<u8>>>,
    files: Vec<AddCDCFile>,
}

impl<'t> FeedWriter<'t> {
    pub(crate) fn new(table: &'t Table) -> Self {
        Self { table, open: BTreeMap::new(), files: Vec::new() }
    }

    /// Adds rows of the table, to all of which the same happened.
    pub(crate) async fn write(&mut self, change: &str, rows: &RecordBatch) -> Result<(), Error> {
        for (partition, indices) in Partitions::of(rows, self.table.partition_column())?.rows() {
            let taken = take_record_batch(rows, &UInt32Array::from(indices)).map_err(Error::arrow("split changes"))?;
            let changes = in_feed(&taken, change, self.table.partition_column())?;
            self.append(partition, &changes).await?;
        }
        Ok(())
    }

    async fn append(&mut self, partition: PartitionValue, changes: &RecordBatch) -> Result<(), Error> {
        let in_table = in_feed_of(self.table);
        let mut writer = if let Some(writer) = self.open.remove(&partition) {
            writer
        } else {
            let level = ZstdLevel::try_new(1).expect("1 is a zstd level");
            let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level));
            let properties = without_dictionaries(properties, changes)?.build();
            ArrowWriter::try_new(Vec::new(), changes.schema(), Some(properties)).map_err(&in_table)?
        };
        writer.write(changes).map_err(&in_table)?;
        if writer.in_progress_size() + writer.inner().len() > OPEN_FILE_BYTES {
            return self.close(partition, writer).await;
        }
        self.open.insert(partition, writer);
        Ok(())
    }

    /// Closes the open files: a partition is done.
    pub(crate) async fn flush(&mut self) -> Result<(), Error> {
        while let Some((partition, writer)) = self.open.pop_first() {
            self.close(partition, writer).await?;
        }
        Ok(())
    }

    /// The files that were written.
    pub(crate) async fn finish(mut self) -> Result<Vec<AddCDCFile>, Error> {
        self.flush().await?;
        Ok(self.files)
    }

    /// The files that were written; where nothing changed, one without rows in `partition`. Without any, a reader would take
    /// every added file for inserts and every removed one for deletes.
    pub(crate) async fn finish_with_one(mut self, partition: PartitionValue) -> Result<Vec<AddCDCFile>, Error> {
        self.flush().await?;
        if self.files.is_empty() {
            let nothing = in_feed(&RecordBatch::new_empty(self.table.schema().clone()), INSERT, self.table.partition_column())?;
            self.append(partition, &nothing).await?;
        }
        self.finish().await
    }

    async fn close(&mut self, partition: PartitionValue, writer: ArrowWriter<Vec<u8>>) -> Result<(), Error> {
        let in_table = in_feed_of(self.table);
        let name = format!("cdc-{}.zstd.parquet", uuid::Uuid::new_v4());
        let folder = match (self.table.partition_column(), &partition) {
            (Some(column), Some(value)) => Path::from_iter(["_change_data", &format!("{column}={value}")]),
            _ => Path::from_iter(["_change_data"]),
        };
        let bytes = writer.into_inner().map_err(&in_table)?;
        let size = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        crash::point("delta/change-file:before");
        let path = self.table.put(&folder, &name, bytes).await?;
        crash::point("delta/change-file:after");
        let partition_values = match self.table.partition_column() {
            Some(column) => HashMap::from([(column.to_owned(), partition)]),
            None => HashMap::new(),
        };
        self.files.push(AddCDCFile { path: path.to_string(), size, partition_values, data_change: false, tags: None });
        Ok(())
    }
}

fn in_feed_of(table: &Table) -> impl Fn(ParquetError) -> Error + use<> {
    let name = table.name().to_owned();
    move |source| Error::writing(&name, "_change_data")(source)
}

/// The row as the feed holds it: without the partition column, with what happened.
fn in_feed(rows: &RecordBatch, change: &str, partition_column: Option<&str>) -> Result<RecordBatch, Error> {
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        if partition_column != Some(field.name()) {
            // What was read back from a file says less about nulls than what was just made.
            fields.push(field.as_ref().clone().with_nullable(true));
            columns.push(column.clone());
        }
    }
    fields.push(Field::new(CHANGE_TYPE, DataType::Utf8, true));
    columns.push(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(change, rows.num_rows()))));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(Error::arrow("put changes together"))
}
