//! The reference page says what the code does.

use super::{environment, errors, text};
use crate::definition::{MAX_NAME_LENGTH, URL_SCHEMES, defaults, read, sources, units};

const PAGE: &str = include_str!("../../../../docs/definition.md");

#[test]
fn the_examples_of_the_page_are_definitions() {
    let examples: Vec<&str> = PAGE.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let (whole, parts): (Vec<_>, Vec<_>) = examples.into_iter().partition(|example| example.contains("[pipeline]"));
    for part in parts.into_iter().filter(|part| part.starts_with("[source.")) {
        let completed = format!("[pipeline]\nname = \"a\"\n{part}");
        read(&text(&completed), &environment).unwrap_or_else(|errors| panic!("{part}\n{errors}"));
    }
    let pipeline = read(&text(whole[0]), &environment).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(pipeline.sources[0].urls[0].location(None).url, "https://example.org/orders.zip");
}

/// The row of a key in the table of its section.
fn row<'p>(section: &str, key: &str) -> &'p str {
    let is_it = |part: &&str| part.trim_start_matches(['#', ' ']).starts_with(&format!("`{section}`"));
    let part = PAGE.split("\n#").find(is_it).unwrap_or_else(|| panic!("no section {section}"));
    let rows = [format!("| `{key}` |"), format!("| **`{key}`** |")];
    let row = part.lines().find(|line| rows.iter().any(|row| line.starts_with(row)));
    row.unwrap_or_else(|| panic!("no row for `{key}` in {section}"))
}

/// What can be written into an otherwise empty table, as its error says.
fn keys(header: &str) -> Vec<String> {
    let said = errors(&format!("{header}\nno_such_key_anywhere = 1\n"));
    let unknown =
        said.problems.iter().find(|problem| problem.message.contains("no_such_key")).unwrap_or_else(|| panic!("{said}"));
    let hint = unknown.hint.as_deref().unwrap();
    hint.strip_prefix("keys that can be added here: ").unwrap().split(", ").map(str::to_owned).collect()
}

#[test]
fn every_key_is_on_the_page() {
    let mut count = 0;
    for (section, header) in [
        ("[pipeline]", "[pipeline]"),
        ("[source.NAME]", "[source.a]"),
        ("[landing.NAME]", "[landing.a]"),
        ("[raw.NAME]", "[raw.a]"),
        ("[raw.NAME.columns]", "[raw.a.columns.b]"),
        ("[[raw.NAME.checks]]", "[[raw.a.checks]]"),
        ("[use_case.NAME]", "[use_case.a]"),
        ("[use_case.NAME.columns]", "[use_case.a.columns.b]"),
        ("[cassandra.NAME]", "[cassandra.a]"),
    ] {
        for key in keys(header) {
            row(section, &key);
            count += 1;
        }
    }
    assert_eq!(
        count,
        PAGE.lines().filter(|line| line.starts_with("| `") || line.starts_with("| **`")).count(),
        "keys that are gone"
    );
}

#[test]
fn every_number_of_the_page_is_the_one_in_the_code() {
    let shows = |section: &str, key: &str, default: &str| assert!(row(section, key).contains(default), "{section} {key}");
    shows("[landing.NAME]", "max_record_bytes", "| `\"16 MiB\"` |");
    assert_eq!(units::size("16 MiB"), Ok(defaults::MAX_RECORD_BYTES));
    shows("[landing.NAME]", "max_record_bytes", "at most 1 GiB");
    assert_eq!(units::size("1 GiB"), Ok(defaults::LARGEST_MAX_RECORD_BYTES));
    shows("[landing.NAME]", "max_unpacked_bytes", "| `\"1 TiB\"` |");
    assert_eq!(units::size("1 TiB"), Ok(defaults::MAX_UNPACKED_BYTES));
    shows("[landing.NAME]", "entries", &format!("| `\"{}\"` |", defaults::ENTRIES));
    shows("[raw.NAME]", "reject_limit", "| `\"5 %\"` |");
    assert_eq!(units::percent("5 %"), Ok(defaults::REJECT_LIMIT));
    shows("[raw.NAME]", "future_tolerance", "| `\"1 day\"` |");
    assert_eq!(units::duration("1 day"), Ok(defaults::FUTURE_TOLERANCE_SECONDS));
    shows("[raw.NAME]", "batch_rows", &format!("| `{}` |", defaults::RAW_BATCH_ROWS));
    shows("[use_case.NAME]", "batch_rows", &format!("| `{}` |", defaults::USE_CASE_BATCH_ROWS));
    shows("[raw.NAME.columns]", "nullable", &format!("| `{}` |", defaults::NULLABLE));
    shows("[cassandra.NAME]", "ttl", "at most 20 years");
    assert_eq!(units::duration("20 years"), Ok(defaults::LARGEST_TTL_SECONDS));
    shows("[source.NAME]", "dates", "10,000 days at most");
    assert_eq!(sources::MAX_DATES, 10_000);
    assert!(PAGE.contains(&format!("at most {MAX_NAME_LENGTH} characters")));
    assert!(URL_SCHEMES.iter().all(|scheme| row("[source.NAME]", "url").contains(&format!("`{scheme}://`"))));
}
