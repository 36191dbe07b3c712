//! Which urls a source has today.

use std::collections::{BTreeSet, HashMap};

use chrono::NaiveDate;
use glob::MatchOptions;
use model::definition::{Location, Source};
use url::Url;

use super::Error;
use super::address::Address;

/// As a shell does: `*` stays in its folder and leaves hidden files out.
const MATCHING: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// The urls of a source, in the order in which they land.
#[derive(Debug)]
pub(super) struct Locations {
    pub(super) addresses: Vec<Address>,
    /// Patterns that no file matches.
    pub(super) unmatched: Vec<String>,
    /// Whether the source has one url and cannot have more.
    pub(super) is_single: bool,
}

/// What tells the urls of today apart; `None` where the source has one url and cannot have more.
pub fn known_locations(source: &Source, today: NaiveDate) -> Result<Option<BTreeSet<String>>, Error> {
    let locations = of(source, today)?;
    Ok((!locations.is_single).then(|| locations.addresses.into_iter().map(|address| address.location).collect()))
}

pub(super) fn of(source: &Source, today: NaiveDate) -> Result<Locations, Error> {
    let too_many = |error| Error::Dates { source_name: source.name.clone(), source: error };
    let mut locations = Locations { addresses: Vec::new(), unmatched: Vec::new(), is_single: source.urls.len() == 1 };
    locations.is_single &= source.dates.is_none();
    for location in source.locations(today).map_err(too_many)? {
        if is_pattern(&location.url) {
            locations.is_single = false;
            locations.add_matches(&location)?;
        } else {
            locations.addresses.push(Address::of(&location)?);
        }
    }
    locations.refuse_doubles(&source.name)?;
    Ok(locations)
}

fn is_pattern(url: &str) -> bool {
    url.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file://")) && url.contains(['*', '['])
}

impl Locations {
    fn add_matches(&mut self, location: &Location) -> Result<(), Error> {
        let refused = |reason: String| Error::Address { url: location.url.clone(), reason };
        let path = Url::parse(&location.url).ok().and_then(|url| url.to_file_path().ok());
        let pattern = path.as_ref().and_then(|path| path.to_str());
        let pattern = pattern.ok_or_else(|| refused("a file URL names a path on this machine".to_owned()))?;
        let matches = glob::glob_with(pattern, MATCHING).map_err(|error| refused(error.to_string()))?;
        let before = self.addresses.len();
        // In order of name.
        for path in matches {
            let path =
                path.map_err(|error| Error::File { step: "look into", path: error.path().to_owned(), source: error.into() })?;
            if path.is_file() {
                self.addresses.push(Address { date: None, ..Address::of_path(&path)? });
            }
        }
        if self.addresses.len() == before {
            self.unmatched.push(location.date.map_or_else(|| location.url.clone(), |date| date.to_string()));
        }
        Ok(())
    }

    /// A file that two patterns match is one location; two urls that only their credentials tell apart cannot be two.
    fn refuse_doubles(&mut self, source_name: &str) -> Result<(), Error> {
        let mut seen: HashMap<String, String> = HashMap::new();
        let mut same = None;
        self.addresses.retain(|address| match seen.insert(address.location.clone(), address.sha256.clone()) {
            None => true,
            Some(earlier) => {
                if earlier != address.sha256 || matches!(address.place, super::address::Place::Http(_)) {
                    same = Some(address.shown.clone());
                }
                false
            }
        });
        match same {
            Some(url) => Err(Error::SameLocation { source_name: source_name.to_owned(), url }),
            None => Ok(()),
        }
    }
}
