//! The plan for people: a section for each step of a run, a table in each, and what the uncertain numbers rest on.

use std::fmt::Write;

use model::plan::{
    Amount, FileToLoad, Known, MergePlan, RunPlan, SendPlan, SourceState, StoreState, TableChange, TableToMake, ViewPlan,
};

use crate::report::{grouped, styled};

/// Batches of a file, and files of a source, that are listed one by one.
const LISTED: usize = 12;

/// The whole plan.
pub fn text(plan: &RunPlan) -> String {
    let mut page = Page::default();
    page.heading(&format!("{}: what a run would do now", plan.pipeline));
    page.problems(plan);
    page.tables(plan);
    page.sources(plan);
    page.loads(plan);
    page.merges(&plan.merges);
    page.views(&plan.views);
    page.sends(plan);
    page.maintenance(plan);
    page.end(plan)
}

#[derive(Default)]
struct Page {
    text: String,
    /// What numbers rest on, each once.
    bases: Vec<String>,
}

impl Page {
    fn heading(&mut self, heading: &str) {
        let _ = writeln!(self.text, "{heading}");
    }

    fn section(&mut self, name: &str, header: &[&str], rows: Vec<Vec<String>>) {
        if rows.is_empty() {
            return;
        }
        let _ = writeln!(self.text, "\n{name}\n{}", styled(header, rows));
    }

    /// `1,234`, `<= 1,234 [1]`, `~ 1,234 [2]` or `? [3]`.
    fn amount(&mut self, amount: &Amount) -> String {
        let value = amount.value.map(grouped).unwrap_or_default();
        self.sign(amount, &value)
    }

    fn bytes(&mut self, amount: &Amount) -> String {
        let value = amount.value.map(size).unwrap_or_default();
        self.sign(amount, &value)
    }

    fn sign(&mut self, amount: &Amount, value: &str) -> String {
        let sign = match amount.known {
            Known::Exact => return value.to_owned(),
            Known::AtMost => format!("<= {value}"),
            Known::Estimated => format!("~ {value}"),
            Known::Later => "?".to_owned(),
        };
        match &amount.basis {
            Some(basis) => format!("{sign} {}", self.mark(basis)),
            None => sign,
        }
    }

    fn mark(&mut self, basis: &str) -> String {
        let at = self.bases.iter().position(|known| known == basis).unwrap_or_else(|| {
            self.bases.push(basis.to_owned());
            self.bases.len() - 1
        });
        format!("[{}]", at + 1)
    }

    fn more(&mut self, to_come: Option<&String>) -> String {
        to_come.map_or_else(String::new, |why| format!("more may come {}", self.mark(why)))
    }

    fn problems(&mut self, plan: &RunPlan) {
        for problem in &plan.problems {
            let _ = writeln!(self.text, "problem: {problem}");
        }
    }

    fn tables(&mut self, plan: &RunPlan) {
        let delta: Vec<&TableToMake> = plan.tables.iter().filter(|table| table.ddl.is_none()).collect();
        let row = |table: &&TableToMake| {
            let change = if table.change == TableChange::AddColumns { "add columns" } else { "create" };
            let columns: Vec<_> = table.columns.iter().map(|(name, of)| format!("{name} {}", short(of))).collect();
            vec![table.table.clone(), change.to_owned(), wrapped(&columns.join(", "))]
        };
        self.section("Delta tables to be made", &["table", "change", "columns"], delta.iter().map(row).collect());
        let statements: Vec<&TableToMake> = plan.tables.iter().filter(|table| table.ddl.is_some()).collect();
        if let Some(first) = statements.first() {
            let where_missing = if first.change == TableChange::CreateIfMissing { ", where they are missing" } else { "" };
            let _ = writeln!(self.text, "\nDDL to be run in Cassandra{where_missing}");
        }
        for statement in statements.iter().filter_map(|table| table.ddl.as_ref()) {
            let _ = writeln!(self.text, "  {};", statement.replace('\n', "\n  "));
        }
    }

    fn sources(&mut self, plan: &RunPlan) {
        let mut rows = Vec::new();
        for source in &plan.sources {
            // Of many urls, those that did not change are not news.
            let (told, quiet): (Vec<_>, Vec<_>) =
                source.files.iter().partition(|file| source.files.len() <= LISTED || file.state != SourceState::Unchanged);
            for file in told.iter().take(LISTED) {
                let bytes = if file.state.is_fetched() { self.bytes(&file.bytes) } else { "-".to_owned() };
                rows.push(vec![
                    source.source.clone(),
                    file.url.clone(),
                    state(file.state).to_owned(),
                    file.because.clone(),
                    bytes,
                ]);
            }
            let more = told.len().saturating_sub(LISTED);
            if more + quiet.len() > 0 {
                let text = format!("{more} more like these, {} unchanged", quiet.len());
                let bytes = self.bytes(&source.bytes);
                rows.push(vec![source.source.clone(), text, "in all".to_owned(), String::new(), bytes]);
            }
        }
        self.section("url-to-landing: files to fetch", &["source", "url", "state", "because", "bytes"], rows);
    }

