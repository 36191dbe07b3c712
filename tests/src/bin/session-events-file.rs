//! Makes the demonstration file of the session events pipeline, and says as JSON what is in it.
//!
//! The default is the whole file with the published figures. The file appears when it is complete and was checked; the JSON
//! (file and truth) goes to stdout, and with `--summary` to a file as well, so that a reader can compare.

use clap::Parser;
use clap::builder::PossibleValue;
use clap::error::ErrorKind;
use clap::{CommandFactory, ValueEnum};
use serde::Serialize;
use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use tests::new_file;
use tests::session_events::archive::{self, Compression, WrittenFile};
use tests::session_events::{Dataset, Options, Order, RejectKind, Truth};

#[derive(Parser)]
#[command(name = "session-events-file", about = "Makes the demonstration file of the session events pipeline.")]
struct Arguments {
    /// Where to write the file.
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// How to compress it [default: by the extension of --out].
    #[arg(long)]
    compression: Option<Compression>,
    /// Write the summary here as well.
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    /// Another seed gives other players, times and ids of the same shape.
    #[arg(long, default_value_t = Options::default().seed)]
    seed: u64,
    /// Distinct sessions.
    #[arg(long, default_value_t = Options::default().sessions)]
    sessions: u32,
    /// Days on which sessions start, from 1 November 2016 on.
    #[arg(long, default_value_t = Options::default().days)]
    days: u32,
    /// Lines in random order instead of by time.
    #[arg(long)]
    shuffle: bool,
    /// Percentage of the events that stand in the file twice.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    duplicates: f64,
    /// Percentage of the events that stand one to five days too far down.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    late: f64,
    /// Bad lines of all kinds but oversized ones, as a percentage of the events.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    bad: f64,
    /// This many bad lines of one kind; can be repeated.
    #[arg(long, value_name = "KIND=NUMBER", value_parser = bad_kind)]
    bad_kind: Vec<(RejectKind, u32)>,
    /// Length of an oversized line.
    #[arg(long, value_name = "BYTES", default_value_t = Options::default().oversized_bytes)]
    oversized_bytes: usize,
    /// Only the first lines.
    #[arg(long, value_name = "NUMBER")]
    lines: Option<usize>,
}

/// What is printed.
#[derive(Serialize)]
struct Summary<'a> {
    seed: u64,
    file: &'a WrittenFile,
    truth: &'a Truth,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = arguments.options();
    let dataset = match Dataset::generate(&options) {
        Ok(dataset) => dataset,
        Err(mistake) => Arguments::command().error(ErrorKind::ValueValidation, mistake).exit(),
    };
    match write(&arguments, &dataset) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let mut text = format!("error: {failure}");
            let mut cause = failure.source();
            while let Some(deeper) = cause {
                text = format!("{text}: {deeper}");
                cause = deeper.source();
            }
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn write(arguments: &Arguments, dataset: &Dataset) -> Result<(), Box<dyn Error>> {
    let truth = dataset.checked_truth()?;
    let compression = arguments.compression.unwrap_or_else(|| Compression::of_path(&arguments.out));
    let file = archive::write_file(&arguments.out, compression, |out| dataset.write_to(out))?;
    let summary = Summary { seed: arguments.seed, file: &file, truth: &truth };
    let mut text = serde_json::to_vec_pretty(&summary)?;
    text.push(b'\n');
    if let Some(path) = &arguments.summary {
        new_file::put_in_place(path, |out| out.write_all(&text))?;
    }
    std::io::stdout().write_all(&text)?;
    Ok(())
}

impl Arguments {
    fn options(&self) -> Options {
        let mut options = Options {
            seed: self.seed,
            sessions: self.sessions,
            days: self.days,
            order: if self.shuffle { Order::Shuffled } else { Order::ByTime },
            duplicate_percent: self.duplicates,
            late_percent: self.late,
            reject_percent: self.bad,
            oversized_bytes: self.oversized_bytes,
            lines: self.lines,
            ..Options::default()
        };
        for (kind, number) in &self.bad_kind {
            *options.rejects.entry(*kind).or_default() += number;
        }
        options
    }
}

fn bad_kind(text: &str) -> Result<(RejectKind, u32), String> {
    let (kind, number) = text.split_once('=').ok_or("write it as KIND=NUMBER")?;
    let known = || {
        let names = RejectKind::ALL.iter().filter_map(ValueEnum::to_possible_value);
        names.map(|name: PossibleValue| name.get_name().to_owned()).collect::<Vec<_>>().join(", ")
    };
    let kind = RejectKind::from_str(kind, false).map_err(|_| format!("{kind:?} is none of {}", known()))?;
    let number = number.parse().map_err(|_| format!("{number:?} is no number"))?;
    Ok((kind, number))
}
