//! A receipt: what was fetched, from where, and what it looked like.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The proof that a file landed. Its name on disk is the receipt's sequence number; it never changes once written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub source: String,
    /// 1, 2, 3, ... per source, in the order in which contents arrived.
    pub sequence: u64,
    /// Where it came from, without user name, password and query.
    pub url: String,
    pub file_name: String,
    /// Bytes as received.
    pub size: u64,
    /// Lower-case hex over the bytes as received.
    pub sha256: String,
    #[serde(default)]
    pub validators: Validators,
    pub received_at: DateTime<Utc>,
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
