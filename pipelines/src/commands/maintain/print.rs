//! The report of a maintenance for people.

use std::fmt::Write;

use model::maintenance::{MaintenanceMode, MaintenanceReport, MaintenanceStep, StepReport};

use crate::commands::plan::size;
use crate::report::{Detail, grouped, styled};

/// Paths and dates that are listed one by one, unless all are asked for.
const LISTED: usize = 8;

/// The whole report.
pub fn text(report: &MaintenanceReport, detail: Detail) -> String {
    let is_dry = report.mode == MaintenanceMode::DryRun;
    let mut text = String::new();
    let what = if is_dry { "what maintenance would do now" } else { "maintenance" };
    let _ = writeln!(text, "{}: {what}", report.pipeline);
    if report.steps.iter().all(|step| step.before.files == 0 && step.files_after == 0) {
        let _ = writeln!(text, "nothing to do");
    } else {
        let _ = writeln!(text, "{}", styled(&["step", "table", "files", "bytes", "become", "bytes", "rows"], rows(report)));
    }
    for step in &report.steps {
        notes(&mut text, step, detail);
    }
    if is_dry {
        let _ = write!(text, "nothing was done; without --dry-run it is");
    } else {
        let (before, after) = (report.lake_before, report.lake_after);
        let _ = write!(
            text,
            "tables: {} files and {} before, {} files and {} after; {:.1} s",
            grouped(before.files),
            size(before.bytes),
            grouped(after.files),
            size(after.bytes),
            report.seconds
        );
    }
    text
}

fn rows(report: &MaintenanceReport) -> Vec<Vec<String>> {
    let done = report.steps.iter().filter(|step| step.before.files > 0 || step.files_after > 0);
    let row = |step: &StepReport| {
        vec![
            step.step.name().to_owned(),
            step.target.clone(),
            grouped(step.before.files),
            size(step.before.bytes),
            grouped(step.files_after),
            step.bytes_after.map_or_else(|| "?".to_owned(), size),
            if step.rows > 0 { format!("-{}", grouped(step.rows)) } else { "-".to_owned() },
        ]
    };
    done.map(row).collect()
}

fn notes(text: &mut String, step: &StepReport, detail: Detail) {
    let most = if detail == Detail::All { usize::MAX } else { LISTED };
    let place = format!("{} {}", step.step.name(), step.target);
    if let (Some(first), Some(last)) = (step.dates.first(), step.dates.last()) {
        let _ = writeln!(text, "{place}: {} dates from {first} to {last}", step.dates.len());
    }
    for note in &step.notes {
        let _ = writeln!(text, "{place}: {note}");
    }
    if !matches!(step.step, MaintenanceStep::Vacuum | MaintenanceStep::Orphans) && detail != Detail::All {
        return;
    }
    for path in step.paths.iter().take(most) {
        let _ = writeln!(text, "{place}: {path}");
    }
    if step.paths.len() > most {
        let _ = writeln!(text, "{place}: and {} more (--verbose lists them)", step.paths.len() - most);
    }
}

/// One step in a line, while the work goes on.
pub(super) fn line(step: &StepReport) -> String {
    let (name, target) = (step.step.name(), &step.target);
    if step.before.files == 0 && step.files_after == 0 {
        return format!("{name} {target}: {}", step.notes.join("; "));
    }
    let files = grouped(step.before.files);
    match step.step {
        MaintenanceStep::Compaction => format!("{name} {target}: {files} files are now {}", grouped(step.files_after)),
        MaintenanceStep::Checkpoint => format!("{name} {target}: {files} files of the log removed"),
        _ => format!("{name} {target}: {files} files, {} removed", size(step.before.bytes)),
    }
}
