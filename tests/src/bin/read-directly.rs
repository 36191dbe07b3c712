//! The reads of the session events' endpoints by the bare driver: what `make bench-serving` holds `sluice serve` against.
//!
//! As many readers as asked for, each with one question after the other, keys at random, rows read into Rust types and dropped.
//! No HTTP, no JSON, no checks: what is left is the driver and Cassandra. Says as JSON how many, how long, at what
//! processor time and in how much memory.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat};
use clap::{Parser, ValueEnum};
use futures::future::try_join_all;
use pipelines::settings::CassandraArgs;
use rand::RngExt;
use scylla::client::session::Session;
use scylla::deserialize::row::DeserializeRow;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::{CqlDate, CqlTimestamp};
use serde_json::{Value, json};
use tests::bare_driver::{Failure, connect, ended, processor_seconds};
use uuid::Uuid;

const MILLIS_PER_DAY: i64 = 86_400_000;
/// Days are counted from 2^31 days before 1970.
const EPOCH_DAY: u32 = 1 << 31;

#[derive(Parser)]
#[command(name = "read-directly", about = "Reads session events from Cassandra by the bare driver, and says how fast.")]
struct Arguments {
    #[command(flatten)]
    cassandra: CassandraArgs,
    #[arg(long)]
    table: Table,
    /// Keys, one a line: players or countries.
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// Rows of an answer, at most.
    #[arg(long)]
    limit: i32,
    /// Of the starts of a country: the first instant, in milliseconds since 1970.
    #[arg(long, default_value_t = 0)]
    from: i64,
    /// Of the starts of a country: the instant after the last.
    #[arg(long, default_value_t = 0)]
    to: i64,
    /// Readers at a time.
    #[arg(long, default_value_t = 1)]
    readers: usize,
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Instead of measuring, print the answers of the first keys.
    #[arg(long, value_name = "KEYS")]
    show: Option<usize>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Table {
    CompletedSessions,
    StartedSessions,
}

/// A completed session of a player.
type Completed = (Uuid, CqlTimestamp, Uuid, Option<String>, CqlTimestamp);
/// A start in a country.
type Started = (String, CqlDate, CqlTimestamp, Uuid, Uuid);

enum Rows {
    Completed(Vec<Completed>),
    Started(Vec<Started>),
}

struct Reading {
    session: Session,
    statement: PreparedStatement,
    table: Table,
    keys: Vec<String>,
    limit: i32,
    from: i64,
    to: i64,
}

#[tokio::main]
async fn main() -> ExitCode {
    ended(run(Arguments::parse()).await)
}

async fn run(arguments: Arguments) -> Result<Value, Failure> {
    let (session, keyspace) = connect(&arguments.cassandra).await?;
    let statement = match arguments.table {
        Table::CompletedSessions => format!(
            "SELECT player_id, end_ts, session_id, country, start_ts FROM {keyspace}.completed_sessions \
             WHERE player_id = ? LIMIT ?"
        ),
        Table::StartedSessions => format!(
            "SELECT country, day, ts, session_id, player_id FROM {keyspace}.started_sessions \
             WHERE country = ? AND day = ? AND ts >= ? AND ts < ? LIMIT ?"
        ),
    };
    let mut statement = session.prepare(statement).await?;
    statement.set_is_idempotent(true);
    statement.set_use_cached_result_metadata(true);
    let keys: Vec<String> = std::fs::read_to_string(&arguments.keys)?.lines().map(ToOwned::to_owned).collect();
    let Arguments { table, limit, from, to, .. } = arguments;
    let reading = Reading { session, statement, table, keys, limit, from, to };
    match arguments.show {
        Some(keys) => reading.show(keys).await,
        None => measured(Arc::new(reading), arguments.readers, Duration::from_secs_f64(arguments.seconds)).await,
    }
}

impl Reading {
    async fn ask<R: for<'f, 'm> DeserializeRow<'f, 'm>>(&self, values: impl SerializeRow) -> Result<Vec<R>, Failure> {
        let answer = self.session.execute_unpaged(&self.statement, values).await?.into_rows_result()?;
        Ok(answer.rows::<R>()?.collect::<Result<_, _>>()?)
    }

