//! `sluice schema`: the JSON Schema of `pipeline.toml`.

use std::process::ExitCode;

use clap::Args;
use model::definition::reference;

#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Print the tables of docs/definition.md instead
    #[arg(long)]
    docs: bool,
}

pub fn run(args: &SchemaArgs) -> ExitCode {
    if args.docs {
        print!("{}", reference::tables());
    } else {
        println!("{}", serde_json::to_string_pretty(&reference::schema()).expect("a schema is plain data"));
    }
    ExitCode::SUCCESS
}
