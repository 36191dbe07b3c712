//! `sluice init`: writes a pipeline's folder that runs, from a small example or from a file that it looks into.
//!
//! Guarantee: what is written was read and checked as any definition, and the sampled records were decoded with it; what was
//! refused is said in it. Never: overwrites anything, or leaves a part of a folder behind.

mod example;
mod infer;
mod naming;
mod observed;
mod proof;
mod roles;
mod sample;
mod sniff;
mod tables;
mod times;
mod use_case;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use model::definition::{DefinitionText, Pipeline, read_all};
use model::failure::{Classify, Failure};
use model::{Clock, Shutdown};
use url::Url;
use zones::entries;
use zones::landing::LandingZone;

use crate::checking::check;
use crate::download::{self, Options, Request};
use crate::remaining::Remaining;
use crate::signals;
use write::{Cassandra, Plan};

/// What `sluice init` is told.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The folder to make; its name becomes the pipeline's
    pub folder: PathBuf,

    /// Propose the pipeline from this file: a path, file://, http:// or https://; JSON lines, CSV or Parquet, packed or not
    #[arg(long, value_name = "FILE_OR_URL")]
    pub from: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{folder} is there already, and is left as it is")]
    Exists { folder: String },
    #[error("{step} {path}")]
    Io { step: &'static str, path: String, source: std::io::Error },
    #[error("`{from}` is no file and no url")]
    From { from: String },
    #[error("nothing in {from} can be read: {reasons}")]
    Nothing { from: String, reasons: String },
    #[error(transparent)]
    Entry(#[from] entries::Error),
    #[error(transparent)]
    Zone(#[from] zones::Error),
    #[error(transparent)]
    Landing(#[from] zones::landing::Error),
    #[error(transparent)]
    Download(#[from] download::Error),
    #[error(transparent)]
    Definition(#[from] crate::Error),
}

impl Error {
    fn io(step: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { step, path: path.display().to_string(), source }
    }

    /// An error of a reader of an entry.
    fn reading(error: std::io::Error) -> Self {
        match entries::Error::from_read(&error) {
            Some(defect) => Self::Entry(defect),
            None => Self::Io { step: "read", path: "the file".to_owned(), source: error },
        }
    }
}

impl Classify for Error {
    fn failure(&self) -> Failure {
        match self {
            Self::Exists { .. } | Self::From { .. } => Failure::Definition,
            Self::Nothing { .. } => Failure::Data,
            Self::Io { .. } => Failure::Bug,
            Self::Entry(error) => error.failure(),
            Self::Zone(error) => error.failure(),
            Self::Landing(error) => error.failure(),
            Self::Download(error) => error.failure(),
            Self::Definition(error) => error.failure(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Exists { .. } => Some("choose another folder, or move that one away".to_owned()),
            Self::From { .. } => Some("give a path to a file, or a url that begins with https://, http:// or file://".to_owned()),
            Self::Nothing { .. } => Some("JSON lines, CSV and Parquet are read: plain, packed, or in an archive".to_owned()),
            Self::Io { .. } => None,
            Self::Entry(error) => error.hint(),
            Self::Zone(error) => error.hint(),
            Self::Landing(error) => error.hint(),
            Self::Download(error) => error.hint(),
            Self::Definition(error) => error.hint(),
        }
    }
}

/// Writes the folder, and says what to do next.
pub async fn run(arguments: InitArgs) -> Result<ExitCode, Error> {
    let folder = &arguments.folder;
    if folder.symlink_metadata().is_ok() {
        return Err(Error::Exists { folder: folder.display().to_string() });
    }
    let folder_name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = match naming::snake(&folder_name) {
        name if name.is_empty() => "pipeline".to_owned(),
        name => name,
    };
    let (files, said, table) = match &arguments.from {
        Some(from) => proposed(from, &name, folder).await?,
        None => example::files(&name, folder).await?,
    };
    write_folder(folder, &files)?;
    let shown = folder.display();
    println!("wrote {shown}:");
    for file in files.keys() {
        println!("  {file}");
    }
    println!("{said}\n");
    println!("next:");
    println!("  sluice check {shown}");
    println!("  sluice run {shown}");
    println!("  sluice show {shown} {table} --limit 10");
    Ok(ExitCode::SUCCESS)
}

/// The files, what to say about them, and the first table's name.
type Written = (BTreeMap<String, String>, String, String);

async fn proposed(from: &str, name: &str, folder: &Path) -> Result<Written, Error> {
    let scratch = tempfile::tempdir().map_err(Error::io("make a folder in", &std::env::temp_dir()))?;
    let (url, path) = located(from, scratch.path()).await?;
    let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (sampled, scratch_folder) = (path.clone(), scratch.path().to_owned());
    let sampling = tokio::task::spawn_blocking(move || sample::sample(&sampled, &scratch_folder));
    let sample = sampling.await.expect("sampling does not panic")?;
    let (tables, left_out) = tables::tables(&sample, &file_name, Clock::Wall.now_micros());
    if tables.is_empty() {
        let reasons: Vec<String> = left_out.iter().map(|(entry, why)| format!("{entry}: {why}")).collect();
        return Err(Error::Nothing { from: from.to_owned(), reasons: reasons.join("; ") });
    }
    let source = match naming::snake(file_name.split('.').next().unwrap_or_default()) {
        name if name.is_empty() => "source".to_owned(),
        name => name,
    };
    let first = tables[0].name.clone();
    let mut plan = Plan { name: name.to_owned(), source, url, from: shown(from), tables, left_out, proof: String::new() };
    proof::prove(&mut plan, &sample, folder, scratch.path()).await?;
    proof::checked(&plan, folder).await?;
    Ok((write::files(&plan, Cassandra::Commented), plan.proof, first))
}

/// What a url is without what may be a secret.
fn shown(from: &str) -> String {
    let Ok(mut url) = Url::parse(from) else { return from.to_owned() };
    if url.cannot_be_a_base() {
        return from.to_owned();
    }
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url.set_query(None);
    url.into()
}

/// The url for the definition, and a file of this machine with its content.
async fn located(from: &str, scratch: &Path) -> Result<(String, PathBuf), Error> {
    let unknown = || Error::From { from: shown(from) };
    let path = if let Some((scheme, _)) = from.split_once("://") {
        match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => return Ok((from.to_owned(), fetched(from, scratch).await?)),
            "file" => Url::parse(from).ok().and_then(|url| url.to_file_path().ok()).ok_or_else(unknown)?,
            _ => return Err(unknown()),
        }
    } else {
        PathBuf::from(from)
    };
    let path = path.canonicalize().map_err(Error::io("open", &path))?;
    if !path.is_file() {
        return Err(unknown());
    }
    Ok((file_url(&path).ok_or_else(unknown)?, path))
}

/// A path as a url that is no pattern.
fn file_url(path: &Path) -> Option<String> {
    let url = Url::from_file_path(path).ok()?;
    Some(String::from(url).replace('*', "%2A").replace('[', "%5B").replace(']', "%5D"))
}

/// Fetches a url as a run would, into a folder that goes away.
async fn fetched(url: &str, scratch: &Path) -> Result<PathBuf, Error> {
    let quoted = write::quoted(&url.replace('$', "$$"));
    let toml = format!(
        "[pipeline]\nname = \"init\"\n[source.file]\nurl = {quoted}\n[landing.file]\nformat = \"json_lines\"\n[raw.file]\nfrom = \"file\"\ncolumns = {{ a = {{ type = \"json\" }} }}\n"
    );
    let pipeline = checked("--from", toml, BTreeMap::new()).await?;
    let source = pipeline.source("file").expect("it has this source");
    let zone = LandingZone::new(scratch, "init", "file");
    let shutdown = Shutdown::default();
    signals::listen(shutdown.clone(), Remaining::default());
    eprintln!("fetching {}", shown(url));
    let request = Request {
        source,
        zone: &zone,
        clock: &Clock::Wall,
        today: Clock::Wall.now().date_naive(),
        shutdown: &shutdown,
        progress: &model::progress::Silent,
        options: &Options::default(),
    };
    download::fetch(&request).await?;
    let receipt = zone.newest()?.expect("what was fetched has a receipt");
    Ok(zone.file(&receipt))
}

/// Reads a definition, and looks at its SQL.
async fn checked(path: &str, toml: String, files: BTreeMap<String, String>) -> Result<Pipeline, Error> {
    let text = DefinitionText { path: path.to_owned(), toml, files };
    let wrong = |errors| crate::Error::Definition { errors: Box::new(errors) };
    let reading = read_all(&text, &|_| None).map_err(wrong)?;
    check(&reading).await.into_result(&reading.places)?;
    Ok(reading.pipeline)
}

/// Writes all files or none: beside the folder first, and then under its name.
fn write_folder(folder: &Path, files: &BTreeMap<String, String>) -> Result<(), Error> {
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(parent).map_err(Error::io("make", parent))?;
    let beside = tempfile::Builder::new().prefix(".init-").tempdir_in(parent).map_err(Error::io("make a folder in", parent))?;
    for (name, text) in files {
        let path = beside.path().join(name);
        std::fs::write(&path, text).map_err(Error::io("write", &path))?;
    }
    std::fs::rename(beside.path(), folder).map_err(|source| match source.kind() {
        std::io::ErrorKind::DirectoryNotEmpty | std::io::ErrorKind::AlreadyExists | std::io::ErrorKind::NotADirectory => {
            Error::Exists { folder: folder.display().to_string() }
        }
        _ => Error::Io { step: "make", path: folder.display().to_string(), source },
    })?;
    // It is no longer under its first name; nothing is left to be removed.
    let _ = beside.keep();
    // Folders for a while only are private; this one is like any other.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder, open).map_err(Error::io("open", folder))?;
    }
    Ok(())
}
