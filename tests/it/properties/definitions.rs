//! What a definition says does not depend on how it is laid out, and what is printed of it is read as the same.

use std::collections::BTreeMap;
use std::path::Path;

use model::definition::{self, DefinitionText, FieldPath, Pipeline, Step, load_hash};
use proptest::prelude::*;

use super::{cases, regressions};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../pipelines/session_events/pipeline.toml");

/// Headers with the lines under them, of what decides tables; no value of the shipped definition has several lines.
fn sections(toml: &str) -> Vec<(String, Vec<String>)> {
    let mut sections: Vec<(String, Vec<String>)> = Vec::new();
    for line in toml.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        match sections.last_mut() {
            Some((_, lines)) if !line.starts_with('[') => lines.push(line.to_owned()),
            _ => sections.push((line.to_owned(), Vec::new())),
        }
    }
    sections.retain(|(header, _)| !["[endpoint.", "[page.", "[[page."].iter().any(|other| header.starts_with(other)));
    sections
}

fn read(toml: String) -> Pipeline {
    let folder = std::fs::read_dir(Path::new(SHIPPED).parent().unwrap()).unwrap();
    let names = folder.map(|file| file.unwrap().file_name().to_string_lossy().into_owned());
    let files: BTreeMap<_, _> = names.filter(|name| name != "pipeline.toml").map(|name| (name, "select 1".to_owned())).collect();
    let text = DefinitionText { path: "pipeline.toml".to_owned(), toml, files };
    definition::read(&text, &|_| Some("file:///events".to_owned())).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Everything by which a table says that it was made under another definition.
fn hashes(pipeline: &Pipeline) -> Vec<String> {
    let mut hashes = vec![pipeline.hash.clone()];
    hashes.extend(pipeline.raw.iter().map(|table| load_hash(pipeline.landing(&table.from).unwrap(), table)));
    hashes.extend(pipeline.use_cases.iter().map(model::definition::UseCaseTable::fold_hash));
    hashes.extend(pipeline.cassandra.iter().map(model::definition::CassandraTable::table_hash));
    hashes[1..].sort();
    hashes
}

/// The shipped definition in another order, with remarks and other white space.
fn laid_out() -> impl Strategy<Value = String> {
    let shipped = sections(&std::fs::read_to_string(SHIPPED).unwrap());
    let shuffled: Vec<_> = shipped
        .into_iter()
        .map(|(header, lines)| {
            // The order of columns is the order of the table.
            let is_ordered = header.ends_with(".columns]");
            let lines = if is_ordered { Just(lines).boxed() } else { Just(lines).prop_shuffle().boxed() };
            (Just(header), lines)
        })
        .collect();
    let blanks = prop::collection::vec(prop::sample::select(["", "\n", "# a remark\n", "\t# [raw.x]\r\n", "  "].as_slice()), 80);
    (shuffled, blanks).prop_flat_map(|(sections, blanks)| (Just(sections).prop_shuffle(), Just(blanks))).prop_map(
        |(sections, blanks)| {
            let mut blanks = blanks.into_iter().cycle();
            let mut blank = || blanks.next().unwrap_or_default();
            let mut text = String::new();
            for (header, lines) in sections {
                for line in [header].into_iter().chain(lines) {
                    text.extend([blank(), line.as_str(), "\n"]);
                }
            }
            text
        },
    )
}

fn path() -> impl Strategy<Value = FieldPath> {
    let name = prop_oneof!["[a-z0-9_ ]{1,6}", r#"[a-z.\[\]"\\ ä0-9]{1,6}"#];
    let step = prop_oneof![name.clone().prop_map(Step::Field), (0..20_usize).prop_map(Step::Index)];
    (name, prop::collection::vec(step, 0..4)).prop_map(|(first, rest)| {
        let steps = [Step::Field(first)].into_iter().chain(rest).collect();
        FieldPath { steps }
    })
}

proptest! {
    #![proptest_config(cases(200, regressions!("definitions")))]

    #[test]
    fn a_definition_laid_out_in_another_way_is_the_same_definition(text in laid_out()) {
        let shipped = read(std::fs::read_to_string(SHIPPED).unwrap());
        prop_assert_eq!(hashes(&read(text)), hashes(&shipped));
    }

    #[test]
    fn another_value_anywhere_is_another_definition(at in any::<prop::sample::Index>()) {
        let shipped = std::fs::read_to_string(SHIPPED).unwrap();
        // What decides tables: an endpoint may not go with other keys.
        let shipped = sections(&shipped).into_iter().flat_map(|(header, lines)| [vec![header], lines].concat());
        let shipped = shipped.collect::<Vec<_>>().join("\n");
        let changes = [
            ("unique_key = [\"session_id\", \"event\"]", "unique_key = [\"session_id\"]"),
            ("retention = \"365 days\"", "retention = \"364 days\""),
            ("[\"start\", \"end\"]", "[\"end\", \"start\", \"x\"]"),
            ("sql = \"cast(ts as date)\"", "sql = \"cast(ts as date )\""),
            ("on_failure = \"quarantine\"", "on_failure = \"drop\""),
            ("max_record_bytes = \"16 MiB\"", "max_record_bytes = \"15 MiB\""),
            ("fold = \"first\", by = \"start_ts\"", "fold = \"min\""),
            ("partition_by = \"session_date\"", "partition_by = \"country\""),
            ("partition_key = [\"player_id\"]", "partition_key = [\"player_id\", \"country\"]"),
            ("end_ts desc", "end_ts asc"),
        ];
        let (from, to) = at.get(&changes);
        prop_assert!(shipped.contains(from));
        let changed = shipped.replace(from, to);
        prop_assert_ne!(hashes(&read(changed)), hashes(&read(shipped)));
    }

    #[test]
    fn a_path_to_a_field_is_read_as_it_is_printed(path in path()) {
        prop_assert_eq!(FieldPath::parse(&path.to_string()), Ok(path));
    }
}
