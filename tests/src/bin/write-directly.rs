//! Completed sessions into Cassandra by the bare driver: what `make bench` holds the stages that write to Cassandra against.
//!
//! Reads a CSV file that is sorted by player before the clock starts; then writes its rows in order, those of one player as unlogged
//! batches of at most so many rows, with so many batches in flight. Nothing is checked, tried again or remembered: what is left is
//! the driver and Cassandra. Says as JSON how many rows and batches, how long, at what processor time.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use chrono::DateTime;
use clap::Parser;
use pipelines::settings::CassandraArgs;
use scylla::statement::batch::{Batch, BatchType};
use scylla::value::CqlTimestamp;
use serde_json::{Value, json};
use tests::bare_driver::{Failure, connect, ended, processor_seconds};
use uuid::Uuid;

#[derive(Parser)]
#[command(name = "write-directly", about = "Writes completed sessions to Cassandra by the bare driver, and says how fast.")]
struct Arguments {
    #[command(flatten)]
    cassandra: CassandraArgs,
    /// A table of a player, the end, the id, the country and the start of a session.
    #[arg(long, default_value = "completed")]
    table: String,
    /// CSV with a header, these columns first, sorted by player.
    #[arg(long, value_name = "FILE")]
    rows: PathBuf,
    #[arg(long, default_value_t = 32)]
    rows_in_batch: usize,
    /// Batches at a time.
    #[arg(long, default_value_t = 32)]
    in_flight: usize,
}

type Row = (Uuid, CqlTimestamp, Uuid, String, CqlTimestamp);

#[tokio::main]
async fn main() -> ExitCode {
    ended(run(Arguments::parse()).await)
}

async fn run(arguments: Arguments) -> Result<Value, Failure> {
    let rows = read(&arguments.rows)?;
    let pieces = pieces(&rows, arguments.rows_in_batch.max(1));
    let (session, keyspace) = connect(&arguments.cassandra).await?;
    let insert = format!(
        "INSERT INTO {keyspace}.{} (player_id, end_ts, session_id, country, start_ts) VALUES (?, ?, ?, ?, ?)",
        arguments.table
    );
    let insert = session.prepare(insert).await?;
    // A batch for every number of rows, made once.
    let batches: Vec<Batch> = (0..=arguments.rows_in_batch)
        .map(|rows| {
            let mut batch = Batch::new(BatchType::Unlogged);
            for _ in 0..rows {
                batch.append_statement(insert.clone());
            }
            batch
        })
        .collect();
    let (count, of) = (rows.len(), pieces.len());
    let shared = Arc::new((session, rows, pieces, batches, AtomicUsize::new(0)));
    let (started, processor) = (Instant::now(), processor_seconds()?);
    let writers: Vec<_> = (0..arguments.in_flight.max(1))
        .map(|_| {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                let (session, rows, pieces, batches, next) = &*shared;
                while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                    session.batch(&batches[piece.len()], &rows[piece.clone()]).await?;
                }
                Ok::<_, Failure>(())
            })
        })
        .collect();
    for writer in writers {
        writer.await??;
    }
    let (seconds, processor) = (started.elapsed().as_secs_f64(), processor_seconds()? - processor);
    Ok(json!({ "rows": count, "batches": of, "seconds": seconds, "cpu_seconds": processor }))
}

fn read(path: &Path) -> Result<Vec<Row>, Failure> {
    let text = std::fs::read_to_string(path)?;
    text.lines().skip(1).map(row).collect()
}

fn row(line: &str) -> Result<Row, Failure> {
    let mut values = line.split(',');
    let mut next = || values.next().ok_or_else(|| format!("too few values in {line:?}"));
    let instant = |text: &str| DateTime::parse_from_rfc3339(text).map(|instant| CqlTimestamp(instant.timestamp_millis()));
    Ok((Uuid::parse_str(next()?)?, instant(next()?)?, Uuid::parse_str(next()?)?, next()?.to_owned(), instant(next()?)?))
}

/// The rows of each player, cut so that no piece has more than so many.
fn pieces(rows: &[Row], most: usize) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for at in 1..=rows.len() {
        if at == rows.len() || rows[at].0 != rows[start].0 || at - start == most {
            pieces.push(start..at);
            start = at;
        }
    }
    pieces
}
