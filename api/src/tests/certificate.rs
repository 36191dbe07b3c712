//! A certificate for `localhost` that signs itself.

use std::path::Path;

use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::server::tls::TlsFiles;

/// Writes both files and returns the certificate; it is another one each time.
pub(super) fn write(folder: &Path) -> (TlsFiles, Vec<u8>) {
    let files = TlsFiles { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    // The key first: what is read in between does not fit together, and is read again.
    std::fs::write(&files.key, signing_key.serialize_pem()).unwrap();
    std::fs::write(&files.certificate, cert.pem()).unwrap();
    (files, cert.der().to_vec())
}
