//! `sluice rebuild`: removes tables that are to be made anew, and everything that was made from them.
//!
//! Guarantee: only what the next run derives again is removed; landed files stay. Tables go before what they were made from, so
//! that a rebuild that was interrupted is finished by giving the same command again.

use std::collections::BTreeSet;
use std::process::ExitCode;

use cassandra::Store;
use clap::Args;
use model::definition::{Origin, Pipeline, nearest, suggest};

use crate::commands;
use crate::context::Context;
use crate::error::Error;
use crate::opened::Opened;
use crate::runner::in_order;
use crate::settings::RunArgs;

#[derive(Debug, Args)]
pub struct RebuildArgs {
    #[command(flatten)]
    pub run: RunArgs,

    #[arg(required = true, value_name = "TABLE")]
    #[arg(help = "The tables to make anew: raw.NAME, use_case.NAME, cassandra.NAME, or a name that only one table has")]
    pub tables: Vec<String>,
}

/// Removes, and says what was removed.
pub async fn run(arguments: RebuildArgs) -> ExitCode {
    let removed = async {
        let opened = Opened::new(&arguments.run).await?;
        let context = &opened.context;
        let removal = Removal::of(&context.pipeline, &arguments.tables)?;
        let _hold = opened.hold().await?;
        let store = if removal.touches_cassandra() { Some(opened.connect().await?) } else { None };
        removal.run(context, store.as_ref()).await?;
        let names = removal.names().join(", ");
        println!("removed {names}; `sluice run {}` makes them anew", context.pipeline.name);
        Ok::<_, Error>(ExitCode::SUCCESS)
    };
    commands::exit(Box::pin(removed).await)
}

/// What is to be removed, what was made from it first.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Removal {
    pub cassandra: Vec<String>,
    pub lake: Vec<Origin>,
}

impl Removal {
    /// The tables of these names and all that follow from them.
    pub fn of(pipeline: &Pipeline, names: &[String]) -> Result<Self, Error> {
        let mut removal = Self::default();
        for name in names {
            removal.add_named(pipeline, name)?;
        }
        // Each use case stands behind what it reads.
        for table in in_order(pipeline) {
            let origin = Origin::UseCase(table.name.clone());
            if !removal.lake.contains(&origin) && table.from.iter().any(|from| removal.lake.contains(from)) {
                removal.lake.push(origin);
            }
        }
        let place = |origin: &Origin| in_order(pipeline).iter().position(|table| *origin == Origin::UseCase(table.name.clone()));
        removal.lake.sort_by_key(|origin| std::cmp::Reverse(place(origin)));
        removal.lake.dedup();
        let filled = pipeline.cassandra.iter().filter(|table| removal.lake.contains(&table.from)).map(|table| table.name.clone());
        let cassandra: BTreeSet<String> = filled.chain(std::mem::take(&mut removal.cassandra)).collect();
        removal.cassandra = cassandra.into_iter().collect();
        Ok(removal)
    }

    fn add_named(&mut self, pipeline: &Pipeline, name: &str) -> Result<(), Error> {
        let raw = pipeline.raw.iter().map(|table| format!("raw.{}", table.name));
        let use_cases = pipeline.use_cases.iter().map(|table| format!("use_case.{}", table.name));
        let cassandra = pipeline.cassandra.iter().map(|table| format!("cassandra.{}", table.name));
        let all: Vec<String> = raw.chain(use_cases).chain(cassandra).collect();
        let is_it = |full: &&String| *full == name || full.split_once('.').is_some_and(|(_, table)| table == name);
        let found: Vec<&String> = all.iter().filter(is_it).collect();
        match found.as_slice() {
            [one] => match one.split_once('.').expect("made with one") {
                ("raw", table) => self.lake.push(Origin::Raw(table.to_owned())),
                ("use_case", table) => self.lake.push(Origin::UseCase(table.to_owned())),
                (_, table) => self.cassandra.push(table.to_owned()),
            },
            [] => {
                let bare = all.iter().filter_map(|full| full.split_once('.').map(|(_, table)| table));
                let near = nearest(name, bare).map(|near| format!("did you mean `{near}`?"));
                let hint = near.or_else(|| suggest(name, all.iter().map(String::as_str), "tables"));
                return Err(unclear(pipeline, format!("there is no table `{name}`"), hint));
            }
            several => {
                let several: Vec<&str> = several.iter().map(|full| full.as_str()).collect();
                let hint = format!("say which: {}", several.join(", "));
                return Err(unclear(pipeline, format!("there are {} tables `{name}`", several.len()), Some(hint)));
            }
        }
        Ok(())
    }

    /// Each table, in the order in which it goes.
    pub fn names(&self) -> Vec<String> {
        let cassandra = self.cassandra.iter().map(|table| format!("cassandra.{table}"));
        cassandra.chain(self.lake.iter().map(ToString::to_string)).collect()
    }

    pub fn touches_cassandra(&self) -> bool {
        !self.cassandra.is_empty()
    }

    /// Removes the tables. `store` is needed where Cassandra tables are among them.
    pub async fn run(&self, context: &Context, store: Option<&Store>) -> Result<(), Error> {
        for table in &self.cassandra {
            let store = store.expect("a store is given where Cassandra tables are to go");
            let discarded = store.discard_table(table, context.now / 1000).await;
            discarded.map_err(Error::cassandra(format!("drop Cassandra table {table}")))?;
            context.watch.say(&format!("removed cassandra.{table}"));
        }
        for origin in &self.lake {
            context.lake.discard(origin)?;
            context.watch.say(&format!("removed {origin}"));
        }
        Ok(())
    }
}

fn unclear(pipeline: &Pipeline, problem: String, hint: Option<String>) -> Error {
    Error::Semantics { place: format!("pipeline {}", pipeline.name), problem, hint }
}
