//! TLS by certificate files, which are read again when they change.
//!
//! Contract: TLS 1.2 and 1.3; HTTP/2 and HTTP/1.1 by ALPN. New connections get the certificate that is in the files; where a renewed one
//! cannot be used, the one before stays, is logged, and `/readyz` shows it.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use metrics::counter;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use super::Error;
use crate::health::Part;
use crate::metrics::CERTIFICATES_READ;
use crate::watched_file::{Fingerprint, LOOK};

/// PEM files: the certificate with those that signed it, and its private key.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What connections are accepted with.
#[derive(Clone)]
pub(crate) struct Certificates {
    files: TlsFiles,
    now: Arc<Now>,
    pub(super) acceptor: TlsAcceptor,
}

/// The names of protocols in ALPN.
pub(super) const H2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

impl Certificates {
    pub(super) fn read(files: &TlsFiles) -> Result<Self, Error> {
        let now = Arc::new(Now(RwLock::new(read(files)?)));
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has all suites of these versions")
            .with_no_client_auth()
            .with_cert_resolver(now.clone());
        config.alpn_protocols = vec![H2.to_vec(), HTTP_1.to_vec()];
        Ok(Self { files: files.clone(), now, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    fn look(&self) -> [Option<Fingerprint>; 2] {
        [Fingerprint::at(&self.files.certificate), Fingerprint::at(&self.files.key)]
    }

    /// Looks at the files until it is dropped.
    pub(super) async fn watch(self, part: Part) {
        part.ok();
        // Read once more at the first look: they may have changed since.
        let mut seen = None;
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            ticks.tick().await;
            let (this, before) = (self.clone(), seen);
            let looked = tokio::task::spawn_blocking(move || {
                let now = this.look();
                (now, (Some(now) != before).then(|| read(&this.files)))
            });
            let Ok((now, changed)) = looked.await else { continue };
            let is_first = seen.replace(now).is_none();
            match changed {
                None => {}
                Some(Ok(certified)) => {
                    *self.now.0.write().unwrap_or_else(PoisonError::into_inner) = certified;
                    part.ok();
                    if !is_first {
                        counter!(CERTIFICATES_READ, "result" => "ok").increment(1);
                        tracing::info!("certificate read again");
                    }
                }
                Some(Err(error)) => {
                    counter!(CERTIFICATES_READ, "result" => "failed").increment(1);
                    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    tracing::error!(%error, cause, "the changed certificate cannot be used; the one before stays");
                    part.degraded("the changed certificate cannot be used; the one before stays");
                }
            }
        }
    }
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").field("files", &self.files).finish_non_exhaustive()
    }
}

fn read(files: &TlsFiles) -> Result<Arc<CertifiedKey>, Error> {
    let pem = |file: &PathBuf| {
        let file = file.display().to_string();
        move |source| Error::Pem { file, source }
    };
    let chain = CertificateDer::pem_file_iter(&files.certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(pem(&files.certificate))?;
    if chain.is_empty() {
        return Err(Error::NoCertificate { file: files.certificate.display().to_string() });
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(pem(&files.key))?;
    let certified = CertifiedKey::from_der(chain, key, &default_provider()).map_err(|source| Error::Certificate {
        certificate: files.certificate.display().to_string(),
        key: files.key.display().to_string(),
        source,
    })?;
    Ok(Arc::new(certified))
}

#[derive(Debug)]
struct Now(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Now {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}
