//! The definition's SQL, run over batches in memory.
//!
//! Every statement sees exactly one table: the rows it is handed, under the name of the table that they come from. Results
//! come back in the types that the lake stores. What is wrong with a statement is told as [`Mistake`]s, each at its place in
//! the statement's text.

pub(crate) mod engine;
pub(crate) mod locate;
mod mistake;
mod nulls;
mod present;
mod types;
mod values;
pub(crate) mod varying;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::simplify_expressions::{ExprSimplifier, SimplifyContext};
use datafusion::physical_expr::PhysicalExpr;

use crate::delta::normalized;
use crate::error::Error;

pub(crate) use locate::beginning;
pub use mistake::Mistake;
pub(crate) use mistake::{Scope, mistakes};
pub use nulls::Facts;
use present::Present;
pub use types::{in_our_words, type_name};
pub(crate) use values::of_error;

/// A statement of the definition and where it stands.
#[derive(Debug, Clone)]
pub struct Statement {
    /// For messages: "the fold of sessions (sessions.sql)".
    pub place: String,
    /// The one table that it may name.
    pub input: String,
    pub sql: String,
}

/// What a statement yields, as far as can be said without running it.
#[derive(Debug)]
pub struct Planned {
    /// In the types that the lake stores; nullable where a value may be missing.
    pub schema: SchemaRef,
    plan: LogicalPlan,
}

impl Planned {
    fn new(plan: LogicalPlan, input: &SchemaRef) -> Self {
        Self { schema: normalized(&nulls::yielded(&plan, input)), plan }
    }

    /// The same, where these facts hold for every row of `input`, the schema that the statement was planned over.
    #[must_use]
    pub fn given(self, input: &SchemaRef, facts: &Facts) -> Self {
        let narrowed = facts.narrowed(input, &self.plan);
        Self::new(self.plan, &narrowed)
    }

    pub(crate) fn plan(&self) -> &LogicalPlan {
        &self.plan
    }

    /// For each column that is yielded: the input's column that it is, if it is just that.
    pub fn sources(&self) -> Vec<Option<String>> {
        let source = |expression: &Expr| match expression.clone().unalias() {
            Expr::Column(column) => Some(column.name),
            _ => None,
        };
        match &self.plan {
            LogicalPlan::Projection(projection) => projection.expr.iter().map(source).collect(),
            _ => self.schema.fields().iter().map(|field| Some(field.name().clone())).collect(),
        }
    }

    /// Whether a column is the same for every row.
    pub fn is_constant(&self, index: usize) -> bool {
        let LogicalPlan::Projection(projection) = &self.plan else { return false };
        projection.expr.get(index).is_some_and(|expression| matches!(expression.clone().unalias(), Expr::Literal(..)))
    }

    /// Whether each row is treated by itself: a projection and a filter, nothing that groups, joins or sorts.
    pub fn is_row_by_row(&self) -> bool {
        let mut row_by_row = true;
        let looked_at = self.plan.apply(|node| {
            row_by_row &= matches!(
                node,
                LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::TableScan(_) | LogicalPlan::SubqueryAlias(_)
            );
            Ok(TreeNodeRecursion::Continue)
        });
        looked_at.is_ok() && row_by_row
    }
}

impl Statement {
    fn error(&self, source: &DataFusionError) -> Error {
        Error::sql(format!("run {}", self.place), source)
    }

    fn wrong(&self, mistakes: Vec<Mistake>) -> Error {
        Error::Planning { step: format!("plan {}", self.place), text: self.sql.clone(), mistakes }
    }

    fn scope(&self) -> Scope {
        Scope { tables: vec![self.input.clone()], is_definition: true, ..Scope::default() }
    }

    /// A session that sees these rows; all of them have the same columns, which may be some of the table's.
    fn session(&self, schema: SchemaRef, batches: Vec<RecordBatch>) -> Result<SessionState, Error> {
        let there = batches.first().map_or_else(|| schema.clone(), RecordBatch::schema);
        let table: Result<Arc<dyn TableProvider>, _> = if there.fields().len() == schema.fields().len() {
            MemTable::try_new(schema, vec![batches]).map(|table| Arc::new(table) as _)
        } else {
            Present::new(schema, &there, batches).map(|table| Arc::new(table) as _)
        };
        table.and_then(|table| engine::session_over(&self.input, table)).map_err(|error| self.error(&error))
    }

    async fn plan(&self, state: &SessionState) -> Result<LogicalPlan, Vec<Mistake>> {
        let wrong = |error: DataFusionError| mistakes(&error, &self.sql, &self.scope());
        let plan = state.create_logical_plan(&self.sql).await.map_err(wrong)?;
        match plan {
            LogicalPlan::Ddl(_) | LogicalPlan::Dml(_) | LogicalPlan::Copy(_) | LogicalPlan::Statement(_) => {
                Err(vec![locate::not_a_select(&self.sql)])
            }
            plan => Ok(plan),
        }
    }

