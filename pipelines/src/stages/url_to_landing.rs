//! URL → landing zone.
//!
//! Guarantee: after a run, the newest receipt stands for the bytes that the source serves, however often and wherever this
//! stage was interrupted; the same bytes are never two receipts in a row. An unchanged source is not fetched again where its
//! server lets that be seen.
//! Never: looks into the bytes; changes or removes a landed file.

use std::time::Instant;

use model::report::{Outcome, StageName, StageReport};

use crate::download::{self, Arrival, Error, Evidence, Request};

/// Brings the landing zone up to date with one source.
pub async fn run(stage: &Request<'_>) -> Result<StageReport, Error> {
    let started = Instant::now();
    let fetched = download::fetch(stage).await?;

    let mut report = StageReport::new(StageName::UrlToLanding, &stage.source.name);
    report.bytes = fetched.transferred;
    report.notes = fetched.notes;
    report.seconds = started.elapsed().as_secs_f64();
    match fetched.arrival {
        Arrival::Landed(receipt) => {
            report.outcome = Outcome::Done;
            report.commits = 1;
            report.position = Some(receipt.sequence);
        }
        Arrival::Unchanged { sequence, evidence } => {
            report.position = Some(sequence);
            if evidence == Evidence::Content {
                report.notes.push("all of it had to be fetched to see that it did not change".to_owned());
            }
        }
    }
    Ok(report)
}
