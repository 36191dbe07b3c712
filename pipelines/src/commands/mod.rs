//! One file per subcommand of `sluice`: its arguments, and what it prints.

pub mod check;
pub mod completions;
pub mod explore;
pub mod history;
pub mod init;
pub mod keys;
pub mod maintain;
pub mod names;
pub mod node;
pub mod plan;
mod problems;
pub mod rebuild;
pub mod rejects;
pub mod replay;
pub mod restore;
mod rows;
pub mod run;
pub mod schema;
pub mod serve;
pub mod verify;
pub mod why;

use std::io::Write as _;
use std::process::ExitCode;

use model::failure::{Classify, Failure};

use crate::error::Error;
use crate::signals;

/// Prints an error once, with its causes and the next step, and turns it into the exit code.
pub fn fail<E: Classify + 'static>(error: &E) -> ExitCode {
    let shown: &dyn std::error::Error = error;
    let is_interrupted = error.failure() == Failure::Interrupted;
    if is_interrupted && !signals::explains() {
        return ExitCode::from(error.failure().exit_code());
    }
    if let Some(Error::Definition { errors }) = shown.downcast_ref::<Error>() {
        problems::print(errors);
        say(&format!("error: {}", problems::summary(errors)));
    } else if let Some(zones::Error::Planning { step, text, mistakes }) = planning(shown) {
        problems::print_statement(step, text, mistakes);
    } else {
        say(&format!("error: {error}"));
        let mut cause = shown.source();
        let mut last = error.to_string();
        while let Some(error) = cause {
            let text = without_number(&error.to_string());
            // A wrapper may say what it wraps as well.
            if !last.contains(&text) {
                say(&format!("  because: {text}"));
                last = text;
            }
            cause = error.source();
        }
        if is_interrupted {
            signals::say_remaining();
        }
        if let Some(hint) = error.hint() {
            say(&format!("hint: {hint}"));
        }
    }
    ExitCode::from(error.failure().exit_code())
}

/// The system's words without the number that follows them, which helps nobody.
fn without_number(text: &str) -> String {
    let Some((words, rest)) = text.split_once(" (os error ") else { return text.to_owned() };
    rest.split_once(')').map_or_else(|| text.to_owned(), |(_, after)| format!("{words}{after}"))
}

/// A line on stderr. Where that is full or gone, the exit code still says what became of the work.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
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
