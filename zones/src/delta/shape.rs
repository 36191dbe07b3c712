//! What a table looks like: made so, compared with what a definition asks for, grown by columns, under a contract.
//!
//! Guarantee: a table that is there is never made to fit but by nullable columns that it lacks; any other difference is told, and
//! nothing is touched.

use std::collections::HashMap;
use std::path::Path;

use arrow::datatypes::{Field, Schema, SchemaRef};
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::{Metadata, StructType};
use deltalake::operations::create::CreateBuilder;
use model::crash;
use model::definition::ContractRecord;

use super::{Table, schema};
use crate::error::Error;

/// The table property in which a contract is kept: unlike a commit's note it outlives the cleaning of the log.
const CONTRACT_KEY: &str = "sluice.contract";

/// What a new table looks like.
#[derive(Debug, Clone)]
pub struct TableShape {
    pub schema: SchemaRef,
    pub partition_column: Option<String>,
    /// Whether changes of rows are kept for readers (Delta's change data feed).
    pub change_feed: bool,
    /// Whether a table that is there may be given the nullable columns that it lacks, and may have more nullable columns.
    pub may_grow: bool,
    /// What decides the rows beyond their types; compared with what the table was made under.
    pub contract: Option<ContractRecord>,
    /// Whether nullable columns of text that are not in the schema belong to it all the same: files add them.
    pub takes_strings: bool,
    pub description: String,
}

/// What was done for a table to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    Created,
    Found,
    /// These columns were added.
    Added(Vec<String>),
}

impl Table {
    /// What [`Self::open_or_create`] would do; does nothing.
    pub async fn would_make(folder: &Path, name: &str, shape: &TableShape) -> Result<Made, Error> {
        let Some(table) = Self::open(folder, name).await? else { return Ok(Made::Created) };
        let added = schema::added(&table.schema, &shape.schema);
        if shape.may_grow && !added.is_empty() {
            table.expect_shape(&TableShape { schema: schema::without(&shape.schema, &added), ..shape.clone() })?;
            return Ok(Made::Added(added.iter().map(|field| field.name().clone()).collect()));
        }
        table.expect_shape(shape)?;
        Ok(Made::Found)
    }

    /// Opens the table, makes it, or adds the nullable columns that it lacks.
    pub async fn open_or_create(folder: &Path, name: &str, shape: &TableShape) -> Result<(Self, Made), Error> {
        if let Some(mut table) = Self::open(folder, name).await? {
            let added = schema::added(&table.schema, &shape.schema);
            let made = if shape.may_grow && !added.is_empty() {
                table.expect_shape(&TableShape { schema: schema::without(&shape.schema, &added), ..shape.clone() })?;
                table.add_columns(&added).await?;
                Made::Added(added.iter().map(|field| field.name().clone()).collect())
            } else {
                table.expect_shape(shape)?;
                Made::Found
            };
            if let Some(contract) = &shape.contract {
                table.adopt(contract).await?;
            }
            return Ok((table, made));
        }
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let kernel_schema: StructType = shape.schema.as_ref().try_into_kernel().map_err(Error::arrow("describe the table"))?;
        let mut builder = CreateBuilder::new()
            .with_log_store(super::log_store(folder, name)?)
            .with_table_name(name)
            .with_comment(&shape.description)
            .with_columns(kernel_schema.fields().cloned())
            // The log is the ledger of what was loaded and the feed of what changed: readers decide when it may go, not a timer.
            .with_configuration_property(deltalake::TableProperty::EnableExpiredLogCleanup, Some("false"));
        if let Some(column) = &shape.partition_column {
            builder = builder.with_partition_columns([column]);
        }
        if shape.change_feed {
            builder = builder.with_configuration_property(deltalake::TableProperty::EnableChangeDataFeed, Some("true"));
        }
        if let Some(contract) = &shape.contract {
            builder = builder.with_configuration([(CONTRACT_KEY, Some(text(contract)))]).with_raise_if_key_not_exists(false);
        }
        crash::point("delta/create:before");
        let inner = builder.await.map_err(Error::delta("create", name))?;
        crash::point("delta/create:after");
        Ok((Self::from_inner(inner, name)?, Made::Created))
    }

