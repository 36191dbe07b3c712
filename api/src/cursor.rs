//! Cursors: where the next page begins, as a text that only this program makes and reads.
//!
//! A cursor names the question that it continues (endpoint, definition, parameters, the caller's key) and the bounds that were
//! resolved for its first page, so that `hours=24` means the same hours on every page. It expires. A cursor that was altered, that is
//! of another question, another key or another definition, or that is too old, is refused.
//!
//! Guarantee: a cursor is encrypted and authenticated (AES-256-GCM-SIV), so it tells nothing to whoever has it: the key of the last row
//! may have columns that the endpoint does not show.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cassandra::lookup::KeyValue;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::endpoint::Bounds;

/// How long a cursor can be used, in seconds: a reader that pauses for longer begins anew.
pub(crate) const LIFETIME_SECONDS: i64 = 3_600;
/// What the key of cursors is derived by, so that a secret used elsewhere too is another key here.
const PURPOSE: &[u8] = b"sluice cursor 2";
/// Of a cursor as text: an address may have 8 KiB. None is made that is longer.
const MOST_BYTES: usize = 7 * 1_024;

/// What signs cursors, and hides what is in them. The same for all programs that serve the same callers.
pub(crate) struct Signer {
    key: LessSafeKey,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) bounds: Bounds,
    /// Of the last row that was given: the bucket, and the values of the clustering columns.
    pub(crate) bucket: Option<i64>,
    pub(crate) clustering: Vec<KeyValue>,
}

/// What is wrong with a cursor, for the one who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("is not a cursor of this API")]
    Unreadable,
    #[error("belongs to another question: use it with the path and the parameters of the page that it came with")]
    Foreign,
    #[error("has expired: begin again without it")]
    Expired,
}

/// Names a question: two cursors are of the same one where this is equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// Over parts whose borders count.
    pub(crate) fn of<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut short = [0; 16];
        short.copy_from_slice(&hash.finalize()[..16]);
        Self(short)
    }

    pub(crate) fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What stands before the values of the clustering columns, which follow as they are.
#[derive(Serialize, Deserialize)]
struct Payload {
    #[serde(rename = "q")]
    question: String,
    #[serde(rename = "e")]
    expires: i64,
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    from: Option<i64>,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    to: Option<i64>,
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    bucket: Option<i64>,
}

impl Signer {
    /// `secret` is of random bytes, at least 32.
    pub(crate) fn new(secret: &[u8]) -> Self {
        let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), PURPOSE);
        let key = UnboundKey::new(&AES_256_GCM_SIV, key.as_ref()).expect("32 bytes make a key");
        Self { key: LessSafeKey::new(key) }
    }

    /// `now` is in seconds since 1970. `None` where the key of the last row is too long for an address.
    pub(crate) fn sign(&self, question: &Fingerprint, position: &Position, now: i64) -> Option<String> {
        let payload = Payload {
            question: question.text(),
            expires: now + LIFETIME_SECONDS,
            from: position.bounds.from,
            to: position.bounds.to,
            bucket: position.bucket,
        };
        let payload = serde_json::to_vec(&payload).expect("texts and numbers are JSON");
        let mut signed = Vec::new();
        for part in std::iter::once(payload.as_slice()).chain(position.clustering.iter().map(KeyValue::bytes)) {
            signed.extend(u32::try_from(part.len()).ok()?.to_be_bytes());
            signed.extend(part);
        }
        // Where two cursors get the same one, this cipher shows no more than whether they say the same.
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).expect("the system has random bytes");
        self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut signed).ok()?;
        signed.extend(nonce);
        let cursor = URL_SAFE_NO_PAD.encode(signed);
        (cursor.len() <= MOST_BYTES).then_some(cursor)
    }

    /// Reads a cursor of `question`, over a table of that many clustering columns.
    pub(crate) fn read(&self, cursor: &str, question: &Fingerprint, clustering: usize, now: i64) -> Result<Position, Refused> {
        if cursor.len() > MOST_BYTES {
            return Err(Refused::Unreadable);
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| Refused::Unreadable)?;
        let (sealed, nonce) = bytes.split_last_chunk_mut::<NONCE_LEN>().ok_or(Refused::Unreadable)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let signed = self.key.open_in_place(nonce, Aad::empty(), sealed).map_err(|_| Refused::Unreadable)?;
        let mut parts = parts(signed).ok_or(Refused::Unreadable)?.into_iter();
        let payload = parts.next().ok_or(Refused::Unreadable)?;
        let payload: Payload = serde_json::from_slice(payload).map_err(|_| Refused::Unreadable)?;
        if payload.question != question.text() {
            return Err(Refused::Foreign);
        }
        if now >= payload.expires {
            return Err(Refused::Expired);
        }
        let values: Vec<KeyValue> = parts.map(KeyValue::of_cell).collect();
        if values.len() != clustering {
            return Err(Refused::Foreign);
        }
        let bounds = Bounds { from: payload.from, to: payload.to };
        Ok(Position { bounds, bucket: payload.bucket, clustering: values })
    }
}

