//! The four kinds of failure and the way out of each.
//!
//! *Transient*: try again, bounded. *Data*: the input broke a limit. *Definition*: the pipeline's folder or a setting is wrong.
//! *Bug*: everything that is not known to be one of the others.

/// The kind of a failure; decides whether it is tried again and which exit code it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// May pass by itself: the network, a server that starts, another writer.
    Transient,
    /// The input broke a limit or a `fail` expectation.
    Data,
    /// The definition, a setting or the state beside it is wrong; a person has to act.
    Definition,
    /// Stopped by a signal; the next run goes on.
    Interrupted,
    /// Unknown means bug.
    Bug,
}

impl Failure {
    /// The process exit code: 1 failed, 2 usage or definition, 3 data broke a limit, 75 temporary failure (`sysexits.h`, `EX_TEMPFAIL`).
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Bug => 1,
            Self::Definition => 2,
            Self::Data => 3,
            Self::Transient | Self::Interrupted => 75,
        }
    }
}

/// An error and its causes in one line. A transparent wrapper, which says the same as what it wraps, is said once.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut last = text.clone();
    for cause in std::iter::successors(error.source(), |cause| cause.source()) {
        let said = cause.to_string();
        if said != last {
            text = format!("{text}: {said}");
            last = said;
        }
    }
    text
}

/// What every error of Sluice can answer: its kind, and where possible the next step for the user.
pub trait Classify: std::error::Error {
    fn failure(&self) -> Failure;

    /// The next step, as a sentence that starts with a verb.
    fn hint(&self) -> Option<String> {
        None
    }
}
