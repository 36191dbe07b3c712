//! The definition's SQL, run over batches in memory.
//!
//! Every statement sees exactly one table: the rows it is handed, under the name of the table that they come from. Results
//! come back in the types that the lake stores.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SessionConfig;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::SessionContext;

use crate::delta::normalized;
use crate::error::Error;

/// A statement of the definition and where it stands.
#[derive(Debug, Clone)]
pub struct Statement {
    /// For messages: "the fold of sessions (sessions.sql)".
    pub place: String,
    /// The one table that it may name.
    pub input: String,
    pub sql: String,
}

fn session() -> SessionContext {
    // One partition: the batches are small, and the stages run beside each other on few cores.
    let config = SessionConfig::new()
        .with_target_partitions(1)
        .set_bool("datafusion.sql_parser.enable_ident_normalization", true)
        .set_bool("datafusion.execution.parquet.schema_force_view_types", false);
    SessionContext::new_with_config(config)
}

impl Statement {
    fn error(&self, source: DataFusionError) -> Error {
        Error::Sql { step: format!("plan {}", self.place), sql: one_line(&self.sql), source: Box::new(source) }
    }

    async fn plan(&self, context: &SessionContext, schema: &SchemaRef, batches: Vec<RecordBatch>) -> Result<LogicalPlan, Error> {
        // Rows read back from a file may say less about nulls than the contract does.
        let relaxed = all_nullable(schema);
        let batches = batches.iter().map(|batch| conformed(batch, &relaxed)).collect::<Result<Vec<_>, _>>()?;
        let table = MemTable::try_new(relaxed, vec![batches]).map_err(|error| self.error(error))?;
        context.register_table(self.input.as_str(), Arc::new(table)).map_err(|error| self.error(error))?;
        let plan = context.state().create_logical_plan(&self.sql).await.map_err(|error| self.error(error))?;
        match plan {
            LogicalPlan::Ddl(_) | LogicalPlan::Dml(_) | LogicalPlan::Copy(_) | LogicalPlan::Statement(_) => {
                Err(Error::SqlShape { step: self.place.clone(), sql: one_line(&self.sql), problem: "is not a SELECT".to_owned() })
            }
            plan => Ok(plan),
        }
    }

    /// The columns that the statement yields, in the types that the lake stores, without running it.
    pub async fn output_schema(&self, input: &SchemaRef) -> Result<SchemaRef, Error> {
        let context = session();
        let plan = self.plan(&context, input, Vec::new()).await?;
        Ok(normalized(plan.schema().as_arrow()))
    }

    /// Whether the statement treats each row by itself: a projection and a filter, nothing that groups, joins or sorts.
    pub async fn is_row_by_row(&self, input: &SchemaRef) -> Result<bool, Error> {
        use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
        let context = session();
        let plan = self.plan(&context, input, Vec::new()).await?;
        let mut row_by_row = true;
        plan.apply(|node| {
            row_by_row &= matches!(
                node,
                LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::TableScan(_) | LogicalPlan::SubqueryAlias(_)
            );
            Ok(TreeNodeRecursion::Continue)
        })
        .map_err(|error| self.error(error))?;
        Ok(row_by_row)
    }

    /// Runs the statement over these rows.
    pub async fn run(&self, input: &SchemaRef, batches: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, Error> {
        let context = session();
        let plan = self.plan(&context, input, batches).await?;
        let schema = normalized(plan.schema().as_arrow());
        let frame = context.execute_logical_plan(plan).await.map_err(|error| self.error(error))?;
        let batches = frame.collect().await.map_err(|error| self.error(error))?;
        batches.iter().filter(|batch| batch.num_rows() > 0).map(|batch| conformed(batch, &schema)).collect()
    }
}

/// An expression over the columns of one schema, compiled once and evaluated batch by batch.
pub struct Expression {
    pub name: String,
    physical: Arc<dyn PhysicalExpr>,
    sql: String,
}

impl Expression {
    /// Compiles `sql` over `schema`. `name` is for messages.
    pub fn compile(name: &str, sql: &str, schema: &Schema) -> Result<Self, Error> {
        let in_sql =
            |source: DataFusionError| Error::Sql { step: format!("plan {name}"), sql: one_line(sql), source: Box::new(source) };
        let context = session();
        let schema = DFSchema::try_from(schema.clone()).map_err(in_sql)?;
        let logical = context.parse_sql_expr(sql, &schema).map_err(in_sql)?;
        let physical = context.create_physical_expr(logical, &schema).map_err(in_sql)?;
        Ok(Self { name: name.to_owned(), physical, sql: sql.to_owned() })
    }

    /// The type of the result over `schema`, as Arrow has it.
    pub fn data_type(&self, schema: &Schema) -> Result<arrow::datatypes::DataType, Error> {
        self.physical.data_type(schema).map_err(|error| self.error(error))
    }

    pub fn evaluate(&self, batch: &RecordBatch) -> Result<arrow::array::ArrayRef, Error> {
        let value = self.physical.evaluate(batch).map_err(|error| self.error(error))?;
        value.into_array(batch.num_rows()).map_err(|error| self.error(error))
    }

    fn error(&self, source: DataFusionError) -> Error {
        Error::Sql { step: format!("evaluate {}", self.name), sql: one_line(&self.sql), source: Box::new(source) }
    }
}

fn all_nullable(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect::<Vec<_>>()))
}

/// The batch with its columns cast to the types of `schema`, by position.
pub(crate) fn conformed(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Error> {
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(
            |(column, field)| {
                if column.data_type() == field.data_type() { Ok(column.clone()) } else { cast(column, field.data_type()) }
            },
        )
        .collect::<Result<Vec<_>, _>>()
        .map_err(Error::arrow("cast the result of a statement"))?;
    RecordBatch::try_new(schema.clone(), columns).map_err(Error::arrow("cast the result of a statement"))
}

/// SQL for a message: without comments, on one line.
pub(crate) fn one_line(sql: &str) -> String {
    sql.lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join(" ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
