//! What can go wrong in the lake, by step and object.

use std::io::ErrorKind;

use deltalake::DeltaTableError;
use deltalake::errors::DeltaTableError as Delta;
use deltalake::kernel::transaction::TransactionError;
use model::definition::{ContractChange, ContractChangeKind};
use model::failure::{Classify, Failure};
use model::shutdown::Interrupted;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{step} of {table}")]
    Delta { step: &'static str, table: String, source: Box<DeltaTableError> },
    #[error("{table} does not exist")]
    NoTable { table: String },
    #[error("{table} differs from its definition: {difference}")]
    TableDiffers { table: String, difference: String },
    #[error("{table} was loaded under another contract: {}", in_words(changes))]
    ContractChanged { table: String, changes: Vec<ContractChange> },
    #[error("{table} was changed by another writer {attempts} times while {step}")]
    Contended { table: String, step: &'static str, attempts: u32 },
    #[error("commit {version} of {table} is no longer in its log")]
    CommitGone { table: String, version: u64 },
    #[error(
        "{input} let go of dates that are in {table}, and its versions after {position} can no longer be read one by one: {reason}"
    )]
    HistoryGone { table: String, input: String, position: u64, reason: String },
    #[error("commit {version} of {table} is not what was written: {problem}")]
    DamagedCommit { table: String, version: u64, problem: String },
    #[error("{table} is at position {position}, but {input} has only got to {available}")]
    PositionAhead { table: String, input: String, position: u64, available: u64 },
    #[error("{step}: {message}")]
    Sql { step: String, message: String, hint: Option<&'static str> },
    #[error("{step}: it needs more memory than a statement may take")]
    OutOfMemory { step: String },
    /// SQL that cannot be planned; never empty.
    #[error("{step}: {}", mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Planning { step: String, text: String, mistakes: Vec<crate::sql::Mistake> },
    #[error("{table} was made from dates that {input} no longer has: retention removed those before {before}")]
    InputForgotten { table: String, input: String, before: String },
    #[error("version {version} of {table} cannot be restored: {problem}")]
    NotRestorable { table: String, version: u64, problem: String },
    #[error("{table} cannot be computed anew by dates: {problem}")]
    NotByDates { table: String, problem: String },
    #[error("{table} has no {asked}: its newest version is {newest}")]
    NoVersion { table: String, asked: String, newest: u64 },
    #[error("{step}: `{sql}` {problem}")]
    SqlShape { step: String, sql: String, problem: String },
    #[error("{sql_file} yields more than one row for one key of {table}: {key}")]
    KeyRepeated { table: String, key: String, sql_file: String },
    #[error("{step}")]
    Arrow { step: &'static str, source: arrow::error::ArrowError },
    #[error("{step} {path}")]
    Io { step: &'static str, path: String, source: std::io::Error },
    #[error("read data file {path} of {table}")]
    ReadFile { table: String, path: String, source: parquet::errors::ParquetError },
    #[error("write {path} of {table}")]
    WriteFile { table: String, path: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("data file {path} of {table} is not what was written: {problem}")]
    DamagedFile { table: String, path: String, problem: String },
    #[error("{path} is not what was written: {problem}")]
    Damaged { path: String, problem: String },
    #[error("{file}: {reason}; nothing of the file is committed")]
    Stopped { file: String, reason: String, advice: String },
    #[error("the definition of {table} changed while the load of {file} was half done")]
    DefinitionChanged { table: String, file: String },
    #[error("{table} was folded under another definition of its SQL, key or folds")]
    FoldChanged { table: String },
    #[error("{table} was folded from another {input} than the one that is there now")]
    InputReplaced { table: String, input: String },
    #[error("{file} would need more than 1048574 micro-batches")]
    TooManyBatches { file: String },
    #[error("the counts of {what} do not add up: {counts}")]
    Accounting { what: String, counts: String },
    #[error("another run holds {path}: {holder}")]
    Held { path: String, holder: String },
    #[error("another run took over {path}, for this one gave no sign of life: {holder}")]
    TakenOver { path: String, holder: String },
    #[error("{path} has format {format}, made by {made_by}; this program knows formats up to {known}")]
    NewerFormat { path: String, format: u32, made_by: String, known: u32 },
    #[error("a worker of {step} ended early")]
    Worker { step: &'static str },
    #[error("{entry}: {problem}")]
    Unreadable { entry: String, problem: String, hint: Option<String> },
    #[error(transparent)]
    Entry { source: Box<crate::entries::Error> },
    #[error(transparent)]
    LandingZone(#[from] Box<crate::landing::Error>),
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Error {
    pub(crate) fn delta(step: &'static str, table: &str) -> impl FnOnce(DeltaTableError) -> Self {
        move |source| Self::Delta { step, table: table.to_owned(), source: Box::new(source) }
    }

    pub(crate) fn io(step: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { step, path: path.display().to_string(), source }
    }

    pub(crate) fn arrow(step: &'static str) -> impl FnOnce(arrow::error::ArrowError) -> Self {
        move |source| Self::Arrow { step, source }
    }

    pub(crate) fn file(table: &str, path: &str) -> impl FnOnce(parquet::errors::ParquetError) -> Self {
        move |source| Self::ReadFile { table: table.to_owned(), path: path.to_owned(), source }
    }

    pub(crate) fn writing<E>(table: &str, path: &str) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |source| Self::WriteFile { table: table.to_owned(), path: path.to_owned(), source: source.into() }
    }

    /// Something that came up while rows were computed.
    pub(crate) fn sql(step: String, error: &datafusion::error::DataFusionError) -> Self {
        // A file that cannot be trusted is not the statement's fault.
        if let datafusion::error::DataFusionError::External(inner) = error.find_root() {
            match inner.downcast_ref::<Self>() {
                Some(Self::DamagedFile { table, path, problem }) => {
                    return Self::DamagedFile { table: table.clone(), path: path.clone(), problem: problem.clone() };
                }
                Some(Self::ReadFile { table, path, source })
                    if io_kind(source).is_none_or(|kind| kind == ErrorKind::NotFound) =>
                {
                    let problem = format!("it cannot be read: {source}");
                    return Self::DamagedFile { table: table.clone(), path: path.clone(), problem };
                }
                _ => {}
            }
        }
        if let Some(kind) = io_kind(error).filter(|kind| is_full(*kind)) {
            return Self::Io { step: "spill for", path: step, source: kind.into() };
        }
        if let datafusion::error::DataFusionError::ResourcesExhausted(_) = error.find_root() {
            return Self::OutOfMemory { step };
        }
        let said = crate::sql::of_error(error);
        Self::Sql { step, message: said.message, hint: said.hint }
    }

    /// A defect of a landed file.
    pub fn entry(source: crate::entries::Error) -> Self {
        Self::Entry { source: Box::new(source) }
    }

    /// An error of a reader of [`crate::entries`].
    pub(crate) fn reading(source: std::io::Error) -> Self {
        match crate::entries::Error::from_read(&source) {
            Some(defect) => Self::entry(defect),
            None => Self::Io { step: "read", path: "a landed file".to_owned(), source },
        }
    }

    /// Whether another writer's commit got in between, so that the batch can be done again.
    pub fn is_conflict(&self) -> bool {
        use TransactionError::{CommitConflict, MaxCommitAttempts, VersionAlreadyExists};
        matches!(self, Self::Delta { source, .. } if matches!(**source,
            Delta::VersionAlreadyExists(_)
            | Delta::Transaction { source: CommitConflict(_) | MaxCommitAttempts(_) | VersionAlreadyExists(_) }))
    }

    /// Whether there was no room for a file.
    pub(crate) fn is_for_want_of_room(&self) -> bool {
        self.io_kind().is_some_and(is_full)
    }

    /// What the file system said, however deep in the causes.
    fn io_kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Delta { .. } | Self::Io { .. } | Self::ReadFile { .. } | Self::WriteFile { .. } | Self::Arrow { .. } => {
                io_kind(self)
            }
            _ => None,
        }
    }

    /// Whether a table's log or one of its files cannot be read, though the file system works.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::ReadFile { .. } | Self::DamagedFile { .. } | Self::DamagedCommit { .. } | Self::CommitGone { .. } => true,
            Self::Delta { step, .. } => READING.contains(step),
            _ => false,
        }
    }
}

