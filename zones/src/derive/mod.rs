//! What a use-case table should hold, computed anew from its inputs.
//!
//! Guarantee: [`derived`] yields the rows that a table without history would have over its inputs as they are open: of a merged
//! table the fold over every raw row, without the rows that its `delete_when` makes deleted ones; of a view its SQL. One row a
//! key, all columns but the load times, in the table's types and in no order. Nothing is written but what the engine spills, and
//! nothing of the table itself is read: neither its files nor its tombstones nor the key directory.
//!
//! Not promised: bits of sums of floating point numbers, which depend on the order of addition; and anything at all of a table
//! that says of itself that it is `order_dependent`.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Cast, Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::SessionContext;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use model::Share;
use model::definition::UseCaseTable;

use crate::delta::PartitionValue;
use crate::error::Error;
use crate::query::{GroupSet, Input, Parts, Query, Room, in_share, session};
use crate::sql::conformed;
use crate::use_case::{FOLDING, Fold, compiled, query};

/// Which rows are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Rows of these partitions only, as the log writes their values.
    pub partitions: Option<BTreeSet<PartitionValue>>,
    /// Rows of these keys only.
    pub share: Option<Share>,
}

/// Rows as they should be.
pub struct Derived {
    /// All columns of the table but the load times.
    pub schema: SchemaRef,
    pub rows: BoxStream<'static, Result<RecordBatch, Error>>,
}

/// What the table should hold over its inputs, each of which is open at the version that counts.
pub async fn derived(definition: &UseCaseTable, inputs: Vec<Input>, wanted: &Wanted, room: Room) -> Result<Derived, Error> {
    let Whole { schema, fold, rows } = whole(definition, inputs, wanted, room).await?;
    let rows = rows.and_then(move |rows| futures::future::ready(there(fold.as_deref(), rows)));
    let rows = rows.try_filter(|rows| futures::future::ready(rows.num_rows() > 0));
    Ok(Derived { schema, rows: rows.boxed() })
}

/// The same with the rows of a merged table that its `delete_when` makes deleted ones among the others.
pub(crate) struct Whole {
    pub(crate) schema: SchemaRef,
    /// Tells the deleted rows.
    pub(crate) fold: Option<Arc<Fold>>,
    pub(crate) rows: BoxStream<'static, Result<RecordBatch, Error>>,
}

/// See [`derived`].
pub(crate) async fn whole(definition: &UseCaseTable, inputs: Vec<Input>, wanted: &Wanted, room: Room) -> Result<Whole, Error> {
    let (fold, schema) = compiled(definition, &inputs).await?;
    let query = query(definition, inputs, room);
    let statement = Computed { query, definition, fold: fold.clone(), schema: schema.clone(), wanted };
    let mut rows = statement.rows(Parts::Cores).await?.peekable();
    // Rows come once all input is read, and that is where memory runs out. What was handed out cannot be computed again.
    if let Some(Err(error @ Error::OutOfMemory { .. })) = Pin::new(&mut rows).peek().await {
        Query::tell_of_second_try(error);
        rows = statement.rows(Parts::One).await?.peekable();
    }
    Ok(Whole { schema, fold, rows: rows.boxed() })
}

/// A table's content as a statement.
struct Computed<'c> {
    query: Query,
    definition: &'c UseCaseTable,
    fold: Option<Arc<Fold>>,
    schema: SchemaRef,
    wanted: &'c Wanted,
}

impl Computed<'_> {
    async fn rows(&self, parts: Parts) -> Result<BoxStream<'static, Result<RecordBatch, Error>>, Error> {
        let query = &self.query;
        let (context, plan) = match &self.fold {
            Some(fold) => folded(query, fold, parts).await?,
            None => query.plan(parts).await?,
        };
        let plan = restricted(query, plan, self.definition, &self.schema, self.wanted)?;
        let frame = context.execute_logical_plan(plan).await.map_err(|error| query.error(error))?;
        let rows = frame.execute_stream().await.map_err(|error| query.error(error))?;
        let (place, yielded) = (query.clone(), self.schema.clone());
        let rows = rows.map_err(move |error| place.error(error));
        Ok(rows.and_then(move |rows| futures::future::ready(conformed(&rows, &yielded))).boxed())
    }
}

/// The rows that are there, of a merged table.
fn there(fold: Option<&Fold>, rows: RecordBatch) -> Result<RecordBatch, Error> {
    match fold {
        Some(fold) => fold.parted(&rows).map(|(there, _)| there),
        None => Ok(rows),
    }
}

/// The definition's SQL over all raw rows at once, then the fold over what it yields: no batch is cut.
async fn folded(query: &Query, fold: &Fold, parts: Parts) -> Result<(SessionContext, LogicalPlan), Error> {
    let failed = |error: DataFusionError| query.error(error);
    let (context, selected) = query.plan(parts).await?;
    let mut columns = Vec::new();
    for field in fold.folded_schema().fields() {
        let column = Expr::Column(query.column(&selected, field.name())?);
        let widened = Expr::Cast(Cast::new(Box::new(column), field.data_type().clone()));
        columns.push(widened.alias(field.name()));
    }
    let folding = LogicalPlanBuilder::from(selected).project(columns).and_then(LogicalPlanBuilder::build).map_err(failed)?;
    // A session of its own: an input may have the name by which the fold calls its rows.
    let of_fold = session(&query.room, parts).map_err(failed)?;
    of_fold.register_table(FOLDING, DataFrame::new(context.state(), folding).into_view()).map_err(failed)?;
    let plan = of_fold.state().create_logical_plan(fold.refold_sql()).await.map_err(failed)?;
    Ok((of_fold, plan))
}

/// The plan for the wanted rows. The conditions stand above the whole statement; the engine moves them down where it can.
fn restricted(
    query: &Query,
    mut plan: LogicalPlan,
    definition: &UseCaseTable,
    schema: &SchemaRef,
    wanted: &Wanted,
) -> Result<LogicalPlan, Error> {
    if let (Some(partitions), Some(column)) = (&wanted.partitions, &definition.partition_by) {
        let field = schema.field_with_name(column).expect("a table has its partition column").clone();
        let set = GroupSet::new(vec![0], &Arc::new(Schema::new(vec![field])));
        let values: ArrayRef = Arc::new(partitions.iter().map(Option::as_deref).collect::<StringArray>());
        let set = set.and_then(|mut set| set.insert(&[values]).map(|()| set)).map_err(Error::arrow("choose partitions"))?;
        plan = query.restricted(plan, std::slice::from_ref(column), &[Arc::new(set)])?;
    }
    if let Some(share) = wanted.share {
        let mut key = Vec::new();
        for name in &definition.key {
            let field = schema.field_with_name(name).expect("a table has its key");
            key.push((Expr::Column(query.column(&plan, name)?), field.data_type().clone()));
        }
        let built = LogicalPlanBuilder::from(plan).filter(in_share(share, key)).and_then(LogicalPlanBuilder::build);
        plan = built.map_err(|error| query.error(error))?;
    }
    Ok(plan)
}
