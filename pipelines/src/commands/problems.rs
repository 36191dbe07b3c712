//! Problems of a definition on stderr: each with its line and a caret.

use miette::{LabeledSpan, MietteDiagnostic, NamedSource, Report};
use model::definition::{DefinitionErrors, Severity};
use zones::sql::Mistake;

/// Prints every problem.
pub(super) fn print(errors: &DefinitionErrors) {
    for problem in &errors.problems {
        let severity = match problem.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        };
        let mut diagnostic = MietteDiagnostic::new(&problem.message).with_severity(severity);
        if let Some(hint) = &problem.hint {
            diagnostic = diagnostic.with_help(hint);
        }
        let text = if problem.file == errors.path { Some(&errors.text) } else { errors.files.get(&problem.file) };
        match text {
            Some(text) => {
                let place = problem.offset..problem.offset + problem.length;
                let diagnostic = diagnostic.with_label(LabeledSpan::underline(place));
                eprintln!("{:?}", Report::new(diagnostic).with_source_code(NamedSource::new(&problem.file, text.clone())));
            }
            None => eprintln!("{problem}"),
        }
    }
}

/// Prints what is wrong with a statement that stands in no file of a definition.
pub(super) fn print_statement(step: &str, text: &str, mistakes: &[Mistake]) {
    for mistake in mistakes {
        let mut diagnostic = MietteDiagnostic::new(&mistake.message).with_label(LabeledSpan::underline(mistake.at.clone()));
        if let Some(hint) = &mistake.hint {
            diagnostic = diagnostic.with_help(hint);
        }
        eprintln!("{:?}", Report::new(diagnostic).with_source_code(NamedSource::new(step, text.to_owned())));
    }
}

/// How many there are, as in `2 errors, 1 warning in pipelines/orders`.
pub(super) fn summary(errors: &DefinitionErrors) -> String {
    let count = |severity| errors.problems.iter().filter(|problem| problem.severity == severity).count();
    let counts = [Severity::Error, Severity::Warning].map(|severity| (count(severity), severity));
    let shown = counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, severity)| counted(count, severity));
    let folder = errors.path.rsplit_once('/').map_or(errors.path.as_str(), |(folder, _)| folder);
    format!("{} in {folder}", shown.collect::<Vec<_>>().join(", "))
}

pub(super) fn counted(count: usize, severity: Severity) -> String {
    let word = match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}
