//! What goes wrong with a value while SQL is computed: the engine's words, for the person who wrote the SQL.

use datafusion::common::DataFusionError;

use super::types::in_our_words;

/// What the engine puts before what it says.
const PREFIXES: [&str; 8] = [
    "Arrow error: ",
    "Cast error: ",
    "Execution error: ",
    "Compute error: ",
    "Invalid argument error: ",
    "Parser error: ",
    "Optimizer rule 'simplify_expressions' failed\ncaused by\n",
    "Error during planning: ",
];

/// What is wrong, and what can be done.
pub(crate) struct Said {
    pub(crate) message: String,
    pub(crate) hint: Option<&'static str>,
}

/// What an error says that came up while rows were computed.
pub(crate) fn of_error(error: &DataFusionError) -> Said {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => of_error(inner),
        DataFusionError::Shared(inner) => of_error(inner),
        DataFusionError::Collection(errors) if !errors.is_empty() => of_error(&errors[0]),
        DataFusionError::ArrowError(error, _) => of_text(&error.to_string()),
        DataFusionError::Execution(message) => of_text(message),
        other => of_text(&other.strip_backtrace()),
    }
}

/// What such a message says.
pub(crate) fn of_text(text: &str) -> Said {
    let mut text = text.trim();
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        text = rest.trim_start();
    }
    if text.eq_ignore_ascii_case("divide by zero error") || text.eq_ignore_ascii_case("divide by zero") {
        let hint = "write nullif(x, 0) in the place of a divisor x that may be zero: the result is null then";
        return Said { message: "it divides by zero".to_owned(), hint: Some(hint) };
    }
    if let Some((value, to)) = text.strip_prefix("Cannot cast string ").and_then(|rest| rest.split_once(" to value of ")) {
        let wanted = in_our_words(to.strip_suffix(" type").unwrap_or(to));
        let wanted = if wanted.starts_with("decimal") { "number".to_owned() } else { wanted };
        let hint = "try_cast instead of cast gives null where a text does not fit; or leave such rows out with WHERE";
        return Said { message: format!("the text {value} is not {} {wanted}", article(&wanted)), hint: Some(hint) };
    }
    Said { message: in_our_words(text), hint: None }
}

pub(crate) fn article(name: &str) -> &'static str {
    if name.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_does_not_fit_is_told_without_the_names_of_the_engine() {
        let said = of_text("Arrow error: Cast error: Cannot cast string 'FI' to value of Int32 type");
        assert_eq!(said.message, "the text 'FI' is not an int32");
        assert!(said.hint.unwrap().contains("try_cast"));
        assert_eq!(of_text("Arrow error: Divide by zero error").message, "it divides by zero");
    }
}
