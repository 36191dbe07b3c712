//! Why a server does not start.

use std::net::SocketAddr;

use model::failure::{Classify, Failure};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("listen on {address}")]
    Bind { address: SocketAddr, source: std::io::Error },
    #[error("start the threads that answer")]
    Threads(#[source] std::io::Error),
    #[error("there is no API key in {file}, and {address} is reached from other machines")]
    Exposed { address: SocketAddr, file: String },
    #[error("read {file}")]
    Pem { file: String, source: rustls::pki_types::pem::Error },
    #[error("there is no certificate in {file}")]
    NoCertificate { file: String },
    #[error("use the certificate {certificate} with the key {key}")]
    Certificate { certificate: String, key: String, source: rustls::Error },
}

impl Classify for Error {
    fn failure(&self) -> Failure {
        match self {
            Self::Bind { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => Failure::Transient,
            Self::Threads(_) => Failure::Transient,
            _ => Failure::Definition,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Bind { address, source } if source.kind() == std::io::ErrorKind::AddrInUse => {
                format!("end what listens on port {} already, or choose another port", address.port())
            }
            Self::Bind { .. } => "choose an address of this machine, and a port that this user may take".to_owned(),
            Self::Threads(_) => "raise the limits on threads and open files of this user, or end other programs".to_owned(),
            Self::Exposed { .. } => {
                "make a key first: sluice keys make --name APPLICATION; or say that everybody may ask: --allow-anonymous"
                    .to_owned()
            }
            Self::Pem { .. } | Self::NoCertificate { .. } => {
                "name PEM files: the certificate with those that signed it, and its private key".to_owned()
            }
            Self::Certificate { .. } => "check that the key belongs to the first certificate of the file".to_owned(),
        })
    }
}
