//! Where a source is, and how that may be shown.

use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use model::definition::Location;
use model::receipt::location_of;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};
use url::Url;

use super::Error;

/// A source's URL or path, understood.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) place: Place,
    /// Without user name, password, query and fragment.
    pub(super) shown: String,
    /// SHA-256 (hex) of the URL without credentials and fragment: validators belong to it.
    pub(super) sha256: String,
    /// The file name that the URL suggests.
    pub(super) file_name: String,
    /// Which of the source's urls this is: see [`model::receipt::location_of`].
    pub(super) location: String,
    /// The date that the URL is for.
    pub(super) date: Option<NaiveDate>,
}

#[derive(Debug, Clone)]
pub(super) enum Place {
    Http(Url),
    File(PathBuf),
}

impl Address {
    /// One of a source's URLs.
    pub(super) fn of(location: &Location) -> Result<Self, Error> {
        let address = Self::parse(&location.url)?;
        let name = match &address.place {
            Place::Http(_) => location_of(&address.shown, location.written_query.as_deref()),
            Place::File(_) => address.location,
        };
        Ok(Self { location: name, date: location.date, ..address })
    }

    /// What a person calls it: its date where it has one.
    pub(super) fn label(&self) -> String {
        self.date.map_or_else(|| self.shown.clone(), |date| date.to_string())
    }

    /// `http://`, `https://` and `file://` URLs, and paths.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        if !text.contains("://") {
            return Self::of_path(Path::new(text));
        }
        // What cannot be parsed cannot be redacted either: only the scheme is shown.
        let scheme = text.split("://").next().unwrap_or_default();
        let refused = |reason: String| Error::Address { url: format!("{scheme}://..."), reason };
        let url = Url::parse(text).map_err(|error| refused(error.to_string()))?;
        match url.scheme() {
            "http" | "https" => Ok(Self::of_url(url)),
            "file" => {
                let path = url.to_file_path().map_err(|()| refused("a file URL names a path on this machine".to_owned()))?;
                Self::of_path(&path)
            }
            other => Err(refused(format!("`{other}` is not a scheme that is fetched"))),
        }
    }

    fn of_url(url: Url) -> Self {
        let mut identity = url.clone();
        identity.set_fragment(None);
        // These fail only for URLs that cannot have credentials; then there are none to remove.
        let _ = identity.set_username("");
        let _ = identity.set_password(None);
        let sha256 = hex(identity.as_str());
        identity.set_query(None);
        let last = url.path_segments().and_then(|mut segments| segments.rfind(|segment| !segment.is_empty()));
        let file_name = percent_decode_str(last.unwrap_or_default()).decode_utf8_lossy().into_owned();
        let shown = String::from(identity);
        Self { place: Place::Http(url), location: location_of(&shown, None), shown, sha256, file_name, date: None }
    }

    pub(super) fn of_path(path: &Path) -> Result<Self, Error> {
        let refused = |reason: String| Error::Address { url: path.display().to_string(), reason };
        let absolute = std::path::absolute(path).map_err(|error| refused(error.to_string()))?;
        let Ok(url) = Url::from_file_path(&absolute) else {
            return Err(refused("is not a path".to_owned()));
        };
        let file_name = absolute.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (sha256, shown) = (hex(url.as_str()), String::from(url));
        let location = location_of(&shown, None);
        Ok(Self { place: Place::File(absolute), sha256, shown, file_name, location, date: None })
    }
}

fn hex(text: &str) -> String {
    use std::fmt::Write;
    Sha256::digest(text).iter().fold(String::with_capacity(64), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes what is written");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_has_no_secrets_but_two_queries_are_two_sources() {
        let address = |text| Address::parse(text).unwrap();
        let one = address("https://user:pass@host:8443/exports/events%20all.json.bz2?token=secret#top");
        assert_eq!(one.shown, "https://host:8443/exports/events%20all.json.bz2");
        assert_eq!(one.file_name, "events all.json.bz2");
        assert_ne!(one.sha256, address("https://host:8443/exports/events%20all.json.bz2?token=other").sha256);
        assert_eq!(one.sha256, address("https://host:8443/exports/events%20all.json.bz2?token=secret").sha256);
        assert_eq!(address("http://host").file_name, "");
    }

    #[test]
    fn paths_and_file_urls_are_the_same_place() {
        let path = std::env::temp_dir().join("a b.json");
        let by_path = Address::parse(path.to_str().unwrap()).unwrap();
        let by_url = Address::parse(&by_path.shown).unwrap();
        assert_eq!((by_path.sha256, &by_path.shown), (by_url.sha256, &by_url.shown));
        assert!(matches!(by_url.place, Place::File(found) if found == path));
        assert_eq!(by_url.file_name, "a b.json");
    }

    #[test]
    fn other_schemes_are_refused_without_showing_what_may_be_secret() {
        for text in ["ftp://user:pass@host/file", "http://user:pass@/x y:z", "file://host/share/secret"] {
            let error = Address::parse(text).unwrap_err();
            assert!(!error.to_string().contains("pass") && !error.to_string().contains("secret"), "{error}");
        }
    }
}
