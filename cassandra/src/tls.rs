//! Encrypted connections: PEM files into what the driver connects with.

use std::path::Path;
use std::sync::Arc;

use model::{Classify, Failure};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::settings::Tls;

/// Reads the files. Nodes are checked by their authority and by the address under which they are reached.
pub(crate) fn client_config(tls: &Tls) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&tls.ca)? {
        roots.add(certificate).map_err(|source| Error::Use { file: tls.ca.display().to_string(), source })?;
    }
    // Named here: a program with several providers of cryptography has no default one.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3")
        .with_root_certificates(roots);
    let Some(client) = &tls.client else { return Ok(builder.with_no_client_auth()) };
    let key = PrivateKeyDer::from_pem_file(&client.key)
        .map_err(|source| Error::Read { file: client.key.display().to_string(), source })?;
    builder
        .with_client_auth_cert(certificates(&client.certificate)?, key)
        .map_err(|source| Error::Use { file: client.certificate.display().to_string(), source })
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found =
        read.and_then(|found| if found.is_empty() { Err(rustls::pki_types::pem::Error::NoItemsFound) } else { Ok(found) });
    found.map_err(|source| Error::Read { file: file.display().to_string(), source })
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{file} cannot be read as PEM")]
    Read { file: String, source: rustls::pki_types::pem::Error },
    #[error("{file} cannot be used for encrypted connections")]
    Use { file: String, source: rustls::Error },
}

impl Classify for Error {
    fn failure(&self) -> Failure {
        Failure::Definition
    }

    fn hint(&self) -> Option<String> {
        Some("name PEM files: the authority that signed the nodes' certificates, and where the nodes ask for it a certificate and its key".to_owned())
    }
}
