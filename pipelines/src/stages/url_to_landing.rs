//! URLs → landing zone.
//!
//! Guarantee: after a run, the newest receipt of each of a source's locations stands for the bytes that are served there,
//! however often and wherever this stage was interrupted; the same bytes are never two receipts of one location in a row. What
//! did not change is not fetched again where its server lets that be seen. Where a location fails, the others have landed all
//! the same, and the stage fails.
//! Never: looks into the bytes; changes or removes a landed file.

use std::time::Instant;

use model::report::{Outcome, StageName, StageReport};

use crate::download::{self, Error, Fetched, Request};

/// How many of them a note lists.
const LISTED: usize = 20;

/// Brings the landing zone up to date with one source.
#[tracing::instrument(target = "profile", level = "trace", name = "stage", skip_all, fields(of = format!("url-to-landing {}", stage.source.name)))]
pub async fn run(stage: &Request<'_>) -> Result<StageReport, Error> {
    let started = Instant::now();
    let fetched = download::fetch(stage).await?;

    let mut report = StageReport::new(StageName::UrlToLanding, &stage.source.name);
    report.seconds = started.elapsed().as_secs_f64();
    report.bytes = fetched.transferred;
    report.commits = fetched.landed as u64;
    report.position = fetched.sequence;
    if fetched.landed > 0 {
        report.outcome = Outcome::Done;
    }
    report.notes = notes(fetched);
    Ok(report)
}

fn notes(fetched: Fetched) -> Vec<String> {
    let Fetched { locations, landed, unchanged, compared, missing, notes: told, .. } = fetched;
    let mut notes = Vec::new();
    match locations {
        0 => notes.push("none of its dates has come yet".to_owned()),
        1 => {}
        _ => notes.push(format!("{locations} urls: {landed} landed, {unchanged} unchanged, {} skipped", missing.len())),
    }
    if !missing.is_empty() {
        notes.push(format!("{} of {locations} not there: {}", missing.len(), listed(&missing, ", ")));
    }
    match (compared, locations) {
        (0, _) => {}
        (_, 1) => notes.push("all of it had to be fetched to see that it did not change".to_owned()),
        _ => notes.push(format!("{compared} had to be fetched to see that they did not change")),
    }
    let more = told.len().saturating_sub(LISTED);
    notes.extend(told.into_iter().take(LISTED));
    if more > 0 {
        notes.push(format!("and {more} more like these"));
    }
    notes
}

fn listed(names: &[String], between: &str) -> String {
    let shown = names[..names.len().min(LISTED)].join(between);
    if names.len() > LISTED { format!("{shown} and {} more", names.len() - LISTED) } else { shown }
}
