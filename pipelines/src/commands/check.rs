//! `sluice check`: everything about a definition that can be said without data.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use model::definition::{Problem, Severity};
use model::failure::Failure;
use serde::Serialize;

use super::fail;
use super::problems::{counted, print};
use crate::checking::{Checked, TableLayout, check};
use crate::error::Error;
use crate::folder;

/// The version of the JSON document; see docs/check.md.
const SCHEMA: u32 = 1;

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The pipeline: a folder with a pipeline.toml, or its name below the pipelines folder
    pipeline: String,

    /// Folder in which pipelines are looked for by name
    #[arg(long, env = "SLUICE_PIPELINES", default_value = "pipelines", value_name = "FOLDER")]
    pipelines: PathBuf,

    /// What to print on stdout; the JSON document is described in docs/check.md
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// The tables, for people; problems are on stderr
    Table,
    /// One JSON document with problems and tables, for editors and CI
    Json,
}

#[derive(Serialize)]
struct Document<'c> {
    schema: u32,
    /// `None` where the definition does not say.
    pipeline: Option<&'c str>,
    ok: bool,
    problems: &'c [Problem],
    tables: &'c [TableLayout],
}

pub async fn run(args: &CheckArgs) -> ExitCode {
    match checked(args).await {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

async fn checked(args: &CheckArgs) -> Result<ExitCode, Error> {
    let folder = folder::find(&args.pipeline, &args.pipelines)?;
    let reading = match folder::read_all(&folder, &|name| std::env::var(name).ok()) {
        Ok(reading) => reading,
        Err(Error::Definition { errors }) if args.output == Output::Json => {
            let document = Document { schema: SCHEMA, pipeline: None, ok: false, problems: &errors.problems, tables: &[] };
            return Ok(print_json(&document));
        }
        Err(error) => return Err(error),
    };
    let checked = check(&reading).await;
    let name = Some(reading.pipeline.name.as_str()).filter(|name| !name.is_empty());
    if args.output == Output::Json {
        let Checked { problems, tables, .. } = &checked;
        return Ok(print_json(&Document { schema: SCHEMA, pipeline: name, ok: checked.is_ok(), problems, tables }));
    }
    let Checked { tables, problems, .. } = checked.into_result(&reading.places)?;
    let warnings = problems.len();
    print(&reading.places.errors(problems));
    let mut text: String = tables.iter().map(|table| shown(table) + "\n").collect();
    let name = name.unwrap_or(&args.pipeline);
    let _ = match warnings {
        0 => writeln!(text, "{name}: nothing is wrong"),
        some => writeln!(text, "{name}: nothing is wrong, {} above", counted(some, Severity::Warning)),
    };
    Ok(super::print(text.as_bytes()))
}

fn print_json(document: &Document<'_>) -> ExitCode {
    let text = serde_json::to_string_pretty(document).expect("plain fields always serialise") + "\n";
    let printed = super::print(text.as_bytes());
    if document.ok { printed } else { ExitCode::from(Failure::Definition.exit_code()) }
}

/// A table's columns below its name, in columns.
fn shown(table: &TableLayout) -> String {
    let mut text = format!("{}.{}\n", table.zone, table.name);
    let width = |of: fn(&crate::checking::ColumnLayout) -> usize| table.columns.iter().map(of).max().unwrap_or(0);
    let (names, types) = (width(|column| column.name.len()), width(|column| column.data_type.len()));
    for column in &table.columns {
        let notes = [column.role, column.nullable.then_some("nullable")];
        let notes = notes.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let line = format!("  {:names$}  {:types$}  {notes}", column.name, column.data_type);
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}
