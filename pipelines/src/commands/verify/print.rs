//! What was looked at and found, for people.

use std::fmt::Write;

use comfy_table::CellAlignment;
use model::verify::{Check, Verification};

use crate::report::{grouped, lined};

/// The checks as a table, then what is wrong, then what could not be looked at.
pub fn text(verification: &Verification) -> String {
    let header = ["target", "looked at", "rows", "bytes", "seconds", "found"];
    let rows = verification.checks.iter().map(|check| {
        let found: u64 = check.findings.iter().map(|finding| finding.count).sum();
        vec![
            check.target.clone(),
            check.subject.name().to_owned(),
            grouped(check.rows),
            grouped(check.bytes),
            format!("{:.1}", check.seconds),
            if found == 0 { "-".to_owned() } else { grouped(found) },
        ]
    });
    let mut table = lined(&header, rows.collect());
    for column in 2..6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut out = table.to_string();
    for check in &verification.checks {
        found(check, &mut out);
    }
    for repair in &verification.repairs {
        let _ = write!(
            out,
            "\n\ncassandra.{}: put right, {} rows written anew, {} removed",
            repair.table, repair.written, repair.deleted
        );
    }
    let mut notes = verification.checks.iter().flat_map(|check| check.notes.iter().map(move |note| (check, note))).peekable();
    if notes.peek().is_some() {
        out.push_str("\n\nTo be known:");
    }
    for (check, note) in notes {
        let _ = write!(out, "\n  {} {}: {note}", check.target, check.subject.name());
    }
    let rows: u64 = verification.checks.iter().map(|check| check.rows).sum();
    let bytes: u64 = verification.checks.iter().map(|check| check.bytes).sum();
    let part = verification.sample.as_ref().map(|sample| format!(" (a sample: {sample})")).unwrap_or_default();
    let outcome = match verification.findings() {
        0 => "all is as it should be".to_owned(),
        1 => "1 thing is not as it should be".to_owned(),
        count => format!("{count} things are not as they should be"),
    };
    let _ = write!(
        out,
        "\n\n{}: {outcome}; looked at {} rows and {} bytes{part} in {:.1} s, rows on both sides of each comparison counted",
        verification.pipeline,
        grouped(rows),
        grouped(bytes),
        verification.seconds
    );
    out
}

fn found(check: &Check, out: &mut String) {
    for finding in &check.findings {
        let _ = write!(out, "\n\n{} {}: {} ({})", check.target, check.subject.name(), finding.problem, finding.count);
        for example in &finding.examples {
            let _ = write!(out, "\n  {example}");
        }
        if let Some(advice) = &finding.advice {
            let _ = write!(out, "\n  hint: {advice}");
        }
    }
}
