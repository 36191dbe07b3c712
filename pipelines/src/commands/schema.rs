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
    let text = if args.docs {
        reference::tables()
    } else {
        let schema = serde_json::to_string_pretty(&reference::schema()).expect("a schema is plain data");
        format!("{schema}\n")
    };
    super::print(text.as_bytes())
}
