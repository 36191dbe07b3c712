//! One file per subcommand of `sluice`: its arguments, and what it prints.

pub mod check;
pub mod node;
pub mod plan;

use std::process::ExitCode;

use miette::{LabeledSpan, MietteDiagnostic, NamedSource, Report};
use model::definition::DefinitionErrors;
use model::failure::Classify;

use crate::error::Error;

/// Prints an error once, with its causes and the next step, and turns it into the exit code.
pub fn fail<E: Classify + 'static>(error: &E) -> ExitCode {
    let shown: &dyn std::error::Error = error;
    if let Some(Error::Definition { errors }) = shown.downcast_ref::<Error>() {
        print_problems(errors);
    } else {
        eprintln!("error: {error}");
        let mut cause = shown.source();
        let mut last = error.to_string();
        while let Some(error) = cause {
            let text = error.to_string();
            // A transparent wrapper says the same as what it wraps.
            if text != last {
                eprintln!("  because: {text}");
            }
            last = text;
            cause = error.source();
        }
        if let Some(hint) = error.hint() {
            eprintln!("hint: {hint}");
        }
    }
    ExitCode::from(error.failure().exit_code())
}

/// The exit code of a command, its error printed.
pub fn exit<E: Classify + 'static>(result: Result<ExitCode, E>) -> ExitCode {
    result.unwrap_or_else(|error| fail(&error))
}

/// Every problem of a definition, with its line and a caret.
fn print_problems(errors: &DefinitionErrors) {
    for problem in &errors.problems {
        let mut diagnostic = MietteDiagnostic::new(&problem.message);
        if let Some(hint) = &problem.hint {
            diagnostic = diagnostic.with_help(hint);
        }
        if problem.file == errors.path {
            diagnostic = diagnostic.with_label(LabeledSpan::underline(problem.offset..problem.offset + problem.length));
            eprintln!("{:?}", Report::new(diagnostic).with_source_code(NamedSource::new(&errors.path, errors.text.clone())));
        } else {
            eprintln!("{problem}");
        }
    }
}