    /// Plans the statement over rows of `input` and looks at everything that can be wrong with it before there are rows.
    /// Columns may be null where `input` says so.
    pub async fn inspect(&self, input: &SchemaRef) -> Result<Planned, Vec<Mistake>> {
        let state =
            self.session(input.clone(), Vec::new()).map_err(|error| vec![locate::beginning(&self.sql, &error.to_string())])?;
        let plan = match self.plan(&state).await {
            Ok(plan) => plan,
            Err(found) => return Err(locate::narrowed(&state, &self.sql, &self.scope(), found).await),
        };
        if let Err(error) = state.optimize(&plan) {
            let found = mistakes(&error, &self.sql, &self.scope());
            return Err(locate::narrowed(&state, &self.sql, &self.scope(), found).await);
        }
        Ok(Planned::new(plan, input))
    }

    /// A mistake that is about how the statement is built: at the word that makes it so.
    pub fn not_row_by_row(&self) -> Mistake {
        let words = ["GROUP", "DISTINCT", "JOIN", "ORDER", "LIMIT", "UNION", "OVER", "HAVING", "WITH"];
        let message = "each row must be treated by itself, and this groups, joins or sorts rows";
        let hint = "write a choice of columns and a filter; what is grouped belongs into a use-case table";
        Mistake { hint: Some(hint.to_owned()), ..locate::first_of(&self.sql, &words, message) }
    }

    /// A mistake where the statement asks for the time or for chance.
    pub fn varying(&self, planned: &Planned, why: &str) -> Option<Mistake> {
        let function = varying::of_plan(planned.plan())?;
        Some(locate::first_of(&self.sql, &[&function], &format!("{function}() gives something else each time, and {why}")))
    }

    /// A mistake at the first of these words, else at the first word of all.
    pub(crate) fn mistake_at(&self, words: &[&str], message: &str) -> Mistake {
        locate::first_of(&self.sql, words, message)
    }

    /// A mistake about the whole statement: at its first word.
    pub fn mistake(&self, message: &str) -> Mistake {
        locate::beginning(&self.sql, message)
    }

    /// The columns that the statement yields, in the types that the lake stores, without running it.
    pub async fn output_schema(&self, input: &SchemaRef) -> Result<SchemaRef, Error> {
        // Rows read back from a file may say less about nulls than the contract does.
        let state = self.session(all_nullable(input), Vec::new())?;
        let plan = self.plan(&state).await.map_err(|mistakes| self.wrong(mistakes))?;
        Ok(normalized(plan.schema().as_arrow()))
    }

    /// The statement as the engine has it.
    pub(crate) async fn logical_plan(&self, input: &SchemaRef) -> Result<LogicalPlan, Error> {
        let state = self.session(input.clone(), Vec::new())?;
        self.plan(&state).await.map_err(|mistakes| self.wrong(mistakes))
    }

    /// Whether the statement treats each row by itself: a projection and a filter, nothing that groups, joins or sorts.
    pub async fn is_row_by_row(&self, input: &SchemaRef) -> Result<bool, Error> {
        let state = self.session(all_nullable(input), Vec::new())?;
        let plan = self.plan(&state).await.map_err(|mistakes| self.wrong(mistakes))?;
        Ok(Planned::new(plan, input).is_row_by_row())
    }

    /// The columns of `input` that [`Self::run`] needs, in its order; one at least, so that rows can be counted.
    pub async fn reads(&self, input: &SchemaRef) -> Result<Vec<String>, Error> {
        let state = self.session(all_nullable(input), Vec::new())?;
        let plan = self.plan(&state).await.map_err(|mistakes| self.wrong(mistakes))?;
        let plan = state.optimize(&plan).map_err(|error| self.error(&error))?;
        let mut read = vec![false; input.fields().len()];
        let looked_at = plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                match &scan.projection {
                    Some(columns) => columns.iter().for_each(|column| read[*column] = true),
                    None => read.fill(true),
                }
            }
            Ok(TreeNodeRecursion::Continue)
        });
        looked_at.map_err(|error| self.error(&error))?;
        if !read.contains(&true) {
            read[0] = true;
        }
        Ok(input.fields().iter().zip(read).filter(|(_, read)| *read).map(|(field, _)| field.name().clone()).collect())
    }

    /// Runs the statement over these rows, which may lack columns that [`Self::reads`] does not name.
    #[tracing::instrument(target = "profile", level = "trace", name = "run SQL", skip_all, fields(of = self.place))]
    pub async fn run(&self, input: &SchemaRef, batches: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, Error> {
        let relaxed = all_nullable(input);
        let there = match batches.first() {
            Some(batch) => {
                relaxed.fields().iter().filter(|field| batch.schema_ref().index_of(field.name()).is_ok()).cloned().collect()
            }
            None => Vec::new(),
        };
        let there = Arc::new(Schema::new(there));
        let batches = batches.iter().map(|batch| conformed(batch, &there)).collect::<Result<Vec<_>, _>>()?;
        let state = self.session(relaxed, batches)?;
        let plan = self.plan(&state).await.map_err(|mistakes| self.wrong(mistakes))?;
        let schema = normalized(plan.schema().as_arrow());
        let batches = DataFrame::new(state, plan).collect().await.map_err(|error| self.error(&error))?;
        batches.iter().filter(|batch| batch.num_rows() > 0).map(|batch| conformed(batch, &schema)).collect()
    }
}

