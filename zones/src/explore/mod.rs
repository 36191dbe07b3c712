//! Looking at a lake: one table, or SQL over all of them. Reads only, and only what is committed.
//!
//! Guarantee: a statement sees each table at one version, the newest when it began (or the one that was asked for), also while a
//! run writes; nothing is written, made or locked. Rows come as a stream: what sorts and aggregates hold beyond
//! their memory goes to the system's temporary folder. A statement can name tables of this pipeline and nothing else, no
//! file in particular.

mod tables;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use datafusion::catalog::CatalogProviderList;
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider};
use datafusion::common::TableReference;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::{SQLOptions, SessionConfig};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::prelude::{SessionContext, ident};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use model::definition::{Pipeline, suggest};

use crate::beside::cores;
use crate::error::Error;
use crate::lake::Lake;
use crate::sql::{Expression, Mistake, Scope, mistakes, one_line};

pub use tables::Name;

const CATALOG: &str = "lake";
const PLAIN: &str = "tables";

/// A pipeline's lake, to be looked at.
pub struct Explorer<'p> {
    lake: Lake,
    pipeline: &'p Pipeline,
}

/// Which state of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Newest,
    Version(u64),
    Time(DateTime<Utc>),
}

/// Some rows of one table.
#[derive(Debug, Clone)]
pub struct Show {
    /// `raw.NAME`, `use_case.NAME`, `landing.NAME`, `quarantine`, or a name alone that only one table has.
    pub table: String,
    pub at: At,
    /// A condition.
    pub filter: Option<String>,
    /// Parted by commas; all where there is none.
    pub columns: Option<String>,
    pub limit: Option<usize>,
}

/// What a statement yields.
pub struct Rows {
    pub schema: SchemaRef,
    pub batches: BoxStream<'static, Result<RecordBatch, Error>>,
}

impl<'p> Explorer<'p> {
    pub fn new(lake: Lake, pipeline: &'p Pipeline) -> Self {
        Self { lake, pipeline }
    }

    /// Runs a statement that only reads.
    pub async fn sql(&self, sql: &str) -> Result<Rows, Error> {
        let state = self.session().map_err(in_statement(sql))?;
        let scope = Scope { tables: self.names(), ..Scope::default() };
        let wrong = |error: DataFusionError| planning("the statement", sql, mistakes(&error, sql, &scope));
        let dialect = state.config().options().sql_parser.dialect;
        let statement = state.sql_to_statement(sql, &dialect).map_err(wrong)?;
        let mentioned = state.resolve_table_references(&statement).map_err(wrong)?;
        self.register(&state, &mentioned).await?;
        let plan = state.statement_to_plan(statement).await.map_err(wrong)?;
        let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        if read_only.verify_plan(&plan).is_err() {
            let hint = "a SELECT, EXPLAIN or DESCRIBE; the tables are written by runs only".to_owned();
            let mistake = Mistake { hint: Some(hint), ..crate::sql::beginning(sql, "this statement does not just read") };
            return Err(planning("the statement", sql, vec![mistake]));
        }
        if let LogicalPlan::DescribeTable(described) = &plan {
            return tables::described(&described.schema);
        }
        // Types are brought together here: better told before the first row than after it.
        state.optimize(&plan).map_err(wrong)?;
        rows(DataFrame::new(state, plan), sql).await
    }

    /// Some rows of one table.
    pub async fn show(&self, show: &Show) -> Result<Rows, Error> {
        let name = self.resolve(&show.table)?;
        let provider = self.open(&name, show.at).await?;
        let schema = provider.schema();
        let filter = match &show.filter {
            None => None,
            Some(filter) => {
                let compiled = Expression::inspect("--where", filter, &schema, Vec::new());
                Some(compiled.map_err(|mistakes| planning("--where", filter, mistakes))?.logical().clone())
            }
        };
        let columns = show.columns.as_deref().map(|columns| chosen(columns, &schema)).transpose()?;
        let context = SessionContext::new_with_state(self.session().map_err(in_statement(&show.table))?);
        let frame = (|| {
            let mut frame = context.read_table(provider)?;
            if let Some(filter) = filter {
                frame = frame.filter(filter)?;
            }
            if let Some(columns) = columns {
                frame = frame.select(columns)?;
            }
            frame.limit(0, show.limit)
        })();
        rows(frame.map_err(in_statement(show.filter.as_deref().unwrap_or(&show.table)))?, &show.table).await
    }

    fn session(&self) -> Result<SessionState, DataFusionError> {
        session(self.lake.statement_memory())
    }

    /// Every table by its full name.
    pub fn names(&self) -> Vec<String> {
        tables::all(self.pipeline).iter().map(ToString::to_string).collect()
    }

