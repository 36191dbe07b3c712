//! `sluice check`: everything about a definition that can be said without data.

use std::fmt::Write;

use model::definition::Pipeline;
use zones::load::CompiledContract;
use zones::{raw, use_case};

use crate::error::Error;
use crate::stages::create_tables::{output_schema, planned_inputs};

/// Plans every statement of the pipeline; returns what the tables will look like.
pub async fn run(pipeline: &Pipeline) -> Result<String, Error> {
    let mut text = String::new();
    for table in &pipeline.raw {
        let landing = pipeline.landing(&table.from).expect("a validated definition");
        CompiledContract::compile(table, &landing.format)?;
        line(&mut text, &format!("raw {}", table.name), &raw::shape(table).schema);
    }
    for table in &pipeline.use_cases {
        let shape = use_case::shape(table, &planned_inputs(pipeline, table).await?).await?;
        line(&mut text, &format!("use case {}", table.name), &shape.schema);
    }
    for table in &pipeline.cassandra {
        line(&mut text, &format!("Cassandra {}", table.name), &output_schema(pipeline, table).await?);
    }
    let _ = write!(text, "{}: the definition is fine", pipeline.name);
    Ok(text)
}

fn line(text: &mut String, name: &str, schema: &arrow::datatypes::SchemaRef) {
    let columns: Vec<_> = schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
    let _ = writeln!(text, "{name}: {}", columns.join(", "));
}
