//! Finds a Java that Cassandra runs on.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::{Error, Options};

/// What Cassandra 5.0 supports. On anything newer it fails at its first call of the security manager.
const SUPPORTED: [u32; 2] = [11, 17];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Java {
    pub program: PathBuf,
    pub major: u32,
}

impl Java {
    /// What other programs want as `JAVA_HOME`.
    pub(super) fn home(&self) -> Option<PathBuf> {
        let program = self.program.canonicalize().ok()?;
        Some(program.parent()?.parent()?.to_owned())
    }
}

/// The Java of the options if they name one, else the first that fits of `JAVA_HOME`, the search path, and what is installed.
pub(super) async fn find(options: &Options) -> Result<Java, Error> {
    let candidates = match &options.java {
        Some(program) => vec![program.clone()],
        None => candidates(options),
    };
    let mut found = Vec::new();
    for program in candidates {
        let java = ask(program).await?;
        if SUPPORTED.contains(&java.major) {
            return Ok(java);
        }
        found.push(java);
    }
    if found.is_empty() {
        return Err(Error::NoJava);
    }
    Err(Error::WrongJava { found })
}

fn candidates(options: &Options) -> Vec<PathBuf> {
    let named = options.java_home.iter().map(|home| home.join("bin/java"));
    let on_path = options.find_program("java");
    let mut installed: Vec<PathBuf> =
        fs::read_dir(&options.jvm_root).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    // The likely ones first: each miss costs the start of a JVM.
    installed.sort_by_key(|home| (!home.to_string_lossy().contains("17"), home.clone()));
    let installed = installed.into_iter().map(|home| home.join("bin/java"));

    let mut seen = Vec::new();
    named
        .chain(on_path)
        .chain(installed)
        .filter(|program| {
            // The same Java hides behind several links.
            let Ok(real) = program.canonicalize() else {
                return false;
            };
            let new = !seen.contains(&real);
            seen.push(real);
            new
        })
        .collect()
}

async fn ask(program: PathBuf) -> Result<Java, Error> {
    let output = Command::new(&program)
        .arg("-version")
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| Error::Run { program: program.clone(), source })?;
    let text = String::from_utf8_lossy(&output.stderr);
    match major_version(&text) {
        Some(major) => Ok(Java { program, major }),
        None => Err(Error::NotJava { program, said: text.lines().next().unwrap_or_default().to_owned() }),
    }
}

/// From `openjdk version "17.0.15" 2025-04-15`; Java 8 and older call themselves `1.8.0_402`.
fn major_version(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("version \"")?;
    let (version, _) = rest.split_once('"')?;
    let version = version.strip_prefix("1.").unwrap_or(version);
    let digits = version.find(|c: char| !c.is_ascii_digit()).map_or(version, |end| &version[..end]);
    digits.parse().ok()
}

/// Whether `program` can be executed; the search path is full of things that cannot.
pub(super) fn is_program(program: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    program.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_style_of_version_is_understood() {
        for (text, major) in [
            ("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime", 17),
            ("openjdk version \"11.0.22\" 2024-01-16", 11),
            ("java version \"1.8.0_402\"", 8),
            ("openjdk version \"25\" 2025-09-16", 25),
            ("openjdk version \"26-ea\" 2026-03-17", 26),
            ("Picked up JAVA_TOOL_OPTIONS: -Dx=y\nopenjdk version \"21.0.1\"", 21),
        ] {
            assert_eq!(major_version(text), Some(major), "{text}");
        }
        assert_eq!(major_version("Usage: java [options]"), None);
    }
}
