//! What is looked at: which tables, and how much of them.

use model::Share;
use model::definition::{Pipeline, nearest, suggest};
use zones::verify::Sample;

use crate::error::Error;

/// The tables that are looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Full names; empty for all.
    names: Vec<String>,
}

impl Choice {
    /// The tables of these names, each with its zone or alone; all where there is none.
    pub fn of(pipeline: &Pipeline, written: &[String]) -> Result<Self, Error> {
        let sources = pipeline.sources.iter().map(|source| format!("landing.{}", source.name));
        let raw = pipeline.raw.iter().map(|table| format!("raw.{}", table.name));
        let use_cases = pipeline.use_cases.iter().map(|table| format!("use_case.{}", table.name));
        let cassandra = pipeline.cassandra.iter().map(|table| format!("cassandra.{}", table.name));
        let quarantine = std::iter::once("quarantine".to_owned());
        let all: Vec<String> = sources.chain(raw).chain(quarantine).chain(use_cases).chain(cassandra).collect();
        let mut names = Vec::new();
        for name in written {
            let is_it = |full: &&String| *full == name || full.split_once('.').is_some_and(|(_, table)| table == name);
            let found: Vec<String> = all.iter().filter(is_it).cloned().collect();
            if found.is_empty() {
                let bare = all.iter().map(|full| full.split_once('.').map_or(full.as_str(), |(_, table)| table));
                let near = nearest(name, bare).map(|near| format!("did you mean `{near}`?"));
                let hint = near.or_else(|| suggest(name, all.iter().map(String::as_str), "tables"));
                let place = format!("pipeline {}", pipeline.name);
                return Err(Error::Semantics { place, problem: format!("there is no table `{name}`"), hint });
            }
            names.extend(found);
        }
        Ok(Self { names })
    }

    pub fn takes(&self, zone: &str, table: &str) -> bool {
        self.names.is_empty()
            || self.names.iter().any(|name| *name == format!("{zone}.{table}") || (name == zone && zone == table))
    }
}

/// `1%`, `0.5 %`, or a number of rows.
pub(super) fn sample(text: &str) -> Result<Sample, String> {
    let wrong = || "write a share (`1%`) or a number of rows (`100000`)".to_owned();
    if let Some(percent) = text.strip_suffix('%') {
        let percent: f64 = percent.trim().parse().map_err(|_| wrong())?;
        return Share::of(percent / 100.0).map(Sample::Share).ok_or_else(|| "a share is over 0 and at most 100 %".to_owned());
    }
    let rows: u64 = text.trim().parse().map_err(|_| wrong())?;
    if rows == 0 { Err(wrong()) } else { Ok(Sample::Rows(rows)) }
}

/// A sample as it was asked for.
pub(super) fn written(sample: Sample) -> Option<String> {
    match sample {
        Sample::All => None,
        Sample::Share(share) => Some(format!("{} %", share.fraction() * 100.0)),
        Sample::Rows(rows) => Some(format!("{rows} rows of each table")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_share_or_a_number_of_rows() {
        assert_eq!(sample("1%"), Ok(Sample::Share(Share::of(0.01).unwrap())));
        assert_eq!(sample("0.5 %"), Ok(Sample::Share(Share::of(0.005).unwrap())));
        assert_eq!(sample("1000"), Ok(Sample::Rows(1000)));
        for wrong in ["0", "0%", "101%", "half", ""] {
            assert!(sample(wrong).is_err(), "{wrong}");
        }
    }
}
