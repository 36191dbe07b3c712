//! `sluice show` and `sluice sql`: looks at the data, without another tool.

use std::io::Read;
use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, Utc};
use clap::Args;
use model::definition::Pipeline;
use zones::explore::{At, Explorer, Show};
use zones::lake::Lake;

use super::rows::{Format, print};
use crate::error::Error;
use crate::folder;
use crate::settings::{MemoryArgs, expect_text};

/// Which pipeline's lake.
#[derive(Debug, Args)]
pub(super) struct LakeArgs {
    /// The pipeline: a folder with a pipeline.toml, or its name below the pipelines folder
    pipeline: String,

    /// Folder in which pipelines are looked for by name
    #[arg(long, env = "SLUICE_PIPELINES", default_value = "pipelines", value_name = "FOLDER")]
    pipelines: PathBuf,

    /// Folder of the lake
    #[arg(long, env = "LAKE_URI", default_value = "./lake", value_name = "FOLDER")]
    lake: PathBuf,

    #[command(flatten)]
    memory: MemoryArgs,

    /// How rows are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(super) output: Format,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    from: LakeArgs,

    /// `raw.NAME`, `use_case.NAME`, `quarantine`, `landing.NAME` (its receipts), or a name that only one table has
    table: String,

    /// Only rows for which this SQL condition is true
    #[arg(long = "where", value_name = "SQL")]
    filter: Option<String>,

    /// Only these columns, parted by commas
    #[arg(long, value_name = "NAME,...")]
    columns: Option<String>,

    /// How many rows; 0 for all
    #[arg(long, default_value_t = 20, value_name = "ROWS")]
    limit: usize,

    /// The table as it was: a version, a date, or an instant such as 2024-01-31T12:00:00Z [default: the newest]
    #[arg(long, value_parser = at, value_name = "VERSION|TIME")]
    at: Option<At>,
}

#[derive(Debug, Args)]
pub struct SqlArgs {
    #[command(flatten)]
    from: LakeArgs,

    /// The statement; `-` reads it from stdin
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    statement: Option<String>,

    /// A file with the statement
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub async fn show(args: ShowArgs) -> Result<(), Error> {
    let pipeline = args.from.pipeline()?;
    let limit = (args.limit > 0).then_some(args.limit);
    let show = Show {
        table: args.table,
        at: args.at.unwrap_or(At::Newest),
        filter: args.filter,
        columns: args.columns,
        // One more tells whether there are others; only the table says so.
        limit: limit.map(|limit| if args.from.output == Format::Table { limit + 1 } else { limit }),
    };
    let rows = Explorer::new(args.from.lake(&pipeline)?, &pipeline).show(&show).await?;
    print(rows, args.from.output, limit).await
}

pub async fn sql(args: SqlArgs) -> Result<(), Error> {
    let pipeline = args.from.pipeline()?;
    let statement = match (args.statement.as_deref(), args.file) {
        (Some("-"), _) => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|source| Error::Read { path: "stdin".to_owned(), source })?;
            text
        }
        (Some(statement), _) => statement.to_owned(),
        (None, file) => {
            let file = file.expect("clap asks for one of them");
            std::fs::read_to_string(&file).map_err(|source| Error::Read { path: file.display().to_string(), source })?
        }
    };
    let rows = Explorer::new(args.from.lake(&pipeline)?, &pipeline).sql(&statement).await?;
    print(rows, args.from.output, None).await
}

impl LakeArgs {
    /// What of the definition can be read: data can be looked at where it has a mistake.
    pub(super) fn pipeline(&self) -> Result<Pipeline, Error> {
        let folder = folder::find(&self.pipeline, &self.pipelines)?;
        let reading = folder::read_all(&folder, &|name| std::env::var(name).ok())?;
        if reading.pipeline.name.is_empty() {
            return Err(Error::Definition { errors: Box::new(reading.places.errors(reading.problems)) });
        }
        Ok(reading.pipeline)
    }

    pub(super) fn lake(&self, pipeline: &Pipeline) -> Result<Lake, Error> {
        expect_text(&self.lake)?;
        let lake = self.memory.given_to(Lake::new(&self.lake, &pipeline.name));
        lake.expect_format()?;
        Ok(lake)
    }
}

/// A version, a date (its end: what was there that day) or an instant.
pub(super) fn at(text: &str) -> Result<At, String> {
    if let Ok(version) = text.parse() {
        return Ok(At::Version(version));
    }
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Ok(At::Time(instant.with_timezone(&Utc)));
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|date| date.and_hms_opt(23, 59, 59));
    date.map(|end| At::Time(end.and_utc()))
        .ok_or_else(|| "write a version (7), a date (2024-01-31) or an instant (2024-01-31T12:00:00Z)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_named_by_version_date_or_instant() {
        assert_eq!(at("7"), Ok(At::Version(7)));
        assert_eq!(at("2024-01-31T13:00:00+01:00"), Ok(At::Time("2024-01-31T12:00:00Z".parse().unwrap())));
        assert_eq!(at("2024-01-31"), Ok(At::Time("2024-01-31T23:59:59Z".parse().unwrap())));
        assert!(at("yesterday").is_err());
    }
}
