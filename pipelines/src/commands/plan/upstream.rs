//! Tables to be made, files to be fetched, files to be loaded.

use arrow::datatypes::Schema;
use cassandra::schema::{Ddl, ddl};
use model::plan::{Amount, FileAtSource, RunPlan, SourcePlan, SourceState, TableChange, TableToMake};
use std::time::Duration;
use zones::delta::{Made, Table};
use zones::plan;

use super::{Serving, or_problem};
use crate::context::Context;
use crate::download::{self, Options};
use crate::error::{Boxed, Error};
use crate::stages::create_tables::{design, wanted_in_lake};
use crate::stages::landing_to_raw::known_locations;

/// A plan is asked for by a person who waits.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(10);

/// What create-tables would make.
pub(super) async fn tables(context: &Context, serving: Serving<'_>, plan: &mut RunPlan) -> Result<(), Error> {
    for (folder, name, shape) in wanted_in_lake(context).await? {
        let made = Table::would_make(&folder, &name, &shape).await.map_err(Error::from);
        let (change, columns) = match or_problem(plan, "create-tables", made)? {
            None | Some(Made::Found) => continue,
            Some(Made::Created) => (TableChange::Create, columns(&shape.schema, None)),
            Some(Made::Added(names)) => (TableChange::AddColumns, columns(&shape.schema, Some(&names))),
        };
        plan.tables.push(TableToMake { store: "delta".to_owned(), table: name, change, columns, ddl: None });
    }
    let mut designs = Vec::new();
    for table in &context.pipeline.cassandra {
        designs.push(design(&context.pipeline, table).await?);
    }
    let (statements, change) = match serving {
        Serving::NotNeeded => (Vec::new(), TableChange::Create),
        Serving::NotRead { settings, .. } => (ddl(settings, &designs), TableChange::CreateIfMissing),
        Serving::Read(store) => {
            let missing = store.missing(&designs).await.map_err(Error::cassandra("look at the Cassandra tables"))?;
            plan.problems.extend(missing.differing.iter().map(|table| format!("create-tables: {table}")));
            (missing.ddl, TableChange::Create)
        }
    };
    let keyspace = plan.cassandra.keyspace.clone().unwrap_or_default();
    for Ddl { table, statement } in statements {
        let table = table.map_or_else(|| keyspace.clone(), |table| format!("{keyspace}.{table}"));
        let store = "cassandra".to_owned();
        plan.tables.push(TableToMake { store, table, change, columns: Vec::new(), ddl: Some(statement) });
    }
    Ok(())
}

fn columns(schema: &Schema, only: Option<&[String]>) -> Vec<(String, String)> {
    let fields = schema.fields().iter().filter(|field| only.is_none_or(|only| only.contains(field.name())));
    fields.map(|field| (field.name().clone(), field.data_type().to_string())).collect()
}

/// What url-to-landing would fetch.
pub(super) async fn sources(context: &Context, plan: &mut RunPlan) -> Result<(), Error> {
    let options = Options { attempts: 1, connect_timeout: CONNECT, stall_timeout: ANSWER, ..Options::default() };
    for source in &context.pipeline.sources {
        let zone = context.lake.landing(&source.name);
        let request = context.request(source, &zone, &model::progress::Silent, &options);
        let place = format!("url-to-landing {}", source.name);
        let looked = download::look(&request).await.map_err(|error| match error {
            download::Error::Interrupted(interrupted) => Error::from(interrupted),
            error => Error::Landing { step: format!("look at {}", source.name), source: Boxed::new(error) },
        });
        let Some(files) = or_problem(plan, &place, looked)? else { continue };
        let failing = files.iter().filter(|file| file.state == SourceState::Failing);
        plan.problems.extend(failing.map(|file| format!("{place}: {}: {}", file.url, file.because)));
        let bytes = Amount::sum(files.iter().filter(|file| file.state.is_fetched()).map(|file| &file.bytes));
        plan.sources.push(SourcePlan { source: source.name.clone(), files, bytes });
    }
    Ok(())
}

/// The sources, of which nothing is known.
pub(super) fn unknown_sources(context: &Context, reason: &str, plan: &mut RunPlan) {
    for source in &context.pipeline.sources {
        let (because, bytes) = (reason.to_owned(), Amount::later("known after landing"));
        let file = FileAtSource { url: String::new(), state: SourceState::Unknown, because, bytes: bytes.clone() };
        plan.sources.push(SourcePlan { source: source.name.clone(), files: vec![file], bytes });
    }
}

/// What landing-to-raw would load, and what retention would remove.
pub(super) async fn loads(context: &Context, plan: &mut RunPlan) -> Result<(), Error> {
    let (lake, pipeline) = (&context.lake, &context.pipeline);
    for table in &pipeline.raw {
        let landing = pipeline.landing(&table.from).expect("a validated definition");
        let stored = Table::open(&lake.raw_folder(&table.name), &lake.table_name(&table.name)).await?;
        let known = known_locations(context, landing)?;
        let source = plan.sources.iter().find(|source| source.source == landing.source);
        let to_fetch = source.map_or(Amount::exact(0), |source| source.bytes.clone());
        let load = plan::load(lake, landing, table, stored.as_ref(), &to_fetch, known.as_ref()).await.map_err(Error::from);
        if let Some(mut load) = or_problem(plan, &format!("landing-to-raw {}", table.name), load)? {
            load.to_come = to_come(plan, &landing.source);
            plan.loads.push(load);
        }
        plan.maintenance.extend(plan::retention(table, pipeline.clock, context.now, stored.as_ref()).await?);
    }
    Ok(())
}

/// Why files may land that are not there yet.
fn to_come(plan: &RunPlan, source: &str) -> Option<String> {
    let source = plan.sources.iter().find(|known| known.source == source)?;
    let fetched: Vec<_> = source.files.iter().filter(|file| file.state.is_fetched()).collect();
    if fetched.is_empty() {
        return None;
    }
    let unknown = fetched.iter().filter(|file| file.state == SourceState::Unknown).count();
    let files = if fetched.len() == 1 { "1 file".to_owned() } else { format!("{} files", fetched.len()) };
    let doubt = if unknown > 0 { format!(", {unknown} of them perhaps unchanged") } else { String::new() };
    Some(format!("known after landing: {files} of {} to be fetched{doubt}", source.source))
}
