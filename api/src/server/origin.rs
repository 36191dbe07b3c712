//! An origin whose pages may call.

use std::str::FromStr;

use axum::http::HeaderValue;

/// As browsers send it: a scheme and a host, perhaps a port, and no path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(HeaderValue);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write an origin, as in https://app.example.org")]
pub struct NoOrigin;

impl FromStr for Origin {
    type Err = NoOrigin;

    fn from_str(text: &str) -> Result<Self, NoOrigin> {
        let (scheme, host) = text.split_once("://").ok_or(NoOrigin)?;
        let is_origin = !scheme.is_empty() && !host.is_empty() && !host.contains(['/', '*', ' ', '?', '#']);
        text.parse().ok().filter(|_| is_origin).map(Self).ok_or(NoOrigin)
    }
}

impl From<Origin> for HeaderValue {
    fn from(origin: Origin) -> Self {
        origin.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_no_path_and_no_wildcard() {
        for good in ["https://app.example.org", "http://127.0.0.1:5173"] {
            assert!(good.parse::<Origin>().is_ok(), "{good}");
        }
        for bad in ["*", "app.example.org", "https://", "https://app.example.org/", "https://*.example.org", "https://a b"] {
            assert_eq!(bad.parse::<Origin>(), Err(NoOrigin), "{bad}");
        }
    }
}
