//! How a Cassandra is reached: what the environment says, never what a pipeline's folder says.
//!
//! The password is kept in a [`SecretString`]: it is not printed by `Debug` and its memory is cleared on drop.

use std::path::PathBuf;
use std::str::FromStr;

use model::{Classify, Failure};
use secrecy::SecretString;

use crate::cql;

/// Where Cassandra is, who asks, and how data is kept there.
#[derive(Debug, Clone)]
pub struct Settings {
    pub hosts: Hosts,
    pub login: Option<Login>,
    /// Only nodes of this datacenter are asked, and the keyspace is replicated there.
    pub datacenter: Option<String>,
    pub keyspace: String,
    pub replication: Replication,
    pub consistency: Consistency,
    /// Absent: connections are not encrypted.
    pub tls: Option<Tls>,
}

/// A user and the password, which is never printed.
#[derive(Debug, Clone)]
pub struct Login {
    pub username: String,
    pub password: SecretString,
}

/// PEM files. A node's certificate must name the address under which the node is reached.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The authorities that may sign a node's certificate.
    pub ca: PathBuf,
    /// What this program shows of itself, where the nodes ask for it.
    pub client: Option<ClientCertificate>,
}

/// A certificate chain and its private key, both PEM.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// One or more nodes to start from, each `host:port`; the others are learned from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts(Vec<String>);

/// The port that Cassandra listens on for CQL unless told otherwise.
pub const DEFAULT_PORT: u16 = 9042;

impl Hosts {
    /// Reads `host`, `host:port` or a list of these parted by commas; `port` serves those that name none.
    pub fn parse(text: &str, port: u16) -> Result<Self, Error> {
        let hosts = text
            .split(',')
            .map(str::trim)
            .filter(|host| !host.is_empty())
            .map(|host| with_port(host, port).ok_or_else(|| Error::Host(host.to_owned())))
            .collect::<Result<Vec<_>, _>>()?;
        if hosts.is_empty() {
            return Err(Error::Host(text.to_owned()));
        }
        Ok(Self(hosts))
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl std::fmt::Display for Hosts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

fn with_port(host: &str, port: u16) -> Option<String> {
    if let Ok(address) = host.trim_matches(['[', ']']).parse::<std::net::Ipv6Addr>() {
        return Some(format!("[{address}]:{port}"));
    }
    match host.rsplit_once(':') {
        None => Some(format!("{host}:{port}")),
        Some((name, own)) if !name.is_empty() && own.parse::<u16>().is_ok() => Some(host.to_owned()),
        Some(_) => None,
    }
}

/// How many copies of the keyspace there are, and where; used only when the keyspace is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replication {
    /// So many copies: in the datacenter of the settings where one is named, else wherever the ring says.
    Factor(u32),
    /// A CQL map, as in `WITH replication = {...}`.
    Map(String),
}

impl Replication {
    /// The right-hand side of `WITH replication =`.
    pub(crate) fn cql(&self, datacenter: Option<&str>) -> String {
        match (self, datacenter) {
            (Self::Map(map), _) => map.clone(),
            (Self::Factor(factor), None) => {
                format!("{{'class': 'SimpleStrategy', 'replication_factor': '{factor}'}}")
            }
            (Self::Factor(factor), Some(datacenter)) => {
                format!("{{'class': 'NetworkTopologyStrategy', {}: '{factor}'}}", cql::text(datacenter))
            }
        }
    }
}

impl Default for Replication {
    fn default() -> Self {
        Self::Factor(1)
    }
}

impl FromStr for Replication {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text.starts_with('{') && text.ends_with('}') && text.contains("'class'") {
            return Ok(Self::Map(text.to_owned()));
        }
        match text.parse() {
            Ok(factor) if factor > 0 => Ok(Self::Factor(factor)),
            _ => Err(Error::Replication(text.to_owned())),
        }
    }
}

/// How many replicas must answer before a request counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    One,
    Two,
    Three,
    Quorum,
    All,
    LocalOne,
    /// On a single node the same as `One`; in a ring what makes acknowledged writes readable after a node is lost.
    #[default]
    LocalQuorum,
    EachQuorum,
}

