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

fn read_text(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(in_file(path))
}

fn in_file(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error::Read { path, source }
}
