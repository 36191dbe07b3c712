//! The report of a run, for people and for programs.

use std::fmt::Write;

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use model::plan::Known;
use model::report::{Outcome, RunReport, StageName, StageReport};

const HEADER: [&str; 13] = [
    "stage",
    "target",
    "read",
    "accepted",
    "duplicate",
    "conflict",
    "rejected",
    "dropped",
    "sliced off",
    "too old",
    "written",
    "seconds",
    "rows/s",
];
/// Columns of [`HEADER`] that are shown only where something stands in them.
const FATES: std::ops::Range<usize> = 3..10;
const EMPTY: &str = "-";

/// How much of the plan is shown beside what came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Where they differ in a way worth telling.
    Differences,
    All,
}

/// The report as a table, with the accounting line below it.
pub fn table(report: &RunReport, detail: Detail) -> String {
    let mut rows: Vec<Vec<String>> = report.stages.iter().map(row).collect();
    let mut header: Vec<&str> = HEADER.to_vec();
    // Most fates are empty in most runs: a column in which nothing stands is left out.
    for column in (0..header.len()).rev().filter(|column| FATES.contains(column)) {
        if rows.iter().all(|row| row[column] == EMPTY) {
            header.remove(column);
            for row in &mut rows {
                row.remove(column);
            }
        }
    }
    let mut table = lined(&header, rows);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = format!("{table}\n");
    for stage in &report.stages {
        if let Some(line) = beside(stage, detail) {
            text.push_str(&line);
        }
    }
    for stage in &report.stages {
        for note in &stage.notes {
            let _ = writeln!(text, "{} {}: {note}", stage.stage.name(), stage.target);
        }
    }
    if let Some(accounting) = accounting(report) {
        text.push_str(&accounting);
        text.push('\n');
    }
    if let Some(slice) = &report.slice {
        let _ = writeln!(text, "DEBUG RUN: only the slice {slice}, in a lake and a keyspace of its own");
    }
    text.push_str(&summary(report));
    text
}

/// A table in the style of all others.
pub(crate) fn styled(header: &[&str], rows: Vec<Vec<String>>) -> String {
    lined(header, rows).to_string()
}

pub(crate) fn lined(header: &[&str], rows: Vec<Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    table.set_header(header.to_vec());
    table.add_rows(rows);
    table
}

/// What was planned beside what came, where that is worth a line.
fn beside(stage: &StageReport, detail: Detail) -> Option<String> {
    let told = stage.planned.named().filter(|(_, beside)| detail == Detail::All || beside.is_worth_telling());
    let told: Vec<_> = told
        .map(|(name, beside)| {
            let bound = match beside.known {
                Known::Exact => "",
                Known::AtMost => "at most ",
                Known::Estimated | Known::Later => "about ",
            };
            format!("{name} {bound}{}, came {}", grouped(beside.planned), grouped(beside.fact))
        })
        .collect();
    (!told.is_empty()).then(|| format!("{} {}: planned {}\n", stage.stage.name(), stage.target, told.join("; ")))
}

fn row(report: &StageReport) -> Vec<String> {
    let counts = &report.counts;
    let is_load = report.stage == StageName::LandingToRaw;
    let shown = |count: u64| if count > 0 { grouped(count) } else { EMPTY.to_owned() };
    let mut row = vec![report.stage.name().to_owned(), report.target.clone()];
    if report.stage == StageName::UrlToLanding {
        row.push(format!("{} B", grouped(report.bytes)));
    } else {
        row.push(shown(counts.read));
    }
    let accepted = if is_load { counts.accepted } else { 0 };
    row.extend(
        [accepted, counts.duplicate, counts.conflicting, counts.rejected, counts.dropped, counts.sliced_off, counts.too_old]
            .map(shown),
    );
    row.push(match report.outcome {
        Outcome::UpToDate => "up to date".to_owned(),
        Outcome::Done => shown(report.written),
    });
    row.push(format!("{:.2}", report.seconds));
    row.push(if counts.read > 0 { grouped_rate(report.rows_per_second()) } else { EMPTY.to_owned() });
    row
}

fn accounting(report: &RunReport) -> Option<String> {
    let loads: model::Counts =
        report.stages.iter().filter(|stage| stage.stage == StageName::LandingToRaw).map(|stage| stage.counts).sum();
    let verdict = if report.accounting_closes { "closes, checked against the commits" } else { "DOES NOT CLOSE" };
    (loads.read > 0).then(|| format!("accounting: {loads}: {verdict}"))
}

fn summary(report: &RunReport) -> String {
    let memory = report.peak_memory_bytes.map_or(String::new(), |bytes| format!(", {} MB at most", bytes / 1_000_000));
    let what = if report.stages.iter().all(|stage| stage.outcome == Outcome::UpToDate) { "nothing to do" } else { "done" };
    format!("{}: {what} in {:.1} s{memory}", report.pipeline, report.seconds)
}

/// Digits in groups of three.
pub(crate) fn grouped(number: u64) -> String {
    group(&number.to_string())
}

fn grouped_rate(rate: f64) -> String {
    group(&format!("{rate:.0}"))
}

fn group(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_from_the_right() {
        assert_eq!([0, 7, 999, 1000, 1_001_169].map(grouped), ["0", "7", "999", "1,000", "1,001,169"]);
    }
}
