//! The text of a key: `sk_<id>_<secret>`. The id names it in logs and lists; the secret is 32 random bytes.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};

use super::Error;

const PREFIX: &str = "sk_";
const SECRET_BYTES: usize = 32;
/// Of base64url, without padding.
const SECRET_CHARACTERS: usize = 43;
/// 50 bits: two of a million keys are alike once in two thousand files.
const ID_CHARACTERS: usize = 10;
/// Without what is taken for one another.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";

/// SHA-256 of a secret's text.
pub(crate) type Hash = [u8; 32];

/// A key as it came in; what is not of its form is no key.
pub struct Presented<'a> {
    pub id: &'a str,
    secret: &'a str,
}

impl<'a> Presented<'a> {
    pub fn parse(text: &'a str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let is_id = !id.is_empty() && id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let is_secret = secret.len() == SECRET_CHARACTERS
            && secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        (is_id && is_secret).then_some(Self { id, secret })
    }

    pub(crate) fn hash(&self) -> Hash {
        hash(self.secret)
    }
}

impl std::fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presented").field("id", &self.id).finish_non_exhaustive()
    }
}

pub(crate) fn hash(secret: &str) -> Hash {
    let digest = digest(&SHA256, secret.as_bytes());
    digest.as_ref().try_into().expect("a SHA-256 has 32 bytes")
}

pub(crate) fn random_bytes() -> Result<[u8; SECRET_BYTES], Error> {
    let mut bytes = [0; SECRET_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(bytes)
}

/// An id that none of `taken` has.
pub(crate) fn new_id(is_taken: impl Fn(&str) -> bool) -> Result<String, Error> {
    loop {
        let bytes = random_bytes()?;
        let id: String = bytes.iter().take(ID_CHARACTERS).map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
        if !is_taken(&id) {
            return Ok(id);
        }
    }
}

/// A new secret of the key: the whole text, to be shown once, and what is kept of it.
pub(crate) fn new_secret(id: &str) -> Result<(SecretString, Hash), Error> {
    let secret = SecretString::from(URL_SAFE_NO_PAD.encode(random_bytes()?));
    let kept = hash(secret.expose_secret());
    Ok((SecretString::from(format!("{PREFIX}{id}_{}", secret.expose_secret())), kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_key_is_read_back_and_nothing_else_is_a_key() {
        let id = new_id(|_| false).unwrap();
        let (text, kept) = new_secret(&id).unwrap();
        let presented = Presented::parse(text.expose_secret()).unwrap();
        assert_eq!((presented.id, presented.hash()), (id.as_str(), kept));
        let long = format!("{}A", text.expose_secret());
        let percent = format!("sk_{id}_{}", "%".repeat(SECRET_CHARACTERS));
        for wrong in ["", "sk_", "sk__", "sk_a_b", "pk_a_b", &long, &long[..30], &percent] {
            assert!(Presented::parse(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn a_key_shows_no_secret_when_it_is_logged() {
        let (text, _) = new_secret("abc").unwrap();
        let presented = Presented::parse(text.expose_secret()).unwrap();
        assert!(!format!("{presented:?} {text:?}").contains(presented.secret));
    }
}
