//! The way out for a table whose log cannot be read: it is removed with everything that was made from it, for the next run to
//! make anew.
//!
//! Guarantee: only what the next run derives again is removed; landed files stay. Tables go before what they were made from, so
//! that a removal that was interrupted is finished by giving the same command again.

use std::collections::BTreeSet;

use cassandra::Store;
use model::definition::{Origin, Pipeline};

use crate::context::Context;
use crate::error::Error;
use crate::runner::in_order;

/// What is to be removed, what was made from it first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Removal {
    pub cassandra: Vec<String>,
    pub lake: Vec<Origin>,
}

impl Removal {
    /// A table of the lake, and all that follows from it.
    pub fn of(pipeline: &Pipeline, origin: &Origin) -> Self {
        let mut removal = Self { lake: vec![origin.clone()], ..Self::default() };
        // Each use case stands behind what it reads.
        for table in in_order(pipeline) {
            let origin = Origin::UseCase(table.name.clone());
            if !removal.lake.contains(&origin) && table.from.iter().any(|from| removal.lake.contains(from)) {
                removal.lake.push(origin);
            }
        }
        removal.lake.reverse();
        let filled = pipeline.cassandra.iter().filter(|table| removal.lake.contains(&table.from)).map(|table| table.name.clone());
        let cassandra: BTreeSet<String> = filled.collect();
        removal.cassandra = cassandra.into_iter().collect();
        removal
    }

    /// Each table, in the order in which it goes.
    pub fn names(&self) -> Vec<String> {
        let cassandra = self.cassandra.iter().map(|table| format!("cassandra.{table}"));
        cassandra.chain(self.lake.iter().map(ToString::to_string)).collect()
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
