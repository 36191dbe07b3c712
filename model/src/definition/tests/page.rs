//! The reference page says what the code does.

use super::{environment, errors, text};
use crate::definition::reference::{self, Default, Kind, SECTIONS, Section};
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

/// What can be written into an otherwise empty table, as its error says.
fn keys(header: &str) -> Vec<String> {
    let said = errors(&format!("{header}\nno_such_key_anywhere = 1\n"));
    let unknown =
        said.problems.iter().find(|problem| problem.message.contains("no_such_key")).unwrap_or_else(|| panic!("{said}"));
    let hint = unknown.hint.as_deref().unwrap();
    hint.strip_prefix("keys that can be added here: ").unwrap().split(", ").map(str::to_owned).collect()
}

/// A header of the section with names in it.
fn header(section: &Section) -> String {
    match section.header {
        "[raw.NAME.columns]" => "[raw.a.columns.b]".to_owned(),
        "[use_case.NAME.columns]" => "[use_case.a.columns.b]".to_owned(),
        other => other.replace("NAME", "a"),
    }
}

#[test]
fn the_reference_has_the_keys_that_the_reader_knows_and_no_others() {
    for section in SECTIONS {
        let mut read = keys(&header(section));
        let mut listed: Vec<&str> = reference::all().filter(|key| key.section == section.header).map(|key| key.name).collect();
        read.sort();
        listed.sort_unstable();
        assert_eq!(listed, read, "{}", section.header);
    }
    assert!(reference::all().all(|key| SECTIONS.iter().any(|section| section.header == key.section)));
}

#[test]
fn the_words_of_the_reference_are_those_that_the_reader_takes() {
    for key in reference::all() {
        let Kind::Words(words) = key.kind else { continue };
        let section = SECTIONS.iter().find(|section| section.header == key.section).unwrap();
        let said = errors(&format!("{}\n{} = \"qqqqqqqqqqqq\"\n", header(section), key.name));
        let problem = said.problems.iter().find(|problem| problem.message.contains("qqqqqqqqqqqq"));
        // A zone is one word so far, and its hint is not a list.
        let hint = problem.and_then(|problem| problem.hint.clone()).unwrap_or_default();
        if let Some(listed) = hint.strip_prefix("one of: ") {
            assert_eq!(listed.split(", ").collect::<Vec<_>>(), words, "{} {}", key.section, key.name);
        } else {
            assert!(words.iter().all(|word| hint.contains(word)), "{} {}: {hint}", key.section, key.name);
        }
    }
}

#[test]
fn the_page_has_the_tables_of_the_reference() {
    let made = reference::page(PAGE);
    if std::env::var_os("SLUICE_UPDATE_DOCS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/definition.md");
        std::fs::write(path, &made).unwrap();
        return;
    }
    let changed = made.lines().zip(PAGE.lines()).find(|(made, page)| made != page);
    assert!(made == PAGE, "run `SLUICE_UPDATE_DOCS=1 cargo test --workspace --lib page`: {changed:?}");
    for section in SECTIONS {
        assert!(PAGE.contains(&format!("<!-- keys: {} -->", section.header)), "{}", section.header);
    }
}

#[test]
fn every_number_of_the_page_is_the_one_in_the_code() {
    let key = |section: &str, name: &str| {
        reference::all().find(|key| key.section == section && key.name == name).unwrap_or_else(|| panic!("{section} {name}"))
    };
    let default = |section: &str, name: &str| match key(section, name).default {
        Default::Value(value) => value().as_str().unwrap().to_owned(),
        _ => panic!("{section} {name}"),
    };
    assert_eq!(units::size(&default("[landing.NAME]", "max_record_bytes")), Ok(defaults::MAX_RECORD_BYTES));
    assert_eq!(units::size(&default("[landing.NAME]", "max_unpacked_bytes")), Ok(defaults::MAX_UNPACKED_BYTES));
    assert_eq!(units::percent(&default("[raw.NAME]", "reject_limit")), Ok(defaults::REJECT_LIMIT));
    assert_eq!(units::duration(&default("[raw.NAME]", "future_tolerance")), Ok(defaults::FUTURE_TOLERANCE_SECONDS));
    assert!(key("[landing.NAME]", "max_record_bytes").kind.text().ends_with("at most 1 GiB"));
    assert_eq!(units::size("1 GiB"), Ok(defaults::LARGEST_MAX_RECORD_BYTES));
    assert!(key("[cassandra.NAME]", "ttl").kind.text().ends_with("at most 20 years"));
    assert_eq!(units::duration("20 years"), Ok(defaults::LARGEST_TTL_SECONDS));
    assert!(key("[source.NAME]", "dates").description.contains("10,000 days at most"));
    assert_eq!(sources::MAX_DATES, 10_000);
    assert!(PAGE.contains(&format!("at most {MAX_NAME_LENGTH} characters")));
    let url = key("[source.NAME]", "url").description;
    assert!(URL_SCHEMES.iter().all(|scheme| url.contains(&format!("`{scheme}://`"))));
}
