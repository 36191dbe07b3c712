//! Two queries to try on what `make pipeline` has brought to Cassandra, and their answers.
//!
//! Finds the keyspace by the same flags and variables as `sluice run`, a debug run's keyspace included, and takes the player,
//! the country and the day from what is there. Reads only, and little: single partitions, and a few keys.

use std::fmt::Write;
use std::process::ExitCode;

use chrono::{DateTime, NaiveDate, TimeDelta};
use clap::Parser;
use pipelines::commands::node;
use pipelines::settings::RunArgs;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::deserialize::row::DeserializeRow;
use scylla::errors::{ExecutionError, IntoRowsResultError, NewSessionError, RowsError};
use scylla::value::{CqlDate, CqlTimestamp};
use secrecy::ExposeSecret;
use uuid::Uuid;

/// Players that are looked at to find one with several sessions.
const PLAYERS: usize = 20;
/// Rows that are shown.
const SHOWN: usize = 5;

#[derive(Parser)]
#[command(name = "try-queries", about = "Shows two queries over the session events in Cassandra, with their answers.")]
struct Arguments {
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Settings(#[from] pipelines::Error),
    #[error("connect to Cassandra at {hosts}: {source}")]
    Connect { hosts: String, source: NewSessionError },
    #[error("{statement}: {source}")]
    Execute { statement: String, source: ExecutionError },
    #[error("{statement}: {source}")]
    Answer { statement: String, source: IntoRowsResultError },
    #[error("{statement}: {source}")]
    Rows { statement: String, source: RowsError },
    #[error("{statement}: {source}")]
    Row { statement: String, source: scylla::errors::DeserializationError },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match show(&Arguments::parse().run).await {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn show(arguments: &RunArgs) -> Result<String, Error> {
    let keyspace = arguments.keyspace(&arguments.pipeline)?;
    let settings = arguments.cassandra.settings(keyspace.clone(), node::recorded())?;
    let (host, port) = settings.hosts.iter().next().and_then(|host| host.rsplit_once(':')).unwrap_or(("127.0.0.1", "9042"));
    let by_hand = format!("To ask more: pip install cqlsh, then: cqlsh {host} {port} -k {keyspace}\n");
    if settings.tls.is_some() {
        return Ok(format!("Connections to this Cassandra are encrypted; that is left to cqlsh --ssl here.\n{by_hand}"));
    }

    let mut builder = SessionBuilder::new().known_nodes(settings.hosts.iter());
    if let Some(login) = &settings.login {
        builder = builder.user(&login.username, login.password.expose_secret());
    }
    let hosts = settings.hosts.to_string();
    let cassandra = Cassandra { session: builder.build().await.map_err(|source| Error::Connect { hosts, source })?, keyspace };
    let mut text = cassandra.completed_sessions().await?;
    text.push_str(&cassandra.started_sessions().await?);
    text.push_str(&by_hand);
    Ok(text)
}

struct Cassandra {
    session: Session,
    keyspace: String,
}

impl Cassandra {
    async fn completed_sessions(&self) -> Result<String, Error> {
        let table = format!("{}.completed_sessions", self.keyspace);
        let players: Vec<(Uuid,)> = self.rows(&format!("SELECT DISTINCT player_id FROM {table} LIMIT {PLAYERS}")).await?;
        let mut busiest = None;
        for (player,) in players {
            let counted: Vec<(i64,)> = self.rows(&format!("SELECT count(*) FROM {table} WHERE player_id = {player}")).await?;
            busiest = busiest.max(counted.first().map(|(count,)| (*count, player)));
        }
        let Some((_, player)) = busiest else { return Ok(format!("{table} holds nothing.\n\n")) };
        let statement =
            format!("SELECT end_ts, start_ts, country, session_id FROM {table} WHERE player_id = {player} LIMIT {SHOWN}");
        let rows: Vec<(CqlTimestamp, CqlTimestamp, Option<String>, Uuid)> = self.rows(&statement).await?;
        let rows = rows.into_iter().map(|(end, start, country, session)| {
            [instant(end), instant(start), country.unwrap_or_default(), session.to_string()]
        });
        let answer = table_of(["end_ts", "start_ts", "country", "session_id"], &rows.collect::<Vec<_>>());
        Ok(format!("The newest sessions that a player completed:\n\n  {statement};\n\n{answer}\n"))
    }

    async fn started_sessions(&self) -> Result<String, Error> {
        let table = format!("{}.started_sessions", self.keyspace);
        let keys: Vec<(String, CqlDate)> = self.rows(&format!("SELECT DISTINCT country, day FROM {table} LIMIT 1")).await?;
        let Some((country, day)) = keys.into_iter().next() else { return Ok(format!("{table} holds nothing.\n\n")) };
        let (country, day) = (country.replace('\'', "''"), date(day));
        let statement =
            format!("SELECT ts, session_id, player_id FROM {table} WHERE country = '{country}' AND day = '{day}' LIMIT {SHOWN}");
        let rows: Vec<(CqlTimestamp, Uuid, Uuid)> = self.rows(&statement).await?;
        let rows = rows.into_iter().map(|(start, session, player)| [instant(start), session.to_string(), player.to_string()]);
        let answer = table_of(["ts", "session_id", "player_id"], &rows.collect::<Vec<_>>());
        Ok(format!("The newest sessions that were started in a country on a day:\n\n  {statement};\n\n{answer}\n"))
    }

    async fn rows<R: for<'f, 'm> DeserializeRow<'f, 'm>>(&self, statement: &str) -> Result<Vec<R>, Error> {
        let text = || statement.to_owned();
        let answer =
            self.session.query_unpaged(statement, ()).await.map_err(|source| Error::Execute { statement: text(), source })?;
        let answer = answer.into_rows_result().map_err(|source| Error::Answer { statement: text(), source })?;
        let rows = answer.rows::<R>().map_err(|source| Error::Rows { statement: text(), source })?;
        rows.collect::<Result<_, _>>().map_err(|source| Error::Row { statement: text(), source })
    }
}

fn instant(timestamp: CqlTimestamp) -> String {
    let instant = DateTime::from_timestamp_millis(timestamp.0);
    instant.map_or_else(|| timestamp.0.to_string(), |instant| instant.format("%Y-%m-%d %H:%M:%S%.3f").to_string())
}

/// Days are counted from 2^31 days before 1970.
fn date(CqlDate(days): CqlDate) -> String {
    let since_1970 = i64::from(days) - (1 << 31);
    let date = NaiveDate::default().checked_add_signed(TimeDelta::days(since_1970));
    date.map_or_else(|| days.to_string(), |date| date.to_string())
}

/// As cqlsh shows rows.
fn table_of<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let header = header.map(ToOwned::to_owned);
    let mut widths = header.each_ref().map(String::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join(" | ").trim_end().to_owned()
    };
    let mut text = format!("   {}\n  {}\n", line(&header), widths.map(|width| "-".repeat(width + 2)).join("+"));
    for row in rows {
        let _ = writeln!(text, "   {}", line(row));
    }
    text
}
