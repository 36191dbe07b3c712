//! What every command that works on a pipeline begins with: the definition, read and checked; its lake; its keyspace; the clock;
//! and an ear for the request to stop.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cassandra::Store;
use cassandra::connect::Waiting;
use model::definition::Pipeline;
use model::shutdown::Shutdown;
use zones::hold::{Hold, Terms};
use zones::lake::Lake;

use crate::checking::check;
use crate::context::Context;
use crate::error::Error;
use crate::profile::Profile;
use crate::remaining::Remaining;
use crate::settings::{CassandraArgs, HoldArgs, RunArgs};
use crate::{commands, crash, folder, logs, signals, ui};

/// A pipeline that is ready to be worked on. Nothing is locked, made or connected yet.
pub struct Opened {
    pub context: Context,
    pub keyspace: String,
    cassandra: CassandraArgs,
    hold: HoldArgs,
    /// Closed when all is done.
    _profile: Option<Profile>,
}

/// Between two looks whether the other run has ended.
const LOOK: Duration = Duration::from_millis(500);

impl Opened {
    /// Starts the logs, listens to signals from here on, and reads the definition with its SQL: what could not end does not begin.
    pub async fn new(arguments: &RunArgs) -> Result<Self, Error> {
        let start = |file: &PathBuf| Profile::start(file, &command_line(std::env::args_os()));
        let profile = arguments.profile.as_ref().map(start).transpose()?;
        logs::start(&arguments.talk, profile.as_ref());
        let clock = crash::prepare()?;
        let shutdown = Shutdown::default();
        let remaining = Remaining::default();
        signals::listen(shutdown.clone(), remaining.clone());
        let pipeline = Arc::new(read(arguments).await?);
        let slice = arguments.slice()?;
        let lake = arguments.memory.given_to(Lake::new(arguments.lake_folder()?, &pipeline.name));
        let keyspace = arguments.keyspace(&pipeline.name)?;
        lake.expect_format()?;
        let watch = profile.as_ref().map_or_else(ui::for_stderr, |profile| profile.watching(ui::for_stderr()));
        let context = Context::new(pipeline, lake, clock, slice, shutdown, watch);
        let context = Context { remaining, send_rows: arguments.send_rows, ..context };
        Ok(Self { context, keyspace, cassandra: arguments.cassandra.clone(), hold: arguments.hold, _profile: profile })
    }

    /// Takes the lake for this process; another one that holds it is waited for as long as `--wait` says, and then named in the
    /// error.
    #[tracing::instrument(target = "profile", level = "trace", name = "wait for the hold", skip_all)]
    pub async fn hold(&self) -> Result<Hold, Error> {
        let context = &self.context;
        let terms = Terms {
            command: command_line(std::env::args_os()),
            silence: Duration::from_secs(self.hold.silence),
            shutdown: context.shutdown.clone(),
        };
        let deadline = Instant::now() + Duration::from_secs(self.hold.wait);
        let mut waited_for = None;
        loop {
            match context.lake.hold_on(&terms) {
                Err(zones::Error::Held { holder, .. }) if Instant::now() < deadline => {
                    if waited_for.as_ref() != Some(&holder) {
                        let left = (deadline - Instant::now()).as_secs() + 1;
                        context.watch.say(&format!("waiting up to {left} s for another run: {holder}"));
                        waited_for = Some(holder);
                    }
                    signals::unless_stopped(&context.shutdown, tokio::time::sleep(LOOK)).await?;
                }
                held => {
                    let held = held?;
                    if let Some(holder) = held.replaced() {
                        context.watch.say(&format!("took over from a run that gave no sign of life: {holder}"));
                    }
                    return Ok(held);
                }
            }
        }
    }

    pub fn has_cassandra(&self) -> bool {
        !self.context.pipeline.cassandra.is_empty()
    }

    pub fn cassandra_settings(&self) -> Result<cassandra::Settings, Error> {
        self.cassandra.settings(self.keyspace.clone(), commands::node::recorded())
    }

    /// Connects, and waits for a Cassandra that is still starting as long as `--cassandra-wait` says.
    #[tracing::instrument(target = "profile", level = "trace", name = "connect to Cassandra", skip_all)]
    pub async fn connect(&self) -> Result<Store, Error> {
        let watch = self.context.watch.clone();
        let waiting = move |waiting: Waiting<'_>| {
            let (waited, deadline) = (waiting.waited.as_secs(), waiting.deadline.as_secs());
            watch.say(&format!("waiting for Cassandra at {} ({waited} of {deadline} s): {}", waiting.hosts, waiting.reason));
        };
        let settings = self.cassandra_settings()?;
        let connecting = Store::connect(&settings, self.cassandra.wait(), waiting);
        let connected = signals::unless_stopped(&self.context.shutdown, connecting).await?;
        connected.map_err(Error::cassandra("connect to Cassandra"))
    }
}

/// The program's name and its subcommand with the pipeline: what a person would recognise, and no more of the arguments than that.
fn command_line(arguments: impl Iterator<Item = OsString>) -> String {
    let mut words = Vec::new();
    for (at, argument) in arguments.enumerate() {
        let word = argument.to_string_lossy();
        match at {
            0 => words.push(word.rsplit('/').next().unwrap_or_default().to_owned()),
            1 | 2 if !word.starts_with('-') => words.push(word.into_owned()),
            _ => break,
        }
    }
    words.join(" ")
}

/// The definition, its SQL looked at as well.
#[tracing::instrument(target = "profile", level = "trace", name = "read the definition", skip_all)]
async fn read(arguments: &RunArgs) -> Result<Pipeline, Error> {
    let folder = folder::find(&arguments.pipeline, &arguments.pipelines)?;
    let reading = folder::read_all(&folder, &|name| std::env::var(name).ok())?;
    check(&reading).await.into_result(&reading.places)?;
    Ok(reading.pipeline)
}
