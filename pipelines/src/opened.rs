//! What every command that works on a pipeline begins with: the definition, read and checked; its lake; its keyspace; the clock;
//! and an ear for the request to stop.

use std::sync::Arc;

use cassandra::Store;
use cassandra::connect::Waiting;
use model::clock::Clock;
use model::definition::Pipeline;
use model::shutdown::Shutdown;
use zones::lake::{Hold, Lake};

use crate::checking::check;
use crate::context::Context;
use crate::error::Error;
use crate::remaining::Remaining;
use crate::settings::{CassandraArgs, RunArgs};
use crate::{commands, folder, logs, signals, ui};

/// A pipeline that is ready to be worked on. Nothing is locked, made or connected yet.
pub struct Opened {
    pub context: Context,
    pub keyspace: String,
    cassandra: CassandraArgs,
}

impl Opened {
    /// Starts the logs, listens to signals from here on, and reads the definition with its SQL: what could not end does not begin.
    pub async fn new(arguments: &RunArgs) -> Result<Self, Error> {
        logs::start(&arguments.talk);
        let shutdown = Shutdown::default();
        let remaining = Remaining::default();
        signals::listen(shutdown.clone(), remaining.clone());
        let pipeline = Arc::new(read(arguments).await?);
        let slice = arguments.slice()?;
        let lake = Lake::new(arguments.lake_folder()?, &pipeline.name);
        let keyspace = arguments.keyspace(&pipeline.name)?;
        let context = Context::new(pipeline, lake, Clock::Wall, slice, shutdown, ui::for_stderr());
        let context = Context { remaining, ..context };
        Ok(Self { context, keyspace, cassandra: arguments.cassandra.clone() })
    }

    /// Takes the lake for this process; another one that holds it is named in the error.
    pub fn hold(&self) -> Result<Hold, Error> {
        Ok(self.context.lake.hold(&format!("process {}", std::process::id()))?)
    }

    pub fn has_cassandra(&self) -> bool {
        !self.context.pipeline.cassandra.is_empty()
    }

    pub fn cassandra_settings(&self) -> Result<cassandra::Settings, Error> {
        self.cassandra.settings(self.keyspace.clone(), commands::node::recorded())
    }

    /// Connects, and waits for a Cassandra that is still starting as long as `--cassandra-wait` says.
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

/// The definition, its SQL looked at as well.
async fn read(arguments: &RunArgs) -> Result<Pipeline, Error> {
    let folder = folder::find(&arguments.pipeline, &arguments.pipelines)?;
    let reading = folder::read_all(&folder, &|name| std::env::var(name).ok())?;
    check(&reading).await.into_result(&reading.places)?;
    Ok(reading.pipeline)
}
