//! Makes a small archive of the Open University data set's shape, and says as JSON what is in it.
//!
//! The file appears when it is complete. The JSON goes to stdout: the file, and the rows of each table that the `oulad` pipeline
//! makes of it; with `--truth` the tables themselves are written to a file.

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use serde_json::json;
use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use tests::oulad::{Archive, Options};
use tests::{digest, new_file};

#[derive(Parser)]
#[command(name = "oulad-file", about = "Makes a small archive of the Open University data set's shape.")]
struct Arguments {
    /// Where to write the zip.
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Another seed gives other students, clicks and scores of the same shape.
    #[arg(long, default_value_t = Options::default().seed)]
    seed: u64,
    #[arg(long, default_value_t = Options::default().students)]
    students: u32,
    /// Days of activity in each presentation, from 25 days before its start on.
    #[arg(long, default_value_t = Options::default().days)]
    days: u16,
    /// How many of the 22 presentations.
    #[arg(long, default_value_t = Options::default().presentations)]
    presentations: usize,
    /// The delivery after that: corrected, with rows gone, with more interactions.
    #[arg(long)]
    later: bool,
    /// This many interactions of each bad kind.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    bad: usize,
    /// Write what the pipeline's tables hold here, as JSON.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = Options {
        seed: arguments.seed,
        students: arguments.students,
        days: arguments.days,
        presentations: arguments.presentations,
    };
    let archive = match Archive::generate(&options) {
        Ok(archive) => archive,
        Err(mistake) => Arguments::command().error(ErrorKind::ValueValidation, mistake).exit(),
    };
    match write(&arguments, &archive) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn write(arguments: &Arguments, first: &Archive) -> Result<(), Box<dyn Error>> {
    let delivery = if arguments.later { first.later() } else { first.clone() };
    let delivery = delivery.with_bad_rows(arguments.bad);
    let truth = delivery.truth();
    new_file::put_in_place(&arguments.out, |out| delivery.write_zip(out))?;
    if let Some(path) = &arguments.truth {
        new_file::put_in_place(path, |out| Ok(serde_json::to_writer(out, &truth)?))?;
    }
    let (bytes, sha256) = digest::length_and_sha256(File::open(&arguments.out)?)?;
    let use_case: BTreeMap<_, _> = truth.use_case.iter().map(|(name, table)| (name, table.rows.len())).collect();
    let summary = json!({
        "seed": arguments.seed,
        "file": { "bytes": bytes, "sha256": sha256 },
        "bad": delivery.bad.len(),
        "raw": truth.raw,
        "use_case": use_case,
    });
    let mut text = serde_json::to_vec_pretty(&summary)?;
    text.push(b'\n');
    std::io::stdout().write_all(&text)?;
    Ok(())
}