    /// Adds nullable columns behind the others; rows that are there have no value in them.
    pub async fn add_columns(&mut self, fields: &[Field]) -> Result<(), Error> {
        self.guard.confirm()?;
        let fields = fields.iter().map(|field| field.clone().with_nullable(true)).collect::<Vec<_>>();
        let fields: StructType = (&Schema::new(fields)).try_into_kernel().map_err(Error::arrow("describe the new columns"))?;
        let add = self.inner.clone().add_columns().with_fields(fields.fields().cloned().collect::<Vec<_>>());
        let inner = add.await.map_err(Error::delta("add columns", &self.name))?;
        *self = self.with_inner(inner)?;
        Ok(())
    }

    /// The table as it will be once a commit gives it this shape: files are written for it, and its metadata goes into that
    /// commit. `id` is another than the table's own where what was read from it before is void.
    pub(crate) fn drafted(&self, shape: &TableShape, id: &str) -> Result<Self, Error> {
        let metadata = self.inner.snapshot().map_err(Error::delta("open", &self.name))?.metadata();
        let schema: StructType = shape.schema.as_ref().try_into_kernel().map_err(Error::arrow("describe the table"))?;
        let described = || -> Result<Metadata, serde_json::Error> {
            let mut value = serde_json::to_value(metadata)?;
            value["id"] = id.into();
            value["description"] = shape.description.clone().into();
            value["schemaString"] = serde_json::to_string(&schema)?.into();
            value["partitionColumns"] = shape.partition_column.iter().cloned().collect::<Vec<_>>().into();
            if let Some(contract) = &shape.contract {
                value["configuration"][CONTRACT_KEY] = text(contract).into();
            }
            serde_json::from_value(value)
        };
        let draft = described().map_err(|error| Error::delta("describe", &self.name)(error.into()))?;
        Ok(Self {
            schema: shape.schema.clone(),
            partition_column: shape.partition_column.clone(),
            draft: Some(draft),
            ..self.clone()
        })
    }

    pub(crate) fn expect_shape(&self, shape: &TableShape) -> Result<(), Error> {
        let actual =
            if shape.takes_strings { schema::without_more_strings(&self.schema, &shape.schema) } else { self.schema.clone() };
        match schema::difference(&actual, &shape.schema, self.partition_column.as_ref(), shape.partition_column.as_ref()) {
            None => shape.contract.as_ref().map_or(Ok(()), |contract| self.expect_contract(contract)),
            Some(difference) => {
                // Where it can be taken on, it is told as a change of the contract, with that way out.
                if let Some(contract) = shape.contract.as_ref().filter(|_| self.widening(shape).is_ok()) {
                    self.expect_contract(contract)?;
                }
                Err(Error::TableDiffers { table: self.name.clone(), difference })
            }
        }
    }

    /// What the table was loaded under; tables of earlier versions of Sluice do not tell.
    pub fn contract(&self) -> Option<ContractRecord> {
        let snapshot = self.inner.snapshot().expect("an open table has a snapshot");
        let kept = snapshot.metadata().configuration().get(CONTRACT_KEY)?;
        serde_json::from_str(kept).ok()
    }

    /// Whether rows that are loaded under this contract go with those that are there.
    pub fn expect_contract(&self, contract: &ContractRecord) -> Result<(), Error> {
        let changes = self.contract().map_or_else(Vec::new, |kept| contract.changes_since(&kept));
        if changes.is_empty() {
            return Ok(());
        }
        Err(Error::ContractChanged { table: self.name.clone(), changes })
    }

    /// From here on the table is loaded under this contract. Makes a version only where it was another one.
    pub async fn adopt(&mut self, contract: &ContractRecord) -> Result<(), Error> {
        if self.contract().as_ref() == Some(contract) {
            return Ok(());
        }
        let properties = HashMap::from([(CONTRACT_KEY.to_owned(), text(contract))]);
        self.guard.confirm()?;
        let set = self.inner.clone().set_tbl_properties().with_properties(properties).with_raise_if_not_exists(false);
        let inner = set.await.map_err(Error::delta("record the contract", &self.name))?;
        *self = self.with_inner(inner)?;
        Ok(())
    }
}

fn text(contract: &ContractRecord) -> String {
    serde_json::to_string(contract).expect("a record is plain data")
}