    fn loads(&mut self, plan: &RunPlan) {
        let mut rows = Vec::new();
        for load in &plan.loads {
            for file in &load.files {
                let supersedes = match &file.supersedes {
                    None => String::new(),
                    Some(old) => {
                        let (rows, files, bytes) = (self.amount(&old.rows), self.amount(&old.files), self.bytes(&old.bytes));
                        format!("{rows} rows in {files} files, {bytes}")
                    }
                };
                let name = format!("{} (receipt {}, {})", file.file_name, file.receipt, size(file.bytes));
                rows.push(vec![
                    load.table.clone(),
                    name,
                    self.amount(&file.rows),
                    self.amount(&file.commits),
                    dates(file),
                    supersedes,
                ]);
            }
            if let Some(to_come) = &load.to_come {
                let mut row =
                    vec![load.table.clone(), format!("to come {}", self.mark(to_come)), self.amount(&load.rows_to_come)];
                row.resize(6, String::new());
                rows.push(row);
            }
        }
        self.section("landing-to-raw: files to load", &["table", "file", "rows", "commits", "dates", "supersedes"], rows);
        for file in plan.loads.iter().flat_map(|load| &load.files).filter(|file| file.batches.len() > 1) {
            let listed = file.batches.iter().take(LISTED).map(|batch| {
                let days = match batch.dates.as_slice() {
                    [] => "no date".to_owned(),
                    [one] => one.to_string(),
                    [first, .., last] => format!("{first}..{last} ({} dates)", batch.dates.len()),
                };
                format!("{days}: {}", grouped(batch.rows))
            });
            let mut batches: Vec<String> = listed.collect();
            if file.batches.len() > LISTED {
                batches.push(format!("{} more", file.batches.len() - LISTED));
            }
            let _ = writeln!(self.text, "  batches of receipt {}: {}", file.receipt, batches.join("; "));
        }
    }

    fn merges(&mut self, merges: &[MergePlan]) {
        let mut rows = Vec::new();
        for merge in merges {
            for batch in merge.batches.iter().take(LISTED) {
                let looked = format!("{} in {}", self.amount(&batch.files_read), self.amount(&batch.partitions));
                let ratio = batch.bytes_a_changed_row().map_or_else(|| "-".to_owned(), |bytes| format!("{} a row", size(bytes)));
                rows.push(vec![
                    merge.table.clone(),
                    format!("{}-{}", batch.first_version, batch.last_version),
                    self.amount(&batch.rows),
                    looked,
                    self.bytes(&batch.bytes_read),
                    self.amount(&batch.files_rewritten),
                    self.bytes(&batch.bytes_rewritten),
                    self.amount(&batch.changed()),
                    ratio,
                ]);
            }
            let more = merge.batches.len().saturating_sub(LISTED);
            let more = if more > 0 { format!("{more} more merges; ") } else { String::new() };
            let text = format!("{more}{}", self.more(merge.to_come.as_ref()));
            if !text.is_empty() {
                let mut row = vec![merge.table.clone(), text];
                row.resize(9, String::new());
                rows.push(row);
            }
        }
        let header = [
            "table",
            "raw versions",
            "rows",
            "files in partitions",
            "bytes",
            "rewritten",
            "bytes rewritten",
            "rows changed",
            "ratio",
        ];
        self.section("raw-to-use-case: merges", &header, rows);
    }

    fn views(&mut self, views: &[ViewPlan]) {
        let mut rows = Vec::new();
        for view in views.iter().filter(|view| !view.changed_inputs.is_empty() || view.to_come.is_some()) {
            let changed = view.changed_inputs.iter().map(|input| {
                let since = input.taken_in.map_or_else(|| "nothing".to_owned(), |version| version.to_string());
                format!("{} ({since} to {})", input.input, input.version)
            });
            let mut reads: Vec<String> = Vec::new();
            for read in &view.reads {
                let (files, bytes) = (self.amount(&read.files), self.bytes(&read.bytes));
                reads.push(format!("{}: {files} files, {bytes}", read.input));
            }
            let is_touched = !view.changed_inputs.is_empty();
            let groups = match &view.all_because {
                Some(reason) => format!("all: {reason}"),
                None if is_touched => self.amount(&view.groups),
                None => "-".to_owned(),
            };
            let looks_into = format!("{} files, {}", self.amount(&view.files_read), self.bytes(&view.bytes_read));
            rows.push(vec![
                view.table.clone(),
                changed.collect::<Vec<_>>().join("\n"),
                groups,
                reads.join("\n"),
                if is_touched { looks_into } else { "-".to_owned() },
                self.more(view.to_come.as_ref()),
            ]);
        }
        let header = ["view", "inputs with new versions", "groups", "reads of inputs", "looks into", ""];
        self.section("raw-to-use-case: views", &header, rows);
    }