/// The steps that only read a table's log.
const READING: [&str; 7] =
    ["open", "open an earlier version", "refresh", "read", "read a position", "read the log", "list the files"];

/// What the file system said, in an error or its causes.
fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<ErrorKind> {
    let mut cause = Some(error);
    let mut found = None;
    while let Some(error) = cause {
        // One that carries another says less than that other.
        found = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind).or(found);
        cause = error.source();
    }
    found
}

/// Whether there is no room: on the disk, for this user, or in a file.
fn is_full(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

/// Whether a file cannot be made where it should be, whatever it is.
fn is_of_the_place(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotADirectory | ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

/// The two ways out where a table does not go with its definition or its input. Names of tables are `<pipeline>/<table>`.
fn rebuild(instead: &str, name: &str) -> String {
    let (pipeline, table) = name.split_once('/').unwrap_or(("PIPELINE", name));
    format!(
        "{instead}, or make the table and all that was made from it anew from the landed files: `sluice rebuild {pipeline} {table}`, then `sluice run {pipeline}`"
    )
}

fn in_words(changes: &[ContractChange]) -> String {
    changes.iter().map(|change| change.what.as_str()).collect::<Vec<_>>().join("; ")
}

/// Where rows that are there stay right, files may go on under the new contract; its author has to say so.
fn other_contract(table: &str, changes: &[ContractChange]) -> String {
    let rebuild = rebuild("take the change back", table);
    if changes.iter().any(|change| change.kind == ContractChangeKind::Content) {
        return rebuild;
    }
    let pipeline = table.split_once('/').map_or("PIPELINE", |(pipeline, _)| pipeline);
    format!(
        "{rebuild}; or keep the rows that are there, and feed what was set aside through the new contract: `sluice replay {pipeline}`"
    )
}

impl From<crate::landing::Error> for Error {
    fn from(error: crate::landing::Error) -> Self {
        Self::LandingZone(Box::new(error))
    }
}

impl Classify for Error {
    fn failure(&self) -> Failure {
        match self.io_kind() {
            Some(kind) if is_full(kind) => return Failure::Transient,
            Some(kind) if is_of_the_place(kind) => return Failure::Definition,
            _ if self.is_conflict() => return Failure::Transient,
            _ if self.is_damage() => return Failure::Definition,
            _ => {}
        }
        match self {
            Self::Interrupted(_) => Failure::Interrupted,
            Self::Entry { source } => source.failure(),
            Self::LandingZone(source) => source.failure(),
            Self::Contended { .. } | Self::Held { .. } | Self::TakenOver { .. } => Failure::Transient,
            Self::NoTable { .. }
            | Self::TableDiffers { .. }
            | Self::ContractChanged { .. }
            | Self::Sql { .. }
            | Self::OutOfMemory { .. }
            | Self::Planning { .. }
            | Self::NoVersion { .. }
            | Self::InputForgotten { .. }
            | Self::NotByDates { .. }
            | Self::NotRestorable { .. }
            | Self::SqlShape { .. }
            | Self::DefinitionChanged { .. }
            | Self::FoldChanged { .. }
            | Self::InputReplaced { .. }
            | Self::KeyRepeated { .. }
            | Self::NewerFormat { .. }
            | Self::Damaged { .. }
            | Self::HistoryGone { .. }
            | Self::PositionAhead { .. } => Failure::Definition,
            Self::Stopped { .. } | Self::TooManyBatches { .. } | Self::Unreadable { .. } => Failure::Data,
            Self::Delta { .. }
            | Self::CommitGone { .. }
            | Self::Arrow { .. }
            | Self::Io { .. }
            | Self::ReadFile { .. }
            | Self::WriteFile { .. }
            | Self::DamagedFile { .. }
            | Self::DamagedCommit { .. }
            | Self::Accounting { .. }
            | Self::Worker { .. } => Failure::Bug,
        }
    }

    fn hint(&self) -> Option<String> {
        match self.io_kind() {
            Some(kind) if is_full(kind) => {
                return Some("free some space where the lake lies and run again: it goes on where it stopped".to_owned());
            }
            Some(ErrorKind::NotADirectory) => {
                let hint = "a part of that path is a file: the lake (--lake, LAKE_URI) must be a folder, or a path where one can be made";
                return Some(hint.to_owned());
            }
            Some(kind) if is_of_the_place(kind) => {
                return Some("the lake (--lake, LAKE_URI) must be a folder that this user may write to".to_owned());
            }
            _ if self.is_conflict() => return Some("run again: it goes on where it stopped".to_owned()),
            _ => {}
        }
        let hint = match self {
            Self::Entry { source } => return source.hint(),
            Self::LandingZone(source) => return source.hint(),
            Self::Planning { mistakes, .. } => return mistakes.iter().find_map(|mistake| mistake.hint.clone()),
            Self::Unreadable { hint, .. } => return hint.clone(),
            Self::Sql { hint, .. } => return hint.map(str::to_owned),
            Self::OutOfMemory { .. } => {
                "raise --statement-memory (SLUICE_STATEMENT_MEMORY), or group by fewer values or join fewer rows at once"
            }
            Self::NoTable { .. } => "run `sluice create-tables PIPELINE` first, or `sluice run PIPELINE` for the whole chain",
            Self::TableDiffers { table, .. } => return Some(rebuild("take the change back", table)),
            Self::ContractChanged { table, changes } => return Some(other_contract(table, changes)),
            Self::Stopped { advice, .. } => return Some(advice.clone()),
            Self::DefinitionChanged { .. } => "put the old definition back, run once to finish the load, then change it",
            Self::KeyRepeated { .. } => "group by the key in the SQL, or make the key longer in pipeline.toml",
            Self::InputReplaced { table, .. } => return Some(rebuild("bring the earlier one back", table)),
            Self::FoldChanged { table } => return Some(rebuild("put the old definition back", table)),
            Self::PositionAhead { table, .. } => {
                return Some(rebuild("the input is older than what was read from it: restore it", table));
            }
            Self::InputForgotten { .. } => {
                "computed anew it would lose what these dates gave: give `--without-forgotten` if that is meant"
            }
            Self::NotByDates { .. } => "leave --from and --to out to compute all of it anew",
            Self::NotRestorable { .. } => {
                "choose a later version (`sluice history`), or compute the table anew: `sluice rebuild`"
            }
            Self::Held { .. } => "wait for it to end, then run again; `--wait SECONDS` waits for you",
            Self::TakenOver { .. } => {
                "run again when the other has ended: what this one committed is kept, the rest is done there"
            }
            Self::HistoryGone { table, .. } => {
                return Some(rebuild("restore what was removed from the input's folder (no `sluice maintain` does this)", table));
            }
            Self::NewerFormat { made_by, .. } => {
                return Some(format!("use {made_by} or a newer one: an older program could misread what it wrote"));
            }
            Self::Contended { .. } => "end whatever else writes to this table (compaction, say), then run again",
            Self::Delta { table, .. }
            | Self::ReadFile { table, .. }
            | Self::DamagedFile { table, .. }
            | Self::DamagedCommit { table, .. }
            | Self::CommitGone { table, .. }
                if self.is_damage() =>
            {
                if table.ends_with("/quarantine") {
                    let hint = "put the files of the table back from a copy; or move its folder away and rebuild the raw tables: \
                                what they reject is set aside anew";
                    return Some(hint.to_owned());
                }
                return Some(rebuild("something else removed or changed files of the table: put them back from a copy", table));
            }
            Self::Damaged { .. } => "remove it and run again: it is made anew",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
