//! Rows that were read without the columns which a statement does not need.
//!
//! To the statement the table has all of its columns, so it means the same as over whole rows; asking for one that was left out
//! is an error, and never a null.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::MemTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

/// A table of which some columns are there.
#[derive(Debug)]
pub(super) struct Present {
    schema: SchemaRef,
    rows: MemTable,
    /// Of each column of the table its place among those that are there.
    places: Vec<Option<usize>>,
}

impl Present {
    /// `rows` have the columns of `schema` that `there` says, in its order.
    pub(super) fn new(schema: SchemaRef, there: &SchemaRef, rows: Vec<RecordBatch>) -> Result<Self> {
        let places = schema.fields().iter().map(|field| there.index_of(field.name()).ok()).collect();
        Ok(Self { schema, rows: MemTable::try_new(there.clone(), vec![rows])?, places })
    }
}

#[async_trait]
impl TableProvider for Present {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all = (0..self.places.len()).collect();
        let wanted = projection.unwrap_or(&all).iter().map(|column| {
            let missing = || DataFusionError::Internal(format!("the column {} was not read", self.schema.field(*column).name()));
            self.places[*column].ok_or_else(missing)
        });
        self.rows.scan(state, Some(&wanted.collect::<Result<_>>()?), filters, limit).await
    }
}