/// What was put one after another, each with its length before it.
fn parts(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut parts = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (part, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        parts.push(part);
        bytes = rest;
    }
    bytes.is_empty().then_some(parts)
}

#[cfg(test)]
mod tests {
    use cassandra::CqlType;

    use super::*;

    fn position() -> Position {
        let value = |cql_type, text| KeyValue::parse(cql_type, text).unwrap();
        Position {
            bounds: Bounds { from: Some(-5), to: None },
            bucket: Some(17_111),
            clustering: vec![value(CqlType::Timestamp, "2016-11-06T10:00:00Z"), value(CqlType::Text, "")],
        }
    }

    #[test]
    fn a_cursor_is_read_by_who_signed_it_for_the_question_that_it_is_of_until_it_expires() {
        let signer = Signer::new(&[7; 32]);
        let question = Fingerprint::of([b"players".as_slice(), b"1"]);
        let cursor = signer.sign(&question, &position(), 1_000).unwrap();
        assert_eq!(signer.read(&cursor, &question, 2, 1_000 + LIFETIME_SECONDS - 1), Ok(position()));
        assert_eq!(signer.read(&cursor, &question, 2, 1_000 + LIFETIME_SECONDS), Err(Refused::Expired));
        assert_eq!(Signer::new(&[8; 32]).read(&cursor, &question, 2, 1_000), Err(Refused::Unreadable));
        // The same bytes, cut elsewhere.
        let other = Fingerprint::of([b"player".as_slice(), b"s1"]);
        assert_eq!(signer.read(&cursor, &other, 2, 1_000), Err(Refused::Foreign));
        assert_eq!(signer.read(&cursor, &question, 1, 1_000), Err(Refused::Foreign));
    }

    #[test]
    fn a_cursor_shows_nothing_of_what_it_holds_and_no_two_are_alike() {
        let signer = Signer::new(&[7; 32]);
        let question = Fingerprint::of([b"players".as_slice()]);
        let clustering = vec![KeyValue::parse(CqlType::Text, "a name that nobody may see").unwrap()];
        let position = Position { bounds: Bounds { from: Some(1_478_426_400_000), to: None }, bucket: Some(17_111), clustering };
        let cursors = [(); 2].map(|()| signer.sign(&question, &position, 1_000).unwrap());
        assert_ne!(cursors[0], cursors[1]);
        for cursor in cursors {
            let bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap();
            for held in ["name", "1478426400000", "17111", &question.text()[..6]] {
                assert!(!bytes.windows(held.len()).any(|shown| shown == held.as_bytes()), "it shows {held}");
            }
        }
    }

    #[test]
    fn a_cursor_with_any_bit_flipped_or_any_part_missing_is_refused() {
        let signer = Signer::new(&[7; 32]);
        let question = Fingerprint::of([b"players".as_slice()]);
        let whole = URL_SAFE_NO_PAD.decode(signer.sign(&question, &position(), 1_000).unwrap()).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            let cut = &whole[..at];
            for bytes in [flipped.as_slice(), cut] {
                let cursor = URL_SAFE_NO_PAD.encode(bytes);
                assert_eq!(signer.read(&cursor, &question, 2, 1_000), Err(Refused::Unreadable), "{at}");
            }
        }
        for text in ["", "%", "äöü", &"A".repeat(1 << 20)] {
            assert_eq!(signer.read(text, &question, 2, 1_000), Err(Refused::Unreadable));
        }
    }

    #[test]
    fn a_long_key_has_a_cursor_that_is_read_again_and_one_that_fits_no_address_has_none() {
        let signer = Signer::new(&[7; 32]);
        let question = Fingerprint::of([b"notes".as_slice()]);
        let of = |length: usize| {
            let clustering = vec![KeyValue::parse(CqlType::Text, &"ä".repeat(length / 2)).unwrap()];
            Position { bounds: Bounds::default(), bucket: None, clustering }
        };
        let cursor = signer.sign(&question, &of(5_000), 1_000).unwrap();
        assert_eq!(signer.read(&cursor, &question, 1, 1_000), Ok(of(5_000)));
        assert_eq!(signer.sign(&question, &of(5_400), 1_000), None);
    }
}
