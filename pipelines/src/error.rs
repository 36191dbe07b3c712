//! What can go wrong in a run.

use model::definition::DefinitionErrors;
use model::failure::{Classify, Failure};
use model::shutdown::Interrupted;
use model::slice::SliceError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no pipeline `{name}`: no {looked_at}")]
    NoPipeline { name: String, looked_at: String, known: Vec<String> },
    #[error("read {path}")]
    Read { path: String, source: std::io::Error },
    #[error("keep the state of the run in {path}")]
    State { path: String, source: std::io::Error },
    #[error("write to stdout")]
    Output { source: std::io::Error },
    #[error("{errors}")]
    Definition { errors: Box<DefinitionErrors> },
    #[error("{place}: {problem}")]
    Semantics { place: String, problem: String, hint: Option<String> },
    #[error(transparent)]
    Slice(#[from] SliceError),
    #[error("setting {name}")]
    Setting { name: &'static str, source: Boxed },
    #[error(transparent)]
    Lake(#[from] zones::Error),
    #[error("{step}")]
    Landing { step: String, source: Boxed },
    #[error("{step}")]
    Cassandra { step: String, source: Boxed },
    #[error(transparent)]
    Node(#[from] cassandra::node::Error),
    #[error("{stage} {target}")]
    Stage { stage: &'static str, target: String, source: Box<Error> },
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// An error of another crate that classifies itself.
#[derive(Debug)]
pub struct Boxed(Box<dyn Classify + Send + Sync>);

impl Boxed {
    pub fn new(error: impl Classify + Send + Sync + 'static) -> Self {
        Self(Box::new(error))
    }
}

impl std::fmt::Display for Boxed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Boxed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl Error {
    /// Wraps an error of the serving store with what was being done.
    pub fn cassandra<E: Classify + Send + Sync + 'static>(step: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |error| Self::Cassandra { step: step.into(), source: Boxed::new(error) }
    }

    /// Names the stage and the target in which an error came up.
    pub fn in_stage(stage: model::report::StageName, target: &str) -> impl FnOnce(Self) -> Self {
        move |source| match source {
            // Being asked to stop is no failure of the stage.
            source if source.failure() == Failure::Interrupted => Self::Interrupted(Interrupted),
            Self::Stage { .. } => source,
            source => Self::Stage { stage: stage.name(), target: target.to_owned(), source: Box::new(source) },
        }
    }
}

fn has_no_room(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

impl Classify for Error {
    fn failure(&self) -> Failure {
        match self {
            Self::NoPipeline { .. } | Self::Definition { .. } | Self::Semantics { .. } | Self::Slice(_) => Failure::Definition,
            Self::State { source, .. } if has_no_room(source) => Failure::Transient,
            Self::Read { .. } | Self::State { .. } | Self::Output { .. } => Failure::Bug,
            Self::Setting { source, .. } | Self::Landing { source, .. } | Self::Cassandra { source, .. } => source.0.failure(),
            Self::Lake(source) => source.failure(),
            Self::Node(source) => source.failure(),
            Self::Stage { source, .. } => source.failure(),
            Self::Interrupted(_) => Failure::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoPipeline { known, .. } if known.is_empty() => {
                Some("name the folder that holds pipeline.toml, or set SLUICE_PIPELINES to the folder above it".to_owned())
            }
            Self::NoPipeline { known, .. } => Some(format!("choose one of: {}", known.join(", "))),
            Self::Semantics { hint, .. } => hint.clone(),
            Self::Setting { source, .. } | Self::Landing { source, .. } | Self::Cassandra { source, .. } => source.0.hint(),
            Self::Lake(source) => source.hint(),
            Self::Node(source) => source.hint(),
            Self::Stage { source, .. } => source.hint(),
            Self::Interrupted(_) => Some(crate::signals::AGAIN.to_owned()),
            Self::State { source, .. } if has_no_room(source) => {
                Some("free some space where the lake lies and run again: it goes on where it stopped".to_owned())
            }
            Self::Read { .. } | Self::State { .. } | Self::Output { .. } | Self::Definition { .. } | Self::Slice(_) => None,
        }
    }
}
