//! Finds a pipeline's folder and reads its definition.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::definition::{self, DefinitionErrors, DefinitionReading, DefinitionText, Pipeline};

use crate::error::Error;

const DEFINITION: &str = "pipeline.toml";

/// The folder of `name`: a path to it, or its name below `pipelines`.
pub fn find(name: &str, pipelines: &Path) -> Result<PathBuf, Error> {
    let candidates = [PathBuf::from(name), pipelines.join(name)];
    if let Some(found) = candidates.iter().find(|folder| folder.join(DEFINITION).is_file()) {
        return Ok(found.clone());
    }
    if let Some(folder) = candidates.iter().find(|folder| folder.join(DEFINITION).is_dir()) {
        let hint = "put a file in its place; `sluice init FOLDER` writes one to begin with";
        return Err(unusable(&folder.join(DEFINITION), "is a folder, and should be a file", hint));
    }
    if let Some(folder) = candidates.iter().find(|folder| folder.is_dir()) {
        let hint = format!("name another folder, or write one: `sluice init {}` writes one to begin with", folder.display());
        return Err(unusable(folder, &format!("holds no {DEFINITION}"), &hint));
    }
    let looked_at = candidates.map(|folder| folder.join(DEFINITION).display().to_string()).join(" and no ");
    Err(Error::NoPipeline { name: name.to_owned(), looked_at, known: known(pipelines) })
}

fn known(pipelines: &Path) -> Vec<String> {
    let Ok(folders) = std::fs::read_dir(pipelines) else { return Vec::new() };
    let mut names: Vec<String> = folders
        .flatten()
        .filter(|folder| folder.path().join(DEFINITION).is_file())
        .map(|folder| folder.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Reads and checks the definition in `folder`. `variable` answers the names in `${...}`.
pub fn read(folder: &Path, variable: &dyn Fn(&str) -> Option<String>) -> Result<Pipeline, Error> {
    definition::read(&texts(folder)?, variable).map_err(wrong)
}

/// Reads what can be read of the definition in `folder`, with its problems and places.
pub fn read_all(folder: &Path, variable: &dyn Fn(&str) -> Option<String>) -> Result<DefinitionReading, Error> {
    definition::read_all(&texts(folder)?, variable).map_err(wrong)
}

fn wrong(errors: DefinitionErrors) -> Error {
    Error::Definition { errors: Box::new(errors) }
}

fn texts(folder: &Path) -> Result<DefinitionText, Error> {
    let path = folder.join(DEFINITION);
    let toml = read_text(&path)?;
    let mut files = BTreeMap::new();
    for file in std::fs::read_dir(folder).map_err(in_file(folder))?.flatten() {
        let path = file.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            files.insert(file.file_name().to_string_lossy().into_owned(), read_text(&path)?);
        }
    }
    Ok(DefinitionText { path: path.display().to_string(), toml, files })
}

/// The text of a file, which must be UTF-8.
fn read_text(path: &Path) -> Result<String, Error> {
    if path.is_dir() {
        return Err(unusable(path, "is a folder, and should be a file", "give it another name, or put the file in its place"));
    }
    let bytes = std::fs::read(path).map_err(in_file(path))?;
    String::from_utf8(bytes).map_err(|error| {
        let bytes = error.as_bytes();
        let hint = "save it again with the encoding UTF-8";
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return unusable(path, "is UTF-16, and should be UTF-8", hint);
        }
        let valid = String::from_utf8_lossy(&bytes[..error.utf8_error().valid_up_to()]);
        let (line, column) = (valid.matches('\n').count() + 1, valid.rsplit('\n').next().unwrap_or_default().chars().count() + 1);
        let place = format!("{}:{line}:{column}", path.display());
        let problem = format!("what stands behind `{}` is not UTF-8", last_word(&valid));
        Error::Semantics { place, problem, hint: Some(hint.to_owned()) }
    })
}

/// The end of the last line, by which its place is found.
fn last_word(text: &str) -> &str {
    let line = text.rsplit('\n').next().unwrap_or_default();
    let start = line.char_indices().rev().nth(19).map_or(0, |(at, _)| at);
    &line[start..]
}

fn unusable(path: &Path, problem: &str, hint: &str) -> Error {
    Error::Semantics { place: path.display().to_string(), problem: problem.to_owned(), hint: Some(hint.to_owned()) }
}

fn in_file(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error::Read { path, source }
}
