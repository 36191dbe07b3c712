//! Tables of the lake as the query engine sees them: columns are read when they are asked for, and of a partitioned table only
//! the partitions that the touched groups can be in.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::{StreamExt, TryStreamExt};

use super::touched::branches;
use crate::delta::{DataFile, PartitionValue, ReadPlan, Table};

/// A table, or only what it will look like.
#[derive(Debug)]
pub(super) struct LakeTable {
    pub(super) schema: SchemaRef,
    pub(super) table: Option<Table>,
}

/// The partitions in which rows that pass the filters can be; `None` for all.
pub(super) fn partitions(table: &Table, filters: &[Expr]) -> Result<Option<BTreeSet<PartitionValue>>, DataFusionError> {
    let Some(column) = table.partition_column() else { return Ok(None) };
    let mut chosen: Option<BTreeSet<PartitionValue>> = None;
    for calls in filters.iter().filter_map(branches) {
        let mut of_filter = BTreeSet::new();
        let mut is_bounded = true;
        for (touched, arguments) in calls {
            let place = arguments.iter().position(|argument| matches!(argument, Expr::Column(found) if found.name == column));
            match place {
                Some(place) => of_filter.extend(touched.set.partition_values(place)?),
                None => is_bounded = false,
            }
        }
        if is_bounded {
            chosen = Some(match chosen {
                Some(earlier) => earlier.intersection(&of_filter).cloned().collect(),
                None => of_filter,
            });
        }
    }
    Ok(chosen)
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        let of = |filter: &&Expr| match branches(filter) {
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(of).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let schema = match projection {
            Some(projection) => Arc::new(self.schema.project(projection)?),
            None => self.schema.clone(),
        };
        let files = match &self.table {
            Some(table) => {
                let partitions = partitions(table, filters)?;
                table.files(partitions.as_ref()).map_err(|error| DataFusionError::External(Box::new(error)))?
            }
            None => Vec::new(),
        };
        let streams = state.config_options().execution.target_partitions.clamp(1, files.len().max(1));
        let mut shares: Vec<Vec<DataFile>> = vec![Vec::new(); streams];
        for (at, file) in files.into_iter().enumerate() {
            shares[at % streams].push(file);
        }
        let share = |files: Vec<DataFile>| {
            let share = Share { table: self.table.clone(), schema: schema.clone(), files };
            Arc::new(share) as Arc<dyn PartitionStream>
        };
        let shares = shares.into_iter().map(share).collect();
        Ok(Arc::new(StreamingTableExec::try_new(schema.clone(), shares, None, [], false, limit)?))
    }
}

/// Some of a table's files.
#[derive(Debug)]
struct Share {
    table: Option<Table>,
    schema: SchemaRef,
    files: Vec<DataFile>,
}

impl PartitionStream for Share {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let Some(table) = self.table.clone() else {
            return Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), futures::stream::empty()));
        };
        let schema = self.schema.clone();
        let plan = ReadPlan::of(schema.clone());
        let rows = futures::stream::iter(self.files.clone())
            .then(move |file| {
                let (table, plan) = (table.clone(), plan.clone());
                async move { table.read_file(&file.path, &file.partition, &plan).await }
            })
            .try_flatten()
            .map_err(|error| DataFusionError::External(Box::new(error)))
            .and_then(move |rows| {
                // The table says what may be null; what was read says less.
                futures::future::ready(with_schema(&rows, &schema))
            });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), rows.boxed()))
    }
}

fn with_schema(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), rows.columns().to_vec(), &options)?)
}
