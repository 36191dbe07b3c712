//! A receipt: what was fetched, from where, and what it looked like.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The proof that a file landed. Its name on disk is the receipt's sequence number; it never changes once written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub source: String,
    /// 1, 2, 3, ... per source, in the order in which contents arrived.
    pub sequence: u64,
    /// Where it came from, without user name, password and query.
    pub url: String,
    /// Which of the source's urls that is: newer receipts of one location stand for newer content of the same thing. Empty in
    /// a file of before there were several; whoever reads it puts in what follows from the url.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub location: String,
    pub file_name: String,
    /// Bytes as received.
    pub size: u64,
    /// Lower-case hex over the bytes as received.
    pub sha256: String,
    #[serde(default)]
    pub validators: Validators,
    pub received_at: DateTime<Utc>,
}

/// The name of a location: 16 hexadecimal digits that follow from its url without credentials, and from its query as the
/// definition writes it.
pub fn location_of(shown_url: &str, written_query: Option<&str>) -> String {
    let mut digest = Sha256::new_with_prefix(shown_url);
    if let Some(query) = written_query {
        digest.update("?");
        digest.update(query);
    }
    digest.finalize().iter().take(8).fold(String::with_capacity(16), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes what is written");
        hex
    })
}

/// What the server said about the content, used to ask whether it changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// SHA-256 (hex) of the whole URL, query included, that they were given for: under another one they mean nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_length: Option<u64>,
}

impl Validators {
    /// The entity tag, if it is a strong one (a weak one does not promise equal bytes: RFC 9110, 8.8.1).
    pub fn strong_etag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|tag| !tag.starts_with("W/"))
    }
}
