use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use super::VERSION;
use model::{Classify, Failure};

use super::java::Java;
use super::log::LogTail;
use super::ports::PortOwner;

/// Why a node was not started, found or stopped. [`Classify::hint`] says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{step} {}", path.display())]
    File { step: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is not a record of a node", path.display())]
    Record { path: PathBuf, source: serde_json::Error },
    #[error("no Java was found, neither by JAVA_HOME nor on the search path")]
    NoJava,
    #[error("Cassandra {VERSION} runs on Java 17 or 11 only; found {}", list(found))]
    WrongJava { found: Vec<Java> },
    #[error("{} does not say its version: {said:?}", program.display())]
    NotJava { program: PathBuf, said: String },
    #[error("the jars of Cassandra are not in {} yet, and no Maven was found to fetch them", cache.display())]
    NoMaven { cache: PathBuf },
    #[error("maven could not fetch the jars of Cassandra ({status}):{said}")]
    Maven { status: ExitStatus, said: String },
    #[error("maven did not fetch the jars of Cassandra within {} s", after.as_secs())]
    MavenHangs { after: Duration },
    #[error("maven fetched no {jar} into {}", folder.display())]
    JarMissing { jar: &'static str, folder: PathBuf },
    #[error("run {}", program.display())]
    Run { program: PathBuf, source: io::Error },
    #[error("{text:?} is not the size of a heap")]
    Heap { text: String },
    #[error("a heap of {heap} MiB does not fit into the {memory} MiB of memory that this machine has")]
    Memory { heap: u64, memory: u64 },
    #[error("port {port} is taken{}", owner.as_ref().map_or_else(String::new, |owner| format!(" by {owner}")))]
    PortTaken { port: u16, owner: Option<PortOwner> },
    #[error("listen on port {port}")]
    Port { port: u16, source: io::Error },
    #[error("the node already runs on port {port}, not on port {wanted}")]
    OtherPort { port: u16, wanted: u16 },
    #[error("Cassandra ended while it was starting ({}); {tail}", ending.map_or_else(|| "how is not known".to_owned(), |e| e.to_string()))]
    EndedWhileStarting {
        /// None for a node that another program had started.
        ending: Option<ExitStatus>,
        tail: LogTail,
    },
    #[error("Cassandra did not answer within {} s and was stopped; {tail}", after.as_secs())]
    NotReady { after: Duration, tail: LogTail },
    #[error("a node of {} runs as process {pid}, but its record is gone", data.display())]
    Unrecorded { pid: u32, data: PathBuf },
    #[error("send a signal to process {pid}")]
    Signal { pid: u32, source: nix::errno::Errno },
    #[error("process {pid} is still there after SIGKILL")]
    Unstoppable { pid: u32 },
}

impl Error {
    /// For `map_err`: the step and the path that it failed on.
    pub(super) fn file(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { step, path, source }
    }

    /// A port that was free when it was chosen was not when the node wanted it.
    pub(super) fn is_port_clash(&self) -> bool {
        matches!(self, Self::EndedWhileStarting { tail, .. } if tail.contains("Address already in use"))
    }
}

impl Classify for Error {
    fn failure(&self) -> Failure {
        match self {
            // What Maven needs may be there a moment later.
            Self::Maven { .. } | Self::MavenHangs { .. } | Self::NotReady { .. } => Failure::Transient,
            Self::EndedWhileStarting { ending, tail } => cause(*ending, tail).map_or(Failure::Bug, |(failure, _)| failure),
            Self::JarMissing { .. } | Self::Unstoppable { .. } => Failure::Bug,
            _ => Failure::Definition,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoJava => {
                "install one: apt-get install -y openjdk-17-jre-headless; or name one: JAVA_HOME=/path/to/java-17".to_owned()
            }
            Self::WrongJava { .. } => {
                "install Java 17 beside it: apt-get install -y openjdk-17-jre-headless; or name one: JAVA_HOME=/path/to/java-17"
                    .to_owned()
            }
            Self::NotJava { .. } => "name a Java: --java /path/to/java-17/bin/java".to_owned(),
            Self::NoMaven { .. } => {
                "install it: apt-get install -y maven; or use a Cassandra that is there: CASSANDRA_HOST".to_owned()
            }
            Self::Maven { .. } | Self::MavenHangs { .. } => {
                "check the network, a proxy, or a mirror in ~/.m2/settings.xml, and try again".to_owned()
            }
            Self::Heap { .. } => "write a number and a unit: --heap 512M or --heap 2G".to_owned(),
            Self::Memory { .. } => "try a small one: --heap 384M".to_owned(),
            Self::PortTaken { .. } => "end that program, choose another --port, or leave --port out for a free one".to_owned(),
            Self::Port { .. } => "choose another --port, or leave --port out for a free one".to_owned(),
            Self::OtherPort { .. } => "stop it first: sluice node down".to_owned(),
            Self::Record { path, .. } => format!("remove it: rm {}", path.display()),
            Self::Unrecorded { pid, .. } => format!("end it: kill {pid}"),
            Self::Signal { .. } => "ask the user who started it, or become root".to_owned(),
            Self::EndedWhileStarting { ending, tail } => return cause(*ending, tail).map(|(_, hint)| hint.to_owned()),
            Self::NotReady { .. } => "give a slow or busy machine longer: --start-timeout 300".to_owned(),
            Self::File { .. } | Self::JarMissing { .. } | Self::Run { .. } | Self::Unstoppable { .. } => return None,
        };
        Some(hint)
    }
}

/// Why a node ended before it was ready, where that can be told, with what to do.
fn cause(ending: Option<ExitStatus>, tail: &LogTail) -> Option<(Failure, &'static str)> {
    const SIGKILL: i32 = 9;
    if tail.contains("OutOfMemoryError") {
        return Some((Failure::Definition, "give it a larger heap: --heap 1G"));
    }
    if tail.contains("Could not reserve enough space") || tail.contains("Cannot allocate memory") {
        return Some((Failure::Transient, "end other programs, there is too little memory; or try --heap 384M"));
    }
    if ending?.signal()? == SIGKILL {
        let hint = "see dmesg: if nobody killed it, the kernel did for want of memory; end other programs, or try --heap 384M";
        return Some((Failure::Transient, hint));
    }
    None
}

fn list(found: &[Java]) -> String {
    let found: Vec<String> = found.iter().map(|java| format!("Java {} at {}", java.major, java.program.display())).collect();
    found.join(", ")
}