/// An expression over the columns of one schema, compiled once and evaluated batch by batch.
pub struct Expression {
    pub name: String,
    logical: Expr,
    physical: Arc<dyn PhysicalExpr>,
}

impl Expression {
    /// Compiles `sql` over `schema`. `name` is for messages.
    pub fn compile(name: &str, sql: &str, schema: &Schema) -> Result<Self, Error> {
        Self::inspect(name, sql, schema, Vec::new()).map_err(|mistakes| Error::Planning {
            step: format!("plan {name}"),
            text: sql.to_owned(),
            mistakes,
        })
    }

    /// Like [`Self::compile`]; `out_of_reach` are columns that exist and cannot be used here, with the reason.
    pub fn inspect(name: &str, sql: &str, schema: &Schema, out_of_reach: Vec<(String, String)>) -> Result<Self, Vec<Mistake>> {
        let scope = Scope { out_of_reach, ..Scope::default() };
        let wrong = |error: DataFusionError| mistakes(&error, sql, &scope);
        let state = engine::session();
        let dialect = state.config().options().sql_parser.dialect;
        let parsed = state.sql_to_expr_with_alias(sql, &dialect).map_err(wrong)?;
        if let Some(alias) = &parsed.alias {
            let message = format!("an expression has no name of its own, and this one is called `{}`", alias.value);
            return Err(vec![Mistake { at: locate::at_span(sql, alias.span), hint: None, message }]);
        }
        let schema = DFSchema::try_from(schema.clone()).map_err(wrong)?;
        let logical = state.create_logical_expr_from_sql_expr(parsed, &schema).map_err(wrong)?;
        if let Some(what) = beyond_a_row(&logical) {
            let hint = "an expression sees one row at a time, and its columns only".to_owned();
            return Err(vec![Mistake { hint: Some(hint), ..locate::beginning(sql, &format!("{what} cannot be used here")) }]);
        }
        if let Some(function) = varying::of_expression(&logical) {
            let message =
                format!("{function}() gives something else each time, and a record that is read again must be the same row");
            let hint =
                "compute it from the record; how late an event may be is `future_tolerance`, how old `retention`".to_owned();
            return Err(vec![Mistake { hint: Some(hint), ..locate::first_of(sql, &[&function], &message) }]);
        }
        let physical = physical(&state, logical.clone(), &schema).map_err(wrong)?;
        Ok(Self { name: name.to_owned(), logical, physical })
    }

    /// The expression as the engine has it, before types are brought together.
    pub fn logical(&self) -> &Expr {
        &self.logical
    }

    /// The type of the result over `schema`, as Arrow has it.
    pub fn data_type(&self, schema: &Schema) -> Result<DataType, Error> {
        self.physical.data_type(schema).map_err(|error| self.error(&error))
    }

    /// Whether the result may be null over `schema`.
    pub fn is_nullable(&self, schema: &Schema) -> Result<bool, Error> {
        self.physical.nullable(schema).map_err(|error| self.error(&error))
    }

    pub fn evaluate(&self, batch: &RecordBatch) -> Result<arrow::array::ArrayRef, Error> {
        let value = self.physical.evaluate(batch).map_err(|error| self.error(&error))?;
        value.into_array(batch.num_rows()).map_err(|error| self.error(&error))
    }

    fn error(&self, source: &DataFusionError) -> Error {
        Error::sql(format!("evaluate {}", self.name), source)
    }
}

/// The expression as it is evaluated. It is simplified before: functions as `coalesce` are only there until then.
fn physical(state: &SessionState, logical: Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(schema.clone()))
        .with_config_options(Arc::clone(state.config_options()))
        .build();
    let rules = ExprSimplifier::new(context);
    let simplified = rules.simplify(rules.coerce(logical, schema)?)?;
    state.create_physical_expr(simplified, schema)
}

/// What in an expression needs more than one row.
fn beyond_a_row(expression: &Expr) -> Option<&'static str> {
    let mut found = None;
    let looked_at = expression.apply(|part| {
        found = match part {
            Expr::AggregateFunction(_) => Some("an aggregate function"),
            Expr::WindowFunction(_) => Some("a window function"),
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) => Some("a subquery"),
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        Ok(TreeNodeRecursion::Stop)
    });
    looked_at.ok().and(found)
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

#[cfg(test)]
mod tests;
