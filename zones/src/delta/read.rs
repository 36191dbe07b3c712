//! Reading data files: chosen columns, in the table's types, the partition column put back in its place.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{Field, SchemaRef};
use arrow::error::ArrowError;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use parquet::errors::ParquetError;

use super::stored_file::StoredFile;
use super::{PartitionValue, Table};
use crate::error::Error;

/// Rows in one batch read back; a few MB at usual widths.
const READ_ROWS: usize = 16_384;

/// Which columns to read, in table order.
#[derive(Debug, Clone)]
pub struct ReadPlan {
    schema: SchemaRef,
}

impl ReadPlan {
    /// All columns of the table.
    pub fn all(table: &Table) -> Self {
        Self { schema: table.schema().clone() }
    }

    /// The named columns.
    pub fn columns(table: &Table, names: &[String]) -> Self {
        let schema = table.schema();
        let indices: Vec<usize> =
            (0..schema.fields().len()).filter(|index| names.contains(schema.field(*index).name())).collect();
        Self { schema: Arc::new(schema.project(&indices).expect("the indices are of this schema")) }
    }

    /// These columns of the table, in this order.
    pub(crate) fn of(schema: SchemaRef) -> Self {
        Self { schema }
    }

    /// The same columns and one more that the files hold but the table does not.
    pub(crate) fn with_extra(mut self, field: Field) -> Self {
        let mut fields: Vec<Field> = self.schema.fields().iter().map(|field| field.as_ref().clone()).collect();
        fields.push(field);
        self.schema = Arc::new(arrow::datatypes::Schema::new(fields));
        self
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

impl Table {
    /// The rows of one data file, in the order in which they were written. A file that is not what was written is refused.
    pub async fn read_file(
        &self,
        path: &Path,
        partition: &PartitionValue,
        plan: &ReadPlan,
    ) -> Result<BoxStream<'static, Result<RecordBatch, Error>>, Error> {
        self.check_file(path).await?;
        let in_file = |source: ParquetError| Error::file(self.name(), path.as_ref())(source);
        let reader = StoredFile::new(self.inner.object_store(), path.clone());
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(in_file)?;
        let columns = plan.schema.fields().iter().map(|field| field.name().as_str());
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns);
        let stream = builder.with_projection(mask).with_batch_size(READ_ROWS).build().map_err(in_file)?;

        let (schema, partition) = (plan.schema.clone(), partition.clone());
        let (table, path) = (self.name().to_owned(), path.to_string());
        let partition_column = self.partition_column().map(ToOwned::to_owned);
        let rows = stream.map_err(move |source| Error::file(&table, &path)(source)).and_then(move |batch| {
            let whole = complete(&batch, &schema, partition_column.as_deref(), &partition);
            futures::future::ready(whole.map_err(Error::arrow("read a data file")))
        });
        Ok(rows.boxed())
    }

    /// The rows of one data file, all at once.
    pub async fn collect_file(
        &self,
        path: &Path,
        partition: &PartitionValue,
        plan: &ReadPlan,
    ) -> Result<Vec<RecordBatch>, Error> {
        self.read_file(path, partition, plan).await?.try_collect().await
    }
}

/// The wanted columns in the wanted types: those of the file, the partition's value, and nulls for columns newer than the file.
fn complete(
    batch: &RecordBatch,
    schema: &SchemaRef,
    partition_column: Option<&str>,
    partition: &PartitionValue,
) -> Result<RecordBatch, ArrowError> {
    let rows = batch.num_rows();
    let column_of = |field: &Field| -> Result<ArrayRef, ArrowError> {
        if let Some(column) = batch.column_by_name(field.name()) {
            return if column.data_type() == field.data_type() { Ok(column.clone()) } else { cast(column, field.data_type()) };
        }
        match partition {
            Some(value) if partition_column == Some(field.name().as_str()) => {
                // One value cast, then repeated: a partition column is constant within a file.
                let one = cast(&(Arc::new(StringArray::from(vec![value.as_str()])) as ArrayRef), field.data_type())?;
                arrow::compute::take(&one, &arrow::array::UInt32Array::from(vec![0; rows]), None)
            }
            _ => Ok(new_null_array(field.data_type(), rows)),
        }
    };
    let columns = schema.fields().iter().map(|field| column_of(field)).collect::<Result<Vec<_>, _>>()?;
    // Nullability is the table's business; a file may say less than the table's schema does.
    let relaxed: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(arrow::datatypes::Schema::new(relaxed)), columns, &options)
}
