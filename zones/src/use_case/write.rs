//! Partition values of rows, and files of the change feed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;
use deltalake::kernel::AddCDCFile;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::delta::{PartitionValue, Table};
use crate::error::Error;

/// The column of the change feed that says what happened to a row (Delta protocol, "Change Data Files").
pub(crate) const CHANGE_TYPE: &str = "_change_type";
pub(crate) const INSERT: &str = "insert";
pub(crate) const BEFORE: &str = "update_preimage";
pub(crate) const AFTER: &str = "update_postimage";

/// The partition of each row, as the log writes it.
pub(super) fn partition_values(rows: &RecordBatch, column: Option<&str>) -> Result<Vec<PartitionValue>, Error> {
    let Some(column) = column.and_then(|column| rows.column_by_name(column)) else { return Ok(vec![None; rows.num_rows()]) };
    let text = cast(column, &DataType::Utf8).map_err(Error::arrow("read partition values"))?;
    Ok(text.as_string::<i32>().iter().map(|value| value.map(ToOwned::to_owned)).collect())
}

/// Writes changes as files of the change feed, one a partition. No commit names them yet.
pub(super) async fn write_changes(table: &Table, changes: &[(&str, RecordBatch)]) -> Result<Vec<AddCDCFile>, Error> {
    let mut by_partition: BTreeMap<PartitionValue, Vec<RecordBatch>> = BTreeMap::new();
    for (change, rows) in changes {
        let mut rows_of: BTreeMap<PartitionValue, Vec<u32>> = BTreeMap::new();
        for (row, partition) in (0_u32..).zip(partition_values(rows, table.partition_column())?) {
            rows_of.entry(partition).or_default().push(row);
        }
        for (partition, indices) in rows_of {
            let taken = take_record_batch(rows, &UInt32Array::from(indices)).map_err(Error::arrow("split changes"))?;
            by_partition.entry(partition).or_default().push(in_feed(&taken, change, table.partition_column())?);
        }
    }
    let mut files = Vec::new();
    for (partition, batches) in by_partition {
        files.push(write_file(table, &partition, &batches).await?);
    }
    Ok(files)
}

/// The row as the feed holds it: without the partition column, with what happened.
fn in_feed(rows: &RecordBatch, change: &str, partition_column: Option<&str>) -> Result<RecordBatch, Error> {
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        if partition_column != Some(field.name()) {
            fields.push(field.as_ref().clone());
            columns.push(column.clone());
        }
    }
    fields.push(Field::new(CHANGE_TYPE, DataType::Utf8, true));
    columns.push(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(change, rows.num_rows()))));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(Error::arrow("put changes together"))
}

async fn write_file(table: &Table, partition: &PartitionValue, batches: &[RecordBatch]) -> Result<AddCDCFile, Error> {
    let name = format!("cdc-{}.zstd.parquet", uuid::Uuid::new_v4());
    let path = match (table.partition_column(), partition) {
        (Some(column), Some(value)) => Path::from_iter(["_change_data", &format!("{column}={value}"), &name]),
        _ => Path::from_iter(["_change_data", &name]),
    };
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1).expect("1 is a zstd level"))).build();
    let in_file = |source| Error::ReadFile { table: table.name().to_owned(), path: path.to_string(), source };
    let mut buffer = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut buffer, batches[0].schema(), Some(properties)).map_err(in_file)?;
    for batch in batches {
        writer.write(batch).map_err(in_file)?;
    }
    writer.close().map_err(in_file)?;
    let size = i64::try_from(buffer.len()).unwrap_or(i64::MAX);
    let stored = table.log_store().object_store(None).put(&path, Bytes::from(buffer).into()).await;
    stored.map_err(|source| in_file(parquet::errors::ParquetError::External(Box::new(source))))?;
    let partition_values = match table.partition_column() {
        Some(column) => HashMap::from([(column.to_owned(), partition.clone())]),
        None => HashMap::new(),
    };
    Ok(AddCDCFile { path: path.to_string(), size, partition_values, data_change: false, tags: None })
}
