//! A certificate for `localhost` that signs itself, made for a test: the few fields of X.509 that a client looks at.

use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::server::tls::TlsFiles;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
const BYTES: u8 = 0x04;
const OID: u8 = 0x06;
const TEXT: u8 = 0x0c;
const TIME: u8 = 0x17;

const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// Writes both files and returns the certificate.
pub(super) fn write(folder: &Path, serial: u8) -> (TlsFiles, Vec<u8>) {
    let files = TlsFiles { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let certificate = certificate(&pair, serial);
    let key = pair.to_pkcs8v1().unwrap();
    // The key first: what is read in between does not fit together, and is read again.
    std::fs::write(&files.key, pem("PRIVATE KEY", key.as_ref())).unwrap();
    std::fs::write(&files.certificate, pem("CERTIFICATE", &certificate)).unwrap();
    (files, certificate)
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

fn certificate(pair: &EcdsaKeyPair, serial: u8) -> Vec<u8> {
    let algorithm = element(SEQUENCE, &[element(OID, &[ECDSA_WITH_SHA256.to_vec()])]);
    let attribute = element(SEQUENCE, &[element(OID, &[COMMON_NAME.to_vec()]), element(TEXT, &[b"sluice test".to_vec()])]);
    let name = element(SEQUENCE, &[element(SET, &[attribute])]);
    let time = |text: &str| element(TIME, &[text.as_bytes().to_vec()]);
    let validity = element(SEQUENCE, &[time("200101000000Z"), time("491231235959Z")]);
    let kind = element(SEQUENCE, &[element(OID, &[EC_PUBLIC_KEY.to_vec()]), element(OID, &[P256.to_vec()])]);
    let key = element(SEQUENCE, &[kind, bits(pair.public_key().as_ref())]);
    let names = element(SEQUENCE, &[element(0x82, &[b"localhost".to_vec()])]);
    let extension = element(SEQUENCE, &[element(OID, &[ALTERNATIVE_NAME.to_vec()]), element(BYTES, &[names])]);
    let version = element(0xa0, &[element(INTEGER, &[vec![2]])]);
    let body = element(
        SEQUENCE,
        &[
            version,
            element(INTEGER, &[vec![serial]]),
            algorithm.clone(),
            name.clone(),
            validity,
            name,
            key,
            element(0xa3, &[element(SEQUENCE, &[extension])]),
        ],
    );
    let signature = pair.sign(&SystemRandom::new(), &body).unwrap();
    element(SEQUENCE, &[body, algorithm, bits(signature.as_ref())])
}

fn bits(bytes: &[u8]) -> Vec<u8> {
    element(BITS, &[vec![0], bytes.to_vec()])
}

/// Tag, length, content.
fn element(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let content = parts.concat();
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let mut all = vec![tag];
    match length {
        [0, short @ ..0x80] => all.push(short),
        [0, long] => all.extend([0x81, long]),
        [high, low] => all.extend([0x82, high, low]),
    }
    all.extend(content);
    all
}
