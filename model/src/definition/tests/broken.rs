//! Broken definitions and exactly what is said about each.

use super::{WHOLE, errors};
use crate::failure::{Classify, Failure};

/// Cases, apart by an empty line: `-` what is taken out of the whole definition, `+` what is put there, then the messages.
const CASES: &str = include_str!("broken.txt");

/// Every broken definition.
pub(super) fn cases() -> Vec<String> {
    let cases = CASES.split("\n\n").map(|case| case.trim_matches('\n')).filter(|case| !case.starts_with('#'));
    cases.map(|case| WHOLE.replace(&taken_and_put(case).0, &taken_and_put(case).1)).collect()
}

/// What a case takes out and what it puts there. Lines for which nothing is put go with their line end.
fn taken_and_put(case: &str) -> (String, String) {
    let marked = |mark: char| {
        let lines = case.lines().filter_map(move |line| line.strip_prefix(mark));
        lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
    };
    let (taken, put) = (marked('-'), marked('+'));
    assert_eq!(WHOLE.matches(&taken).count(), 1, "this must be in the definition once: {taken}");
    if put.is_empty() { (format!("{taken}\n"), put) } else { (taken, put) }
}

#[test]
fn every_broken_definition_is_explained_at_its_place() {
    let mut wrong = String::new();
    let mut count = 0;
    for case in CASES.split("\n\n").map(|case| case.trim_matches('\n')).filter(|case| !case.starts_with('#')) {
        count += 1;
        let (taken, put) = taken_and_put(case);
        let said = errors(&WHOLE.replace(&taken, &put)).to_string().replace("pipeline.toml:", "");
        let expected: Vec<&str> = case.lines().filter(|line| !line.starts_with(['-', '+'])).collect();
        if said.lines().collect::<Vec<_>>() != expected {
            let change: Vec<&str> = case.lines().filter(|line| line.starts_with(['-', '+'])).collect();
            wrong = [wrong, change.join("\n"), said].join("\n") + "\n";
        }
    }
    assert!(wrong.is_empty(), "these say something else now:\n\n{wrong}");
    assert!(count >= 90, "{count}");
}

/// A problem has all that is needed to draw a caret under it, in a text that shows no secret.
#[test]
fn problems_come_all_at_once_in_the_order_of_the_file_and_with_their_places() {
    let toml = WHOLE
        .replace("orders.zip", "orders.zip?key=hunter2")
        .replace("format = \"json_lines\"", "fromat = \"json_lines\"")
        .replace("event_time = \"ts\"", "event_time = \"tss\"")
        .replace("fold = \"sum\"", "fold = \"som\"")
        .replace("type = \"uuid\"", "type = \"uuidd\"")
        .replace("raw.orders\"", "raw.order\"");
    let errors = errors(&toml);
    assert_eq!(errors.failure(), Failure::Definition);
    let seen: Vec<_> = errors
        .problems
        .iter()
        .map(|p| (p.line, p.column, &errors.text[p.offset..p.offset + p.length], p.hint.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(
        seen,
        [
            (10, 1, "fromat", "did you mean `format`?"),
            (14, 14, "\"tss\"", "did you mean `ts`?"),
            (20, 21, "\"uuidd\"", "did you mean `uuid`?"),
            (36, 19, "\"som\"", "did you mean `sum`?"),
            (42, 8, "\"raw.order\"", "did you mean `raw.orders`?"),
        ]
    );
    let lines: Vec<String> = errors.to_string().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[0], "pipeline.toml:10:1: unknown key `fromat` (did you mean `format`?)");
    assert_eq!(errors.path, "pipeline.toml");
    assert!(errors.text.contains("orders.zip?***********\"") && !errors.text.contains("hunter2"));
}
