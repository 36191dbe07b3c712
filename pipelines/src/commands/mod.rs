//! One file per subcommand of `sluice`: its arguments, and what it prints.

pub mod check;
pub mod completions;
pub mod explore;
pub mod init;
pub mod maintain;
pub mod node;
pub mod plan;
mod problems;
pub mod rebuild;
pub mod rejects;
pub mod replay;
mod rows;
pub mod run;
pub mod schema;
pub mod verify;

use std::process::ExitCode;

use model::failure::Classify;

use crate::error::Error;

/// Prints an error once, with its causes and the next step, and turns it into the exit code.
pub fn fail<E: Classify + 'static>(error: &E) -> ExitCode {
    let shown: &dyn std::error::Error = error;
    if let Some(Error::Definition { errors }) = shown.downcast_ref::<Error>() {
        problems::print(errors);
        eprintln!("error: {}", problems::summary(errors));
    } else if let Some(zones::Error::Planning { step, text, mistakes }) = planning(shown) {
        problems::print_statement(step, text, mistakes);
    } else {
        eprintln!("error: {error}");
        let mut cause = shown.source();
        let mut last = error.to_string();
        while let Some(error) = cause {
            let text = error.to_string();
            // A wrapper may say what it wraps as well.
            if !last.contains(&text) {
                eprintln!("  because: {text}");
                last = text;
            }
            cause = error.source();
        }
        if let Some(hint) = error.hint() {
            eprintln!("hint: {hint}");
        }
    }
    ExitCode::from(error.failure().exit_code())
}

/// What is wrong with a statement, however deep in an error.
fn planning<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e zones::Error> {
    if let Some(Error::Lake(lake)) = error.downcast_ref::<Error>() {
        return Some(lake);
    }
    error.downcast_ref::<zones::Error>().or_else(|| error.source().and_then(planning))
}

/// Prints on stdout. A reader that goes away (`| head`) has seen what it wanted.
fn print(text: &[u8]) -> ExitCode {
    let written = std::io::Write::write_all(&mut std::io::stdout().lock(), text);
    match written {
        Err(source) if source.kind() != std::io::ErrorKind::BrokenPipe => fail(&Error::Output { source }),
        _ => ExitCode::SUCCESS,
    }
}

/// The exit code of a command, its error printed.
pub fn exit<E: Classify + 'static>(result: Result<ExitCode, E>) -> ExitCode {
    result.unwrap_or_else(|error| fail(&error))
}
