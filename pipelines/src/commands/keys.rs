//! `sluice keys make | list | rotate | revoke`: who may ask the REST API.
//!
//! Guarantee: a key is on stdout once, alone, and nowhere else; what happened is said on stderr. A running server sees a change within
//! two seconds.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use api::keys::{self, Change, Error, Made, NewKey, Rate, Record, Scope};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use model::definition::parse_duration;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::say;
use crate::report::lined;
use crate::settings::Output;

#[derive(Debug, Args)]
pub struct KeysArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key and print it: it is shown this once
    #[command(
        after_help = "Example: a key for two endpoints, for a quarter of a year\n  sluice keys make --name shop-front --endpoint 'player*' --endpoint countries --rate '50 per second' --expires '90 days'"
    )]
    Make(MakeArgs),
    /// List the keys: whose, what they open, how often, until when
    #[command(after_help = "Example: sluice keys list --output json | jq -r '.keys[] | select(.state == \"active\") | .id'")]
    List(CommonArgs),
    /// Give a key a new secret and print it; the old one opens for a while longer
    #[command(after_help = "Example: sluice keys rotate abc23defgh --grace '2 hours'")]
    Rotate(RotateArgs),
    /// Have a key open nothing any more
    #[command(after_help = "Example: sluice keys revoke abc23defgh")]
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
struct CommonArgs {
    /// File of the keys; it holds their hashes, and the secret that signs cursors
    #[arg(long, env = "API_KEYS", default_value = DEFAULT_FILE, value_name = "FILE")]
    keys: PathBuf,

    /// What to print on stdout
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Where the keys are, of a server as well.
pub const DEFAULT_FILE: &str = ".sluice/api-keys.json";

#[derive(Debug, Args)]
struct MakeArgs {
    #[command(flatten)]
    common: CommonArgs,

    /// Whose it is: an application, a team
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: String,

    /// An endpoint that it opens; `*` stands for any text, and the flag may be repeated [default: all]
    #[arg(long = "endpoint", value_name = "PATTERN", value_parser = scope_pattern)]
    endpoints: Vec<String>,

    /// A pipeline whose endpoints it opens [default: all]
    #[arg(long = "pipeline", value_name = "PATTERN", value_parser = scope_pattern)]
    pipelines: Vec<String>,

    /// Requests that it may make in the long run: `50`, `50 per second`, `30 per minute` [default: what the server says]
    #[arg(long, value_name = "RATE")]
    rate: Option<Rate>,

    /// Requests that it may make at once [default: those of a second]
    #[arg(long, value_name = "REQUESTS", requires = "rate")]
    burst: Option<NonZeroU32>,

    /// After so long it opens nothing any more [default: never]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    expires: Option<u64>,
}

#[derive(Debug, Args)]
struct RotateArgs {
    /// The key's id, as `sluice keys list` shows it
    id: String,

    /// For so long the old secret opens as well; 0 for not at all
    #[arg(long, value_name = "DURATION", value_parser = grace, default_value = "24 hours")]
    grace: u64,

    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
struct RevokeArgs {
    /// The key's id, as `sluice keys list` shows it
    id: String,

