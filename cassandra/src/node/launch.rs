//! Writes a node's configuration and starts its JVM.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::folder::Folder;
use super::heap::Heap;
use super::jars::Jars;
use super::java::Java;
use super::ports::Ports;
use super::process;
use super::{Error, Options};

const LOGBACK: &str = include_str!("logback.xml");

/// Parts of the JDK that Cassandra reaches into; from the distribution's `jvm11-server.options` and `jvm17-server.options`.
const EXPORTS: [&str; 11] = [
    "java.base/jdk.internal.misc",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.base/java.lang.ref",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.unsupported/sun.misc",
    "jdk.compiler/com.sun.tools.javac.file",
    "jdk.attach/sun.tools.attach",
];
const OPENS: [&str; 17] = [
    "java.base/java.lang.module",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.reflect",
    "java.base/java.util",
    "java.base/java.nio",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "jdk.management/com.sun.management.internal",
    "jdk.compiler/com.sun.tools.javac",
];

/// Starts the JVM and returns at once. The process is in a group of its own and holds nothing of ours: it outlives this program, and
/// Ctrl-C at the terminal does not reach it.
pub(super) fn start(
    folder: &Folder,
    (java, jars, heap): (&Java, &Jars, Heap),
    ports: Ports,
    options: &Options,
) -> Result<Child, Error> {
    let config = folder.conf.join("cassandra.yaml");
    fs::write(&config, cassandra_yaml(ports, options)).map_err(Error::file("write", &config))?;
    let logback = folder.conf.join("logback.xml");
    fs::write(&logback, LOGBACK).map_err(Error::file("write", &logback))?;

    let console = folder.logs.join("console.log");
    let stdout = File::create(&console).map_err(Error::file("create", &console))?;
    let stderr = stdout.try_clone().map_err(Error::file("open", &console))?;
    Command::new(&java.program)
        .args(arguments(folder, jars, heap, ports, options))
        // logback.xml counts on it; a crash of the JVM leaves its file here; and no folder of the caller's stays in use.
        .current_dir(&folder.home)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .process_group(0)
        .spawn()
        .map_err(|source| Error::Run { program: java.program.clone(), source })
}

fn arguments(folder: &Folder, jars: &Jars, heap: Heap, ports: Ports, options: &Options) -> Vec<OsString> {
    let heap = heap.argument();
    let mut arguments: Vec<OsString> = [
        format!("-Xms{heap}"),
        format!("-Xmx{heap}"),
        "-Xss256k".to_owned(),
        "-XX:+UseG1GC".to_owned(),
        "-XX:+ParallelRefProcEnabled".to_owned(),
        "-XX:MaxTenuringThreshold=1".to_owned(),
        "-XX:MaxGCPauseMillis=300".to_owned(),
        // A thread that dies of it may leave a write half done: Cassandra itself warns at start where this is missing.
        "-XX:+ExitOnOutOfMemoryError".to_owned(),
        "-Djdk.attach.allowAttachSelf=true".to_owned(),
        "-Dio.netty.tryReflectionSetAccessible=true".to_owned(),
        "-Djava.net.preferIPv4Stack=true".to_owned(),
        "-Dcassandra-foreground=yes".to_owned(),
        format!("-Dcassandra.jmx.local.port={}", ports.jmx),
        // There is no other node to wait for, nor to tell that this one ends (which saves 2 s of a stop: 5.2 to 3.1 s).
        "-Dcassandra.skip_wait_for_gossip_to_settle=0".to_owned(),
        "-Dcassandra.ring_delay_ms=1000".to_owned(),
        "-Dcassandra.shutdown_announce_in_ms=0".to_owned(),
        // Nor to wait for before the first role is made, where there are any.
        "-Dcassandra.superuser_setup_delay_ms=0".to_owned(),
    ]
    .map(OsString::from)
    .into();
    if options.ring.is_some() {
        // Members that start together make a schema each. What one could not ask another for at once it asks for after these, and
        // not after a minute, which is the default of both.
        arguments.push("-Dcassandra.migration_delay_ms=1000".into());
        arguments.push("-Dcassandra.schema_pull_interval_ms=1000".into());
    }
    arguments.push(joined("-javaagent:", &jars.agent()));
    arguments.push(file_url("-Dcassandra.config=", &folder.conf.join("cassandra.yaml")));
    arguments.push(file_url("-Dlogback.configurationFile=", &folder.conf.join("logback.xml")));
    arguments.push(process::storage_argument(&folder.data));
    arguments.push(joined("-Dcassandra.logdir=", &folder.logs));
    for package in EXPORTS {
        arguments.push("--add-exports".into());
        arguments.push(format!("{package}=ALL-UNNAMED").into());
    }
    for package in OPENS {
        arguments.push("--add-opens".into());
        arguments.push(format!("{package}=ALL-UNNAMED").into());
    }
    arguments.push("-cp".into());
    arguments.push(joined("", &jars.lib().join("*")));
    arguments.push("org.apache.cassandra.service.CassandraDaemon".into());
    arguments
}

fn joined(prefix: &str, path: &Path) -> OsString {
    let mut text = OsString::from(prefix);
    text.push(path);
    text
}

/// Cassandra and logback take their files as URLs, in which a space or a percent sign has to be written as one.
fn file_url(prefix: &str, path: &Path) -> OsString {
    let mut text = format!("{prefix}file:");
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    text.into()
}

const HEX: [u8; 16] = *b"0123456789ABCDEF";

/// What is not said here is Cassandra's default: what works on this node should work on a real one.
fn cassandra_yaml(ports: Ports, options: &Options) -> String {
    let Ports { cql, storage, .. } = ports;
    let host = options.host;
    let members = options.ring.as_ref().map_or_else(|| vec![host], |ring| ring.members.clone());
    let seeds = members.iter().map(|member| format!("{member}:{storage}")).collect::<Vec<_>>().join(",");
    let mut yaml = format!(
        r#"# Written by `sluice node up`, anew at every start.
cluster_name: sluice
num_tokens: 1
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "{seeds}"
listen_address: {host}
storage_port: {storage}
rpc_address: {host}
native_transport_port: {cql}
start_native_transport: true

# As shipped, but for the time: what was acknowledged is in the log at once, a kill costs at most what came since the last marker
# (100 ms), and a loss of power the last second. The program reckons with the first, and both end at one point of the log: what came
# after it, checkpoints too, is sent again.
commitlog_sync: periodic
commitlog_sync_period: 1000ms

# A dropped test keyspace is gone: no snapshot of it to write, and to fill the disk.
auto_snapshot: false
# A node that cannot write ends, instead of living on without answering.
disk_failure_policy: die
commit_failure_policy: die
"#
    );
    if let Some(ring) = &options.ring {
        // Nothing is there yet that a new member would have to be given.
        let _ = writeln!(yaml, "initial_token: {}\nauto_bootstrap: false", ring.token);
    }
    for (key, value) in &options.config {
        let _ = writeln!(yaml, "{key}: {value}");
    }
    yaml
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_odd_letters_is_a_url() {
        assert_eq!(file_url("-D=", Path::new("/a b/100%/\u{e4}#?.yaml")), "-D=file:/a%20b/100%25/%C3%A4%23%3F.yaml");
    }
}
