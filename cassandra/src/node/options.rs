//! How a node is to be, and where things are on this machine.

use std::ffi::OsString;
use std::net::Ipv4Addr;
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
    /// An address of this machine's own, 127.0.0.0/8.
    pub host: Ipv4Addr,
    /// The ring that the node is one of; `None`: it is alone.
    pub ring: Option<Ring>,
    /// Keys of `cassandra.yaml` and their values, beside those that are written anyway.
    pub config: Vec<(String, String)>,
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

/// Several nodes of one machine, each with an address of its own. Clients learn of the others from any of them, and look for
/// them at the port of that one: all listen on the same [`Options::port`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring {
    /// The addresses of all of them. Each is a seed, so that they may start at the same time, and in any order.
    pub members: Vec<Ipv4Addr>,
    /// Where they talk to each other.
    pub storage_port: u16,
    /// Where in the ring this one is; each has another place.
    pub token: i64,
}

impl Ring {
    /// Rings of `members`, in their order, at places that part the ring evenly.
    pub fn of(members: &[Ipv4Addr], storage_port: u16) -> Vec<Self> {
        let step = (1_i128 << 64) / members.len().max(1) as i128;
        let token = |at: usize| i64::try_from(i128::from(i64::MIN) + 1 + step * at as i128).expect("within the ring");
        (0..members.len()).map(|at| Self { members: members.to_vec(), storage_port, token: token(at) }).collect()
    }
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
            host: Ipv4Addr::LOCALHOST,
            ring: None,
            config: Vec::new(),
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