    async fn read(&self, key: &str) -> Result<Rows, Failure> {
        match self.table {
            Table::CompletedSessions => Ok(Rows::Completed(self.ask((Uuid::parse_str(key)?, self.limit)).await?)),
            Table::StartedSessions => {
                // The newest day first, all days at once.
                let days = (self.from.div_euclid(MILLIS_PER_DAY)..=(self.to - 1).div_euclid(MILLIS_PER_DAY)).rev();
                let day = |day: i64| {
                    let day = CqlDate(EPOCH_DAY.wrapping_add_signed(i32::try_from(day).expect("a day of this age")));
                    self.ask::<Started>((key, day, CqlTimestamp(self.from), CqlTimestamp(self.to), self.limit))
                };
                let mut rows: Vec<Started> = try_join_all(days.map(day)).await?.into_iter().flatten().collect();
                rows.truncate(usize::try_from(self.limit).unwrap_or(0));
                Ok(Rows::Started(rows))
            }
        }
    }

    /// The answers of the first keys, with values as the API writes them.
    async fn show(&self, keys: usize) -> Result<Value, Failure> {
        let mut answers = Vec::new();
        for key in self.keys.iter().take(keys) {
            answers.push(match self.read(key).await? {
                Rows::Completed(rows) => rows.into_iter().map(completed).collect::<Value>(),
                Rows::Started(rows) => rows.into_iter().map(started).collect(),
            });
        }
        Ok(Value::Array(answers))
    }
}

fn completed((player, end, session, country, start): Completed) -> Value {
    json!({ "player_id": player.to_string(), "end_ts": instant(end), "session_id": session.to_string(), "country": country, "start_ts": instant(start) })
}

fn started((country, CqlDate(day), start, session, player): Started) -> Value {
    let day = DateTime::from_timestamp_millis((i64::from(day) - i64::from(EPOCH_DAY)) * MILLIS_PER_DAY);
    let day = day.map(|day| day.date_naive().to_string());
    json!({ "country": country, "day": day, "ts": instant(start), "session_id": session.to_string(), "player_id": player.to_string() })
}

fn instant(CqlTimestamp(millis): CqlTimestamp) -> Option<String> {
    Some(DateTime::from_timestamp_millis(millis)?.to_rfc3339_opts(SecondsFormat::Millis, true))
}

async fn measured(reading: Arc<Reading>, readers: usize, time: Duration) -> Result<Value, Failure> {
    let (started, processor) = (Instant::now(), processor_seconds()?);
    let end = started + time;
    let readers: Vec<_> = (0..readers)
        .map(|_| {
            let reading = Arc::clone(&reading);
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                loop {
                    let asked = Instant::now();
                    if asked >= end {
                        return Ok::<_, Failure>(latencies);
                    }
                    let key = &reading.keys[rand::rng().random_range(0..reading.keys.len())];
                    drop(reading.read(key).await?);
                    latencies.push(asked.elapsed());
                }
            })
        })
        .collect();
    let of = readers.len();
    let mut latencies = Vec::new();
    for reader in readers {
        latencies.extend(reader.await??);
    }
    let (seconds, processor) = (started.elapsed().as_secs_f64(), processor_seconds()? - processor);
    Ok(said(&latencies, of, seconds, processor))
}

/// As wrk says it of a server, with its correction: where an answer took more than twice the mean, the questions that would have been
/// asked meanwhile count as well, each with what it would have waited.
fn said(latencies: &[Duration], readers: usize, seconds: f64, processor: f64) -> Value {
    let micros = |latency: &Duration| usize::try_from(latency.as_micros()).unwrap_or(usize::MAX);
    let most = latencies.iter().map(micros).max().unwrap_or(0);
    let mut counts = vec![0_u64; most + 1];
    for latency in latencies {
        counts[micros(latency)] += 1;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "microseconds between two questions of a reader")]
    let interval = ((seconds * 1e6 * readers as f64 / latencies.len().max(1) as f64) as usize).max(1);
    for micros in interval * 2..counts.len() {
        let count = counts[micros];
        let mut waited = micros - interval;
        while count > 0 && waited > interval {
            counts[waited] += count;
            waited -= interval;
        }
    }
    let all: u64 = counts.iter().sum();
    let percentile = |percent: f64| {
        let mut left = (all as f64 * percent / 100.0).round().max(1.0);
        counts.iter().position(|count| {
            left -= *count as f64;
            left <= 0.0
        })
    };
    json!({
        "requests": latencies.len(), "errors": 0, "seconds": seconds, "cpu_seconds": processor, "peak": pipelines::memory::peak_bytes(),
        "p50": percentile(50.0), "p90": percentile(90.0), "p99": percentile(99.0), "max": most,
    })
}
