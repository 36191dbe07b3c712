//! What a run still has to do, for whoever stops it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use model::definition::Pipeline;
use model::report::StageName;

use crate::stages::to_cassandra;

/// How many of them a message lists.
const LISTED: usize = 12;

/// Stages and their targets, in order, without those that ended well. Clones share the list.
#[derive(Debug, Clone, Default)]
pub struct Remaining(Arc<Mutex<Vec<(StageName, String)>>>);

impl Remaining {
    /// All that the stages of a run are for; of one stage alone where one is named.
    pub fn expect(&self, pipeline: &Pipeline, only: Option<StageName>) {
        let mut work = vec![(StageName::CreateTables, pipeline.name.clone())];
        work.extend(pipeline.sources.iter().map(|source| (StageName::UrlToLanding, source.name.clone())));
        work.extend(pipeline.raw.iter().map(|table| (StageName::LandingToRaw, table.name.clone())));
        work.extend(pipeline.use_cases.iter().map(|table| (StageName::RawToUseCase, table.name.clone())));
        for stage in [StageName::RawToCassandra, StageName::UseCaseToCassandra] {
            let filled = pipeline.cassandra.iter().filter(|table| to_cassandra::stage_of(table) == stage);
            work.extend(filled.map(|table| (stage, table.name.clone())));
        }
        work.retain(|(stage, _)| only.is_none_or(|only| *stage == only));
        *self.list() = work;
    }

    /// This one ended well.
    pub fn done(&self, stage: StageName, target: &str) {
        self.list().retain(|(other, name)| (*other, name.as_str()) != (stage, target));
    }

    /// What remains.
    pub fn all(&self) -> Vec<(StageName, String)> {
        self.list().clone()
    }

    fn list(&self) -> MutexGuard<'_, Vec<(StageName, String)>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// `landing-to-raw orders, raw-to-use-case customers`; empty where nothing remains or is known.
impl fmt::Display for Remaining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self.list();
        for (at, (stage, target)) in list.iter().take(LISTED).enumerate() {
            let between = if at == 0 { "" } else { ", " };
            write!(f, "{between}{} {target}", stage.name())?;
        }
        match list.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
