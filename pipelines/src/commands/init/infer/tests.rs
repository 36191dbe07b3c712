use super::*;

fn observed(kind: Kind, values: &[&str]) -> Observed {
    let values =
        values.iter().map(|value| if value.is_empty() { Seen::Missing } else { Seen::Text((*value).to_owned()) }).collect();
    Observed { field: "c".into(), words: vec!["c".into()], kind, values, stated: None }
}

fn shown(proposal: &Proposal) -> String {
    let format = proposal.format.as_ref().map(|format| format!(" {format}")).unwrap_or_default();
    format!("{}{format}{}", proposal.data_type.text(), if proposal.nullable { " null" } else { "" })
}

#[test]
fn text_of_csv_becomes_the_narrowest_type_that_loses_nothing() {
    for (name, values, expected) in [
        ("n", &["1", "-20", "300"][..], "int32"),
        ("n", &["1", ""], "int32 null"),
        ("n", &["500000000"], "int64"),
        ("n", &["12345678901234567890"], "decimal(38, 0)"),
        ("n", &["007", "123"], "string"),
        ("zip", &["90210"], "string"),
        ("n", &["1.5", "2", "-0.25"], "decimal(18, 2)"),
        ("n", &["52.5200066"], "float64"),
        ("n", &["1e5", "2.0"], "float64"),
        ("n", &["1,5", "2,25"], "string"),
        ("n", &["+1"], "float64"),
        ("b", &["true", "FALSE"], "boolean"),
        ("b", &["yes", "no", ""], "boolean null"),
        ("b", &["0", "1"], "int32"),
        ("u", &["6f1e1c1e-2c3d-4e5f-8a9b-0c1d2e3f4a5b"], "uuid"),
        ("d", &["2024-01-31"], "date"),
        ("d", &["20240131", "20231224"], "date %Y%m%d"),
        ("d", &["31.01.2024"], "date %d.%m.%Y"),
        ("d", &["01/02/2024"], "string"),
        ("created_at", &["1700000000"], "timestamp epoch_seconds"),
        ("n", &["1700000000"], "int64"),
        ("x", &["{\"a\":1}", "[]"], "json"),
        ("s", &["NA", "12"], "string"),
        ("s", &["", ""], "string null"),
    ] {
        assert_eq!(shown(&propose(&observed(Kind::Csv, values), name, "")), expected, "{name} {values:?}");
    }
}

#[test]
fn what_is_open_says_so_with_its_choices() {
    let undecided = propose(&observed(Kind::Csv, &["01/02/2024", "03/04/2024"]), "d", "sampled ");
    assert!(undecided.why.starts_with("undecided: all 2 sampled values fit \"%d/%m/%Y\" and \"%m/%d/%Y\""), "{}", undecided.why);
    assert_eq!(undecided.choices[0], "{ type = \"date\", format = \"%d/%m/%Y\" }");
    let local = propose(&observed(Kind::Csv, &["2024-01-31 10:00:00", ""]), "t", "");
    assert_eq!(local.why, "ISO 8601 in all 1 values; guess: UTC, as not all say their offset; 1 of 2 missing");
    assert!(local.facts.is_local && local.facts.latest.is_some());
    let zeros = propose(&observed(Kind::Csv, &["007", "123"]), "n", "");
    assert!(zeros.why.contains("1 with a leading zero"), "{}", zeros.why);
    let values: Vec<&str> = ["red", "green"].into_iter().cycle().take(40).collect();
    let list = propose(&observed(Kind::Csv, &values), "c", "");
    assert_eq!(list.choices, ["one_of = [\"green\", \"red\"], if the list is closed: others become rejects"]);
}

#[test]
fn json_keeps_what_it_says_about_itself() {
    let json = |values: Vec<Seen>| {
        let observed =
            Observed { field: "a.b".into(), words: vec!["a".into(), "b".into()], kind: Kind::Json, values, stated: None };
        shown(&propose(&observed, "a_b", ""))
    };
    let text = |text: &str| Seen::Text(text.to_owned());
    let number = |text: &str| Seen::Number(text.to_owned());
    assert_eq!(json(vec![text("1"), text("2")]), "string");
    assert_eq!(json(vec![number("1"), Seen::Missing]), "int32 null");
    assert_eq!(json(vec![number("1.25")]), "decimal(18, 2)");
    assert_eq!(json(vec![text("1"), number("2")]), "json");
    assert_eq!(json(vec![Seen::Nested]), "json");
    assert_eq!(json(vec![Seen::Boolean(true)]), "boolean");
    assert_eq!(json(vec![text("2024-01-31T00:00:00Z")]), "timestamp");
    assert_eq!(grouped(1_234_567), "1,234,567");
}
