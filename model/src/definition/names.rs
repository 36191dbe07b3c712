//! Names: which are allowed, and which one was probably meant.

use super::error::Complaint;

/// Cassandra refuses longer names of tables and keyspaces; one rule for all names lets a column or a table travel to any store.
pub const MAX_NAME_LENGTH: usize = 48;

/// Accepts `[a-z][a-z0-9_]*` of at most [`MAX_NAME_LENGTH`] characters.
pub(super) fn check_identifier(name: &str) -> Result<(), Complaint> {
    if name.starts_with('_') {
        return Err(Complaint::new(format!("`{name}` begins with `_`"))
            .hint("such names are kept for the columns that say where a row comes from"));
    }
    if !is_identifier(name) {
        let complaint = Complaint::new(format!("`{name}` is not a name"));
        return Err(match nearest_identifier(name) {
            Some(near) => complaint.hint(format!("did you mean `{near}`?")),
            None => complaint.hint("names are of a-z, 0-9 and _, and begin with a letter"),
        });
    }
    if name.len() > MAX_NAME_LENGTH {
        return Err(Complaint::new(format!("`{name}` has {} characters", name.len()))
            .hint(format!("names have at most {MAX_NAME_LENGTH}, as in Cassandra")));
    }
    Ok(())
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn nearest_identifier(name: &str) -> Option<String> {
    let mut plain = String::new();
    let mut before = ' ';
    for c in name.trim().chars() {
        if c.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
            plain.push('_');
        }
        plain.push(if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
        before = c;
    }
    is_identifier(&plain).then_some(plain)
}

/// The candidate that is so close to `name` that it was probably meant.
pub fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let name = name.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            // One mistake in three characters, or the beginning of a longer word.
            let length = name.chars().count().max(candidate.chars().count());
            *distance <= length / 3 || (name.len() > 1 && candidate.starts_with(&name))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A hint for a name that is none of `candidates`: the nearest, else all of them.
pub fn suggest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str> + Clone, called: &str) -> Option<String> {
    if let Some(near) = nearest(name, candidates.clone()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let all: Vec<&str> = candidates.into_iter().collect();
    (!all.is_empty()).then(|| format!("{called}: {}", all.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_near_and_another_word_is_not() {
        let keys = ["partition_by", "event_time", "from"];
        assert_eq!(nearest("partition_bi", keys), Some("partition_by"));
        assert_eq!(nearest("partition", keys), Some("partition_by"));
        assert_eq!(nearest("evnt_tiem", keys), Some("event_time"));
        assert_eq!(nearest("FROM", keys), Some("from"));
        assert_eq!(nearest("part", keys), Some("partition_by"));
        assert_eq!(nearest("p", keys), None);
        assert_eq!(nearest("compaction", keys), None);
        assert_eq!(nearest("", keys), None);
        assert_eq!(suggest("owner", keys, "keys"), Some("keys: partition_by, event_time, from".into()));
    }

    #[test]
    fn a_name_is_snake_case_and_fits_cassandra() {
        assert_eq!(check_identifier("a"), Ok(()));
        assert_eq!(check_identifier("ts_2"), Ok(()));
        assert_eq!(check_identifier(&"a".repeat(48)), Ok(()));
        let hint = |name: &str| check_identifier(name).unwrap_err().hint.unwrap();
        assert_eq!(hint("Session-Events"), "did you mean `session_events`?");
        assert_eq!(hint("2x"), "names are of a-z, 0-9 and _, and begin with a letter");
        assert_eq!(hint(""), "names are of a-z, 0-9 and _, and begin with a letter");
        assert_eq!(hint(&"a".repeat(49)), "names have at most 48, as in Cassandra");
        assert_eq!(hint("_receipt"), "such names are kept for the columns that say where a row comes from");
    }
}
