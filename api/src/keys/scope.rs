//! What a key opens: names, or patterns in which `*` stands for any text.

use serde::{Deserialize, Serialize};

/// Pipelines and endpoints; a key opens an endpoint if one pattern of each list fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    pub pipelines: Vec<String>,
    pub endpoints: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is no name: letters, digits, `_`, `-` and `*`")]
pub struct ScopeError {
    pattern: String,
}

impl Scope {
    /// An empty list stands for all.
    pub fn new(pipelines: Vec<String>, endpoints: Vec<String>) -> Result<Self, ScopeError> {
        let whole = |patterns: Vec<String>| if patterns.is_empty() { vec!["*".to_owned()] } else { patterns };
        let scope = Self { pipelines: whole(pipelines), endpoints: whole(endpoints) };
        let is_pattern = |pattern: &String| {
            !pattern.is_empty() && pattern.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'*'))
        };
        match scope.pipelines.iter().chain(&scope.endpoints).find(|pattern| !is_pattern(pattern)) {
            Some(pattern) => Err(ScopeError { pattern: pattern.clone() }),
            None => Ok(scope),
        }
    }

    pub fn opens_pipeline(&self, pipeline: &str) -> bool {
        self.pipelines.iter().any(|pattern| fits(pattern, pipeline))
    }

    pub fn opens(&self, pipeline: &str, endpoint: &str) -> bool {
        self.opens_pipeline(pipeline) && self.endpoints.iter().any(|pattern| fits(pattern, endpoint))
    }
}

/// Whether `name` is `pattern` with a text in the place of each `*`.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<_> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        // The first place is enough: what follows has then the most room.
        let Some(at) = name.find(part) else { return false };
        name = &name[at + part.len()..];
    }
    name.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_names_of_its_form_and_no_others() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*", "players", true),
            ("players", "players", true),
            ("players", "players_2", false),
            ("player*", "players", true),
            ("*_by_hour", "starts_by_hour", true),
            ("*_by_hour", "starts_by_hours", false),
            ("a*b*c", "a_b_b_c", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("**", "x", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_key_opens_what_both_lists_name() {
        let scope = Scope::new(vec!["session_*".to_owned()], vec!["players".to_owned()]).unwrap();
        assert!(scope.opens("session_events", "players"));
        assert!(!scope.opens("session_events", "countries"));
        assert!(!scope.opens("oulad", "players"));
        assert!(Scope::new(vec![], vec!["a b".to_owned()]).is_err());
    }
}
