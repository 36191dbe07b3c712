//! `sluice rejects`: what was set aside, grouped by what is wrong, or record by record.
//!
//! Reads only, and locks nothing: it can be used while a run goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use chrono::{DateTime, Utc};
use clap::Args;
use futures::StreamExt;
use model::definition::Pipeline;
use model::receipt::Receipt;
use zones::explore::Rows;
use zones::lake::Lake;
use zones::quarantine;
use zones::rejects::{Group, Held, groups, held};

use super::explore::LakeArgs;
use super::replay::ChosenArgs;
use super::rows::{Format, print};
use crate::error::Error;

#[derive(Debug, Args)]
pub struct RejectsArgs {
    #[command(flatten)]
    from: LakeArgs,

    #[command(flatten)]
    chosen: ChosenArgs,

    /// The records one by one, as they were received
    #[arg(long)]
    list: bool,

    /// With --list, how many; 0 for all
    #[arg(long, default_value_t = 20, value_name = "RECORDS")]
    limit: usize,
}

pub async fn run(arguments: RejectsArgs) -> Result<(), Error> {
    let pipeline = arguments.from.pipeline()?;
    let filter = arguments.chosen.filter(&pipeline.name, &pipeline.raw)?;
    let lake = arguments.from.lake(&pipeline)?;
    let table = quarantine::open(&lake).await?;
    let format = arguments.from.output;
    if arguments.list {
        let limit = (arguments.limit > 0).then_some(arguments.limit);
        // One more tells whether there are others; only the table says so.
        let asked = limit.map(|limit| if format == Format::Table { limit + 1 } else { limit });
        let records = held(&table, &filter, asked).await?;
        return print(rows(listed(&records, &Origins::of(&pipeline, &lake)?, format)), format, limit).await;
    }
    let groups = groups(&table, &filter).await?;
    if groups.is_empty() && format == Format::Table {
        println!("no rejects");
        return Ok(());
    }
    print(rows(grouped(&groups, format)), format, None).await?;
    if format == Format::Table {
        next_steps(&pipeline.name, &groups);
    }
    Ok(())
}

/// What can be done about the largest groups.
fn next_steps(pipeline: &str, groups: &[Group]) {
    const SHOWN: usize = 5;
    let mut largest: Vec<&Group> = groups.iter().collect();
    largest.sort_by_key(|group| std::cmp::Reverse(group.records));
    for group in largest.iter().take(SHOWN) {
        eprintln!("{} ({}): {}", group.reason, group.rule, group.records);
        eprintln!("  show them    sluice rejects {pipeline} --list --where \"{}\"", group.condition);
        if group.is_stopped {
            eprintln!("  load them    their files were stopped: mend the definition, then sluice run {pipeline}");
        } else {
            eprintln!("  replay them  sluice replay {pipeline} --dry-run --where \"{}\"", group.condition);
        }
    }
    if groups.len() > SHOWN {
        eprintln!("and {} groups more; with --output json each has its condition", groups.len() - SHOWN);
    }
}

type Columns = Vec<(&'static str, ArrayRef)>;

fn rows(columns: Columns) -> Rows {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)));
    let batch = batch.expect("columns of equal length");
    Rows { schema: batch.schema(), batches: futures::stream::iter([Ok(batch)]).boxed() }
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn instants(values: impl Iterator<Item = DateTime<Utc>>) -> ArrayRef {
    let micros: Vec<i64> = values.map(|value| value.timestamp_micros()).collect();
    Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC"))
}

fn numbers(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn grouped(groups: &[Group], format: Format) -> Columns {
    let of = || groups.iter();
    let mut columns = vec![
        ("table", texts(of().map(|group| group.table.as_str()))),
        ("reason", texts(of().map(|group| group.reason.as_str()))),
        ("rule", texts(of().map(|group| group.rule.as_str()))),
        ("records", numbers(of().map(|group| i64::try_from(group.records).unwrap_or(i64::MAX)))),
        ("first", instants(of().map(|group| group.first))),
        ("last", instants(of().map(|group| group.last))),
        ("stopped", Arc::new(of().map(|group| Some(group.is_stopped)).collect::<BooleanArray>()) as ArrayRef),
        ("example", texts(of().map(|group| group.examples[0].record.as_str()))),
    ];
    if format != Format::Table {
        columns.push(("example_detail", texts(of().map(|group| group.examples[0].detail.as_str()))));
        columns.push(("example_receipt", numbers(of().map(|group| group.examples[0].receipt))));
        columns.push(("example_entry", texts(of().map(|group| group.examples[0].entry.as_str()))));
        columns.push(("example_position", numbers(of().map(|group| group.examples[0].position))));
        columns.push(("condition", texts(of().map(|group| group.condition.as_str()))));
    }
    columns
}

/// Where records came from, by raw table and receipt.
struct Origins(BTreeMap<(String, i64), Receipt>);

impl Origins {
    fn of(pipeline: &Pipeline, lake: &Lake) -> Result<Self, Error> {
        let mut origins = BTreeMap::new();
        for table in &pipeline.raw {
            let Some(landing) = pipeline.landing(&table.from) else { continue };
            for receipt in lake.landing(&landing.source).receipts().map_err(zones::Error::from)? {
                let sequence = i64::try_from(receipt.sequence).unwrap_or(i64::MAX);
                origins.insert((format!("raw.{}", table.name), sequence), receipt);
            }
        }
        Ok(Self(origins))
    }

    fn text(&self, record: &Held, part: impl Fn(&Receipt) -> &str) -> Option<&str> {
        self.0.get(&(record.table.clone(), record.receipt)).map(part)
    }
}

fn listed(records: &[Held], origins: &Origins, format: Format) -> Columns {
    let of = || records.iter();
    let origin = |part: fn(&Receipt) -> &str| -> ArrayRef {
        Arc::new(of().map(|record| origins.text(record, part)).collect::<StringArray>())
    };
    // For people the beginning of a hash is enough.
    let definition = |record: &Held| match format {
        Format::Table => record.definition.chars().take(8).collect(),
        _ => record.definition.clone(),
    };
    let mut columns = vec![
        ("table", texts(of().map(|record| record.table.as_str()))),
        ("receipt", numbers(of().map(|record| record.receipt))),
        ("entry", texts(of().map(|record| record.entry.as_str()))),
        ("position", numbers(of().map(|record| record.position))),
        ("reason", texts(of().map(|record| record.reason.as_str()))),
        ("detail", texts(of().map(|record| record.detail.as_str()))),
        ("record", texts(of().map(|record| record.record.as_str()))),
        ("rejected_at", instants(of().map(|record| record.rejected_at))),
        ("definition", Arc::new(of().map(|record| Some(definition(record))).collect::<StringArray>()) as ArrayRef),
        ("stopped", Arc::new(of().map(|record| Some(record.is_stopped)).collect::<BooleanArray>()) as ArrayRef),
        ("source", origin(|receipt| &receipt.source)),
        ("file", origin(|receipt| &receipt.file_name)),
    ];
    if format != Format::Table {
        columns.push(("url", origin(|receipt| &receipt.url)));
    }
    columns
}
