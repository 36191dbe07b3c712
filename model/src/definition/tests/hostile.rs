//! No text of a definition makes reading it panic, point outside the file, or show a secret.

use super::shipped::{SESSION_EVENTS, session_events, session_events_url};
use crate::definition::{DefinitionText, read};

/// What follows the only source of the shipped definition, so that secrets stand where they do in practice.
const SECRETS: &str = r#"url = "https://me:hunter2@example.org/events?key=hunter2"
headers = { Authorization = "Bearer hunter2", "X-Key" = """
hunter2""" }
"#;

fn definition() -> String {
    SESSION_EVENTS.replace("url = \"${SESSION_EVENTS_URL}\"\n", SECRETS)
}

/// True if it was refused.
fn survives(toml: &str) -> bool {
    let folder: DefinitionText = session_events(toml);
    let Err(errors) = read(&folder, &session_events_url) else { return false };
    assert!(!errors.problems.is_empty());
    assert_eq!(errors.text.len(), toml.len());
    assert_eq!(errors.text.lines().count(), toml.lines().count());
    for secret in ["hunt", "nter2"] {
        assert!(!errors.text.contains(secret), "{}\n{}", errors, errors.text);
        assert!(!errors.to_string().contains(secret), "{errors}");
    }
    for problem in &errors.problems {
        assert!(toml.get(problem.offset..problem.offset + problem.length).is_some(), "{problem}\n{toml}");
        assert!((1..=toml.lines().count() + 1).contains(&problem.line), "{problem}\n{toml}");
        assert!(problem.column >= 1);
    }
    true
}

#[test]
fn a_definition_cut_off_anywhere_is_refused_in_peace() {
    let whole = definition();
    assert!(!survives(&whole), "it is right as it stands");
    let cuts = (0..whole.len()).filter(|cut| whole.is_char_boundary(*cut));
    let refused = cuts.filter(|cut| survives(&whole[..*cut])).count();
    assert!(refused > whole.len() * 3 / 4, "{refused} of {}", whole.len());
}

#[test]
fn a_definition_without_a_line_or_with_one_twice_is_read_or_refused_in_peace() {
    let whole = definition();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let mut refused = 0;
    for index in 0..lines.len() {
        let without: String = lines.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, line)| *line).collect();
        let twice: String =
            lines.iter().enumerate().flat_map(|(at, line)| std::iter::repeat_n(*line, 1 + usize::from(at == index))).collect();
        refused += usize::from(survives(&without)) + usize::from(survives(&twice));
    }
    assert!(refused > lines.len(), "{refused} of {}", 2 * lines.len());
}

#[test]
fn a_source_with_any_character_replaced_is_read_or_refused_in_peace() {
    let whole = definition();
    let around_secrets = whole.find("[landing").unwrap();
    for replacement in ["\"", "'", "=", "[", "#", "é", "\n", ""] {
        for (at, old) in whole.char_indices().take_while(|(at, _)| *at < around_secrets) {
            survives(&format!("{}{replacement}{}", &whole[..at], &whole[at + old.len_utf8()..]));
        }
    }
}
