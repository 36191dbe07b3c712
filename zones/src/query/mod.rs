//! SQL over whole tables, and over just those of their rows that certain groups of the result come from.
//!
//! Guarantee: [`Query::run`] with touched groups yields exactly the rows of the whole result that belong to those groups. The
//! condition stands above the whole statement, and only the engine's own rules move it down: where they cannot, more is read,
//! never less. [`Query::lineage`] asks the same rules which columns of each input decide a row's group, so that a change of an
//! input is known to touch no other group.
//!
//! docs/decisions/0004-views.md says why this is so.

mod outer_join;
mod room;
mod sampled;
mod scan;
mod touched;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider,
};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Column, DFSchema, TableReference};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableScan};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::SessionContext;
use model::definition::Origin;

pub(crate) use room::Parts;
pub use room::{MEMORY_BYTES, Room};
pub(crate) use sampled::in_share;
pub use touched::GroupSet;

use crate::delta::{DataFile, Table, normalized};
use crate::error::Error;
use crate::sql::{Mistake, Scope, conformed, engine, locate, mistakes, one_line, varying};
use outer_join::TouchedAcrossOuterJoins;
use scan::LakeTable;
use touched::{Touched, as_touched};

/// A table that a statement may read.
#[derive(Debug, Clone)]
pub struct Input {
    pub origin: Origin,
    pub schema: SchemaRef,
    /// Without it the statement can be planned, and has no rows here.
    pub table: Option<Table>,
}

/// A statement over whole tables.
#[derive(Debug, Clone)]
pub struct Query {
    /// For messages: "`course_days.sql` of use case `course_days`".
    pub place: String,
    pub sql: String,
    pub inputs: Vec<Input>,
    /// What it may take.
    pub room: Room,
}

/// How one mention of an input in the statement decides the groups of its rows.
pub struct Lineage {
    pub origin: Origin,
    /// For each key column, the expression over the input's columns that it comes from; `None` where that cannot be said.
    pub key: Vec<Option<Arc<dyn PhysicalExpr>>>,
}

impl Query {
    /// The columns of the result, in the types that the lake stores.
    pub async fn output_schema(&self) -> Result<SchemaRef, Error> {
        let (_, plan) = self.plan(Parts::One).await?;
        Ok(normalized(plan.schema().as_arrow()))
    }

    /// Plans the statement and looks at everything that can be wrong with it before there are rows: the columns of the result,
    /// nullable where they may be null.
    pub async fn inspect(&self) -> Result<SchemaRef, Vec<Mistake>> {
        let unsound = |error: Error| vec![locate::beginning(&self.sql, &error.to_string())];
        let context = self.context(Parts::One).map_err(unsound)?;
        let wrong = |error: &DataFusionError| mistakes(error, &self.sql, &self.scope());
        let plan = match context.state().create_logical_plan(&self.sql).await {
            Ok(plan) => plan,
            Err(error) => return Err(locate::narrowed(&context.state(), &self.sql, &self.scope(), wrong(&error)).await),
        };
        if !is_select(&plan) {
            return Err(vec![locate::not_a_select(&self.sql)]);
        }
        if let Err(error) = context.state().optimize(&plan) {
            return Err(locate::narrowed(&context.state(), &self.sql, &self.scope(), wrong(&error)).await);
        }
        if let Some(function) = varying::of_plan(&plan) {
            let message =
                format!("{function}() gives something else each time, and rows are computed anew only where inputs change");
            let hint = "keep the time as a column, and compare with it where the table is read".to_owned();
            return Err(vec![Mistake { hint: Some(hint), ..locate::first_of(&self.sql, &[&function], &message) }]);
        }
        Ok(normalized(plan.schema().as_arrow()))
    }

    fn scope(&self) -> Scope {
        let names = self.inputs.iter().flat_map(|input| [input.origin.to_string(), input.origin.table().to_owned()]);
        Scope { tables: names.collect(), is_definition: true, ..Scope::default() }
    }

    /// The rows of the result, of the touched groups only where some are given.
    ///
    /// The sets are over the columns `key` of the result; a row is taken if one of them holds its group. What does not fit into
    /// its memory is computed again in one part.
    pub async fn run(&self, touched: Option<(&[String], &[Arc<GroupSet>])>) -> Result<Vec<RecordBatch>, Error> {
        match self.run_in(Parts::Cores, touched).await {
            Err(error @ Error::OutOfMemory { .. }) => {
                Self::tell_of_second_try(&error);
                self.run_in(Parts::One, touched).await
            }
            rows => rows,
        }
    }

    pub(crate) fn tell_of_second_try(error: &Error) {
        tracing::warn!("{error}; computing it again in one part, which takes longer");
    }

