//! Variables of the environment in a text: `${NAME}`, `${NAME:-default}` (unset or empty: the default), and `$$` for a `$`.
//!
//! No complaint shows a value or a default.

use super::error::Complaint;

pub(super) type Lookup<'v> = &'v dyn Fn(&str) -> Option<String>;

/// What is wrong with one `${...}`; `written` is how it begins in the text.
pub(super) struct Fault {
    pub(super) written: String,
    pub(super) complaint: Complaint,
}

/// The text with all its variables replaced, or all that is wrong with them.
pub(super) fn replace(text: &str, lookup: Lookup<'_>) -> Result<String, Vec<Fault>> {
    let mut replaced = String::with_capacity(text.len());
    let mut faults = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        replaced.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        if let Some(after) = rest.strip_prefix("$$") {
            replaced.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix("${") {
            let Some((inner, after)) = after.split_once('}') else {
                let complaint = Complaint::new("`${` is not closed").hint("write `$$` for a `$`");
                faults.push(Fault { written: "${".into(), complaint });
                return Err(faults);
            };
            match value_of(inner, lookup) {
                Ok(value) => replaced.push_str(&value),
                Err(fault) => faults.push(fault),
            }
            rest = after;
        } else {
            replaced.push('$');
            rest = &rest[1..];
        }
    }
    replaced.push_str(rest);
    if faults.is_empty() { Ok(replaced) } else { Err(faults) }
}

fn value_of(inner: &str, lookup: Lookup<'_>) -> Result<String, Fault> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    if !is_variable_name(name) {
        let complaint = Complaint::new("`${...}` does not hold a variable's name").hint("write `${NAME}` or `${NAME:-default}`");
        return Err(Fault { written: "${".into(), complaint });
    }
    match (lookup(name), default) {
        (Some(value), _) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (Some(empty), None) => Ok(empty),
        (None, None) => {
            let complaint = Complaint::new(format!("variable `{name}` is not set"))
                .hint(format!("set {name}, or give a default: `${{{name}:-default}}`"));
            Err(Fault { written: format!("${{{name}}}"), complaint })
        }
    }
}

pub(super) fn is_variable_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("example.org".into()),
            "EMPTY" => Some(String::new()),
            "MONEY" => Some("${HOST}".into()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_replaced_once_and_dollars_escaped() {
        let replace = |text| replace(text, &environment).ok().unwrap();
        assert_eq!(replace("https://${HOST}/a?b=${HOST}"), "https://example.org/a?b=example.org");
        assert_eq!(replace("${NOPE:-a:-b}"), "a:-b");
        assert_eq!(replace("${EMPTY:-a}${EMPTY}${NOPE:-}"), "a");
        assert_eq!(replace("$${HOST} $5 $"), "${HOST} $5 $");
        assert_eq!(replace("${MONEY}"), "${HOST}", "a value is not looked into");
    }

    #[test]
    fn every_variable_that_fails_is_named() {
        let faults = replace("${A}${HOST}${B}${}${1}${C", &environment).err().unwrap();
        let messages: Vec<_> = faults.iter().map(|fault| fault.complaint.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "variable `A` is not set",
                "variable `B` is not set",
                "`${...}` does not hold a variable's name",
                "`${...}` does not hold a variable's name",
                "`${` is not closed"
            ]
        );
    }
}
