use super::{WHOLE, environment, parsed, text, with};
use crate::definition::{ContractChangeKind, ContractRecord, Pipeline, load_hash, read};

fn load(pipeline: &Pipeline) -> String {
    load_hash(&pipeline.landings[0], &pipeline.raw[0])
}

#[test]
fn where_a_file_comes_from_and_words_for_people_leave_every_hash() {
    let (before, token) = (parsed(WHOLE), "Authorization = \"Bearer ${TOKEN}\"");
    for changed in [
        with("https://example.org/orders.zip", "https://mirror.example.org/o.zip"),
        with(token, "X-Key = \"1\""),
        with("name = \"orders\"\n", "name = \"orders\"\ndescription = \"what was ordered\"\n"),
        with("clock = \"wall\"", "# a comment\nclock = \"wall\""),
    ] {
        assert_eq!(parsed(&changed).hash, before.hash);
    }
    assert_eq!(before.hash.len(), 64);
}

#[test]
fn a_change_reaches_the_hash_of_its_table_and_no_other() {
    let before = parsed(WHOLE);
    let hashes = |p: &Pipeline| [load(p), p.use_cases[0].fold_hash(), p.cassandra[0].table_hash()];
    let changed = |old: &str, new: &str| {
        let after = parsed(&with(old, new));
        assert_ne!(after.hash, before.hash, "{new}");
        let (before, after) = (hashes(&before), hashes(&after));
        [0, 1, 2].map(|table| before[table] != after[table])
    };
    assert_eq!(changed("type = \"decimal(10, 2)\"", "type = \"decimal(12, 2)\""), [true, false, false]);
    assert_eq!(changed("sql = \"amount > 0\"", "sql = \"amount >= 0\""), [true, false, false]);
    assert_eq!(changed("format = \"json_lines\"", "format = \"json_lines\"\nentries = \"*.json\""), [true, false, false]);
    assert_eq!(changed("fold = \"sum\"", "fold = \"max\""), [false, true, false]);
    assert_eq!(changed("\"ts desc\"", "\"ts asc\""), [false, false, true]);
}

#[test]
fn sql_counts_by_its_text_and_not_by_its_file() {
    let before = parsed(WHOLE);
    let mut folder = text(WHOLE);
    folder.files.insert("days.sql".into(), "select 2".into());
    let after = read(&folder, &environment).unwrap();
    assert_ne!(after.use_cases[0].fold_hash(), before.use_cases[0].fold_hash());
    assert_eq!(load(&after), load(&before));

    let renamed = parsed(&with("sql = \"days.sql\"", "sql = \"orders_by_day.sql\""));
    assert_eq!(renamed.use_cases[0].sql_file, "orders_by_day.sql");
    assert_eq!(renamed.use_cases[0].fold_hash(), before.use_cases[0].fold_hash());
}

#[test]
fn a_changed_contract_is_told_by_what_it_does_to_rows_that_are_there() {
    let record = |text: &str| {
        let pipeline = parsed(text);
        ContractRecord::of(&pipeline.landings[0], &pipeline.raw[0])
    };
    let before = record(WHOLE);
    let changed = |old: &str, new: &str| {
        let changes = record(&with(old, new)).changes_since(&before);
        changes.into_iter().map(|change| (change.kind, change.what)).collect::<Vec<_>>()
    };
    let check = changed("sql = \"amount > 0\"", "sql = \"amount >= 0\"");
    assert!(
        matches!(check.as_slice(), [(ContractChangeKind::Admission, what)] if what.contains("amount > 0") && what.contains("amount >= 0")),
        "{check:?}"
    );
    let entries = changed("format = \"json_lines\"", "format = \"json_lines\"\nentries = \"*.json\"");
    assert!(
        matches!(entries.as_slice(), [(ContractChangeKind::Content, what)] if what.starts_with("entries was")),
        "{entries:?}"
    );
    // Limits and words may change at any time, and so may what only adds columns.
    assert_eq!(changed("event_time = \"ts\"", "event_time = \"ts\"\nbatch_rows = 7"), []);
    assert_eq!(changed("[raw.orders.columns]", "[raw.orders.columns]\ncoupon = { type = \"string\", nullable = true }"), []);
    // The other way round a column is gone, and rows lose their values.
    let wider = record(&with("[raw.orders.columns]", "[raw.orders.columns]\ncoupon = { type = \"string\", nullable = true }"));
    assert!(before.changes_since(&wider).iter().any(|change| change.kind == ContractChangeKind::Content));
    // As it is kept.
    let kept: ContractRecord = serde_json::from_str(&serde_json::to_string(&before).unwrap()).unwrap();
    assert_eq!(before.changes_since(&kept), []);
}