    #[tracing::instrument(target = "profile", level = "trace", name = "run SQL", skip_all)]
    async fn run_in(&self, parts: Parts, touched: Option<(&[String], &[Arc<GroupSet>])>) -> Result<Vec<RecordBatch>, Error> {
        let (context, plan) = self.plan(parts).await?;
        let schema = normalized(plan.schema().as_arrow());
        let plan = match touched {
            Some((key, sets)) => self.restricted(plan, key, sets)?,
            None => plan,
        };
        let frame = context.execute_logical_plan(plan).await.map_err(|error| self.error(error))?;
        let rows = frame.collect().await.map_err(|error| self.error(error))?;
        rows.iter().filter(|rows| rows.num_rows() > 0).map(|rows| conformed(rows, &schema)).collect()
    }

    /// The files that [`Self::run`] with the same groups would read, by input; reads none of them.
    ///
    /// An input that the statement mentions twice is listed once, with the files of both.
    pub async fn reads(&self, touched: Option<(&[String], &[Arc<GroupSet>])>) -> Result<Vec<(Origin, Vec<DataFile>)>, Error> {
        let (context, plan) = self.plan(Parts::One).await?;
        let plan = match touched {
            Some((key, sets)) => self.restricted(plan, key, sets)?,
            None => plan,
        };
        let optimized = context.state().optimize(&plan).map_err(|error| self.error(error))?;
        let mut reads: Vec<(Origin, BTreeMap<object_store::path::Path, DataFile>)> = Vec::new();
        let visited = optimized.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                let input = self.input_named(&scan.table_name);
                let files = match &input.table {
                    Some(table) => {
                        let partitions = scan::partitions(table, &scan.filters)?;
                        table.files(partitions.as_ref()).map_err(|error| DataFusionError::External(Box::new(error)))?
                    }
                    None => Vec::new(),
                };
                if reads.iter().all(|(origin, _)| *origin != input.origin) {
                    reads.push((input.origin.clone(), BTreeMap::new()));
                }
                let known = reads.iter_mut().find(|(origin, _)| *origin == input.origin).expect("just pushed");
                known.1.extend(files.into_iter().map(|file| (file.path.clone(), file)));
            }
            Ok(TreeNodeRecursion::Continue)
        });
        visited.map_err(|error| self.error(error))?;
        Ok(reads.into_iter().map(|(origin, files)| (origin, files.into_values().collect())).collect())
    }

    /// For each mention of an input, where the key columns come from.
    pub async fn lineage(&self, key: &[String]) -> Result<Vec<Lineage>, Error> {
        let (context, plan) = self.plan(Parts::One).await?;
        let key_schema = self.key_schema(&plan, key)?;
        let mut restricted = LogicalPlanBuilder::from(plan.clone());
        for (index, name) in key.iter().enumerate() {
            let set = Arc::new(GroupSet::new(vec![index], &key_schema).map_err(Error::arrow("compare groups"))?);
            let column = self.column(&plan, name)?;
            let condition = Touched::call(format!("touched_{index}"), set, vec![Expr::Column(column)]);
            restricted = restricted.filter(condition).map_err(|error| self.error(error))?;
        }
        let restricted = restricted.build().map_err(|error| self.error(error))?;
        let optimized = context.state().optimize(&restricted).map_err(|error| self.error(error))?;
        let mut mentions = Vec::new();
        let visited = optimized.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                mentions.push(self.mention(&context, scan, key.len())?);
            }
            Ok(TreeNodeRecursion::Continue)
        });
        visited.map_err(|error| self.error(error))?;
        Ok(mentions)
    }

    fn mention(&self, context: &SessionContext, scan: &TableScan, keys: usize) -> Result<Lineage, DataFusionError> {
        let input = self.input_named(&scan.table_name);
        let schema = DFSchema::try_from(input.schema.as_ref().clone())?;
        let mut key: Vec<Option<Arc<dyn PhysicalExpr>>> = vec![None; keys];
        for (touched, arguments) in scan.filters.iter().filter_map(as_touched) {
            let plain = datafusion::common::tree_node::TransformedResult::data(
                datafusion::common::tree_node::TreeNode::transform(arguments[0].clone(), |expression| {
                    Ok(match expression {
                        Expr::Column(column) => {
                            datafusion::common::tree_node::Transformed::yes(Expr::Column(Column::from_name(column.name)))
                        }
                        other => datafusion::common::tree_node::Transformed::no(other),
                    })
                }),
            )?;
            key[touched.set.columns()[0]] = Some(context.create_physical_expr(plain, &schema)?);
        }
        Ok(Lineage { origin: input.origin.clone(), key })
    }

    fn input_named(&self, name: &TableReference) -> &Input {
        let is_it = |input: &&Input| {
            name.table() == input.origin.table() && name.schema().is_none_or(|zone| zone == input.origin.zone() || zone == PLAIN)
        };
        self.inputs.iter().find(is_it).expect("only inputs are registered")
    }

    pub(crate) fn restricted(&self, plan: LogicalPlan, key: &[String], sets: &[Arc<GroupSet>]) -> Result<LogicalPlan, Error> {
        let mut any: Option<Expr> = None;
        for (index, set) in sets.iter().enumerate() {
            let names = set.columns().iter().map(|column| self.column(&plan, &key[*column]).map(Expr::Column));
            let call = Touched::call(format!("touched_{index}"), set.clone(), names.collect::<Result<_, _>>()?);
            any = Some(match any {
                Some(earlier) => earlier.or(call),
                None => call,
            });
        }
        let condition = any.unwrap_or_else(|| datafusion::prelude::lit(false));
        let built = LogicalPlanBuilder::from(plan).filter(condition).and_then(LogicalPlanBuilder::build);
        built.map_err(|error| self.error(error))
    }

    /// The key columns of the result, in the types that the lake stores.
    fn key_schema(&self, plan: &LogicalPlan, key: &[String]) -> Result<SchemaRef, Error> {
        let schema = normalized(plan.schema().as_arrow());
        let fields = key.iter().map(|name| {
            self.column(plan, name)?;
            Ok(schema.field_with_name(name).expect("just found").clone())
        });
        Ok(Arc::new(arrow::datatypes::Schema::new(fields.collect::<Result<Vec<_>, Error>>()?)))
    }

    pub(crate) fn column(&self, plan: &LogicalPlan, name: &str) -> Result<Column, Error> {
        let found = plan.schema().columns().into_iter().find(|column| column.name == name);
        found.ok_or_else(|| Error::SqlShape {
            step: self.place.clone(),
            sql: one_line(&self.sql),
            problem: format!(
                "does not yield the key column {name}; it yields {}",
                plan.schema().fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ")
            ),
        })
    }

    fn context(&self, parts: Parts) -> Result<SessionContext, Error> {
        let context = session(&self.room, parts).map_err(|error| self.error(error))?;
        self.register(&context).map_err(|error| self.error(error))?;
        Ok(context)
    }

    pub(crate) async fn plan(&self, parts: Parts) -> Result<(SessionContext, LogicalPlan), Error> {
        let context = self.context(parts)?;
        let wrong = |mistakes| Error::Planning { step: format!("plan {}", self.place), text: self.sql.clone(), mistakes };
        let plan = context.state().create_logical_plan(&self.sql).await;
        let plan = plan.map_err(|error| wrong(mistakes(&error, &self.sql, &self.scope())))?;
        if !is_select(&plan) {
            return Err(wrong(vec![locate::beginning(&self.sql, "this is not a SELECT")]));
        }
        Ok((context, plan))
    }

    /// Each input under its zone and, where no other has its name, under its name alone.
    fn register(&self, context: &SessionContext) -> Result<(), DataFusionError> {
        let catalog = context.catalog(CATALOG).expect("a session has its catalog");
        for input in &self.inputs {
            let table = Arc::new(LakeTable { schema: input.schema.clone(), table: input.table.clone() });
            let known = catalog.schema(input.origin.zone());
            let zone = known.unwrap_or_else(|| Arc::new(MemorySchemaProvider::new()));
            catalog.register_schema(input.origin.zone(), zone.clone())?;
            zone.register_table(input.origin.table().to_owned(), table.clone())?;
            let same_name = self.inputs.iter().filter(|other| other.origin.table() == input.origin.table()).count();
            if same_name == 1 {
                let plain = catalog.schema(PLAIN).expect("a session has its schema");
                plain.register_table(input.origin.table().to_owned(), table)?;
            }
        }
        Ok(())
    }

    pub(crate) fn error(&self, source: DataFusionError) -> Error {
        match source {
            // What a scan hit is an error of the lake, not of the statement.
            DataFusionError::External(inner) if inner.is::<Error>() => *inner.downcast().expect("just looked"),
            source => Error::sql(format!("run {}", self.place), &source),
        }
    }
}