    fn sends(&mut self, plan: &RunPlan) {
        if let (StoreState::NotRead, Some(reason)) = (plan.cassandra.state, &plan.cassandra.reason) {
            let _ = writeln!(self.text, "\nCassandra was not read: {reason}");
        }
        let is_news = |send: &&SendPlan| send.upserts.is_any() || send.deletes.is_any() || send.to_come.is_some();
        let mut rows = Vec::new();
        for send in plan.sends.iter().filter(is_news) {
            let version = |version: Option<u64>| version.map_or_else(|| "-".to_owned(), |version| version.to_string());
            rows.push(vec![
                send.table.clone(),
                send.from.clone(),
                format!("{} to {}", version(send.checkpoint), version(send.version)),
                self.amount(&send.upserts),
                self.amount(&send.deletes),
                self.more(send.to_come.as_ref()),
            ]);
        }
        self.section("rows to Cassandra", &["table", "from", "versions", "upserts", "deletes", ""], rows);
    }

    fn maintenance(&mut self, plan: &RunPlan) {
        let mut rows = Vec::new();
        for table in plan.maintenance.iter().filter(|table| !table.dates.is_empty()) {
            rows.push(vec![
                table.table.clone(),
                format!("{} days", table.retention_days),
                table.oldest_kept.map(|date| date.to_string()).unwrap_or_default(),
                grouped(table.dates.len() as u64),
                grouped(table.rows),
                grouped(table.files),
                size(table.bytes),
            ]);
        }
        let header = ["table", "retention", "oldest date kept", "dates", "rows", "files", "bytes"];
        self.section("maintenance would remove", &header, rows);
    }

    fn end(mut self, plan: &RunPlan) -> String {
        if plan.is_up_to_date {
            let _ = writeln!(self.text, "\nnothing: everything is up to date");
        }
        if !self.bases.is_empty() {
            self.text.push('\n');
        }
        for (at, basis) in self.bases.iter().enumerate() {
            let _ = writeln!(self.text, "[{}] {basis}", at + 1);
        }
        let _ = write!(self.text, "\nplanned in {:.1} s; nothing was written", plan.seconds);
        self.text
    }
}

fn state(state: SourceState) -> &'static str {
    match state {
        SourceState::Unchanged => "unchanged",
        SourceState::New => "fetch",
        SourceState::Changed => "changed: fetch",
        SourceState::Unknown => "fetch to see",
        SourceState::Missing => "not there",
        SourceState::Failing => "fails",
    }
}

fn dates(file: &FileToLoad) -> String {
    let mut dates: Vec<_> = file.batches.iter().flat_map(|batch| &batch.dates).collect();
    dates.sort_unstable();
    dates.dedup();
    match dates.as_slice() {
        [] => String::new(),
        [one] => one.to_string(),
        [first, .., last] => format!("{}: {first}..{last}", dates.len()),
    }
}

/// All timestamps are in UTC, with microseconds.
fn short(data_type: &str) -> &str {
    if data_type.starts_with("Timestamp") { "Timestamp" } else { data_type }
}

/// Bytes in the largest unit that keeps three digits.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 || value >= 99.95 { format!("{value:.0} {}", UNITS[unit]) } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// Lines of some 90 characters, broken between columns.
fn wrapped(text: &str) -> String {
    const WIDTH: usize = 90;
    let mut lines = vec![String::new()];
    for word in text.split_inclusive(", ") {
        if lines.last().is_some_and(|line| line.len() + word.len() > WIDTH) {
            lines.push(String::new());
        }
        lines.last_mut().expect("there is a line").push_str(word);
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_three_digits() {
        assert_eq!(
            [0, 999, 1000, 99_949, 99_950, 999_500, 1_234_567].map(size),
            ["0 B", "999 B", "1.0 kB", "99.9 kB", "100 kB", "1.0 MB", "1.2 MB"]
        );
    }

    #[test]
    fn each_doubt_is_marked_and_each_reason_told_once() {
        let mut page = Page::default();
        let after = Amount::later("known after landing");
        let marked =
            [Amount::exact(1234), Amount::estimated(5, "a guess"), after.clone(), after].map(|amount| page.amount(&amount));
        assert_eq!(marked, ["1,234", "~ 5 [1]", "? [2]", "? [2]"]);
        assert_eq!(page.bases, ["a guess", "known after landing"]);
    }
}
