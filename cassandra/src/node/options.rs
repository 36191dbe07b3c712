//! How a node is to be, and where things are on this machine.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::java;

#[derive(Debug, Clone)]
pub struct Options {
    /// Where the record, the data and the logs are.
    pub dir: PathBuf,
    /// For CQL; a free one if none is named.
    pub port: Option<u16>,
    /// As the JVM writes it: 384M is enough for tests.
    pub heap: String,
    /// How long a start may take, the fetching of jars not included.
    pub start_timeout: Duration,
    /// The `java` program; searched for if none is named.
    pub java: Option<PathBuf>,
    /// Where the jars are kept, shared by all folders of a user.
    pub cache_dir: PathBuf,
    /// Where `java` and `mvn` are searched.
    pub path: Vec<PathBuf>,
    pub java_home: Option<PathBuf>,
    /// Where a system keeps its Javas.
    pub jvm_root: PathBuf,
}

impl Options {
    /// The defaults, given the variables of the environment: `SLUICE_CACHE_DIR`, `XDG_CACHE_HOME`, `HOME`, `PATH`, `JAVA_HOME`.
    pub fn new(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let dir = PathBuf::from(".sluice");
        let cache_dir = variable("SLUICE_CACHE_DIR")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(variable("XDG_CACHE_HOME")?).join("sluice")))
            .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache/sluice")))
            .unwrap_or_else(|| dir.join("cache"));
        Self {
            dir,
            port: None,
            heap: "1G".to_owned(),
            start_timeout: Duration::from_mins(2),
            java: None,
            cache_dir,
            path: variable("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default(),
            java_home: variable("JAVA_HOME").map(PathBuf::from),
            jvm_root: PathBuf::from("/usr/lib/jvm"),
        }
    }

    pub(super) fn find_program(&self, name: &str) -> Option<PathBuf> {
        self.path.iter().map(|dir| dir.join(name)).find(|program| java::is_program(program))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache_dir(variables: &[(&str, &str)]) -> PathBuf {
        Options::new(|wanted| {
            let (_, value) = variables.iter().find(|(name, _)| *name == wanted)?;
            Some(value.into())
        })
        .cache_dir
    }

    #[test]
    fn the_cache_is_where_the_most_particular_variable_says() {
        let all = [("SLUICE_CACHE_DIR", "/s"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(cache_dir(&all), PathBuf::from("/s"));
        assert_eq!(cache_dir(&all[1..]), PathBuf::from("/x/sluice"));
        assert_eq!(cache_dir(&all[2..]), PathBuf::from("/h/.cache/sluice"));
        assert_eq!(cache_dir(&[("HOME", "")]), PathBuf::from(".sluice/cache"));
    }
}
