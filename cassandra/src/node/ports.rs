//! Free ports for a node, and who holds one that is not free.

use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use super::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) cql: u16,
    pub(super) storage: u16,
    pub(super) jmx: u16,
}

impl Ports {
    /// Three ports that are free now. Another program may take one before the node does: `up` then chooses again.
    ///
    /// The port for other nodes is only chosen where it is not said.
    pub(super) fn choose(host: Ipv4Addr, cql: Option<u16>, storage: Option<u16>) -> Result<Self, Error> {
        // All three are held until the last is found, so that they differ.
        let listeners = [listen(host, cql.unwrap_or(0))?, listen(host, storage.unwrap_or(0))?, listen(Ipv4Addr::LOCALHOST, 0)?];
        let [cql, storage, jmx] =
            listeners.each_ref().map(|listener| listener.local_addr().expect("a bound socket has an address").port());
        Ok(Self { cql, storage, jmx })
    }
}

fn listen(host: Ipv4Addr, port: u16) -> Result<TcpListener, Error> {
    TcpListener::bind((host, port)).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => Error::PortTaken { port, owner: PortOwner::of(port) },
        _ => Error::Port { port, source },
    })
}

/// The process that listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortOwner {
    pub pid: u32,
    pub name: String,
}

impl fmt::Display for PortOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({})", self.pid, self.name)
    }
}

impl PortOwner {
    /// None where the owner is another user's and we may not look.
    fn of(port: u16) -> Option<Self> {
        let sockets = listening_sockets(port);
        fs::read_dir("/proc")
            .ok()?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .find(|&pid| holds_any(pid, &sockets))
            .map(|pid| Self {
                pid,
                name: fs::read_to_string(format!("/proc/{pid}/comm"))
                    .map_or_else(|_| "?".to_owned(), |name| name.trim().to_owned()),
            })
    }
}

/// Whether it is this process, which has to be ours to look into, that listens on the port.
pub(super) fn is_held_by(port: u16, pid: u32) -> bool {
    holds_any(pid, &listening_sockets(port))
}

fn holds_any(pid: u32, sockets: &[PathBuf]) -> bool {
    fs::read_dir(format!("/proc/{pid}/fd"))
        .is_ok_and(|files| files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|target| sockets.contains(&target))))
}

/// As the links in `/proc/PID/fd` call them.
fn listening_sockets(port: u16) -> Vec<PathBuf> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening_inodes(&table, port))
        .map(|inode| PathBuf::from(format!("socket:[{inode}]")))
        .collect()
}

/// The inodes of the sockets that listen on `port`, from the text of `/proc/net/tcp`.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let wanted = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let &[_, local, _, state, _, _, _, _, _, inode, ..] = fields.as_slice() else { return None };
            (local.ends_with(&wanted) && state == LISTEN).then(|| inode.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_ports_are_free_and_differ() {
        let ports = Ports::choose(Ipv4Addr::LOCALHOST, None, None).unwrap();
        assert!(ports.cql != ports.storage && ports.storage != ports.jmx && ports.cql != ports.jmx);
        TcpListener::bind((Ipv4Addr::LOCALHOST, ports.cql)).expect("the port was let go");
    }

    #[test]
    fn a_port_is_held_by_who_listens_on_it() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(is_held_by(port, std::process::id()));
        drop(listener);
        assert!(!is_held_by(port, std::process::id()));
    }

    #[test]
    fn a_taken_port_names_the_process_that_holds_it() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();

        let error = Ports::choose(Ipv4Addr::LOCALHOST, Some(port), None).unwrap_err();

        let Error::PortTaken { owner: Some(owner), .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(owner.pid, std::process::id());
        assert!(error.to_string().contains(&port.to_string()));
    }

    #[test]
    fn a_connection_to_a_port_is_not_its_listener() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
             0: 0100007F:2352 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 111 1\n   \
             1: 0100007F:2352 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1\n";
        assert_eq!(listening_inodes(table, 9042), ["222"]);
        assert!(listening_inodes(table, 9043).is_empty());
    }
}
