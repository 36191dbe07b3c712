//! What is kept of deleted rows: all that they were folded from, so that a late record does not bring one back.
//!
//! Files beside the table, in `_tombstones/`, which readers of the table never see and vacuum leaves alone. A commit names those
//! that count with it, so rows and tombstones are one commit. Of a key that is in several files the newest counts; of a key that
//! is in the table, none does.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;

use super::key_set::KeySet;
use crate::delta::{ReadPlan, Table};
use crate::error::Error;

/// True for a key of which nothing is left: what older files say of it does not count.
const IS_VOID: &str = "_is_void";

/// More files than this become one.
const MAX_FILES: usize = 8;

/// The tombstones as of a version of the table.
#[derive(Debug, Clone)]
pub(crate) struct Tombstones {
    /// Paths in the table's folder, oldest first.
    pub(crate) files: Vec<String>,
    schema: SchemaRef,
    key: Vec<String>,
}

impl Tombstones {
    /// `folded` are the columns that are folded, the key among them.
    pub(crate) fn new(files: Vec<String>, folded: &SchemaRef, key: &[String]) -> Self {
        let mut fields: Vec<Field> = folded.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        fields.push(Field::new(IS_VOID, DataType::Boolean, true));
        Self { files, schema: Arc::new(Schema::new(fields)), key: key.to_vec() }
    }

    /// None of them.
    pub(super) fn emptied(&self) -> Self {
        Self { files: Vec::new(), ..self.clone() }
    }

    /// What deleted rows of these keys were folded from; one row a key.
    pub(super) async fn of(&self, table: &Table, wanted: &KeySet) -> Result<RecordBatch, Error> {
        let mut found = Vec::new();
        let mut seen: HashSet<Box<[u8]>> = HashSet::new();
        for file in self.files.iter().rev() {
            for rows in self.read(table, file).await? {
                let matched = wanted.matches(&rows)?;
                let mut newest = Vec::with_capacity(matched.len());
                for (key, matched) in wanted.bytes(&rows)?.into_iter().zip(matched) {
                    newest.push(matched && seen.insert(key));
                }
                found.push(filtered(&rows, &BooleanArray::from(newest))?);
            }
        }
        self.without_void(&found)
    }

    /// Writes what is to be kept of `deleted`, and that nothing is left of `void`; yields the files that count from now on.
    pub(crate) async fn with(&self, table: &Table, deleted: &RecordBatch, void: &RecordBatch) -> Result<Self, Error> {
        if deleted.num_rows() + void.num_rows() == 0 {
            return Ok(self.clone());
        }
        let mut rows = vec![self.marked(deleted, false)?, self.marked(void, true)?];
        let mut files = self.files.clone();
        if files.len() >= MAX_FILES {
            let earlier = self.all_but(table, &concat(&self.schema, &rows)?).await?;
            rows.insert(0, earlier);
            files.clear();
        }
        files.push(self.write(table, &concat(&self.schema, &rows)?).await?);
        Ok(Self { files, ..self.clone() })
    }

    /// What counts of all files, without the keys of `newer`.
    async fn all_but(&self, table: &Table, newer: &RecordBatch) -> Result<RecordBatch, Error> {
        let newer = KeySet::of(newer, &self.key)?;
        let mut kept = Vec::new();
        let mut seen: HashSet<Box<[u8]>> = HashSet::new();
        for file in self.files.iter().rev() {
            for rows in self.read(table, file).await? {
                let is_newer = newer.matches(&rows)?;
                let keys = newer.bytes(&rows)?;
                let mask: Vec<bool> = keys.into_iter().zip(is_newer).map(|(key, newer)| !newer && seen.insert(key)).collect();
                kept.push(filtered(&rows, &BooleanArray::from(mask))?);
            }
        }
        let is_void = |rows: &RecordBatch| rows.column(rows.num_columns() - 1).as_boolean().clone();
        let all = concat(&self.schema, &kept)?;
        let mask = arrow::compute::not(&is_void(&all)).map_err(Error::arrow("compact tombstones"))?;
        filtered(&all, &mask)
    }

    fn without_void(&self, rows: &[RecordBatch]) -> Result<RecordBatch, Error> {
        let all = concat(&self.schema, rows)?;
        let last = all.num_columns() - 1;
        let alive = arrow::compute::not(all.column(last).as_boolean()).map_err(Error::arrow("read tombstones"))?;
        let columns: Vec<usize> = (0..last).collect();
        filtered(&all, &alive)?.project(&columns).map_err(Error::arrow("read tombstones"))
    }

    fn marked(&self, rows: &RecordBatch, is_void: bool) -> Result<RecordBatch, Error> {
        let last = self.schema.fields().len() - 1;
        let mut columns: Vec<ArrayRef> = Vec::new();
        for field in &self.schema.fields()[..last] {
            columns.push(rows.column_by_name(field.name()).expect("folded rows have the folded columns").clone());
        }
        columns.push(Arc::new(BooleanArray::from(vec![is_void; rows.num_rows()])));
        RecordBatch::try_new(self.schema.clone(), columns).map_err(Error::arrow("put tombstones together"))
    }

    async fn read(&self, table: &Table, file: &str) -> Result<Vec<RecordBatch>, Error> {
        let path = object_store::path::Path::from(file);
        let rows: Vec<RecordBatch> =
            table.read_file(&path, &None, &ReadPlan::of(self.schema.clone())).await?.try_collect().await?;
        Ok(rows)
    }

    async fn write(&self, table: &Table, rows: &RecordBatch) -> Result<String, Error> {
        let folder = object_store::path::Path::from("_tombstones");
        let in_file = Error::writing(table.name(), folder.as_ref());
        let encoded = || -> Result<Vec<u8>, parquet::errors::ParquetError> {
            let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None)?;
            writer.write(rows)?;
            writer.into_inner()
        };
        let bytes = encoded().map_err(in_file)?;
        Ok(table.put(&folder, &format!("{}.parquet", uuid::Uuid::new_v4()), bytes).await?.to_string())
    }
}

fn concat(schema: &SchemaRef, rows: &[RecordBatch]) -> Result<RecordBatch, Error> {
    let conformed = rows.iter().map(|rows| rows.clone().with_schema(schema.clone())).collect::<Result<Vec<_>, _>>();
    let conformed = conformed.map_err(Error::arrow("put tombstones together"))?;
    concat_batches(schema, &conformed).map_err(Error::arrow("put tombstones together"))
}

fn filtered(rows: &RecordBatch, mask: &BooleanArray) -> Result<RecordBatch, Error> {
    filter_record_batch(rows, mask).map_err(Error::arrow("find tombstones"))
}