const CONSISTENCIES: [(&str, Consistency); 8] = [
    ("one", Consistency::One),
    ("two", Consistency::Two),
    ("three", Consistency::Three),
    ("quorum", Consistency::Quorum),
    ("all", Consistency::All),
    ("local_one", Consistency::LocalOne),
    ("local_quorum", Consistency::LocalQuorum),
    ("each_quorum", Consistency::EachQuorum),
];

impl FromStr for Consistency {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let name = text.trim().to_ascii_lowercase().replace('-', "_");
        CONSISTENCIES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, consistency)| *consistency)
            .ok_or_else(|| Error::Consistency(text.to_owned()))
    }
}

impl std::fmt::Display for Consistency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = CONSISTENCIES.iter().find(|(_, known)| known == self).map(|(name, _)| *name);
        f.write_str(name.expect("every level has a name"))
    }
}

impl From<Consistency> for scylla::statement::Consistency {
    fn from(level: Consistency) -> Self {
        match level {
            Consistency::One => Self::One,
            Consistency::Two => Self::Two,
            Consistency::Three => Self::Three,
            Consistency::Quorum => Self::Quorum,
            Consistency::All => Self::All,
            Consistency::LocalOne => Self::LocalOne,
            Consistency::LocalQuorum => Self::LocalQuorum,
            Consistency::EachQuorum => Self::EachQuorum,
        }
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{0:?} is no host of Cassandra")]
    Host(String),
    #[error("{0:?} is no replication")]
    Replication(String),
    #[error("{0:?} is no consistency level")]
    Consistency(String),
}

impl Classify for Error {
    fn failure(&self) -> Failure {
        Failure::Definition
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Host(_) => "write it as host, host:port, or several of these parted by commas".to_owned(),
            Self::Replication(_) => {
                "write a number of copies, or a CQL map such as {'class': 'NetworkTopologyStrategy', 'dc1': 3}".to_owned()
            }
            Self::Consistency(_) => {
                format!("use one of {}", CONSISTENCIES.map(|(name, _)| name).join(", "))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_take_the_port_they_name_or_the_common_one() {
        let hosts = |text| Hosts::parse(text, 9142).map(|hosts| hosts.to_string());
        assert_eq!(hosts("db").unwrap(), "db:9142");
        assert_eq!(hosts(" a:1 , b ,10.0.0.1:3").unwrap(), "a:1,b:9142,10.0.0.1:3");
        assert_eq!(hosts("::1,[::2]:7").unwrap(), "[::1]:9142,[::2]:7");
        for wrong in ["", " , ", "host:", ":9042", "host:port"] {
            assert!(hosts(wrong).is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn replication_is_a_number_or_a_map() {
        let cql = |text: &str, datacenter| text.parse::<Replication>().map(|replication| replication.cql(datacenter));
        assert_eq!(cql("1", None).unwrap(), "{'class': 'SimpleStrategy', 'replication_factor': '1'}");
        assert_eq!(cql("3", Some("o'dc")).unwrap(), "{'class': 'NetworkTopologyStrategy', 'o''dc': '3'}");
        let map = "{'class': 'NetworkTopologyStrategy', 'a': 2, 'b': 3}";
        assert_eq!(cql(map, Some("a")).unwrap(), map);
        for wrong in ["0", "-1", "three", "{}", ""] {
            assert!(cql(wrong, None).is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn consistency_levels_read_back_what_they_print() {
        for (name, level) in CONSISTENCIES {
            assert_eq!(name.parse(), Ok(level));
            assert_eq!(level.to_string(), name);
        }
        assert_eq!("LOCAL-QUORUM".parse(), Ok(Consistency::LocalQuorum));
        assert!("most".parse::<Consistency>().is_err());
    }

    #[test]
    fn a_password_is_not_printed() {
        let login = Login { username: "etl".to_owned(), password: "hunter2".to_owned().into() };
        assert!(!format!("{login:?}").contains("hunter2"));
    }
}