    fn resolve(&self, written: &str) -> Result<Name, Error> {
        let all = tables::all(self.pipeline);
        let named = tables::named(&all, written);
        if let [name] = named.as_slice() {
            return Ok((*name).clone());
        }
        let full: Vec<String> = named.iter().map(ToString::to_string).collect();
        let (message, hint) = if full.is_empty() {
            (format!("there is no table `{written}`"), unknown_table(written, &self.names()))
        } else {
            (format!("there are several tables `{written}`"), Some(format!("write {}", full.join(" or "))))
        };
        Err(planning("the table", written, vec![Mistake { message, hint, at: 0..written.len() }]))
    }

    /// Opens the tables that a statement mentions, under the names that it uses.
    async fn register(&self, state: &SessionState, mentioned: &[TableReference]) -> Result<(), Error> {
        let all = tables::all(self.pipeline);
        let catalog = state.catalog_list().catalog(CATALOG).expect("made with the session");
        for reference in mentioned {
            let written = match reference.schema() {
                Some(schema) => format!("{schema}.{}", reference.table()),
                None => reference.table().to_owned(),
            };
            // What is unknown, or could be two, is told where the statement is planned.
            let [name] = tables::named(&all, &written)[..] else { continue };
            let zone = reference.schema().unwrap_or(PLAIN);
            let schema = catalog.schema(zone).expect("every zone was made with the session");
            if !schema.table_exist(reference.table()) {
                let provider = self.open(name, At::Newest).await?;
                schema.register_table(reference.table().to_owned(), provider).map_err(in_statement(&written))?;
            }
        }
        Ok(())
    }
}

/// What was probably meant by a table that is not there.
pub(crate) fn unknown_table(written: &str, names: &[String]) -> Option<String> {
    let bare = written.rsplit('.').next().unwrap_or(written);
    let same: Vec<&str> = names.iter().map(String::as_str).filter(|name| name.rsplit('.').next() == Some(bare)).collect();
    if !same.is_empty() {
        return Some(format!("write `{}`", same.join("` or `")));
    }
    let bare_names = names.iter().map(|name| name.rsplit('.').next().unwrap_or(name));
    if let Some(near) = model::definition::nearest(bare, bare_names) {
        let full = names.iter().find(|name| name.rsplit('.').next() == Some(near));
        return full.map(|full| format!("did you mean `{full}`?"));
    }
    suggest(written, names.iter().map(String::as_str), "tables")
}

/// The columns that were asked for, in that order.
fn chosen(columns: &str, schema: &SchemaRef) -> Result<Vec<Expr>, Error> {
    let mut expressions = Vec::new();
    let mut wrong = Vec::new();
    let mut start = 0;
    for part in columns.split(',') {
        let name = part.trim();
        let at = start + (part.len() - part.trim_start().len());
        start += part.len() + 1;
        if schema.field_with_name(name).is_ok() {
            expressions.push(ident(name));
            continue;
        }
        let hint = suggest(name, schema.fields().iter().map(|field| field.name().as_str()), "columns");
        wrong.push(Mistake { message: format!("there is no column `{name}`"), hint, at: at..at + name.len() });
    }
    if wrong.is_empty() { Ok(expressions) } else { Err(planning("--columns", columns, wrong)) }
}

async fn rows(frame: DataFrame, sql: &str) -> Result<Rows, Error> {
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let stream = frame.execute_stream().await.map_err(in_statement(sql))?;
    let sql = sql.to_owned();
    Ok(Rows { schema, batches: stream.map_err(move |error| in_statement(&sql)(error)).boxed() })
}

fn planning(step: &str, text: &str, mistakes: Vec<Mistake>) -> Error {
    Error::Planning { step: step.to_owned(), text: text.to_owned(), mistakes }
}

fn in_statement(sql: &str) -> impl FnOnce(DataFusionError) -> Error {
    let sql = one_line(sql);
    move |error| match error {
        DataFusionError::External(inner) if inner.is::<Error>() => *inner.downcast().expect("just looked"),
        error => Error::sql(format!("run `{sql}`"), &error),
    }
}

fn session(memory: usize) -> Result<SessionState, DataFusionError> {
    let config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, PLAIN)
        .with_create_default_catalog_and_schema(false)
        .with_target_partitions(cores())
        .set_bool("datafusion.sql_parser.collect_spans", true)
        .set_bool("datafusion.execution.parquet.schema_force_view_types", false);
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(FairSpillPool::new(memory))).build_arc()?;
    let catalog = MemoryCatalogProvider::new();
    for zone in [PLAIN, "raw", "use_case", "landing"] {
        catalog.register_schema(zone, Arc::new(MemorySchemaProvider::new()))?;
    }
    let catalogs = MemoryCatalogProviderList::new();
    catalogs.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
    let builder = SessionStateBuilder::new_with_default_features().with_config(config).with_runtime_env(runtime);
    let mut state = builder.with_catalog_list(Arc::new(catalogs)).build();
    state.mark_start_execution();
    Ok(state)
}