const CATALOG: &str = "lake";
const PLAIN: &str = "tables";

fn is_select(plan: &LogicalPlan) -> bool {
    !matches!(plan, LogicalPlan::Ddl(_) | LogicalPlan::Dml(_) | LogicalPlan::Copy(_) | LogicalPlan::Statement(_))
}

/// A session without tables.
pub(crate) fn session(room: &Room, parts: Parts) -> Result<SessionContext, DataFusionError> {
    let template = engine::session();
    let config = template.config().clone().with_default_catalog_and_schema(CATALOG, PLAIN).with_target_partitions(parts.number());
    let folder = room.spill.clone();
    let mode = folder.map_or(DiskManagerMode::OsTmpDirectory, |folder| DiskManagerMode::Directories(vec![folder]));
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(room.memory)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(mode))
        .build_arc()?;
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema(PLAIN, Arc::new(MemorySchemaProvider::new()))?;
    let catalogs = MemoryCatalogProviderList::new();
    catalogs.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
    let state = SessionStateBuilder::new_from_existing(template)
        .with_config(config)
        .with_runtime_env(runtime)
        .with_catalog_list(Arc::new(catalogs))
        .with_optimizer_rule(Arc::new(TouchedAcrossOuterJoins))
        .build();
    Ok(SessionContext::new_with_state(state))
}
