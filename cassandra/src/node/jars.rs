//! The jars of Cassandra, fetched by Maven once and shared by every folder of this user.
//!
//! Guarantee: `CACHE/cassandra-VERSION` is whole or is not taken: it is filled beside its place and renamed into it, with a list of
//! what it holds, against which every start compares. Maven finds its repository by its own settings; no host is named here.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::folder::Lock;
use super::java::Java;
use super::{Error, Options, Progress, ProgressFn, VERSION};

const POM: &str = include_str!("pom.xml");
const LIST: &str = "jars.txt";
/// What a start names itself. Measures the size of objects; Cassandra does not run without it.
const AGENT: &str = "jamm-0.4.0.jar";
/// 67 MB take 7 s on a good line; this is for a line that has died without saying so.
const TIMEOUT: Duration = Duration::from_mins(20);

#[derive(Debug, Clone)]
pub(super) struct Jars {
    folder: PathBuf,
}

impl Jars {
    pub(super) fn lib(&self) -> PathBuf {
        self.folder.join("lib")
    }

    pub(super) fn agent(&self) -> PathBuf {
        self.lib().join(AGENT)
    }

    /// Every jar of the list is there in its full size, and the list was made from the `pom.xml` of this program.
    fn are_whole(&self) -> bool {
        let pom = fs::read_to_string(self.folder.join("pom.xml"));
        let list = fs::read_to_string(self.folder.join(LIST));
        let (Ok(pom), Ok(list)) = (pom, list) else {
            return false;
        };
        pom == POM && list_of(&self.lib()).is_ok_and(|found| found == list)
    }
}

pub(super) async fn install(options: &Options, java: &Java, progress: ProgressFn<'_>) -> Result<Jars, Error> {
    let cache = &options.cache_dir;
    let jars = Jars { folder: cache.join(format!("cassandra-{VERSION}")) };
    if jars.are_whole() {
        return Ok(jars);
    }
    fs::create_dir_all(cache).map_err(Error::file("create the folder", cache))?;
    let _lock = Lock::acquire(&jars.folder.with_added_extension("lock"), progress).await?;
    // Whoever held the lock may have installed them.
    if jars.are_whole() {
        return Ok(jars);
    }

    let maven = options.find_program("mvn").ok_or_else(|| Error::NoMaven { cache: cache.clone() })?;
    progress(Progress::InstallingJars { folder: jars.folder.clone() });
    let part = jars.folder.with_added_extension("part");
    remove(&part)?;
    fs::create_dir_all(&part).map_err(Error::file("create the folder", &part))?;
    let pom = part.join("pom.xml");
    fs::write(&pom, POM).map_err(Error::file("write", &pom))?;
    fetch(&maven, java, &pom).await?;

    let lib = part.join("lib");
    if !lib.join(AGENT).is_file() {
        return Err(Error::JarMissing { jar: AGENT, folder: lib });
    }
    let list = list_of(&lib).map_err(Error::file("list", &lib))?;
    let path = part.join(LIST);
    fs::write(&path, &list).map_err(Error::file("write", &path))?;
    remove(&jars.folder)?;
    fs::rename(&part, &jars.folder).map_err(Error::file("move into place", &jars.folder))?;
    progress(Progress::InstalledJars { files: list.lines().count() });
    Ok(jars)
}

async fn fetch(maven: &Path, java: &Java, pom: &Path) -> Result<(), Error> {
    let mut command = Command::new(maven);
    command.args(["-q", "-B", "-f"]).arg(pom).arg("dependency:copy-dependencies").stdin(Stdio::null()).kill_on_drop(true);
    if let Some(home) = java.home() {
        // Maven would take the Java of the search path, and there may be none.
        command.env("JAVA_HOME", home);
    }
    let output = tokio::time::timeout(TIMEOUT, command.output())
        .await
        .map_err(|_| Error::MavenHangs { after: TIMEOUT })?
        .map_err(|source| Error::Run { program: maven.to_owned(), source })?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Maven { status: output.status, said: first_errors(&String::from_utf8_lossy(&output.stdout)) })
}

/// Maven says what went wrong first, then pages of advice.
fn first_errors(output: &str) -> String {
    output.lines().filter(|line| !line.trim().is_empty()).take(3).fold(String::new(), |mut text, line| {
        let _ = write!(text, "\n  {line}");
        text
    })
}

/// One line a file, sorted: its size and its name.
fn list_of(lib: &Path) -> std::io::Result<String> {
    let mut lines = fs::read_dir(lib)?
        .map(|entry| {
            let entry = entry?;
            let bytes = entry.metadata()?.len();
            Ok(format!("{bytes} {}\n", entry.file_name().to_string_lossy()))
        })
        .collect::<std::io::Result<Vec<_>>>()?;
    lines.sort();
    Ok(lines.concat())
}

fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", folder)(e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pom_fetches_the_version_that_the_folder_is_named_after() {
        assert!(POM.contains(&format!("<artifactId>cassandra-all</artifactId>\n      <version>{VERSION}</version>")));
    }
}
