//! Makes what the other stages write to: Delta tables, the keyspace, Cassandra tables.
//!
//! Guarantee: afterwards every table of the definition is there with exactly the shape that the definition gives it. A raw table
//! that only lacks nullable columns gets them; a table that differs in another way, or was loaded under another contract, is left
//! as it is, and the error says how it differs. Idempotent.

use std::path::PathBuf;
use std::time::Instant;

use arrow::datatypes::SchemaRef;
use cassandra::{Made, Store, TableDesign};
use model::definition::{CassandraTable, ContractRecord, Origin, Pipeline, UseCaseTable};
use model::report::{Outcome, StageName, StageReport};
use zones::delta::{Made as MadeTable, Table, TableShape};
use zones::query::Input;
use zones::sql::Statement;
use zones::{Error as LakeError, quarantine, raw, use_case};

use crate::context::Context;
use crate::error::Error;

/// Makes the Delta tables.
#[tracing::instrument(target = "profile", level = "trace", name = "stage", skip_all, fields(of = "create-tables lake"))]
pub async fn in_lake(context: &Context) -> Result<StageReport, Error> {
    let started = Instant::now();
    let mut report = StageReport::new(StageName::CreateTables, "lake");
    for (folder, name, shape) in wanted_in_lake(context).await? {
        match Table::open_or_create(&folder, &name, &shape).await?.1 {
            MadeTable::Found => {}
            MadeTable::Created => made(context, &mut report, &format!("created Delta table {name} in {}", folder.display())),
            MadeTable::Added(columns) => {
                made(context, &mut report, &format!("added to Delta table {name}: {}", columns.join(", ")));
            }
        }
    }
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

/// Every Delta table of the pipeline: its folder, its name and its shape.
pub(crate) async fn wanted_in_lake(context: &Context) -> Result<Vec<(PathBuf, String, TableShape)>, Error> {
    let (lake, pipeline) = (&context.lake, &context.pipeline);
    let mut wanted: Vec<(PathBuf, String, TableShape)> = Vec::new();
    for table in &pipeline.raw {
        let landing = pipeline.landing(&table.from).expect("a validated definition");
        let shape = TableShape { contract: Some(ContractRecord::of(landing, table)), ..raw::shape(table) };
        wanted.push((lake.raw_folder(&table.name), lake.table_name(&table.name), shape));
    }
    if !pipeline.raw.is_empty() {
        wanted.push((lake.quarantine_folder(), lake.quarantine_name(), quarantine::shape(&pipeline.name)));
    }
    for table in &pipeline.use_cases {
        let shape = use_case_shape(pipeline, &table.name).await?;
        wanted.push((lake.use_case_folder(&table.name), lake.table_name(&table.name), shape));
    }
    Ok(wanted)
}

/// Makes the keyspace and the Cassandra tables.
#[tracing::instrument(target = "profile", level = "trace", name = "stage", skip_all, fields(of = format!("create-tables {}", store.keyspace())))]
pub async fn in_cassandra(context: &Context, store: &Store) -> Result<StageReport, Error> {
    let started = Instant::now();
    let mut report = StageReport::new(StageName::CreateTables, store.keyspace());
    let mut designs = Vec::new();
    for table in &context.pipeline.cassandra {
        designs.push(design(&context.pipeline, table).await?);
    }
    let keyspace = store.create_keyspace().await.map_err(Error::cassandra("create the keyspace"))?;
    if keyspace == Made::Created {
        made(context, &mut report, &format!("created keyspace {}", store.keyspace()));
    }
    let tables = store.create_tables(&designs).await.map_err(Error::cassandra("create the Cassandra tables"))?;
    for (name, _) in tables.into_iter().filter(|(_, made)| *made == Made::Created) {
        made(context, &mut report, &format!("created Cassandra table {}.{name}", store.keyspace()));
    }
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

fn made(context: &Context, report: &mut StageReport, what: &str) {
    context.watch.say(what);
    report.outcome = Outcome::Done;
    report.written += 1;
}

async fn use_case_shape(pipeline: &Pipeline, name: &str) -> Result<TableShape, Error> {
    let table = pipeline.use_case(name).expect("a validated definition");
    Ok(use_case::shape(table, &planned_inputs(pipeline, table).await?).await?)
}

/// What a use-case table reads, as it will look: without rows.
pub(crate) async fn planned_inputs(pipeline: &Pipeline, table: &UseCaseTable) -> Result<Vec<Input>, Error> {
    let mut inputs = Vec::new();
    for origin in &table.from {
        // Views read views; the definition has no circles.
        let schema = Box::pin(origin_schema(pipeline, origin)).await?;
        inputs.push(Input { origin: origin.clone(), schema, table: None });
    }
    Ok(inputs)
}

/// The columns of a table of the lake.
pub(crate) async fn origin_schema(pipeline: &Pipeline, origin: &Origin) -> Result<SchemaRef, Error> {
    match origin {
        Origin::Raw(name) => Ok(raw::shape(pipeline.raw_table(name).expect("a validated definition")).schema),
        Origin::UseCase(name) => Ok(use_case_shape(pipeline, name).await?.schema),
    }
}

/// The statement that yields a Cassandra table's rows.
pub(crate) fn statement(table: &CassandraTable) -> Statement {
    Statement {
        place: format!("{} of Cassandra table {}", table.sql_file, table.name),
        input: table.from.table().to_owned(),
        sql: table.sql.clone(),
    }
}

/// The columns that the statement of a Cassandra table yields. It must treat each row by itself: a change of a row must say
/// by itself what changes in Cassandra.
pub async fn output_schema(pipeline: &Pipeline, table: &CassandraTable) -> Result<SchemaRef, Error> {
    let origin = origin_schema(pipeline, &table.from).await?;
    let statement = statement(table);
    if !statement.is_row_by_row(&origin).await? {
        let problem = "must treat each row by itself: it groups, joins or sorts rows".to_owned();
        return Err(LakeError::SqlShape { step: statement.place, sql: table.sql.clone(), problem }.into());
    }
    Ok(statement.output_schema(&origin).await?)
}

/// What a Cassandra table looks like.
pub(crate) async fn design(pipeline: &Pipeline, table: &CassandraTable) -> Result<TableDesign, Error> {
    let schema = output_schema(pipeline, table).await?;
    TableDesign::draw(table, &schema).map_err(Error::cassandra(format!("design Cassandra table {}", table.name)))
}