    #[command(flatten)]
    common: CommonArgs,
}

fn scope_pattern(text: &str) -> Result<String, String> {
    Scope::new(vec![text.to_owned()], Vec::new()).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn grace(text: &str) -> Result<u64, String> {
    if text.trim() == "0" { Ok(0) } else { parse_duration(text) }
}

pub fn run(args: KeysArgs) -> Result<ExitCode, Error> {
    let now = Utc::now();
    match args.command {
        Command::Make(args) => make(args, now)?,
        Command::List(args) => print_list(&args, &keys::list(&args.keys)?, now),
        Command::Rotate(args) => {
            let made = keys::rotate(&args.common.keys, &args.id, Duration::from_secs(args.grace), now)?;
            print_key(&args.common, &made, now);
            match args.grace {
                0 => say("the old secret opens nothing any more"),
                _ => say(&format!("the old secret opens until {}", or_empty(old_secret_ends(&made.record, now)))),
            }
        }
        Command::Revoke(args) => {
            let (record, change) = keys::revoke(&args.common.keys, &args.id, now)?;
            match (args.common.output, change) {
                (Output::Json, _) => print_json(&shown(&record, now)),
                (Output::Table, Change::Done) => println!("revoked {} ({})", record.id, record.name),
                (Output::Table, Change::None) => println!("{} ({}) was revoked already", record.id, record.name),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn make(args: MakeArgs, now: DateTime<Utc>) -> Result<(), Error> {
    let rate = match (args.rate, args.burst) {
        (Some(rate), Some(burst)) => Some(rate.with_burst(burst)),
        (rate, _) => rate,
    };
    let new = NewKey {
        name: args.name,
        scope: Scope::new(args.pipelines, args.endpoints).expect("each pattern was looked at"),
        rate,
        expires: args.expires.map(|seconds| now + Duration::from_secs(seconds.min(LONGEST))),
    };
    let made = keys::make(&args.common.keys, new, now)?;
    print_key(&args.common, &made, now);
    say(&format!("made the key {} in {}; it is shown this once", made.record.id, args.common.keys.display()));
    say("hint: send it as `Authorization: Bearer KEY`");
    Ok(())
}

/// A thousand years: what is longer is as good as never, and beyond the years of four digits.
const LONGEST: u64 = 1_000 * 365 * 86_400;

fn print_key(args: &CommonArgs, made: &Made, now: DateTime<Utc>) {
    let key = made.key.expose_secret();
    match args.output {
        Output::Table => println!("{key}"),
        Output::Json => {
            let mut document = shown(&made.record, now);
            document["key"] = json!(key);
            print_json(&document);
        }
    }
}

fn print_list(args: &CommonArgs, records: &[Record], now: DateTime<Utc>) {
    if args.output == Output::Json {
        let keys: Vec<_> = records.iter().map(|record| shown(record, now)).collect();
        return print_json(&json!({ "keys": keys }));
    }
    if records.is_empty() {
        say(&format!("there is no key in {}", Path::display(&args.keys)));
        say("hint: make one: sluice keys make --name APPLICATION");
        return;
    }
    let row = |record: &Record| {
        vec![
            record.id.clone(),
            record.name.clone(),
            record.state(now).to_owned(),
            record.scope.pipelines.join(", "),
            record.scope.endpoints.join(", "),
            record.rate.map_or_else(|| "the server's".to_owned(), |rate| rate.to_string()),
            time(record.created),
            or_empty(record.expires),
            or_empty(old_secret_ends(record, now)),
        ]
    };
    let header = ["id", "name", "state", "pipelines", "endpoints", "rate", "created", "expires", "old secret until"];
    println!("{}", lined(&header, records.iter().map(row).collect()));
}

/// Of a rotation whose grace is not over.
fn old_secret_ends(record: &Record, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    record.secrets.iter().filter_map(|secret| secret.ends).filter(|ends| *ends > now).max()
}

/// A key without what opens anything.
fn shown(record: &Record, now: DateTime<Utc>) -> Value {
    json!({
        "id": record.id,
        "name": record.name,
        "state": record.state(now),
        "pipelines": record.scope.pipelines,
        "endpoints": record.scope.endpoints,
        "rate": record.rate,
        "created": record.created,
        "expires": record.expires,
        "revoked": record.revoked,
        "old_secret_until": old_secret_ends(record, now),
    })
}

fn print_json(document: &Value) {
    println!("{document:#}");
}

fn time(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%d %H:%M UTC").to_string()
}

fn or_empty(instant: Option<DateTime<Utc>>) -> String {
    instant.map_or_else(|| "-".to_owned(), time)
}
