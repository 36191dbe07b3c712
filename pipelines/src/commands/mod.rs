//! One file per subcommand of `sluice`: its arguments, and what it prints.

pub mod check;
pub mod node;
mod problems;

use std::process::ExitCode;

use model::failure::Classify;

use crate::error::Error;

/// Prints an error once, with its causes and the next step, and turns it into the exit code.
pub fn fail<E: Classify + 'static>(error: &E) -> ExitCode {
    let shown: &dyn std::error::Error = error;
    if let Some(Error::Definition { errors }) = shown.downcast_ref::<Error>() {
        problems::print(errors);
        eprintln!("error: {}", problems::summary(errors));
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
